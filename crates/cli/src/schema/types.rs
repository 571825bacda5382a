//! `types.ts`: for each entity what a record holds, what a new one needs and what an edit may name.

use toml_edit::{Item, Table, TableLike};

use super::Naming;

pub fn render(entities: &Table, naming: &Naming<'_>) -> String {
    let map: Vec<_> = entities
        .iter()
        .map(|(name, _)| {
            let of = type_name(name);
            format!("  {name}: {{ record: {of}; create: {of}Create; update: {of}Update }};")
        })
        .collect();
    let types: Vec<_> = entities.iter().map(|(name, entity)| entity_types(name, entity)).collect();
    let types = types.join("\n");
    let import = if types.contains("Json") {
        format!("import type {{ Json }} from \"{}\";\n\n", naming.module)
    } else {
        String::new()
    };
    format!(
        "{}{import}/** Every entity of the schema. */\nexport interface {}Entities {{\n{}\n}}\n\n{types}",
        naming.head(),
        naming.capital(),
        map.join("\n"),
    )
}

/// Record, create and update: what the server alone writes cannot be named in an edit, nor can what never changes.
fn entity_types(name: &str, entity: &Item) -> String {
    let of = type_name(name);
    let fields: Vec<Field<'_>> =
        entity["fields"].as_table_like().into_iter().flat_map(TableLike::iter).map(Field::new).collect();
    let record: Vec<_> = fields.iter().map(|field| format!("  {}?: {};", field.name, field.value())).collect();
    let create: Vec<_> = fields.iter().filter(|field| field.is_written()).map(Field::in_create).collect();
    let is_insert_only = flag(entity, "insert_only");
    let updated = |field: &&Field<'_>| !is_insert_only && field.is_written() && !field.has("immutable");
    let update: Vec<_> = fields.iter().filter(updated).map(Field::in_update).collect();
    let record = format!("export interface {of} {{\n{}\n}}\n", record.join("\n"));
    // What the server alone creates cannot be created: there is no value of this type.
    let create = if entity.get("create").and_then(Item::as_str) == Some("server") {
        format!("export type {of}Create = never;\n")
    } else {
        format!("export interface {of}Create {{\n{}\n}}\n", create.join("\n"))
    };
    let update = if update.is_empty() {
        format!("export type {of}Update = Record<string, never>;\n")
    } else {
        format!("export interface {of}Update {{\n{}\n}}\n", update.join("\n"))
    };
    [record, create, update].join("\n")
}

struct Field<'a> {
    name: &'a str,
    declared: &'a Item,
}

impl<'a> Field<'a> {
    fn new((name, declared): (&'a str, &'a Item)) -> Self {
        Self { name, declared }
    }

    fn has(&self, mark: &str) -> bool {
        flag(self.declared, mark)
    }

    fn is_written(&self) -> bool {
        !self.has("server_only") && self.declared.get("stamp").is_none()
    }

    fn in_create(&self) -> String {
        let is_needed = self.has("required") && self.declared.get("default").is_none();
        let (mark, or_null) = if is_needed { ("", "") } else { ("?", " | null") };
        format!("  {}{mark}: {}{or_null};", self.name, self.value())
    }

    fn in_update(&self) -> String {
        let or_null = if self.has("required") { "" } else { " | null" };
        format!("  {}?: {}{or_null};", self.name, self.patch())
    }

    fn kind(&self) -> &str {
        self.declared.get("type").and_then(Item::as_str).unwrap_or_default()
    }

    /// The type of a value.
    fn value(&self) -> String {
        match self.kind() {
            "choice" => {
                let choices = self.declared.get("choices").and_then(Item::as_array);
                let choices = choices.into_iter().flatten().filter_map(|choice| choice.as_str());
                choices.map(|choice| serde_json::Value::from(choice).to_string()).collect::<Vec<_>>().join(" | ")
            }
            "integer" | "counter" => "number".to_owned(),
            "boolean" => "boolean".to_owned(),
            "json" => "Json".to_owned(),
            "set" => "readonly string[]".to_owned(),
            _ => "string".to_owned(),
        }
    }

    /// The type of an edit.
    fn patch(&self) -> String {
        match self.kind() {
            "set" => "readonly string[] | { add?: readonly string[]; remove?: readonly string[] }".to_owned(),
            "counter" => "number | { inc: number }".to_owned(),
            _ => self.value(),
        }
    }
}

fn flag(item: &Item, name: &str) -> bool {
    item.get(name).and_then(Item::as_bool).unwrap_or(false)
}

/// `lead_activities` becomes `LeadActivity`, `companies` `Company`.
fn type_name(entity: &str) -> String {
    let name: String = entity.split('_').map(capital).collect();
    if let Some(stem) = name.strip_suffix("ies") {
        return format!("{stem}y");
    }
    match name.strip_suffix('s') {
        Some(stem) if !stem.ends_with('s') => stem.to_owned(),
        _ => name,
    }
}

pub fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sdk_1_a_type_is_named_for_one_record() {
        let names = ["leads", "lead_activities", "companies", "content", "statuses_of_glass", "address"];
        let expected = ["Lead", "LeadActivity", "Company", "Content", "StatusesOfGlass", "Address"];
        assert_eq!(names.map(type_name), expected);
    }
}
