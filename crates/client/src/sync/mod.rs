//! Keeping in step: the loop that feeds the session what happens and performs what it wants.

mod driver;
mod snapshot;
mod socket;

use std::time::Duration;

use syncline_core::protocol::Code;

use crate::client::Client;
use crate::clock::monotonic_ms;
use crate::error::ClientError;
use driver::{Driver, Until};

/// How long a single sync may go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SyncLimits {
    pub deadline: Duration,
    /// Connections that may fail one after the other before the server counts as out of reach.
    pub attempts_max: u32,
}

impl Default for SyncLimits {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(60), attempts_max: 3 }
    }
}

/// How a sync ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SyncEnd {
    /// Nothing is pending, nothing is loading, and every digest is the server's.
    Synced,
    /// The caller wanted it to end.
    Cancelled,
    /// The deadline passed, or the server was out of reach. What is pending is kept; syncing again goes on from here.
    NotSynced { reason: String },
    /// A person must sign in again; everything is kept.
    SignInNeeded { reason: String },
    /// Access was withdrawn: everything on the device was deleted (spec REV-2).
    Purged { code: Code },
    /// Syncing stopped for good; the outbox is kept.
    Stopped { code: Code },
}

impl Client {
    /// Syncs until replica and server are the same, or until a limit is met.
    pub async fn sync_once(&self, limits: SyncLimits) -> Result<SyncEnd, ClientError> {
        let end_ms = monotonic_ms().saturating_add(u64::try_from(limits.deadline.as_millis()).unwrap_or(u64::MAX));
        self.drive(Until::Quiescent { end_ms, attempts_max: limits.attempts_max }, std::future::pending()).await
    }

    /// Follows the server, reconnecting as often as needed, until `cancel` ends or syncing cannot go on. Listen to
    /// [`Client::events`] for what happens.
    pub async fn run(&self, cancel: impl Future<Output = ()>) -> Result<SyncEnd, ClientError> {
        self.drive(Until::Cancelled, cancel).await
    }

    async fn drive(&self, until: Until, cancel: impl Future<Output = ()>) -> Result<SyncEnd, ClientError> {
        let _syncing = self.inner.syncing.try_lock().map_err(|_| ClientError::AlreadySyncing)?;
        let mut driver = Driver::start(&self.inner).await?;
        let end = driver.run(until, cancel).await;
        driver.stop().await?;
        end
    }
}
