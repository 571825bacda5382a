//! Conflicts as records: how they come about and how they are resolved (spec §7).

use std::sync::Arc;

use super::decide::{Stop, reject};
use super::draft::{Draft, Group};
use super::history::Seen;
use super::ops::{Author, flatten_patch, invalid};
use crate::change::{CONFLICTS, Resolution};
use crate::id::{RecordId, ScopeId, UserId};
use crate::merge::{GroupCase, GroupPlan, SeenHistory, plan_group};
use crate::protocol::Code;
use crate::record::{Record, Versions};
use crate::schema::{self, Strategy};
use crate::{Fields, Name, Seq, Value};

/// Field of a conflict that names the record it is about.
pub(super) const RECORD_ID: &str = "record_id";

/// A conflict a mutation met, before it is written.
pub(super) struct NewConflict {
    entity: Name,
    record_id: RecordId,
    scope: ScopeId,
    kind: &'static str,
    /// Group name, or the kind: part of the id.
    subject: Name,
    fields: Vec<Name>,
    base: Option<Fields>,
    /// `None`: the side is a deletion.
    mine: Option<Fields>,
    theirs: Option<Fields>,
    /// What the live record has now.
    result: Option<Fields>,
    theirs_user: Option<UserId>,
    strategy: &'static str,
    is_open: bool,
}

impl NewConflict {
    /// Both sides changed a field group. `written`: what was decided and written; `None`: it goes to review.
    pub fn between(
        record: &Record,
        group: &schema::Group,
        seen: &Seen<'_, '_>,
        mine: Fields,
        written: Option<&Fields>,
    ) -> Self {
        let theirs: Fields = mine.keys().map(|name| (name.clone(), value_of(&record.fields, name))).collect();
        let versions = group.fields.iter().map(|field| record.versions.of(field));
        let newest = versions.filter(|version| !seen.has_seen(version.seq())).max();
        let mut result = theirs.clone();
        result.extend(written.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())));
        Self {
            entity: record.entity.clone(),
            record_id: record.id,
            scope: record.scope.clone(),
            kind: "field",
            subject: group.name.clone(),
            fields: mine.keys().cloned().collect(),
            base: seen.base_values(&mine.keys().cloned().collect::<Vec<_>>()),
            mine: Some(mine),
            theirs: Some(theirs),
            result: Some(result),
            theirs_user: newest.and_then(|version| seen.user_of(version.seq())),
            strategy: strategy_name(&group.strategy),
            is_open: written.is_none(),
        }
    }

    /// An edit met a deletion its author had not seen (spec MRG-12). `patch` holds plain values.
    pub fn edit_of_deleted(record: &Record, patch: Fields) -> Self {
        Self {
            fields: patch.keys().cloned().collect(),
            base: Some(patch.keys().map(|name| (name.clone(), value_of(&record.fields, name))).collect()),
            mine: Some(patch),
            ..Self::delete_edit(record)
        }
    }

    /// A deletion met edits its author had not seen: it stands, and the edits are offered (spec MRG-12).
    pub fn deletion_of_edited(record: &Record, unseen: Fields) -> Self {
        Self { fields: unseen.keys().cloned().collect(), theirs: Some(unseen), ..Self::delete_edit(record) }
    }

    fn delete_edit(record: &Record) -> Self {
        Self {
            entity: record.entity.clone(),
            record_id: record.id,
            scope: record.scope.clone(),
            kind: "delete_edit",
            subject: Name::new_static("delete_edit"),
            fields: Vec::new(),
            base: None,
            mine: None,
            theirs: None,
            result: None,
            theirs_user: None,
            strategy: "delete_edit",
            is_open: true,
        }
    }
}

