//! `schema.ts`: the declaration as a client needs it, without what the server alone reads.

use std::fmt::Write as _;

use syncline_core::schema::Schema;
use toml_edit::{Document, Item, TableLike, Value};

use super::{Naming, entities};

/// Members of an entity that only the server reads.
const SERVER_ENTITY: &[&str] = &["tier", "scope", "rules", "derived"];
/// Members of a field that only the server reads.
const SERVER_FIELD: &[&str] = &["on_delete", "stamp"];

pub fn render<S>(document: &Document<S>, schema: &Schema, naming: &Naming<'_>) -> String {
    let (head, prefix, module) = (naming.head(), naming.prefix, naming.module);
    let version = schema.version;
    let mut text = format!(
        "{head}import type {{ SchemaDeclaration }} from \"{module}\";\n\n/** What a device has to know of the schema. */\n\
         export const {prefix}Schema: SchemaDeclaration = {{\n  \"version\": {version},\n  \"hash\": \"{}\",\n  \"roles\": ",
        schema.hash
    );
    let roles = document["roles"].as_table_like().expect("a declaration that was read has its roles in a table");
    members(&mut text, roles, "  ", |_| true);
    text.push_str(",\n  \"entities\": {\n");
    let mut first = true;
    for (name, entity) in entities(document) {
        let separator = if std::mem::take(&mut first) { "" } else { ",\n" };
        write!(text, "{separator}    {}: ", quoted(name)).expect("writing to a text");
        entity_members(&mut text, entity);
    }
    text.push_str("\n  }\n};\n");
    text
}

fn entity_members(text: &mut String, entity: &Item) {
    let Some(table) = entity.as_table_like() else { return };
    let mut separator = "{\n";
    for (key, item) in table.iter().filter(|(key, _)| !SERVER_ENTITY.contains(key)) {
        write!(text, "{separator}      {}: ", quoted(key)).expect("writing to a text");
        separator = ",\n";
        match item.as_table_like() {
            Some(table) => members(text, table, "      ", |key| !SERVER_FIELD.contains(&key)),
            None => text.push_str(&compact(item, &|_| true)),
        }
    }
    text.push_str("\n    }");
}

/// A line for each member, so that a field that changes is a line that changes.
fn members(text: &mut String, table: &dyn TableLike, indent: &str, is_kept: impl Fn(&str) -> bool) {
    let lines: Vec<String> =
        table.iter().map(|(key, item)| format!("{indent}  {}: {}", quoted(key), compact(item, &is_kept))).collect();
    write!(text, "{{\n{}\n{indent}}}", lines.join(",\n")).expect("writing to a text");
}

/// JSON in one line; `is_kept` says which members of a table are written.
fn compact(item: &Item, is_kept: &dyn Fn(&str) -> bool) -> String {
    match item {
        Item::Value(value) => json(value, is_kept),
        Item::Table(table) => object(table, is_kept),
        Item::ArrayOfTables(tables) => {
            format!("[{}]", tables.iter().map(|table| object(table, is_kept)).collect::<Vec<_>>().join(","))
        }
        Item::None => "null".to_owned(),
    }
}

fn json(value: &Value, is_kept: &dyn Fn(&str) -> bool) -> String {
    match value {
        Value::String(text) => quoted(text.value()),
        Value::Integer(number) => number.value().to_string(),
        Value::Float(number) => number.value().to_string(),
        Value::Boolean(flag) => flag.value().to_string(),
        Value::Datetime(moment) => quoted(&moment.value().to_string()),
        Value::Array(array) => {
            format!("[{}]", array.iter().map(|each| json(each, is_kept)).collect::<Vec<_>>().join(","))
        }
        Value::InlineTable(table) => object(table, is_kept),
    }
}

fn object(table: &dyn TableLike, is_kept: &dyn Fn(&str) -> bool) -> String {
    let members = table.iter().filter(|(key, _)| is_kept(key));
    let members: Vec<_> = members.map(|(key, item)| format!("{}:{}", quoted(key), compact(item, &|_| true))).collect();
    format!("{{{}}}", members.join(","))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
