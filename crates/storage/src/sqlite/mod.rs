//! SQLite: the default database, embedded, one file, no configuration.
//!
//! One writer ([`SqliteStore`], used by exactly one thread) and any number of readers ([`SqliteReader`], cheap to clone,
//! from any thread, never waiting for the writer). Typed tables hold the live records' values (design D7), the tables
//! `sync_*` everything that synchronisation needs beside them, the tables `auth_*` identity, `msg_*` messages.

mod apply;
mod auth;
mod backup;
mod check;
mod connect;
mod error;
mod layout;
mod list;
mod maintain;
mod messages;
mod open;
mod pool;
mod replica;
mod rows;
mod store;
mod turn;
mod values;
mod view;

pub use auth::{
    AlertRow, AuditEntry, AuditHead, AuditQuery, AuditReport, AuditRow, AuthStore, Backlog, BacklogQuery, Claim,
    ClientStatus, Credential, Delivery, DeliveryState, Device, FailurePolicy, FormerSecret, Identity, Lease,
    PutCredential, RefreshOwner, RefreshToken, Rotate, Rotation, TokenHash, Webhook, fold_email,
};
pub(crate) use auth::{
    AuditWalk, AuditWalkRow, mode_from_text, mode_to_text, owner_from_text, state_from_text, state_text,
};
pub use backup::{BackupProgress, Restore, epoch_of, restore};
pub use check::{ChainReport, CheckReport};
pub use connect::SqliteOptions;
pub(crate) use error::{OrFailed, corrupt, refused};
pub use messages::SqliteMessages;
pub use replica::SqliteReplica;
pub use store::{SqliteReader, SqliteStore};
