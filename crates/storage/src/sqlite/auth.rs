//! Identity: credentials, devices, refresh tokens, what clients last reported, and the server's own secrets.
//!
//! Secrets arrive here already hashed (passwords as PHC strings, tokens as SHA-256). Writes are durable when they return
//! and take turns with the sync writer; one costs about one fsync. Reads never wait for a write.

mod analytics;
mod audit;
mod credentials;
mod devices;
mod identities;
mod kv;
mod ops;
mod status;
mod tokens;
mod webhooks;

use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

pub use audit::{AuditEntry, AuditHead, AuditQuery, AuditReport, AuditRow};
pub(crate) use audit::{AuditWalk, AuditWalkRow};
pub use credentials::{Credential, PutCredential, fold_email};
pub use devices::Device;
pub(crate) use devices::{mode_from_text, mode_to_text};
pub use identities::Identity;
pub use ops::{AlertRow, Lease};
pub(crate) use ops::{owner_from_text, state_from_text, state_text};
use rusqlite::{Connection, Row};
pub use status::{Backlog, BacklogQuery, ClientStatus};
use syncline_core::TimestampMs;
use syncline_core::id::WorkspaceId;
use syncline_core::storage::{StoreError, StoreResult};
pub use tokens::{RefreshOwner, RefreshToken, Rotate, Rotation, TokenHash};
pub use webhooks::{Claim, Delivery, DeliveryState, FailurePolicy, FormerSecret, Webhook};

use super::connect::Lane;
use super::error::{OrFailed, corrupt};
use super::pool::ReadPool;
use super::rows::{collect, execute};

/// The `auth_*` tables. Cheap to clone, usable from any thread; every method blocks, so call it off the async runtime.
#[derive(Clone)]
pub struct AuthStore {
    lane: Arc<Mutex<Lane>>,
    pool: Arc<ReadPool>,
}

impl AuthStore {
    pub(super) fn new(lane: Lane, pool: Arc<ReadPool>) -> Self {
        Self { lane: Arc::new(Mutex::new(lane)), pool }
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> StoreResult<T>) -> StoreResult<T> {
        read(&*self.pool.get()?)
    }

    fn write<T>(&self, write: impl FnOnce(&Connection) -> StoreResult<T>) -> StoreResult<T> {
        self.lane.lock().unwrap_or_else(PoisonError::into_inner).write(write)
    }
}

/// A time for a column; beyond 2^63 it is the end of time.
fn ms(time: TimestampMs) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

fn ms_at(row: &Row<'_>, column: &str) -> StoreResult<TimestampMs> {
    Ok(row.get::<_, i64>(column).or_failed()?.unsigned_abs())
}

fn optional_ms_at(row: &Row<'_>, column: &str) -> StoreResult<Option<TimestampMs>> {
    Ok(row.get::<_, Option<i64>>(column).or_failed()?.map(i64::unsigned_abs))
}

/// An id in text form.
fn id_at<T: FromStr>(row: &Row<'_>, column: &str) -> StoreResult<T> {
    let text = row.get_ref(column).or_failed()?.as_str().unwrap_or_default();
    text.parse().map_err(|_| corrupt(format!("`{text}` in {column} is not an id")))
}

fn workspace_at(row: &Row<'_>) -> StoreResult<WorkspaceId> {
    let text: String = row.get("workspace_id").or_failed()?;
    WorkspaceId::new(text).map_err(|error| StoreError::Corrupt(error.to_string()))
}
