//! What every request and session shares.

use std::sync::Arc;
use std::time::Instant;

use syncline_core::schema::Schema;
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
use crate::hub::{Encoded, Hub, Reach};
use crate::observe::Metrics;
use crate::presence::Presence;
use crate::push::RestClients;
use crate::reports::Reports;
use crate::router::Router;
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
    /// Snapshots being streamed.
    pub snapshots: Arc<Semaphore>,
    /// Catch-ups and verifications being computed.
    pub catch_ups: Arc<Semaphore>,
    /// KiB of computed catch-ups that wait to be sent; whoever has none left waits for others to be sent.
    pub catch_up_kib: Arc<Semaphore>,
    pub started: Instant,
}

/// KiB of computed catch-ups that may wait to be sent (64 MiB).
pub const CATCH_UP_KIB_MAX: u32 = 64 * 1024;

impl App {
    /// Room for frames that have been computed and are going to be sent; give it back by dropping it.
    pub async fn room_for(&self, frames: &[Encoded]) -> Option<OwnedSemaphorePermit> {
        let bytes: usize = frames.iter().map(|frame| frame.wire().len()).sum();
        let kib = u32::try_from(bytes / 1024).unwrap_or(u32::MAX).min(CATCH_UP_KIB_MAX);
        Arc::clone(&self.catch_up_kib).acquire_many_owned(kib).await.ok()
    }

    pub fn schema(&self) -> Arc<Schema> {
        self.db.schema()
    }
}
