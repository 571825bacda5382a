//! Messages between people, devices and programs: what they are, and who may send which (spec §20).
//!
//! A message is not data: it is delivered, acknowledged and forgotten, and no replica holds it. Policy is in [`plan`];
//! which types there are is in [`types`].

mod plan;
mod types;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

pub use plan::{Draft, Refusal, SendPlan, Sender, plan_send};
pub use types::{MessageType, MessageTypes, Persistence, Reach, TTL_MS_MAX, TargetKind, TypeError};

use crate::id::{DeviceId, MessageId, UserId};
use crate::principal::DeploymentMode;
use crate::{Name, TimestampMs, Value};

/// How urgent a message is. Of what waits for a device the most urgent goes first, and within one priority what was stored
/// first (spec MSG-5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    Critical,
    High,
    Normal,
    Low,
}

impl Priority {
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Normal, Self::Low];

    /// 0 for the most urgent.
    pub fn rank(self) -> u8 {
        match self {
            Self::Critical => 0,
            Self::High => 1,
            Self::Normal => 2,
            Self::Low => 3,
        }
    }

    pub fn from_rank(rank: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.rank() == rank)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}

/// Whom a message is for: on the wire an object with exactly one of these members.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", try_from = "WireTarget")]
pub enum Target {
    /// Every device of a person.
    User(UserId),
    Device(DeviceId),
    /// Every device of this deployment mode.
    Mode(DeploymentMode),
    /// Who listens to it now.
    Topic(Topic),
    /// Every device; always `true`.
    Workspace(True),
}

/// As it is read: serde's own word for an object with too few or too many members would be that it is no JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireTarget {
    user: Option<UserId>,
    device: Option<DeviceId>,
    mode: Option<DeploymentMode>,
    topic: Option<Topic>,
    workspace: Option<True>,
}

impl TryFrom<WireTarget> for Target {
    type Error = &'static str;
    fn try_from(wire: WireTarget) -> Result<Self, Self::Error> {
        let WireTarget { user, device, mode, topic, workspace } = wire;
        let all = [
            user.map(Self::User),
            device.map(Self::Device),
            mode.map(Self::Mode),
            topic.map(Self::Topic),
            workspace.map(Self::Workspace),
        ];
        let mut given = all.into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(target), None) => Ok(target),
            (None | Some(_), _) => Err("a target has exactly one of user, device, mode, topic and workspace"),
        }
    }
}

impl Target {
    pub const WORKSPACE: Self = Self::Workspace(True);

    pub fn kind(&self) -> TargetKind {
        match self {
            Self::User(_) => TargetKind::User,
            Self::Device(_) => TargetKind::Device,
            Self::Mode(_) => TargetKind::Mode,
            Self::Topic(_) => TargetKind::Topic,
            Self::Workspace(_) => TargetKind::Workspace,
        }
    }
}

/// The value `true`: an object that names the whole workspace says nothing more about it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "bool", into = "bool")]
pub struct True;

impl TryFrom<bool> for True {
    type Error = &'static str;
    fn try_from(value: bool) -> Result<Self, Self::Error> {
        if value { Ok(Self) } else { Err("`workspace` as a target is always true") }
    }
}

impl From<True> for bool {
    fn from(_: True) -> Self {
        true
    }
}

/// Name of a topic: 1 to 128 of `a-z 0-9 _ - . : /`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "SmolStr", into = "SmolStr")]
pub struct Topic(SmolStr);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a topic is 1 to 128 of a-z, 0-9 and _ - . : /")]
pub struct InvalidTopic;

/// Bytes of a topic's name.
pub const TOPIC_BYTES_MAX: usize = 128;

