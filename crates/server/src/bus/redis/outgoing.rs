//! What waits to go out: hints, which may be lost, and revocations, which may not.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use syncline_core::id::WorkspaceId;
use syncline_core::{Seq, TimestampMs};
use uuid::Uuid;

use crate::bus::{REVOCATIONS_KEPT_MS, REVOCATIONS_MAX, Revoked};

/// Workspaces with a hint that waits. Beyond: dropped.
pub(super) const HINTS_WAITING_MAX: usize = 16_384;

#[derive(Default)]
pub(super) struct Hints {
    seq_by_workspace: Mutex<BTreeMap<WorkspaceId, Seq>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Put {
    Waits,
    Coalesced,
    Dropped,
}

impl Hints {
    pub fn put(&self, workspace_id: &WorkspaceId, seq: Seq) -> Put {
        let mut hints = lock(&self.seq_by_workspace);
        if let Some(newest) = hints.get_mut(workspace_id) {
            *newest = seq.max(*newest);
            return Put::Coalesced;
        }
        if hints.len() >= HINTS_WAITING_MAX {
            return Put::Dropped;
        }
        hints.insert(workspace_id.clone(), seq);
        Put::Waits
    }

    /// These could not be sent; newer ones win.
    pub fn put_back(&self, hints: Vec<(WorkspaceId, Seq)>) {
        for (workspace_id, seq) in hints {
            self.put(&workspace_id, seq);
        }
    }

    pub fn take(&self, max: usize) -> Vec<(WorkspaceId, Seq)> {
        let mut hints = lock(&self.seq_by_workspace);
        std::iter::from_fn(|| hints.pop_first()).take(max).collect()
    }
}

/// The revocations of this node, until all nodes have had the time to find them.
#[derive(Default)]
pub(super) struct Ledger {
    own: Mutex<VecDeque<Own>>,
}

struct Own {
    revoked: Revoked,
    is_published: bool,
}

impl Ledger {
    /// Beyond [`REVOCATIONS_MAX`], and after [`REVOCATIONS_KEPT_MS`], the oldest is left to the database.
    pub fn put(&self, revoked: Revoked, now: TimestampMs) {
        let mut own = lock(&self.own);
        own.push_back(Own { revoked, is_published: false });
        while own.len() > REVOCATIONS_MAX || own.front().is_some_and(|own| is_old(&own.revoked, now)) {
            own.pop_front();
        }
    }

    pub fn published(&self, id: Uuid) {
        if let Some(own) = lock(&self.own).iter_mut().rev().find(|own| own.revoked.id == id) {
            own.is_published = true;
        }
    }

    /// Up to `max` of those that wait, oldest first.
    pub fn waiting(&self, max: usize) -> Vec<Revoked> {
        lock(&self.own).iter().filter(|own| !own.is_published).take(max).map(|own| own.revoked.clone()).collect()
    }

    /// Redis has these of the last [`REVOCATIONS_KEPT_MS`]; what is not among them is published again.
    pub fn compare(&self, ids: &HashSet<Uuid>, now: TimestampMs) {
        let mut own = lock(&self.own);
        own.retain(|own| !is_old(&own.revoked, now));
        own.iter_mut().for_each(|own| own.is_published = ids.contains(&own.revoked.id));
    }
}

fn is_old(revoked: &Revoked, now: TimestampMs) -> bool {
    revoked.at_ms.saturating_add(REVOCATIONS_KEPT_MS) < now
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::Revocation;

    #[test]
    fn hub_8_of_each_workspace_only_the_newest_hint_waits() {
        let hints = Hints::default();
        let workspace = |number: usize| WorkspaceId::new(format!("w{number}")).unwrap();
        assert_eq!(hints.put(&workspace(0), 5), Put::Waits);
        assert_eq!(hints.put(&workspace(0), 4), Put::Coalesced);
        for number in 1..HINTS_WAITING_MAX {
            assert_eq!(hints.put(&workspace(number), 1), Put::Waits);
        }
        assert_eq!(hints.put(&workspace(HINTS_WAITING_MAX), 1), Put::Dropped);
        assert_eq!(hints.take(1), [(workspace(0), 5)]);
        assert_eq!(hints.take(usize::MAX).len(), HINTS_WAITING_MAX - 1);
    }

    #[test]
    fn auth_3_what_redis_lost_is_published_again() {
        let ledger = Ledger::default();
        let revoked = |id: u128, at_ms| Revoked {
            id: Uuid::from_u128(id),
            workspace_id: WorkspaceId::new("acme").unwrap(),
            at_ms,
            revocation: Revocation::Access { user_id: None },
        };
        ledger.put(revoked(1, 10), 10);
        ledger.put(revoked(2, 20), 20);
        ledger.published(Uuid::from_u128(1));
        assert_eq!(ledger.waiting(9), [revoked(2, 20)]);
        ledger.compare(&HashSet::from([Uuid::from_u128(2)]), 20);
        assert_eq!(ledger.waiting(9), [revoked(1, 10)]);
        ledger.put(revoked(3, REVOCATIONS_KEPT_MS), 15 + REVOCATIONS_KEPT_MS);
        ledger.compare(&HashSet::new(), 15 + REVOCATIONS_KEPT_MS);
        assert_eq!(ledger.waiting(9), [revoked(2, 20), revoked(3, REVOCATIONS_KEPT_MS)], "the first is too old");
    }
}
