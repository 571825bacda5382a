//! `/api/messages`: sending, reading and acknowledging messages over HTTP; dead letters for admins (spec §20, RTR, API-2).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use syncline_core::id::MessageId;
use syncline_core::messages::{
    Draft, Message, MessageType, Origin, Priority, Receipt, ReceiptState, TTL_MS_MAX, Target,
};
use syncline_core::protocol::limits::MESSAGE_ACKS_MAX;
use syncline_core::protocol::{Code, Problem};
use syncline_core::{Name, TimestampMs};
use syncline_storage::messages::{
    Delivery, KeptMessage, Listed, MailWanted, Mailbox, MessagePage, MessageState, SendOutcome,
};

use super::body::Json;
use super::caller::Caller;
use super::problem::{ApiError, ApiResult};
use super::query::{Query, invalid};
use crate::app::App;
use crate::clock;
use crate::router::{Planned, outcome_problem};
use crate::ws::may_follow;

const LIMIT_DEFAULT: u64 = 50;
const LIMIT_MAX: u64 = 200;
/// Time to live of a dead letter that is sent again, unless the request says otherwise; milliseconds (7 days).
const REPLAY_TTL_MS: u64 = 7 * 86_400_000;

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SendRequest {
    /// The server mints one when it is absent; then a repetition is another message.
    #[schema(value_type = Option<String>, format = Uuid)]
    id: Option<MessageId>,
    #[schema(value_type = String)]
    message_type: Name,
    /// See spec/PROTOCOL.md, "Messages".
    #[schema(value_type = Object)]
    to: Target,
    #[schema(value_type = Value)]
    payload: Value,
    #[schema(value_type = Option<String>)]
    priority: Option<Priority>,
    ttl_ms: Option<u64>,
}

/// `POST /api/messages`: 201 with the receipt of storing; 202 for a message of a live type, which is not stored.
#[utoipa::path(
    post,
    path = "/api/messages",
    tag = "messages",
    operation_id = "send_message",
    request_body = SendRequest,
    responses((status = 201, description = "Stored: its receipt", body = Object), (status = 202, description = "Handed to who is connected now", body = Object)),
    security(("bearer" = []))
)]
pub async fn send(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(request): Json<SendRequest>,
) -> ApiResult<(StatusCode, axum::Json<Value>)> {
    let id = request.id.unwrap_or_else(|| MessageId(crate::random::uuid_v7()));
    let SendRequest { message_type, to, payload, priority, ttl_ms, .. } = request;
    let draft = Draft { id, message_type, to, payload, priority, ttl_ms };
    let from = Origin { user_id: caller.user_id(), device_id: caller.device_id() };
    let workspace_id = caller.workspace_id();
    let about = |problem: Problem| ApiError::from(Problem { message_id: Some(id), ..problem });
    match app.router.plan(workspace_id, from, &caller.access, draft).await.map_err(about)? {
        Planned::Store(message) => {
            let outcomes = app.router.send(workspace_id.clone(), vec![message]).await?;
            let outcome = outcomes.first().copied().unwrap_or(SendOutcome::Full);
            match (outcome, outcome_problem(outcome)) {
                (SendOutcome::Stored { at_ms }, _) => {
                    let receipt = Receipt { id, state: ReceiptState::Stored, device_id: None, at_ms };
                    Ok((StatusCode::CREATED, axum::Json(serde_json::json!(receipt))))
                }
                (_, Some(problem)) => Err(about(problem)),
                (_, None) => Err(ApiError::internal()),
            }
        }
        Planned::Deliver(message) => {
            if let Target::Topic(topic) = &message.to
                && !may_follow(topic.as_str(), caller.user_id(), &caller.access)
            {
                return Err(about(Problem::new(Code::Forbidden, "This topic is not one of yours.")));
            }
            let connections = app.router.deliver_live(workspace_id, message).await;
            Ok((StatusCode::ACCEPTED, axum::Json(serde_json::json!({"id": id, "connections": connections}))))
        }
    }
}

#[derive(Serialize)]
pub struct MessageView {
    #[serde(flatten)]
    message: Message,
    state: MessageState,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_ms: Option<TimestampMs>,
}

impl From<KeptMessage> for MessageView {
    fn from(kept: KeptMessage) -> Self {
        Self { message: kept.message, state: kept.state, ended_ms: kept.ended_ms }
    }
}

