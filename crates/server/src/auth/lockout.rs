//! Lockout after repeated failures: the same for addresses that have an account and those that have none.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use moka::sync::Cache;
use sha2::{Digest as _, Sha256};
use syncline_core::TimestampMs;
use tokio::sync::OwnedMutexGuard;

use crate::config::TokensConfig;

/// Addresses without an account that are remembered; beyond, the oldest locks go first.
const UNKNOWN_MAX: usize = 10_000;
/// Addresses whose checks wait for one another; beyond, those longest unused are forgotten.
const ATTEMPTS_MAX: u64 = 10_000;

/// How long an account is locked after so many failures in a row.
#[derive(Clone, Copy, Debug)]
pub struct LockPolicy {
    failures_max: u32,
    lock_ms: u64,
    lock_ms_max: u64,
}

impl LockPolicy {
    pub fn new(config: &TokensConfig) -> Self {
        Self { failures_max: config.failures_max, lock_ms: config.lock_ms, lock_ms_max: config.lock_ms_max }
    }

    /// Until when (ms) to lock after the `failures`-th failure at `now`; 0: not. Each further failure doubles it.
    pub fn locked_until(&self, failures: u32, now: TimestampMs) -> TimestampMs {
        let Some(beyond) = failures.checked_sub(self.failures_max) else { return 0 };
        let factor = 1_u64.checked_shl(beyond).unwrap_or(u64::MAX).max(1);
        now.saturating_add(self.lock_ms.saturating_mul(factor).min(self.lock_ms_max))
    }
}

/// Failures of addresses that have no account, so that being locked says nothing about having one. In memory only.
#[derive(Default)]
pub struct UnknownAddresses {
    by_hash: Mutex<HashMap<[u8; 32], (u32, TimestampMs)>>,
}

impl UnknownAddresses {
    /// Until when (ms) the address is locked; 0: not.
    pub fn locked_until(&self, folded_email: &str) -> TimestampMs {
        let by_hash = self.by_hash.lock().unwrap_or_else(PoisonError::into_inner);
        by_hash.get(&hash(folded_email)).map_or(0, |(_, until)| *until)
    }

    pub fn record_failure(&self, folded_email: &str, policy: &LockPolicy, now: TimestampMs) {
        let mut by_hash = self.by_hash.lock().unwrap_or_else(PoisonError::into_inner);
        if by_hash.len() >= UNKNOWN_MAX {
            by_hash.retain(|_, (_, until)| *until > now);
        }
        if by_hash.len() >= UNKNOWN_MAX {
            by_hash.clear();
        }
        let (failures, until) = by_hash.entry(hash(folded_email)).or_default();
        *failures = failures.saturating_add(1);
        *until = policy.locked_until(*failures, now);
    }
}

/// Checks of the passwords of one address, one after the other: each sees the failures of those before it, so that guesses
/// sent at once are no more than guesses sent in turn.
pub struct Attempts {
    by_hash: Cache<[u8; 32], Arc<tokio::sync::Mutex<()>>>,
}

impl Default for Attempts {
    fn default() -> Self {
        Self { by_hash: Cache::new(ATTEMPTS_MAX) }
    }
}

impl Attempts {
    /// Waits until nobody else's password of this address is being checked here. The turn ends with the guard.
    pub async fn turn(&self, folded_email: &str) -> OwnedMutexGuard<()> {
        let turns = self.by_hash.get_with(hash(folded_email), Arc::default);
        turns.lock_owned().await
    }
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_6_the_lock_doubles_with_each_further_failure_up_to_its_bound() {
        let policy = LockPolicy { failures_max: 3, lock_ms: 1_000, lock_ms_max: 5_000 };
        let locks: Vec<_> = (0..9).map(|failures| policy.locked_until(failures, 10)).collect();
        assert_eq!(locks, [0, 0, 0, 1_010, 2_010, 4_010, 5_010, 5_010, 5_010]);
        assert_eq!(policy.locked_until(u32::MAX, 10), 5_010);
    }

    #[test]
    fn auth_6_unknown_addresses_are_locked_alike_and_bounded() {
        let policy = LockPolicy { failures_max: 1, lock_ms: 1_000, lock_ms_max: 5_000 };
        let unknown = UnknownAddresses::default();
        assert_eq!(unknown.locked_until("a@b.c"), 0);
        unknown.record_failure("a@b.c", &policy, 10);
        assert_eq!(unknown.locked_until("a@b.c"), 1_010);
        for n in 0..2 * UNKNOWN_MAX {
            unknown.record_failure(&n.to_string(), &policy, 10);
        }
        assert!(unknown.by_hash.lock().unwrap().len() <= UNKNOWN_MAX);
    }
}
