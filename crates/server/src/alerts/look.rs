//! What is wrong at this moment.

use std::collections::BTreeMap;

use syncline_core::TimestampMs;
use syncline_core::id::WorkspaceId;
use syncline_core::storage::StoreResult;
use syncline_storage::sqlite::BacklogQuery;

use super::state::{Rule, Subject};
use crate::app::App;
use crate::observe::share;

/// Share of decided mutations that may meet a conflict.
const CONFLICTS_MAX: f64 = 0.01;
/// Fewer say nothing about a share.
const OUTCOMES_MIN: u64 = 100;
const CONFLICT_MINUTES: u64 = 60;
/// Share of requests that may fail (service level 99.5 %), and of how many it says something.
const ERRORS_MAX: f64 = 0.005;
const REQUESTS_MIN: u64 = 200;
const ERROR_MINUTES: u64 = 5;
/// A difference between a replica and the server is told for so long.
const MISMATCH_MINUTES: u64 = 10;
/// Failures in a row that are more than bad luck.
const FAILURES_MAX: u32 = 3;
/// Clients not heard of for longer are no longer waited for; milliseconds (a day).
const SILENT_MS: u64 = 86_400_000;
/// Stuck clients that are told of at a time.
const STUCK_MAX: usize = 1_000;

pub(super) struct Look<'a> {
    pub(super) app: &'a App,
    pub(super) node: String,
    pub(super) now: TimestampMs,
}

type Wrong = BTreeMap<Subject, String>;

impl Look<'_> {
    /// Everything that is wrong, with a sentence about each. `is_leader`: also what lies in the database.
    pub(super) async fn all(&self, is_leader: bool) -> StoreResult<Wrong> {
        let mut wrong = Wrong::new();
        self.errors(&mut wrong);
        self.rates(&mut wrong);
        self.failures(&mut wrong);
        if is_leader {
            self.stuck(&mut wrong).await?;
        }
        Ok(wrong)
    }

    fn own(&self, rule: Rule, workspace_id: Option<WorkspaceId>) -> Subject {
        Subject { rule, workspace_id, part: self.node.clone() }
    }

    fn errors(&self, wrong: &mut Wrong) {
        let recent = self.app.metrics.windows.node.last(self.now, ERROR_MINUTES);
        let rate = share(recent.errors, recent.requests);
        if recent.requests >= REQUESTS_MIN && rate > ERRORS_MAX {
            let summary = format!("{} of requests to {} fail", percent(rate), self.node);
            wrong.insert(self.own(Rule::ErrorBudget, None), summary);
        }
    }

    fn rates(&self, wrong: &mut Wrong) {
        let windows = &self.app.metrics.windows;
        for (workspace_id, sample) in windows.by_workspace(self.now, CONFLICT_MINUTES) {
            let rate = share(sample.conflicts, sample.outcomes);
            if sample.outcomes >= OUTCOMES_MIN && rate > CONFLICTS_MAX {
                let summary = format!("{} of edits in {workspace_id} met a conflict in the last hour", percent(rate));
                wrong.insert(self.own(Rule::ConflictRate, Some(workspace_id)), summary);
            }
        }
        for (workspace_id, sample) in windows.by_workspace(self.now, MISMATCH_MINUTES) {
            if sample.mismatches > 0 {
                let summary = format!(
                    "{} replicas in {workspace_id} differed from the server and are being repaired",
                    sample.mismatches
                );
                wrong.insert(self.own(Rule::DigestMismatch, Some(workspace_id)), summary);
            }
        }
    }

    fn failures(&self, wrong: &mut Wrong) {
        for (workspace_id, device_id, failures) in self.app.metrics.sync_failures.in_a_row(FAILURES_MAX, self.now) {
            let summary = format!("sync of device {device_id} in {workspace_id} failed {failures} times in a row");
            let part = format!("{device_id}@{}", self.node);
            wrong.insert(Subject { rule: Rule::SyncFailing, workspace_id: Some(workspace_id), part }, summary);
        }
    }

    async fn stuck(&self, wrong: &mut Wrong) -> StoreResult<()> {
        let since_ms = self.now.saturating_sub(SILENT_MS);
        let query = BacklogQuery { since_ms, now_ms: self.now, stuck_ms: self.app.config.alerts.outbox_stuck_ms };
        let stuck = self.app.auth.with_store(move |store| store.stuck_clients(&query, STUCK_MAX)).await?;
        for client in stuck {
            let age_min =
                self.now.saturating_sub(client.reported_ms).saturating_add(client.oldest_pending_ms.unwrap_or(0))
                    / 60_000;
            let summary = format!(
                "device {} in {} has waited {age_min} minutes to hand over {} edits",
                client.device_id, client.workspace_id, client.pending_count
            );
            let part = client.device_id.to_string();
            wrong.insert(Subject { rule: Rule::OutboxStuck, workspace_id: Some(client.workspace_id), part }, summary);
        }
        Ok(())
    }
}

fn percent(rate: f64) -> String {
    format!("{:.1} %", rate * 100.0)
}
