//! Section `webhooks`: telling other services of changes, and being told by them.

use serde::{Deserialize, Serialize};

use super::{ConfigError, bound};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhooksConfig {
    /// Tell receivers in private networks and on this machine too; default false: whoever may add a webhook could otherwise ask what
    /// only this server reaches.
    pub is_private_allowed: bool,
    /// Time between two looks at the change log and at what is due; milliseconds, default 1,000, 50..=60,000.
    pub every_ms: u64,
    /// Time a receiver has to answer; milliseconds, default 10,000, 100..=60,000. Then the attempt has failed.
    pub timeout_ms: u64,
    /// Pause after the first failed attempt; milliseconds, default 5,000, 10..=3,600,000. Each further one is four times as long,
    /// up to 12 hours.
    pub retry_ms: u64,
    /// Attempts at one delivery; default 9, 1..=20. Then it is given up; by default after a day and a half.
    pub attempts_max: u64,
    /// Deliveries given up in a row until the webhook is switched off; default 5, 1..=1,000.
    pub failures_max: u64,
    /// How long ended deliveries are listed; days, default 30, 1..=365.
    pub retention_days: u64,
}

impl Default for WebhooksConfig {
    fn default() -> Self {
        Self {
            is_private_allowed: false,
            every_ms: 1_000,
            timeout_ms: 10_000,
            retry_ms: 5_000,
            attempts_max: 9,
            failures_max: 5,
            retention_days: 30,
        }
    }
}

impl WebhooksConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let section = "webhooks";
        bound((50..=60_000).contains(&self.every_ms), section, "every_ms", "50 to 60000")?;
        bound((100..=60_000).contains(&self.timeout_ms), section, "timeout_ms", "100 to 60000")?;
        bound((10..=3_600_000).contains(&self.retry_ms), section, "retry_ms", "10 to 3600000")?;
        bound((1..=20).contains(&self.attempts_max), section, "attempts_max", "1 to 20")?;
        bound((1..=1_000).contains(&self.failures_max), section, "failures_max", "1 to 1000")?;
        bound((1..=365).contains(&self.retention_days), section, "retention_days", "1 to 365")
    }
}
