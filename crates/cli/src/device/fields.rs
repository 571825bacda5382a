//! Field values as people type them.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};
use syncline_core::replica::Filter;
use syncline_core::schema::{Entity, FieldType, Schema, SetItem};
use syncline_core::{Fields, Name};

use super::args::Values;
use super::usage;

/// How an assignment changes a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sign {
    Set,
    Plus,
    Minus,
}

pub(super) fn entity<'s>(schema: &'s Schema, name: &str) -> anyhow::Result<&'s Entity> {
    schema.entity(name).ok_or_else(|| {
        let known = schema.entities.keys().map(Name::as_str).collect::<Vec<_>>().join(", ");
        usage(format!("there is no entity `{name}`; there are {known}"))
    })
}

/// The fields of a command: from JSON, with assignments on top.
pub(super) fn values(entity: &Entity, values: &Values) -> anyhow::Result<Fields> {
    let mut fields = match (&values.fields, &values.fields_file) {
        (Some(text), _) => object(text).context("--fields is not a JSON object")?,
        (None, Some(path)) => {
            object(&text_of(path)?).with_context(|| format!("{} holds no JSON object", path.display()))?
        }
        (None, None) => Fields::new(),
    };
    fields.extend(assignments(entity, &values.assignments)?);
    Ok(fields)
}

fn object(text: &str) -> serde_json::Result<Fields> {
    serde_json::from_str(text)
}

/// A file, or standard input for `-`.
pub(super) fn text_of(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input could not be read")?;
        return Ok(text);
    }
    std::fs::read_to_string(path).with_context(|| format!("{} could not be read", path.display()))
}

/// `f=v`, `f=` (clear), `set+=item`, `set-=item`, `counter+=n`.
pub(super) fn assignments(entity: &Entity, texts: &[String]) -> anyhow::Result<Fields> {
    let mut fields = Fields::new();
    for text in texts {
        let (name, sign, value) = split(text)?;
        let kind = kind_of(entity, name)?;
        let name = Name::new(name);
        match (sign, kind) {
            (Sign::Set, kind) => {
                fields.insert(name, typed(kind, value).map_err(|error| usage(format!("{text}: {error}")))?);
            }
            (Sign::Plus | Sign::Minus, FieldType::Set { .. }) => {
                let patch = fields.entry(name).or_insert_with(|| json!({"add": [], "remove": []}));
                let list = if sign == Sign::Plus { "add" } else { "remove" };
                let Some(items) = patch.get_mut(list).and_then(Value::as_array_mut) else {
                    return Err(usage(format!("{text}: the field is both set and changed by item")));
                };
                items.push(Value::from(value));
            }
            (Sign::Plus | Sign::Minus, FieldType::Counter) => {
                let number: i64 = value.parse().map_err(|_| usage(format!("{text}: expected a whole number")))?;
                let number = if sign == Sign::Plus { number } else { -number };
                fields.insert(name, json!({ "inc": number }));
            }
            (Sign::Plus | Sign::Minus, _) => {
                return Err(usage(format!("{text}: += and -= are for sets and counters, use =")));
            }
        }
    }
    Ok(fields)
}

/// A condition of `--where`, its value in canonical form.
pub(super) fn filter(entity: &Entity, text: &str) -> anyhow::Result<Filter> {
    let (name, sign, value) = split(text)?;
    if sign != Sign::Set {
        return Err(usage(format!("{text}: a condition is FIELD=VALUE")));
    }
    let field = Name::new(name);
    let value = match kind_of(entity, name)? {
        FieldType::Set { items: SetItem::FoldedText, .. } => Value::from(value.trim().to_lowercase()),
        FieldType::Set { .. } => Value::from(value),
        kind => {
            let value = typed(kind, value).map_err(|error| usage(format!("{text}: {error}")))?;
            let patch = Fields::from([(field.clone(), value)]);
            let canonical = entity.canonical_update(patch).map_err(|error| usage(format!("{text}: {error}")))?;
            canonical.into_values().next().unwrap_or(Value::Null)
        }
    };
    Ok(Filter { field, value })
}

fn split(text: &str) -> anyhow::Result<(&str, Sign, &str)> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(usage(format!("`{text}` is not FIELD=VALUE")));
    };
    Ok(match (name.strip_suffix('+'), name.strip_suffix('-')) {
        (Some(name), _) => (name, Sign::Plus, value),
        (None, Some(name)) => (name, Sign::Minus, value),
        (None, None) => (name, Sign::Set, value),
    })
}

