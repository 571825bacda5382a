//! What another service tells becomes a mutation ([`RecordMapping`]) or a message to people ([`MessageMapping`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use syncline_core::Name;
use syncline_core::id::MessageId;
use syncline_core::messages::{Draft, MessageTypes, Persistence, Priority, Target};
use syncline_core::schema::Schema;
use syncline_storage::sqlite::Webhook;
use uuid::Uuid;

use super::incoming::{FIELDS_MAX, MappingError, RecordMapping, check_pointer, shown};

/// A mapping with `message_type` makes messages, any other mutations.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum Mapping {
    Record(RecordMapping),
    Message(MessageMapping),
}

/// By hand, so that what is wrong is told of the kind that was meant.
impl<'de> Deserialize<'de> for Mapping {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let mapping = match value.get("message_type") {
            Some(_) => serde_json::from_value(value).map(Self::Message),
            None => serde_json::from_value(value).map(Self::Record),
        };
        mapping.map_err(serde::de::Error::custom)
    }
}

/// Which message is sent, and to whom. Its author is whoever made the webhook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageMapping {
    /// Of a type that is stored.
    #[schema(value_type = String)]
    pub message_type: Name,
    /// As of a message of one's own: `{"user": "…"}`, `{"workspace": true}` and so on.
    #[schema(value_type = Object)]
    pub to: Target,
    /// Members of the payload, and where in what is told their values are: JSON pointers such as `/data/email`. What is not
    /// there is left out.
    pub payload: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub priority: Option<Priority>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
}

impl Mapping {
    /// Refuses what the schema, or the list of message types, does not know.
    pub fn check(&self, schema: &Schema, types: &MessageTypes) -> Result<(), MappingError> {
        match self {
            Self::Record(mapping) => mapping.check(schema),
            Self::Message(mapping) => mapping.check(types),
        }
    }
}

impl MessageMapping {
    fn check(&self, types: &MessageTypes) -> Result<(), MappingError> {
        let name = || shown(&self.message_type);
        let kind = types.get(&self.message_type).ok_or_else(|| MappingError::MessageType(name()))?;
        if kind.persistence == Persistence::Live {
            // What is told again under the same id is sent once, which takes a memory.
            return Err(MappingError::Live(name()));
        }
        if !kind.targets.contains(&self.to.kind()) {
            return Err(MappingError::Target(name()));
        }
        if self.payload.is_empty() || self.payload.len() > FIELDS_MAX {
            return Err(MappingError::Size);
        }
        self.payload.values().try_for_each(|pointer| check_pointer(pointer))
    }

    /// The message that is sent. `told_id`: what is told again under the same id is the same message.
    pub fn draft(&self, hook: &Webhook, told_id: &str, told: &Value) -> Draft {
        let payload: Map<String, Value> = self
            .payload
            .iter()
            .filter_map(|(member, pointer)| Some((member.clone(), told.pointer(pointer)?.clone())))
            .collect();
        Draft {
            id: MessageId(Uuid::new_v5(&hook.id, told_id.as_bytes())),
            message_type: self.message_type.clone(),
            to: self.to.clone(),
            payload: Value::Object(payload),
            priority: self.priority,
            ttl_ms: self.ttl_ms,
        }
    }
}
