//! Section `analytics`: how long it is known what devices did.

use serde::{Deserialize, Serialize};

use super::{ConfigError, bound};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AnalyticsConfig {
    /// How long connections that have ended, and sums of what devices did and how long it took, are kept; days, default 90,
    /// 1..=3,650.
    pub retention_days: u64,
}

impl Default for AnalyticsConfig {
    fn default() -> Self {
        Self { retention_days: 90 }
    }
}

impl AnalyticsConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        bound((1..=3_650).contains(&self.retention_days), "analytics", "retention_days", "1 to 3650")
    }
}
