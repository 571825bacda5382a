//! JSON, sets and UUIDs.

use std::io;

use serde_json::Map;
use uuid::Uuid;

use super::validate::text;
use super::{SetItem, number};
use crate::Value;

pub(super) const NUL: &str = "text must not contain the character U+0000";
/// Nesting of arrays and objects; a plain value has none.
const DEPTH_MAX: usize = 16;

/// JSON of at most `max_bytes` when encoded and 16 levels. Whole numbers become integers; numbers that not every language
/// keeps exact are refused.
pub(super) fn canonical(mut value: Value, max_bytes: u32) -> Result<Value, String> {
    clean(&mut value, 0)?;
    check_bytes(&value, max_bytes)?;
    Ok(value)
}

fn clean(value: &mut Value, depth: usize) -> Result<(), String> {
    match value {
        Value::Null | Value::Bool(_) => Ok(()),
        Value::String(text) if text.contains('\0') => Err(NUL.to_owned()),
        Value::String(_) => Ok(()),
        Value::Number(number) => {
            let is_exact = number.as_f64().is_some_and(|number| number.abs() <= number::EXACT_MAX as f64);
            if !is_exact {
                return Err("numbers beyond ±(2^53 − 1) are not exact everywhere; send them as text".to_owned());
            }
            if let Some(whole) = number::whole(value) {
                *value = Value::from(whole);
            }
            Ok(())
        }
        Value::Array(_) | Value::Object(_) if depth == DEPTH_MAX => {
            Err(format!("expected JSON of at most {DEPTH_MAX} levels"))
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| clean(item, depth + 1)),
        Value::Object(members) => members.iter_mut().try_for_each(|(name, member)| match name.contains('\0') {
            true => Err(NUL.to_owned()),
            false => clean(member, depth + 1),
        }),
    }
}

/// Refuses JSON of more than `max_bytes` when encoded without spaces.
pub(super) fn check_bytes(value: &Value, max_bytes: u32) -> Result<(), String> {
    let mut count = Count(0);
    let is_small = serde_json::to_writer(&mut count, value).is_ok() && count.0 <= max_bytes as usize;
    if is_small { Ok(()) } else { Err(format!("expected JSON of at most {max_bytes} bytes")) }
}

struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn object(value: Value) -> Result<Value, String> {
    if value.is_object() { Ok(value) } else { Err("expected a JSON object".to_owned()) }
}

/// An object without the members that are `null`: in a new record there is nothing to remove.
pub(super) fn without_null_members(value: Value) -> Result<Value, String> {
    let mut value = object(value)?;
    if let Value::Object(members) = &mut value {
        members.retain(|_, member| !member.is_null());
    }
    Ok(value)
}

/// An object whose members are `true`, `false` or, to remove one, `null`.
pub(super) fn flags(value: Value) -> Result<Value, String> {
    let members = value.as_object().into_iter().flatten();
    match members.into_iter().find(|(_, member)| !member.is_boolean() && !member.is_null()) {
        Some((name, _)) => Err(format!("expected true or false for `{name}`")),
        None => Ok(value),
    }
}

/// Lower-case hyphenated UUID text; other notations are refused.
pub(super) fn uuid(value: Value) -> Result<Value, String> {
    const EXPECTED: &str = "expected a UUID like 0192f0c1-7b1e-7cc2-9d3e-2f6f3f0c8a11";
    let Value::String(mut text) = value else { return Err(EXPECTED.to_owned()) };
    if text.len() != 36 || Uuid::try_parse(&text).is_err() {
        return Err(EXPECTED.to_owned());
    }
    text.make_ascii_lowercase();
    Ok(Value::String(text))
}

/// What a set may hold.
#[derive(Clone, Copy)]
pub(super) struct ItemRule {
    pub(super) items: SetItem,
    pub(super) max_items: u32,
    pub(super) max_len: u32,
}

/// Distinct items in order of their code points.
pub(super) fn set(value: Value, rule: ItemRule) -> Result<Value, String> {
    let Value::Array(items) = value else { return Err("expected an array of texts".to_owned()) };
    let items = items.into_iter().map(|item| set_item(item, rule));
    let mut items: Vec<String> = items.collect::<Result<_, _>>()?;
    items.sort_unstable();
    items.dedup();
    if items.len() > rule.max_items as usize {
        return Err(too_many(rule.max_items));
    }
    Ok(Value::from(items))
}

/// `{"add": [..], "remove": [..]}` with both members, or the array that is meant to be the whole set.
pub(super) fn set_patch(value: Value, rule: ItemRule) -> Result<Value, String> {
    let Value::Object(mut members) = value else { return set(value, rule) };
    let mut part = |name: &str| set(members.remove(name).unwrap_or_else(|| Value::Array(Vec::new())), rule);
    let (add, remove) = (part("add")?, part("remove")?);
    if !members.is_empty() {
        return Err("expected {\"add\": [..], \"remove\": [..]} or an array".to_owned());
    }
    let removed = remove.as_array().into_iter().flatten();
    if let Some(both) = removed.into_iter().find(|item| add.as_array().is_some_and(|add| add.contains(item))) {
        return Err(format!("{both} is both added and removed"));
    }
    Ok(Value::Object(Map::from_iter([("add".to_owned(), add), ("remove".to_owned(), remove)])))
}

/// Refuses a set of more than `max_items`.
pub(super) fn check_size(value: &Value, max_items: u32) -> Result<(), String> {
    let is_small = value.as_array().is_none_or(|items| items.len() <= max_items as usize);
    if is_small { Ok(()) } else { Err(too_many(max_items)) }
}

fn too_many(max_items: u32) -> String {
    format!("expected at most {max_items} items")
}

fn set_item(item: Value, rule: ItemRule) -> Result<String, String> {
    let item = match rule.items {
        SetItem::Uuid => text(uuid(item)?)?,
        SetItem::Text => text(item)?,
        SetItem::FoldedText => text(item)?.trim().to_lowercase(),
    };
    if item.trim().is_empty() {
        return Err("expected items that are not blank".to_owned());
    }
    if item.chars().count() > rule.max_len as usize {
        return Err(format!("expected items of at most {} characters", rule.max_len));
    }
    Ok(item)
}