impl Topic {
    pub fn new(text: impl Into<SmolStr>) -> Result<Self, InvalidTopic> {
        let text = text.into();
        let is_part = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.:/".contains(&b);
        let is_valid = (1..=TOPIC_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_part);
        if is_valid { Ok(Self(text)) } else { Err(InvalidTopic) }
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<SmolStr> for Topic {
    type Error = InvalidTopic;
    fn try_from(text: SmolStr) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl From<Topic> for SmolStr {
    fn from(topic: Topic) -> Self {
        topic.0
    }
}

/// A target as one text, as it stands in a database column: `user:<id>`, `device:<id>`, `mode:<mode>`, `topic:<name>`,
/// `workspace`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::Device(id) => write!(f, "device:{id}"),
            Self::Mode(mode) => write!(f, "mode:{}", mode.as_str()),
            Self::Topic(topic) => write!(f, "topic:{}", topic.as_str()),
            Self::Workspace(True) => f.write_str("workspace"),
        }
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a target of a message")]
pub struct InvalidTarget(String);

impl FromStr for Target {
    type Err = InvalidTarget;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidTarget(text.to_owned());
        match text.split_once(':') {
            None if text == "workspace" => Ok(Self::WORKSPACE),
            Some(("user", id)) => id.parse().map(Self::User).map_err(|_| invalid()),
            Some(("device", id)) => id.parse().map(Self::Device).map_err(|_| invalid()),
            Some(("mode", mode)) => DeploymentMode::from_text(mode).map(Self::Mode).ok_or_else(invalid),
            Some(("topic", name)) => Topic::new(name).map(Self::Topic).map_err(|_| invalid()),
            Some(_) | None => Err(invalid()),
        }
    }
}

/// Who sent a message, as its receivers are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Origin {
    pub user_id: UserId,
    pub device_id: DeviceId,
}

/// A message whose sending is permitted, on its way to the store.
#[derive(Clone, PartialEq, Debug)]
pub struct NewMessage {
    pub id: MessageId,
    pub from: Origin,
    pub message_type: Name,
    pub to: Target,
    pub priority: Priority,
    /// JSON text.
    pub payload: String,
    pub sent_ms: TimestampMs,
    pub expires_ms: TimestampMs,
}

impl NewMessage {
    /// Whether this is the other one, sent again (spec MSG-3).
    pub fn is_same(&self, other: &Self) -> bool {
        let content = |message: &Self| (message.id, message.from.user_id, message.payload.clone());
        content(self) == content(other) && self.message_type == other.message_type && self.to == other.to
    }
}

/// A message as its receivers and its sender see it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Message {
    pub id: MessageId,
    pub message_type: Name,
    pub from: Origin,
    pub to: Target,
    pub priority: Priority,
    pub payload: Value,
    pub sent_ms: TimestampMs,
    pub expires_ms: TimestampMs,
}

/// What became of a message, as its sender is told. Each follows the one before; a later one implies the former.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptState {
    /// On the server's disk; will be delivered.
    Stored,
    /// Written to a socket of the device.
    Delivered,
    /// The device has said that it has it.
    Acknowledged,
    /// Its time ran out before the device had it.
    Expired,
}

/// Of one message, and of one device unless it is only stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Receipt {
    pub id: MessageId,
    pub state: ReceiptState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<DeviceId>,
    /// When it came to that state, by the server's clock.
    pub at_ms: TimestampMs,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn msg_1_a_target_has_exactly_one_member_and_one_text() {
        let id = "019aa4b0-7c00-7000-8000-0000000000d1";
        let table = [
            (json!({"user": id}), format!("user:{id}")),
            (json!({"device": id}), format!("device:{id}")),
            (json!({"mode": "web_app"}), "mode:web_app".to_owned()),
            (json!({"topic": "leads/hot"}), "topic:leads/hot".to_owned()),
            (json!({"workspace": true}), "workspace".to_owned()),
        ];
        for (wire, text) in table {
            let target: Target = serde_json::from_value(wire.clone()).unwrap();
            assert_eq!(target.to_string(), text);
            assert_eq!(text.parse(), Ok(target.clone()));
            assert_eq!(serde_json::to_value(&target).unwrap(), wire);
        }
        let wrong = [
            json!({}),
            json!({"user": id, "device": id}),
            json!({"workspace": false}),
            json!({"mode": "toaster"}),
            json!({"topic": ""}),
            json!({"topic": "A"}),
            json!({"topic": "x".repeat(129)}),
            json!("workspace"),
        ];
        for wire in wrong {
            assert!(serde_json::from_value::<Target>(wire.clone()).is_err(), "{wire}");
        }
        assert!("user:nobody".parse::<Target>().is_err() && "planet:earth".parse::<Target>().is_err());
    }

    #[test]
    fn msg_5_priorities_have_an_order() {
        assert!(Priority::Critical < Priority::High && Priority::Normal < Priority::Low);
        for priority in Priority::ALL {
            assert_eq!(Priority::from_rank(priority.rank()), Some(priority));
            assert_eq!(serde_json::to_value(priority).unwrap(), priority.as_str());
        }
        assert_eq!(Priority::from_rank(4), None);
    }
}
