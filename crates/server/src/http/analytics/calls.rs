//! `/api/analytics/calls`: how the API did, as clients saw it. They report what they measured, administrators read the sums.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use syncline_core::protocol::Code;
use syncline_storage::analytics::SERVER_OPERATIONS;

use super::{LatencyView, date, note_read, take_days};
use crate::analytics::Call;
use crate::app::App;
use crate::clock;
use crate::http::body::Json;
use crate::http::caller::Caller;
use crate::http::problem::{ApiError, ApiResult};
use crate::http::query::Query;

/// Calls of one report.
const CALLS_MAX: usize = 200;
/// Longest name of an operation; bytes.
const OPERATION_BYTES_MAX: usize = 48;
/// Longest time that is believed; milliseconds (an hour).
const TOOK_MS_MAX: u64 = 3_600_000;

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CallReport {
    #[schema(min_items = 1, max_items = 200)]
    calls: Vec<ReportedCall>,
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct ReportedCall {
    /// What was called, of a few: `leads.list`, never an address. Of a workspace, about 200 are kept apart a day; calls of
    /// others count as `other`.
    #[schema(pattern = "^[a-z0-9][a-z0-9_.:-]{0,47}$")]
    operation: String,
    #[schema(maximum = 3_600_000)]
    milliseconds: u64,
    ok: bool,
}

/// `POST /api/analytics/calls`: how long calls took on a device, as their caller saw it.
#[utoipa::path(
    post,
    path = "/api/analytics/calls",
    tag = "analytics",
    operation_id = "report_calls",
    request_body = CallReport,
    responses((status = 204, description = "Counted")),
    security(("bearer" = []))
)]
pub async fn report(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(CallReport { calls }): Json<CallReport>,
) -> ApiResult<StatusCode> {
    let refused = |message: String, field: &str| ApiError::new(Code::Validation, message).with_field(field);
    if calls.is_empty() || calls.len() > CALLS_MAX {
        return Err(refused(format!("A report holds 1 to {CALLS_MAX} calls."), "calls"));
    }
    if !calls.iter().all(|call| is_operation(&call.operation)) {
        let message = format!("An operation has 1 to {OPERATION_BYTES_MAX} of a-z, 0-9, `_`, `.`, `:` and `-`.");
        return Err(refused(message, "operation"));
    }
    if calls.iter().any(|call| call.milliseconds > TOOK_MS_MAX) {
        return Err(refused(format!("A call takes at most {TOOK_MS_MAX} ms."), "milliseconds"));
    }
    let call = |ReportedCall { operation, milliseconds, ok }| Call { operation, took_ms: milliseconds, is_ok: ok };
    app.analytics.calls(caller.workspace_id(), clock::now_ms(), calls.into_iter().map(call).collect());
    Ok(StatusCode::NO_CONTENT)
}

fn is_operation(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=OPERATION_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| is_plain(byte) || b"_.:-".contains(&byte))
        && text.bytes().next().is_some_and(is_plain)
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct CallFigures {
    /// The first day that counts; in UTC.
    #[schema(format = Date)]
    from_day: String,
    /// In the order of their names.
    items: Vec<LatencyView>,
}

/// `GET /api/analytics/calls`: what clients reported, by operation. For admins.
#[utoipa::path(
    get,
    path = "/api/analytics/calls",
    tag = "analytics",
    operation_id = "call_figures",
    params(("days" = Option<u64>, Query, description = "So many, today being the last", minimum = 1, maximum = 366)),
    responses((status = 200, description = "By operation", body = CallFigures)),
    security(("bearer" = []))
)]
pub async fn calls(
    State(app): State<Arc<App>>,
    caller: Caller,
    RawQuery(raw): RawQuery,
) -> ApiResult<axum::Json<CallFigures>> {
    caller.require_admin()?;
    let mut query = Query::parse(raw.as_deref())?;
    let from_day = take_days(&mut query)?;
    query.finish()?;
    note_read(&app, &caller, "/api/analytics/calls").await;
    let (shared, workspace) = (Arc::clone(&app), caller.workspace_id().clone());
    let counts = app.auth.with_store(move |store| {
        shared.analytics.flush(store)?;
        store.call_counts(&workspace, from_day)
    });
    let counts = counts.await?;
    let of_clients = counts.iter().filter(|(operation, _)| !operation.starts_with(SERVER_OPERATIONS));
    let items = of_clients.map(|(operation, counts)| LatencyView::new(operation, counts)).collect();
    Ok(axum::Json(CallFigures { from_day: date(from_day), items }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ops_5_operations_of_clients_are_plain_names() {
        for name in ["leads.list", "a", "0", "http:get-lead_2", &"x".repeat(48)] {
            assert!(is_operation(name), "{name}");
        }
        for name in ["", ".a", "A", "a b", "sync/push", "a\n", "é", &"x".repeat(49)] {
            assert!(!is_operation(name), "{name}");
        }
    }
}
