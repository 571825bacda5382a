//! `GET /api/admin/rejected`: everybody's mutations that were not accepted, with their bodies (design D10).

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};

use crate::app::App;
use crate::http::caller::Caller;
use crate::http::problem::ApiResult;
use crate::http::sync::{RejectedList, take_limit};

#[utoipa::path(
    get,
    path = "/api/admin/rejected",
    tag = "admin",
    operation_id = "admin_rejected",
    params(("limit" = Option<u64>, Query, description = "Items of one page", minimum = 1, maximum = 500)),
    responses((status = 200, description = "Newest first", body = RejectedList)),
    security(("bearer" = []))
)]
pub async fn rejected(
    State(app): State<Arc<App>>,
    caller: Caller,
    RawQuery(raw): RawQuery,
) -> ApiResult<Json<RejectedList>> {
    caller.require_admin()?;
    let limit = take_limit(raw.as_deref())?;
    let items = app.db.read(caller.workspace_id(), move |read| read.rejected(limit)).await?;
    Ok(Json(RejectedList { items }))
}
