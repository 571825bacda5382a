//! How this node is: each component is measured, then judged by thresholds that have names. Losing Redis or running short of
//! disk is `degraded`: the node still serves. Only what makes its work impossible is `failing`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::Mutex;

use crate::app::App;
use crate::bus::BusHealth;
use crate::clock;
use crate::observe::{Sample, machine, share};

/// Load per processor from which the machine counts as short of processors.
const LOAD_MAX: f64 = 2.0;
/// Share of the memory that must be left.
const MEMORY_FREE_MIN: f64 = 0.05;
/// Share of the disk that must be left; beneath [`DISK_FAILING`] writes are about to fail.
const DISK_FREE_MIN: f64 = 0.10;
/// Bytes beneath which a full disk is near enough to stop taking work.
const DISK_FAILING: u64 = 64 << 20;
/// Share of requests, and of sync operations, that may fail (service level 99.5 %).
const ERRORS_MAX: f64 = 0.005;
/// Fewer operations say nothing about a share.
const OPERATIONS_MIN: u64 = 200;
/// Response time that 95 % of the requests should stay within; milliseconds.
const LATENCY_P95_MS: u64 = 512;
/// Answer of the database from which it counts as slow; milliseconds.
const DATABASE_SLOW_MS: u64 = 1_000;
/// Minutes that error rates and response times are taken from.
const RECENT_MINUTES: u64 = 5;

/// How something is. The order is that of severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Ok,
    /// Works, but an operator should look.
    Degraded,
    /// Takes no work.
    Failing,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Degraded => "degraded",
            Verdict::Failing => "failing",
        }
    }

    fn degraded_if(is_bad: bool) -> Self {
        if is_bad { Verdict::Degraded } else { Verdict::Ok }
    }
}

#[derive(Debug, Serialize)]
pub struct Health {
    /// The worst of the components.
    pub status: Verdict,
    version: &'static str,
    uptime_s: u64,
    pub components: Components,
}

#[derive(Debug, Serialize)]
pub struct Components {
    pub database: Database,
    writer: WriterHealth,
    hub: HubHealth,
    bus: BusComponent,
    pub system: System,
    pub service: Service,
}

#[derive(Debug, Serialize)]
pub struct Database {
    pub status: Verdict,
    pub is_ok: bool,
    response_ms: u64,
}

#[derive(Debug, Serialize)]
struct WriterHealth {
    status: Verdict,
    queue_depth: i64,
    queue_max: usize,
}

#[derive(Debug, Serialize)]
struct HubHealth {
    status: Verdict,
    connections: usize,
    is_draining: bool,
}

/// Losing Redis costs latency, not data: it does not make a node unhealthy.
#[derive(Debug, Serialize)]
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

/// The machine; each absent where the system does not say.
#[derive(Debug, Serialize)]
pub struct System {
    pub status: Verdict,
    /// Load of a minute per processor; 1.0 is a busy machine.
    cpu_load: Option<f64>,
    process_cpu_s: Option<f64>,
    process_resident_bytes: Option<u64>,
    memory_available_bytes: Option<u64>,
    memory_total_bytes: Option<u64>,
    /// Of the file system that holds the data directory.
    disk_free_bytes: Option<u64>,
    disk_total_bytes: Option<u64>,
    open_files: Option<u64>,
    open_files_max: Option<u64>,
}

/// What callers felt in the last five minutes.
#[derive(Debug, Serialize)]
pub struct Service {
    pub status: Verdict,
    requests: u64,
    /// Share of requests answered with 5xx.
    error_rate: f64,
    sync_operations: u64,
    /// Share of sync operations that failed on the server's side.
    sync_error_rate: f64,
    /// Upper bounds in powers of two.
    response_p50_ms: Option<u64>,
    response_p95_ms: Option<u64>,
    response_p99_ms: Option<u64>,
}

/// Time for which a measurement answers everybody who asks.
const FRESH: Duration = Duration::from_millis(500);

/// The last measurement. Whoever asks while one is under way waits for it, so that many who ask cost what one does.
#[derive(Default)]
pub struct LastHealth(Mutex<Option<(Instant, Arc<Health>)>>);

impl LastHealth {
    /// How the node is, or was half a second ago.
    pub async fn get(&self, app: &Arc<App>) -> Arc<Health> {
        let mut last = self.0.lock().await;
        match last.as_ref().filter(|(at, _)| clock::instant().saturating_duration_since(*at) < FRESH) {
            Some((_, health)) => Arc::clone(health),
            None => {
                let health = Arc::new(Health::measure(app).await);
                *last = Some((clock::instant(), Arc::clone(&health)));
                health
            }
        }
    }
}

impl Health {
    /// Asks every component. Costs one small query.
    async fn measure(app: &Arc<App>) -> Self {
        let database = Self::database_of(app).await;
        let recent = app.metrics.windows.node.last(clock::now_ms(), RECENT_MINUTES);
        let is_draining = app.hub.is_draining();
        let queue_depth = app.metrics.writer.queue_depth.get();
        let queue_max = app.config.store.queue_max;
        let is_queue_long = queue_depth > i64::try_from(queue_max / 2).unwrap_or(i64::MAX);
        let components = Components {
            database,
            writer: WriterHealth { status: Verdict::degraded_if(is_queue_long), queue_depth, queue_max },
            hub: HubHealth {
                status: if is_draining { Verdict::Failing } else { Verdict::Ok },
                connections: app.hub.connections.active(),
                is_draining,
            },
            bus: BusComponent::of(app),
            system: System::measure(app).await,
            service: Service::of(&recent),
        };
        let parts = [
            components.database.status,
            components.writer.status,
            components.hub.status,
            components.system.status,
            components.service.status,
        ];
        let status = parts.into_iter().max().unwrap_or(Verdict::Ok);
        let (version, uptime_s) = (env!("CARGO_PKG_VERSION"), clock::elapsed_ms(app.started) / 1_000);
        Self { status, version, uptime_s, components }
    }

