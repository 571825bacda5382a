//! What has to be done now and then: reports written, expired tokens deleted, the log compacted to its retention.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use syncline_core::id::WorkspaceId;
use syncline_core::storage::{Read, Store as _, StoreResult};
use syncline_core::{Seq, TimestampMs};
use syncline_storage::DatabaseAuth;
use syncline_storage::sqlite::{Backlog, BacklogQuery};
use tokio::sync::watch;

use crate::app::App;
use crate::clock;
use crate::node_notes::{self, NodeNote};

const REPORTS_EVERY: Duration = Duration::from_secs(5);
/// How often sums of analytics are written.
const ANALYTICS_EVERY: Duration = Duration::from_secs(15);
/// How often lag, outboxes and the bus are looked at for the metrics.
const GAUGES_EVERY: Duration = Duration::from_secs(15);
/// Clients not heard of for longer count no more; milliseconds.
const BACKLOG_MS: u64 = 3_600_000;
/// How late a message may be found to have run out of time; it is not delivered any more in any case.
const MESSAGES_EVERY: Duration = Duration::from_secs(2);
const HOUSEKEEPING_EVERY: Duration = Duration::from_secs(3_600);
/// How long the log, tombstones and departures are kept; milliseconds (90 days).
const RETENTION_MS: u64 = 90 * 86_400_000;
/// Age of a client's oldest waiting mutation from which its outbox counts as stuck; milliseconds (an hour).
pub const OUTBOX_STUCK_MS: u64 = 3_600_000;
/// How long a device that never was a replica and cannot renew its sign-in is kept; milliseconds (7 days).
const UNUSED_MS: u64 = 7 * 86_400_000;
/// Seqs that one step of a compaction covers, so that pushes get their turn in between.
const COMPACT_STEP: u64 = 5_000;

/// The background task.
pub struct Maintenance {
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Maintenance {
    pub fn start(app: Arc<App>) -> Self {
        let (stop, stopped) = watch::channel(false);
        Self { stop, task: tokio::spawn(run(app, stopped)) }
    }

    /// Writes what has gathered, and ends.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if self.task.await.is_err() {
            tracing::error!(event = "maintenance_panicked", "the maintenance task ended with a panic");
        }
    }
}

async fn run(app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    let mut reports = tokio::time::interval(REPORTS_EVERY);
    let mut housekeeping = tokio::time::interval(HOUSEKEEPING_EVERY);
    let mut gauges = tokio::time::interval(GAUGES_EVERY);
    let mut messages = tokio::time::interval(MESSAGES_EVERY);
    let mut analytics = tokio::time::interval(ANALYTICS_EVERY);
    loop {
        let is_last = tokio::select! {
            _ = reports.tick() => false,
            _ = messages.tick() => {
                logged("messages", app.router.expire().await);
                false
            }
            _ = housekeeping.tick() => {
                // Long work, in short steps: a stop waits for the one under way.
                let mut stopped = stopped.clone();
                tokio::select! {
                    () = keep_house(&app) => false,
                    () = stop_asked(&mut stopped) => true,
                }
            }
            _ = gauges.tick() => {
                logged("gauges", gauge(&app).await);
                logged("message gauges", app.router.gauge().await);
                false
            }
            _ = analytics.tick() => {
                logged("analytics", write_analytics(&app).await);
                false
            }
            () = stop_asked(&mut stopped) => true,
        };
        let shared = Arc::clone(&app);
        logged("reports", app.auth.with_store(move |store| shared.reports.flush(store)).await);
        if is_last {
            logged("analytics", write_analytics(&app).await);
            return;
        }
    }
}

async fn keep_house(app: &Arc<App>) {
    logged("housekeeping", housekeep(app).await);
    logged("history", app.router.forget().await);
}

async fn write_analytics(app: &Arc<App>) -> StoreResult<()> {
    let shared = Arc::clone(app);
    app.auth.with_store(move |store| shared.analytics.flush(store)).await
}

async fn stop_asked(stopped: &mut watch::Receiver<bool>) {
    drop(stopped.wait_for(|is_stopped| *is_stopped).await);
}

fn logged(what: &str, result: StoreResult<()>) {
    if let Err(error) = result {
        tracing::warn!(event = "maintenance_failed", what, %error, "maintenance failed; it is tried again later");
    }
}