#[derive(Serialize)]
pub struct MessageList {
    items: Vec<MessageView>,
    /// `after` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// `GET /api/messages?box=received|sent|due|all`: newest first, in pages; `due` is what waits for this device, most urgent
/// first, without pages. `all` is for admins.
#[utoipa::path(
    get,
    path = "/api/messages",
    tag = "messages",
    operation_id = "list_mail",
    params(("box" = Option<String>, Query, description = "received, sent, due or all"), ("message_type" = Option<String>, Query, description = "Only messages of this type"), ("after" = Option<String>, Query, description = "`next` of the page before"), ("limit" = Option<u64>, Query, description = "Items of one page", minimum = 1, maximum = 200)),
    responses((status = 200, description = "Newest first; `due`: most urgent first", body = Object)),
    security(("bearer" = []))
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    RawQuery(raw): RawQuery,
) -> ApiResult<axum::Json<MessageList>> {
    let mut query = Query::parse(raw.as_deref())?;
    let which = query.take("box").unwrap_or_else(|| "received".to_owned());
    let listed = match which.as_str() {
        "received" => Listed::Received(caller.user_id()),
        "sent" => Listed::Sent(caller.user_id()),
        "all" => {
            caller.require_admin()?;
            Listed::All
        }
        "due" => return due(&app, &caller, query).await,
        _ => return Err(invalid("box", "is received, sent, due or all")),
    };
    page(&app, &caller, listed, query).await
}

/// `GET /api/messages/dead-letters`: what did not reach everybody in its time, newest first. For admins.
#[utoipa::path(
    get,
    path = "/api/messages/dead-letters",
    tag = "messages",
    operation_id = "dead_letters",
    params(("message_type" = Option<String>, Query, description = "Only messages of this type"), ("after" = Option<String>, Query, description = "`next` of the page before"), ("limit" = Option<u64>, Query, description = "Items of one page", minimum = 1, maximum = 200)),
    responses((status = 200, description = "Newest first", body = Object)),
    security(("bearer" = []))
)]
pub async fn dead_letters(
    State(app): State<Arc<App>>,
    caller: Caller,
    RawQuery(raw): RawQuery,
) -> ApiResult<axum::Json<MessageList>> {
    caller.require_admin()?;
    page(&app, &caller, Listed::DeadLetters, Query::parse(raw.as_deref())?).await
}

async fn page(app: &App, caller: &Caller, listed: Listed, mut query: Query) -> ApiResult<axum::Json<MessageList>> {
    let message_type = query.take("message_type");
    let before = match query.take("after") {
        Some(text) => Some(text.parse::<u64>().map_err(|_| invalid("after", "is not a cursor of this list"))?),
        None => None,
    };
    let limit = query.take_number("limit", LIMIT_DEFAULT, 1, LIMIT_MAX)? as usize;
    query.finish()?;
    let workspace = caller.workspace_id().clone();
    let page = MessagePage { listed, message_type, before, limit: limit + 1 };
    let mut found = app.router.read(move |store| store.list(&workspace, &page)).await?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| has_more).map(|last| last.no.to_string());
    Ok(axum::Json(MessageList { items: found.into_iter().map(MessageView::from).collect(), next }))
}

async fn due(app: &App, caller: &Caller, mut query: Query) -> ApiResult<axum::Json<MessageList>> {
    let limit = query.take_number("limit", LIMIT_DEFAULT, 1, LIMIT_MAX)? as usize;
    query.finish()?;
    let (workspace, device_id, user_id) = (caller.workspace_id().clone(), caller.device_id(), caller.user_id());
    let asked = (workspace.clone(), device_id);
    let device = app.auth.with_store(move |store| store.device(&asked.0, asked.1)).await?;
    let found = app.router.read(move |store| {
        let now = clock::now_ms();
        if let Some(device) = device {
            store.adopt(&workspace, Mailbox { user_id, device_id, mode: device.deployment_mode }, now)?;
        }
        let wanted = MailWanted { due_max: limit, receipts_after: None, receipts_max: 0 };
        store.mail(&workspace, device_id, wanted, now)
    });
    let live = |message| MessageView { message, state: MessageState::Live, ended_ms: None };
    Ok(axum::Json(MessageList { items: found.await?.due.into_iter().map(live).collect(), next: None }))
}

