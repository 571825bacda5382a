//! Section `alerts`: what is told to whom.

use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::report::redact;
use super::{ConfigError, Environment, bound};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertsConfig {
    /// Time between two looks at what alerts are about; milliseconds, default 10,000, 100..=600,000.
    pub every_ms: u64,
    /// Age of a device's oldest waiting edit from which its outbox counts as stuck; milliseconds, default 3,600,000,
    /// 1,000..=604,800,000.
    pub outbox_stuck_ms: u64,
    /// How long the share of conflicts or of failed requests must be too high until that is told; milliseconds, default 120,000,
    /// 0..=3,600,000.
    pub rates_pending_ms: u64,
    /// How long it must be good again until that is told; milliseconds, default 300,000, 0..=3,600,000.
    pub rates_clear_ms: u64,
    /// Where alerts are posted when they begin and end: `https://…`. Default: nowhere, they are in the log and the console;
    /// with `pagerduty`, PagerDuty's own address. `ALERTS_WEBHOOK_URL`.
    #[serde(serialize_with = "redact")]
    pub webhook_url: Option<SecretString>,
    /// `json`, a shape of our own, or `pagerduty`, the Events API v2; default `json`. `ALERTS_FORMAT`.
    pub format: AlertFormat,
    /// PagerDuty's integration key. `PAGERDUTY_ROUTING_KEY`.
    #[serde(serialize_with = "redact")]
    pub pagerduty_key: Option<SecretString>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertFormat {
    #[default]
    Json,
    Pagerduty,
}

const PAGERDUTY_URL: &str = "https://events.pagerduty.com/v2/enqueue";

impl Default for AlertsConfig {
    fn default() -> Self {
        Self {
            every_ms: 10_000,
            outbox_stuck_ms: 3_600_000,
            rates_pending_ms: 120_000,
            rates_clear_ms: 300_000,
            webhook_url: None,
            format: AlertFormat::Json,
            pagerduty_key: None,
        }
    }
}

impl AlertsConfig {
    /// Where to post; `None`: nowhere.
    pub fn url(&self) -> Option<String> {
        let own = self.webhook_url.as_ref().map(|url| url.expose_secret().to_owned());
        own.or_else(|| (self.format == AlertFormat::Pagerduty).then(|| PAGERDUTY_URL.to_owned()))
    }

    pub(super) fn apply_environment(&mut self, environment: &Environment) -> Result<(), ConfigError> {
        if let Some(url) = environment.text("ALERTS_WEBHOOK_URL") {
            self.webhook_url = Some(SecretString::from(url));
        }
        if let Some(key) = environment.text("PAGERDUTY_ROUTING_KEY") {
            self.pagerduty_key = Some(SecretString::from(key));
        }
        if let Some(text) = environment.text("ALERTS_FORMAT") {
            self.format = match text.to_ascii_lowercase().as_str() {
                "json" => AlertFormat::Json,
                "pagerduty" => AlertFormat::Pagerduty,
                other => {
                    let expected = "json or pagerduty".to_owned();
                    return Err(ConfigError::Variable { name: "ALERTS_FORMAT", value: other.to_owned(), expected });
                }
            };
        }
        Ok(())
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let section = "alerts";
        bound((100..=600_000).contains(&self.every_ms), section, "every_ms", "100 to 600000")?;
        let is_age = (1_000..=604_800_000).contains(&self.outbox_stuck_ms);
        bound(is_age, section, "outbox_stuck_ms", "1000 to 604800000")?;
        for (key, time_ms) in [("rates_pending_ms", self.rates_pending_ms), ("rates_clear_ms", self.rates_clear_ms)] {
            bound(time_ms <= 3_600_000, section, key, "0 to 3600000")?;
        }
        let is_url =
            |url: &str| Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let is_address = self.webhook_url.as_ref().is_none_or(|url| is_url(url.expose_secret()));
        bound(is_address, section, "webhook_url", "an address that begins with https:// or http://")?;
        let has_key = self.format != AlertFormat::Pagerduty || self.pagerduty_key.is_some();
        bound(has_key, section, "pagerduty_key", "given where the format is pagerduty")
    }
}
