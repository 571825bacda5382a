//! State while planning: the group's overlay over the stored view, and one mutation's draft over the overlay.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::change::{Change, ChangeKind, LogEntry};
use crate::digest::Digest;
use crate::id::{ClientId, RecordId, ScopeId, UserId, WorkspaceId};
use crate::principal::Access;
use crate::record::{Record, Version};
use crate::schema::{Entity, FieldType, Schema};
use crate::storage::{
    ClientState, Departure, Head, LogWrite, Read, RecordWas, RecordWrite, StoreResult, StoredOutcome, WriteSet,
    unique_key,
};
use crate::{Fields, Name, Seq, SharedFields, Value};

pub(super) type Key = (Name, RecordId);

/// A record the group changed: its state now and what is stored.
struct Slot {
    record: Record,
    was: Option<RecordWas>,
}

/// The group commit so far.
pub(super) struct Group<'a> {
    pub schema: &'a Schema,
    pub workspace: &'a WorkspaceId,
    pub read: &'a dyn Read,
    pub head: Head,
    expected_head: Seq,
    slots: BTreeMap<Key, Slot>,
    /// Who holds a uniqueness key among `slots`: `(entity, unique, key)`.
    unique_holders: BTreeMap<(Name, Name, String), BTreeSet<RecordId>>,
    pub clients: BTreeMap<ClientId, ClientState>,
    pub outcomes: BTreeMap<(ClientId, u64), StoredOutcome>,
    departures: Vec<(ScopeId, Departure)>,
    log: Vec<LogWrite>,
    digests: BTreeMap<ScopeId, Digest>,
    pub access_by_user: BTreeMap<UserId, Option<Arc<Access>>>,
    /// What has been read from the store so far: the same few records are asked for again and again.
    stored: RefCell<BTreeMap<Key, Option<Record>>>,
}

/// What a reference needs to know of the record it names.
pub(super) struct Target {
    pub scope: ScopeId,
    pub is_deleted: bool,
}

impl Target {
    fn of(record: &Record) -> Self {
        Self { scope: record.scope.clone(), is_deleted: record.is_deleted }
    }
}

/// One mutation's changes, not yet part of the group.
#[derive(Default)]
pub(super) struct Draft {
    /// New states, with the state before this mutation (`None`: there was nothing).
    records: BTreeMap<Key, (Record, Option<Record>)>,
    /// Keys in the order they were first touched: the order of changes in the entry.
    order: Vec<Key>,
}

impl Draft {
    pub fn put(&mut self, record: Record, before: Option<Record>) {
        let key = (record.entity.clone(), record.id);
        match self.records.get_mut(&key) {
            Some((present, _)) => *present = record,
            None => {
                self.order.push(key.clone());
                self.records.insert(key, (record, before));
            }
        }
    }
    pub fn len(&self) -> usize {
        self.records.len()
    }
    pub fn iter(&self) -> impl Iterator<Item = (&Record, Option<&Record>)> {
        self.order.iter().map(|key| {
            let (record, before) = &self.records[key];
            (record, before.as_ref())
        })
    }
    /// As [`Self::iter`], in no particular order, to fill in more of the new states.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&mut Record, Option<&Record>)> {
        self.records.values_mut().map(|(record, before)| (record, before.as_ref()))
    }
    /// Replaces the fields of a new state. Of a record that was there before, the named fields get new versions.
    pub fn fill(&mut self, key: Key, fields: SharedFields, changed: impl Iterator<Item = (Name, Version)>) {
        let Some((record, before)) = self.records.get_mut(&key) else { return };
        record.fields = fields;
        if before.as_ref().is_some_and(|before| !before.is_deleted) {
            record.versions.changed.extend(changed);
        }
    }
    /// Leaves out what ended where it began, so that nothing is bumped without a change.
    pub fn retain_changed(&mut self) {
        self.records.retain(|_, (record, before)| before.as_ref().is_none_or(|before| is_changed(before, record)));
        self.order.retain(|key| self.records.contains_key(key));
    }
}

