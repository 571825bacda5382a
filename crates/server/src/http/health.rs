//! `/health`: what runs here and how it is. Alive means the process answers; ready means it takes work; `/health` says how
//! well. Everybody gets the verdict; the details are for operators: administrators, and whoever reaches the metrics.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use syncline_core::protocol::{Code, Problem};

use super::caller::Caller;
use super::problem::ApiError;
use crate::app::App;
use crate::bus::BusHealth;
use crate::health::{Health, Verdict};

#[derive(Serialize, utoipa::ToSchema)]
pub struct Brief {
    status: &'static str,
}

/// `GET /health/live`: 200 as long as the process can answer and does its work; 503 when it has to be started again.
#[utoipa::path(
    get,
    path = "/health/live",
    tag = "health",
    operation_id = "live",
    responses((status = 200, description = "The process answers", body = Brief))
)]
pub async fn live(State(app): State<Arc<App>>) -> Response {
    if app.vitals.dead().is_empty() {
        return Json(Brief { status: "live" }).into_response();
    }
    ApiError::from(Problem::new(Code::Unavailable, BROKEN)).into_response()
}

const BROKEN: &str = "A part of this node has failed: it has to be started again.";

/// `GET /health/ready`: 200 when the database answers, there is room on the disk and the node is not going away; 503 otherwise.
#[utoipa::path(
    get,
    path = "/health/ready",
    tag = "health",
    operation_id = "ready",
    responses((status = 200, description = "It takes work", body = Brief))
)]
pub async fn ready(State(app): State<Arc<App>>) -> Response {
    let is_draining = app.hub.is_draining();
    if !app.vitals.dead().is_empty() {
        return ApiError::from(Problem::new(Code::Unavailable, BROKEN)).into_response();
    }
    let health = app.health.get(&app).await;
    if !is_draining && health.status != Verdict::Failing {
        return Json(Brief { status: "ready" }).into_response();
    }
    let message = match health.components.database.is_ok {
        _ if is_draining => "This node is going away.",
        true => "The disk is full.",
        false => "The store does not answer.",
    };
    ApiError::from(Problem::new(Code::Unavailable, message)).into_response()
}

/// `GET /health` on the main port. Who is not known to be an operator gets the verdicts alone.
#[utoipa::path(
    get,
    path = "/health",
    tag = "health",
    operation_id = "health",
    responses((status = 200, description = "The verdicts; for an admin every detail", body = Object))
)]
pub async fn health(State(app): State<Arc<App>>, request: Request) -> Response {
    let is_operator = app.config.metrics.is_on_main_port || is_admin(&app, request).await;
    let health = app.health.get(&app).await;
    answer(&app, &health, is_operator)
}

/// `GET /health` on the metrics port: everything.
pub async fn details(State(app): State<Arc<App>>) -> Response {
    let health = app.health.get(&app).await;
    answer(&app, &health, true)
}

async fn is_admin(app: &Arc<App>, request: Request) -> bool {
    let (mut parts, _) = request.into_parts();
    let caller = Caller::from_request_parts(&mut parts, app).await;
    caller.is_ok_and(|caller| caller.is_admin())
}

/// What anybody may know.
#[derive(Serialize)]
struct Verdicts {
    status: Verdict,
    components: Components,
}

#[derive(Serialize)]
struct Components {
    database: Shown,
    bus: Shown,
    system: Shown,
    service: Shown,
}

#[derive(Serialize)]
struct Shown {
    status: &'static str,
}

/// 503 when the node should get no more work, 200 otherwise, `degraded` included.
fn answer(app: &App, health: &Health, is_operator: bool) -> Response {
    let shown = if is_operator {
        serde_json::to_value(health)
    } else {
        let of = |verdict: Verdict| Shown { status: verdict.as_str() };
        serde_json::to_value(Verdicts {
            status: health.status,
            components: Components {
                database: of(health.components.database.status),
                bus: Shown { status: bus_text(&app.bus.health()) },
                system: of(health.components.system.status),
                service: of(health.components.service.status),
            },
        })
    };
    let shown = shown.unwrap_or_default();
    if health.status != Verdict::Failing {
        return Json(shown).into_response();
    }
    let problem = Problem::new(Code::Unavailable, "The server is not healthy; `health` says what is wrong.");
    ApiError::from(problem).with_status(StatusCode::SERVICE_UNAVAILABLE).with_member("health", shown).into_response()
}

fn bus_text(health: &BusHealth) -> &'static str {
    match health {
        BusHealth::Connected => "connected",
        BusHealth::Degraded { .. } => "degraded",
    }
}
