//! What a declaration must mean beyond its shape: types fit strategies, references exist, scopes can be computed.

use std::collections::BTreeSet;

use super::source::{SchemaError, Source, advice};
use super::{Entity, Field, FieldType, Group, OnDelete, Schema, ScopeRule, Stamp, Strategy};
use crate::Name;

/// Refuses the first contradiction, in name order of the entities.
pub(super) fn check(schema: &Schema, source: &Source<'_>) -> Result<(), SchemaError> {
    for entity in schema.entities.values() {
        let checker = Checker { schema, source, entity };
        entity.fields.values().try_for_each(|field| checker.field(field))?;
        entity.groups.iter().try_for_each(|group| checker.group(group))?;
        checker.scope()?;
        checker.unique()?;
        checker.rules()?;
        checker.derived()?;
    }
    schema.entities.values().try_for_each(|entity| Checker { schema, source, entity }.inherit_cycle())
}

struct Checker<'a> {
    schema: &'a Schema,
    source: &'a Source<'a>,
    entity: &'a Entity,
}

impl Checker<'_> {
    fn error(&self, part: &str, message: impl Into<String>) -> SchemaError {
        self.source.error(&format!("entities.{}.{part}", self.entity.name), message)
    }

    fn field(&self, field: &Field) -> Result<(), SchemaError> {
        let name = &field.name;
        let at = |key: &str| format!("fields.{name}.{key}");
        if let Some(reference) = &field.references {
            self.reference(field, &reference.entity)?;
            if field.is_required && reference.on_delete == OnDelete::SetNull {
                let advice = "declare `on_delete = \"cascade\"`, `restrict` or `keep`";
                return Err(self.error(&at("references"), format!("a required `{name}` cannot be cleared; {advice}")));
            }
        }
        if field.is_indexed && matches!(field.kind, FieldType::Json { .. }) {
            return Err(self.error(&at("indexed"), "JSON has no equality index; remove `indexed`"));
        }
        if field.is_server_only && field.min_rank > 0 {
            return Err(
                self.error(&at("min_role"), "only the server writes this field; remove `min_role` or `server_only`")
            );
        }
        let Some(stamp) = field.stamp else { return Ok(()) };
        let wanted = match stamp {
            Stamp::Created | Stamp::Updated | Stamp::Authored => FieldType::Timestamp,
            Stamp::CreatedBy => FieldType::Uuid,
        };
        if field.kind != wanted {
            return Err(self.error(&at("stamp"), "time stamps need type `timestamp`, `created_by` needs type `uuid`"));
        }
        if field.is_required || field.default.is_some() || !field.is_server_only {
            let advice = "write `server_only = true` and remove `required` and `default`";
            return Err(self.error(&at("stamp"), format!("the server fills a stamped field; {advice}")));
        }
        Ok(())
    }

    fn derived(&self) -> Result<(), SchemaError> {
        for (index, derived) in self.entity.derived.iter().enumerate() {
            if let Some(mistake) = derived.mistake(self.schema, self.entity) {
                return Err(self.error(&format!("derived.{index}.follows"), mistake));
            }
        }
        Ok(())
    }

    fn reference(&self, field: &Field, target: &Name) -> Result<(), SchemaError> {
        let at = format!("fields.{}.references", field.name);
        if field.kind != FieldType::Uuid {
            return Err(self.error(&at, "a reference holds a record id; declare `type = \"uuid\"`"));
        }
        if self.schema.entity(target).is_none() {
            let known: Vec<&str> = self.schema.entities.keys().map(Name::as_str).collect();
            return Err(self.error(&at, format!("unknown entity `{target}`; {}", advice(target, &known))));
        }
        Ok(())
    }

    fn group(&self, group: &Group) -> Result<(), SchemaError> {
        if let [name] = &group.fields[..] {
            let Some(field) = self.entity.field(name) else { return Ok(()) };
            return self.strategy(field, &group.strategy);
        }
        let at = |key: &str| format!("groups.{}.{key}", group.name);
        let is_whole = matches!(
            group.strategy,
            Strategy::LastWriteWins
                | Strategy::MergeFields
                | Strategy::HigherRoleWins
                | Strategy::ManualReview
                | Strategy::VersionControl
        );
        if !is_whole {
            let words = "last-write-wins, merge-fields, higher-role-wins, manual-review or version-control";
            return Err(self.error(&at("strategy"), format!("a group of fields is decided as a whole; use {words}")));
        }
        let members = || group.fields.iter().filter_map(|name| self.entity.field(name));
        if let Some(field) = members().find(|field| matches!(field.kind, FieldType::Set { .. } | FieldType::Counter)) {
            return Err(
                self.error(&at("fields"), format!("`{}` merges by itself; take it out of the group", field.name))
            );
        }
        let server_only = members().filter(|field| field.is_server_only).count();
        if server_only != 0 && server_only != group.fields.len() {
            return Err(self.error(&at("fields"), "either all fields of a group are `server_only` or none is"));
        }
        Ok(())
    }

    /// Whether the strategy of a single field fits its type.
    fn strategy(&self, field: &Field, strategy: &Strategy) -> Result<(), SchemaError> {
        let kind = &field.kind;
        let needs = match (strategy, kind) {
            (Strategy::AddWinsSet, FieldType::Set { .. }) | (Strategy::Counter, FieldType::Counter) => None,
            (_, FieldType::Set { .. }) => Some("a set merges by `add-wins-set`; remove `strategy`"),
            (_, FieldType::Counter) => Some("a counter merges by `counter`; remove `strategy`"),
            (Strategy::AddWinsSet, _) => Some("`add-wins-set` needs type `set`"),
            (Strategy::Counter, _) => Some("`counter` needs type `counter`"),
            (
                Strategy::Max,
                FieldType::Integer { .. } | FieldType::Decimal { .. } | FieldType::Date | FieldType::Timestamp,
            ) => None,
            (Strategy::Max, _) => Some("`max` needs type integer, decimal, date or timestamp"),
            (Strategy::MergeKeys | Strategy::MostRestrictiveWins, FieldType::Json { .. }) => None,
            (Strategy::MergeKeys, _) => Some("`merge-keys` needs type `json`"),
            (Strategy::MostRestrictiveWins, _) => Some("`most-restrictive-wins` needs type `json`"),
            (Strategy::Monotone { order } | Strategy::PriorityWins { order }, FieldType::Choice { choices }) => {
                let is_complete = choices.len() == order.len() && choices.iter().all(|choice| order.contains(choice));
                (!is_complete).then_some("`order` must list every choice of the field once")
            }
            (Strategy::StateMachine { transitions }, FieldType::Choice { choices }) => {
                return self.transitions(field, choices, transitions.iter());
            }
            (Strategy::Monotone { .. } | Strategy::PriorityWins { .. } | Strategy::StateMachine { .. }, _) => {
                Some("this strategy needs type `choice`")
            }
            (
                Strategy::LastWriteWins
                | Strategy::MergeFields
                | Strategy::HigherRoleWins
                | Strategy::ManualReview
                | Strategy::VersionControl,
                _,
            ) => None,
        };
        let problem =
            |needs| self.error(&format!("fields.{}.strategy", field.name), format!("`{}`: {needs}", field.name));
        needs.map_or(Ok(()), |needs| Err(problem(needs)))
    }

    fn transitions<'t>(
        &self,
        field: &Field,
        choices: &[Name],
        transitions: impl Iterator<Item = (&'t Name, &'t Vec<Name>)>,
    ) -> Result<(), SchemaError> {
        let known: Vec<&str> = choices.iter().map(Name::as_str).collect();
        for (from, to) in transitions {
            if let Some(state) = std::iter::once(from).chain(to).find(|state| !choices.contains(state)) {
                let at = format!("fields.{}.transitions.{from}", field.name);
                return Err(self.error(&at, format!("unknown state `{state}`; {}", advice(state, &known))));
            }
        }
        Ok(())
    }

    fn scope(&self) -> Result<(), SchemaError> {
        let rules = &self.entity.scope;
        let Some(last) = rules.len().checked_sub(1) else {
            return Err(self.error("scope", "an entity needs a scope; write `scope = [\"workspace\"]`"));
        };
        for (index, rule) in rules.iter().enumerate() {
            let at = format!("scope.{index}");
            match rule {
                ScopeRule::Workspace if index < last => {
                    return Err(self.error(&at, "`workspace` always decides; put it last"));
                }
                ScopeRule::Workspace => {}
                ScopeRule::Team(name) | ScopeRule::Owner(name) if index == last => {
                    return Err(
                        self.error(&at, format!("where does a record without `{name}` live? add `workspace` last"))
                    );
                }
                ScopeRule::Team(name) => self.partition_field(&at, name, "teams")?,
                ScopeRule::Owner(name) => self.partition_field(&at, name, "users")?,
                ScopeRule::Inherit(name) => self.inherit(&at, name, index == last)?,
            }
        }
        Ok(())
    }

    fn partition_field(&self, at: &str, name: &Name, target: &str) -> Result<(), SchemaError> {
        let reference = self.entity.field(name).and_then(|field| field.references.as_ref());
        if reference.is_some_and(|reference| reference.entity == target) {
            return Ok(());
        }
        Err(self.error(at, format!("`{name}` must be a uuid field that references `{target}`")))
    }

    fn inherit(&self, at: &str, name: &Name, is_last: bool) -> Result<(), SchemaError> {
        let field = self.entity.field(name).filter(|field| field.references.is_some());
        let Some(field) = field else {
            return Err(self.error(at, format!("`{name}` must be a uuid field that references an entity")));
        };
        if is_last && !field.is_required {
            return Err(self.error(at, format!("`{name}` can be empty; make it required or add `workspace` last")));
        }
        Ok(())
    }

    /// A record must not inherit its scope from its own kind, directly or through others: it could come from itself.
    fn inherit_cycle(&self) -> Result<(), SchemaError> {
        let mut seen = BTreeSet::new();
        let mut next = vec![&self.entity.name];
        while let Some(name) = next.pop() {
            for parent in self.schema.entity(name).into_iter().flat_map(parents) {
                if *parent == self.entity.name {
                    let message = format!("`{parent}` inherits its scope from itself; end the cycle with `workspace`");
                    return Err(self.error("scope", message));
                }
                if seen.insert(parent) {
                    next.push(parent);
                }
            }
        }
        Ok(())
    }

    fn unique(&self) -> Result<(), SchemaError> {
        let mut names = BTreeSet::new();
        for (index, unique) in self.entity.unique.iter().enumerate() {
            let at = |key: &str| format!("unique.{index}.{key}");
            if !names.insert(&unique.name) {
                return Err(self.error(&at("name"), format!("`{}` is declared twice; rename one", unique.name)));
            }
            let fields = || unique.fields.iter().filter_map(|name| self.entity.field(name));
            let is_shapeless = |field: &&Field| matches!(field.kind, FieldType::Json { .. } | FieldType::Set { .. });
            if let Some(field) = fields().find(is_shapeless) {
                return Err(self.error(&at("fields"), format!("`{}` cannot be compared; leave it out", field.name)));
            }
            let is_text = |field: &Field| matches!(field.kind, FieldType::Text { .. });
            if unique.is_case_folded && !fields().any(is_text) {
                return Err(self.error(&at("case_folded"), "none of the fields is text; remove `case_folded`"));
            }
        }
        Ok(())
    }

    fn rules(&self) -> Result<(), SchemaError> {
        let mut names = BTreeSet::new();
        for (index, rule) in self.entity.rules.iter().enumerate() {
            if !names.insert(&rule.name) {
                let message = format!("rule `{}` is declared twice; rename one", rule.name);
                return Err(self.error(&format!("rules.{index}.name"), message));
            }
        }
        Ok(())
    }
}

/// The entities an entity inherits its scope from.
fn parents(entity: &Entity) -> impl Iterator<Item = &Name> {
    entity.scope.iter().filter_map(|rule| match rule {
        ScopeRule::Inherit(name) => Some(&entity.field(name)?.references.as_ref()?.entity),
        ScopeRule::Workspace | ScopeRule::Team(_) | ScopeRule::Owner(_) => None,
    })
}
