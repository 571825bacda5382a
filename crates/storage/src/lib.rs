//! The only crate that speaks SQL: adapters of the storage contracts in `syncline_core`, and the tables of identity that
//! share their database.
//!
//! Start reading at [`sqlite::SqliteStore`]. Every adapter passes `syncline_core::storage::contract` (invariant 11).

pub mod sqlite;

pub use sqlite::{AuthStore, SqliteOptions, SqliteReader, SqliteReplica, SqliteStore};
