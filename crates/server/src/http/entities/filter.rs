//! Conditions of lists, by declared fields only: `?field=value`, `?field.in=a,b`, `?field.gte=value`, `?field.starts=text`.

use std::collections::BTreeMap;

use serde_json::Value;
use syncline_core::schema::{Entity, Field, FieldType};
use syncline_core::storage::{Condition, Test};

use crate::http::problem::ApiResult;
use crate::http::query::invalid;

/// Values of one `.in`. More: `validation`.
const VALUES_MAX: usize = 100;
/// Characters of one `.starts`. More: `validation`.
const START_CHARS_MAX: usize = 200;

/// The parameters that are left of a query as conditions, in name order.
pub fn conditions(entity: &Entity, parameters: BTreeMap<String, String>) -> ApiResult<Vec<Condition>> {
    parameters.into_iter().map(|(name, text)| condition(entity, &name, &text)).collect()
}

fn condition(entity: &Entity, name: &str, text: &str) -> ApiResult<Condition> {
    let unknown = || invalid(name, &format!("is neither known here nor a field of `{}`", entity.name));
    // Names of fields have no dots.
    let (of, how) = name.split_once('.').map_or((name, None), |(of, how)| (of, Some(how)));
    let field = entity.field(of).ok_or_else(unknown)?;
    let one = |text: &str| value(field, text).map_err(|expected| invalid(name, &expected));
    let bound = || bound(field, text).map_err(|expected| invalid(name, &expected));
    let test = match how {
        None if text.is_empty() => Test::Missing,
        None => Test::OneOf(vec![one(text)?]),
        Some("in") => {
            let values: Vec<Value> = text.split(',').map(one).collect::<ApiResult<_>>()?;
            if values.len() > VALUES_MAX {
                return Err(invalid(name, &format!("has at most {VALUES_MAX} values")));
            }
            Test::OneOf(values)
        }
        Some("gt") => Test::Above(bound()?),
        Some("gte") => Test::AtLeast(bound()?),
        Some("lt") => Test::Below(bound()?),
        Some("lte") => Test::AtMost(bound()?),
        Some("starts") => Test::Begins(start(field, text).map_err(|expected| invalid(name, &expected))?),
        Some(_) => return Err(unknown()),
    };
    Ok(Condition { field: field.name.clone(), test })
}

/// The endings that a field's parameters may have beside none, for whoever describes them.
pub fn endings(field: &Field) -> &'static [&'static str] {
    match field.kind {
        FieldType::Text { .. } | FieldType::Choice { .. } => &["in", "gt", "gte", "lt", "lte", "starts"],
        FieldType::Integer { .. }
        | FieldType::Counter
        | FieldType::Decimal { .. }
        | FieldType::Date
        | FieldType::Timestamp => &["in", "gt", "gte", "lt", "lte"],
        FieldType::Uuid | FieldType::Boolean | FieldType::Set { .. } => &["in"],
        FieldType::Json { .. } => &[],
    }
}

/// What a range is compared with: a value of the field's type that need not be one the field may have.
fn bound(field: &Field, text: &str) -> Result<Value, String> {
    match &field.kind {
        FieldType::Text { .. } | FieldType::Choice { .. } => Ok(Value::from(text)),
        FieldType::Integer { .. } | FieldType::Counter => whole_number(text),
        FieldType::Decimal { precision, scale, .. } => {
            let unbounded = FieldType::Decimal { precision: *precision, scale: *scale, min: None, max: None };
            unbounded.canonical(Value::from(text))
        }
        // A day stands for its first moment.
        FieldType::Timestamp => field.kind.canonical(Value::from(text)).or_else(|expected| {
            let moment = field.kind.canonical(Value::from(format!("{text}T00:00:00Z")));
            moment.map_err(|_| expected)
        }),
        FieldType::Date => field.kind.canonical(Value::from(text)),
        FieldType::Uuid | FieldType::Boolean | FieldType::Set { .. } | FieldType::Json { .. } => {
            Err("is of a field that has no order".to_owned())
        }
    }
}

fn start(field: &Field, text: &str) -> Result<String, String> {
    if !endings(field).contains(&"starts") {
        return Err("is of a field that is no text".to_owned());
    }
    if text.is_empty() || text.chars().count() > START_CHARS_MAX {
        return Err(format!("has 1 to {START_CHARS_MAX} characters"));
    }
    Ok(text.to_owned())
}

fn whole_number(text: &str) -> Result<Value, String> {
    text.parse::<i64>().map(Value::from).map_err(|_| "must be a whole number".to_owned())
}

/// The canonical value that `text` writes.
fn value(field: &Field, text: &str) -> Result<Value, String> {
    let raw = match &field.kind {
        FieldType::Integer { .. } | FieldType::Counter => whole_number(text)?,
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
