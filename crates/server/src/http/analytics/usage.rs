//! `GET /api/analytics/usage`: who was connected for how long, and what went over the wire.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use syncline_storage::analytics::UsageRow;

use super::{KeyView, Whose, date, next_of, take_page};
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::problem::ApiResult;
use crate::http::query::Query;

#[derive(Serialize, utoipa::ToSchema)]
pub struct Usage {
    /// The first day that counts; in UTC.
    #[schema(format = Date)]
    from_day: String,
    /// In the order of their keys.
    items: Vec<UsageView>,
    /// `after` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct UsageView {
    #[serde(flatten)]
    key: KeyView,
    /// How many different ones were seen.
    users: u64,
    devices: u64,
    /// Connections that began.
    connections: u64,
    connected_ms: u64,
    /// On the wire, of connections; out also of snapshots.
    bytes_in: u64,
    bytes_out: u64,
    /// Mutations decided.
    mutations: u64,
}

impl From<&UsageRow> for UsageView {
    fn from(row: &UsageRow) -> Self {
        let counts = &row.counts;
        Self {
            key: row.key.into(),
            users: row.users,
            devices: row.devices,
            connections: counts.connections,
            connected_ms: counts.connected_ms,
            bytes_in: counts.bytes_in,
            bytes_out: counts.bytes_out,
            mutations: counts.mutations,
        }
    }
}

#[utoipa::path(
    get,
    path = "/api/analytics/usage",
    tag = "analytics",
    operation_id = "usage",
    params(
        ("by" = Option<String>, Query, description = "day, user or device"),
        ("days" = Option<u64>, Query, description = "So many, today being the last", minimum = 1, maximum = 366),
        ("user_id" = Option<String>, Query, description = "Of one person; whoever is no administrator asks for their own"),
        ("device_id" = Option<String>, Query, description = "Of one device"),
        ("after" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u64>, Query, description = "Items of one page", minimum = 1, maximum = 1000)
    ),
    responses((status = 200, description = "Sums", body = Usage)),
    security(("bearer" = []))
)]
pub async fn usage(State(app): State<Arc<App>>, caller: Caller, RawQuery(raw): RawQuery) -> ApiResult<Json<Usage>> {
    let mut query = Query::parse(raw.as_deref())?;
    let whose = Whose::take(&app, &caller, &mut query, "/api/analytics/usage").await?;
    let page = take_page(&mut query, whose)?;
    query.finish()?;
    let (from_day, limit) = (page.from_day, page.limit);
    let (shared, workspace) = (Arc::clone(&app), caller.workspace_id().clone());
    let rows = app.auth.with_store(move |store| {
        shared.analytics.flush(store)?;
        store.usage_page(&workspace, &page)
    });
    let rows = rows.await?;
    let next = next_of(rows.last().map(|row| row.key), rows.len() == limit);
    Ok(Json(Usage { from_day: date(from_day), items: rows.iter().map(UsageView::from).collect(), next }))
}
