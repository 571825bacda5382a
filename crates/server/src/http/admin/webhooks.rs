//! `/api/admin/webhooks`: which services are told of changes, and which may tell of theirs. A secret is shown once.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use syncline_core::TimestampMs;
use syncline_core::protocol::Code;
use syncline_core::schema::Schema;
use syncline_storage::sqlite::{Delivery, FormerSecret, Webhook};
use uuid::Uuid;

use crate::app::App;
use crate::clock;
use crate::http::body::Json;
use crate::http::caller::Caller;
use crate::http::problem::{ApiError, ApiResult};
use crate::http::query::invalid;
use crate::http::sync::take_limit;
use crate::webhooks::address::check_url;
use crate::webhooks::mapping::Mapping;
use crate::webhooks::{WEBHOOKS_MAX, is_event_pattern, signature};

/// Events that one webhook may name.
const EVENTS_MAX: usize = 100;
/// Longest name; characters.
const NAME_CHARS_MAX: usize = 100;

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum Direction {
    Outgoing,
    Incoming,
}

/// A webhook as administrators see it.
#[derive(Serialize, utoipa::ToSchema)]
pub struct WebhookView {
    id: Uuid,
    direction: Direction,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// Where an incoming one is posted to.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[schema(value_type = Vec<String>)]
    events: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Mapping>)]
    mapping: Option<Value>,
    is_enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_reason: Option<String>,
    failures: u64,
    #[schema(value_type = u64)]
    created_ms: TimestampMs,
    /// In the answer that made it, and in no other.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl From<Webhook> for WebhookView {
    fn from(hook: Webhook) -> Self {
        let direction = if hook.is_incoming { Direction::Incoming } else { Direction::Outgoing };
        Self {
            path: hook.is_incoming.then(|| format!("/api/hooks/{}", hook.id)),
            id: hook.id,
            direction,
            name: hook.name,
            url: hook.url,
            events: serde_json::from_str(&hook.events).unwrap_or_default(),
            mapping: hook.mapping.and_then(|mapping| serde_json::from_str(&mapping).ok()),
            is_enabled: hook.is_enabled,
            disabled_reason: hook.disabled_reason,
            failures: hook.failures,
            created_ms: hook.created_ms,
            secret: None,
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct WebhookList {
    items: Vec<WebhookView>,
}

/// `GET /api/admin/webhooks`: oldest first.
#[utoipa::path(
    get,
    path = "/api/admin/webhooks",
    tag = "admin",
    operation_id = "list_webhooks",
    responses((status = 200, description = "Oldest first", body = WebhookList)),
    security(("bearer" = []))
)]
pub async fn list_webhooks(State(app): State<Arc<App>>, caller: Caller) -> ApiResult<Answer<WebhookList>> {
    caller.require_admin()?;
    let workspace = caller.workspace_id().clone();
    let hooks = app.auth.with_store(move |store| store.list_webhooks(&workspace)).await?;
    Ok(Answer(WebhookList { items: hooks.into_iter().map(WebhookView::from).collect() }))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    direction: Direction,
    name: String,
    url: Option<String>,
    #[serde(default)]
    events: Vec<String>,
    mapping: Option<Mapping>,
}