fn is_changed(before: &Record, after: &Record) -> bool {
    before.is_deleted != after.is_deleted
        || before.scope != after.scope
        || before.fields != after.fields
        || before.versions.elements != after.versions.elements
}

impl<'a> Group<'a> {
    pub fn new(schema: &'a Schema, workspace: &'a WorkspaceId, read: &'a dyn Read) -> StoreResult<Self> {
        let head = read.head()?;
        let expected_head = head.seq;
        Ok(Self {
            schema,
            workspace,
            read,
            head,
            expected_head,
            slots: BTreeMap::new(),
            unique_holders: BTreeMap::new(),
            clients: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            departures: Vec::new(),
            log: Vec::new(),
            digests: BTreeMap::new(),
            access_by_user: BTreeMap::new(),
            stored: RefCell::new(BTreeMap::new()),
        })
    }

    /// The record or tombstone as the draft, the group or the store has it.
    pub fn record(&self, draft: &Draft, entity: &str, id: RecordId) -> StoreResult<Option<Record>> {
        let key = (Name::new(entity), id);
        if let Some((record, _)) = draft.records.get(&key) {
            return Ok(Some(record.clone()));
        }
        self.committed(&key)
    }

    /// As [`Self::record`], before the mutation being drafted.
    pub fn committed(&self, key: &Key) -> StoreResult<Option<Record>> {
        match self.slots.get(key) {
            Some(slot) => Ok(Some(slot.record.clone())),
            None => self.stored(key, Option::clone),
        }
    }

    /// Looks at what is stored; each record is read once for the whole group.
    fn stored<T>(&self, key: &Key, look: impl FnOnce(&Option<Record>) -> T) -> StoreResult<T> {
        if let Some(known) = self.stored.borrow().get(key) {
            return Ok(look(known));
        }
        let record = self.read.record(&key.0, key.1)?;
        let value = look(&record);
        self.stored.borrow_mut().insert(key.clone(), record);
        Ok(value)
    }

    /// As [`Self::record`], only what a reference needs.
    pub fn target(&self, draft: &Draft, entity: &Name, id: RecordId) -> StoreResult<Option<Target>> {
        let key = (entity.clone(), id);
        if let Some((record, _)) = draft.records.get(&key) {
            return Ok(Some(Target::of(record)));
        }
        if let Some(slot) = self.slots.get(&key) {
            return Ok(Some(Target::of(&slot.record)));
        }
        self.stored(&key, |record| record.as_ref().map(Target::of))
    }

    /// Ids of live records whose `field` equals or contains `value`, at most about `limit`, draft and group included.
    pub fn find(
        &self,
        draft: &Draft,
        entity: &Entity,
        field: &Name,
        value: &Value,
        limit: usize,
    ) -> StoreResult<Vec<RecordId>> {
        let stored = self.read.find(&entity.name, field, value, limit)?;
        let mut ids: BTreeSet<RecordId> = stored.into_iter().collect();
        let span = (entity.name.clone(), RecordId::NIL)..=(entity.name.clone(), RecordId::MAX);
        let from_group = self.slots.range(span.clone()).map(|(key, slot)| (key.1, &slot.record));
        let from_draft = draft.records.range(span).map(|(key, (record, _))| (key.1, record));
        for (id, record) in from_group.chain(from_draft) {
            if !record.is_deleted && holds(record, field, value) {
                ids.insert(id);
            } else {
                ids.remove(&id);
            }
        }
        Ok(ids.into_iter().collect())
    }

