//! `GET /api/presence` and `GET /api/presence/{entity}/{id}`: who is connected, and who looks at a record (HUB-9).

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};
use syncline_core::protocol::Viewer;

use super::caller::Caller;
use super::entities::visible_record;
use super::problem::ApiResult;
use crate::app::App;
use crate::bus::Reach;

/// Every connection of the caller's workspace, on all nodes; `is_complete` is false when there are more than one answer
/// names, or while the nodes do not hear each other.
#[utoipa::path(
    get,
    path = "/api/presence",
    tag = "presence",
    operation_id = "connected",
    responses((status = 200, description = "Connections of the workspace", body = Object)),
    security(("bearer" = []))
)]
pub async fn connected(State(app): State<Arc<App>>, caller: Caller) -> ApiResult<Json<Value>> {
    let mut roll = app.presence.roll(caller.workspace_id()).await;
    roll.entries.sort_by_key(|entry| (entry.user_id, entry.since_ms));
    let connections = roll.entries.iter().map(|entry| {
        json!({
            "connection_id": entry.connection_id, "user_id": entry.user_id, "device_id": entry.device_id,
            "deployment_mode": entry.deployment_mode, "since_ms": entry.since_ms,
        })
    });
    let connections: Vec<Value> = connections.collect();
    let is_complete = roll.is_complete && roll.reach == Reach::Deployment;
    Ok(Json(json!({"connections": connections, "is_complete": is_complete})))
}

/// Who looks at a record the caller may see.
#[utoipa::path(
    get,
    path = "/api/presence/{entity}/{id}",
    tag = "presence",
    operation_id = "viewers",
    params(("entity" = String, Path, description = "An entity of the schema"), ("id" = String, Path, description = "Id of the record", format = Uuid)),
    responses((status = 200, description = "Who looks at the record", body = Object)),
    security(("bearer" = []))
)]
pub async fn viewers(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((name, id)): Path<(String, String)>,
) -> ApiResult<Json<Value>> {
    let record = visible_record(&app, &caller, &name, &id).await?;
    let viewers: Vec<Viewer> = app.presence.viewers(caller.workspace_id(), (record.entity, record.id));
    Ok(Json(json!({"viewers": viewers})))
}
