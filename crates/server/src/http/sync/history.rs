//! `GET /api/sync/history/{entity}/{id}`: what happened to a record, newest first.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use serde::Serialize;
use syncline_core::engine::{HistoryItem, history as read_history};
use syncline_core::id::RecordId;
use syncline_core::protocol::Code;
use syncline_core::storage::Read;

use crate::app::App;
use crate::http::caller::Caller;
use crate::http::problem::{ApiError, ApiResult};
use crate::http::query::Query;

#[derive(Serialize, utoipa::ToSchema)]
pub struct History {
    #[schema(value_type = Vec<Object>)]
    items: Vec<HistoryItem>,
}

const LIMIT_DEFAULT: u64 = 50;
const LIMIT_MAX: u64 = 500;

/// Also of a deleted record, for whoever may see the scope it was in.
#[utoipa::path(
    get,
    path = "/api/sync/history/{entity}/{id}",
    tag = "sync",
    operation_id = "history",
    params(("entity" = String, Path, description = "An entity of the schema"), ("id" = String, Path, description = "Id of the record", format = Uuid), ("limit" = Option<u64>, Query, description = "Items of one page", minimum = 1, maximum = 500)),
    responses((status = 200, description = "Newest first", body = History)),
    security(("bearer" = []))
)]
pub async fn history(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((name, id)): Path<(String, String)>,
    RawQuery(raw): RawQuery,
) -> ApiResult<Json<History>> {
    let mut query = Query::parse(raw.as_deref())?;
    let limit = query.take_number("limit", LIMIT_DEFAULT, 1, LIMIT_MAX)? as usize;
    query.finish()?;
    if app.schema().entity(&name).is_none() {
        return Err(ApiError::new(Code::UnknownEntity, "There is no such entity in the schema."));
    }
    let missing = || ApiError::not_found(format!("There is no such record in `{name}`."));
    let id: RecordId = id.parse().map_err(|_| missing())?;
    let (grants, entity) = (caller.access.grants.clone(), name.clone());
    let read = move |read: &dyn Read| {
        let record = read.record(&entity, id)?;
        let is_visible = record.is_some_and(|record| !record.is_forgotten() && grants.includes(&record.scope));
        if is_visible { read_history(read, &entity, id, limit).map(Some) } else { Ok(None) }
    };
    let items = app.db.read(caller.workspace_id(), read).await?.ok_or_else(missing)?;
    Ok(Json(History { items }))
}