fn kind_of<'e>(entity: &'e Entity, name: &str) -> anyhow::Result<&'e FieldType> {
    let field = entity.field(name).ok_or_else(|| {
        let known = entity.fields.keys().map(Name::as_str).collect::<Vec<_>>().join(", ");
        usage(format!("{} has no field `{name}`; it has {known}", entity.name))
    })?;
    Ok(&field.kind)
}

/// A value of a field's type; nothing typed means no value. Whether it is valid is the schema's to say.
fn typed(kind: &FieldType, text: &str) -> Result<Value, String> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    match kind {
        FieldType::Integer { .. } | FieldType::Counter => {
            text.parse::<i64>().map(Value::from).map_err(|_| "expected a whole number".to_owned())
        }
        FieldType::Boolean => match text {
            "true" | "yes" | "1" => Ok(Value::Bool(true)),
            "false" | "no" | "0" => Ok(Value::Bool(false)),
            _ => Err("expected true or false".to_owned()),
        },
        FieldType::Json { .. } => serde_json::from_str(text).map_err(|error| format!("expected JSON ({error})")),
        FieldType::Set { .. } if text.starts_with('[') => {
            serde_json::from_str(text).map_err(|error| format!("expected a JSON array ({error})"))
        }
        FieldType::Set { .. } => Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()),
        FieldType::Text { .. }
        | FieldType::Choice { .. }
        | FieldType::Decimal { .. }
        | FieldType::Date
        | FieldType::Timestamp
        | FieldType::Uuid => Ok(Value::from(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contacts() -> Schema {
        Schema::parse(syncline_client::CRM_SCHEMA, "schema/crm.toml").unwrap()
    }

    fn parsed(texts: &[&str]) -> Result<Value, String> {
        let schema = contacts();
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let fields = assignments(entity(&schema, "contacts").unwrap(), &texts);
        fields.map(|fields| serde_json::to_value(fields).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn val_2_assignments_become_typed_values_and_patches() {
        let cases = [
            (vec!["firstname=Ada", "lastname=a=b"], json!({"firstname": "Ada", "lastname": "a=b"})),
            (vec!["firstname="], json!({"firstname": null})),
            (vec!["is_favorite=true", "lead_score=12"], json!({"is_favorite": true, "lead_score": 12})),
            (vec!["estimated_value=12.50"], json!({"estimated_value": "12.50"})),
            (vec!["tags=a, b"], json!({"tags": ["a", "b"]})),
            (vec!["tags=[\"a,b\"]"], json!({"tags": ["a,b"]})),
            (vec!["tags+=x", "tags+=y", "tags-=z"], json!({"tags": {"add": ["x", "y"], "remove": ["z"]}})),
            (vec!["dnd={\"call\": true}"], json!({"dnd": {"call": true}})),
        ];
        for (texts, expected) in cases {
            assert_eq!(parsed(&texts), Ok(expected), "{texts:?}");
        }
    }

    #[test]
    fn val_2_what_cannot_be_meant_is_said() {
        let cases = [
            (vec!["firstname"], "is not FIELD=VALUE"),
            (vec!["first_name=Ada"], "has no field `first_name`"),
            (vec!["lead_score=ten"], "whole number"),
            (vec!["is_favorite=maybe"], "true or false"),
            (vec!["firstname+=x"], "sets and counters"),
            (vec!["tags=a", "tags+=x"], "both set and changed"),
            (vec!["dnd={"], "expected JSON"),
        ];
        for (texts, expected) in cases {
            let error = parsed(&texts).unwrap_err();
            assert!(error.contains(expected), "{texts:?}: {error}");
        }
    }

    #[test]
    fn vew_1_conditions_are_canonical() {
        let schema = contacts();
        let contacts = entity(&schema, "contacts").unwrap();
        let value = |text: &str| filter(contacts, text).unwrap().value;
        assert_eq!(value("tags= VIP "), json!("vip"));
        assert_eq!(value("estimated_value=12.5"), json!("12.50"));
        assert_eq!(value("email=Ada@EXAMPLE.org"), json!("Ada@example.org"));
        assert_eq!(value("firstname="), Value::Null);
        assert!(filter(contacts, "tags+=x").is_err());
    }
}