/// Name of a strategy as the schema writes it.
fn strategy_name(strategy: &Strategy) -> &'static str {
    match strategy {
        Strategy::LastWriteWins => "last-write-wins",
        Strategy::MergeFields => "merge-fields",
        Strategy::AddWinsSet => "add-wins-set",
        Strategy::Counter => "counter",
        Strategy::Max => "max",
        Strategy::Monotone { .. } => "monotone",
        Strategy::PriorityWins { .. } => "priority-wins",
        Strategy::MergeKeys => "merge-keys",
        Strategy::MostRestrictiveWins => "most-restrictive-wins",
        Strategy::HigherRoleWins => "higher-role-wins",
        Strategy::ManualReview => "manual-review",
        Strategy::VersionControl => "version-control",
        Strategy::StateMachine { .. } => "state-machine",
    }
}

/// Writes a conflict into the draft, in the scope of its record (spec CNF-1). Returns its id, which is derived from the
/// mutation, so that planning the same mutation twice names the same conflict.
pub(super) fn open(
    author: &Author<'_>,
    group: &Group<'_>,
    draft: &mut Draft,
    new: NewConflict,
) -> Result<RecordId, Stop> {
    let key = format!("{}/{}/{}/{}", author.mutation_id, new.entity, new.record_id, new.subject);
    let id = RecordId::natural(group.workspace, CONFLICTS, &key);
    let side = |side: Option<Fields>| side.map_or(Value::Null, to_json);
    let text = |text: &str| Value::String(text.to_owned());
    let state = if new.is_open { "open" } else { "auto_resolved" };
    let members = [
        ("entity", text(&new.entity)),
        (RECORD_ID, text(&new.record_id.to_string())),
        ("kind", text(new.kind)),
        ("fields", Value::Array(new.fields.iter().map(|name| text(name)).collect())),
        ("base", side(new.base)),
        ("mine", side(new.mine)),
        ("theirs", side(new.theirs)),
        ("result", side(new.result)),
        ("mine_user", text(&author.principal.user_id.to_string())),
        ("theirs_user", new.theirs_user.map_or(Value::Null, |user| text(&user.to_string()))),
        ("mine_client", text(&author.principal.client_id.to_string())),
        ("mutation_id", text(&author.mutation_id.to_string())),
        ("strategy", text(new.strategy)),
        ("state", text(state)),
    ];
    let named = members.into_iter().filter(|(_, value)| !value.is_null());
    let record = Record {
        entity: Name::new_static(CONFLICTS),
        id,
        rv: author.seq,
        scope: new.scope,
        entered: author.seq,
        is_deleted: false,
        fields: Arc::new(named.map(|(name, value)| (Name::new_static(name), value)).collect()),
        versions: Versions::new(author.version()),
    };
    author.put(group, draft, record)?;
    Ok(id)
}

/// A `resolve` op.
pub(super) struct Decision<'o> {
    pub id: RecordId,
    pub base_rv: Seq,
    pub resolution: Resolution,
    pub fields: &'o Fields,
}