/// `POST /api/admin/webhooks`: an outgoing one is told of what changes from now on.
#[utoipa::path(
    post,
    path = "/api/admin/webhooks",
    tag = "admin",
    operation_id = "create_webhook",
    request_body = NewWebhook,
    responses((status = 201, description = "Created; its secret is shown here only", body = WebhookView)),
    security(("bearer" = []))
)]
pub async fn create_webhook(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(new): Json<NewWebhook>,
) -> ApiResult<(StatusCode, Answer<WebhookView>)> {
    caller.require_admin()?;
    let wanted = Wanted {
        direction: new.direction,
        name: &new.name,
        url: new.url.as_deref(),
        events: &new.events,
        mapping: new.mapping.as_ref(),
    };
    wanted.check(&app)?;
    let cursor = app.db.read(caller.workspace_id(), |read| Ok(read.head()?.seq)).await?;
    let secret = signature::new_secret();
    let hook = Webhook {
        workspace_id: caller.workspace_id().clone(),
        id: crate::random::uuid_v7(),
        is_incoming: new.direction == Direction::Incoming,
        name: new.name.trim().to_owned(),
        url: new.url,
        secret: secret.clone(),
        former_secret: None,
        events: json_text(&new.events)?,
        mapping: new.mapping.as_ref().map(json_text).transpose()?,
        is_enabled: true,
        disabled_reason: None,
        cursor,
        failures: 0,
        created_ms: clock::now_ms(),
        created_by: caller.user_id(),
    };
    put(&app, hook.clone()).await?;
    let view = WebhookView { secret: Some(secret), ..WebhookView::from(hook) };
    Ok((StatusCode::CREATED, Answer(view)))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookChange {
    name: Option<String>,
    url: Option<String>,
    events: Option<Vec<String>>,
    mapping: Option<Mapping>,
    is_enabled: Option<bool>,
    /// Makes a new secret, which the answer shows.
    #[serde(default)]
    rotate_secret: bool,
    /// How long the former secret is good beside the new one; seconds, 0..=604,800, default a day. Meanwhile what goes out
    /// has a signature of each, and what comes in may have either.
    #[schema(minimum = 0, maximum = 604_800)]
    former_secret_s: Option<u64>,
}

/// Default of [`WebhookChange::former_secret_s`].
const FORMER_S: u64 = 86_400;
/// Most of it: a week.
const FORMER_S_MAX: u64 = 604_800;

/// `PATCH /api/admin/webhooks/{id}`. One that is switched on again goes on where it stopped, as far as the log reaches.
#[utoipa::path(
    patch,
    path = "/api/admin/webhooks/{id}",
    tag = "admin",
    operation_id = "update_webhook",
    params(("id" = String, Path, description = "Id of the webhook", format = Uuid)),
    request_body = WebhookChange,
    responses((status = 200, description = "Changed", body = WebhookView)),
    security(("bearer" = []))
)]
pub async fn update_webhook(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(change): Json<WebhookChange>,
) -> ApiResult<Answer<WebhookView>> {
    let mut hook = find(&app, &caller, &id).await?;
    hook.name = change.name.map_or(hook.name, |name| name.trim().to_owned());
    hook.url = change.url.or(hook.url);
    if let Some(events) = &change.events {
        hook.events = json_text(events)?;
    }
    if let Some(mapping) = &change.mapping {
        hook.mapping = Some(json_text(mapping)?);
    }
    if let Some(is_enabled) = change.is_enabled {
        hook.is_enabled = is_enabled;
        hook.disabled_reason = None;
        hook.failures = 0;
    }
    if change.former_secret_s.is_some_and(|lasts_s| lasts_s > FORMER_S_MAX) {
        return Err(invalid("former_secret_s", "0 to 604800 seconds"));
    }
    let secret = change.rotate_secret.then(signature::new_secret);
    if let Some(secret) = &secret {
        let former = std::mem::replace(&mut hook.secret, secret.clone());
        hook.former_secret = Some(FormerSecret { secret: former, until_ms: clock::now_ms() + FORMER_S * 1_000 });
    }
    if let Some(lasts_s) = change.former_secret_s {
        let until_ms = clock::now_ms() + lasts_s * 1_000;
        hook.former_secret = hook.former_secret.filter(|_| lasts_s > 0);
        if let Some(former) = &mut hook.former_secret {
            // Without a new secret it can only end sooner.
            former.until_ms = if change.rotate_secret { until_ms } else { former.until_ms.min(until_ms) };
        }
    }
    let events: Vec<String> = serde_json::from_str(&hook.events).unwrap_or_default();
    let mapping: Option<Mapping> = hook.mapping.as_ref().and_then(|mapping| serde_json::from_str(mapping).ok());
    let direction = if hook.is_incoming { Direction::Incoming } else { Direction::Outgoing };
    let wanted =
        Wanted { direction, name: &hook.name, url: hook.url.as_deref(), events: &events, mapping: mapping.as_ref() };
    wanted.check(&app)?;
    put(&app, hook.clone()).await?;
    Ok(Answer(WebhookView { secret, ..WebhookView::from(hook) }))
}

