//! What other services tell, as a mutation: a mapping says which entity, and where in the message each field is found. The
//! author is whoever made the webhook, with the permissions they have at that moment.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use syncline_core::change::Op;
use syncline_core::id::RecordId;
use syncline_core::schema::{Entity, Schema};
use syncline_core::storage::{Read, StoreResult};
use syncline_core::{Fields, Name};
use syncline_storage::sqlite::Webhook;

/// Fields of one mapping.
pub(super) const FIELDS_MAX: usize = 100;
/// Longest JSON pointer; bytes.
const POINTER_BYTES_MAX: usize = 256;

/// What becomes a mutation, and of which entity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordMapping {
    pub entity: String,
    pub action: Action,
    /// By which field of the entity a record is found, and where its value is in the message.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matching: Option<Matching>,
    /// Fields of the entity, and where their values are in the message: JSON pointers such as `/data/email`.
    pub fields: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Create,
    /// Of the one record that matches; none is an error.
    Update,
    /// An update where a record matches, otherwise a create.
    Upsert,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Matching {
    pub field: String,
    pub pointer: String,
}

/// What is wrong with a mapping or with a message, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    #[error("The schema has no entity `{0}`.")]
    Entity(String),
    #[error("The entity `{entity}` has no field `{field}`.")]
    Field { entity: String, field: String },
    #[error("A mapping names 1 to {FIELDS_MAX} fields.")]
    Size,
    #[error("`{0}` is no JSON pointer: write one such as `/data/email`.")]
    Pointer(String),
    #[error("`match` is needed for `update` and `upsert`, and a `create` has none.")]
    Matching,
    #[error("The message has nothing at `{0}`, by which the record is to be found.")]
    Key(String),
    #[error("No record has this value of `{0}`.")]
    NoRecord(String),
    #[error("Several records have this value of `{0}`.")]
    ManyRecords(String),
    #[error("There is no message type `{0}`; see `GET /api/messages/types`.")]
    MessageType(String),
    #[error(
        "Messages of type `{0}` are not stored, and what is told twice would be sent twice: name a type that is stored."
    )]
    Live(String),
    #[error("Messages of type `{0}` do not go to such a target; see `GET /api/messages/types`.")]
    Target(String),
    #[error("The field `{0}` has no index, so records cannot be found by it.")]
    Unindexed(String),
}

impl RecordMapping {
    /// Refuses what the schema does not know.
    pub fn check(&self, schema: &Schema) -> Result<(), MappingError> {
        let entity = schema.entity(&self.entity).ok_or_else(|| MappingError::Entity(shown(&self.entity)))?;
        if self.fields.is_empty() || self.fields.len() > FIELDS_MAX {
            return Err(MappingError::Size);
        }
        if self.matching.is_some() == (self.action == Action::Create) {
            return Err(MappingError::Matching);
        }
        let matched = self.matching.iter().map(|matching| (&matching.field, &matching.pointer));
        for (field, pointer) in self.fields.iter().chain(matched) {
            check_field(entity, field)?;
            check_pointer(pointer)?;
        }
        match &self.matching {
            Some(matching) if syncline_core::storage::require_index(schema, &self.entity, &matching.field).is_err() => {
                Err(MappingError::Unindexed(matching.field.clone()))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The op that a message becomes. `message_id`: the same message makes the same record; messages that are to find one
    /// record make the same one, too, when they come at once and none is there yet.
    pub fn op(
        &self,
        read: &dyn Read,
        hook: &Webhook,
        message_id: &str,
        message: &Value,
    ) -> StoreResult<Result<Op, MappingError>> {
        let fields: Fields = self
            .fields
            .iter()
            .filter_map(|(field, pointer)| Some((Name::from(field.as_str()), message.pointer(pointer)?.clone())))
            .collect();
        let found = match &self.matching {
            None => None,
            Some(matching) => match found(read, &self.entity, matching, message)? {
                Ok(found) => found,
                Err(error) => return Ok(Err(error)),
            },
        };
        let entity = Name::from(self.entity.as_str());
        let id_of = |key: &str| RecordId::natural(&hook.workspace_id, &self.entity, &format!("{}/{key}", hook.id));
        Ok(Ok(match (found, self.action) {
            (Some((id, base_rv)), _) => Op::Update { entity, id, base_rv, fields },
            (None, Action::Update) => {
                let field = self.matching.as_ref().map(|matching| matching.field.clone());
                return Ok(Err(MappingError::NoRecord(field.unwrap_or_default())));
            }
            (None, Action::Create | Action::Upsert) => {
                let wanted = self.matching.as_ref().and_then(|Matching { field, pointer }| {
                    Some(id_of(&format!("{field}={}", message.pointer(pointer)?)))
                });
                // A record that was made for this value once and has another one now keeps its id.
                let id = match wanted {
                    Some(id) if read.record(&self.entity, id)?.is_none() => id,
                    Some(_) | None => id_of(message_id),
                };
                Op::Create { id, entity, fields }
            }
        }))
    }
}

type Found = Option<(RecordId, u64)>;

fn found(
    read: &dyn Read,
    entity: &str,
    matching: &Matching,
    message: &Value,
) -> StoreResult<Result<Found, MappingError>> {
    let Some(value) = message.pointer(&matching.pointer).filter(|value| !value.is_null()) else {
        return Ok(Err(MappingError::Key(matching.pointer.clone())));
    };
    let ids = read.find(entity, &matching.field, value, 2)?;
    match ids.as_slice() {
        [] => Ok(Ok(None)),
        [id] => Ok(Ok(read.record(entity, *id)?.map(|record| (record.id, record.rv)))),
        _ => Ok(Err(MappingError::ManyRecords(matching.field.clone()))),
    }
}

fn check_field(entity: &Entity, field: &str) -> Result<(), MappingError> {
    match entity.fields.contains_key(field) {
        true => Ok(()),
        false => Err(MappingError::Field { entity: entity.name.to_string(), field: shown(field) }),
    }
}

pub(super) fn check_pointer(pointer: &str) -> Result<(), MappingError> {
    let is_pointer = pointer.starts_with('/') && pointer.len() <= POINTER_BYTES_MAX;
    if is_pointer { Ok(()) } else { Err(MappingError::Pointer(shown(pointer))) }
}

pub(super) fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}