    /// Whether another live record than `id` holds the uniqueness key.
    pub fn is_taken(
        &self,
        draft: &Draft,
        entity: &Entity,
        unique: &Name,
        key: &str,
        id: RecordId,
    ) -> StoreResult<bool> {
        let declared = entity.unique.iter().find(|declared| declared.name == *unique);
        let Some(declared) = declared else { return Ok(false) };
        let holds_key = |record: &Record| {
            !record.is_deleted && unique_key(declared, &record.fields).is_some_and(|held| held == key)
        };
        let span = (entity.name.clone(), RecordId::NIL)..=(entity.name.clone(), RecordId::MAX);
        let in_draft = |other: &RecordId| draft.records.contains_key(&(entity.name.clone(), *other));
        if draft.records.range(span).any(|(other, (record, _))| other.1 != id && holds_key(record)) {
            return Ok(true);
        }
        let in_group = self.unique_holders.get(&(entity.name.clone(), unique.clone(), key.to_owned()));
        if in_group.is_some_and(|holders| holders.iter().any(|other| *other != id && !in_draft(other))) {
            return Ok(true);
        }
        let stored = self.read.find_unique(&entity.name, unique, key)?;
        let is_unchanged =
            |other: &RecordId| !in_draft(other) && !self.slots.contains_key(&(entity.name.clone(), *other));
        Ok(stored.iter().any(|other| *other != id && is_unchanged(other)))
    }

    /// The log entry at `seq`, of this group or stored. `None`: compacted, or never assigned.
    pub fn log_entry(&self, seq: Seq) -> StoreResult<Option<LogEntry>> {
        if seq > self.expected_head {
            let index = self.log.partition_point(|write| write.entry.seq < seq);
            let write = self.log.get(index).filter(|write| write.entry.seq == seq);
            return Ok(write.map(|write| LogEntry::clone(&write.entry)));
        }
        if seq == 0 { Ok(None) } else { self.read.log_entry(seq) }
    }

    /// Makes an accepted draft part of the group as the next log entry; `entry` comes without changes.
    pub fn accept(&mut self, draft: Draft, mut entry: LogEntry) -> StoreResult<()> {
        let seq = entry.seq;
        let Draft { mut records, order } = draft;
        for key in order {
            let (mut record, before) = records.remove(&key).expect("every key in the order has its record");
            record.rv = seq;
            let was_live = before.as_ref().is_some_and(|before| !before.is_deleted);
            let left = before.as_ref().filter(|_| was_live).map(|before| &before.scope);
            let left = left.filter(|scope| **scope != record.scope).cloned();
            if !record.is_deleted && (!was_live || left.is_some()) {
                record.entered = seq;
            }
            if let Some(left) = &left {
                let departure = Departure { seq, entity: key.0.clone(), id: key.1 };
                self.departures.push((left.clone(), departure));
            }
            self.move_digest(before.as_ref(), &record)?;
            entry.changes.push(change_of(before.as_ref(), &record, left));
            self.put_slot(key, record, before);
        }
        self.head.seq = seq;
        if super::access::touches_access(&entry) {
            self.access_by_user.clear();
        }
        let write = LogWrite::new(&self.head.chain, entry)?;
        self.head.chain.clone_from(&write.hash);
        self.log.push(write);
        Ok(())
    }

    fn put_slot(&mut self, key: Key, record: Record, before: Option<Record>) {
        let entity = &self.schema.entities[&key.0];
        let keys_of = |record: &Record| -> Vec<(Name, String)> {
            let live = entity.unique.iter().filter(|_| !record.is_deleted);
            live.filter_map(|unique| Some((unique.name.clone(), unique_key(unique, &record.fields)?))).collect()
        };
        if !entity.unique.is_empty() {
            for (unique, held) in before.as_ref().map(keys_of).unwrap_or_default() {
                if let Some(holders) = self.unique_holders.get_mut(&(key.0.clone(), unique, held)) {
                    holders.remove(&key.1);
                }
            }
            for (unique, held) in keys_of(&record) {
                self.unique_holders.entry((key.0.clone(), unique, held)).or_default().insert(key.1);
            }
        }
        match self.slots.get_mut(&key) {
            Some(slot) => slot.record = record,
            None => {
                let was = before.map(|before| RecordWas {
                    rv: before.rv,
                    is_deleted: before.is_deleted,
                    scope: before.scope,
                });
                self.slots.insert(key, Slot { record, was });
            }
        }
    }

