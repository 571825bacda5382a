//! The SQL of a list, for both databases: names come from the schema, values are always bound.

use syncline_core::Value;
use syncline_core::id::RecordId;
use syncline_core::schema::{Entity, Field, FieldType};
use syncline_core::storage::{ListQuery, Test};

/// What differs between the databases.
pub(crate) trait Dialect {
    /// Binds a value of a field and returns the expression that stands for it. `None`: the column has no such value.
    fn bind(&mut self, field: &Field, value: &Value) -> Option<String>;
    fn bind_text(&mut self, text: &str) -> String;
    fn bind_id(&mut self, id: RecordId) -> String;
    fn column(&self, field: &Field) -> String;
    /// Whether the column is one of the values.
    fn is_one_of(&self, field: &Field, values: &[String]) -> String;
    /// Expressions that sort as the values of a field do.
    fn sorted(&self, field: &Field, value: &str) -> Vec<String>;
    fn lower(&self, text: &str) -> String;
    /// Whether a text begins with another.
    fn begins(&self, text: &str, start: &str) -> String;
    /// Whether a set, which lies as compact JSON, contains a text.
    fn json_contains(&self, field: &Field, text: &str) -> String;
    /// As an index of its elements knows it; `None`: it has none.
    fn is_in_set_index(&mut self, field: &Field, items: &[&str]) -> Option<String>;
    /// Whether the record is in the query's scopes; `None`: every one is.
    fn is_granted(&mut self, query: &ListQuery) -> Option<String>;
}

/// What follows the rows' own table, of alias `t`: the conditions and the order. `None`: no record can be as asked for.
pub(crate) fn conditions_and_order(
    (entity, order): (&Entity, Option<&Field>),
    query: &ListQuery,
    dialect: &mut impl Dialect,
) -> Option<(Vec<String>, String)> {
    let mut all = Vec::new();
    for condition in &query.conditions {
        all.push(test(entity.field(&condition.field)?, &condition.test, dialect)?);
    }
    if let Some((key, id)) = &query.after {
        all.push(behind(order, query.is_descending, (key, *id), dialect)?);
    }
    all.extend(dialect.is_granted(query));
    let (direction, nulls) = if query.is_descending { ("DESC", "NULLS FIRST") } else { ("ASC", "NULLS LAST") };
    let keys = order.map(|field| dialect.sorted(field, &dialect.column(field))).unwrap_or_default();
    let keys = keys.iter().map(|key| format!("{key} {direction} {nulls}, ")).collect::<String>();
    Some((all, format!("{keys}t.id {direction}")))
}

fn test(field: &Field, test: &Test, dialect: &mut impl Dialect) -> Option<String> {
    let column = dialect.column(field);
    let mut against = |operator: &str, value: &Value| {
        let bound = dialect.bind(field, value)?;
        let (left, right) = (dialect.sorted(field, &column), dialect.sorted(field, &bound));
        Some(format!("{} {operator} {}", row(&left), row(&right)))
    };
    match test {
        Test::Missing => Some(format!("{column} IS NULL")),
        Test::OneOf(values) if matches!(field.kind, FieldType::Set { .. }) => {
            let items: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
            if let Some(indexed) = dialect.is_in_set_index(field, &items) {
                return Some(indexed);
            }
            // In compact JSON an element begins after `[` or `,` with a quote, and no quote within a text follows them.
            let contains = items.iter().flat_map(|item| {
                let item = Value::from(*item).to_string();
                ["[", ","].map(|before| format!("{before}{item}"))
            });
            let contains: Vec<String> = contains.collect();
            let contains: Vec<String> = contains
                .iter()
                .map(|text| {
                    let bound = dialect.bind_text(text);
                    dialect.json_contains(field, &bound)
                })
                .collect();
            (!contains.is_empty()).then(|| format!("({})", contains.join(" OR ")))
        }
        Test::OneOf(values) => {
            let values: Vec<String> = values.iter().filter_map(|value| dialect.bind(field, value)).collect();
            (!values.is_empty()).then(|| dialect.is_one_of(field, &values))
        }
        Test::Above(value) => against(">", value),
        Test::AtLeast(value) => against(">=", value),
        Test::Below(value) => against("<", value),
        Test::AtMost(value) => against("<=", value),
        Test::Begins(start) => {
            let bound = dialect.bind_text(&start.to_ascii_lowercase());
            let is_text = matches!(field.kind, FieldType::Text { .. } | FieldType::Choice { .. });
            is_text.then(|| dialect.begins(&dialect.lower(&column), &bound))
        }
    }
}

/// Whether a row comes behind a place in the order.
fn behind(
    order: Option<&Field>,
    is_descending: bool,
    (key, id): (&Value, RecordId),
    dialect: &mut impl Dialect,
) -> Option<String> {
    let operator = if is_descending { "<" } else { ">" };
    let id = dialect.bind_id(id);
    let Some(field) = order else { return Some(format!("t.id {operator} {id}")) };
    let column = dialect.column(field);
    let ties = |is_equal: &str| format!("({is_equal} AND t.id {operator} {id})");
    if key.is_null() {
        let ties = ties(&format!("{column} IS NULL"));
        return Some(if is_descending { format!("({ties} OR {column} IS NOT NULL)") } else { ties });
    }
    let bound = dialect.bind(field, key)?;
    let (left, right) = (row(&dialect.sorted(field, &column)), row(&dialect.sorted(field, &bound)));
    let behind = format!("{left} {operator} {right} OR {}", ties(&format!("{left} = {right}")));
    Some(if is_descending { format!("({behind})") } else { format!("({behind} OR {column} IS NULL)") })
}

fn row(parts: &[String]) -> String {
    if let [only] = parts { only.clone() } else { format!("({})", parts.join(", ")) }
}
