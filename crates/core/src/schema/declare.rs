//! Reads the declaration of one field: its type, format, strategy and marks.

use std::collections::BTreeMap;

use super::number::EXACT_MAX;
use super::source::{Node, SchemaError, Table, advice};
use super::{Field, FieldType, Format, OnDelete, Pattern, Reference, SetItem, Stamp, Strategy};
use crate::Name;

/// A text longer than this does not fit a frame (256 KiB).
const TEXT_MAX: i64 = 262_144;
/// Group of a field that has not been put into one.
pub(super) const UNGROUPED: usize = usize::MAX;
const JSON_BYTES_DEFAULT: i64 = 65_536;
const JSON_BYTES_MAX: i64 = 131_072;

const COMMON_KEYS: &[&str] = &[
    "type",
    "required",
    "default",
    "references",
    "on_delete",
    "indexed",
    "sensitive",
    "immutable",
    "server_only",
    "min_role",
    "stamp",
    "strategy",
    "order",
    "transitions",
];
const TYPES: &[(&str, &[&str])] = &[
    ("text", &["max_len", "format", "pattern", "pattern_message"]),
    ("choice", &["choices"]),
    ("integer", &["min", "max"]),
    ("decimal", &["precision", "scale", "min", "max"]),
    ("boolean", &[]),
    ("date", &[]),
    ("timestamp", &[]),
    ("uuid", &[]),
    ("json", &["max_bytes"]),
    ("set", &["items", "max_items", "max_len"]),
    ("counter", &[]),
];
/// Name and default `max_len` of each format.
const FORMATS: &[(&str, i64)] = &[
    ("email", 254),
    ("phone", 40),
    ("url", 2048),
    ("https_url", 2048),
    ("currency", 3),
    ("country", 2),
    ("timezone", 64),
    ("language", 35),
    ("slug", 40),
    ("position", 64),
    ("not_blank", 255),
    ("hostname", 253),
];
const STRATEGIES: &[&str] = &[
    "last-write-wins",
    "merge-fields",
    "add-wins-set",
    "counter",
    "max",
    "monotone",
    "priority-wins",
    "merge-keys",
    "most-restrictive-wins",
    "higher-role-wins",
    "manual-review",
    "version-control",
    "state-machine",
];

/// A field as declared; its group is not known yet.
pub(super) struct Declared {
    pub(super) field: Field,
    /// `None`: the default of the type.
    pub(super) strategy: Option<Strategy>,
}

/// Reads a field; `roles` gives the ranks for `min_role`.
pub(super) fn field(name: &Name, node: &Node<'_>, roles: &BTreeMap<Name, u8>) -> Result<Declared, SchemaError> {
    let table = field_table(name, node)?;
    let kind = field_type(&table)?;
    let default = table.get("default").map(|default| {
        let value = kind.canonical(default.value.clone());
        value.map_err(|message| default.error(format!("the default does not fit the field: {message}")))
    });
    let stamp = table.get("stamp").map(|stamp| {
        Ok(match stamp.word("stamp", &["created", "updated", "authored", "created_by"])? {
            "created" => Stamp::Created,
            "updated" => Stamp::Updated,
            "authored" => Stamp::Authored,
            _ => Stamp::CreatedBy,
        })
    });
    let references = reference(&table)?;
    let field = Field {
        name: name.clone(),
        group: UNGROUPED,
        is_required: table.flag("required")?,
        default: default.transpose()?,
        is_indexed: table.flag("indexed")? || references.is_some(),
        references,
        is_sensitive: table.flag("sensitive")?,
        is_immutable: table.flag("immutable")?,
        is_server_only: table.flag("server_only")?,
        min_rank: table.get("min_role").map(|role| rank(&role, roles)).transpose()?.unwrap_or(0),
        stamp: stamp.transpose()?,
        is_derived: false,
        kind,
    };
    Ok(Declared { field, strategy: strategy(&table)? })
}

/// The rank of the role a node names.
pub(super) fn rank(node: &Node<'_>, roles: &BTreeMap<Name, u8>) -> Result<u8, SchemaError> {
    let role = node.text()?;
    let known: Vec<&str> = roles.keys().map(Name::as_str).collect();
    roles.get(role).copied().ok_or_else(|| node.error(format!("unknown role `{role}`; {}", advice(role, &known))))
}