    fn move_digest(&mut self, before: Option<&Record>, after: &Record) -> StoreResult<()> {
        if let Some(before) = before.filter(|before| !before.is_deleted) {
            self.digest_mut(&before.scope)?.remove(&before.entity, &before.id, before.rv);
        }
        if !after.is_deleted {
            self.digest_mut(&after.scope)?.add(&after.entity, &after.id, after.rv);
        }
        Ok(())
    }

    fn digest_mut(&mut self, scope: &ScopeId) -> StoreResult<&mut Digest> {
        if !self.digests.contains_key(scope) {
            let stored = self.read.scope_digest(scope)?;
            self.digests.insert(scope.clone(), stored);
        }
        Ok(self.digests.get_mut(scope).expect("inserted above"))
    }

    /// The write set of the whole group, and its entries.
    pub fn into_writes(self) -> StoreResult<(WriteSet, Vec<Arc<LogEntry>>)> {
        let entries = self.log.iter().map(|write| Arc::clone(&write.entry)).collect();
        let schema = self.schema;
        let records = self.slots.into_iter().map(|((entity, _), Slot { record, was })| {
            let uniques = schema.entities[&entity].unique.iter().filter(|_| !record.is_deleted);
            let keyed = uniques.filter_map(|unique| Some((unique.name.clone(), unique_key(unique, &record.fields)?)));
            RecordWrite { unique_keys: keyed.collect(), record, was }
        });
        let writes = WriteSet {
            expected_head: self.expected_head,
            head: self.head.seq,
            chain: self.head.chain,
            records: records.collect(),
            departures: self.departures,
            log: self.log,
            outcomes: self.outcomes.into_values().collect(),
            clients: self.clients.into_values().collect(),
            digests: self.digests,
        };
        Ok((writes, entries))
    }
}

fn holds(record: &Record, field: &Name, value: &Value) -> bool {
    match record.fields.get(field) {
        Some(Value::Array(items)) => items.contains(value),
        Some(held) => held == value,
        None => false,
    }
}

/// What happened to one record, as the log keeps it.
fn change_of(before: Option<&Record>, after: &Record, left: Option<ScopeId>) -> Change {
    let was_live = before.is_some_and(|before| !before.is_deleted);
    let old = before.filter(|_| was_live).map(|before| Arc::clone(&before.fields)).unwrap_or_default();
    let (kind, fields, old_values) = match (was_live, after.is_deleted) {
        (_, true) => (ChangeKind::Del, SharedFields::default(), old),
        (false, false) => (ChangeKind::Put, Arc::clone(&after.fields), SharedFields::default()),
        (true, false) => {
            let (fields, old_values) = difference(&old, &after.fields);
            (ChangeKind::Patch, Arc::new(fields), Arc::new(old_values))
        }
    };
    Change {
        entity: after.entity.clone(),
        id: after.id,
        kind,
        prev_rv: before.map_or(0, |before| before.rv),
        scope: after.scope.clone(),
        left,
        fields,
        before: old_values,
    }
}

/// The fields on which two states differ: new values (`null` where cleared) and old ones (absent where there was none).
fn difference(old: &Fields, new: &Fields) -> (Fields, Fields) {
    let names: BTreeSet<&Name> = old.keys().chain(new.keys()).collect();
    let differing = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    let mut fields = Fields::new();
    let mut before = Fields::new();
    for name in differing {
        fields.insert(name.clone(), new.get(name).cloned().unwrap_or(Value::Null));
        if let Some(value) = old.get(name) {
            before.insert(name.clone(), value.clone());
        }
    }
    (fields, before)
}

/// Whether a field holds a set, whose references and versions are per element.
pub(super) fn is_set(kind: &FieldType) -> bool {
    matches!(kind, FieldType::Set { .. })
}
