//! The hub: who is connected, and what each of them is sent live.
//!
//! A committed group is rendered and encoded once for every audience (the sessions with equal grants) into the audience's
//! ring. A session is a position in a ring: a slow one costs nothing and delays nobody, and one that falls off the ring
//! is caught up from the log (design D12). Start reading at [`WorkspaceHub`].

mod connections;
mod encoded;
mod log;
mod outlet;
mod publish;
mod ring;
mod seat;
mod signals;
mod topic;
mod topics;
mod unauthenticated;
mod workspace;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub use connections::{Admission, Connections, Full};
pub use encoded::{Encoded, Packing};
pub use outlet::{Outlet, OutletStream, Traffic, Wire};
pub use publish::{Publisher, Reach};
pub use ring::{Frame, Taken};
pub use seat::Seat;
pub use signals::{Signals, SignalsReceiver};
use syncline_core::id::{DeviceId, WorkspaceId};
use syncline_core::protocol::Code;
pub use topic::TopicTaken;
pub use topics::{TOPIC_NAME_BYTES_MAX, TOPICS_PER_SESSION_MAX, TooManyTopics};
pub use workspace::{Among, Registered, SessionInfo, Unregistered, WorkspaceHub};

use crate::bus::{PresenceEntry, SyncRequest};
use crate::config::SocketsConfig;
use crate::observe::Metrics;

/// All connections of this node. Share it behind an `Arc`.
pub struct Hub {
    workspaces: Mutex<HashMap<WorkspaceId, Arc<WorkspaceHub>>>,
    pub connections: Connections,
    is_draining: AtomicBool,
    limits: log::RingLimits,
    metrics: Arc<Metrics>,
}

impl Hub {
    pub fn new(config: &SocketsConfig, metrics: Arc<Metrics>) -> Self {
        Self {
            workspaces: Mutex::default(),
            connections: Connections::new(config, Arc::clone(&metrics)),
            is_draining: AtomicBool::new(false),
            limits: log::RingLimits { frames_max: config.ring_frames_max, bytes_max: config.ring_bytes_max },
            metrics,
        }
    }

    /// The hub of a workspace, made at its first session and kept: workspaces are few.
    pub fn workspace(&self, id: &WorkspaceId) -> Arc<WorkspaceHub> {
        let mut workspaces = self.workspaces.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || Arc::new(WorkspaceHub::new(self.limits, Arc::clone(&self.metrics)));
        Arc::clone(workspaces.entry(id.clone()).or_insert_with(made))
    }

    /// The hub of a workspace that somebody has been connected to.
    pub fn existing(&self, id: &WorkspaceId) -> Option<Arc<WorkspaceHub>> {
        self.workspaces.lock().unwrap_or_else(PoisonError::into_inner).get(id).map(Arc::clone)
    }

    /// Cuts off the open sockets of a revoked device (spec REV-1). Returns how many.
    pub fn revoke_device(&self, workspace_id: &WorkspaceId, device_id: DeviceId) -> usize {
        let Some(workspace) = self.existing(workspace_id) else { return 0 };
        let reason = "This device has been revoked.";
        workspace.signal(
            Among::Devices(&BTreeSet::from([device_id])),
            |_| true,
            |signals| signals.purge(Code::DeviceRevoked, reason),
        )
    }

    /// Ends the session here of a client that has connected anew elsewhere (spec SES-8). Returns how many.
    pub fn replace(&self, workspace_id: &WorkspaceId, newer: &PresenceEntry) -> usize {
        let (Some(workspace), Some(client_id)) = (self.existing(workspace_id), newer.client_id) else { return 0 };
        let is_older = |session: &SessionInfo| {
            session.client_id == client_id
                && session.connection_id != newer.connection_id
                && session.device_id == newer.device_id
                && session.since_ms < newer.since_ms
        };
        workspace.signal(Among::User(newer.user_id), is_older, Signals::replace)
    }

    /// Tells the sessions of these devices, or all of a workspace, to look for messages. Returns how many.
    pub fn mail(&self, workspace_id: &WorkspaceId, devices: Option<&BTreeSet<DeviceId>>) -> usize {
        let Some(workspace) = self.existing(workspace_id) else { return 0 };
        workspace.signal(devices.map_or(Among::All, Among::Devices), |_| true, Signals::mail)
    }

    /// Whether sessions of a workspace are here, who would want to know.
    pub fn has_sessions(&self, workspace_id: &WorkspaceId) -> bool {
        self.existing(workspace_id).is_some_and(|workspace| workspace.sessions() > 0)
    }

    /// Closes the sockets of an ended sign-in. Returns how many.
    pub fn end_sign_in(&self, workspace_id: &WorkspaceId, is_ended: impl Fn(&SessionInfo) -> bool) -> usize {
        self.existing(workspace_id).map_or(0, |workspace| workspace.signal(Among::All, is_ended, Signals::sign_out))
    }

    /// Tells sessions of this node to bring something into step now. Returns how many.
    pub fn sync_now(&self, request: &SyncRequest) -> usize {
        let Some(workspace) = self.existing(&request.workspace_id) else { return 0 };
        // The mode of the connection counts, not that of the device's registration.
        let is_meant =
            |session: &SessionInfo| request.deployment_mode.is_none_or(|mode| mode == session.deployment_mode);
        workspace.signal(Among::User(request.user_id), is_meant, |signals| signals.sync_now(&request.entities))
    }

    /// As [`Hub::end_sign_in`], in every workspace.
    pub fn end_sign_in_anywhere(&self, is_ended: impl Fn(&SessionInfo) -> bool) -> usize {
        self.all().iter().map(|workspace| workspace.signal(Among::All, &is_ended, Signals::sign_out)).sum()
    }

    fn all(&self) -> Vec<Arc<WorkspaceHub>> {
        self.workspaces.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire)
    }

    /// Tells every session to finish and go, each with its own moment to come back, spread over a time that grows with
    /// their number; then waits until all are gone. The caller bounds the wait.
    pub async fn drain(&self) {
        self.is_draining.store(true, Ordering::Release);
        let workspaces = self.all();
        let spread_ms = 1_000 + self.connections.active() as u64;
        for workspace in workspaces {
            workspace.signal(Among::All, |_| true, |signals| signals.drain(500 + crate::random::between(0, spread_ms)));
        }
        self.connections.closed().await;
    }
}
