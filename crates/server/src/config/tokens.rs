//! Section `tokens`: how long credentials live and what protects the door.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::report::redact;
use super::{ConfigError, Environment, bound};
use crate::auth::{KeyError, SigningAlgorithm, SigningKey};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokensConfig {
    /// How access tokens are signed: `HS256` (default), `RS256`, `ES256` or `EdDSA`. The public halves of the last three are at
    /// `/.well-known/jwks.json`, so that other programs can verify our tokens. `JWT_ALGORITHM`.
    pub algorithm: SigningAlgorithm,
    /// Key that signs access tokens: for HS256 at least 32 bytes, for the others a private key as PEM, with `\n` for ends of
    /// lines if need be. Default: generated once for HS256 and kept in the store. `JWT_SECRET_KEY` only, never the file.
    #[serde(skip_deserializing, serialize_with = "redact")]
    pub secret_key: Option<SecretString>,
    /// A second key whose tokens are accepted, of any of the algorithms: the next one while nodes are told of it, the last one
    /// until its tokens have expired. `JWT_SECRET_KEY_OTHER` only, never the file.
    #[serde(skip_deserializing, serialize_with = "redact")]
    pub secret_key_other: Option<SecretString>,
    /// Life of an access token; seconds, default 3,600, 10..=2,592,000. `JWT_EXPIRATION_HOURS` is in hours.
    pub access_ttl_s: u64,
    /// Life of a refresh token since it was issued; seconds, default 30 days, `access_ttl_s` (at least 60)..=31,536,000.
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
            algorithm: SigningAlgorithm::default(),
            secret_key: None,
            secret_key_other: None,
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
        if let Some(name) = environment.text("JWT_ALGORITHM") {
            let found = SigningAlgorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name);
            let expected = || "HS256, RS256, ES256 or EdDSA".to_owned();
            self.algorithm = found.ok_or_else(|| ConfigError::Variable {
                name: "JWT_ALGORITHM",
                value: name.to_owned(),
                expected: expected(),
            })?;
        }
        for (name, key) in
            [("JWT_SECRET_KEY", &mut self.secret_key), ("JWT_SECRET_KEY_OTHER", &mut self.secret_key_other)]
        {
            if let Some(secret) = environment.text(name) {
                *key = Some(SecretString::from(secret));
            }
        }
        if let Some(hours) = environment.number("JWT_EXPIRATION_HOURS", 1, 720)? {
            self.access_ttl_s = hours * 3_600;
        }
        Ok(())
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.check_keys()?;
        let section = "tokens";
        bound((10..=2_592_000).contains(&self.access_ttl_s), section, "access_ttl_s", "10 to 2592000")?;
        // An ended sign-in is remembered as long as its refresh token would have lived.
        let is_longer = (self.access_ttl_s.max(60)..=31_536_000).contains(&self.refresh_ttl_s);
        bound(is_longer, section, "refresh_ttl_s", "access_ttl_s (at least 60) to 31536000")?;
        bound((1..=100).contains(&self.failures_max), section, "failures_max", "1 to 100")?;
        bound((100..=3_600_000).contains(&self.lock_ms), section, "lock_ms", "100 to 3600000")?;
        let is_ordered = (self.lock_ms..=86_400_000).contains(&self.lock_ms_max);
        bound(is_ordered, section, "lock_ms_max", "lock_ms to 86400000")?;
        bound((1..=64).contains(&self.hashes_max), section, "hashes_max", "1 to 64")
    }

    /// Reads each key as the algorithm wants it.
    fn check_keys(&self) -> Result<(), ConfigError> {
        let wrong = |name: &'static str, error: &KeyError| ConfigError::Variable {
            name,
            value: "…".to_owned(),
            expected: error.to_string(),
        };
        match &self.secret_key {
            Some(key) => {
                SigningKey::read(self.algorithm, key).map_err(|error| wrong("JWT_SECRET_KEY", &error))?;
            }
            None if self.algorithm != SigningAlgorithm::HS256 => {
                let expected = format!("set to a private key as PEM, for {}", self.algorithm.name());
                return Err(ConfigError::Variable { name: "JWT_SECRET_KEY", value: String::new(), expected });
            }
            None => (),
        }
        if let Some(other) = &self.secret_key_other {
            SigningKey::recognize(other).map_err(|error| wrong("JWT_SECRET_KEY_OTHER", &error))?;
        }
        Ok(())
    }
}
