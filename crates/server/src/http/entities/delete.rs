//! `DELETE /api/{entity}/{id}`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use syncline_core::change::{Op, OutcomeKind};

use super::idempotency::{idempotency, if_match};
use super::view::written_response;
use super::write::{author, single};
use super::{entity, find, missing, record_id};
use crate::app::App;
use crate::engine::Precondition;
use crate::http::caller::Caller;
use crate::http::outcome::{accepted, precondition_failed};
use crate::http::problem::ApiResult;
use crate::push::Write;

/// Deletes a record, with what cascades from it. 204.
pub async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((name, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let schema = app.schema();
    let entity = entity(&schema, &name)?;
    let idempotency = idempotency(&headers, &caller, format!("DELETE {name}/{id}").as_bytes())?;
    let id = record_id(entity, &id)?;
    let expected = if_match(&headers)?;
    let found = find(&app, &caller, entity, id).await?;
    // A repeated deletion finds nothing; its stored outcome says what happened.
    let base_rv = match (&found, &idempotency) {
        (Some(record), _) => expected.unwrap_or(record.rv),
        (None, Some(_)) => expected.unwrap_or(0),
        (None, None) => return Err(missing(entity)),
    };
    if let (Some(rv), Some(record)) = (expected, &found)
        && rv != record.rv
        && idempotency.is_none()
    {
        return Err(precondition_failed());
    }
    let op = Op::Delete { entity: entity.name.clone(), id, base_rv };
    let precondition = expected.map(|rv| Precondition::Unchanged { entity: name.clone(), id, rv });
    let write = Write { author: author(&caller), mutations: vec![vec![op]], precondition, idempotency };
    let outcome = single(app.write(write).await?)?;
    if found.is_none() && outcome.outcome == OutcomeKind::Rejected {
        return Err(missing(entity));
    }
    let outcome = accepted(outcome, &entity.name)?;
    Ok(written_response(StatusCode::NO_CONTENT, &outcome, None))
}
