//! Alerts: what a person should know of before somebody else tells them. One task looks now and then, a pure machine
//! ([`state`]) decides what begins and ends, and each change is logged, kept for the console, and sent to a webhook.
//!
//! Each node tells of what it has counted itself. What lies in the database is told by one node at a time, which holds a
//! lease; whoever takes it over also takes over what fires.

mod look;
mod notify;
mod state;

use std::sync::Arc;
use std::time::Duration;

use syncline_core::storage::StoreResult;
use syncline_storage::sqlite::{AlertRow, Lease};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use look::Look;
use notify::Notifier;
use state::{Alerts, Change, Patience, Rule, Subject};

use crate::app::App;
use crate::clock;

/// Name of the right to tell of what lies in the database.
const LEASE: &str = "alerts";
/// Looks that may be missed before another node takes over.
const LEASE_LOOKS: u64 = 4;

/// The task that looks.
pub struct AlertWatch {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl AlertWatch {
    pub fn start(app: Arc<App>) -> reqwest::Result<Self> {
        let mut watch = Watch::new(app)?;
        let (stop, mut stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let mut looks = tokio::time::interval(Duration::from_millis(watch.app.config.alerts.every_ms));
            looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = looks.tick() => {}
                    _ = stopped.wait_for(|is_stopped| *is_stopped) => return,
                }
                if let Err(error) = watch.look().await {
                    tracing::warn!(event = "alerts_unread", %error, "what alerts are about could not be read; it is tried again");
                }
            }
        });
        Ok(Self { stop, task })
    }

    /// At once: what was not told yet is told by the next start.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if self.task.await.is_err() {
            tracing::error!(event = "alerts_panicked", "the evaluator of alerts ended with a panic");
        }
    }
}

struct Watch {
    app: Arc<App>,
    alerts: Alerts,
    notifier: Notifier,
    /// What an earlier start of this node has told of was taken over.
    has_own: bool,
    /// This node tells of what lies in the database.
    is_leader: bool,
}

impl Watch {
    fn new(app: Arc<App>) -> reqwest::Result<Self> {
        let notifier = Notifier::start(&app.config.alerts, &app.bus.node().address)?;
        let rates =
            Patience { pending_ms: app.config.alerts.rates_pending_ms, clear_ms: app.config.alerts.rates_clear_ms };
        Ok(Self { app, alerts: Alerts::new(rates), notifier, has_own: false, is_leader: false })
    }

    async fn look(&mut self) -> StoreResult<()> {
        let now = clock::now_ms();
        self.take_over(now).await?;
        let look = Look { app: &self.app, node: self.app.bus.node().address.clone(), now };
        let wrong = look.all(self.is_leader).await?;
        let changes = self.alerts.evaluate(now, &wrong);
        self.app.metrics.alerts_firing.set(i64::try_from(self.alerts.firing()).unwrap_or(i64::MAX));
        self.tell(changes).await
    }

    /// Takes over what fires and is nobody else's: of an earlier start of this node, and with the lease of the database.
    async fn take_over(&mut self, now: u64) -> StoreResult<()> {
        let node = self.app.bus.node().address.clone();
        let until_ms = now.saturating_add(self.app.config.alerts.every_ms * LEASE_LOOKS);
        let lease = Lease { name: LEASE.to_owned(), holder: node.clone(), now_ms: now, until_ms };
        let was_leader = self.is_leader;
        self.is_leader = self.app.auth.with_store(move |store| store.take_lease(&lease)).await?;
        if self.has_own && (was_leader || !self.is_leader) {
            return Ok(());
        }
        let firing = self.app.auth.with_store(move |store| store.firing_alerts()).await?;
        for row in firing {
            let Some(subject) = subject_of(&row) else { continue };
            let is_own = || subject.part == node || subject.part.ends_with(&format!("@{node}"));
            let is_ours = if subject.rule.is_shared() { self.is_leader } else { is_own() };
            if is_ours {
                self.alerts.adopt(subject, row.summary);
            }
        }
        self.has_own = true;
        Ok(())
    }

    async fn tell(&mut self, changes: Vec<Change>) -> StoreResult<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let rows: Vec<AlertRow> = changes.iter().map(row_of).collect();
        for change in changes {
            let (rule, severity) = (change.subject.rule.as_str(), change.subject.rule.severity().as_str());
            let workspace_id = change.subject.workspace_id.as_ref().map(ToString::to_string);
            let (part, summary) = (change.subject.part.as_str(), change.summary.as_str());
            if change.is_firing {
                tracing::warn!(event = "alert_firing", rule, severity, workspace_id, part, "alert: {summary}");
            } else {
                tracing::info!(event = "alert_resolved", rule, severity, workspace_id, part, "resolved: {summary}");
            }
            self.notifier.send(change);
        }
        self.app.auth.with_store(move |store| store.put_alerts(&rows)).await
    }
}

fn row_of(change: &Change) -> AlertRow {
    let Subject { rule, workspace_id, part } = &change.subject;
    AlertRow {
        workspace_id: workspace_id.clone(),
        key: format!("{}/{part}", rule.as_str()),
        rule: rule.as_str().to_owned(),
        severity: rule.severity().as_str().to_owned(),
        is_firing: change.is_firing,
        summary: change.summary.clone(),
        since_ms: change.at_ms,
    }
}

fn subject_of(row: &AlertRow) -> Option<Subject> {
    let rule = Rule::from_text(&row.rule)?;
    let part = row.key.strip_prefix(rule.as_str())?.strip_prefix('/')?.to_owned();
    Some(Subject { rule, workspace_id: row.workspace_id.clone(), part })
}
