//! `GET /api/analytics/connections`: connections that have ended, last closed first. Those that are open are at
//! `/api/presence`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use syncline_core::TimestampMs;
use syncline_core::id::{DeviceId, UserId};
use syncline_core::principal::DeploymentMode;
use syncline_storage::analytics::{ConnectionRow, ConnectionsPage};
use uuid::Uuid;

use super::{LIMIT_DEFAULT, LIMIT_MAX, Whose};
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::problem::ApiResult;
use crate::http::query::{Query, invalid};

#[derive(Serialize, utoipa::ToSchema)]
pub struct ConnectionList {
    items: Vec<ConnectionView>,
    /// `after` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct ConnectionView {
    connection_id: Uuid,
    #[schema(value_type = String, format = Uuid)]
    user_id: UserId,
    #[schema(value_type = String, format = Uuid)]
    device_id: DeviceId,
    #[schema(value_type = crate::http::openapi::DeploymentMode)]
    deployment_mode: DeploymentMode,
    /// `websocket`, `event_stream` or `long_poll`.
    transport: String,
    #[schema(value_type = u64)]
    opened_ms: TimestampMs,
    #[schema(value_type = u64)]
    closed_ms: TimestampMs,
    /// As WebSocket counts them: 1000 when the client left, 1006 when the connection broke off; 4400 and above: spec/CODES.md.
    close_code: u16,
    reason: String,
    /// On the wire.
    bytes_in: u64,
    bytes_out: u64,
    /// Frames that the client sent.
    frames_in: u64,
    /// Mutations decided.
    mutations: u64,
}

impl From<ConnectionRow> for ConnectionView {
    fn from(row: ConnectionRow) -> Self {
        Self {
            connection_id: row.connection_id,
            user_id: row.user_id,
            device_id: row.device_id,
            deployment_mode: row.deployment_mode,
            transport: row.transport,
            opened_ms: row.opened_ms,
            closed_ms: row.closed_ms,
            close_code: row.close_code,
            reason: row.reason,
            bytes_in: row.bytes_in,
            bytes_out: row.bytes_out,
            frames_in: row.frames_in,
            mutations: row.mutations,
        }
    }
}

#[utoipa::path(
    get,
    path = "/api/analytics/connections",
    tag = "analytics",
    operation_id = "connections",
    params(
        ("user_id" = Option<String>, Query, description = "Of one person; whoever is no administrator asks for their own"),
        ("device_id" = Option<String>, Query, description = "Of one device"),
        ("after" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u64>, Query, description = "Items of one page", minimum = 1, maximum = 1000)
    ),
    responses((status = 200, description = "Last closed first", body = ConnectionList)),
    security(("bearer" = []))
)]
pub async fn connections(
    State(app): State<Arc<App>>,
    caller: Caller,
    RawQuery(raw): RawQuery,
) -> ApiResult<Json<ConnectionList>> {
    let mut query = Query::parse(raw.as_deref())?;
    let Whose { user_id, device_id } = Whose::take(&app, &caller, &mut query, "/api/analytics/connections").await?;
    let after =
        query.take("after").map(|text| cursor(&text).ok_or_else(|| invalid("after", "is not a cursor of this list")));
    let after = after.transpose()?;
    let limit = query.take_number("limit", LIMIT_DEFAULT, 1, LIMIT_MAX)? as usize;
    query.finish()?;
    let page = ConnectionsPage { user_id, device_id, after, limit };
    let (shared, workspace) = (Arc::clone(&app), caller.workspace_id().clone());
    let rows = app.auth.with_store(move |store| {
        shared.analytics.flush(store)?;
        store.connections_page(&workspace, &page)
    });
    let rows = rows.await?;
    let last = rows.last().filter(|_| rows.len() == limit);
    let next = last.map(|row| format!("{}.{}", row.closed_ms, row.connection_id));
    Ok(Json(ConnectionList { items: rows.into_iter().map(ConnectionView::from).collect(), next }))
}

fn cursor(text: &str) -> Option<(TimestampMs, Uuid)> {
    let (closed_ms, id) = text.split_once('.')?;
    Some((closed_ms.parse().ok()?, id.parse().ok()?))
}
