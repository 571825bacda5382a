//! Section `rates`: how often a caller may ask, over the whole deployment.

use serde::{Deserialize, Serialize};

use super::{ConfigError, Environment, bound};
use crate::bus::RatePolicy;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RatesConfig {
    /// Whether requests are limited at all; default true. `RATE_LIMIT_ENABLED`.
    pub is_enabled: bool,
    /// Requests a minute of everybody without a credential at one address, refilled evenly; default 60, 1..=1,000,000. More:
    /// 429 `rate_limited`. An IPv6 network of 64 bits counts as one address. `RATE_LIMIT_PER_MINUTE`.
    pub anonymous_per_minute: u32,
    /// Requests that may come at once after a rest; default 10, 1..=100,000. `RATE_LIMIT_BURST`.
    pub anonymous_burst: u32,
    /// Requests a minute of one signed-in user; default 3,000, 1..=1,000,000. `RATE_LIMIT_USER_PER_MINUTE`.
    pub user_per_minute: u32,
    /// Requests of one signed-in user at once; default 300, 1..=100,000. `RATE_LIMIT_USER_BURST`.
    pub user_burst: u32,
    /// WebSockets that one address may open a minute; default 600, 1..=1,000,000. A browser's shows its credential only once
    /// it is open, so an office behind one address comes as one.
    pub socket_per_minute: u32,
    /// WebSockets of one address at once; default 300, 1..=100,000.
    pub socket_burst: u32,
    /// Whether programs on the server's own machine are limited too; default false. What comes from there through a proxy
    /// is always limited: name the proxy in `edge.trusted_proxies`, or all its clients count as one.
    pub is_loopback_limited: bool,
}

impl Default for RatesConfig {
    fn default() -> Self {
        Self {
            is_enabled: true,
            anonymous_per_minute: 60,
            anonymous_burst: 10,
            user_per_minute: 3_000,
            user_burst: 300,
            socket_per_minute: 600,
            socket_burst: 300,
            is_loopback_limited: false,
        }
    }
}

impl RatesConfig {
    pub fn anonymous(&self) -> RatePolicy {
        RatePolicy { per_minute: self.anonymous_per_minute, burst: self.anonymous_burst }
    }
    pub fn user(&self) -> RatePolicy {
        RatePolicy { per_minute: self.user_per_minute, burst: self.user_burst }
    }
    pub fn socket(&self) -> RatePolicy {
        RatePolicy { per_minute: self.socket_per_minute, burst: self.socket_burst }
    }

    pub(super) fn apply_environment(&mut self, environment: &Environment) -> Result<(), ConfigError> {
        if let Some(is_enabled) = environment.flag("RATE_LIMIT_ENABLED")? {
            self.is_enabled = is_enabled;
        }
        let settings = [
            ("RATE_LIMIT_PER_MINUTE", 1_000_000, &mut self.anonymous_per_minute),
            ("RATE_LIMIT_BURST", 100_000, &mut self.anonymous_burst),
            ("RATE_LIMIT_USER_PER_MINUTE", 1_000_000, &mut self.user_per_minute),
            ("RATE_LIMIT_USER_BURST", 100_000, &mut self.user_burst),
        ];
        for (name, max, setting) in settings {
            if let Some(number) = environment.number(name, 1, max)? {
                *setting = u32::try_from(number).unwrap_or(u32::MAX);
            }
        }
        Ok(())
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let rates = [
            ("anonymous_per_minute", self.anonymous_per_minute),
            ("user_per_minute", self.user_per_minute),
            ("socket_per_minute", self.socket_per_minute),
        ];
        for (key, rate) in rates {
            bound((1..=1_000_000).contains(&rate), "rates", key, "1 to 1000000")?;
        }
        let bursts = [
            ("anonymous_burst", self.anonymous_burst),
            ("user_burst", self.user_burst),
            ("socket_burst", self.socket_burst),
        ];
        for (key, burst) in bursts {
            bound((1..=100_000).contains(&burst), "rates", key, "1 to 100000")?;
        }
        Ok(())
    }
}