/// Brings the gauges of lag, outboxes and the bus up to now.
async fn gauge(app: &Arc<App>) -> StoreResult<()> {
    let now = clock::now_ms();
    let (db, stuck_ms) = (app.db.clone(), OUTBOX_STUCK_MS);
    let asked = BacklogQuery { since_ms: now.saturating_sub(BACKLOG_MS), now_ms: now, stuck_ms };
    let (heads, backlogs) = app.auth.with_store(move |store| Ok((db.heads()?, store.client_backlogs(&asked)?))).await?;
    let head_of = |backlog: &Backlog| {
        let index = heads.binary_search_by(|(workspace, _)| workspace.cmp(&backlog.workspace_id)).ok()?;
        Some(heads[index].1)
    };
    let lag = backlogs.iter().filter_map(|backlog| Some(head_of(backlog)?.saturating_sub(backlog.cursor_min))).max();
    let gauges = &app.metrics.sync;
    let set = |gauge: &Gauge, value: u64| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    set(&gauges.lag_max, lag.unwrap_or(0));
    set(&gauges.clients, backlogs.iter().map(|backlog| backlog.clients).sum());
    set(&gauges.outbox_pending, backlogs.iter().map(|backlog| backlog.pending).sum());
    set(&gauges.outbox_oldest_ms, backlogs.iter().map(|backlog| backlog.oldest_ms).max().unwrap_or(0));
    set(&gauges.outbox_stuck, backlogs.iter().map(|backlog| backlog.stuck).sum());
    let (bus, stats) = (&app.metrics.bus, app.bus.stats());
    set(&bus.is_connected, u64::from(app.bus.health().is_connected()));
    set(&bus.nodes, app.bus.nodes().len() as u64);
    set(&bus.outages, stats.outages);
    set(&bus.hints_dropped, stats.hints_dropped);
    set(&bus.fallbacks, stats.fallbacks);
    Ok(())
}

async fn housekeep(app: &App) -> StoreResult<()> {
    let now = clock::now_ms();
    let note = NodeNote {
        address: app.bus.node().address.clone(),
        noted_ms: now,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        key_fingerprint: app.auth.key_fingerprint.clone(),
    };
    app.auth.with_store(move |store| node_notes::renew(store, &note)).await?;
    app.auth.with_store(move |store| store.purge_expired_refresh(now.saturating_sub(RETENTION_MS))).await?;
    let db = app.db.clone();
    let workspaces = tokio::task::spawn_blocking(move || db.workspaces()).await;
    let workspaces = workspaces.unwrap_or_else(|_| Ok(Vec::new()))?;
    prune_audit(app, &workspaces, now).await?;
    prune_analytics(app, &workspaces, now).await?;
    let ended_before = now.saturating_sub(app.config.webhooks.retention_days * 86_400_000);
    app.auth.with_store(move |store| store.purge_deliveries(ended_before)).await?;
    app.auth.with_store(move |store| store.purge_alerts(now.saturating_sub(ALERTS_MS))).await?;
    for workspace_id in workspaces {
        let workspace = workspace_id.clone();
        let forget = move |store: &DatabaseAuth| {
            store.purge_client_status(&workspace, now.saturating_sub(RETENTION_MS))?;
            store.purge_unused_devices(&workspace, now.saturating_sub(UNUSED_MS), now)
        };
        let devices = app.auth.with_store(forget).await?;
        if devices > 0 {
            tracing::info!(event = "devices_forgotten", %workspace_id, devices, "devices that nobody uses were forgotten");
        }
        compact(app, &workspace_id, now.saturating_sub(RETENTION_MS)).await?;
    }
    Ok(())
}

/// How long resolved alerts are listed; milliseconds (7 days).
const ALERTS_MS: u64 = 7 * 86_400_000;
/// Entries of an audit log, or archived connections, that one transaction forgets.
const PRUNE_STEP: usize = 5_000;

async fn prune_audit(app: &App, workspaces: &[WorkspaceId], now: TimestampMs) -> StoreResult<()> {
    let before = now.saturating_sub(app.config.audit.retention_days * 86_400_000);
    for workspace in std::iter::once(None).chain(workspaces.iter().cloned().map(Some)) {
        let mut pruned = PRUNE_STEP;
        while pruned == PRUNE_STEP {
            let workspace = workspace.clone();
            let prune = move |store: &DatabaseAuth| store.prune_audit(workspace.as_ref(), before, PRUNE_STEP);
            pruned = app.auth.with_store(prune).await?;
        }
    }
    Ok(())
}

