//! `POST /api/{entity}` and `PATCH /api/{entity}/{id}`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Map, Value};
use syncline_core::change::Op;
use syncline_core::id::RecordId;
use syncline_core::protocol::Code;
use syncline_core::schema::Entity;
use syncline_core::{Fields, Name};

use super::idempotency::{derived_record_id, idempotency, if_match};
use super::view::written_response;
use super::{entity, find, missing, record_id};
use crate::app::App;
use crate::engine::Precondition;
use crate::http::body::Json;
use crate::http::caller::Caller;
use crate::http::outcome::{accepted, precondition_failed, status};
use crate::http::problem::{ApiError, ApiResult};
use crate::push::{Author, Write};

/// Creates a record. The body may name its `id` (a UUIDv7, or the natural id); without, the server makes one.
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(mut body): Json<Map<String, Value>>,
) -> ApiResult<Response> {
    let schema = app.schema();
    let entity = entity(&schema, &name)?;
    let idempotency = idempotency(&headers, &caller, format!("POST {name} {}", Value::from(body.clone())).as_bytes())?;
    let given = body.remove("id");
    let fields = fields_of(entity, body)?;
    let id = match given {
        Some(given) => parse_id(&given)?,
        None => match (entity_natural_id(entity, &caller, &fields), &idempotency) {
            (Some(id), _) => id,
            (None, Some(idempotency)) => derived_record_id(idempotency, 0),
            (None, None) => RecordId(crate::random::uuid_v7()),
        },
    };
    let op = Op::Create { entity: entity.name.clone(), id, fields };
    let write = Write { author: author(&caller), mutations: vec![vec![op]], precondition: None, idempotency };
    let outcome = accepted(single(app.write(write).await?)?, &entity.name)?;
    let record = find(&app, &caller, entity, id).await?;
    let mut response = written_response(status(&outcome, StatusCode::CREATED), &outcome, record.as_ref());
    if let Ok(location) = HeaderValue::from_str(&format!("/api/{name}/{id}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Changes the members that the body names (`null` clears). With `If-Match` only while the record has that rv; without,
/// on top of whatever it is now.
pub async fn update(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((name, id)): Path<(String, String)>,
    headers: HeaderMap,
    Json(body): Json<Map<String, Value>>,
) -> ApiResult<Response> {
    let schema = app.schema();
    let entity = entity(&schema, &name)?;
    let request = format!("PATCH {name}/{id} {}", Value::from(body.clone()));
    let idempotency = idempotency(&headers, &caller, request.as_bytes())?;
    let fields = fields_of(entity, body)?;
    let id = record_id(entity, &id)?;
    let expected = if_match(&headers)?;
    let record = find(&app, &caller, entity, id).await?.ok_or_else(|| missing(entity))?;
    if expected.is_some_and(|rv| rv != record.rv) && idempotency.is_none() {
        return Err(precondition_failed());
    }
    let op = Op::Update { entity: entity.name.clone(), id, base_rv: expected.unwrap_or(record.rv), fields };
    let precondition = expected.map(|rv| Precondition::Unchanged { entity: name.clone(), id, rv });
    let write = Write { author: author(&caller), mutations: vec![vec![op]], precondition, idempotency };
    let outcome = accepted(single(app.write(write).await?)?, &entity.name)?;
    let record = find(&app, &caller, entity, id).await?;
    Ok(written_response(status(&outcome, StatusCode::OK), &outcome, record.as_ref()))
}

pub(super) fn author(caller: &Caller) -> Author {
    Author {
        workspace_id: caller.workspace_id().clone(),
        user_id: caller.user_id(),
        device_id: caller.device_id(),
        is_server: false,
    }
}

/// The outcome of a write of one mutation.
pub fn single(outcomes: Vec<syncline_core::change::Outcome>) -> ApiResult<syncline_core::change::Outcome> {
    outcomes.into_iter().next().ok_or_else(ApiError::internal)
}

/// A body as fields; members the entity does not declare are refused by name.
pub(super) fn fields_of(entity: &Entity, body: Map<String, Value>) -> ApiResult<Fields> {
    let fields = body.into_iter().map(|(name, value)| match entity.field(&name) {
        Some(field) => Ok((field.name.clone(), value)),
        None => {
            let shown: String = name.chars().take(64).collect();
            let error = ApiError::new(Code::Validation, format!("`{}` has no field `{shown}`.", entity.name));
            Err(error.with_entity(entity.name.as_str()).with_field(shown))
        }
    });
    fields.collect::<ApiResult<Vec<(Name, Value)>>>().map(|fields| fields.into_iter().collect())
}

pub(super) fn entity_natural_id(entity: &Entity, caller: &Caller, fields: &Fields) -> Option<RecordId> {
    entity.natural_id(caller.workspace_id(), fields)
}

pub(super) fn parse_id(value: &Value) -> ApiResult<RecordId> {
    let id = value.as_str().and_then(|text| text.parse().ok());
    id.ok_or_else(|| ApiError::new(Code::Validation, "`id` is a UUID as text.").with_field("id"))
}
