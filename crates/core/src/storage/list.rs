//! Pages of lists: what is asked of a store, and what every store answers, as plain functions over records.

use std::cmp::Ordering;

use super::{StoreError, StoreResult};
use crate::id::RecordId;
use crate::principal::Grants;
use crate::record::Record;
use crate::schema::{Entity, Field, FieldType, Schema};
use crate::{Name, Value};

/// A page of an entity's live records. Values are canonical, as far as they are compared with whole values.
#[derive(Clone, PartialEq, Debug)]
pub struct ListQuery {
    pub entity: Name,
    /// Only records of these scopes.
    pub grants: Grants,
    /// All of them hold.
    pub conditions: Vec<Condition>,
    /// `None`: by id. Otherwise by the field's values, those without a value last, then by id.
    pub order: Option<Name>,
    /// The whole order the other way round.
    pub is_descending: bool,
    /// The page begins behind this place of the order: the value of the order's field (null: none) and the id.
    pub after: Option<(Value, RecordId)>,
    pub limit: usize,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Condition {
    pub field: Name,
    pub test: Test,
}

/// What a field's value has to be. In the order of [`compare`]; a set is only tested for elements.
#[derive(Clone, PartialEq, Debug)]
pub enum Test {
    /// No value.
    Missing,
    /// One of these; a set contains one of them.
    OneOf(Vec<Value>),
    Above(Value),
    AtLeast(Value),
    Below(Value),
    AtMost(Value),
    /// A text that begins so, whatever the case of its ASCII letters.
    Begins(String),
}

impl ListQuery {
    /// Entity and order field as they are declared; what is not declared is our mistake, never in data.
    pub fn declared<'s>(&self, schema: &'s Schema) -> StoreResult<(&'s Entity, Option<&'s Field>)> {
        let undeclared = |what: &str| StoreError::Corrupt(format!("a list names {what}, which is not declared"));
        let entity = schema.entity(&self.entity).ok_or_else(|| undeclared(&self.entity))?;
        for condition in &self.conditions {
            entity.field(&condition.field).ok_or_else(|| undeclared(&condition.field))?;
        }
        let order = self.order.as_ref();
        let order = order.map(|name| entity.field(name).ok_or_else(|| undeclared(name))).transpose()?;
        Ok((entity, order))
    }

    /// The answer, from all live records: the reference for every store. O(n log n).
    pub fn page(&self, schema: &Schema, records: impl Iterator<Item = Record>) -> StoreResult<Vec<Record>> {
        let (entity, order) = self.declared(schema)?;
        let key = |record: &Record| {
            order.and_then(|field| record.fields.get(&field.name)).filter(|value| !value.is_null()).cloned()
        };
        let in_order = |a: (&Option<Value>, RecordId), b: (&Option<Value>, RecordId)| {
            let ordering = match (order, a.0, b.0) {
                (Some(field), Some(a), Some(b)) => compare(&field.kind, a, b),
                (_, a, b) => a.is_none().cmp(&b.is_none()),
            };
            let ordering = ordering.then(a.1.cmp(&b.1));
            if self.is_descending { ordering.reverse() } else { ordering }
        };
        let after = self.after.as_ref().map(|(key, id)| (Some(key.clone()).filter(|key| !key.is_null()), *id));
        let holds = |record: &Record| {
            self.grants.includes(&record.scope)
                && self.conditions.iter().all(|condition| {
                    let value = record.fields.get(&condition.field).filter(|value| !value.is_null());
                    entity.field(&condition.field).is_some_and(|field| condition.test.holds(&field.kind, value))
                })
        };
        let mut rows: Vec<_> = records.filter(holds).map(|record| (key(&record), record)).collect();
        if let Some((key, id)) = &after {
            rows.retain(|(of, record)| in_order((of, record.id), (key, *id)).is_gt());
        }
        rows.sort_by(|a, b| in_order((&a.0, a.1.id), (&b.0, b.1.id)));
        Ok(rows.into_iter().map(|(_, record)| record).take(self.limit).collect())
    }
}

impl Test {
    pub fn holds(&self, kind: &FieldType, value: Option<&Value>) -> bool {
        let Some(value) = value else { return *self == Self::Missing };
        let against = |wanted: &Value| compare(kind, value, wanted);
        match self {
            Self::Missing => false,
            Self::OneOf(wanted) => match value {
                Value::Array(items) if matches!(kind, FieldType::Set { .. }) => {
                    wanted.iter().any(|wanted| items.contains(wanted))
                }
                value => wanted.contains(value),
            },
            Self::Above(wanted) => against(wanted).is_gt(),
            Self::AtLeast(wanted) => against(wanted).is_ge(),
            Self::Below(wanted) => against(wanted).is_lt(),
            Self::AtMost(wanted) => against(wanted).is_le(),
            Self::Begins(start) => {
                value.as_str().is_some_and(|text| text.to_ascii_lowercase().starts_with(&start.to_ascii_lowercase()))
            }
        }
    }
}

/// Order of two values of a field: texts by their ASCII letters' lower case, then as they are, by code point; the others by
/// what they mean. Databases agree on that much.
pub fn compare(kind: &FieldType, a: &Value, b: &Value) -> Ordering {
    let is_decimal = matches!(kind, FieldType::Decimal { .. });
    match (a, b) {
        (Value::String(a), Value::String(b)) if is_decimal => compare_decimals(a, b),
        (Value::String(a), Value::String(b)) => {
            a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase()).then_with(|| a.cmp(b))
        }
        (Value::Number(a), Value::Number(b)) => a.as_i64().cmp(&b.as_i64()),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        // Not values of one field; any total order will do.
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sorted(kind: &FieldType, mut values: Vec<Value>) -> Vec<Value> {
        values.sort_by(|a, b| compare(kind, a, b));
        values
    }

    #[test]
    fn api_1_values_sort_as_people_expect() {
        let schema = Schema::crm();
        let contacts = schema.entity("contacts").unwrap();
        let kind = |name: &str| contacts.field(name).unwrap().kind.clone();
        let texts = vec![json!("b"), json!("A"), json!("a"), json!("B")];
        assert_eq!(sorted(&kind("firstname"), texts), [json!("A"), json!("a"), json!("B"), json!("b")]);
        let money = vec![json!("10.00"), json!("-2.00"), json!("9.50"), json!("-10.00")];
        let expected = [json!("-10.00"), json!("-2.00"), json!("9.50"), json!("10.00")];
        assert_eq!(sorted(&kind("estimated_value"), money), expected);
    }
}
