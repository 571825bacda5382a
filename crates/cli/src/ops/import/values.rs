//! Cells become values of their field's type, as far as a person's way of writing can be read in one way only. What
//! cannot goes on as it is, and the schema says what it expected.

use syncline_core::Value;
use syncline_core::schema::{Field, FieldType};

use super::dates::{self, DateOrder};

/// The value of a cell; `None`: there is nothing in it.
pub fn value_of(field: &Field, cell: &Value, order: Option<DateOrder>) -> Result<Option<Value>, String> {
    let Value::String(text) = cell else { return Ok(Some(from_json(field, cell))) };
    let trimmed = text.trim();
    let is_plain_text = matches!(&field.kind, FieldType::Text { format: None, .. });
    if text.is_empty() || (trimmed.is_empty() && !is_plain_text) {
        return Ok(None);
    }
    let value = match &field.kind {
        FieldType::Text { format: None, .. } => Value::String(text.clone()),
        FieldType::Text { format: Some(_), .. } => Value::from(trimmed),
        FieldType::Choice { choices } => choice(choices, trimmed),
        FieldType::Integer { .. } | FieldType::Counter => integer(trimmed),
        FieldType::Decimal { .. } => Value::from(decimal(trimmed)),
        FieldType::Boolean => boolean(trimmed),
        FieldType::Date => Value::from(dates::date(trimmed, order).map_err(|error| named(field, &error))?),
        FieldType::Timestamp => Value::from(dates::timestamp(trimmed, order).map_err(|error| named(field, &error))?),
        FieldType::Uuid => Value::from(trimmed.to_ascii_lowercase()),
        FieldType::Json { .. } if trimmed.starts_with(['{', '[']) => {
            serde_json::from_str(trimmed).unwrap_or_else(|_| Value::from(trimmed))
        }
        FieldType::Json { .. } => Value::from(trimmed),
        FieldType::Set { .. } => set(trimmed),
    };
    Ok(Some(value))
}

fn named(field: &Field, error: &str) -> String {
    format!("{}: {error}", field.name)
}

/// JSON has types of its own; a number in a text field is what it looks like.
fn from_json(field: &Field, cell: &Value) -> Value {
    match (&field.kind, cell) {
        (FieldType::Text { .. }, Value::Number(_) | Value::Bool(_)) => Value::from(cell.to_string()),
        _ => cell.clone(),
    }
}

/// The declared word that reads the same (`In progress` is `in_progress`); for ranges the one a number lies in.
fn choice(choices: &[syncline_core::Name], text: &str) -> Value {
    let fold = |text: &str| text.to_lowercase().replace([' ', '-'], "_");
    let folded = fold(text);
    let same = choices.iter().find(|choice| *choice == text || fold(choice) == folded);
    let number: Option<u64> = text.parse().ok();
    let in_range = number.and_then(|number| choices.iter().find(|choice| lies_in(choice, number)));
    Value::from(same.or(in_range).map_or(text, |choice| choice.as_str()))
}

/// `11-50` and `1000+`.
fn lies_in(range: &str, number: u64) -> bool {
    if let Some(least) = range.strip_suffix('+').and_then(|least| least.parse::<u64>().ok()) {
        return number >= least;
    }
    let bounds = range.split_once('-').map(|(least, most)| (least.parse::<u64>(), most.parse::<u64>()));
    matches!(bounds, Some((Ok(least), Ok(most))) if (least..=most).contains(&number))
}

fn integer(text: &str) -> Value {
    let digits = decimal(text);
    digits.parse::<i64>().map_or_else(|_| Value::from(text), Value::from)
}

/// Without thousands separators, where they stand as such (`1,234,567.50`).
fn decimal(text: &str) -> String {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut groups = whole.split(',');
    let first = groups.next().unwrap_or_default();
    let is_grouped = whole.contains(',')
        && (1..=3).contains(&first.trim_start_matches('-').len())
        && groups.all(|group| group.len() == 3)
        && !fraction.contains(',');
    if is_grouped { text.replace(',', "") } else { text.to_owned() }
}

fn boolean(text: &str) -> Value {
    match text.to_lowercase().as_str() {
        "true" | "yes" | "y" | "1" => Value::Bool(true),
        "false" | "no" | "n" | "0" => Value::Bool(false),
        _ => Value::from(text),
    }
}

/// A JSON array, or items between `;`, `|` or `,`.
fn set(text: &str) -> Value {
    if text.starts_with('[')
        && let Ok(Value::Array(items)) = serde_json::from_str(text)
    {
        return Value::Array(items);
    }
    let items = text.split([';', '|', ',']).map(str::trim).filter(|item| !item.is_empty());
    Value::Array(items.map(Value::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imp_1_cells_read_in_one_way_only() {
        assert_eq!(decimal("1,234,567.50"), "1234567.50");
        assert_eq!(decimal("1,5"), "1,5");
        assert_eq!(integer("007"), Value::from(7));
        assert_eq!(integer("1.5"), Value::from("1.5"));
        let ranges = ["1-10", "11-50", "1000+"].map(syncline_core::Name::new);
        assert_eq!(choice(&ranges, "3930"), Value::from("1000+"));
        assert_eq!(choice(&ranges, "50"), Value::from("11-50"));
        assert_eq!(choice(&["in_progress".into()], "In Progress"), Value::from("in_progress"));
        assert_eq!(set("a; b"), serde_json::json!(["a", "b"]));
    }
}