async fn prune_analytics(app: &App, workspaces: &[WorkspaceId], now: TimestampMs) -> StoreResult<()> {
    let before = now.saturating_sub(app.config.analytics.retention_days * 86_400_000);
    for workspace in workspaces {
        let mut pruned = PRUNE_STEP;
        while pruned == PRUNE_STEP {
            let workspace = workspace.clone();
            let prune = move |store: &DatabaseAuth| store.prune_analytics(&workspace, before, PRUNE_STEP);
            pruned = app.auth.with_store(prune).await?;
        }
    }
    Ok(())
}

/// Forgets what was committed before `horizon`, step by step on the writer's thread.
async fn compact(app: &App, workspace_id: &WorkspaceId, horizon: TimestampMs) -> StoreResult<()> {
    let (min_seq, upto) =
        app.db.read(workspace_id, move |read| Ok((read.head()?.min_seq, last_before(read, horizon)?))).await?;
    let mut done = min_seq;
    while done < upto {
        done = upto.min(done + COMPACT_STEP);
        let (workspace, step) = (workspace_id.clone(), done);
        app.writer.run(workspace_id, move |store| store.compact(&workspace, step)).await?;
    }
    Ok(())
}

/// The last seq that was committed before `horizon`, by bisection; commit times do not go back within a log.
pub fn last_before(read: &dyn Read, horizon: TimestampMs) -> StoreResult<Seq> {
    let head = read.head()?;
    let (mut low, mut high) = (head.min_seq, head.seq);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        let is_before = read.log_entry(middle)?.is_some_and(|entry| entry.committed_ms < horizon);
        if is_before {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    Ok(low)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use syncline_core::Name;
    use syncline_core::change::{Mutation, Op};
    use syncline_core::engine::{PushRequest, plan_group};
    use syncline_core::id::{BackendId, ClientId, DeviceId, MutationId, RecordId, UserId};
    use syncline_core::principal::Principal;
    use syncline_core::schema::Schema;
    use syncline_core::storage::{MemoryStore, Wanted};

    use super::*;

    #[test]
    fn ret_1_the_horizon_is_found_by_commit_time() {
        let schema = Arc::new(Schema::crm());
        let workspace_id = WorkspaceId::new("acme").unwrap();
        let mut store = MemoryStore::new(Arc::clone(&schema));
        store.create_workspace(&workspace_id, BackendId::from_u128(1)).unwrap();
        for number in 1..=10_u64 {
            let principal = Principal {
                workspace_id: workspace_id.clone(),
                user_id: UserId::NIL,
                device_id: DeviceId::NIL,
                client_id: ClientId::from_u128(u128::from(number)),
                is_server: true,
            };
            let op = Op::Create {
                entity: Name::new("users"),
                id: RecordId(crate::random::uuid_v7()),
                fields: [(Name::new("name"), json!("x"))].into(),
            };
            let mutation_id = MutationId(crate::random::uuid_v7());
            let mutation = Mutation { mutation_id, client_seq: 1, age_ms: 0, ops: vec![op], depends_on: Vec::new() };
            let received_ms = number * 100;
            let request = PushRequest { principal, mutations: vec![mutation], received_ms, deposit: None };
            let planned = store.transact(&workspace_id, &Wanted::default(), |read| {
                let plan = plan_group(&schema, &workspace_id, read, std::slice::from_ref(&request))?;
                Ok((plan.writes, ()))
            });
            planned.unwrap();
        }
        for (horizon, expected) in
            [(0, 0), (100, 0), (101, 1), (500, 4), (550, 5), (1_000, 9), (1_001, 10), (9_999, 10)]
        {
            let found = store.read(&workspace_id, |read| last_before(read, horizon)).unwrap();
            assert_eq!(found, expected, "horizon {horizon}");
        }
        store.compact(&workspace_id, 4).unwrap();
        assert_eq!(store.read(&workspace_id, |read| last_before(read, 300)).unwrap(), 4, "never below what is left");
    }
}
