//! Section `tls`: TLS 1.3 by the server itself, where no proxy ends it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ConfigError, Environment, bound};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// Certificate of the server and those that lead to its authority, in PEM; default: none, the server speaks plain HTTP. A new
    /// file is taken up without a restart. `TLS_CERT_FILE`.
    pub cert_file: Option<PathBuf>,
    /// The certificate's private key in PEM (PKCS #8, SEC 1 or PKCS #1). `TLS_KEY_FILE`.
    pub key_file: Option<PathBuf>,
    /// Time a client has for the handshake; milliseconds, default 10,000, 100..=60,000. Then it is cut off.
    pub handshake_timeout_ms: u64,
    /// Pause between two looks at the files; milliseconds, default 10,000, 100..=3,600,000.
    pub reload_every_ms: u64,
    /// Time for which browsers are told to use TLS alone (`Strict-Transport-Security`); seconds, default 31,536,000, 0..=63,072,000.
    /// 0: they are told nothing.
    pub hsts_s: u64,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            cert_file: None,
            key_file: None,
            handshake_timeout_ms: 10_000,
            reload_every_ms: 10_000,
            hsts_s: 31_536_000,
        }
    }
}

impl TlsConfig {
    /// Whether the server speaks TLS.
    pub fn is_on(&self) -> bool {
        self.cert_file.is_some()
    }

    /// Beginning of the server's addresses.
    pub fn scheme(&self) -> &'static str {
        if self.is_on() { "https" } else { "http" }
    }

    pub(super) fn apply_environment(&mut self, environment: &Environment) -> Result<(), ConfigError> {
        if let Some(path) = environment.text("TLS_CERT_FILE") {
            self.cert_file = Some(PathBuf::from(path));
        }
        if let Some(path) = environment.text("TLS_KEY_FILE") {
            self.key_file = Some(PathBuf::from(path));
        }
        Ok(())
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let section = "tls";
        let are_both = self.cert_file.is_some() == self.key_file.is_some();
        bound(are_both, section, "key_file", "name a certificate and its key, or neither")?;
        bound((100..=60_000).contains(&self.handshake_timeout_ms), section, "handshake_timeout_ms", "100 to 60000")?;
        bound((100..=3_600_000).contains(&self.reload_every_ms), section, "reload_every_ms", "100 to 3600000")?;
        bound(self.hsts_s <= 63_072_000, section, "hsts_s", "0 to 63072000")
    }
}
