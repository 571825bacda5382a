//! The one clock of the program. Everything else takes the time as an argument (design D18).

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use syncline_core::TimestampMs;

/// Returns the wall clock in milliseconds since the Unix epoch; 0 when the machine's clock stands before it.
#[expect(clippy::disallowed_methods, reason = "this is the one clock function of the program")]
pub fn now_ms() -> TimestampMs {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

/// Returns a monotonic moment, for measuring how long something took.
#[expect(clippy::disallowed_methods, reason = "this is the one clock function of the program")]
pub fn instant() -> Instant {
    Instant::now()
}
