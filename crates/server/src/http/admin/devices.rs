//! `GET /api/admin/devices`: every device of the workspace, last seen first, in pages.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use syncline_core::TimestampMs;
use syncline_core::id::DeviceId;

use super::PAGE_MAX;
use crate::app::App;
use crate::http::auth::{DeviceView, Devices};
use crate::http::caller::Caller;
use crate::http::problem::ApiResult;
use crate::http::query::{Query, invalid};

#[utoipa::path(
    get,
    path = "/api/admin/devices",
    tag = "admin",
    operation_id = "admin_devices",
    params(("limit" = Option<u64>, Query, description = "Items of one page", minimum = 1, maximum = 1000), ("after" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, description = "Last seen first", body = Devices)),
    security(("bearer" = []))
)]
pub async fn devices(State(app): State<Arc<App>>, caller: Caller, RawQuery(raw): RawQuery) -> ApiResult<Json<Devices>> {
    caller.require_admin()?;
    let mut query = Query::parse(raw.as_deref())?;
    let limit = query.take_number("limit", PAGE_MAX, 1, PAGE_MAX)? as usize;
    let after =
        query.take("after").map(|text| place(&text).ok_or_else(|| invalid("after", "is not a cursor of this list")));
    let after = after.transpose()?;
    query.finish()?;
    let workspace = caller.workspace_id().clone();
    let mut page = app.auth.with_store(move |store| store.page_devices(&workspace, after, limit + 1)).await?;
    let has_more = page.len() > limit;
    page.truncate(limit);
    let next = page.last().filter(|_| has_more).map(|last| format!("{}.{}", last.last_seen_ms, last.device_id));
    Ok(Json(Devices { next, ..DeviceView::list(page, caller.device_id()) }))
}

/// A place in the order: last seen and id.
fn place(text: &str) -> Option<(TimestampMs, DeviceId)> {
    let (seen, id) = text.split_once('.')?;
    Some((seen.parse().ok().filter(|seen| i64::try_from(*seen).is_ok())?, id.parse().ok()?))
}
