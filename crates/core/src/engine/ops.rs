//! The five ops, drafted one after the other (spec §3, §6).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::conflict::NewConflict;
use super::decide::{Rejection, Stop, reject};
use super::draft::{Draft, Group, is_set};
use super::history::Seen;
use super::{check, conflict};
use crate::change::{CONFLICTS, Op, OutcomeKind};
use crate::id::{MutationId, RecordId, ScopeId};
use crate::merge::{GroupCase, GroupPlan, patched, plan_group};
use crate::principal::{Access, Principal};
use crate::protocol::{Code, limits};
use crate::record::{Record, Version, Versions};
use crate::schema::{DerivedFrom, DerivedTime, Entity, IdRule, OnDelete, RuleContext, Stamp};
use crate::{Fields, Name, Seq, TimestampMs, Value};

/// Who writes, and the version their changes get.
pub(super) struct Author<'r> {
    pub principal: &'r Principal,
    pub mutation_id: MutationId,
    pub client_seq: u64,
    pub access: Arc<Access>,
    /// Seq the mutation will have if it has effects.
    pub seq: Seq,
    pub authored_ms: TimestampMs,
    pub received_ms: TimestampMs,
}

/// How the parts of a mutation ended, and the conflicts it met.
#[derive(Default)]
pub(super) struct Parts {
    took_effect: bool,
    combined: bool,
    lost: bool,
    in_review: bool,
    pub conflict_ids: Vec<RecordId>,
}

impl Parts {
    /// The mutation's outcome (spec OUT-1).
    pub fn outcome(&self) -> OutcomeKind {
        match self {
            Parts { in_review: true, .. } => OutcomeKind::InReview,
            Parts { lost: true, took_effect: false, .. } => OutcomeKind::Superseded,
            Parts { lost: true, .. } | Parts { combined: true, .. } => OutcomeKind::Merged,
            _ => OutcomeKind::Applied,
        }
    }
}

const UNKNOWN_RECORD: &str = "there is no such record that you may change";

