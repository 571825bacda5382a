//! The only crate that speaks SQL: adapters of the storage contracts in `syncline_core`, and the tables of identity and of
//! messages that share their database.
//!
//! Start reading at [`Database`], [`sqlite::SqliteStore`] and [`postgres::PostgresStore`]. Every adapter passes
//! `syncline_core::storage::contract` (invariant 11).

pub mod analytics;
mod database;
mod database_auth;
mod epoch;
mod list_sql;
pub mod messages;
mod migration;
pub mod postgres;
pub mod sqlite;
mod timing;
pub mod transfer;
mod url;

pub use database::{Database, DatabaseOptions, DatabaseReader};
pub use database_auth::DatabaseAuth;
pub use epoch::{RestoreError, begin_epochs};
pub use messages::DatabaseMessages;
pub use migration::NewerVersion;
pub use postgres::{PostgresOptions, PostgresReader, PostgresStore};
pub use sqlite::{AuthStore, SqliteOptions, SqliteReader, SqliteReplica, SqliteStore};
pub use url::{DatabaseUrl, InvalidDatabaseUrl, PostgresUrl};
