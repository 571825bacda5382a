//! Analytics (OPS-5): what devices did, how long their operations took, and which connections there were.
//!
//! Sums are added up here and written now and then, so that no push waits for a figure: what a killed process loses is the
//! last moment's. What is counted about conflicts is not kept anywhere: [`conflicts`] reads it from the change log.

pub mod conflicts;

use std::collections::btree_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use syncline_core::TimestampMs;
use syncline_core::id::{DeviceId, UserId, WorkspaceId};
use syncline_core::storage::StoreResult;
use syncline_storage::DatabaseAuth;
use syncline_storage::analytics::{AnalyticsBatch, CallCounts, ConnectionRow, DeviceCounts, SERVER_OPERATIONS, day_of};
use tokio::sync::Semaphore;

use crate::observe::{Status, SyncOperation};

/// Ended connections, sums of devices and sums of operations that wait to be written. More are not counted, but in
/// `analytics_dropped_total`.
const CONNECTIONS_MAX: usize = 20_000;
const DEVICES_MAX: usize = 50_000;
const OPERATIONS_MAX: usize = 10_000;
/// Walks through the change log at a time; more wait.
const WALKS_MAX: usize = 1;

/// What has been counted since the last write.
pub struct Analytics {
    pending: Mutex<AnalyticsBatch>,
    dropped: Counter,
    /// Turns of those who walk through the change log.
    pub walks: Semaphore,
}

/// Whose it is.
#[derive(Clone, Copy, Debug)]
pub struct Whose<'a> {
    pub workspace_id: &'a WorkspaceId,
    pub user_id: UserId,
    pub device_id: DeviceId,
}

/// How long one call of a client took, as the client saw it.
#[derive(Clone, Debug)]
pub struct Call {
    pub operation: String,
    pub took_ms: u64,
    pub is_ok: bool,
}

impl Analytics {
    /// `dropped`: counts what there was no room for.
    pub fn new(dropped: Counter) -> Self {
        Self { pending: Mutex::default(), dropped, walks: Semaphore::new(WALKS_MAX) }
    }

    /// Adds to the sums of a device's day.
    pub fn device(&self, whose: Whose<'_>, now: TimestampMs, counts: &DeviceCounts) {
        self.add_device(&mut self.lock(), whose, now, counts);
    }

    /// A sync operation has ended. What the caller did wrong is neither a success nor a failure, and took no time worth
    /// knowing.
    pub fn sync(
        &self,
        whose: Whose<'_>,
        now: TimestampMs,
        (operation, status, took): (SyncOperation, Status, Duration),
    ) {
        let is_ok = match status {
            Status::Ok => true,
            Status::Failed => false,
            Status::Refused => return,
        };
        let counts = DeviceCounts { sync_ok: is_ok.into(), sync_failed: (!is_ok).into(), ..DeviceCounts::default() };
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let call = Call { operation: format!("{SERVER_OPERATIONS}{}", operation.as_str()), took_ms, is_ok };
        let mut pending = self.lock();
        self.add_device(&mut pending, whose, now, &counts);
        self.add_call(&mut pending, whose.workspace_id, now, call);
    }

    /// A connection has ended.
    pub fn closed(&self, row: ConnectionRow) {
        let mut pending = self.lock();
        if pending.connections.len() < CONNECTIONS_MAX {
            pending.connections.push(row);
        } else {
            self.dropped.inc();
        }
    }

    /// What a client has measured.
    pub fn calls(&self, workspace_id: &WorkspaceId, now: TimestampMs, calls: Vec<Call>) {
        let mut pending = self.lock();
        for call in calls {
            self.add_call(&mut pending, workspace_id, now, call);
        }
    }

    /// Writes what has gathered; what could not be written is kept for the next time, as far as there is room. Blocks.
    pub fn flush(&self, store: &DatabaseAuth) -> StoreResult<()> {
        let taken = std::mem::take(&mut *self.lock());
        if taken.is_empty() {
            return Ok(());
        }
        store.add_analytics(&taken).inspect_err(|_| self.put_back(taken))
    }

