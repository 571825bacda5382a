//! `GET /api/sync/status`: where the workspace's log stands and what the server knows of the caller's devices.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use syncline_core::id::{BackendId, ClientId, DeviceId};
use syncline_core::protocol::SchemaRef;
use syncline_core::{Name, Seq, TimestampMs};
use syncline_storage::sqlite::ClientStatus;

use crate::app::App;
use crate::clock;
use crate::http::caller::Caller;
use crate::http::problem::ApiResult;

#[derive(Serialize, utoipa::ToSchema)]
pub struct SyncStatus {
    #[schema(value_type = String, format = Uuid)]
    backend_id: BackendId,
    epoch: u32,
    #[schema(value_type = u64)]
    head: Seq,
    #[schema(value_type = u64)]
    min_seq: Seq,
    #[schema(value_type = crate::http::openapi::SchemaRef)]
    schema: SchemaRef,
    #[schema(value_type = u64)]
    server_ms: TimestampMs,
    #[schema(value_type = String)]
    role: Name,
    /// Open sessions of the workspace on this node.
    connections: usize,
    /// The caller's clients, as they last reported.
    clients: Vec<ClientView>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct ClientView {
    #[schema(value_type = String, format = Uuid)]
    client_id: ClientId,
    #[schema(value_type = String, format = Uuid)]
    pub device_id: DeviceId,
    epoch: u32,
    #[schema(value_type = u64)]
    cursor: Seq,
    /// Mutations of the log the client has not reported to have.
    lag: u64,
    pending_count: u64,
    oldest_pending_ms: Option<u64>,
    #[schema(value_type = u64)]
    reported_ms: TimestampMs,
}

impl ClientView {
    pub fn new(status: ClientStatus, head: Seq) -> Self {
        Self {
            client_id: status.client_id,
            device_id: status.device_id,
            epoch: status.epoch,
            cursor: status.cursor,
            lag: head.saturating_sub(status.cursor),
            pending_count: status.pending_count,
            oldest_pending_ms: status.oldest_pending_ms,
            reported_ms: status.reported_ms,
        }
    }
}

#[utoipa::path(
    get,
    path = "/api/sync/status",
    tag = "sync",
    operation_id = "status",
    responses((status = 200, description = "Where things stand", body = SyncStatus)),
    security(("bearer" = []))
)]
pub async fn status(State(app): State<Arc<App>>, caller: Caller) -> ApiResult<Json<SyncStatus>> {
    let head = app.db.read(caller.workspace_id(), |read| read.head()).await?;
    let devices = app.auth.devices(caller.workspace_id(), Some(caller.user_id())).await?;
    let clients = client_views(&app, &caller, head.seq).await?;
    let is_own = |client: &ClientView| devices.iter().any(|device| device.device_id == client.device_id);
    let schema = app.schema();
    Ok(Json(SyncStatus {
        backend_id: head.backend_id,
        epoch: head.epoch,
        head: head.seq,
        min_seq: head.min_seq,
        schema: SchemaRef { version: schema.version, hash: schema.hash.clone() },
        server_ms: clock::now_ms(),
        role: caller.access.role.clone(),
        connections: app.hub.workspace(caller.workspace_id()).sessions(),
        clients: clients.into_iter().filter(is_own).collect(),
    }))
}

/// Every client of the workspace, with what has been noted since the last write.
pub async fn client_views(app: &Arc<App>, caller: &Caller, head: Seq) -> ApiResult<Vec<ClientView>> {
    let (shared, workspace) = (Arc::clone(app), caller.workspace_id().clone());
    let statuses = app.auth.with_store(move |store| {
        shared.reports.flush(store)?;
        store.list_client_status(&workspace)
    });
    Ok(statuses.await?.into_iter().map(|status| ClientView::new(status, head)).collect())
}
