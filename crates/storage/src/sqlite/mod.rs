//! SQLite: the default database, embedded, one file, no configuration.
//!
//! One writer ([`SqliteStore`], used by exactly one thread) and any number of readers ([`SqliteReader`], cheap to clone,
//! from any thread, never waiting for the writer). Typed tables hold the live records' values (design D7), the tables
//! `sync_*` everything that synchronisation needs beside them, the tables `auth_*` identity.

mod auth;
mod connect;
mod error;
mod pool;
mod turn;

pub use auth::{
    AuthStore, ClientStatus, Credential, Device, PutCredential, RefreshOwner, RefreshToken, Rotate, Rotation,
    TokenHash, fold_email,
};
pub use connect::SqliteOptions;