    /// Whether the database answers, and how fast.
    async fn database_of(app: &App) -> Database {
        let started = clock::instant();
        let db = app.db.clone();
        let answered = tokio::task::spawn_blocking(move || db.workspaces()).await;
        let (is_ok, response_ms) = (matches!(answered, Ok(Ok(_))), clock::elapsed_ms(started));
        let status = match is_ok {
            true => Verdict::degraded_if(response_ms >= DATABASE_SLOW_MS),
            false => Verdict::Failing,
        };
        Database { status, is_ok, response_ms }
    }
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

impl System {
    async fn measure(app: &App) -> Self {
        // Another file system than the process's own may be slow to answer, and so may a list of many open files.
        let data_dir = app.config.store.data_dir.clone();
        let asked = tokio::task::spawn_blocking(move || (machine::disk_bytes(&data_dir), machine::open_files()));
        let (disk, open_files) = asked.await.unwrap_or_default();
        let memory = machine::memory_bytes();
        let cpu_load = machine::load_per_cpu();
        Self {
            status: judge_system(cpu_load, memory, disk),
            cpu_load,
            process_cpu_s: machine::cpu_s(),
            process_resident_bytes: machine::resident_bytes(),
            memory_available_bytes: memory.map(|(free, _)| free),
            memory_total_bytes: memory.map(|(_, all)| all),
            disk_free_bytes: disk.map(|(free, _)| free),
            disk_total_bytes: disk.map(|(_, all)| all),
            open_files,
            open_files_max: machine::open_files_max(),
        }
    }
}

/// `memory` and `disk`: free and all. What the system does not say is no fault.
fn judge_system(cpu_load: Option<f64>, memory: Option<(u64, u64)>, disk: Option<(u64, u64)>) -> Verdict {
    if disk.is_some_and(|(free, _)| free < DISK_FAILING) {
        return Verdict::Failing;
    }
    let is_short = |least: f64| move |(free, all): (u64, u64)| all > 0 && share(free, all) < least;
    let is_loaded = cpu_load.is_some_and(|load| load > LOAD_MAX);
    Verdict::degraded_if(
        is_loaded || memory.is_some_and(is_short(MEMORY_FREE_MIN)) || disk.is_some_and(is_short(DISK_FREE_MIN)),
    )
}

impl Service {
    fn of(recent: &Sample) -> Self {
        let is_over = |part: u64, whole: u64| whole >= OPERATIONS_MIN && share(part, whole) > ERRORS_MAX;
        let response_p95_ms = recent.latency_ms(0.95);
        let is_slow = recent.requests >= OPERATIONS_MIN && response_p95_ms.is_some_and(|ms| ms > LATENCY_P95_MS);
        let is_bad =
            is_over(recent.errors, recent.requests) || is_over(recent.sync_failures, recent.sync_operations) || is_slow;
        Self {
            status: Verdict::degraded_if(is_bad),
            requests: recent.requests,
            error_rate: share(recent.errors, recent.requests),
            sync_operations: recent.sync_operations,
            sync_error_rate: share(recent.sync_failures, recent.sync_operations),
            response_p50_ms: recent.latency_ms(0.5),
            response_p95_ms,
            response_p99_ms: recent.latency_ms(0.99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ops_2_thresholds_decide() {
        let roomy = Some((50 << 30, 100 << 30));
        assert_eq!(judge_system(Some(0.5), roomy, roomy), Verdict::Ok);
        assert_eq!(judge_system(None, None, None), Verdict::Ok, "what is not known is no fault");
        assert_eq!(judge_system(Some(2.1), roomy, roomy), Verdict::Degraded);
        assert_eq!(judge_system(None, Some((4, 100)), roomy), Verdict::Degraded);
        assert_eq!(judge_system(None, None, Some((9 << 30, 100 << 30))), Verdict::Degraded);
        assert_eq!(judge_system(None, None, Some((63 << 20, 100 << 30))), Verdict::Failing);
    }

    #[test]
    fn ops_2_error_rates_and_response_times_decide_once_there_are_enough() {
        let window = crate::observe::Window::default();
        for _ in 0..100 {
            window.record(0, &Sample::request(500, 0.001));
        }
        assert_eq!(Service::of(&window.last(0, 5)).status, Verdict::Ok, "too few to tell");
        for _ in 0..100 {
            window.record(0, &Sample::request(200, 0.001));
        }
        let service = Service::of(&window.last(0, 5));
        assert_eq!((service.status, service.error_rate), (Verdict::Degraded, 0.5));
        let slow = crate::observe::Window::default();
        for _ in 0..200 {
            slow.record(0, &Sample::request(200, 3.0));
        }
        assert_eq!(Service::of(&slow.last(0, 5)).status, Verdict::Degraded);
    }
}
