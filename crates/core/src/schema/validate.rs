//! Brings values to their canonical form or says what was expected instead.
//!
//! Who may write a field (server-only, role, immutable) is the engine's business; here only the value counts.

use super::json::{self, ItemRule};
use super::{Entity, Field, FieldType, Strategy, formats, number, time};
use crate::{Fields, Name, Value};

/// A value, or the lack of one, that the schema refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", .field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default())]
pub struct Invalid {
    pub field: Option<Name>,
    /// What was expected, for a person.
    pub message: String,
}

impl FieldType {
    /// The canonical form of a plain value (of a set: the array; of a counter: the number). `null` is not a value of any
    /// type. Errors say what is expected. Idempotent: a canonical value comes back unchanged, without a copy.
    pub fn canonical(&self, value: Value) -> Result<Value, String> {
        match self {
            FieldType::Text { max_len, format } => {
                let text = text(value)?;
                check_length(&text, *max_len)?;
                let text = match format {
                    None => text,
                    Some(format) => formats::canonical(format, text)?,
                };
                Ok(Value::String(text))
            }
            FieldType::Choice { choices } => match value.as_str() {
                Some(word) if choices.iter().any(|choice| choice == word) => Ok(value),
                _ => Err(format!("expected one of {}", choices.join(", "))),
            },
            FieldType::Integer { min, max } => number::integer(&value, *min, *max),
            FieldType::Decimal { precision, scale, min, max } => {
                let bounds = number::Bounds { min: min.as_deref(), max: max.as_deref() };
                number::decimal(value, *precision, *scale, bounds)
            }
            FieldType::Boolean if value.is_boolean() => Ok(value),
            FieldType::Boolean => Err("expected true or false".to_owned()),
            FieldType::Date => time::date(value),
            FieldType::Timestamp => time::timestamp(value),
            FieldType::Uuid => json::uuid(value),
            FieldType::Json { max_bytes } => json::canonical(value, *max_bytes),
            FieldType::Set { items, max_items, max_len } => {
                json::set(value, ItemRule { items: *items, max_items: *max_items, max_len: *max_len })
            }
            FieldType::Counter => number::integer(&value, -number::EXACT_MAX, number::EXACT_MAX),
        }
    }
}

impl Entity {
    /// The fields of a new record: canonical, without nulls, with defaults filled in. Refuses unknown fields, values that
    /// do not fit, and missing required fields. O(fields of the entity), no allocation for values that are canonical.
    pub fn canonical_create(&self, mut fields: Fields) -> Result<Fields, Invalid> {
        fields.retain(|_, value| !value.is_null());
        for (name, value) in &mut fields {
            let canonical = self.known(name)?.canonical_new(self, value.take());
            *value = canonical.map_err(|message| refuse(name, message))?;
        }
        let defaults = self.defaults_for(&fields);
        fields.extend(defaults);
        self.check_required(&fields)?;
        Ok(fields)
    }

    /// The fields of an update in canonical form. `null` clears and is refused for required fields. Sets become
    /// `{"add": [..], "remove": [..]}` with both members, or stay an array; counters stay `{"inc": n}` or a number; fields
    /// merged by key keep an object whose `null` members remove their key (spec VAL-2).
    pub fn canonical_update(&self, mut fields: Fields) -> Result<Fields, Invalid> {
        for (name, value) in &mut fields {
            let field = self.known(name)?;
            if !value.is_null() {
                *value = field.canonical_patch(self, value.take()).map_err(|message| refuse(name, message))?;
            } else if field.is_required {
                return Err(refuse(name, "is required and cannot be cleared".to_owned()));
            }
        }
        Ok(fields)
    }

    /// Whether a merged record may be stored (spec RUL-1): required fields have a value, and what merging can make grow
    /// (sets, JSON merged by key, counters) is still within its limits. `fields` hold canonical values.
    pub fn check_merged(&self, fields: &Fields) -> Result<(), Invalid> {
        for (name, value) in fields {
            let checked = match &self.known(name)?.kind {
                FieldType::Set { max_items, .. } => json::check_size(value, *max_items),
                FieldType::Json { max_bytes } => json::check_bytes(value, *max_bytes),
                FieldType::Counter => number::integer(value, -number::EXACT_MAX, number::EXACT_MAX).map(drop),
                FieldType::Text { .. }
                | FieldType::Choice { .. }
                | FieldType::Integer { .. }
                | FieldType::Decimal { .. }
                | FieldType::Boolean
                | FieldType::Date
                | FieldType::Timestamp
                | FieldType::Uuid => Ok(()),
            };
            checked.map_err(|message| refuse(name, message))?;
        }
        self.check_required(fields)
    }

    fn known(&self, name: &Name) -> Result<&Field, Invalid> {
        self.fields.get(name).ok_or_else(|| refuse(name, format!("unknown field of {}", self.name)))
    }

    fn check_required(&self, fields: &Fields) -> Result<(), Invalid> {
        let mut required = self.fields.values().filter(|field| field.is_required);
        match required.find(|field| fields.get(&field.name).is_none_or(Value::is_null)) {
            Some(field) => Err(refuse(&field.name, "is required".to_owned())),
            None => Ok(()),
        }
    }
}

impl Field {
    fn canonical_new(&self, entity: &Entity, value: Value) -> Result<Value, String> {
        match entity.group_of(self).strategy {
            Strategy::MergeKeys => self.kind.canonical(json::without_null_members(value)?),
            Strategy::MostRestrictiveWins => self.kind.canonical(json::flags(json::without_null_members(value)?)?),
            _ => self.kind.canonical(value),
        }
    }

    fn canonical_patch(&self, entity: &Entity, value: Value) -> Result<Value, String> {
        match (&self.kind, &entity.group_of(self).strategy) {
            (FieldType::Set { items, max_items, max_len }, _) => {
                json::set_patch(value, ItemRule { items: *items, max_items: *max_items, max_len: *max_len })
            }
            (FieldType::Counter, _) => number::counter_patch(value),
            (_, Strategy::MergeKeys) => self.kind.canonical(json::object(value)?),
            (_, Strategy::MostRestrictiveWins) => self.kind.canonical(json::flags(json::object(value)?)?),
            (kind, _) => kind.canonical(value),
        }
    }
}

/// A text without NUL.
pub(super) fn text(value: Value) -> Result<String, String> {
    match value {
        Value::String(text) if text.contains('\0') => Err(json::NUL.to_owned()),
        Value::String(text) => Ok(text),
        _ => Err("expected text".to_owned()),
    }
}

fn check_length(text: &str, max_len: u32) -> Result<(), String> {
    let max = max_len as usize;
    // A character is at least one byte: counting is needed only for longer texts.
    if text.len() > max && text.chars().count() > max {
        return Err(format!("expected at most {max_len} characters"));
    }
    Ok(())
}

fn refuse(field: &Name, message: String) -> Invalid {
    Invalid { field: Some(field.clone()), message }
}
