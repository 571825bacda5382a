//! `GET /api/{entity}/{id}`.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::view::{Selection, etag, record_response};
use super::{entity, find, missing, record_id};
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::problem::ApiResult;
use crate::http::query::Query;

/// 304 when `If-None-Match` names the present rv.
pub async fn get(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((name, id)): Path<(String, String)>,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let schema = app.schema();
    let entity = entity(&schema, &name)?;
    let mut query = Query::parse(raw.as_deref())?;
    let selection = Selection::take(&mut query, entity)?;
    query.finish()?;
    let id = record_id(entity, &id)?;
    let record = find(&app, &caller, entity, id).await?.ok_or_else(|| missing(entity))?;
    let tag = etag(record.rv);
    if headers.get(header::IF_NONE_MATCH).is_some_and(|given| *given == tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    Ok(record_response(&record, &selection))
}
