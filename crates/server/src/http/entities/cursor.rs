//! Order and cursors of lists: a page goes on after the sort key and id of the last row of the page before.

use std::cmp::Ordering;

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
    is_decimal: bool,
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
            return Ok(Self { field: None, is_descending: false, is_decimal: false });
        };
        let (name, is_descending) = text.strip_prefix('-').map_or((text.as_str(), false), |name| (name, true));
        if name == "id" {
            return Ok(Self { field: None, is_descending, is_decimal: false });
        }
        let field = entity.field(name).ok_or_else(|| invalid("sort", "names no field of the entity"))?;
        if matches!(field.kind, FieldType::Json { .. } | FieldType::Set { .. }) {
            return Err(invalid("sort", "names a field that has no order"));
        }
        let is_decimal = matches!(field.kind, FieldType::Decimal { .. });
        Ok(Self { field: Some(field.name.clone()), is_descending, is_decimal })
    }

    pub fn position(&self, record: &Record) -> Position {
        let key = self.field.as_ref().and_then(|field| record.fields.get(field)).cloned().unwrap_or(Value::Null);
        Position { key, id: record.id }
    }

    /// Order of two rows; rows without a value come last, ties go by id. Total.
    pub fn compare(&self, a: &Position, b: &Position) -> Ordering {
        let keys = match (a.key.is_null(), b.key.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) => return Ordering::Greater,
            (false, true) => return Ordering::Less,
            (false, false) => compare_values(&a.key, &b.key, self.is_decimal),
        };
        let ordering = keys.then(a.id.cmp(&b.id));
        if self.is_descending { ordering.reverse() } else { ordering }
    }
}

/// Canonical values of one field type; texts by lower case first, so that people find names where they expect them.
fn compare_values(a: &Value, b: &Value, is_decimal: bool) -> Ordering {
    match (a, b) {
        (Value::String(a), Value::String(b)) if is_decimal => compare_decimals(a, b),
        (Value::String(a), Value::String(b)) => a.to_lowercase().cmp(&b.to_lowercase()).then_with(|| a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => a.as_i64().cmp(&b.as_i64()),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        // Of other types only in a forged cursor; any total order will do.
        (a, b) => a.to_string().cmp(&b.to_string()),
    }
}

/// Canonical decimals of one scale: by sign, then length, then digits.
fn compare_decimals(a: &str, b: &str) -> Ordering {
    let by_size = |a: &str, b: &str| a.len().cmp(&b.len()).then_with(|| a.cmp(b));
    match (a.strip_prefix('-'), b.strip_prefix('-')) {
        (None, None) => by_size(a, b),
        (Some(a), Some(b)) => by_size(b, a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
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

    fn order(is_descending: bool, is_decimal: bool) -> Order {
        Order { field: Some(Name::new("x")), is_descending, is_decimal }
    }

    fn sorted(order: &Order, keys: &[Value]) -> Vec<Value> {
        let mut rows: Vec<_> =
            keys.iter().zip(1..).map(|(key, id)| Position { key: key.clone(), id: RecordId::from_u128(id) }).collect();
        rows.sort_by(|a, b| order.compare(a, b));
        rows.into_iter().map(|row| row.key).collect()
    }

    #[test]
    fn api_1_values_sort_as_people_expect_and_missing_ones_come_last() {
        let texts = [json!("b"), Value::Null, json!("A"), json!("a"), json!("B")];
        assert_eq!(sorted(&order(false, false), &texts), [json!("A"), json!("a"), json!("B"), json!("b"), Value::Null]);
        assert_eq!(sorted(&order(true, false), &texts), [json!("b"), json!("B"), json!("a"), json!("A"), Value::Null]);
        let money = [json!("10.00"), json!("-2.00"), json!("9.50"), json!("-10.00")];
        let expected = [json!("-10.00"), json!("-2.00"), json!("9.50"), json!("10.00")];
        assert_eq!(sorted(&order(false, true), &money), expected);
    }

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
