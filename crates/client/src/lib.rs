//! A Syncline client for programs that have a disk: a replica in SQLite that works without a network, and the loop that
//! keeps it in step with a server.
//!
//! All decisions are `syncline_core`'s ([`ClientSession`](syncline_core::session::client::ClientSession)); this crate
//! reads clocks, opens sockets and owns files. The replica lives on one thread of its own, so an fsync never holds up the
//! reactor. Start reading at [`Client`].

mod api;
mod client;
mod clock;
mod credentials;
mod error;
mod local;
mod owner;
mod random;
mod status;
mod sync;

pub use client::{Client, SignIn};
pub use clock::now_ms;
pub use credentials::Credentials;
pub use error::ClientError;
pub use random::{mutation_id, record_id};
pub use status::{ScopeStatus, Status};
pub use sync::{SyncEnd, SyncLimits};

/// The default CRM schema, compiled in; a device directory may hold another one as `schema.toml`.
pub const CRM_SCHEMA: &str = include_str!("../../../schema/crm.toml");
