//! What every request and session shares.

use std::sync::Arc;
use std::time::{Duration, Instant};

use syncline_core::id::WorkspaceId;
use syncline_core::schema::Schema;
use syncline_core::storage::StoreResult;
use syncline_storage::Database;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::analytics::Analytics;
use crate::audit::Audit;
use crate::auth::Auth;
use crate::bus::Bus;
use crate::config::Config;
use crate::db::Db;
use crate::engine::Writer;
use crate::health::LastHealth;
use crate::http::Downloads;
use crate::hub::{Encoded, Hub, Reach, WorkspaceHub};
use crate::observe::Metrics;
use crate::presence::Presence;
use crate::push::RestClients;
use crate::reports::Reports;
use crate::router::Router;
use crate::vitals::Vitals;
use crate::ws::Channels;

/// The running server, behind an `Arc` in every handler.
pub struct App {
    pub config: Config,
    pub db: Db,
    pub auth: Auth,
    pub audit: Audit,
    pub writer: Writer<Database>,
    pub hub: Arc<Hub>,
    pub bus: Bus,
    pub presence: Arc<Presence>,
    /// Sessions without a WebSocket.
    pub channels: Channels,
    /// For requests that another node has to answer.
    pub forwarding: reqwest::Client,
    pub router: Arc<Router>,
    /// What other nodes have committed goes to this node's sessions by it.
    pub reach: Reach,
    pub metrics: Arc<Metrics>,
    pub reports: Reports,
    pub health: LastHealth,
    pub analytics: Analytics,
    pub rest_clients: RestClients,
    /// Pages of snapshots being read and encoded.
    pub snapshots: Arc<Semaphore>,
    /// Snapshots being downloaded.
    pub downloads: Downloads,
    /// Catch-ups and verifications being computed.
    pub catch_ups: Arc<Semaphore>,
    /// KiB of computed catch-ups that wait to be sent; whoever has none left waits for others to be sent.
    pub catch_up_kib: Arc<Semaphore>,
    /// What this node cannot do without.
    pub vitals: Vitals,
    pub started: Instant,
}

/// KiB of computed catch-ups that may wait to be sent (64 MiB).
pub const CATCH_UP_KIB_MAX: u32 = 64 * 1024;
/// Bytes of one session's catch-up. A scope of which more has changed is compared by ranges instead.
pub const CATCH_UP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// A catch-up of at most so many bytes needs no room: it is no more than a frame, which any connection may have in hand.
const ROOMLESS_BYTES: usize = 256 * 1024;
/// Time that a catch-up waits for room; milliseconds. Readers that take theirs slowly delay nobody for longer.
const ROOM_WAIT_MS: u64 = 1_000;

/// Room for frames that have been computed and are going to be sent; dropping it gives it back.
pub struct Room {
    _permit: Option<OwnedSemaphorePermit>,
}

impl App {
    /// Room for frames, within a bounded time. `None`: there is none, and the frames must be dropped.
    pub async fn room_for(&self, frames: &[Encoded]) -> Option<Room> {
        let bytes: usize = frames.iter().map(|frame| frame.wire().len()).sum();
        if bytes <= ROOMLESS_BYTES {
            return Some(Room { _permit: None });
        }
        let kib = u32::try_from(bytes / 1024).unwrap_or(u32::MAX).min(CATCH_UP_KIB_MAX);
        let room = Arc::clone(&self.catch_up_kib).acquire_many_owned(kib);
        let room = tokio::time::timeout(Duration::from_millis(ROOM_WAIT_MS), room).await.ok()?;
        room.ok().map(|permit| Room { _permit: Some(permit) })
    }

    pub fn schema(&self) -> Arc<Schema> {
        self.db.schema()
    }

    /// Sees to it that what is committed from here on is published to a workspace's sessions, changes of access included. To be
    /// called by a session that has registered.
    pub async fn anchor(&self, workspace_id: &WorkspaceId, hub: &WorkspaceHub) -> StoreResult<()> {
        if hub.is_anchored() {
            return Ok(());
        }
        let head = self.db.read(workspace_id, |read| Ok(read.head()?.seq)).await?;
        if let Some(reached) = hub.anchor(head) {
            self.reach.reached(workspace_id, reached);
        }
        Ok(())
    }
}
