//! `GET /api/admin/clients`: every client's lag and outbox, as it last reported, in pages.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use syncline_core::id::ClientId;

use super::PAGE_MAX;
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::problem::ApiResult;
use crate::http::query::{Query, invalid};
use crate::http::sync::ClientView;

#[derive(Serialize, utoipa::ToSchema)]
pub struct Clients {
    items: Vec<ClientView>,
    /// `after` of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[utoipa::path(
    get,
    path = "/api/admin/clients",
    tag = "admin",
    operation_id = "admin_clients",
    params(("limit" = Option<u64>, Query, description = "Items of one page", minimum = 1, maximum = 1000), ("after" = Option<String>, Query, description = "`next` of the page before", format = Uuid)),
    responses((status = 200, description = "As they last reported", body = Clients)),
    security(("bearer" = []))
)]
pub async fn clients(State(app): State<Arc<App>>, caller: Caller, RawQuery(raw): RawQuery) -> ApiResult<Json<Clients>> {
    caller.require_admin()?;
    let mut query = Query::parse(raw.as_deref())?;
    let limit = query.take_number("limit", PAGE_MAX, 1, PAGE_MAX)? as usize;
    let after = query.take("after").map(|text| text.parse::<ClientId>());
    let after = after.transpose().map_err(|_| invalid("after", "is not a cursor of this list"))?;
    query.finish()?;
    let head = app.db.read(caller.workspace_id(), |read| read.head()).await?;
    let (shared, workspace) = (Arc::clone(&app), caller.workspace_id().clone());
    let statuses = app.auth.with_store(move |store| {
        shared.reports.flush(store)?;
        store.page_client_status(&workspace, after, limit + 1)
    });
    let mut statuses = statuses.await?;
    let has_more = statuses.len() > limit;
    statuses.truncate(limit);
    let next = statuses.last().filter(|_| has_more).map(|last| last.client_id.to_string());
    let items = statuses.into_iter().map(|status| ClientView::new(status, head.seq)).collect();
    Ok(Json(Clients { items, next }))
}
