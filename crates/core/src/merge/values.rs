//! How single values combine, by type. Everything here is total: a value of another shape than expected counts as empty.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use crate::schema::{Entity, Field, FieldType, Strategy};
use crate::{Name, Value};

/// The items of a set value or of one side of a set patch.
fn items(value: &Value) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn to_set(items: BTreeSet<String>) -> Value {
    if items.is_empty() { Value::Null } else { Value::Array(items.into_iter().map(Value::String).collect()) }
}

/// The set after a patch (spec VAL-2): adds go in, removes and omissions take out only what `has_seen` of the element
/// says the author saw (spec MRG-4). An empty set is `null`.
pub(super) fn set_after(current: &Value, patch: &Value, has_seen: impl Fn(&str) -> bool) -> Value {
    let before = items(current);
    let (add, remove) = match patch {
        Value::Object(members) => {
            let side = |name: &str| members.get(name).map(items).unwrap_or_default();
            (side("add"), side("remove"))
        }
        Value::Array(_) => {
            let wanted = items(patch);
            let omitted = before.difference(&wanted).cloned().collect();
            (wanted, omitted)
        }
        _ => (BTreeSet::new(), before.clone()),
    };
    let is_kept = |item: &String| !remove.contains(item) || add.contains(item) || !has_seen(item);
    let kept = before.into_iter().filter(|item| is_kept(item));
    to_set(kept.chain(add.iter().cloned()).collect())
}

/// A canonical update value of one field applied by somebody who has seen everything (spec VAL-2): what a replica shows of
/// its own pending edit, and what the server writes where nobody contests. The result is a whole value.
pub fn patched(entity: &Entity, field: &Field, current: &Value, patch: &Value) -> Value {
    if patch.is_null() {
        return Value::Null;
    }
    match (&field.kind, &entity.group_of(field).strategy) {
        (FieldType::Set { .. }, _) => set_after(current, patch, |_| true),
        (FieldType::Counter, _) => match patch.get("inc").and_then(Value::as_i64) {
            Some(increment) => Value::from(current.as_i64().unwrap_or(0).saturating_add(increment)),
            None => patch.clone(),
        },
        (_, Strategy::MergeKeys | Strategy::MostRestrictiveWins) => overlay_object(current, patch),
        _ => patch.clone(),
    }
}

/// `patch`'s members over `current`'s top-level ones; a `null` member removes the key. An empty object is `null`.
pub(super) fn overlay_object(current: &Value, patch: &Value) -> Value {
    let mut after = current.as_object().cloned().unwrap_or_default();
    for (key, value) in patch.as_object().into_iter().flatten() {
        if value.is_null() {
            after.remove(key);
        } else {
            after.insert(key.clone(), value.clone());
        }
    }
    if after.is_empty() { Value::Null } else { Value::Object(after) }
}

/// Keys of `patch` that theirs changed since `base` to something else than the patch wants. With `base` unknown: all on
/// which they differ.
pub(super) fn changed_keys(base: Option<&Value>, theirs: &Value, patch: &Value) -> BTreeSet<String> {
    let is_contested = |(key, mine): (&String, &Value)| {
        let theirs = theirs.get(key).unwrap_or(&Value::Null);
        let is_changed = base.is_none_or(|base| base.get(key).unwrap_or(&Value::Null) != theirs);
        (is_changed && theirs != mine).then(|| key.clone())
    };
    patch.as_object().into_iter().flatten().filter_map(is_contested).collect()
}

/// Whether `mine` is the larger value of the type. Dates and timestamps are canonical text, which sorts by time.
pub(super) fn larger(kind: &FieldType, mine: &Value, theirs: &Value) -> bool {
    match kind {
        FieldType::Decimal { .. } => compare_decimals(mine, theirs).is_gt(),
        FieldType::Integer { .. } | FieldType::Counter => mine.as_i64() > theirs.as_i64(),
        FieldType::Boolean => mine.as_bool() > theirs.as_bool(),
        FieldType::Text { .. }
        | FieldType::Choice { .. }
        | FieldType::Date
        | FieldType::Timestamp
        | FieldType::Uuid
        | FieldType::Json { .. }
        | FieldType::Set { .. } => mine.as_str() > theirs.as_str(),
    }
}

/// Orders two values of one field for lists: no value first, numbers and decimals by size, anything else by its text.
pub fn compare_values(kind: Option<&FieldType>, a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Null, _) | (_, Value::Null) => b.is_null().cmp(&a.is_null()),
        (Value::Number(a), Value::Number(b)) => a.as_i64().cmp(&b.as_i64()),
        (Value::String(_), Value::String(_)) if matches!(kind, Some(FieldType::Decimal { .. })) => {
            compare_decimals(a, b)
        }
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (a, b) => a.to_string().cmp(&b.to_string()),
    }
}

/// Compares canonical decimals of the same scale: by sign, then by length, then by digits.
fn compare_decimals(a: &Value, b: &Value) -> Ordering {
    let split = |value: &Value| {
        let text = value.as_str().unwrap_or("0").to_owned();
        match text.strip_prefix('-') {
            Some(digits) => (true, digits.to_owned()),
            None => (false, text),
        }
    };
    let ((a_negative, a), (b_negative, b)) = (split(a), split(b));
    let magnitude = a.len().cmp(&b.len()).then_with(|| a.cmp(&b));
    match (a_negative, b_negative) {
        (false, false) => magnitude,
        (true, true) => magnitude.reverse(),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
    }
}

/// Compares two words by their place in `order`; a word that is not in it, or no value, comes before all.
pub(super) fn further_in(order: &[Name], mine: &Value, theirs: &Value) -> Ordering {
    let place = |value: &Value| value.as_str().and_then(|word| order.iter().position(|listed| listed == word));
    place(mine).cmp(&place(theirs))
}
