//! The Syncline server: HTTP, WebSockets, the hub and the writer around `syncline_core`'s pure engine.
//!
//! One process serves everything from one SQLite file, or is one node of several on PostgreSQL. A push travels `ws` or `http` → [`engine`]'s queue → one group
//! commit → the answer, and at the same time → [`hub`] → everybody else who may see it. Start reading at [`server`].

mod alerts;
pub mod analytics;
pub mod app;
pub mod audit;
pub mod auth;
pub mod bootstrap;
pub mod bus;
pub mod clock;
pub mod config;
pub mod db;
pub mod demo;
pub mod engine;
mod health;
mod http;
pub mod hub;
mod json;
mod maintenance;
pub mod node_notes;
mod nodes;
pub mod observe;
mod outbound;
mod presence;
pub mod probe;
mod provision;
mod push;
pub mod random;
mod reports;
pub mod router;
pub mod server;
pub mod tls;
pub mod vitals;
mod webhooks;
mod ws;

pub use config::{Config, ConfigError, Environment};
pub use server::{DATABASE_FILE, Server, ServerError};

/// Chooses the crypto provider for tokens; call it in the first lines of every `main` and test. More calls do nothing.
pub fn install_crypto() {
    let _chosen_before = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default().is_err();
}
