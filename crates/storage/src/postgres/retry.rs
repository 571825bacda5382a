//! Trying again: bounded, with growing and jittered pauses.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use syncline_core::storage::{StoreError, StoreResult};

const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What is left of the time that an operation may take.
pub(super) struct Patience {
    pauses: ExponentialBackoff,
    deadline: Instant,
}

impl Patience {
    pub(super) fn new(total_ms: u32) -> Self {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(PAUSE_MIN)
            .with_max_delay(PAUSE_MAX)
            .with_factor(2.0)
            .with_jitter()
            .without_max_times();
        Self { pauses: pauses.build(), deadline: now() + Duration::from_millis(total_ms.into()) }
    }

    /// Pauses this thread before the next try; `false`: the time is over.
    pub(super) fn pause(&mut self) -> bool {
        let pause = self.pauses.next().unwrap_or(PAUSE_MAX);
        if now() + pause >= self.deadline {
            return false;
        }
        std::thread::sleep(pause);
        true
    }

    /// As [`Patience::pause`]; when the time is over, `Unavailable` for `reason`.
    pub(super) fn pause_after(&mut self, reason: &str) -> StoreResult<()> {
        if self.pause() {
            return Ok(());
        }
        Err(StoreError::Unavailable(reason.to_owned()))
    }
}

#[expect(clippy::disallowed_methods, reason = "a monotonic deadline of this process; nothing stored depends on it")]
fn now() -> Instant {
    Instant::now()
}