/// Decides a conflict, or decides it anew. `false`: somebody else decided it meanwhile (spec CNF-4).
pub(super) fn resolve(
    author: &Author<'_>,
    group: &Group<'_>,
    draft: &mut Draft,
    decision: Decision<'_>,
) -> Result<bool, Stop> {
    let conflicts = author.entity(group, CONFLICTS)?;
    let conflict = group.record(draft, CONFLICTS, decision.id)?;
    let visible = conflict.filter(|conflict| !conflict.is_deleted && author.access.grants.includes(&conflict.scope));
    let Some(mut conflict) = visible else {
        return reject(Code::Forbidden, "there is no such conflict that you may resolve");
    };
    let seen = Seen::new(author, group, &conflict, decision.base_rv);
    let is_current = seen.has_seen(conflict.versions.of("state").seq());
    seen.into_result()?;
    if !is_current {
        return Ok(false);
    }
    let entity = author.entity(group, text_of(&conflict.fields, "entity"))?;
    author.may(entity.access.update, "resolve conflicts of", entity)?;
    let record_id = text_of(&conflict.fields, RECORD_ID).parse().unwrap_or(RecordId::NIL);
    let target = group.record(draft, &entity.name, record_id)?;
    let Some(target) = target.filter(|target| !target.is_forgotten()) else {
        return reject(Code::Gone, format!("the {} this conflict is about was deleted long ago", entity.name));
    };
    let chosen = match decision.resolution {
        Resolution::UseMine => side_of(&conflict, "mine"),
        Resolution::UseTheirs => side_of(&conflict, "theirs"),
        Resolution::Custom => {
            let patch = entity.canonical_update(decision.fields.clone()).map_err(invalid)?;
            Some(flatten_patch(entity, &target, patch))
        }
    };
    match &chosen {
        None if target.is_deleted => {}
        None => {
            author.may(entity.access.delete, "delete", entity)?;
            author.remove(group, draft, target)?;
        }
        Some(fields) => {
            author.may_write(entity, fields, Some(&target))?;
            check_transitions(author, group, entity, &target, fields)?;
            if target.is_deleted {
                author.restore(group, draft, entity, record_id, plain_as_patch(entity, fields))?;
            } else {
                let mut after = target.clone();
                let differs = |(name, value): &(&Name, &Value)| value_of(&target.fields, name) != **value;
                let changed = fields.iter().filter(differs).map(|(name, value)| (name.clone(), value.clone()));
                author.write_fields(entity, &mut after, changed.collect());
                author.put_scoped(group, draft, entity, after, Some(target))?;
            }
        }
    }
    let resolution = match decision.resolution {
        Resolution::UseMine => "use_mine",
        Resolution::UseTheirs => "use_theirs",
        Resolution::Custom => "custom",
    };
    let resolved = [
        ("state", Value::from("resolved")),
        ("resolution", Value::from(resolution)),
        ("resolved_by", Value::String(author.principal.user_id.to_string())),
        ("result", chosen.map_or(Value::Null, to_json)),
    ];
    let fields = resolved.into_iter().map(|(name, value)| (Name::new_static(name), value)).collect();
    // A resolution that repeats the former one still is one: its version moves, so that it counts as seen or not.
    author.write_fields(conflicts, &mut conflict, fields);
    author.put(group, draft, conflict)?;
    Ok(true)
}

/// Sets of a restore come as whole values: as an array they replace what the tombstone holds.
fn plain_as_patch(entity: &schema::Entity, fields: &Fields) -> Fields {
    let known = fields.iter().filter(|(name, _)| entity.field(name).is_some());
    known.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// A resolution obeys transitions like any edit by somebody who has seen everything.
fn check_transitions(
    author: &Author<'_>,
    group: &Group<'_>,
    entity: &schema::Entity,
    target: &Record,
    fields: &Fields,
) -> Result<(), Stop> {
    let seen = Seen::new(author, group, target, target.rv);
    let guarded = entity.groups.iter().filter(|group| matches!(group.strategy, Strategy::StateMachine { .. }));
    for field_group in guarded {
        let Some(value) = fields.get(&field_group.fields[0]) else { continue };
        let patch = Fields::from([(field_group.fields[0].clone(), value.clone())]);
        let case = GroupCase {
            entity,
            group: field_group,
            theirs: target,
            patch: &patch,
            authored_ms: author.authored_ms,
            rank: author.access.rank,
            seen: &seen,
        };
        if let GroupPlan::Reject { message, .. } = plan_group(&case) {
            return reject(Code::Rule, message);
        }
    }
    seen.into_result()
}

fn side_of(conflict: &Record, side: &str) -> Option<Fields> {
    let members = conflict.fields.get(side)?.as_object()?;
    Some(members.iter().map(|(name, value)| (Name::new(name), value.clone())).collect())
}

fn text_of<'a>(fields: &'a Fields, name: &str) -> &'a str {
    fields.get(name).and_then(Value::as_str).unwrap_or("")
}

fn value_of(fields: &Fields, name: &Name) -> Value {
    fields.get(name).cloned().unwrap_or(Value::Null)
}

fn to_json(fields: Fields) -> Value {
    Value::Object(fields.into_iter().map(|(name, value)| (name.to_string(), value)).collect())
}
