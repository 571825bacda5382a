//! Section `messages`: what may be sent, and how it is kept and delivered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use syncline_core::messages::{MessageType, MessageTypes};
use syncline_storage::messages::MessageLimits;

use super::{ConfigError, bound};
use crate::bus::RatePolicy;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct MessagesConfig {
    /// Message types beside the built-in `note`, `notice`, `alert` and `signal`, or in their place: a table
    /// `[messages.types.NAME]` for each with `targets` (of `user`, `device`, `mode`, `topic`, `workspace`), `least_rank` (of
    /// the sender's role; default 0), `reach` (`teams` or `workspace`; default `teams`), `persistence` (`stored` or `live`;
    /// default `stored`), `priority` and `priority_max` (`critical`, `high`, `normal`, `low`; default `normal`), `ttl_ms`
    /// (default 7 days), `ttl_ms_max` (default 30 days, at most 90), `payload_bytes_max` (default 16,384, at most 65,536).
    pub types: BTreeMap<String, MessageType>,
    /// Messages kept in one workspace, history and dead letters included; default 1,000,000, 1,000..=100,000,000. More are
    /// refused with `overloaded` until older ones are forgotten.
    pub kept_max: u64,
    /// Percent of `kept_max` that may be messages of one sender; default 10, 1..=100. More are refused with `overloaded`.
    pub sender_kept_percent: u8,
    /// Messages that one sender may have stored per minute; default 3,000, 1..=1,000,000. More are refused with
    /// `rate_limited`.
    pub sends_per_minute: u32,
    /// Messages that one sender may have stored at once after a rest; default 2,000, 1..=1,000,000.
    pub sends_burst: u32,
    /// How long a message is kept for the history once its time is over; milliseconds, default 30 days,
    /// 60,000..=31,536,000,000.
    pub history_ms: u64,
    /// Time a device has to acknowledge before a message comes again on the same connection, doubled each time; milliseconds,
    /// default 30,000, 100..=600,000.
    pub ack_timeout_ms: u64,
    /// Batches of messages and acknowledgements that wait for the store; default 1,024, 16..=100,000. More wait for up to 5 s
    /// and are then refused with `unavailable`.
    pub queue_max: usize,
}

impl Default for MessagesConfig {
    fn default() -> Self {
        Self {
            types: BTreeMap::new(),
            kept_max: 1_000_000,
            sender_kept_percent: 10,
            sends_per_minute: 3_000,
            sends_burst: 2_000,
            history_ms: 30 * 86_400_000,
            ack_timeout_ms: 30_000,
            queue_max: 1_024,
        }
    }
}

impl MessagesConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let section = "messages";
        bound((1_000..=100_000_000).contains(&self.kept_max), section, "kept_max", "1000 to 100000000")?;
        bound((1..=100).contains(&self.sender_kept_percent), section, "sender_kept_percent", "1 to 100")?;
        bound((1..=1_000_000).contains(&self.sends_per_minute), section, "sends_per_minute", "1 to 1000000")?;
        bound((1..=1_000_000).contains(&self.sends_burst), section, "sends_burst", "1 to 1000000")?;
        bound((60_000..=31_536_000_000).contains(&self.history_ms), section, "history_ms", "60000 to 31536000000")?;
        bound((100..=600_000).contains(&self.ack_timeout_ms), section, "ack_timeout_ms", "100 to 600000")?;
        bound((16..=100_000).contains(&self.queue_max), section, "queue_max", "16 to 100000")?;
        self.message_types().map(drop)
    }

    /// The built-in types with the declared ones above them.
    pub fn message_types(&self) -> Result<MessageTypes, ConfigError> {
        MessageTypes::with(&self.types).map_err(|error| ConfigError::Bounds {
            section: "messages",
            key: "types",
            expected: error.to_string(),
        })
    }

    pub fn limits(&self) -> MessageLimits {
        let sender_kept_max = (self.kept_max * u64::from(self.sender_kept_percent) / 100).max(1);
        MessageLimits { kept_max: self.kept_max, sender_kept_max, ..MessageLimits::default() }
    }

    /// How fast one sender may have messages stored.
    pub fn sends(&self) -> RatePolicy {
        RatePolicy { per_minute: self.sends_per_minute, burst: self.sends_burst }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtr_2_types_are_declared_in_the_configuration() {
        let text = "[types.ping]\ntargets = [\"device\"]\nreach = \"workspace\"\npersistence = \"live\"\nttl_ms = 5000";
        let config: MessagesConfig = toml::from_str(text).unwrap();
        config.check().unwrap();
        let types = config.message_types().unwrap();
        assert_eq!(types.get("ping").unwrap().ttl_ms, 5_000);
        assert!(types.get("note").is_some(), "the built-in ones stay");
        let wrong = "[types.ping]\ntargets = []";
        let error = toml::from_str::<MessagesConfig>(wrong).unwrap().check().unwrap_err();
        assert!(error.to_string().contains("message type `ping`: `targets` names"), "{error}");
        assert!(toml::from_str::<MessagesConfig>("[types.ping]\ntargets = [\"device\"]\ncolour = 1").is_err());
    }
}
