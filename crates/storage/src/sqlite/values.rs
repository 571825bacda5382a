//! Field values as column values and back, exactly (spec STO-3).

use rusqlite::types::{ToSqlOutput, Value as Owned, ValueRef};
use syncline_core::schema::FieldType;
use syncline_core::storage::StoreResult;
use syncline_core::{Value, id::RecordId};

use super::error::corrupt;

/// How a field's values lie in its column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ColumnKind {
    /// Texts, choices, UUIDs, dates, timestamps and decimals: TEXT as canonical.
    Text,
    Integer,
    /// INTEGER 0 or 1.
    Boolean,
    /// JSON and sets: TEXT, compact JSON with sorted keys.
    Json,
}

impl ColumnKind {
    pub(super) fn of(kind: &FieldType) -> Self {
        match kind {
            FieldType::Text { .. }
            | FieldType::Choice { .. }
            | FieldType::Decimal { .. }
            | FieldType::Date
            | FieldType::Timestamp
            | FieldType::Uuid => Self::Text,
            FieldType::Integer { .. } | FieldType::Counter => Self::Integer,
            FieldType::Boolean => Self::Boolean,
            FieldType::Json { .. } | FieldType::Set { .. } => Self::Json,
        }
    }

    /// Type of the column in a STRICT table.
    pub(super) fn sql_type(self) -> &'static str {
        match self {
            Self::Text | Self::Json => "TEXT",
            Self::Integer | Self::Boolean => "INTEGER",
        }
    }

    /// `None`: not a value of this kind. No value is NULL.
    pub(super) fn encode(self, value: Option<&Value>) -> Option<ToSqlOutput<'_>> {
        let Some(value) = value.filter(|value| !value.is_null()) else {
            return Some(ToSqlOutput::Owned(Owned::Null));
        };
        match self {
            Self::Text => value.as_str().map(|text| ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes()))),
            Self::Integer => value.as_i64().map(|number| ToSqlOutput::Owned(Owned::Integer(number))),
            Self::Boolean => value.as_bool().map(|flag| ToSqlOutput::Owned(Owned::Integer(flag.into()))),
            Self::Json => Some(ToSqlOutput::Owned(Owned::Text(value.to_string()))),
        }
    }

    /// `None` for NULL.
    pub(super) fn decode(self, stored: ValueRef<'_>) -> StoreResult<Option<Value>> {
        let value = match (self, stored) {
            (_, ValueRef::Null) => return Ok(None),
            (Self::Text, ValueRef::Text(text)) => Value::String(utf8(text)?.to_owned()),
            (Self::Integer, ValueRef::Integer(number)) => Value::from(number),
            (Self::Boolean, ValueRef::Integer(number @ 0..=1)) => Value::Bool(number == 1),
            (Self::Json, ValueRef::Text(text)) => json(text)?,
            (_, other) => return Err(corrupt(format!("a {self:?} column holds {:?}", other.data_type()))),
        };
        Ok(Some(value))
    }
}

/// Whether a stored column value is the one an encoded value would store.
pub(super) fn is_same(stored: ValueRef<'_>, encoded: &ToSqlOutput<'_>) -> bool {
    match encoded {
        ToSqlOutput::Borrowed(value) => stored == *value,
        ToSqlOutput::Owned(value) => stored == ValueRef::from(value),
        _ => false,
    }
}

pub(super) fn json<'a, T: serde::Deserialize<'a>>(text: &'a [u8]) -> StoreResult<T> {
    serde_json::from_slice(text).map_err(|error| corrupt(format!("stored JSON does not decode: {error}")))
}

pub(super) fn utf8(text: &[u8]) -> StoreResult<&str> {
    std::str::from_utf8(text).map_err(|error| corrupt(format!("stored text is not UTF-8: {error}")))
}

/// A number for a column. Seqs, counts and times stay far below 2^63.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn record_id(stored: ValueRef<'_>) -> StoreResult<RecordId> {
    match stored {
        ValueRef::Blob(bytes) => match bytes.try_into() {
            Ok(bytes) => Ok(RecordId::from_u128(u128::from_be_bytes(bytes))),
            Err(_) => Err(corrupt(format!("a record id of {} bytes", bytes.len()))),
        },
        ValueRef::Text(text) => utf8(text)?.parse().map_err(|error| corrupt(format!("a record id: {error}"))),
        other => Err(corrupt(format!("a record id is {:?}", other.data_type()))),
    }
}

/// A UUID as hyphenated text without allocating.
pub(super) struct IdText([u8; 36]);

impl IdText {
    pub(super) fn new(id: RecordId) -> Self {
        let mut buffer = [0; 36];
        id.0.hyphenated().encode_lower(&mut buffer);
        Self(buffer)
    }
}

impl rusqlite::ToSql for IdText {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(&self.0)))
    }
}
