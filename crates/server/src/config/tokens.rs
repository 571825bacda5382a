//! Section `tokens`: how long credentials live and what protects the door.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::report::redact;
use super::{ConfigError, Environment, bound};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokensConfig {
    /// Key that signs access tokens, at least 32 bytes; default: generated once and kept in the store.
    /// `JWT_SECRET_KEY` only, never the file.
    #[serde(skip_deserializing, serialize_with = "redact")]
    pub secret_key: Option<SecretString>,
    /// Life of an access token; seconds, default 3,600, 10..=2,592,000. `JWT_EXPIRATION_HOURS` is in hours.
    pub access_ttl_s: u64,
    /// Life of a refresh token since it was issued; seconds, default 30 days, 60..=31,536,000.
    pub refresh_ttl_s: u64,
    /// Failed sign-ins of one account before it is locked; default 5, 1..=100. Each further one doubles the lock.
    pub failures_max: u32,
    /// First lock after too many failed sign-ins; milliseconds, default 30,000, 100..=3,600,000.
    pub lock_ms: u64,
    /// Longest lock; milliseconds, default 3,600,000, `lock_ms`..=86,400,000.
    pub lock_ms_max: u64,
    /// Password hashes computed at a time; default 2, 1..=64. Each takes about 19 MiB. More wait.
    pub hashes_max: usize,
}

impl Default for TokensConfig {
    fn default() -> Self {
        Self {
            secret_key: None,
            access_ttl_s: 3_600,
            refresh_ttl_s: 30 * 86_400,
            failures_max: 5,
            lock_ms: 30_000,
            lock_ms_max: 3_600_000,
            hashes_max: 2,
        }
    }
}

impl TokensConfig {
    pub(super) fn apply_environment(&mut self, environment: &Environment) -> Result<(), ConfigError> {
        if let Some(secret) = environment.text("JWT_SECRET_KEY") {
            if secret.len() < 32 {
                let expected = "at least 32 bytes, for instance from `openssl rand -base64 48`".to_owned();
                return Err(ConfigError::Variable { name: "JWT_SECRET_KEY", value: "…".to_owned(), expected });
            }
            self.secret_key = Some(SecretString::from(secret));
        }
        if let Some(hours) = environment.number("JWT_EXPIRATION_HOURS", 1, 720)? {
            self.access_ttl_s = hours * 3_600;
        }
        Ok(())
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let section = "tokens";
        bound((10..=2_592_000).contains(&self.access_ttl_s), section, "access_ttl_s", "10 to 2592000")?;
        bound((60..=31_536_000).contains(&self.refresh_ttl_s), section, "refresh_ttl_s", "60 to 31536000")?;
        bound((1..=100).contains(&self.failures_max), section, "failures_max", "1 to 100")?;
        bound((100..=3_600_000).contains(&self.lock_ms), section, "lock_ms", "100 to 3600000")?;
        let is_ordered = (self.lock_ms..=86_400_000).contains(&self.lock_ms_max);
        bound(is_ordered, section, "lock_ms_max", "lock_ms to 86400000")?;
        bound((1..=64).contains(&self.hashes_max), section, "hashes_max", "1 to 64")
    }
}
