//! `GET /api/admin/audit`: who came in, was refused, read or changed what others may do. Newest first.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use serde_json::{Map, Value};
use syncline_core::id::UserId;
use syncline_core::storage::StoreError;
use syncline_storage::sqlite::{AuditQuery, AuditRow};

use crate::app::App;
use crate::http::caller::Caller;
use crate::http::problem::ApiResult;
use crate::http::query::{Query, invalid};

#[derive(Serialize)]
pub struct AuditPage {
    items: Vec<AuditItem>,
    /// `before` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// An entry with its place in the chain.
#[derive(Serialize)]
pub struct AuditItem {
    seq: u64,
    hash: String,
    #[serde(flatten)]
    entry: Map<String, Value>,
}

const LIMIT_DEFAULT: u64 = 100;
const LIMIT_MAX: u64 = 1_000;
/// Longest name of an event; bytes.
const EVENT_BYTES_MAX: usize = 64;

#[utoipa::path(
    get,
    path = "/api/admin/audit",
    tag = "admin",
    operation_id = "audit",
    params(("limit" = Option<u64>, Query, minimum = 1, maximum = 1000)),
    responses((status = 200, description = "Newest first", body = Object)),
    security(("bearer" = []))
)]
pub async fn audit(State(app): State<Arc<App>>, caller: Caller, RawQuery(raw): RawQuery) -> ApiResult<Json<AuditPage>> {
    caller.require_admin()?;
    let query = parse(raw.as_deref())?;
    let (limit, workspace) = (query.limit, caller.workspace_id().clone());
    let rows = app.auth.with_store(move |store| store.audit_page(Some(&workspace), &query)).await?;
    let next = rows.last().filter(|_| rows.len() == limit).map(|last| last.seq);
    let items = rows.into_iter().map(item).collect::<Result<_, _>>()?;
    Ok(Json(AuditPage { items, next }))
}

fn parse(raw: Option<&str>) -> ApiResult<AuditQuery> {
    let mut query = Query::parse(raw)?;
    let limit = query.take_number("limit", LIMIT_DEFAULT, 1, LIMIT_MAX)? as usize;
    let before = query.take_number("before", u64::MAX, 1, u64::MAX)?;
    let (from_ms, to_ms) =
        (query.take_number("from_ms", 0, 0, u64::MAX)?, query.take_number("to_ms", u64::MAX, 0, u64::MAX)?);
    let event = query.take("event");
    if event.as_ref().is_some_and(|event| event.len() > EVENT_BYTES_MAX) {
        return Err(invalid("event", "is not the name of an event"));
    }
    let user_id = query.take("user_id").map(|text| text.parse::<UserId>());
    let user_id = user_id.transpose().map_err(|_| invalid("user_id", "is not an id"))?;
    query.finish()?;
    let before_seq = (before != u64::MAX).then_some(before);
    Ok(AuditQuery { before_seq, event, user_id, from_ms, to_ms, limit })
}

fn item(row: AuditRow) -> Result<AuditItem, StoreError> {
    let entry = serde_json::from_str(&row.entry);
    let entry = entry.map_err(|_| StoreError::Corrupt(format!("audit entry {} is no JSON object", row.seq)))?;
    Ok(AuditItem { seq: row.seq, hash: row.hash, entry })
}
