//! Message types: what may be sent, by whom, to whom, how urgent, for how long. Declared in the configuration.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Priority;
use crate::Name;

/// One kind of message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageType {
    /// Least rank of the sender's role (`[roles]` of the schema); 0: any member.
    #[serde(default)]
    pub least_rank: u8,
    /// Kinds of target it may be sent to; at least one.
    pub targets: Vec<TargetKind>,
    /// How far it goes from a sender who does not see the whole workspace.
    #[serde(default)]
    pub reach: Reach,
    #[serde(default)]
    pub persistence: Persistence,
    /// When the sender does not say.
    #[serde(default = "normal")]
    pub priority: Priority,
    /// The most urgent a sender may ask for; the default priority when it is less urgent than that.
    #[serde(default = "normal")]
    pub priority_max: Priority,
    /// Time to live when the sender does not say; milliseconds.
    #[serde(default = "a_week")]
    pub ttl_ms: u64,
    /// Longest time to live; milliseconds, at most [`TTL_MS_MAX`].
    #[serde(default = "a_month")]
    pub ttl_ms_max: u64,
    /// Longest payload as JSON text; bytes, at most [`PAYLOAD_BYTES_MAX`].
    #[serde(default = "sixteen_kib")]
    pub payload_bytes_max: usize,
}

/// Longest time to live of any message: 90 days in milliseconds.
pub const TTL_MS_MAX: u64 = 90 * DAY_MS;
/// Largest payload of any message as JSON text.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024;
/// Types that may be declared.
pub const TYPES_MAX: usize = 64;
const DAY_MS: u64 = 86_400_000;

fn normal() -> Priority {
    Priority::Normal
}
fn a_week() -> u64 {
    7 * DAY_MS
}
fn a_month() -> u64 {
    30 * DAY_MS
}
fn sixteen_kib() -> usize {
    16 * 1024
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    User,
    Device,
    Mode,
    Topic,
    Workspace,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Oneself and people of one's own teams; not a mode, a topic or the workspace.
    #[default]
    Teams,
    /// Everybody in the workspace.
    Workspace,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Persistence {
    /// On disk before the sender has a receipt, delivered at least once.
    #[default]
    Stored,
    /// For who is connected at this moment; nobody else, and not again.
    Live,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("message type `{name}`: {reason}")]
pub struct TypeError {
    pub name: String,
    pub reason: &'static str,
}

/// The types of a server by name: the built-in ones, and those that its configuration adds or replaces.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MessageTypes(BTreeMap<Name, MessageType>);

impl Default for MessageTypes {
    fn default() -> Self {
        Self(built_in().into_iter().map(|(name, kind)| (Name::new_static(name), kind)).collect())
    }
}

impl MessageTypes {
    /// The built-in types with `declared` above them.
    pub fn with(declared: &BTreeMap<String, MessageType>) -> Result<Self, TypeError> {
        let mut types = Self::default();
        for (name, kind) in declared {
            kind.check(name)?;
            types.0.insert(Name::new(name), kind.clone());
        }
        let is_too_many = types.0.len() > TYPES_MAX;
        if is_too_many { Err(TypeError { name: String::new(), reason: "there may be at most 64" }) } else { Ok(types) }
    }

    pub fn get(&self, name: &str) -> Option<&MessageType> {
        self.0.get(name)
    }

    /// In name order.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &MessageType)> {
        self.0.iter()
    }
}

impl MessageType {
    fn check(&self, name: &str) -> Result<(), TypeError> {
        let is_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let topic_is_stored = self.persistence == Persistence::Stored && self.targets.contains(&TargetKind::Topic);
        let table = [
            (!(1..=64).contains(&name.len()) || !name.bytes().all(is_name), "its name is 1 to 64 of a-z, 0-9 and _"),
            (self.targets.is_empty(), "`targets` names at least one kind of target"),
            (topic_is_stored, "only a type with persistence `live` may go to a topic"),
            (self.priority < self.priority_max, "`priority` is more urgent than `priority_max`"),
            (!(1..=TTL_MS_MAX).contains(&self.ttl_ms_max), "`ttl_ms_max` is 1 to 7776000000 (90 days)"),
            (!(1..=self.ttl_ms_max).contains(&self.ttl_ms), "`ttl_ms` is 1 to `ttl_ms_max`"),
            (!(2..=PAYLOAD_BYTES_MAX).contains(&self.payload_bytes_max), "`payload_bytes_max` is 2 to 65536"),
        ];
        match table.into_iter().find(|(is_wrong, _)| *is_wrong) {
            Some((_, reason)) => Err(TypeError { name: name.to_owned(), reason }),
            None => Ok(()),
        }
    }
}