/// The strategy of a field or group table, if it declares one.
pub(super) fn strategy(table: &Table<'_>) -> Result<Option<Strategy>, SchemaError> {
    let Some(node) = table.get("strategy") else {
        return match table.get("order").or_else(|| table.get("transitions")) {
            Some(stray) => Err(stray.error("this belongs to a `strategy`; declare one beside it")),
            None => Ok(None),
        };
    };
    match node.text()? {
        "server-only" => return Err(node.error("`server-only` is not a strategy; write `server_only = true`")),
        "insert-only" => {
            return Err(node.error("`insert-only` is not a strategy; write `insert_only = true` on the entity"));
        }
        _ => {}
    }
    let word = node.word("strategy", STRATEGIES)?;
    let strategy = match word {
        "last-write-wins" => Strategy::LastWriteWins,
        "merge-fields" => Strategy::MergeFields,
        "add-wins-set" => Strategy::AddWinsSet,
        "counter" => Strategy::Counter,
        "max" => Strategy::Max,
        "monotone" => Strategy::Monotone { order: names(&table.require("order")?)? },
        "priority-wins" => Strategy::PriorityWins { order: names(&table.require("order")?)? },
        "merge-keys" => Strategy::MergeKeys,
        "most-restrictive-wins" => Strategy::MostRestrictiveWins,
        "higher-role-wins" => Strategy::HigherRoleWins,
        "manual-review" => Strategy::ManualReview,
        "version-control" => Strategy::VersionControl,
        _ => Strategy::StateMachine { transitions: transitions(&table.require("transitions")?)? },
    };
    let takes_order = matches!(strategy, Strategy::Monotone { .. } | Strategy::PriorityWins { .. });
    let takes_transitions = matches!(strategy, Strategy::StateMachine { .. });
    for (key, is_taken) in [("order", takes_order), ("transitions", takes_transitions)] {
        if let Some(stray) = table.get(key).filter(|_| !is_taken) {
            return Err(stray.error(format!("`{key}` has no meaning for the strategy `{word}`; remove it")));
        }
    }
    Ok(Some(strategy))
}

/// A list of distinct names.
pub(super) fn names(node: &Node<'_>) -> Result<Vec<Name>, SchemaError> {
    let mut names: Vec<Name> = Vec::new();
    for element in node.array()? {
        let name = Name::new(element.text()?);
        if names.contains(&name) {
            return Err(element.error(format!("`{name}` is listed twice; remove one")));
        }
        names.push(name);
    }
    Ok(names)
}

fn transitions(node: &Node<'_>) -> Result<BTreeMap<Name, Vec<Name>>, SchemaError> {
    let table = node.open_table("`transitions`")?;
    table.entries().map(|(from, to)| Ok((Name::new(from), names(&to)?))).collect()
}

fn field_table<'a>(name: &Name, node: &Node<'a>) -> Result<Table<'a>, SchemaError> {
    let all: Vec<&str> = COMMON_KEYS.iter().chain(TYPES.iter().flat_map(|(_, keys)| *keys)).copied().collect();
    let what = format!("field `{name}`");
    let table = node.table(&what, &all)?;
    let type_words: Vec<&'static str> = TYPES.iter().map(|(word, _)| *word).collect();
    let word = table.require("type")?.word("type", &type_words)?;
    let own = TYPES.iter().find(|(candidate, _)| *candidate == word).map_or(&[][..], |(_, keys)| *keys);
    let stray = table.entries().find(|(key, _)| !COMMON_KEYS.contains(key) && !own.contains(key));
    match stray {
        None => Ok(table),
        Some((key, node)) if own.is_empty() => {
            Err(node.error(format!("`{key}` has no meaning for type `{word}`; remove it")))
        }
        Some((key, node)) => {
            Err(node.error(format!("`{key}` has no meaning for type `{word}`, which takes {}", own.join(", "))))
        }
    }
}

