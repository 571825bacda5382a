//! `GET /api/admin/alerts`: what is wrong, and what was lately. Those that fire first.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use syncline_core::TimestampMs;
use syncline_storage::sqlite::AlertRow;

use crate::app::App;
use crate::http::caller::Caller;
use crate::http::problem::ApiResult;
use crate::http::sync::take_limit;

#[derive(Serialize)]
pub struct AlertList {
    items: Vec<AlertView>,
}

/// An alert of the workspace, or of a node that serves it.
#[derive(Serialize)]
pub struct AlertView {
    key: String,
    rule: String,
    severity: String,
    /// `firing` or `resolved`.
    state: &'static str,
    summary: String,
    /// When it began to fire, or was resolved.
    since_ms: TimestampMs,
    /// About a node, not about the workspace.
    is_of_node: bool,
}

impl From<AlertRow> for AlertView {
    fn from(row: AlertRow) -> Self {
        Self {
            key: row.key,
            rule: row.rule,
            severity: row.severity,
            state: if row.is_firing { "firing" } else { "resolved" },
            summary: row.summary,
            since_ms: row.since_ms,
            is_of_node: row.workspace_id.is_none(),
        }
    }
}

#[utoipa::path(
    get,
    path = "/api/admin/alerts",
    tag = "admin",
    operation_id = "alerts",
    responses((status = 200, description = "What fires", body = Object)),
    security(("bearer" = []))
)]
pub async fn alerts(
    State(app): State<Arc<App>>,
    caller: Caller,
    RawQuery(raw): RawQuery,
) -> ApiResult<Json<AlertList>> {
    caller.require_admin()?;
    let limit = take_limit(raw.as_deref())?;
    let workspace = caller.workspace_id().clone();
    let rows = app.auth.with_store(move |store| store.list_alerts(&workspace, limit)).await?;
    Ok(Json(AlertList { items: rows.into_iter().map(AlertView::from).collect() }))
}
