//! Fields that the server fills from others when a record is written.
//!
//! ```toml
//! [[entities.tasks.derived]]
//! field = "completed_at"
//! once = "new.status == 'done'"      # the moment of the commit in which this first held; never changed again
//!
//! [[entities.opportunities.derived]]
//! field = "closed_at"
//! while = "new.status != 'open'"     # the same moment, cleared when it does not hold any more
//!
//! [[entities.opportunities.derived]]
//! field = "status"
//! follows = "stage_id.type"          # what the record named by `stage_id` has in `type`
//! ```

use std::collections::BTreeMap;

use super::rules::Expression;
use super::source::{Node, SchemaError, advice};
use super::{Entity, Field, FieldType, RuleContext, Schema};
use crate::{Name, Value};

/// A declared derivation. Derivations of an entity are applied in the order they are declared, each seeing the former.
#[derive(Debug)]
pub struct Derived {
    pub field: Name,
    pub source: DerivedFrom,
}

#[derive(Debug)]
pub enum DerivedFrom {
    /// Commit time at which the condition first held.
    Once(Expression),
    /// Commit time since when the condition holds; no value while it does not.
    While(Expression),
    /// The value of `field` in the record that `reference` names, as it is when this record is written. Without a
    /// reference, or without a value there, the field keeps what it has.
    Follows { reference: Name, field: Name },
}

/// What became of a derived time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DerivedTime {
    Keep,
    SetNow,
    Clear,
}

impl Derived {
    pub(super) fn parse(node: &Node<'_>, fields: &mut BTreeMap<Name, Field>) -> Result<Self, SchemaError> {
        let table = node.table("`derived`", &["field", "once", "while", "follows"])?;
        let target = table.require("field")?;
        let known: Vec<&str> = fields.keys().map(Name::as_str).collect();
        let unknown = |name: &str| format!("unknown field `{name}`; {}", advice(name, &known));
        let name = target.text()?;
        let Some(field) = fields.get(name) else { return Err(target.error(unknown(name))) };
        if !field.is_server_only || field.stamp.is_some() || field.is_required {
            return Err(target
                .error("the server fills a derived field: write `server_only = true`, without `stamp` or `required`"));
        }
        let is_time = field.kind == FieldType::Timestamp;
        let compiled = |node: Node<'_>| -> Result<Expression, SchemaError> {
            if !is_time {
                return Err(node.error("a moment is kept in a field of type `timestamp`"));
            }
            Expression::compile(node.text()?, fields).map_err(|message| node.error(message))
        };
        let source = match (table.get("once"), table.get("while"), table.get("follows")) {
            (Some(once), None, None) => DerivedFrom::Once(compiled(once)?),
            (None, Some(condition), None) => DerivedFrom::While(compiled(condition)?),
            (None, None, Some(follows)) => {
                let Some((reference, field)) = follows.text()?.split_once('.') else {
                    return Err(follows.error("write `reference.field`, for example \"stage_id.type\""));
                };
                if fields.get(reference).is_none_or(|field| field.references.is_none()) {
                    return Err(follows.error(format!("`{reference}` is not a field with `references`")));
                }
                DerivedFrom::Follows { reference: Name::new(reference), field: Name::new(field) }
            }
            _ => return Err(node.error("say exactly one of `once`, `while` and `follows`")),
        };
        let name = field.name.clone();
        if let Some(field) = fields.get_mut(&name) {
            field.is_derived = true;
        }
        Ok(Self { field: name, source })
    }

    /// What is wrong with it once all entities are known.
    pub(super) fn mistake(&self, schema: &Schema, entity: &Entity) -> Option<String> {
        let DerivedFrom::Follows { reference, field } = &self.source else { return None };
        let named = &entity.field(reference)?.references.as_ref()?.entity;
        let Some(source) = schema.entity(named).and_then(|named| named.field(field)) else {
            return Some(format!("{named} has no field `{field}`"));
        };
        let fits = match (&source.kind, &entity.field(&self.field)?.kind) {
            (FieldType::Choice { choices }, FieldType::Choice { choices: mine }) => {
                choices.iter().all(|choice| mine.contains(choice))
            }
            (theirs, mine) => theirs == mine,
        };
        (!fits).then(|| format!("not every value of {named}.{field} fits `{}`", self.field))
    }
}

impl Entity {
    /// What a condition makes of the moment `held` in its field. A condition that cannot be evaluated does not hold.
    pub fn derive_time(&self, source: &DerivedFrom, held: Option<&Value>, about: &RuleContext<'_>) -> DerivedTime {
        let has_value = held.is_some_and(|held| !held.is_null());
        match source {
            DerivedFrom::Once(condition) if !has_value && self.holds(condition, about) => DerivedTime::SetNow,
            DerivedFrom::While(condition) => match (self.holds(condition, about), has_value) {
                (true, false) => DerivedTime::SetNow,
                (false, true) => DerivedTime::Clear,
                (true, true) | (false, false) => DerivedTime::Keep,
            },
            DerivedFrom::Once(_) | DerivedFrom::Follows { .. } => DerivedTime::Keep,
        }
    }
}
