//! The declaration of entities: fields, validation, references, strategies, rules, scope and priority.
//!
//! A schema is data (design D6). [`Schema::parse`] reads the TOML declaration and refuses a mistake with file, line and
//! what to do; everything else in the product asks this module and has no code per entity.

mod check;
mod declare;
mod derived;
mod email;
mod formats;
mod json;
mod number;
mod parse;
mod pattern;
mod rules;
mod source;
mod time;
mod types;
mod validate;

use std::collections::BTreeMap;

pub use derived::{Derived, DerivedFrom, DerivedTime};
pub use pattern::Pattern;
pub use rules::{Rule, RuleContext, RuleOps, RuleViolation};
pub use source::SchemaError;
pub use types::{FieldType, Format, SetItem};
pub use validate::Invalid;

use crate::id::{RecordId, WorkspaceId};
use crate::{Fields, Name, Value};

/// A checked schema. Immutable; share it behind an `Arc`.
#[derive(Debug)]
pub struct Schema {
    /// Raised by the author on every change.
    pub version: u32,
    /// First 16 hex digits of the SHA-256 over the declaration with comments and spacing removed.
    pub hash: String,
    /// Rank by role name, 1..=100; higher overrules lower.
    pub roles: BTreeMap<Name, u8>,
    pub entities: BTreeMap<Name, Entity>,
}

/// A declared type of record.
#[derive(Debug)]
pub struct Entity {
    pub name: Name,
    pub fields: BTreeMap<Name, Field>,
    /// Every field is in exactly one group; a field that declares none is a group of its own. Conflicts are detected and
    /// decided per group, so the fields of one group never mix.
    pub groups: Vec<Group>,
    /// The first rule that yields a scope decides; the last is always `Workspace` or `Inherit`.
    pub scope: Vec<ScopeRule>,
    pub tier: Tier,
    pub access: EntityAccess,
    pub unique: Vec<Unique>,
    pub rules: Vec<Rule>,
    pub derived: Vec<Derived>,
    /// How record ids come about.
    pub id: IdRule,
    /// Records are created and deleted but never updated.
    pub is_insert_only: bool,
    /// Field shown as the record's title in lists and conflicts.
    pub title: Option<Name>,
}

/// Least rank to create, update and delete records of an entity by a client. `None`: only the server may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntityAccess {
    pub create: Option<u8>,
    pub update: Option<u8>,
    pub delete: Option<u8>,
}

#[derive(Debug)]
pub struct Field {
    pub name: Name,
    pub kind: FieldType,
    /// Index into [`Entity::groups`].
    pub group: usize,
    pub is_required: bool,
    /// Set at creation when the author gave no value. Canonical.
    pub default: Option<Value>,
    pub references: Option<Reference>,
    /// Equality on this field (of a set: membership) has an index on both sides. Always true of references.
    pub is_indexed: bool,
    /// Personal or secret: never logged, encrypted where the store can.
    pub is_sensitive: bool,
    /// May be set at creation, never changed by an update.
    pub is_immutable: bool,
    /// Only the server writes it; from a client it is `forbidden`.
    pub is_server_only: bool,
    /// Least rank that may write this field (role-guarded). 0: anybody who may write the record.
    pub min_rank: u8,
    /// Filled by the server at commit.
    pub stamp: Option<Stamp>,
    /// Filled by the server from other fields; see [`Entity::derived`].
    pub is_derived: bool,
}

impl Field {
    /// Whether the server fills it by itself, so that nobody means it when they change a record.
    pub fn is_filled(&self) -> bool {
        self.stamp.is_some() || self.is_derived
    }
}

/// What the server puts into a field at commit. A stamped field is never written by anybody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamp {
    /// Timestamp field: commit time of the creation.
    Created,
    /// Timestamp field: commit time of the last accepted op.
    Updated,
    /// Timestamp field: authored-at of the creation as the server normalises it (design D3).
    Authored,
    /// Uuid field: the user who created the record; no value when the server did.
    CreatedBy,
}

/// Fields that change and conflict together.
#[derive(Debug)]
pub struct Group {
    pub name: Name,
    /// In name order; never empty.
    pub fields: Vec<Name>,
    pub strategy: Strategy,
}

