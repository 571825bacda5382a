//! `GET /api/sync/rejected`: the caller's mutations that were not accepted, with their bodies (design D10).

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use syncline_core::id::UserId;
use syncline_core::storage::{Read, StoreResult, StoredOutcome};

use crate::app::App;
use crate::http::caller::Caller;
use crate::http::problem::ApiResult;
use crate::http::query::Query;

#[derive(Serialize, utoipa::ToSchema)]
pub struct RejectedList {
    /// Newest first.
    #[schema(value_type = Vec<Object>)]
    pub items: Vec<StoredOutcome>,
}

const LIMIT_DEFAULT: u64 = 50;
const LIMIT_MAX: u64 = 500;
/// Rejected mutations of the workspace that are looked through for the caller's: at first, and at most.
const LOOKED_THROUGH_FIRST: usize = 100;
const LOOKED_THROUGH_MAX: usize = 3_200;

#[utoipa::path(
    get,
    path = "/api/sync/rejected",
    tag = "sync",
    operation_id = "rejected",
    params(("limit" = Option<u64>, Query, description = "Items of one page", minimum = 1, maximum = 500)),
    responses((status = 200, description = "Newest first", body = RejectedList)),
    security(("bearer" = []))
)]
pub async fn rejected(
    State(app): State<Arc<App>>,
    caller: Caller,
    RawQuery(raw): RawQuery,
) -> ApiResult<Json<RejectedList>> {
    let limit = take_limit(raw.as_deref())?;
    let user = caller.user_id();
    let items = app.db.read(caller.workspace_id(), move |read| of_user(read, user, limit)).await?;
    Ok(Json(RejectedList { items }))
}

/// Looks further back only when the newest ones hold too few of the user's.
fn of_user(read: &dyn Read, user: UserId, limit: usize) -> StoreResult<Vec<StoredOutcome>> {
    let mut looked = LOOKED_THROUGH_FIRST;
    loop {
        let all = read.rejected(looked)?;
        let is_all = all.len() < looked || looked >= LOOKED_THROUGH_MAX;
        let items: Vec<_> = all.into_iter().filter(|outcome| outcome.user_id == user).take(limit).collect();
        if is_all || items.len() == limit {
            return Ok(items);
        }
        looked *= 2;
    }
}

/// `limit` as the only parameter.
pub fn take_limit(raw: Option<&str>) -> ApiResult<usize> {
    let mut query = Query::parse(raw)?;
    let limit = query.take_number("limit", LIMIT_DEFAULT, 1, LIMIT_MAX)? as usize;
    query.finish()?;
    Ok(limit)
}
