//! Section `bus`: what connects the nodes of one deployment.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::report::redact;
use super::{ConfigError, Environment, bound};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct BusConfig {
    /// Redis 7 or newer: `redis://[user:password@]host:port[/db]`, or `rediss://` with TLS; several addresses with commas
    /// between them are a Redis Cluster. Default: none, this node is alone. `REDIS_URL`.
    #[serde(serialize_with = "redact")]
    pub redis_url: Option<SecretString>,
    /// Password of Redis where the address has none. Default: none. `REDIS_PASSWORD`.
    #[serde(serialize_with = "redact")]
    pub redis_password: Option<SecretString>,
    /// Whether a single address belongs to a Redis Cluster; default false. `REDIS_CLUSTER`.
    pub is_cluster: bool,
    /// How every key and channel begins, so that deployments can share a Redis; default `syncline:`, 1 to 64 visible
    /// characters without braces. `REDIS_KEY_PREFIX`.
    pub key_prefix: String,
    /// Address under which other nodes and people know this one, for instance `10.0.0.7:8000`; default: where it listens,
    /// with the machine's name when that is every address. `SYNCLINE_NODE_ADDRESS`.
    pub node_address: Option<String>,
    /// Time Redis has for one answer; milliseconds, default 500, 20..=10,000. Then the node answers for itself.
    pub command_ms: u64,
    /// Time a connection to Redis may take; milliseconds, default 2,000, 50..=60,000. Then it is tried again.
    pub connect_ms: u64,
    /// Longest pause between two attempts to reach Redis; milliseconds, default 2,000, 10..=60,000. Each pause is drawn
    /// between 0 and a bound that doubles up to this.
    pub backoff_ms_max: u64,
    /// Time between two signs of life of a node, which also find what was missed; milliseconds, default 1,000, 50..=5,000.
    pub heartbeat_ms: u64,
    /// Silence after which a node and its presence are gone; milliseconds, default 15,000, 3 × `heartbeat_ms`..=600,000.
    pub node_ttl_ms: u64,
    /// Least time between two batches of hints; milliseconds, default 2, 0..=1,000. The first goes at once, and of each
    /// workspace only the newest.
    pub hint_gap_ms: u64,
}

impl Default for BusConfig {
    fn default() -> Self {
        Self {
            redis_url: None,
            redis_password: None,
            is_cluster: false,
            key_prefix: "syncline:".to_owned(),
            node_address: None,
            command_ms: 500,
            connect_ms: 2_000,
            backoff_ms_max: 2_000,
            heartbeat_ms: 1_000,
            node_ttl_ms: 15_000,
            hint_gap_ms: 2,
        }
    }
}

impl BusConfig {
    pub(super) fn apply_environment(&mut self, environment: &Environment) -> Result<(), ConfigError> {
        if let Some(url) = environment.text("REDIS_URL") {
            self.redis_url = Some(SecretString::from(url));
        }
        if let Some(password) = environment.text("REDIS_PASSWORD") {
            self.redis_password = Some(SecretString::from(password));
        }
        if let Some(is_cluster) = environment.flag("REDIS_CLUSTER")? {
            self.is_cluster = is_cluster;
        }
        if let Some(prefix) = environment.text("REDIS_KEY_PREFIX") {
            self.key_prefix = prefix.to_owned();
        }
        if let Some(address) = environment.text("SYNCLINE_NODE_ADDRESS") {
            self.node_address = Some(address.to_owned());
        }
        Ok(())
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let section = "bus";
        let expected =
            "redis://[user:password@]host:port[/db] or the same with rediss://, several with commas between them";
        bound(crate::bus::is_address(self), section, "redis_url", expected)?;
        let is_visible = |b: u8| b.is_ascii_graphic() && b != b'{' && b != b'}';
        let is_prefix = (1..=64).contains(&self.key_prefix.len()) && self.key_prefix.bytes().all(is_visible);
        bound(is_prefix, section, "key_prefix", "1 to 64 visible characters without braces")?;
        let is_address = self.node_address.as_ref().is_none_or(|address| (1..=255).contains(&address.len()));
        bound(is_address, section, "node_address", "1 to 255 bytes")?;
        bound((20..=10_000).contains(&self.command_ms), section, "command_ms", "20 to 10000")?;
        bound((50..=60_000).contains(&self.connect_ms), section, "connect_ms", "50 to 60000")?;
        bound((10..=60_000).contains(&self.backoff_ms_max), section, "backoff_ms_max", "10 to 60000")?;
        bound((50..=5_000).contains(&self.heartbeat_ms), section, "heartbeat_ms", "50 to 5000")?;
        let is_long = (3 * self.heartbeat_ms..=600_000).contains(&self.node_ttl_ms);
        bound(is_long, section, "node_ttl_ms", "3 × heartbeat_ms to 600000")?;
        bound(self.hint_gap_ms <= 1_000, section, "hint_gap_ms", "0 to 1000")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hub_8_a_password_of_redis_is_never_shown() {
        let variables = [("REDIS_URL", "redis://:hush@localhost"), ("REDIS_CLUSTER", "true")];
        let pairs = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut config = BusConfig::default();
        config.apply_environment(&Environment::from_pairs(pairs)).unwrap();
        config.check().unwrap();
        assert!(config.is_cluster && config.redis_url.is_some());
        assert!(!format!("{config:?}").contains("hush"));
    }
}