/// What happens when both sides changed a group since their common base (crm.md; [`crate::merge`] is the policy).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strategy {
    /// The later *edit* wins (design D3); tie: the later seq. The loser stays in history.
    LastWriteWins,
    /// As `LastWriteWins` for one group; different groups merge. The default.
    MergeFields,
    /// Set field: an add beats a concurrent remove, a remove removes only what its author saw.
    AddWinsSet,
    /// Number field: increments add up.
    Counter,
    /// The larger value wins, whenever it was written (numbers, dates, timestamps).
    Max,
    /// The value further on in `order` wins and is never left again, even by a later edit.
    Monotone { order: Vec<Name> },
    /// On a conflict the value further on in `order` wins; otherwise any change is fine.
    PriorityWins { order: Vec<Name> },
    /// JSON object: each top-level key is merged by itself, last edit wins per key.
    MergeKeys,
    /// JSON object of flags: on a conflict a `true` beats a `false`, key by key.
    MostRestrictiveWins,
    /// The higher role rank wins, as ranks are at decision time; equal rank goes to review.
    HigherRoleWins,
    /// The live record keeps theirs; mine waits in the conflict.
    ManualReview,
    /// Whole versions, never merged: as `LastWriteWins`, every version restorable.
    VersionControl,
    /// Only transitions listed for the current state; an illegal one goes to review when its author had not seen the
    /// current state, and is rejected when they had. States that are not a key have no way out.
    StateMachine { transitions: BTreeMap<Name, Vec<Name>> },
}

/// Where a record lives, tried in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScopeRule {
    Workspace,
    /// `team:<value of the field>` when the field has a value.
    Team(Name),
    /// `owner:<value of the field>` when the field has a value.
    Owner(Name),
    /// The scope of the record the field refers to.
    Inherit(Name),
}

/// Priority tier: bound on staleness and order of snapshots (spec, Liveness).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    Critical,
    Important,
    Normal,
    Background,
}

/// Among live records of a workspace no two have equal values in all `fields`; a record with no value in one of them
/// is not compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unique {
    pub name: Name,
    pub fields: Vec<Name>,
    /// Compare text after Unicode lower-casing.
    pub is_case_folded: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub entity: Name,
    pub on_delete: OnDelete,
}

/// What deleting the record referred to does to the one that refers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDelete {
    /// The referring record is deleted in the same mutation.
    Cascade,
    /// The field loses its value in the same mutation.
    SetNull,
    /// The deletion is rejected with code `rule`.
    Restrict,
    /// The reference stays and dangles (history keeps it readable).
    Keep,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdRule {
    /// UUIDv7 minted by the creator.
    Minted,
    /// [`crate::id::RecordId::natural`] over the values of these fields joined by U+0000; another id is `validation`.
    Natural(Vec<Name>),
}

impl Schema {
    pub fn entity(&self, name: &str) -> Option<&Entity> {
        self.entities.get(name)
    }
    /// Entities whose field `field` refers to `entity`, with what deleting does: `(entity, field, on_delete)`.
    pub fn referrers<'a>(&'a self, entity: &'a str) -> impl Iterator<Item = (&'a Entity, &'a Field, OnDelete)> {
        self.entities.values().flat_map(move |from| {
            from.fields.values().filter_map(move |field| {
                let reference = field.references.as_ref().filter(|reference| reference.entity == entity)?;
                Some((from, field, reference.on_delete))
            })
        })
    }
}

impl Entity {
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.get(name)
    }
    pub fn group_of(&self, field: &Field) -> &Group {
        &self.groups[field.group]
    }
    /// Defaults for the fields that `fields` leaves without a value.
    pub fn defaults_for(&self, fields: &Fields) -> Fields {
        let with_default = self.fields.values().filter_map(|field| Some((field, field.default.as_ref()?)));
        let missing = with_default.filter(|(field, _)| fields.get(&field.name).is_none_or(Value::is_null));
        missing.map(|(field, default)| (field.name.clone(), default.clone())).collect()
    }
    /// The record id that follows from the natural key in `fields` (canonical, whole record); `None` for minted ids.
    /// A field without a value counts as the empty text, a value that is not text as its JSON (spec ID-3).
    pub fn natural_id(&self, workspace: &WorkspaceId, fields: &Fields) -> Option<RecordId> {
        let IdRule::Natural(names) = &self.id else { return None };
        let part = |name: &Name| match fields.get(name) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        let key = names.iter().map(part).collect::<Vec<_>>().join("\u{0}");
        Some(RecordId::natural(workspace, &self.name, &key))
    }
}

#[cfg(test)]
mod tests;
