//! `POST /api/hooks/{id}`: what another service tells, signed as Standard Webhooks has it, becomes a mutation or a message.

use std::sync::Arc;

use axum::Json as Answer;
use axum::body::Bytes;
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::Value;
use syncline_core::change::{Op, Outcome, OutcomeKind};
use syncline_core::id::{ClientId, DeviceId};
use syncline_core::messages::Origin;
use syncline_core::protocol::Code;
use syncline_storage::sqlite::Webhook;
use uuid::Uuid;

use super::body;
use super::entities::single;
use super::outcome::{accepted, kind_text};
use super::problem::{ApiError, ApiResult};
use crate::app::App;
use crate::clock;
use crate::json;
use crate::push::{Author, Idempotency, Write};
use crate::router::{Planned, outcome_problem};
use crate::webhooks::incoming::RecordMapping;
use crate::webhooks::mapping::{Mapping, MessageMapping};
use crate::webhooks::signature::{self, Signed};

/// Longest `webhook-id`; bytes.
const ID_BYTES_MAX: usize = 200;

/// What became of a message.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Taken {
    /// That of the mutation, or `stored` for a message.
    outcome: &'static str,
    /// Of the record that was written; absent where it became a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    entity: Option<String>,
    /// Of the record, or of the message.
    id: Uuid,
}

/// A message that comes again under the same id changes nothing and is answered as before; one that was rejected is tried
/// anew once the webhook's mapping has changed.
#[utoipa::path(
    post,
    path = "/api/hooks/{id}",
    tag = "hooks",
    operation_id = "receive_hook",
    params(("id" = String, Path, description = "Id of the webhook", format = Uuid), ("webhook-id" = Option<String>, Header, description = "Of the message: 1 to 200 visible characters"), ("webhook-timestamp" = Option<String>, Header, description = "When it was signed; seconds since 1970"), ("webhook-signature" = Option<String>, Header, description = "As Standard Webhooks has it")),
    request_body = Value,
    responses((status = 200, description = "What became of the message", body = Taken))
)]
pub async fn receive(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    request: Request,
) -> ApiResult<(StatusCode, Answer<Taken>)> {
    let headers = request.headers().clone();
    let payload = body::Raw::from_request(request, &app).await?.0;
    let hook = find(&app, &id).await?;
    let message_id = check(&hook, &headers, &payload)?;
    let message: Value = json::parse(&payload).map_err(body::json_error)?;
    let mapping: Mapping =
        hook.mapping.as_deref().and_then(|text| serde_json::from_str(text).ok()).ok_or_else(ApiError::internal)?;
    let taken = match mapping {
        Mapping::Record(mapping) => record(&app, &hook, &mapping, (&message_id, message)).await?,
        Mapping::Message(mapping) => send(&app, &hook, &mapping, (&message_id, message)).await?,
    };
    Ok((StatusCode::OK, Answer(taken)))
}

/// What was rejected is tried once more: another message may have made the record meanwhile, or the mapping was mended since.
async fn record(app: &App, hook: &Webhook, mapping: &RecordMapping, told: (&str, Value)) -> ApiResult<Taken> {
    let message_id = told.0;
    let mut tried = write(app, hook, message_id, plan(app, hook, mapping, told.clone()).await?).await?;
    if tried.1.outcome == OutcomeKind::Rejected {
        let again = format!("{message_id} again with {}", hook.mapping.as_deref().unwrap_or_default());
        tried = write(app, hook, &again, plan(app, hook, mapping, told).await?).await?;
    }
    let ((entity, id), outcome) = tried;
    let outcome = accepted(outcome, &entity)?;
    Ok(Taken { outcome: kind_text(outcome.outcome), entity: Some(entity), id })
}

/// Sends a message as whoever made the webhook, with what they may do at this moment.
async fn send(app: &App, hook: &Webhook, mapping: &MessageMapping, (id, told): (&str, Value)) -> ApiResult<Taken> {
    let access = app.auth.access(&hook.workspace_id, hook.created_by).await?;
    let gone = || ApiError::new(Code::Forbidden, "Whoever made this webhook is no member of the workspace any more.");
    let access = access.ok_or_else(gone)?;
    let from = Origin { user_id: hook.created_by, device_id: DeviceId(hook.id) };
    let draft = mapping.draft(hook, id, &told);
    let id = draft.id.0;
    let Planned::Store(message) = app.router.plan(&hook.workspace_id, from, &access, draft).await? else {
        return Err(ApiError::internal());
    };
    let outcomes = app.router.send(hook.workspace_id.clone(), vec![message]).await?;
    match outcomes.first().copied().and_then(outcome_problem) {
        None if outcomes.is_empty() => Err(ApiError::internal()),
        None => Ok(Taken { outcome: "stored", entity: None, id }),
        Some(problem) => Err(problem.into()),
    }
}

/// Not there, switched off and outgoing are told apart by nobody.
async fn find(app: &App, id: &str) -> ApiResult<Webhook> {
    let missing = || ApiError::not_found("There is no such webhook.");
    let id: Uuid = id.parse().map_err(|_| missing())?;
    let found = app.auth.with_store(move |store| store.find_webhook(id)).await?;
    found.filter(|hook| hook.is_incoming && hook.is_enabled).ok_or_else(missing)
}

/// The id of a message that is signed with the webhook's secret, and of now.
fn check(hook: &Webhook, headers: &HeaderMap, payload: &Bytes) -> ApiResult<String> {
    let refused = |message: &str| ApiError::new(Code::Unauthenticated, message);
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(id), Some(timestamp), Some(signature)) =
        (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"))
    else {
        return Err(refused("Sign the request: `webhook-id`, `webhook-timestamp` and `webhook-signature` are needed."));
    };
    let is_plain = (1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    let timestamp_s = timestamp.parse().ok().filter(|_| is_plain);
    let timestamp_s = timestamp_s.ok_or_else(|| {
        refused("`webhook-timestamp` is in seconds, and `webhook-id` has 1 to 200 visible characters.")
    })?;
    let message = Signed { id, timestamp_s, payload };
    let now_ms = clock::now_ms();
    signature::verify(hook.secrets(now_ms), &message, signature, now_ms / 1_000)
        .map_err(|error| refused(&format!("The signature was refused: {error}.")))?;
    Ok(id.to_owned())
}

async fn plan(app: &App, hook: &Webhook, mapping: &RecordMapping, (id, message): (&str, Value)) -> ApiResult<Op> {
    let (hook, mapping, id) = (hook.clone(), mapping.clone(), id.to_owned());
    let workspace = hook.workspace_id.clone();
    let planned = app.db.read(&workspace, move |read| mapping.op(read, &hook, &id, &message)).await?;
    planned.map_err(|error| ApiError::new(Code::Validation, error.to_string()))
}

/// The name is the mutation's: whatever comes under it again gets the stored outcome. With the record it is about.
async fn write(app: &App, hook: &Webhook, name: &str, op: Op) -> ApiResult<((String, Uuid), Outcome)> {
    let (entity, id) = op.target();
    let target = (entity.to_owned(), id.0);
    let client_id = Uuid::new_v5(&hook.id, name.as_bytes());
    let idempotency = Idempotency { client_id: ClientId(client_id), request_id: Uuid::new_v5(&client_id, b"message") };
    let author = Author {
        workspace_id: hook.workspace_id.clone(),
        user_id: hook.created_by,
        device_id: DeviceId(hook.id),
        is_server: false,
    };
    let write = Write { author, mutations: vec![vec![op]], precondition: None, idempotency: Some(idempotency) };
    Ok((target, single(app.write(write).await?)?))
}
