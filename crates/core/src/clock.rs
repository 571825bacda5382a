//! When an edit was made, as far as the server believes it.

use crate::TimestampMs;

/// Returns the server's estimate of when a mutation was authored, in milliseconds since the Unix epoch.
///
/// `age_ms`: the device's now − edit time, both on its own clock, so a constant skew cancels out. The result lies in
/// `[min(base_committed_ms, received_ms), received_ms]` (spec CLK-2), so no device clock can win or lose by itself. O(1).
pub fn authored_at(age_ms: u64, base_committed_ms: TimestampMs, received_ms: TimestampMs) -> TimestampMs {
    received_ms.saturating_sub(age_ms).max(base_committed_ms).min(received_ms)
}

#[cfg(test)]
mod tests {
    use super::authored_at;

    #[test]
    fn clk_2_result_is_clamped_between_the_base_and_now() {
        assert_eq!(authored_at(100, 0, 1_000), 900);
        assert_eq!(authored_at(0, 0, 1_000), 1_000);
        assert_eq!(authored_at(u64::MAX, 400, 1_000), 400, "an absurd age cannot reach behind the base");
        assert_eq!(authored_at(10, 5_000, 1_000), 1_000, "a base from the future cannot push past now");
    }
}
