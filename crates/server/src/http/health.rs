//! `/health`: what runs here and how it is. Alive means the process answers; ready means it takes work.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use syncline_core::protocol::{Code, Problem};

use super::problem::ApiError;
use crate::app::App;
use crate::bus::BusHealth;
use crate::clock;

#[derive(Serialize)]
pub struct Live {
    status: &'static str,
}

/// `GET /health/live`: 200 as long as the process can answer.
pub async fn live() -> Json<Live> {
    Json(Live { status: "live" })
}

/// `GET /health/ready`: 200 when the store answers and the node is not going away; 503 otherwise.
pub async fn ready(State(app): State<Arc<App>>) -> Response {
    let store = Store::measure(&app).await;
    if store.is_ok && !app.hub.is_draining() {
        return Json(Live { status: "ready" }).into_response();
    }
    let message = if app.hub.is_draining() { "This node is going away." } else { "The store does not answer." };
    ApiError::from(Problem::new(Code::Unavailable, message)).into_response()
}

#[derive(Serialize)]
pub struct Health {
    status: &'static str,
    version: &'static str,
    uptime_s: u64,
    components: Components,
    process: Process,
}

#[derive(Serialize)]
struct Components {
    store: Store,
    writer: WriterHealth,
    hub: HubHealth,
    bus: BusComponent,
}

#[derive(Serialize)]
struct Store {
    is_ok: bool,
    response_ms: u64,
}

#[derive(Serialize)]
struct WriterHealth {
    queue_depth: i64,
    queue_max: usize,
}

#[derive(Serialize)]
struct HubHealth {
    connections: usize,
    is_draining: bool,
}

/// Losing Redis costs latency, not data: it does not make a node unhealthy.
#[derive(Serialize)]
struct BusComponent {
    status: &'static str,
    /// Nodes alive, this one among them.
    nodes: usize,
    /// Since when Redis is away; milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    degraded_since_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl BusComponent {
    fn of(app: &App) -> Self {
        let nodes = app.bus.nodes().len();
        match app.bus.health() {
            BusHealth::Connected => Self { status: "connected", nodes, degraded_since_ms: None, reason: None },
            BusHealth::Degraded { since_ms, reason, .. } => {
                Self { status: "degraded", nodes, degraded_since_ms: Some(since_ms), reason: Some(reason) }
            }
        }
    }
}

#[derive(Serialize)]
struct Process {
    /// Absent where the system does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    resident_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_s: Option<f64>,
}

/// `GET /health`: the whole picture; 503 when something is wrong.
pub async fn health(State(app): State<Arc<App>>) -> Response {
    let store = Store::measure(&app).await;
    let is_ok = store.is_ok && !app.hub.is_draining();
    let health = Health {
        status: if is_ok { "ok" } else { "degraded" },
        version: env!("CARGO_PKG_VERSION"),
        uptime_s: clock::elapsed_ms(app.started) / 1_000,
        components: Components {
            store,
            writer: WriterHealth {
                queue_depth: app.metrics.writer.queue_depth.get(),
                queue_max: app.config.store.queue_max,
            },
            hub: HubHealth { connections: app.hub.connections.active(), is_draining: app.hub.is_draining() },
            bus: BusComponent::of(&app),
        },
        process: Process { resident_bytes: resident_bytes(), cpu_s: cpu_s() },
    };
    if is_ok {
        return Json(health).into_response();
    }
    let details = serde_json::to_value(&health).unwrap_or_default();
    let problem = Problem::new(Code::Unavailable, "The server is not healthy; `health` says what is wrong.");
    ApiError::from(problem).with_status(StatusCode::SERVICE_UNAVAILABLE).with_member("health", details).into_response()
}

impl Store {
    async fn measure(app: &App) -> Self {
        let started = clock::instant();
        let db = app.db.clone();
        let answered = tokio::task::spawn_blocking(move || db.workspaces()).await;
        Self { is_ok: matches!(answered, Ok(Ok(_))), response_ms: clock::elapsed_ms(started) }
    }
}

/// Resident memory as Linux reports it; bytes.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1_024)
}

/// Processor time used so far as Linux reports it, in ticks of a hundredth; seconds.
fn cpu_s() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / 100.0)
}