impl Author<'_> {
    /// Drafts all ops, then checks the records as they would be.
    pub fn draft_all(&self, group: &Group<'_>, draft: &mut Draft, ops: &[Op]) -> Result<Parts, Stop> {
        let mut parts = Parts::default();
        for op in ops {
            match op {
                Op::Create { entity, id, fields } => self.create(group, draft, &mut parts, (entity, *id), fields)?,
                Op::Update { entity, id, base_rv, fields } => {
                    let entity = self.entity(group, entity)?;
                    self.update(group, draft, &mut parts, Target { entity, id: *id, base_rv: *base_rv }, fields)?;
                }
                Op::Delete { entity, id, base_rv } => {
                    let entity = self.entity(group, entity)?;
                    self.delete(group, draft, &mut parts, Target { entity, id: *id, base_rv: *base_rv })?;
                }
                Op::Restore { entity, id, fields, .. } => {
                    let entity = self.entity(group, entity)?;
                    self.may(entity.access.delete, "restore", entity)?;
                    self.restore(group, draft, entity, *id, fields.clone())?;
                    parts.took_effect = true;
                }
                Op::Resolve { id, base_rv, resolution, fields } => {
                    let decision = conflict::Decision { id: *id, base_rv: *base_rv, resolution: *resolution, fields };
                    match conflict::resolve(self, group, draft, decision)? {
                        true => parts.took_effect = true,
                        false => parts.lost = true,
                    }
                }
            }
        }
        draft.retain_changed();
        self.stamp(group, draft);
        self.derive(group, draft)?;
        check::check_draft(self, group, draft)?;
        Ok(parts)
    }

    pub fn entity<'s>(&self, group: &Group<'s>, name: &str) -> Result<&'s Entity, Stop> {
        match group.schema.entity(name) {
            Some(entity) => Ok(entity),
            None => reject(Code::UnknownEntity, format!("the schema has no entity `{name}`")),
        }
    }

    /// Refuses when the author's rank is below what the entity asks for.
    pub fn may(&self, least: Option<u8>, verb: &str, entity: &Entity) -> Result<(), Stop> {
        let is_allowed = self.principal.is_server || least.is_some_and(|least| self.access.rank >= least);
        if is_allowed {
            return Ok(());
        }
        reject(Code::Forbidden, format!("your role ({}) may not {verb} {}", self.access.role, entity.name))
    }

    /// Refuses fields the author may not write (spec PRM-3).
    pub fn may_write(&self, entity: &Entity, fields: &Fields, before: Option<&Record>) -> Result<(), Stop> {
        if self.principal.is_server {
            return Ok(());
        }
        for (name, value) in fields {
            let Some(field) = entity.field(name) else { continue };
            if field.is_server_only || field.is_filled() {
                return reject(Code::Forbidden, format!("{}.{name} is written by the server only", entity.name));
            }
            if self.access.rank < field.min_rank {
                let message = format!("your role ({}) may not change {}.{name}", self.access.role, entity.name);
                return reject(Code::Forbidden, message);
            }
            let held = before.map(|before| before.fields.get(name).unwrap_or(&Value::Null));
            if field.is_immutable && held.is_some_and(|held| held != value) {
                return reject(Code::Rule, format!("{}.{name} cannot change once the record exists", entity.name));
            }
        }
        Ok(())
    }

    pub fn version(&self) -> Version {
        Version(self.seq, self.authored_ms)
    }

    fn create(
        &self,
        group: &Group<'_>,
        draft: &mut Draft,
        parts: &mut Parts,
        (entity, id): (&Name, RecordId),
        fields: &Fields,
    ) -> Result<(), Stop> {
        let entity = self.entity(group, entity)?;
        self.may(entity.access.create, "create", entity)?;
        self.may_write(entity, fields, None)?;
        let fields_given = fields;
        let fields = entity.canonical_create(fields.clone()).map_err(invalid)?;
        if let Some(natural) = entity.natural_id(group.workspace, &fields).filter(|natural| *natural != id) {
            let detail = format!("the id of this {} must be {natural}, derived from its natural key", entity.name);
            return reject(Code::Validation, detail);
        }
        match group.record(draft, &entity.name, id)? {
            None => {
                let record = Record {
                    entity: entity.name.clone(),
                    id,
                    rv: self.seq,
                    scope: ScopeId::WORKSPACE,
                    entered: self.seq,
                    is_deleted: false,
                    fields: Arc::new(fields),
                    versions: Versions::new(self.version()),
                };
                self.put_scoped(group, draft, entity, record, None)?;
                parts.took_effect = true;
                Ok(())
            }
            Some(record) if record.is_deleted => {
                reject(Code::Gone, format!("this {} was deleted; restore it instead", entity.name))
            }
            Some(_) if matches!(entity.id, IdRule::Natural(_)) => {
                let target = Target { entity, id, base_rv: 0 };
                self.update(group, draft, parts, target, fields_given)
            }
            Some(record) => {
                let created = group.log_entry(record.versions.created.seq())?;
                let is_own = created.is_some_and(|entry| entry.client_id == self.principal.client_id);
                let is_same = fields.iter().all(|(name, value)| record.fields.get(name) == Some(value));
                if is_own && is_same {
                    return Ok(());
                }
                reject(Code::AlreadyExists, format!("a {} with this id exists already", entity.name))
            }
        }
    }

    /// The live record an op may touch, after permission and existence; `Err(Some)` when it is deleted.
    fn visible(&self, group: &Group<'_>, draft: &Draft, entity: &Entity, id: RecordId) -> Result<Record, Stop> {
        match group.record(draft, &entity.name, id)? {
            Some(record) if record.is_forgotten() => {
                reject(Code::Gone, format!("this {} was deleted long ago", entity.name))
            }
            Some(record) if self.access.grants.includes(&record.scope) => Ok(record),
            _ => reject(Code::Forbidden, UNKNOWN_RECORD),
        }
    }

    fn update(
        &self,
        group: &Group<'_>,
        draft: &mut Draft,
        parts: &mut Parts,
        target: Target<'_>,
        fields: &Fields,
    ) -> Result<(), Stop> {
        let Target { entity, id, base_rv } = target;
        self.may(entity.access.update, "change", entity)?;
        let record = self.visible(group, draft, entity, id)?;
        if entity.is_insert_only && !self.principal.is_server {
            return reject(Code::Rule, format!("{} are written once and never changed", entity.name));
        }
        let patch = entity.canonical_update(fields.clone()).map_err(invalid)?;
        self.may_write(entity, &patch, Some(&record))?;
        let seen = Seen::new(self, group, &record, base_rv);
        if record.is_deleted {
            if crate::merge::SeenHistory::has_seen(&seen, record.rv) {
                return reject(Code::Gone, format!("this {} was deleted; restore it first", entity.name));
            }
            if patch.is_empty() {
                parts.lost = true;
                return seen.into_result();
            }
            let parked = NewConflict::edit_of_deleted(&record, flatten_patch(entity, &record, patch));
            parts.conflict_ids.push(conflict::open(self, group, draft, parked)?);
            parts.in_review = true;
            return seen.into_result();
        }
        let mut after = record.clone();
        for (index, field_group) in entity.groups.iter().enumerate() {
            let of_group = patch.iter().filter(|(name, _)| entity.fields[*name].group == index);
            let group_patch: Fields = of_group.map(|(name, value)| (name.clone(), value.clone())).collect();
            if group_patch.is_empty() {
                continue;
            }
            let case = GroupCase {
                entity,
                group: field_group,
                theirs: &record,
                patch: &group_patch,
                authored_ms: self.authored_ms,
                rank: self.access.rank,
                seen: &seen,
            };
            let plan = plan_group(&case);
            let met = |mine: Fields, won| NewConflict::between(&record, field_group, &seen, mine, won);
            match plan {
                GroupPlan::Unchanged => parts.took_effect = true,
                GroupPlan::Apply(fields) => {
                    self.write_fields(entity, &mut after, fields);
                    parts.took_effect = true;
                }
                GroupPlan::Combine(fields) => {
                    self.write_fields(entity, &mut after, fields);
                    parts.took_effect = true;
                    parts.combined = true;
                }
                GroupPlan::Win { fields, mine } => {
                    let new = met(mine, Some(&fields));
                    self.write_fields(entity, &mut after, fields);
                    parts.conflict_ids.push(conflict::open(self, group, draft, new)?);
                    parts.took_effect = true;
                    parts.combined = true;
                }
                GroupPlan::Lose { mine } => {
                    parts.conflict_ids.push(conflict::open(self, group, draft, met(mine, Some(&Fields::new())))?);
                    parts.lost = true;
                }
                GroupPlan::Yield => parts.lost = true,
                GroupPlan::Review { mine } => {
                    parts.conflict_ids.push(conflict::open(self, group, draft, met(mine, None))?);
                    parts.in_review = true;
                }
                GroupPlan::Reject { message, .. } => return reject(Code::Rule, message),
            }
        }
        parts.combined |= seen.has_unseen(&record);
        seen.into_result()?;
        self.put_scoped(group, draft, entity, after, Some(record))
    }

    /// Writes new values with their versions. A set's added elements get their own.
    pub fn write_fields(&self, entity: &Entity, record: &mut Record, fields: Fields) {
        let kept = Arc::make_mut(&mut record.fields);
        for (name, value) in fields {
            let held = kept.get(&name);
            if entity.field(&name).is_some_and(|field| is_set(&field.kind)) {
                let before: BTreeSet<&str> = set_items(held);
                let after: BTreeSet<&str> = set_items(Some(&value));
                let elements = record.versions.elements.entry(name.clone()).or_default();
                elements.retain(|element, _| after.contains(element.as_str()));
                for added in after.difference(&before) {
                    elements.insert((*added).to_owned(), self.seq);
                }
                if elements.is_empty() {
                    record.versions.elements.remove(&name);
                }
            }
            record.versions.changed.insert(name.clone(), self.version());
            if value.is_null() {
                kept.remove(&name);
            } else {
                kept.insert(name, value);
            }
        }
    }

    fn delete(&self, group: &Group<'_>, draft: &mut Draft, parts: &mut Parts, target: Target<'_>) -> Result<(), Stop> {
        let Target { entity, id, base_rv } = target;
        self.may(entity.access.delete, "delete", entity)?;
        let record = self.visible(group, draft, entity, id)?;
        parts.took_effect = true;
        if record.is_deleted {
            return Ok(());
        }
        let seen = Seen::new(self, group, &record, base_rv);
        let unseen = seen.unseen_fields(entity, &record);
        seen.into_result()?;
        if !unseen.is_empty() {
            let offered = NewConflict::deletion_of_edited(&record, unseen);
            parts.conflict_ids.push(conflict::open(self, group, draft, offered)?);
        }
        self.remove(group, draft, record)
    }

    /// Deletes a live record and does to its referrers what their declaration says (spec RUL-4).
    pub fn remove(&self, group: &Group<'_>, draft: &mut Draft, record: Record) -> Result<(), Stop> {
        let mut waiting = vec![record];
        while let Some(record) = waiting.pop() {
            let (entity_name, id) = (record.entity.clone(), record.id);
            let mut tombstone = record;
            tombstone.is_deleted = true;
            tombstone.rv = self.seq;
            self.put(group, draft, tombstone)?;
            for (entity, field, on_delete) in group.schema.referrers(&entity_name) {
                if on_delete == OnDelete::Keep {
                    continue;
                }
                let value = Value::String(id.to_string());
                for referrer in group.find(draft, entity, &field.name, &value, limits::CASCADE_RECORDS_MAX)? {
                    let Some(mut referrer) = group.record(draft, &entity.name, referrer)? else { continue };
                    match on_delete {
                        OnDelete::Keep => {}
                        OnDelete::Cascade => waiting.push(referrer),
                        OnDelete::Restrict => {
                            let detail = format!(
                                "it is still used by {} ({}): change or delete those first",
                                entity.name, field.name
                            );
                            return reject(Code::Rule, detail);
                        }
                        OnDelete::SetNull => {
                            let cleared = match referrer.fields.get(&field.name) {
                                Some(Value::Array(items)) => {
                                    let kept: Vec<Value> =
                                        items.iter().filter(|item| **item != value).cloned().collect();
                                    if kept.is_empty() { Value::Null } else { Value::Array(kept) }
                                }
                                _ => Value::Null,
                            };
                            let before = referrer.clone();
                            self.write_fields(entity, &mut referrer, Fields::from([(field.name.clone(), cleared)]));
                            self.put_scoped(group, draft, entity, referrer, Some(before))?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Brings a tombstone back with `fields` on top, and what its deletion took along.
    pub fn restore(
        &self,
        group: &Group<'_>,
        draft: &mut Draft,
        entity: &Entity,
        id: RecordId,
        fields: Fields,
    ) -> Result<(), Stop> {
        let mut record = self.visible(group, draft, entity, id)?;
        let patch = entity.canonical_update(fields).map_err(invalid)?;
        self.may_write(entity, &patch, Some(&record))?;
        if !record.is_deleted {
            return reject(Code::Rule, format!("this {} is not deleted", entity.name));
        }
        let deletion = group.log_entry(record.rv)?;
        record.is_deleted = false;
        record.versions = Versions::new(self.version());
        let patch = flatten_patch(entity, &record, patch);
        self.write_fields(entity, &mut record, patch);
        self.put_scoped(group, draft, entity, record, None)?;
        let Some(deletion) = deletion else { return Ok(()) };
        let taken_along = deletion.changes.iter().filter(|change| change.kind == crate::change::ChangeKind::Del);
        let mut restored = BTreeSet::from([(entity.name.clone(), id.to_string())]);
        for change in taken_along {
            let Some(child_entity) = group.schema.entity(&change.entity) else { continue };
            let is_child = child_entity.fields.values().any(|field| {
                let points_at = |reference: &crate::schema::Reference| {
                    let held = change.before.get(&field.name).and_then(Value::as_str);
                    reference.on_delete == OnDelete::Cascade
                        && held.is_some_and(|held| restored.contains(&(reference.entity.clone(), held.to_owned())))
                };
                field.references.as_ref().is_some_and(points_at)
            });
            let child = group.record(draft, &change.entity, change.id)?;
            if let Some(mut child) = child.filter(|child| is_child && child.is_deleted && child.rv == deletion.seq) {
                child.is_deleted = false;
                child.versions = Versions::new(self.version());
                restored.insert((change.entity.clone(), change.id.to_string()));
                self.put_scoped(group, draft, child_entity, child, None)?;
            }
        }
        Ok(())
    }

    /// Puts a record into the draft after finding its scope; what inherits from it moves along (spec RUL-5).
    pub fn put_scoped(
        &self,
        group: &Group<'_>,
        draft: &mut Draft,
        entity: &Entity,
        mut record: Record,
        before: Option<Record>,
    ) -> Result<(), Stop> {
        if entity.name != CONFLICTS {
            record.scope = check::scope_of(group, draft, entity, &record.fields)?;
        }
        record.rv = self.seq;
        let has_moved = before.is_some_and(|before| before.scope != record.scope);
        let (name, id, scope) = (record.entity.clone(), record.id, record.scope.clone());
        self.put(group, draft, record)?;
        if has_moved {
            self.move_inheritors(group, draft, (&name, id), &scope)?;
        }
        Ok(())
    }

    fn move_inheritors(
        &self,
        group: &Group<'_>,
        draft: &mut Draft,
        (name, id): (&Name, RecordId),
        scope: &ScopeId,
    ) -> Result<(), Stop> {
        let value = Value::String(id.to_string());
        for entity in group.schema.entities.values() {
            for field in check::inherits_by(entity, name) {
                for child in group.find(draft, entity, field, &value, limits::CASCADE_RECORDS_MAX)? {
                    let Some(child) = group.record(draft, &entity.name, child)? else { continue };
                    self.put_scoped(group, draft, entity, child.clone(), Some(child))?;
                }
            }
        }
        let Some(conflicts) = group.schema.entity(CONFLICTS).filter(|_| name != CONFLICTS) else { return Ok(()) };
        let about = Name::new_static(conflict::RECORD_ID);
        for id in group.find(draft, conflicts, &about, &value, limits::CASCADE_RECORDS_MAX)? {
            if let Some(mut record) = group.record(draft, CONFLICTS, id)? {
                record.scope = scope.clone();
                self.put(group, draft, record)?;
            }
        }
        Ok(())
    }

    /// Puts a record into the draft as it is.
    pub fn put(&self, group: &Group<'_>, draft: &mut Draft, record: Record) -> Result<(), Stop> {
        if draft.len() > limits::CASCADE_RECORDS_MAX {
            let detail = format!("it would change more than {} records: do it in parts", limits::CASCADE_RECORDS_MAX);
            return reject(Code::TooLarge, detail);
        }
        let before = group.committed(&(record.entity.clone(), record.id))?;
        draft.put(record, before);
        Ok(())
    }

    /// Fills derived fields of everything that changed.
    fn derive(&self, group: &Group<'_>, draft: &mut Draft) -> Result<(), Stop> {
        let mut filled = Vec::new();
        for (record, before) in draft.iter().filter(|(record, _)| !record.is_deleted) {
            let entity = &group.schema.entities[&record.entity];
            let mut fields = Arc::clone(&record.fields);
            let mut changed = Vec::new();
            for derived in &entity.derived {
                let held = fields.get(&derived.field);
                let old = before.filter(|before| !before.is_deleted).map(|before| &*before.fields);
                let value = match &derived.source {
                    DerivedFrom::Follows { reference, field } => {
                        self.followed(group, draft, entity, (&fields, reference, field))?
                    }
                    time => {
                        let ask = |about: &RuleContext<'_>| entity.derive_time(time, held, about);
                        match check::with_context(self, record.id, (old, Some(&fields)), ask) {
                            DerivedTime::Keep => None,
                            DerivedTime::SetNow => Some(check::timestamp(self.received_ms)),
                            DerivedTime::Clear => Some(Value::Null),
                        }
                    }
                };
                let Some(value) = value.filter(|value| held.unwrap_or(&Value::Null) != value) else { continue };
                let fields = Arc::make_mut(&mut fields);
                match value {
                    Value::Null => fields.remove(&derived.field),
                    value => fields.insert(derived.field.clone(), value),
                };
                changed.push(derived.field.clone());
            }
            if !changed.is_empty() {
                filled.push((record.entity.clone(), record.id, fields, changed));
            }
        }
        for (entity, id, fields, changed) in filled {
            draft.fill((entity, id), fields, changed.into_iter().map(|name| (name, self.version())));
        }
        Ok(())
    }

    /// The value a field follows, if there is one.
    fn followed(
        &self,
        group: &Group<'_>,
        draft: &Draft,
        entity: &Entity,
        (fields, reference, field): (&Fields, &Name, &Name),
    ) -> Result<Option<Value>, Stop> {
        let named = entity.field(reference).and_then(|field| field.references.as_ref());
        let id = fields.get(reference).and_then(Value::as_str).and_then(|id| id.parse().ok());
        let Some((named, id)) = named.zip(id) else { return Ok(None) };
        let named = group.record(draft, &named.entity, id)?.filter(|named| !named.is_deleted);
        Ok(named.and_then(|named| named.fields.get(field).cloned()))
    }

    /// Fills stamped fields of everything that changed.
    fn stamp(&self, group: &Group<'_>, draft: &mut Draft) {
        let received = check::timestamp(self.received_ms);
        for (record, before) in draft.iter_mut().filter(|(record, _)| !record.is_deleted) {
            let entity = &group.schema.entities[&record.entity];
            let is_new = before.is_none_or(|before| before.is_deleted && !record.fields.contains_key("created_at"));
            for (name, stamp) in entity.fields.values().filter_map(|field| Some((&field.name, field.stamp?))) {
                let value = match stamp {
                    Stamp::Created if is_new => received.clone(),
                    Stamp::Updated => received.clone(),
                    Stamp::Authored if is_new => check::timestamp(self.authored_ms),
                    Stamp::CreatedBy if is_new && !self.principal.is_server => {
                        Value::String(self.principal.user_id.to_string())
                    }
                    Stamp::Created | Stamp::Authored | Stamp::CreatedBy => continue,
                };
                Arc::make_mut(&mut record.fields).insert(name.clone(), value);
                if !is_new {
                    record.versions.changed.insert(name.clone(), self.version());
                }
            }
        }
    }
}

/// A record an op names, and the author's base.
pub(super) struct Target<'s> {
    pub entity: &'s Entity,
    pub id: RecordId,
    pub base_rv: Seq,
}

pub(super) fn invalid(invalid: crate::schema::Invalid) -> Stop {
    Stop::Reject(Rejection::new(Code::Validation, invalid.to_string()))
}

fn set_items(value: Option<&Value>) -> BTreeSet<&str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// A canonical update patch as plain values over `record`: for writes nobody contests.
pub(super) fn flatten_patch(entity: &Entity, record: &Record, patch: Fields) -> Fields {
    let flatten = |(name, value): (Name, Value)| {
        let held = record.fields.get(&name).unwrap_or(&Value::Null);
        let value = patched(entity, &entity.fields[&name], held, &value);
        (name, value)
    };
    patch.into_iter().map(flatten).collect()
}