#[derive(Serialize)]
pub struct MessageDetails {
    #[serde(flatten)]
    message: MessageView,
    /// By device; at most 1,000. A receiver sees those of their own devices only.
    deliveries: Vec<Delivery>,
}

/// `GET /api/messages/{id}`: for its sender, the people it was for, and admins.
#[utoipa::path(
    get,
    path = "/api/messages/{id}",
    tag = "messages",
    operation_id = "get_message",
    params(("id" = String, Path, description = "Id of the message", format = Uuid)),
    responses((status = 200, description = "The message and its deliveries", body = Object)),
    security(("bearer" = []))
)]
pub async fn get(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<axum::Json<MessageDetails>> {
    let missing = || ApiError::not_found("There is no such message.");
    let id: MessageId = id.parse().map_err(|_| missing())?;
    let (workspace, user) = (caller.workspace_id().clone(), caller.user_id());
    let found = app.router.read(move |store| Ok((store.get(&workspace, id)?, store.is_for(&workspace, id, user)?)));
    let (Some((kept, mut deliveries)), is_for) = found.await? else { return Err(missing()) };
    let sees_all = kept.message.from.user_id == user || caller.is_admin();
    if !sees_all && !is_for {
        return Err(missing());
    }
    if !sees_all {
        deliveries.retain(|delivery| delivery.user_id == user);
    }
    Ok(axum::Json(MessageDetails { message: kept.into(), deliveries }))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AckRequest {
    #[schema(value_type = Vec<String>, min_items = 1)]
    ids: Vec<MessageId>,
}

/// `POST /api/messages/ack`: this device has these messages. Unknown ids are passed over.
#[utoipa::path(
    post,
    path = "/api/messages/ack",
    tag = "messages",
    operation_id = "acknowledge_messages",
    request_body = AckRequest,
    responses((status = 204, description = "This device has them")),
    security(("bearer" = []))
)]
pub async fn acknowledge(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(AckRequest { ids }): Json<AckRequest>,
) -> ApiResult<StatusCode> {
    if ids.is_empty() || ids.len() > MESSAGE_ACKS_MAX {
        let text = format!("An acknowledgement names 1 to {MESSAGE_ACKS_MAX} messages.");
        return Err(ApiError::new(Code::Validation, text).with_field("ids"));
    }
    app.router.acknowledge(caller.workspace_id().clone(), caller.device_id(), ids).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    ttl_ms: Option<u64>,
}

/// `POST /api/messages/{id}/replay`: sends a dead letter again, to whom it did not reach. For admins.
#[utoipa::path(
    post,
    path = "/api/messages/{id}/replay",
    tag = "messages",
    operation_id = "replay_message",
    params(("id" = String, Path, description = "Id of the message", format = Uuid)),
    request_body = ReplayRequest,
    responses((status = 204, description = "Sent again")),
    security(("bearer" = []))
)]
pub async fn replay(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(ReplayRequest { ttl_ms }): Json<ReplayRequest>,
) -> ApiResult<StatusCode> {
    caller.require_admin()?;
    let missing = || ApiError::not_found("There is no such dead letter.");
    let id: MessageId = id.parse().map_err(|_| missing())?;
    let ttl_ms = ttl_ms.unwrap_or(REPLAY_TTL_MS);
    if !(1..=TTL_MS_MAX).contains(&ttl_ms) {
        let text = format!("A message lives for 1 to {TTL_MS_MAX} milliseconds.");
        return Err(ApiError::new(Code::Validation, text).with_field("ttl_ms"));
    }
    let is_done = app.router.replay(caller.workspace_id().clone(), id, clock::now_ms() + ttl_ms).await?;
    if is_done { Ok(StatusCode::NO_CONTENT) } else { Err(missing()) }
}

/// `GET /api/messages/types`: what may be sent here.
#[utoipa::path(
    get,
    path = "/api/messages/types",
    tag = "messages",
    operation_id = "message_types",
    responses((status = 200, description = "What may be sent here, by name", body = Object)),
    security(("bearer" = []))
)]
pub async fn types(State(app): State<Arc<App>>, _caller: Caller) -> axum::Json<BTreeMap<Name, MessageType>> {
    axum::Json(app.router.types.iter().map(|(name, kind)| (name.clone(), kind.clone())).collect())
}
