//! The last hour by the minute: rates and percentiles that a health page or an alert can ask for at once, without a
//! Prometheus. Pure: time is an argument.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use syncline_core::TimestampMs;
use syncline_core::id::WorkspaceId;

use super::metrics::Status;

/// Length of a slot; milliseconds.
const SLOT_MS: u64 = 60_000;
/// Slots kept: an hour.
const SLOTS: usize = 60;
/// Upper bounds of the buckets of response times double from 1 ms; the last is open.
const BUCKETS: usize = 16;
/// Workspaces with a window of their own; those beyond are counted with the node alone.
const WORKSPACES_MAX: usize = 10_000;

/// What happened in some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    pub requests: u64,
    /// Requests answered with 5xx.
    pub errors: u64,
    pub sync_operations: u64,
    /// Sync operations that failed for a reason of ours.
    pub sync_failures: u64,
    /// Mutations decided.
    pub outcomes: u64,
    pub conflicts: u64,
    /// Scopes in which a replica and the server disagreed.
    pub mismatches: u64,
    latencies: [u64; BUCKETS],
}

impl Sample {
    pub fn request(status: u16, seconds: f64) -> Self {
        let mut sample = Self { requests: 1, errors: u64::from(status >= 500), ..Self::default() };
        let ms = seconds * 1_000.0;
        let bucket = (0..BUCKETS - 1).find(|bucket| ms <= bound_ms(*bucket) as f64).unwrap_or(BUCKETS - 1);
        sample.latencies[bucket] = 1;
        sample
    }

    pub fn sync(status: Status) -> Self {
        Self { sync_operations: 1, sync_failures: u64::from(status == Status::Failed), ..Self::default() }
    }

    pub fn decided(outcomes: u64, conflicts: u64) -> Self {
        Self { outcomes, conflicts, ..Self::default() }
    }

    pub fn mismatch() -> Self {
        Self { mismatches: 1, ..Self::default() }
    }

    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.sync_operations += other.sync_operations;
        self.sync_failures += other.sync_failures;
        self.outcomes += other.outcomes;
        self.conflicts += other.conflicts;
        self.mismatches += other.mismatches;
        for (sum, more) in self.latencies.iter_mut().zip(other.latencies) {
            *sum += more;
        }
    }

    /// The response time that a share of the requests stayed within, `0.0..=1.0`; milliseconds, an upper bound that is at
    /// most twice too high. `None`: no requests.
    pub fn latency_ms(&self, share: f64) -> Option<u64> {
        let total: u64 = self.latencies.iter().sum();
        let wanted = ((total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let reached = self.latencies.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        reached.filter(|_| total > 0).map(bound_ms)
    }
}

fn bound_ms(bucket: usize) -> u64 {
    1 << bucket
}

/// `part / whole`, 0 without a whole.
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The samples of an hour. O(1) to add, O(minutes) to ask.
#[derive(Debug)]
pub struct Window {
    slots: Mutex<[Slot; SLOTS]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// Minutes since the epoch; a slot of another minute than the one asked for is empty.
    minute: u64,
    sample: Sample,
}

impl Default for Window {
    fn default() -> Self {
        Self { slots: Mutex::new([Slot::default(); SLOTS]) }
    }
}

impl Window {
    pub fn record(&self, now: TimestampMs, sample: &Sample) {
        let minute = now / SLOT_MS;
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = &mut slots[(minute % SLOTS as u64) as usize];
        if slot.minute != minute {
            *slot = Slot { minute, sample: Sample::default() };
        }
        slot.sample.add(sample);
    }

    /// The sum of the last `minutes`, 1..=60, the present one among them.
    pub fn last(&self, now: TimestampMs, minutes: u64) -> Sample {
        let minute = now / SLOT_MS;
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sum = Sample::default();
        let is_asked = |slot: &&Slot| slot.minute <= minute && minute - slot.minute < minutes.min(SLOTS as u64);
        slots.iter().filter(is_asked).for_each(|slot| sum.add(&slot.sample));
        sum
    }
}

/// The node's window and one for each workspace.
#[derive(Debug, Default)]
pub struct Windows {
    pub node: Window,
    workspaces: Mutex<HashMap<WorkspaceId, Window>>,
}

impl Windows {
    /// Adds to the node and to the workspace.
    pub fn record(&self, workspace_id: &WorkspaceId, now: TimestampMs, sample: &Sample) {
        self.node.record(now, sample);
        let mut workspaces = self.workspaces.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(window) = workspaces.get(workspace_id) {
            window.record(now, sample);
        } else if workspaces.len() < WORKSPACES_MAX {
            let window = workspaces.entry(workspace_id.clone()).or_default();
            window.record(now, sample);
        }
    }

    /// The last `minutes` of every workspace that has been heard of.
    pub fn by_workspace(&self, now: TimestampMs, minutes: u64) -> Vec<(WorkspaceId, Sample)> {
        let workspaces = self.workspaces.lock().unwrap_or_else(PoisonError::into_inner);
        workspaces.iter().map(|(id, window)| (id.clone(), window.last(now, minutes))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ops_2_a_window_forgets_by_the_minute() {
        let window = Window::default();
        window.record(0, &Sample::request(500, 0.003));
        window.record(60_000, &Sample::request(200, 0.100));
        let both = window.last(60_000, 5);
        assert_eq!((both.requests, both.errors), (2, 1));
        assert_eq!((both.latency_ms(0.5), both.latency_ms(0.95)), (Some(4), Some(128)));
        assert_eq!(window.last(60_000, 1).errors, 0);
        assert_eq!(window.last(59 * 60_000, 60).requests, 2);
        assert_eq!(window.last(61 * 60_000, 60), Sample::default());
        window.record(60 * 60_000, &Sample::request(200, 90.0));
        let later = window.last(60 * 60_000, 60);
        assert_eq!((later.requests, later.errors), (2, 0), "the slot of the first minute is used again");
        assert_eq!(Sample::default().latency_ms(0.5), None);
    }

    #[test]
    fn ops_6_workspaces_are_counted_apart() {
        let windows = Windows::default();
        let (one, other) = (WorkspaceId::new("one").unwrap(), WorkspaceId::new("other").unwrap());
        windows.record(&one, 0, &Sample::decided(10, 1));
        windows.record(&other, 0, &Sample::decided(5, 0));
        let mut found = windows.by_workspace(0, 60);
        found.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(found.iter().map(|(_, sample)| sample.outcomes).collect::<Vec<_>>(), [10, 5]);
        assert_eq!(windows.node.last(0, 60).conflicts, 1);
    }
}
