//! What every request and session shares.

use std::sync::Arc;
use std::time::Instant;

use syncline_core::schema::Schema;
use syncline_storage::SqliteStore;
use tokio::sync::Semaphore;

use crate::auth::Auth;
use crate::config::Config;
use crate::db::Db;
use crate::engine::Writer;
use crate::hub::Hub;
use crate::observe::Metrics;
use crate::push::RestClients;
use crate::reports::Reports;

/// The running server, behind an `Arc` in every handler.
pub struct App {
    pub config: Config,
    pub db: Db,
    pub auth: Auth,
    pub writer: Writer<SqliteStore>,
    pub hub: Arc<Hub>,
    pub metrics: Arc<Metrics>,
    pub reports: Reports,
    pub rest_clients: RestClients,
    /// Snapshots being streamed.
    pub snapshots: Arc<Semaphore>,
    /// Catch-ups and verifications being computed.
    pub catch_ups: Arc<Semaphore>,
    pub started: Instant,
}

impl App {
    pub fn schema(&self) -> Arc<Schema> {
        self.db.schema()
    }
}
