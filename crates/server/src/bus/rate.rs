//! Rate limits: the generic cell rate algorithm (ATM Forum TM 4.0, §4.4.2), as a pure function, as a map of one node, and
//! with the same arithmetic as a script in Redis (`redis/limit.lua`).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::message::Reach;
use crate::clock;

/// Keys one node counts while Redis is away. Beyond: those at rest are forgotten, and if none is, all are.
pub const RATE_KEYS_MAX: usize = 100_000;

/// How much one key may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RatePolicy {
    /// Refilled per minute, evenly; at least 1.
    pub per_minute: u32,
    /// Available at once after a rest; at least 1.
    pub burst: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateDecision {
    pub is_allowed: bool,
    /// Units still available at once.
    pub remaining: u32,
    /// Milliseconds until the same would be allowed; 0 when it is.
    pub retry_ms: u64,
    /// Milliseconds until the whole burst is available again.
    pub reset_ms: u64,
    /// `Degraded`: counted by this node alone.
    pub reach: Reach,
}

impl RatePolicy {
    /// Microseconds in which one unit is refilled; at least 1.
    pub(super) fn interval_us(self) -> u64 {
        (60_000_000 / u64::from(self.per_minute.max(1))).max(1)
    }
    pub(super) fn burst(self) -> u64 {
        u64::from(self.burst.max(1))
    }
    /// Costs of more than the burst could never be paid and count as the burst.
    pub(super) fn cost(self, cost: u32) -> u64 {
        u64::from(cost).min(self.burst())
    }
}

/// Decides for a key whose allowance is whole again at `full_at_us`. Returns the decision and the new `full_at_us`.
fn decide(full_at_us: u64, now_us: u64, policy: RatePolicy, cost: u32) -> (RateDecision, u64) {
    let interval_us = policy.interval_us();
    let allowance_us = interval_us * policy.burst();
    let debt_us = full_at_us.saturating_sub(now_us).min(allowance_us);
    let wanted_us = debt_us + interval_us * policy.cost(cost);
    let is_allowed = wanted_us <= allowance_us;
    let debt_us = if is_allowed { wanted_us } else { debt_us };
    let decision = RateDecision::from_debt(policy, is_allowed, debt_us, wanted_us);
    (RateDecision { reach: Reach::Degraded, ..decision }, now_us + debt_us)
}

impl RateDecision {
    /// `debt_us`: time until the allowance is whole again; `wanted_us`: what that time would be, had it been given.
    pub(super) fn from_debt(policy: RatePolicy, is_allowed: bool, debt_us: u64, wanted_us: u64) -> Self {
        let allowance_us = policy.interval_us() * policy.burst();
        let remaining = allowance_us.saturating_sub(debt_us) / policy.interval_us();
        Self {
            is_allowed,
            remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
            retry_ms: wanted_us.saturating_sub(allowance_us).div_ceil(1_000),
            reset_ms: debt_us.div_ceil(1_000),
            reach: Reach::Deployment,
        }
    }
}

/// The counts of one node.
pub(super) struct NodeRates {
    started: Instant,
    full_at_us_by_key: Mutex<HashMap<String, u64>>,
}

impl Default for NodeRates {
    fn default() -> Self {
        Self { started: clock::instant(), full_at_us_by_key: Mutex::default() }
    }
}

impl NodeRates {
    /// O(1); at the limit of keys once O(keys).
    pub fn take(&self, key: &str, policy: RatePolicy, cost: u32) -> RateDecision {
        let now_us = clock::instant().saturating_duration_since(self.started).as_micros();
        let now_us = u64::try_from(now_us).unwrap_or(u64::MAX);
        let mut keys = self.full_at_us_by_key.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= RATE_KEYS_MAX && !keys.contains_key(key) {
            keys.retain(|_, full_at_us| *full_at_us > now_us);
            if keys.len() >= RATE_KEYS_MAX {
                keys.clear();
            }
        }
        let full_at_us = keys.get(key).copied().unwrap_or(0);
        let (decision, full_at_us) = decide(full_at_us, now_us, policy, cost);
        keys.insert(key.to_owned(), full_at_us);
        decision
    }

    /// Forgets every count.
    pub fn clear(&self) {
        self.full_at_us_by_key.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 60 per minute, 3 at once: one unit per second.
    const POLICY: RatePolicy = RatePolicy { per_minute: 60, burst: 3 };

    #[test]
    fn api_6_a_burst_then_one_per_interval() {
        // (now in ms, cost, allowed, remaining, retry_ms)
        let table = [
            (0, 1, true, 2, 0),
            (0, 1, true, 1, 0),
            (0, 1, true, 0, 0),
            (0, 1, false, 0, 1_000),
            (400, 1, false, 0, 600),
            (1_000, 1, true, 0, 0),
            (3_000, 3, false, 2, 1_000),
            (4_000, 3, true, 0, 0),
            (4_000, 9, false, 0, 3_000),
            (1_000_000, 1, true, 2, 0),
        ];
        let mut full_at_us = 0;
        for (at_ms, cost, is_allowed, remaining, retry_ms) in table {
            let (decision, full) = decide(full_at_us, at_ms * 1_000, POLICY, cost);
            full_at_us = full;
            let got = (decision.is_allowed, decision.remaining, decision.retry_ms);
            assert_eq!(got, (is_allowed, remaining, retry_ms), "at {at_ms} ms, {cost}");
        }
    }

    #[test]
    fn inv_10_the_keys_of_a_node_are_bounded() {
        let rates = NodeRates::default();
        for key in 0..RATE_KEYS_MAX + 10 {
            assert!(rates.take(&key.to_string(), POLICY, 1).is_allowed);
        }
        assert!(rates.full_at_us_by_key.lock().unwrap().len() <= RATE_KEYS_MAX);
    }
}
