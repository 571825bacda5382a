//! A device: its clocks, its disk, the replica and session of the core, and the shell between them and the network.

use std::rc::Rc;
use std::sync::Arc;

use syncline_core::id::{ClientId, DeviceId, ScopeId, UserId, WorkspaceId};
use syncline_core::principal::{DeploymentMode, Principal};
use syncline_core::replica::{MemoryReplica, Replica, ReplicaIdentity, ReplicaStore, ReplicaWrites};
use syncline_core::schema::Schema;
use syncline_core::session::client::{ClientSession, Now};
use syncline_core::{Seq, TimestampMs};

use crate::disk::{DeviceDisk, SimReplica};
use crate::plant::Bug;
use crate::rng::Rng;

/// Server time at virtual time 0.
pub const EPOCH_MS: u64 = 1_750_000_000_000;

/// A wall clock that is off, drifts and jumps. The monotonic clock is virtual time.
#[derive(Clone, Copy, Default, Debug)]
pub struct WallClock {
    pub skew_ms: i64,
    /// Parts per million.
    pub drift: i64,
}

impl WallClock {
    pub fn at(self, now_ms: u64) -> TimestampMs {
        let drifted = i64::try_from(now_ms).unwrap_or(0) * self.drift / 1_000_000;
        (EPOCH_MS + now_ms).saturating_add_signed(self.skew_ms + drifted)
    }
}

/// A download under way.
#[derive(Clone, Debug)]
pub struct Download {
    pub scope: ScopeId,
    pub seq: Seq,
    pub resume: Option<String>,
}

pub struct Device {
    pub user_id: UserId,
    pub device_id: DeviceId,
    pub clock: WallClock,
    pub disk: Rc<DeviceDisk>,
    schema: Arc<Schema>,
    /// `None` while the device is off.
    pub replica: Option<Replica<SimReplica>>,
    pub session: ClientSession,
    pub conn: Option<u64>,
    /// Counts what cancels a pending connection attempt.
    pub attempt: u64,
    pub download: Option<Download>,
    /// Earliest wake-up that is scheduled.
    pub wake_ms: Option<u64>,
    pub is_purged: bool,
    pub stopped: Option<syncline_core::protocol::Code>,
    pub rng: Rng,
}

impl Device {
    pub fn new(seed: u64, index: u64, user_id: UserId, workspace: &WorkspaceId, schema: Arc<Schema>) -> Self {
        let mut rng = Rng::new(seed, &format!("device {index}"));
        let device_id = DeviceId::from_u128(0xd000 + u128::from(index));
        let identity = ReplicaIdentity {
            workspace_id: workspace.clone(),
            user_id,
            device_id,
            client_id: ClientId::from_u128(rng.wide()),
        };
        let disk = Rc::new(DeviceDisk::default());
        let store = SimReplica::new(MemoryReplica::new(schema.clone()), disk.clone());
        let replica = Replica::open(store, schema.clone(), Some(identity)).expect("a new disk takes a first write");
        Self {
            user_id,
            device_id,
            clock: WallClock::default(),
            disk,
            schema,
            replica,
            session: ClientSession::new(DeploymentMode::LocalInstall),
            conn: None,
            attempt: 0,
            download: None,
            wake_ms: None,
            is_purged: false,
            stopped: None,
            rng,
        }
    }

    pub fn is_out(&self) -> bool {
        self.is_purged || self.stopped.is_some()
    }

    pub fn now(&mut self, now_ms: u64) -> Now {
        Now { monotonic_ms: now_ms, wall_ms: self.clock.at(now_ms), random: self.rng.wide() }
    }

    /// What its token says, and the client id of its database.
    pub fn principal(&self, workspace: &WorkspaceId) -> Option<Principal> {
        Some(Principal {
            workspace_id: workspace.clone(),
            user_id: self.user_id,
            device_id: self.device_id,
            client_id: self.replica.as_ref()?.meta().client_id,
            is_server: false,
        })
    }

    /// The process is gone; the disk stays.
    pub fn die(&mut self) {
        self.replica = None;
        self.conn = None;
        self.download = None;
        self.attempt += 1;
    }

    /// A new process over the disk.
    pub fn start(&mut self) {
        let store = SimReplica::new(self.disk.recover(&self.schema), self.disk.clone());
        self.replica = Replica::open(store, self.schema.clone(), None).expect("a recovered disk is read");
        self.session = ClientSession::new(DeploymentMode::LocalInstall);
        self.wake_ms = None;
    }

    /// Planted bug: forgets mutations that were just sent.
    pub fn forget_sent(&mut self, client_seqs: Vec<u64>) {
        if self.disk.bug.get() != Some(Bug::OutboxClearedOnSend) {
            return;
        }
        let Some(replica) = self.replica.take() else { return };
        let mut store = replica.into_store();
        let writes = ReplicaWrites { outbox_delete: client_seqs, ..ReplicaWrites::default() };
        let _ = store.write(writes);
        self.replica = Replica::open(store, self.schema.clone(), None).ok().flatten();
    }
}
