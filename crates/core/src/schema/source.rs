//! The declaration as it was read: a tree of values that remembers the line of each of its parts.

use std::collections::BTreeMap;

use serde_json::{Map, Number};
use sha2::{Digest, Sha256};
use toml_edit::{Document, Item, TableLike};

use crate::Value;

/// A mistake in a schema declaration, with where it is and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct SchemaError {
    pub file: String,
    /// From 1.
    pub line: usize,
    pub message: String,
}

/// A parsed TOML text. Parts are named by their dotted path (`entities.contacts.scope.0`).
pub(super) struct Source<'a> {
    file: &'a str,
    pub(super) root: Value,
    lines: BTreeMap<String, usize>,
}

impl<'a> Source<'a> {
    pub(super) fn parse(text: &str, file: &'a str) -> Result<Self, SchemaError> {
        let document = Document::parse(text).map_err(|error| SchemaError {
            file: file.to_owned(),
            line: Lines::of(text).at(error.span().map_or(0, |span| span.start)),
            message: format!("not valid TOML: {}", error.message().trim().replace('\n', "; ")),
        })?;
        let mut reader = Reader { starts: Lines::of(text), file, lines: BTreeMap::new() };
        let root = reader.table(document.as_table(), "")?;
        Ok(Self { file, root, lines: reader.lines })
    }

    /// A declaration that was not read from text, for the shared vectors.
    #[cfg(test)]
    pub(super) fn of_json(root: Value) -> Self {
        Self { file: "vector", root, lines: BTreeMap::new() }
    }

    /// An error at the line of `path`, or of its nearest ancestor that stands in the text.
    pub(super) fn error(&self, path: &str, message: impl Into<String>) -> SchemaError {
        let mut at = path;
        let line = loop {
            match (self.lines.get(at), at.rfind('.')) {
                (Some(line), _) => break *line,
                (None, Some(dot)) => at = &at[..dot],
                (None, None) => break 1,
            }
        };
        SchemaError { file: self.file.to_owned(), line, message: message.into() }
    }

    pub(super) fn root(&self) -> Node<'_> {
        Node { source: self, value: &self.root, path: String::new() }
    }

    /// First 16 hex digits of the SHA-256 over the values with sorted keys: independent of comments, spacing and order.
    pub(super) fn hash(&self) -> String {
        let mut text = String::new();
        encode_sorted(&self.root, &mut text);
        let digest = Sha256::digest(text.as_bytes());
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

struct Reader<'a> {
    starts: Lines,
    file: &'a str,
    lines: BTreeMap<String, usize>,
}

impl Reader<'_> {
    fn note(&mut self, path: &str, offset: Option<usize>) {
        if let Some(offset) = offset {
            self.lines.entry(path.to_owned()).or_insert_with(|| self.starts.at(offset));
        }
    }

    fn table(&mut self, table: &dyn TableLike, path: &str) -> Result<Value, SchemaError> {
        let mut members = Map::new();
        for (name, item) in table.iter() {
            let at = join(path, name);
            let key_span = table.get_key_value(name).and_then(|(key, _)| key.span());
            self.note(&at, key_span.map(|span| span.start));
            members.insert(name.to_owned(), self.item(item, &at)?);
        }
        Ok(Value::Object(members))
    }

    fn item(&mut self, item: &Item, path: &str) -> Result<Value, SchemaError> {
        match item {
            Item::None => Ok(Value::Null),
            Item::Value(value) => self.value(value, path),
            Item::Table(table) => self.table(table, path),
            Item::ArrayOfTables(tables) => {
                let elements = tables.iter().enumerate().map(|(index, table)| {
                    let at = join(path, &index.to_string());
                    self.note(&at, table.span().map(|span| span.start));
                    self.table(table, &at)
                });
                elements.collect::<Result<_, _>>().map(Value::Array)
            }
        }
    }

    fn value(&mut self, value: &toml_edit::Value, path: &str) -> Result<Value, SchemaError> {
        let offset = value.span().map(|span| span.start);
        self.note(path, offset);
        match value {
            toml_edit::Value::String(text) => Ok(Value::from(text.value().as_str())),
            toml_edit::Value::Integer(number) => Ok(Value::from(*number.value())),
            toml_edit::Value::Boolean(flag) => Ok(Value::from(*flag.value())),
            toml_edit::Value::Float(number) => Number::from_f64(*number.value())
                .map(Value::Number)
                .ok_or_else(|| self.refuse(offset, "`inf` and `nan` have no meaning here")),
            toml_edit::Value::Datetime(_) => Err(self.refuse(offset, "put dates and times in quotes")),
            toml_edit::Value::InlineTable(table) => self.table(table, path),
            toml_edit::Value::Array(array) => {
                let elements = array.iter().enumerate();
                let elements = elements.map(|(index, element)| self.value(element, &join(path, &index.to_string())));
                elements.collect::<Result<_, _>>().map(Value::Array)
            }
        }
    }

    fn refuse(&self, offset: Option<usize>, message: &str) -> SchemaError {
        let line = self.starts.at(offset.unwrap_or(0));
        SchemaError { file: self.file.to_owned(), line, message: message.to_owned() }
    }
}

