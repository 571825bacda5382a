//! Scripts as text that people read: members in an order that tells a story, as many on a line as fit.

use std::fmt::Write as _;

use serde_json::Value;

const WIDTH: usize = 140;
/// Members that come before the others, which follow by name.
const FIRST: &str = "name about rules random begin steps phase at_ms wall_ms input edit type how op effect event workspace_id user_id device_id client_id \
                     deployment_mode entity id rv seq lo hi from to catch_up more client_seq mutation_id age_ms outcome \
                     code class scope url";
/// Members of a step that begin a line.
const LINES: [&str; 3] = ["error", "effects", "wakeup_ms"];
/// Members that come after the others.
const LAST: &str = "error effects wakeup_ms state beginnings";

/// The value as a text that ends with a line.
pub fn of(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text.push('\n');
    text
}

fn rank(name: &str) -> (usize, &str) {
    let place = |names: &str| names.split_whitespace().position(|other| other == name);
    match (place(FIRST), place(LAST)) {
        (Some(index), _) => (index, name),
        (None, Some(index)) => (10_000 + index, name),
        (None, None) => (1_000, name),
    }
}

fn members(value: &Value) -> Vec<(&str, &Value)> {
    let mut members: Vec<(&str, &Value)> =
        value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value)).collect();
    members.sort_by_key(|(name, _)| rank(name));
    members
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn line(value: &Value) -> String {
    match value {
        Value::Object(_) => {
            let members = members(value);
            let members = members.iter().map(|(name, value)| format!("{}: {}", quoted(name), line(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(line).collect::<Vec<_>>().join(", ")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

/// One line where it fits, otherwise lines that are filled.
fn block(value: &Value, indent: usize, text: &mut String) {
    let whole = line(value);
    let is_long = |value: &Value| value.get("steps").is_some();
    let is_long = is_long(value) || value.as_array().is_some_and(|items| items.iter().any(is_long));
    if !is_long && fits(&whole, text) {
        text.push_str(&whole);
        return;
    }
    let parts: Vec<(Option<&str>, &Value)> = match value {
        Value::Object(_) => members(value).into_iter().map(|(name, value)| (Some(name), value)).collect(),
        Value::Array(items) => items.iter().map(|item| (None, item)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return text.push_str(&whole),
    };
    let (open, close) = if value.is_array() { ('[', ']') } else { ('{', '}') };
    let is_step = value.get("input").is_some();
    if !is_long && !is_step && hugs(&parts, text) {
        text.push(open);
        for (index, (name, part)) in parts.iter().enumerate() {
            text.push_str(if index > 0 { ", " } else { "" });
            text.push_str(&label(*name));
            block(part, indent, text);
        }
        text.push(close);
        return;
    }
    text.push(open);
    let mut room = 0;
    for (index, (name, part)) in parts.iter().enumerate() {
        let length = label(*name).chars().count() + line(part).chars().count() + 2;
        let is_object = name.is_none() && part.is_object();
        let begins = is_object || is_long || (is_step && name.is_some_and(|name| LINES.contains(&name)));
        if index > 0 {
            text.push(',');
        }
        if index == 0 || begins || length > room {
            let _ = write!(text, "\n{:1$}", "", indent + 2);
            room = WIDTH - indent - 2;
        } else {
            text.push(' ');
        }
        text.push_str(&label(*name));
        block(part, indent + 2, text);
        room = room.saturating_sub(length);
    }
    let _ = write!(text, "\n{:indent$}{close}", "");
}

fn label(name: Option<&str>) -> String {
    name.map(|name| format!("{}: ", quoted(name))).unwrap_or_default()
}

fn fits(part: &str, text: &str) -> bool {
    let column = text[text.rfind('\n').map_or(0, |at| at + 1)..].chars().count();
    column + part.chars().count() < WIDTH
}

/// Whether all but the last part stand on the line as it is, and the last one is worth being broken.
fn hugs(parts: &[(Option<&str>, &Value)], text: &str) -> bool {
    let Some(((name, last), others)) = parts.split_last() else { return false };
    let head: String = others.iter().map(|(name, part)| label(*name) + &line(part) + ", ").collect();
    let is_list = name.is_none() && !others.is_empty();
    let is_broken = last.is_object() || last.is_array();
    is_broken && !is_list && fits(&(head + &label(*name) + "[{"), text)
}
