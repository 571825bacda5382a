//! Equality filters of lists: `?field=value`, by declared fields only.

use std::collections::BTreeMap;

use serde_json::Value;
use syncline_core::Name;
use syncline_core::record::Record;
use syncline_core::schema::{Entity, Field, FieldType};

use crate::http::problem::ApiResult;
use crate::http::query::invalid;

/// One condition: the field has the value (a set contains it); no value: the field has none.
#[derive(Clone, Debug)]
pub struct Filter {
    pub field: Name,
    pub value: Option<Value>,
    pub is_indexed: bool,
    is_set: bool,
}

/// The parameters that are left of a query as filters, in name order.
pub fn filters(entity: &Entity, parameters: BTreeMap<String, String>) -> ApiResult<Vec<Filter>> {
    parameters.into_iter().map(|(name, text)| filter(entity, &name, &text)).collect()
}

fn filter(entity: &Entity, name: &str, text: &str) -> ApiResult<Filter> {
    let unknown = || invalid(name, &format!("is neither known here nor a field of `{}`", entity.name));
    let field = entity.field(name).ok_or_else(unknown)?;
    let is_set = matches!(field.kind, FieldType::Set { .. });
    if text.is_empty() {
        return Ok(Filter { field: field.name.clone(), value: None, is_indexed: false, is_set });
    }
    let value = value(field, text).map_err(|expected| invalid(name, &expected))?;
    // A set's elements are indexed as well.
    let is_indexed = field.is_indexed;
    Ok(Filter { field: field.name.clone(), value: Some(value), is_indexed, is_set })
}

/// The canonical value that `text` writes.
fn value(field: &Field, text: &str) -> Result<Value, String> {
    let raw = match &field.kind {
        FieldType::Integer { .. } | FieldType::Counter => {
            Value::from(text.parse::<i64>().map_err(|_| "must be a whole number".to_owned())?)
        }
        FieldType::Boolean => match text {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => return Err("must be true or false".to_owned()),
        },
        FieldType::Json { .. } => return Err("cannot be filtered by".to_owned()),
        FieldType::Set { .. } => {
            let set = field.kind.canonical(Value::from(vec![text]))?;
            return Ok(set.as_array().and_then(|items| items.first().cloned()).unwrap_or(Value::Null));
        }
        FieldType::Text { .. }
        | FieldType::Choice { .. }
        | FieldType::Decimal { .. }
        | FieldType::Date
        | FieldType::Timestamp
        | FieldType::Uuid => Value::from(text),
    };
    field.kind.canonical(raw)
}

impl Filter {
    pub fn matches(&self, record: &Record) -> bool {
        let present = record.fields.get(&self.field).filter(|value| !value.is_null());
        match (&self.value, present) {
            (None, present) => present.is_none(),
            (Some(_), None) => false,
            (Some(wanted), Some(present)) if self.is_set => {
                present.as_array().is_some_and(|items| items.contains(wanted))
            }
            (Some(wanted), Some(present)) => wanted == present,
        }
    }
}