/// A part of the declaration that knows where it stands. Every accessor refuses what it cannot use.
#[derive(Clone)]
pub(super) struct Node<'a> {
    source: &'a Source<'a>,
    pub(super) value: &'a Value,
    pub(super) path: String,
}

impl<'a> Node<'a> {
    pub(super) fn error(&self, message: impl Into<String>) -> SchemaError {
        self.source.error(&self.path, message)
    }

    pub(super) fn text(&self) -> Result<&'a str, SchemaError> {
        self.value.as_str().ok_or_else(|| self.expected("a text in quotes"))
    }

    pub(super) fn boolean(&self) -> Result<bool, SchemaError> {
        self.value.as_bool().ok_or_else(|| self.expected("`true` or `false`"))
    }

    /// A whole number in `min..=max`.
    pub(super) fn integer(&self, min: i64, max: i64) -> Result<i64, SchemaError> {
        let number = self.value.as_i64().filter(|number| (min..=max).contains(number));
        number.ok_or_else(|| self.expected(&format!("a whole number from {min} to {max}")))
    }

    pub(super) fn array(&self) -> Result<Vec<Node<'a>>, SchemaError> {
        let elements = self.value.as_array().ok_or_else(|| self.expected("an array `[...]`"))?;
        let nodes = elements.iter().enumerate().map(|(index, value)| self.child(&index.to_string(), value));
        Ok(nodes.collect())
    }

    /// The members, of which only those in `known` are allowed; `what` names this table in messages.
    pub(super) fn table(&self, what: &str, known: &[&str]) -> Result<Table<'a>, SchemaError> {
        let table = self.open_table(what)?;
        let unknown = table.entries().find(|(name, _)| !known.contains(name));
        match unknown {
            None => Ok(table),
            Some((name, node)) => Err(node.error(format!("unknown key `{name}` in {what}; {}", advice(name, known)))),
        }
    }

    /// As [`Node::table`] with any member names.
    pub(super) fn open_table(&self, what: &str) -> Result<Table<'a>, SchemaError> {
        let members = self.value.as_object().ok_or_else(|| self.expected("a table"))?;
        Ok(Table { node: self.clone(), members, what: what.to_owned() })
    }

    /// One of `words`; `what` names the kind of word.
    pub(super) fn word(&self, what: &str, words: &[&'static str]) -> Result<&'static str, SchemaError> {
        let text = self.text()?;
        words.iter().copied().find(|word| *word == text).ok_or_else(|| {
            let advice = suggestion(text, words).map(|word| format!(" (did you mean `{word}`?)")).unwrap_or_default();
            self.error(format!("unknown {what} `{text}`{advice}; use one of {}", words.join(", ")))
        })
    }

    fn expected(&self, what: &str) -> SchemaError {
        let name = self.path.rsplit('.').find(|part| part.parse::<usize>().is_err()).unwrap_or("this file");
        self.error(format!("`{name}` must be {what}"))
    }

    fn child(&self, name: &str, value: &'a Value) -> Node<'a> {
        Node { source: self.source, value, path: join(&self.path, name) }
    }
}

/// The members of a table.
pub(super) struct Table<'a> {
    pub(super) node: Node<'a>,
    members: &'a Map<String, Value>,
    what: String,
}

impl<'a> Table<'a> {
    pub(super) fn get(&self, name: &str) -> Option<Node<'a>> {
        self.members.get(name).map(|value| self.node.child(name, value))
    }

    pub(super) fn require(&self, name: &str) -> Result<Node<'a>, SchemaError> {
        self.get(name).ok_or_else(|| self.node.error(format!("{} needs `{name}`", self.what)))
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, Node<'a>)> + '_ {
        self.members.iter().map(|(name, value)| (name.as_str(), self.node.child(name, value)))
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, SchemaError> {
        self.get(name).map_or(Ok(false), |node| node.boolean())
    }
}

/// "did you mean `x`?" or the list of what is known.
pub(super) fn advice(word: &str, known: &[&str]) -> String {
    match suggestion(word, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("use one of {}", known.join(", ")),
    }
}

fn suggestion<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let distances = known.iter().map(|candidate| (edit_distance(word, candidate), *candidate));
    let (distance, near) = distances.min()?;
    (distance <= 1 + word.chars().count() / 4).then_some(near)
}

/// Edits between two words: characters inserted, left out, replaced, or swapped with their neighbour.
fn edit_distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let is_swap = i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1];
            let swapped = if is_swap { rows[i - 2][j - 2] + 1 } else { usize::MAX };
            row.push(replaced.min(swapped).min(rows[i - 1][j] + 1).min(row[j - 1] + 1));
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Offsets of the ends of lines.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(offset, _)| offset).collect())
    }

    fn at(&self, offset: usize) -> usize {
        1 + self.0.partition_point(|end| *end < offset)
    }
}

/// JSON with members in name order, whatever order the map type keeps.
fn encode_sorted(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<&String, &Value> = members.iter().collect();
            out.push('{');
            for (index, (name, member)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                encode_sorted(member, out);
            }
            out.push('}');
        }
        Value::Array(elements) => {
            out.push('[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                encode_sorted(element, out);
            }
            out.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => out.push_str(&value.to_string()),
    }
}
