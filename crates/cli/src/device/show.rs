//! Answers: tables with colour for people, JSON for programs.

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::{Value, json};
use syncline_core::TimestampMs;
use syncline_core::replica::{RecordState, Viewed};

/// Longest text of a cell; characters.
const CELL_CHARS_MAX: usize = 60;

/// One JSON value on one line.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(value)?);
    Ok(())
}

/// An error with its causes, on standard error; with `--json` as an object.
pub(super) fn error(error: &anyhow::Error, exit: u8, is_json: bool) {
    let text = format!("{error:#}");
    if is_json {
        eprintln!("{}", json!({"error": text, "exit": exit}));
    } else {
        eprintln!("error: {text}");
    }
}

pub(super) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.iter().map(|name| Cell::new(name).add_attribute(Attribute::Bold)));
    table
}

pub(super) fn print(table: &Table) {
    println!("{table}");
}

/// A value as a cell: text without quotes, the rest as JSON, long ones cut.
pub(super) fn cell(value: &Value) -> Cell {
    match value {
        Value::Null => Cell::new("—").fg(Color::DarkGrey),
        Value::String(text) => Cell::new(short(text)),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let items = items.iter().filter_map(Value::as_str).collect::<Vec<_>>();
            Cell::new(short(&items.join(", ")))
        }
        other => Cell::new(short(&other.to_string())),
    }
}

pub(super) fn short(text: &str) -> String {
    let line = text.replace(['\n', '\r', '\t'], " ");
    if line.chars().count() <= CELL_CHARS_MAX {
        return line;
    }
    line.chars().take(CELL_CHARS_MAX - 1).chain(['…']).collect()
}

pub(super) fn state(record: &Viewed) -> Cell {
    match record.state {
        RecordState::Synced => Cell::new("synced").fg(Color::Green),
        RecordState::Pending => Cell::new("pending").fg(Color::Yellow),
    }
}

/// A moment in UTC to the second; 0 is never.
pub(super) fn moment(at_ms: TimestampMs) -> String {
    if at_ms == 0 {
        return "never".to_owned();
    }
    let moment = i64::try_from(at_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    moment.map_or_else(|| at_ms.to_string(), |moment| moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// One record, a field per line.
pub(super) fn record(record: &Viewed) {
    let mut table = table(&["field", "value"]);
    table.add_row([Cell::new("id").fg(Color::Cyan), Cell::new(record.id)]);
    for (name, value) in &record.fields {
        table.add_row([Cell::new(name).fg(Color::Cyan), cell(value)]);
    }
    table.add_row([Cell::new("state").fg(Color::Cyan), state(record)]);
    print(&table);
}
