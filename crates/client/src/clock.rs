//! The one clock of the client. Everything else takes the time as an argument (design D18).

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use syncline_core::TimestampMs;

/// Environment variable that shifts the wall clock, in milliseconds of either sign: for tests of wrong device clocks.
const OFFSET_VARIABLE: &str = "SYNCLINE_CLOCK_OFFSET_MS";

static OFFSET_MS: LazyLock<i64> = LazyLock::new(|| {
    let text = std::env::var(OFFSET_VARIABLE).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
});

/// Returns the device's wall clock in milliseconds since the Unix epoch, shifted by `SYNCLINE_CLOCK_OFFSET_MS`.
#[expect(clippy::disallowed_methods, reason = "this is the one clock function of the client")]
pub fn now_ms() -> TimestampMs {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX).saturating_add_signed(*OFFSET_MS)
}

/// Returns milliseconds since this function was first called; never goes back.
#[expect(clippy::disallowed_methods, reason = "this is the one clock function of the client")]
pub(crate) fn monotonic_ms() -> u64 {
    static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(ORIGIN.elapsed().as_millis()).unwrap_or(u64::MAX)
}
