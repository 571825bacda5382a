//! PostgreSQL: the database for several nodes.
//!
//! [`PostgresStore`] writes, one per thread; [`PostgresReader`]s read, from any thread that may block. The tables are those of
//! SQLite in PostgreSQL's types: typed tables for the live records (design D7), `sync_*` beside them, `auth_*` for identity, `msg_*` for messages;
//! the workspace leads every key. A write set is a dozen statements over arrays in one flight (`apply`); what a plan reads
//! is loaded in one flight after the workspace's lock (`loaded`).

mod apply;
mod auth;
mod check;
mod connect;
mod error;
mod indexes;
mod lane;
mod layout;
mod list;
mod loaded;
mod maintain;
mod messages;
mod migrate;
mod open;
mod options;
mod resolve;
mod retry;
mod rows;
mod startup;
mod store;
pub(crate) mod tls;
mod values;
mod view;
mod wire;

pub use auth::PostgresAuth;
pub use messages::PostgresMessages;
pub use options::PostgresOptions;
pub use startup::StartupError;
pub use store::{PostgresReader, PostgresStore};
