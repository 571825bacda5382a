//! Results as tables for people or one JSON object for programs.

use comfy_table::Table;
use serde_json::{Map, Value, json};

pub struct Report {
    is_json: bool,
    sections: Map<String, Value>,
}

impl Report {
    pub fn new(is_json: bool) -> Self {
        Self { is_json, sections: Map::new() }
    }

    /// Adds rows that all have the same members, in `columns` order; prints them unless JSON was asked for.
    pub fn section(&mut self, name: &str, title: &str, columns: &[&str], rows: &[Value]) {
        if !self.is_json {
            let mut table = Table::new();
            table.set_header(columns);
            for row in rows {
                table.add_row(columns.iter().map(|column| show(&row[*column])));
            }
            println!("\n{title}\n{table}");
        }
        self.sections.insert(name.to_owned(), json!(rows));
    }

    pub fn finish(self) {
        if self.is_json {
            println!("{}", Value::Object(self.sections));
        }
    }
}

fn show(value: &Value) -> String {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.abs() < 100.0 => format!("{float:.3}"),
            Some(float) if number.is_f64() => format!("{float:.0}"),
            _ => number.to_string(),
        },
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A figure with at most three decimals.
pub fn figure(value: f64) -> Value {
    json!((value * 1_000.0).round() / 1_000.0)
}