/// What most deployments need. Ranks are those of the default schema: viewer 10, agent 30, manager 40, admin 50.
fn built_in() -> [(&'static str, MessageType); 4] {
    use TargetKind::{Device, Mode, Topic, User, Workspace};
    let stored = MessageType {
        least_rank: 0,
        targets: vec![User, Device],
        reach: Reach::Teams,
        persistence: Persistence::Stored,
        priority: Priority::Normal,
        priority_max: Priority::High,
        ttl_ms: a_week(),
        ttl_ms_max: a_month(),
        payload_bytes_max: sixteen_kib(),
    };
    let wide = vec![User, Device, Mode, Workspace];
    [
        // One person to another.
        ("note", MessageType { least_rank: 20, ..stored.clone() }),
        // From those who lead to those concerned.
        ("notice", MessageType { least_rank: 40, targets: wide.clone(), reach: Reach::Workspace, ..stored.clone() }),
        // What must not wait.
        (
            "alert",
            MessageType {
                least_rank: 50,
                targets: wide,
                reach: Reach::Workspace,
                priority: Priority::Critical,
                priority_max: Priority::Critical,
                ttl_ms: DAY_MS,
                ..stored.clone()
            },
        ),
        // What is worth nothing a moment later: typing, pointing, calling.
        (
            "signal",
            MessageType {
                least_rank: 10,
                targets: vec![User, Device, Topic],
                reach: Reach::Workspace,
                persistence: Persistence::Live,
                ttl_ms: 60_000,
                ttl_ms_max: 60_000,
                payload_bytes_max: 4 * 1024,
                ..stored
            },
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn msg_2_the_built_in_types_keep_their_own_rules() {
        let types = MessageTypes::default();
        assert_eq!(
            types.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["alert", "note", "notice", "signal"]
        );
        for (name, kind) in types.iter() {
            assert_eq!(kind.check(name), Ok(()));
        }
    }

    #[test]
    fn msg_2_a_declaration_that_contradicts_itself_is_refused() {
        let good = MessageTypes::default().get("note").unwrap().clone();
        let reason = |name: &str, kind: MessageType| {
            MessageTypes::with(&BTreeMap::from([(name.to_owned(), kind)])).err().map(|error| error.reason)
        };
        assert_eq!(reason("note", good.clone()), None);
        let wrong = [
            ("Note", good.clone(), "its name"),
            ("a", MessageType { targets: Vec::new(), ..good.clone() }, "`targets`"),
            ("a", MessageType { targets: vec![TargetKind::Topic], ..good.clone() }, "only a type with"),
            ("a", MessageType { priority: Priority::Critical, ..good.clone() }, "`priority` is"),
            ("a", MessageType { ttl_ms: 0, ..good.clone() }, "`ttl_ms` is"),
            ("a", MessageType { ttl_ms_max: TTL_MS_MAX + 1, ..good.clone() }, "`ttl_ms_max`"),
            ("a", MessageType { payload_bytes_max: PAYLOAD_BYTES_MAX + 1, ..good.clone() }, "`payload_bytes_max`"),
        ];
        for (name, kind, expected) in wrong {
            let found = reason(name, kind).unwrap_or("");
            assert!(found.starts_with(expected), "{expected}: {found}");
        }
        let many = (0..TYPES_MAX).map(|number| (format!("t{number}"), good.clone())).collect();
        assert!(MessageTypes::with(&many).is_err());
    }
}
