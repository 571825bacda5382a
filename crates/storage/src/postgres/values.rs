//! Field values as column values and back, exactly (spec STO-3).

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};
use syncline_core::Value;
use syncline_core::schema::FieldType;
use syncline_core::storage::StoreResult;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::error::{OrDamaged, corrupt};
use super::wire::Param;

/// How a field's values lie in its column. Each type gives back the canonical form it was written in: a `numeric` keeps its
/// fraction digits, a `json` its very text (`jsonb` would rewrite numbers and refuses U+0000).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ColumnKind {
    Text,
    Uuid,
    Integer,
    Boolean,
    Decimal,
    Date,
    Timestamp,
    /// JSON and sets: compact JSON with sorted keys.
    Json,
}

impl ColumnKind {
    pub(super) fn of(kind: &FieldType) -> Self {
        match kind {
            FieldType::Text { .. } | FieldType::Choice { .. } => Self::Text,
            FieldType::Uuid => Self::Uuid,
            FieldType::Decimal { .. } => Self::Decimal,
            FieldType::Date => Self::Date,
            FieldType::Timestamp => Self::Timestamp,
            FieldType::Integer { .. } | FieldType::Counter => Self::Integer,
            FieldType::Boolean => Self::Boolean,
            FieldType::Json { .. } | FieldType::Set { .. } => Self::Json,
        }
    }

    /// Type of the column, as `format_type` calls it.
    pub(super) fn sql_type(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Uuid => "uuid",
            Self::Integer => "bigint",
            Self::Boolean => "boolean",
            Self::Decimal => "numeric",
            Self::Date => "date",
            Self::Timestamp => "timestamp with time zone",
            Self::Json => "json",
        }
    }

    /// The expression that turns a value as it is sent into one of the column.
    pub(super) fn cast(self, sent: &str) -> String {
        match self {
            Self::Text | Self::Uuid | Self::Integer | Self::Boolean => sent.to_owned(),
            Self::Decimal | Self::Date | Self::Timestamp | Self::Json => format!("{sent}::{}", self.sql_type()),
        }
    }

    /// The expression that reads a column in the form that [`ColumnKind::decode`] expects, whatever the session's settings.
    pub(super) fn read(self, column: &str) -> String {
        match self {
            Self::Text | Self::Uuid | Self::Integer | Self::Boolean => column.to_owned(),
            Self::Decimal | Self::Json => format!("{column}::text"),
            Self::Date => format!("to_char({column}, 'YYYY-MM-DD')"),
            Self::Timestamp => format!("to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"),
        }
    }

    /// Sent as text that the server parses, and refuses when it is none of the type's values.
    pub(super) fn is_parsed(self) -> bool {
        matches!(self, Self::Decimal | Self::Date | Self::Timestamp | Self::Json)
    }

    /// An empty column of values to send.
    pub(super) fn values(self) -> Values {
        match self {
            Self::Uuid => Values::Uuid(Vec::new()),
            Self::Integer => Values::Integer(Vec::new()),
            Self::Boolean => Values::Boolean(Vec::new()),
            Self::Text | Self::Decimal | Self::Date | Self::Timestamp | Self::Json => Values::Text(Vec::new()),
        }
    }

    /// The text of a value that is sent as text. `None`: not a value of this kind.
    pub(super) fn text(self, value: &Value) -> Option<String> {
        match self {
            Self::Json => Some(value.to_string()),
            Self::Text => value.as_str().map(|text| escaped(text).into_owned()),
            _ => value.as_str().map(str::to_owned),
        }
    }

    /// `None` for NULL.
    pub(super) fn decode(self, row: &Row, position: usize) -> StoreResult<Option<Value>> {
        Ok(match self {
            Self::Uuid => row.try_get::<_, Option<Uuid>>(position).or_damaged()?.map(|id| Value::from(id.to_string())),
            Self::Integer => row.try_get::<_, Option<i64>>(position).or_damaged()?.map(Value::from),
            Self::Boolean => row.try_get::<_, Option<bool>>(position).or_damaged()?.map(Value::from),
            Self::Text => text_at(row, position)?.map(|text| Value::from(unescaped(text).into_owned())),
            Self::Decimal | Self::Date | Self::Timestamp => text_at(row, position)?.map(Value::from),
            Self::Json => text_at(row, position)?.map(json).transpose()?,
        })
    }
}

