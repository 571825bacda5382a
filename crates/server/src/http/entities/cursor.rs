//! Order and cursors of lists: a page goes on after the sort key and id of the last row of the page before.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use syncline_core::Name;
use syncline_core::id::RecordId;
use syncline_core::record::Record;
use syncline_core::schema::{Entity, FieldType};

use crate::http::problem::ApiResult;
use crate::http::query::{Query, invalid};

/// `sort=field` or `sort=-field`; by default ids, which is the order of creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// `None`: by id.
    pub field: Option<Name>,
    pub is_descending: bool,
}

/// Where a row stands in an order. Opaque to callers: hexadecimal of its JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// The sort field's value; null when it has none, and when the order is by id.
    #[serde(rename = "k")]
    pub key: Value,
    #[serde(rename = "i")]
    pub id: RecordId,
}

impl Order {
    pub fn take(query: &mut Query, entity: &Entity) -> ApiResult<Self> {
        let Some(text) = query.take("sort") else {
            return Ok(Self { field: None, is_descending: false });
        };
        let (name, is_descending) = text.strip_prefix('-').map_or((text.as_str(), false), |name| (name, true));
        if name == "id" {
            return Ok(Self { field: None, is_descending });
        }
        let field = entity.field(name).ok_or_else(|| invalid("sort", "names no field of the entity"))?;
        if matches!(field.kind, FieldType::Json { .. } | FieldType::Set { .. }) {
            return Err(invalid("sort", "names a field that has no order"));
        }
        Ok(Self { field: Some(field.name.clone()), is_descending })
    }

    pub fn position(&self, record: &Record) -> Position {
        let key = self.field.as_ref().and_then(|field| record.fields.get(field)).cloned().unwrap_or(Value::Null);
        Position { key, id: record.id }
    }

    /// A cursor's key is a value of the order's field, whoever made the cursor.
    pub fn fits(&self, entity: &Entity, position: &Position) -> bool {
        match self.field.as_ref().and_then(|name| entity.field(name)) {
            _ if position.key.is_null() => true,
            Some(field) => field.kind.canonical(position.key.clone()).is_ok_and(|key| key == position.key),
            None => false,
        }
    }
}

impl Position {
    pub fn encode(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        json.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Takes `after=<cursor>` from a query.
    pub fn take(query: &mut Query) -> ApiResult<Option<Self>> {
        let Some(text) = query.take("after") else { return Ok(None) };
        let position = decode_hex(&text).and_then(|bytes| crate::json::parse(&bytes).ok());
        position.map(Some).ok_or_else(|| invalid("after", "is not a cursor of this list"))
    }
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn api_1_cursors_survive_the_round_trip_and_forged_ones_are_refused() {
        let position = Position { key: json!("J\u{e4}ger \"x\""), id: RecordId::from_u128(7) };
        let mut query = Query::parse(Some(&format!("after={}", position.encode()))).unwrap();
        assert_eq!(Position::take(&mut query).unwrap(), Some(position));
        for forged in ["zz", "7", "7b7d", "ff", ""] {
            let mut query = Query::parse(Some(&format!("after={forged}"))).unwrap();
            assert!(Position::take(&mut query).is_err(), "{forged}");
        }
    }
}
