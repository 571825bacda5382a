//! Section `audit`: how long it is known who did what.

use serde::{Deserialize, Serialize};

use super::{ConfigError, bound};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditConfig {
    /// How long sign-ins, refusals and what administrators did are kept; days, default 365, 1..=3,650. Older entries are forgotten; the
    /// hash of the last of them stays, so that the rest can still be verified.
    pub retention_days: u64,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self { retention_days: 365 }
    }
}

impl AuditConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        bound((1..=3_650).contains(&self.retention_days), "audit", "retention_days", "1 to 3650")
    }
}