    fn put_back(&self, taken: AnalyticsBatch) {
        let mut pending = self.lock();
        for ((workspace_id, day, device_id), (user_id, counts)) in taken.devices {
            let whose = Whose { workspace_id: &workspace_id, user_id, device_id };
            self.add_device(&mut pending, whose, day * syncline_storage::analytics::DAY_MS, &counts);
        }
        for (key, counts) in taken.calls {
            self.add_counts(&mut pending, key, &counts);
        }
        let room = CONNECTIONS_MAX.saturating_sub(pending.connections.len());
        self.dropped.inc_by(taken.connections.len().saturating_sub(room) as u64);
        pending.connections.extend(taken.connections.into_iter().take(room));
    }

    fn add_device(&self, pending: &mut AnalyticsBatch, whose: Whose<'_>, now: TimestampMs, counts: &DeviceCounts) {
        let has_room = pending.devices.len() < DEVICES_MAX;
        match pending.devices.entry((whose.workspace_id.clone(), day_of(now), whose.device_id)) {
            Entry::Occupied(mut known) => {
                let (user_id, sum) = known.get_mut();
                *user_id = whose.user_id;
                sum.add(counts);
            }
            Entry::Vacant(place) if has_room => drop(place.insert((whose.user_id, *counts))),
            Entry::Vacant(_) => drop(self.dropped.inc()),
        }
    }

    fn add_call(&self, pending: &mut AnalyticsBatch, workspace_id: &WorkspaceId, now: TimestampMs, call: Call) {
        let mut counts = CallCounts::default();
        counts.note(call.took_ms, call.is_ok);
        self.add_counts(pending, (workspace_id.clone(), day_of(now), call.operation), &counts);
    }

    fn add_counts(&self, pending: &mut AnalyticsBatch, key: (WorkspaceId, u64, String), counts: &CallCounts) {
        let has_room = pending.calls.len() < OPERATIONS_MAX;
        match pending.calls.entry(key) {
            Entry::Occupied(mut known) => known.get_mut().add(counts),
            Entry::Vacant(place) if has_room => drop(place.insert(counts.clone())),
            Entry::Vacant(_) => drop(self.dropped.inc_by(counts.calls)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, AnalyticsBatch> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ops_5_sums_add_up_and_refusals_are_nobodys_failure() {
        let analytics = Analytics::new(Counter::default());
        let workspace_id = WorkspaceId::new("acme").unwrap();
        let whose = Whose { workspace_id: &workspace_id, user_id: UserId::NIL, device_id: DeviceId::NIL };
        let took = Duration::from_millis(3);
        for status in [Status::Ok, Status::Ok, Status::Failed, Status::Refused] {
            analytics.sync(whose, 5, (SyncOperation::Push, status, took));
        }
        let pending = analytics.lock().clone();
        let (_, counts) = pending.devices[&(workspace_id.clone(), 0, DeviceId::NIL)];
        assert_eq!((counts.sync_ok, counts.sync_failed), (2, 1));
        let calls = &pending.calls[&(workspace_id, 0, "sync/push".to_owned())];
        assert_eq!((calls.calls, calls.failures, calls.within_ms(0.5)), (3, 1, Some(4)));
    }

    #[test]
    fn inv_10_what_waits_to_be_written_is_bounded_and_what_is_left_out_is_counted() {
        let dropped = Counter::default();
        let analytics = Analytics::new(dropped.clone());
        let workspace_id = WorkspaceId::new("acme").unwrap();
        for number in 0..OPERATIONS_MAX + 7 {
            let call = Call { operation: number.to_string(), took_ms: 1, is_ok: true };
            analytics.calls(&workspace_id, 0, vec![call.clone(), call]);
        }
        assert_eq!((analytics.lock().calls.len(), dropped.get()), (OPERATIONS_MAX, 14));
        let taken = std::mem::take(&mut *analytics.lock());
        analytics.calls(&workspace_id, 0, vec![Call { operation: "0".to_owned(), took_ms: 1, is_ok: true }]);
        analytics.put_back(taken);
        assert_eq!(
            analytics.lock().calls[&(workspace_id, 0, "0".to_owned())].calls,
            3,
            "nothing is lost when a write fails"
        );
        assert_eq!((analytics.lock().calls.len(), dropped.get()), (OPERATIONS_MAX, 14));
    }
}
