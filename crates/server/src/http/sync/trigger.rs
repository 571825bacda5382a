//! `POST /api/sync/trigger`: the caller's devices are told to bring something into step now (spec SES-9).

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use syncline_core::principal::DeploymentMode;
use syncline_core::protocol::{Code, Problem};
use syncline_core::schema::{Schema, Tier};
use syncline_core::{Name, Seq};

use super::status::{ClientView, client_views};
use crate::app::App;
use crate::bus::{RatePolicy, SyncRequest};
use crate::http::body::Json;
use crate::http::caller::Caller;
use crate::http::problem::{ApiError, ApiResult};

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SyncTrigger)]
pub struct Request {
    /// An entity, a tier, or `full`.
    sync_type: String,
    /// Only devices of this mode; absent: all of the caller's.
    #[schema(value_type = Option<crate::http::openapi::DeploymentMode>)]
    deployment_mode: Option<DeploymentMode>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct Triggered {
    sync_type: String,
    /// What is brought into step, by entity.
    #[schema(value_type = Vec<String>)]
    entities: BTreeSet<Name>,
    /// Connections on this node that were told. Those on other nodes are told too, and not counted.
    told: usize,
    /// Where the log stands: who has this seq lacks nothing.
    #[schema(value_type = u64)]
    head: Seq,
    /// What the caller's devices last said they had and had pending.
    clients: Vec<ClientView>,
}

/// Every triggered device says `hello` anew, which costs the server a plan.
const POLICY: RatePolicy = RatePolicy { per_minute: 12, burst: 6 };

#[utoipa::path(
    post,
    path = "/api/sync/trigger",
    tag = "sync",
    operation_id = "trigger",
    request_body = Request,
    responses((status = 200, description = "Who was told, and where things stand", body = Triggered)),
    security(("bearer" = []))
)]
pub async fn trigger(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(request): Json<Request>,
) -> ApiResult<axum::Json<Triggered>> {
    let entities = entities(&app.schema(), &request.sync_type)?;
    let key = format!("sync-trigger:{}:{}", caller.workspace_id(), caller.user_id());
    let decision = app.bus.take(&key, POLICY, 1).await;
    if !decision.is_allowed {
        let mut problem = Problem::new(Code::RateLimited, "Your devices were told just now. Wait a moment.");
        problem.retry_ms = Some(decision.retry_ms.max(1));
        return Err(problem.into());
    }
    let head = app.db.read(caller.workspace_id(), |read| read.head()).await?;
    let devices = app.auth.devices(caller.workspace_id(), Some(caller.user_id())).await?;
    let is_mode = |mode| request.deployment_mode.is_none_or(|wanted| wanted == mode);
    let meant: BTreeSet<_> =
        devices.into_iter().filter(|device| is_mode(device.deployment_mode)).map(|device| device.device_id).collect();
    let request_to_all = SyncRequest {
        workspace_id: caller.workspace_id().clone(),
        user_id: caller.user_id(),
        deployment_mode: request.deployment_mode,
        entities: entities.clone(),
    };
    let told = app.hub.sync_now(&request_to_all);
    // While the bus is away the others learn of changes live, or when they connect.
    let _reach = app.bus.sync_now(request_to_all).await;
    let clients = client_views(&app, &caller, head.seq).await?;
    let clients = clients.into_iter().filter(|client| meant.contains(&client.device_id)).collect();
    Ok(axum::Json(Triggered { sync_type: request.sync_type, entities, told, head: head.seq, clients }))
}

/// The entities of a type: of that name, of that tier, or all. `activities` is what people call `lead_activities`.
fn entities(schema: &Schema, sync_type: &str) -> ApiResult<BTreeSet<Name>> {
    let of_tier = |tier: Tier| {
        schema.entities.values().filter(|entity| entity.tier == tier).map(|entity| entity.name.clone()).collect()
    };
    let named = |name: &str| schema.entity(name).map(|entity| BTreeSet::from([entity.name.clone()]));
    let found = match sync_type {
        "full" => Some(schema.entities.keys().cloned().collect()),
        "critical" => Some(of_tier(Tier::Critical)),
        "important" => Some(of_tier(Tier::Important)),
        "normal" => Some(of_tier(Tier::Normal)),
        "background" => Some(of_tier(Tier::Background)),
        "activities" => named("activities").or_else(|| named("lead_activities")),
        name => named(name),
    };
    found.ok_or_else(|| {
        let message =
            "`sync_type` is an entity of the schema, a tier (critical, important, normal, background) or full.";
        ApiError::new(Code::Validation, message).with_field("sync_type")
    })
}
