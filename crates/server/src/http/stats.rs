//! `GET /api/config/stats`: versions, limits in force and counts, for administrators.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value};
use syncline_core::protocol::SchemaRef;
use syncline_core::protocol::limits::{PROTO_MAX, PROTO_MIN};
use syncline_core::storage::{Read, StoreResult};
use syncline_storage::DatabaseUrl;

use super::caller::Caller;
use super::problem::{ApiError, ApiResult};
use super::sync::client_views;
use crate::app::App;
use crate::clock;

#[derive(Serialize, utoipa::ToSchema)]
pub struct Stats {
    version: &'static str,
    /// Lowest and highest version of the sync protocol.
    #[schema(value_type = Vec<u32>)]
    protocol: [u32; 2],
    #[schema(value_type = crate::http::openapi::SchemaRef)]
    schema: SchemaRef,
    /// `sqlite` or `postgres`.
    database: &'static str,
    uptime_s: u64,
    /// Nodes of the deployment that are alive.
    nodes: usize,
    features: Features,
    /// The sections of the configuration that limit what a caller may do, by name.
    #[schema(value_type = Object)]
    limits: Map<String, Value>,
    counts: Counts,
}

#[derive(Serialize, utoipa::ToSchema)]
struct Features {
    redis: bool,
    supabase: bool,
    rate_limits: bool,
}

/// Of the caller's workspace.
#[derive(Serialize, utoipa::ToSchema)]
struct Counts {
    /// Live records of all entities.
    records: u64,
    scopes: usize,
    devices: usize,
    clients: usize,
    /// Open sessions on this node.
    connections: usize,
    /// Position of the last change.
    head: u64,
}

/// Sections that say how much a caller may do. Addresses, paths and the rest are the operator's: `syncline config dump`.
const SECTIONS: [&str; 4] = ["http", "rates", "sockets", "tokens"];
/// Settings of those sections that limit nothing.
const NO_LIMITS: [&str; 4] = ["host", "port", "secret_key", "secret_key_other"];

#[utoipa::path(
    get,
    path = "/api/config/stats",
    tag = "config",
    operation_id = "stats",
    responses((status = 200, description = "What is in force", body = Stats)),
    security(("bearer" = []))
)]
pub async fn stats(State(app): State<Arc<App>>, caller: Caller) -> ApiResult<Json<Stats>> {
    caller.require_admin()?;
    let read = |read: &dyn Read| -> StoreResult<_> { Ok((read.head()?, read.scopes()?)) };
    let (head, scopes) = app.db.read(caller.workspace_id(), read).await?;
    let devices = app.auth.devices(caller.workspace_id(), None).await?;
    let clients = client_views(&app, &caller, head.seq).await?;
    let schema = app.schema();
    let is_postgres = matches!(app.config.store.url(), Ok(DatabaseUrl::Postgres(_)));
    Ok(Json(Stats {
        version: env!("CARGO_PKG_VERSION"),
        protocol: [PROTO_MIN, PROTO_MAX],
        schema: SchemaRef { version: schema.version, hash: schema.hash.clone() },
        database: if is_postgres { "postgres" } else { "sqlite" },
        uptime_s: clock::elapsed_ms(app.started) / 1_000,
        nodes: app.bus.nodes().len(),
        features: Features {
            redis: app.config.bus.redis_url.is_some(),
            supabase: app.auth.takes_supabase(),
            rate_limits: app.config.rates.is_enabled,
        },
        limits: limits(&app)?,
        counts: Counts {
            records: scopes.iter().map(|(_, digest)| digest.count).sum(),
            scopes: scopes.len(),
            devices: devices.len(),
            clients: clients.len(),
            connections: app.hub.workspace(caller.workspace_id()).sessions(),
            head: head.seq,
        },
    }))
}

fn limits(app: &App) -> ApiResult<Map<String, Value>> {
    let Ok(Value::Object(mut sections)) = serde_json::to_value(&app.config) else { return Err(ApiError::internal()) };
    let mut limits = Map::new();
    for name in SECTIONS {
        if let Some(Value::Object(mut section)) = sections.remove(name) {
            section.retain(|key, _| !NO_LIMITS.contains(&key.as_str()));
            limits.insert(name.to_owned(), Value::Object(section));
        }
    }
    Ok(limits)
}
