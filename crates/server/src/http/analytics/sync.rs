//! `GET /api/analytics/sync`: how often sync succeeded, and how long it took.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use syncline_storage::analytics::{CallCounts, DeviceCounts, SERVER_OPERATIONS, UsageBy, UsagePage};

use super::{DAYS_MAX, KeyView, LatencyView, Whose, date, next_of, take_page};
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::problem::ApiResult;
use crate::http::query::Query;

#[derive(Serialize, utoipa::ToSchema)]
pub struct SyncFigures {
    /// The first day that counts; in UTC.
    #[schema(format = Date)]
    from_day: String,
    /// Of everything that was asked for, not of this page alone.
    total: SuccessView,
    /// In the order of their keys.
    items: Vec<SyncView>,
    /// By operation, of the whole workspace; for administrators who ask for nobody in particular.
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<Vec<LatencyView>>,
    /// `after` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct SyncView {
    #[serde(flatten)]
    key: KeyView,
    #[serde(flatten)]
    success: SuccessView,
}

/// Operations that were the caller's fault are neither.
#[derive(Serialize, utoipa::ToSchema)]
struct SuccessView {
    succeeded: u64,
    failed: u64,
    /// `succeeded` of both; absent when there were none.
    #[serde(skip_serializing_if = "Option::is_none")]
    success_rate: Option<f64>,
}

impl From<&DeviceCounts> for SuccessView {
    fn from(counts: &DeviceCounts) -> Self {
        let (succeeded, failed) = (counts.sync_ok, counts.sync_failed);
        let whole = succeeded + failed;
        Self { succeeded, failed, success_rate: (whole > 0).then(|| succeeded as f64 / whole as f64) }
    }
}

#[utoipa::path(
    get,
    path = "/api/analytics/sync",
    tag = "analytics",
    operation_id = "sync_figures",
    params(
        ("by" = Option<String>, Query, description = "day, user or device"),
        ("days" = Option<u64>, Query, description = "So many, today being the last", minimum = 1, maximum = 366),
        ("user_id" = Option<String>, Query, description = "Of one person; whoever is no administrator asks for their own"),
        ("device_id" = Option<String>, Query, description = "Of one device"),
        ("after" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u64>, Query, description = "Items of one page", minimum = 1, maximum = 1000)
    ),
    responses((status = 200, description = "Success and time", body = SyncFigures)),
    security(("bearer" = []))
)]
pub async fn sync(
    State(app): State<Arc<App>>,
    caller: Caller,
    RawQuery(raw): RawQuery,
) -> ApiResult<Json<SyncFigures>> {
    let mut query = Query::parse(raw.as_deref())?;
    let whose = Whose::take(&app, &caller, &mut query, "/api/analytics/sync").await?;
    let page = take_page(&mut query, whose)?;
    query.finish()?;
    let (from_day, limit) = (page.from_day, page.limit);
    let is_of_all = whose.user_id.is_none() && whose.device_id.is_none();
    let (shared, workspace) = (Arc::clone(&app), caller.workspace_id().clone());
    let read = app.auth.with_store(move |store| {
        shared.analytics.flush(store)?;
        let days = UsagePage { by: UsageBy::Day, after: None, limit: DAYS_MAX as usize, ..page.clone() };
        let calls = if is_of_all { Some(store.call_counts(&workspace, from_day)?) } else { None };
        Ok((store.usage_page(&workspace, &page)?, store.usage_page(&workspace, &days)?, calls))
    });
    let (rows, days, calls) = read.await?;
    let mut total = DeviceCounts::default();
    days.iter().for_each(|row| total.add(&row.counts));
    let next = next_of(rows.last().map(|row| row.key), rows.len() == limit);
    let items = rows.iter().map(|row| SyncView { key: row.key.into(), success: (&row.counts).into() });
    Ok(Json(SyncFigures {
        from_day: date(from_day),
        total: (&total).into(),
        items: items.collect(),
        latency: calls.map(|calls| calls.iter().filter_map(|(name, counts)| of_server(name, counts)).collect()),
        next,
    }))
}

fn of_server(operation: &str, counts: &CallCounts) -> Option<LatencyView> {
    operation.strip_prefix(SERVER_OPERATIONS).map(|operation| LatencyView::new(operation, counts))
}