fn field_type(table: &Table<'_>) -> Result<FieldType, SchemaError> {
    let bound =
        |key: &str, default: i64| table.get(key).map_or(Ok(default), |node| node.integer(-EXACT_MAX, EXACT_MAX));
    let size = |key: &str, default: i64, max: i64| {
        let size = table.get(key).map_or(Ok(default), |node| node.integer(1, max))?;
        Ok(u32::try_from(size).unwrap_or(u32::MAX))
    };
    Ok(match table.require("type")?.text()? {
        "text" => {
            let (format, default_len) = text_format(table)?;
            FieldType::Text { max_len: size("max_len", default_len, TEXT_MAX)?, format }
        }
        "choice" => {
            let node = table.require("choices")?;
            let choices = names(&node)?;
            if choices.is_empty() || choices.iter().any(|choice| choice.is_empty()) {
                return Err(node.error("`choices` needs at least one word, and no empty one"));
            }
            FieldType::Choice { choices }
        }
        "integer" => {
            let (min, max) = (bound("min", -EXACT_MAX)?, bound("max", EXACT_MAX)?);
            if min > max {
                return Err(table.node.error(format!("`min` {min} is above `max` {max}; swap them")));
            }
            FieldType::Integer { min, max }
        }
        "decimal" => decimal(table)?,
        "boolean" => FieldType::Boolean,
        "date" => FieldType::Date,
        "timestamp" => FieldType::Timestamp,
        "uuid" => FieldType::Uuid,
        "json" => FieldType::Json { max_bytes: size("max_bytes", JSON_BYTES_DEFAULT, JSON_BYTES_MAX)? },
        "set" => {
            let items = match table.require("items")?.word("set item", &["text", "folded_text", "uuid"])? {
                "text" => SetItem::Text,
                "folded_text" => SetItem::FoldedText,
                _ => SetItem::Uuid,
            };
            FieldType::Set { items, max_items: size("max_items", 100, 10_000)?, max_len: size("max_len", 100, 1000)? }
        }
        _ => FieldType::Counter,
    })
}

fn decimal(table: &Table<'_>) -> Result<FieldType, SchemaError> {
    let precision = table.require("precision")?.integer(1, 38)?;
    let scale = table.require("scale")?.integer(0, precision)?;
    let (precision, scale) = (precision.unsigned_abs() as u8, scale.unsigned_abs() as u8);
    let unbounded = FieldType::Decimal { precision, scale, min: None, max: None };
    let bound = |key: &str| {
        let value = table.get(key).map(|node| {
            let value = unbounded.canonical(node.value.clone());
            value.map_err(|message| node.error(format!("`{key}` does not fit the field: {message}")))
        });
        let value = value.transpose()?;
        Ok(value.and_then(|value| value.as_str().map(str::to_owned)))
    };
    Ok(FieldType::Decimal { precision, scale, min: bound("min")?, max: bound("max")? })
}

fn text_format(table: &Table<'_>) -> Result<(Option<Format>, i64), SchemaError> {
    if let Some(node) = table.get("pattern") {
        if let Some(format) = table.get("format") {
            return Err(format.error("`format` and `pattern` exclude each other; remove one"));
        }
        let message = table.require("pattern_message")?.text()?;
        let pattern = Pattern::new(node.text()?, message);
        let pattern = pattern.map_err(|error| node.error(format!("bad regular expression: {error}")))?;
        return Ok((Some(Format::Pattern(pattern)), 255));
    }
    if let Some(stray) = table.get("pattern_message") {
        return Err(stray.error("`pattern_message` explains a `pattern`; declare one or remove it"));
    }
    let Some(node) = table.get("format") else { return Ok((None, 255)) };
    let words: Vec<&'static str> = FORMATS.iter().map(|(word, _)| *word).collect();
    let word = node.word("format", &words)?;
    let default_len = FORMATS.iter().find(|(candidate, _)| *candidate == word).map_or(255, |(_, len)| *len);
    let format = match word {
        "email" => Format::Email,
        "phone" => Format::Phone,
        "url" => Format::Url,
        "https_url" => Format::HttpsUrl,
        "currency" => Format::Currency,
        "country" => Format::Country,
        "timezone" => Format::Timezone,
        "language" => Format::Language,
        "slug" => Format::Slug,
        "position" => Format::Position,
        "not_blank" => Format::NotBlank,
        _ => Format::Hostname,
    };
    Ok((Some(format), default_len))
}

fn reference(table: &Table<'_>) -> Result<Option<Reference>, SchemaError> {
    let Some(node) = table.get("references") else {
        return match table.get("on_delete") {
            Some(stray) => Err(stray.error("`on_delete` belongs to `references`; declare one or remove it")),
            None => Ok(None),
        };
    };
    let on_delete = match table.get("on_delete") {
        None => OnDelete::SetNull,
        Some(node) => match node.word("on_delete", &["cascade", "set_null", "restrict", "keep"])? {
            "cascade" => OnDelete::Cascade,
            "set_null" => OnDelete::SetNull,
            "restrict" => OnDelete::Restrict,
            _ => OnDelete::Keep,
        },
    };
    Ok(Some(Reference { entity: Name::new(node.text()?), on_delete }))
}
