//! What is counted about devices, connections and calls (OPS-5), on either database: sums by day, and one row for each
//! connection that has ended.
//!
//! Sums are added up in memory by whoever counts and written now and then as an [`AnalyticsBatch`]; nodes add to the same
//! rows. A write whose COMMIT was not answered is done again, so sums may count a moment twice; they are for people, not for
//! bills.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use syncline_core::TimestampMs;
use syncline_core::id::{DeviceId, UserId, WorkspaceId};
use syncline_core::principal::DeploymentMode;
use syncline_core::storage::StoreResult;
use uuid::Uuid;

use crate::sqlite::corrupt;

/// Days since the Unix epoch, in UTC.
pub type Day = u64;

pub const DAY_MS: u64 = 86_400_000;

pub fn day_of(at_ms: TimestampMs) -> Day {
    at_ms / DAY_MS
}

/// A connection that has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectionRow {
    pub workspace_id: WorkspaceId,
    pub connection_id: Uuid,
    pub user_id: UserId,
    pub device_id: DeviceId,
    pub deployment_mode: DeploymentMode,
    /// What carried it, in lower case.
    pub transport: String,
    pub opened_ms: TimestampMs,
    pub closed_ms: TimestampMs,
    /// As WebSocket counts them: 1006 when it broke off.
    pub close_code: u16,
    /// For a person.
    pub reason: String,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Frames of the sync protocol that the peer sent.
    pub frames_in: u64,
    /// Mutations decided.
    pub mutations: u64,
}

/// What a device did on one day.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DeviceCounts {
    /// Opened on that day.
    pub connections: u64,
    pub connected_ms: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub mutations: u64,
    pub sync_ok: u64,
    pub sync_failed: u64,
}

impl DeviceCounts {
    pub fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        self.connected_ms += other.connected_ms;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.mutations += other.mutations;
        self.sync_ok += other.sync_ok;
        self.sync_failed += other.sync_failed;
    }
}

/// Buckets of times: the upper bound of bucket `n` is 2ⁿ ms, the last is open and begins at 65 s.
pub const CALL_BUCKETS: usize = 18;

/// How long calls of one operation took.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CallCounts {
    pub calls: u64,
    pub failures: u64,
    pub total_ms: u64,
    pub buckets: [u64; CALL_BUCKETS],
}

impl CallCounts {
    pub fn note(&mut self, took_ms: u64, is_ok: bool) {
        self.calls += 1;
        self.failures += u64::from(!is_ok);
        self.total_ms = self.total_ms.saturating_add(took_ms);
        let bucket = (0..CALL_BUCKETS - 1).find(|bucket| took_ms <= 1 << bucket).unwrap_or(CALL_BUCKETS - 1);
        self.buckets[bucket] += 1;
    }

    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.failures += other.failures;
        self.total_ms = self.total_ms.saturating_add(other.total_ms);
        for (sum, more) in self.buckets.iter_mut().zip(other.buckets) {
            *sum += more;
        }
    }

    /// The time that a share of the calls stayed within, `0.0..=1.0`: milliseconds, at most twice too high. `None`: no calls,
    /// or beyond the last bound.
    pub fn within_ms(&self, share: f64) -> Option<u64> {
        let wanted = ((self.calls as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let bounded = &self.buckets[..CALL_BUCKETS - 1];
        let reached = bounded.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        reached.map(|bucket| 1 << bucket)
    }

    /// As the column holds them.
    pub(crate) fn buckets_to_text(&self) -> String {
        format!("{:?}", self.buckets)
    }

    pub(crate) fn buckets_from_text(text: &str) -> StoreResult<[u64; CALL_BUCKETS]> {
        serde_json::from_str(text).map_err(|error| corrupt(format!("buckets of calls: {error}")))
    }
}

/// Operations of clients that one workspace keeps apart a day, about; calls of more count as [`OTHER_OPERATION`].
pub const OPERATIONS_PER_DAY_MAX: usize = 200;
pub const OTHER_OPERATION: &str = "other";
/// Operations that the server itself measures begin with it; no limit counts them.
pub const SERVER_OPERATIONS: &str = "sync/";

/// The name under which an operation is kept beside those `known` of its day.
pub(crate) fn kept_operation<'o>(known: &mut BTreeSet<String>, operation: &'o str) -> &'o str {
    if operation.starts_with(SERVER_OPERATIONS) || known.contains(operation) {
        return operation;
    }
    if known.len() >= OPERATIONS_PER_DAY_MAX {
        return OTHER_OPERATION;
    }
    known.insert(operation.to_owned());
    operation
}

/// What has been counted since the last write. Written all or none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AnalyticsBatch {
    pub connections: Vec<ConnectionRow>,
    /// With the person who uses the device.
    pub devices: BTreeMap<(WorkspaceId, Day, DeviceId), (UserId, DeviceCounts)>,
    pub calls: BTreeMap<(WorkspaceId, Day, String), CallCounts>,
}

impl AnalyticsBatch {
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty() && self.devices.is_empty() && self.calls.is_empty()
    }
}

/// A page of connections that have ended, last closed first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectionsPage {
    pub user_id: Option<UserId>,
    pub device_id: Option<DeviceId>,
    /// When the last one of the page before was closed, and its id.
    pub after: Option<(TimestampMs, Uuid)>,
    pub limit: usize,
}

/// By what sums are told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UsageBy {
    Day,
    User,
    Device,
}

/// What a sum is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageKey {
    Day(Day),
    User(UserId),
    Device(DeviceId),
}

impl UsageKey {
    pub fn by(self) -> UsageBy {
        match self {
            Self::Day(_) => UsageBy::Day,
            Self::User(_) => UsageBy::User,
            Self::Device(_) => UsageBy::Device,
        }
    }
}

/// A page of sums, in the order of their keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsagePage {
    pub by: UsageBy,
    pub from_day: Day,
    pub user_id: Option<UserId>,
    pub device_id: Option<DeviceId>,
    /// Key of the last one of the page before; of the same kind as `by`, otherwise it counts as none.
    pub after: Option<UsageKey>,
    pub limit: usize,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsageRow {
    pub key: UsageKey,
    /// How many different ones were seen.
    pub users: u64,
    pub devices: u64,
    pub counts: DeviceCounts,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ops_5_times_are_told_by_the_bound_they_stayed_within() {
        let mut counts = CallCounts::default();
        assert_eq!(counts.within_ms(0.5), None);
        for took_ms in [0, 1, 2, 3, 100, 100, 100, 100, 100, 5_000] {
            counts.note(took_ms, took_ms < 5_000);
        }
        assert_eq!((counts.calls, counts.failures, counts.total_ms), (10, 1, 5_506));
        assert_eq!([0.1, 0.3, 0.4, 0.9, 1.0].map(|share| counts.within_ms(share)), [1, 2, 4, 128, 8_192].map(Some));
        counts.note(70_000, true);
        assert_eq!((counts.within_ms(0.5), counts.within_ms(1.0)), (Some(128), None), "beyond what is told apart");
        assert_eq!(CallCounts::buckets_from_text(&counts.buckets_to_text()).unwrap(), counts.buckets);
    }
}