fn text_at(row: &Row, position: usize) -> StoreResult<Option<&str>> {
    row.try_get(position).or_damaged()
}

/// One column of the rows of a statement.
pub(super) enum Values {
    Text(Vec<Option<String>>),
    Uuid(Vec<Option<Uuid>>),
    Integer(Vec<Option<i64>>),
    Boolean(Vec<Option<bool>>),
}

impl Values {
    /// Appends a value; no value is NULL. False: not a value of this kind.
    pub(super) fn push(&mut self, kind: ColumnKind, value: Option<&Value>) -> bool {
        let Some(value) = value.filter(|value| !value.is_null()) else {
            match self {
                Self::Text(all) => all.push(None),
                Self::Uuid(all) => all.push(None),
                Self::Integer(all) => all.push(None),
                Self::Boolean(all) => all.push(None),
            }
            return true;
        };
        let pushed = match self {
            Self::Text(all) => kind.text(value).map(|text| all.push(Some(text))),
            Self::Uuid(all) => value.as_str().and_then(|text| text.parse().ok()).map(|id| all.push(Some(id))),
            Self::Integer(all) => value.as_i64().map(|number| all.push(Some(number))),
            Self::Boolean(all) => value.as_bool().map(|flag| all.push(Some(flag))),
        };
        pushed.is_some()
    }

    /// As an array.
    pub(super) fn into_param(self) -> Param {
        match self {
            Self::Text(all) => (Box::new(all), Type::TEXT_ARRAY),
            Self::Uuid(all) => (Box::new(all), Type::UUID_ARRAY),
            Self::Integer(all) => (Box::new(all), Type::INT8_ARRAY),
            Self::Boolean(all) => (Box::new(all), Type::BOOL_ARRAY),
        }
    }
}

pub(super) fn json<T: serde::de::DeserializeOwned>(text: &str) -> StoreResult<T> {
    serde_json::from_str(text).map_err(|error| corrupt(format!("stored JSON does not decode: {error}")))
}

pub(super) fn encode(value: &impl serde::Serialize) -> StoreResult<String> {
    serde_json::to_string(value).map_err(|error| corrupt(format!("a plan holds what JSON cannot: {error}")))
}

/// A number for a column. Seqs, counts and times stay far below 2^63.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// PostgreSQL's text cannot hold U+0000, ours may: U+0001 announces one of two letters, `0` for U+0000 and `1` for itself.
/// Equal texts stay equal and different ones different. JSON needs none of this: it writes both as `\u000x`.
pub(super) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte < 2) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace(ESCAPE, "\u{1}1").replace('\0', "\u{1}0"))
}

pub(super) fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains(ESCAPE) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace("\u{1}0", "\0").replace("\u{1}1", "\u{1}"))
}

const ESCAPE: char = '\u{1}';

/// Bytes of a key that is stored as it is: a row of a B-tree has at most 2,704, the workspace and a record id included.
const KEY_BYTES_MAX: usize = 1_000;

/// A text as `sync_keys` holds it: escaped, and a long one as its SHA-256, which no escaped text looks like.
pub(super) fn key_text(text: &str) -> String {
    if text.len() <= KEY_BYTES_MAX {
        return escaped(text).into_owned();
    }
    let hash = Sha256::digest(text.as_bytes());
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{ESCAPE}h{hex}")
}

/// The elements of a set's value.
pub(super) fn set_items(value: Option<&Value>) -> impl Iterator<Item = &str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sto_3_every_text_survives_escaping() {
        let texts = ["", "a", "\0", "\u{1}", "\u{1}0", "\0\u{1}1\0", "\u{1}\u{1}", "1\u{1}0\u{1}\0", "\u{2}\u{10ffff}"];
        for text in texts {
            let stored = escaped(text);
            assert!(!stored.contains('\0'), "{text:?}");
            assert_eq!(unescaped(&stored), text);
        }
        let stored: std::collections::BTreeSet<_> = texts.iter().map(|text| key_text(text)).collect();
        assert_eq!(stored.len(), texts.len(), "different texts stay different");
        assert!(key_text(&"k".repeat(1_001)).len() < 80 && key_text(&"k".repeat(1_000)).len() == 1_000);
    }
}