/// `GET /api/admin/webhooks/{id}`.
#[utoipa::path(
    get,
    path = "/api/admin/webhooks/{id}",
    tag = "admin",
    operation_id = "get_webhook",
    params(("id" = String, Path, description = "Id of the webhook", format = Uuid)),
    responses((status = 200, description = "The webhook", body = WebhookView)),
    security(("bearer" = []))
)]
pub async fn get_webhook(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Answer<WebhookView>> {
    Ok(Answer(find(&app, &caller, &id).await?.into()))
}

/// `DELETE /api/admin/webhooks/{id}`: with its deliveries.
#[utoipa::path(
    delete,
    path = "/api/admin/webhooks/{id}",
    tag = "admin",
    operation_id = "delete_webhook",
    params(("id" = String, Path, description = "Id of the webhook", format = Uuid)),
    responses((status = 204, description = "Deleted, with its deliveries")),
    security(("bearer" = []))
)]
pub async fn delete_webhook(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    let hook = find(&app, &caller, &id).await?;
    app.auth.with_store(move |store| store.delete_webhook(&hook.workspace_id, hook.id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A delivery in the log of a webhook.
#[derive(Serialize, utoipa::ToSchema)]
pub struct DeliveryView {
    id: Uuid,
    event: String,
    state: &'static str,
    attempts: u64,
    /// Pending: when it is tried next.
    #[schema(value_type = u64)]
    next_ms: TimestampMs,
    last_status: Option<u16>,
    last_error: Option<String>,
    #[schema(value_type = u64)]
    created_ms: TimestampMs,
    #[schema(value_type = u64)]
    updated_ms: TimestampMs,
    #[schema(value_type = Value)]
    payload: Value,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        Self {
            id: delivery.id,
            event: delivery.event,
            state: delivery.state.as_str(),
            attempts: delivery.attempts,
            next_ms: delivery.next_ms,
            last_status: delivery.last_status,
            last_error: delivery.last_error,
            created_ms: delivery.created_ms,
            updated_ms: delivery.updated_ms,
            payload: serde_json::from_str(&delivery.payload).unwrap_or_default(),
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct DeliveryList {
    items: Vec<DeliveryView>,
}

/// `GET /api/admin/webhooks/{id}/deliveries?limit=`: newest first.
#[utoipa::path(
    get,
    path = "/api/admin/webhooks/{id}/deliveries",
    tag = "admin",
    operation_id = "webhook_deliveries",
    params(("id" = String, Path, description = "Id of the webhook", format = Uuid), ("limit" = Option<u64>, Query, description = "Items at most", minimum = 1)),
    responses((status = 200, description = "Newest first", body = DeliveryList)),
    security(("bearer" = []))
)]
pub async fn deliveries(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> ApiResult<Answer<DeliveryList>> {
    let hook = find(&app, &caller, &id).await?;
    let limit = take_limit(raw.as_deref())?;
    let list = app.auth.with_store(move |store| store.list_deliveries(&hook.workspace_id, hook.id, limit)).await?;
    Ok(Answer(DeliveryList { items: list.into_iter().map(DeliveryView::from).collect() }))
}

/// `POST /api/admin/webhooks/{id}/deliveries/{delivery}/retry`: due again at once.
#[utoipa::path(
    post,
    path = "/api/admin/webhooks/{id}/deliveries/{delivery}/retry",
    tag = "admin",
    operation_id = "retry_delivery",
    params(("id" = String, Path, description = "Id of the webhook", format = Uuid), ("delivery" = String, Path, description = "Id of the delivery", format = Uuid)),
    responses((status = 202, description = "Due at once")),
    security(("bearer" = []))
)]
pub async fn retry_delivery(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((id, delivery)): Path<(String, String)>,
) -> ApiResult<StatusCode> {
    let hook = find(&app, &caller, &id).await?;
    let missing = || ApiError::not_found("There is no such delivery.");
    let delivery: Uuid = delivery.parse().map_err(|_| missing())?;
    let retry = move |store: &syncline_storage::DatabaseAuth| {
        store.retry_delivery(&hook.workspace_id, delivery, clock::now_ms())
    };
    if app.auth.with_store(retry).await? { Ok(StatusCode::ACCEPTED) } else { Err(missing()) }
}

/// The webhook of the caller's workspace; for administrators only.
async fn find(app: &App, caller: &Caller, id: &str) -> ApiResult<Webhook> {
    caller.require_admin()?;
    let missing = || ApiError::not_found("There is no such webhook.");
    let id: Uuid = id.parse().map_err(|_| missing())?;
    let found = app.auth.with_store(move |store| store.find_webhook(id)).await?;
    found.filter(|hook| hook.workspace_id == *caller.workspace_id()).ok_or_else(missing)
}

async fn put(app: &App, hook: Webhook) -> ApiResult<()> {
    if app.auth.with_store(move |store| store.put_webhook(&hook, WEBHOOKS_MAX)).await? {
        return Ok(());
    }
    Err(ApiError::new(Code::Rule, format!("A workspace has at most {WEBHOOKS_MAX} webhooks. Delete one first.")))
}

/// What a webhook is to be.
struct Wanted<'a> {
    direction: Direction,
    name: &'a str,
    url: Option<&'a str>,
    events: &'a [String],
    mapping: Option<&'a Mapping>,
}

impl Wanted<'_> {
    fn check(&self, app: &App) -> ApiResult<()> {
        let invalid = |field: &str, message: String| ApiError::new(Code::Validation, message).with_field(field);
        let name = self.name.trim();
        if !(1..=NAME_CHARS_MAX).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            return Err(invalid(
                "name",
                format!("A name has 1 to {NAME_CHARS_MAX} characters and no control characters."),
            ));
        }
        let schema = app.schema();
        match self.direction {
            Direction::Outgoing => self.check_outgoing(app, &schema),
            Direction::Incoming => {
                if self.url.is_some() || !self.events.is_empty() {
                    return Err(invalid(
                        "direction",
                        "An incoming webhook has a `mapping`, no `url` and no `events`.".to_owned(),
                    ));
                }
                let mapping = self.mapping;
                let mapping =
                    mapping.ok_or_else(|| invalid("mapping", "An incoming webhook needs a `mapping`.".to_owned()))?;
                mapping.check(&schema, &app.router.types).map_err(|error| invalid("mapping", error.to_string()))
            }
        }
    }

    fn check_outgoing(&self, app: &App, schema: &Schema) -> ApiResult<()> {
        let invalid = |field: &str, message: String| ApiError::new(Code::Validation, message).with_field(field);
        if self.mapping.is_some() {
            return Err(invalid("mapping", "An outgoing webhook has a `url` and `events`, no `mapping`.".to_owned()));
        }
        let url = self.url.ok_or_else(|| invalid("url", "An outgoing webhook needs a `url`.".to_owned()))?;
        check_url(url, app.config.webhooks.is_private_allowed)
            .map_err(|error| invalid("url", format!("This address cannot be used: {error}.")))?;
        if self.events.is_empty() || self.events.len() > EVENTS_MAX {
            return Err(invalid(
                "events",
                format!("`events` lists 1 to {EVENTS_MAX} events, such as `leads.created`."),
            ));
        }
        match self.events.iter().find(|pattern| !is_event_pattern(schema, pattern)) {
            None => Ok(()),
            Some(wrong) => {
                let shown: String = wrong.chars().take(64).collect();
                let message = format!(
                    "`{shown}` is no event: write `*`, `<entity>.*`, or `<entity>.created`, `.updated` or `.deleted`."
                );
                Err(invalid("events", message))
            }
        }
    }
}

fn json_text<T: Serialize>(value: &T) -> ApiResult<String> {
    serde_json::to_string(value).map_err(|_| ApiError::internal())
}
