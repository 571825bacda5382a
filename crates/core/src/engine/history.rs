//! A record's past, walked backwards along the log: what an author had seen, and what people look at.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::decide::{Stop, access_in_group};
use super::draft::Group;
use super::ops::Author;
use crate::change::{Change, ChangeKind, LogEntry};
use crate::id::{ClientId, DeviceId, MutationId, RecordId, UserId};
use crate::merge::SeenHistory;
use crate::protocol::limits;
use crate::record::Record;
use crate::schema::{Entity, Field};
use crate::storage::{Read, StoreError, StoreResult};
use crate::{Fields, Name, Seq, SharedFields, TimestampMs, Value};

/// The author's view of one record's past. Store errors are kept and come out of [`Seen::into_result`], because the
/// merge policy that asks is pure.
pub(super) struct Seen<'g, 's> {
    author: &'g Author<'g>,
    group: &'g Group<'s>,
    record: &'g Record,
    base_rv: Seq,
    error: RefCell<Option<StoreError>>,
    /// Entries looked at, because groups of one record ask for the same ones.
    entries: RefCell<BTreeMap<Seq, Option<LogEntry>>>,
}

impl<'g, 's> Seen<'g, 's> {
    pub fn new(author: &'g Author<'g>, group: &'g Group<'s>, record: &'g Record, base_rv: Seq) -> Self {
        let (error, entries) = (RefCell::new(None), RefCell::new(BTreeMap::new()));
        Self { author, group, record, base_rv, error, entries }
    }

    /// Errors met while answering; ask before acting on an answer.
    pub fn into_result(self) -> Result<(), Stop> {
        match self.error.into_inner() {
            Some(error) => Err(Stop::Store(error)),
            None => Ok(()),
        }
    }

    /// Author of the change at `seq`.
    pub fn user_of(&self, seq: Seq) -> Option<UserId> {
        self.with_entry(seq, |entry| entry.user_id)
    }

    /// Present values of the fields changed behind the author's back, `null` where cleared; without what the server fills.
    pub fn unseen_fields(&self, entity: &Entity, record: &Record) -> Fields {
        let is_unseen = |name: &Name| !self.has_seen(record.versions.of(name).seq());
        let own = entity.fields.values().filter(|field| !field.is_filled());
        let unseen = own.filter(|field| is_unseen(&field.name));
        let value = |name: &Name| record.fields.get(name).cloned().unwrap_or(Value::Null);
        let has_story = |name: &Name| record.fields.contains_key(name) || record.versions.changed.contains_key(name);
        unseen.filter(|field| has_story(&field.name)).map(|field| (field.name.clone(), value(&field.name))).collect()
    }

    /// Whether anything but what the server fills changed behind the author's back.
    pub fn has_unseen(&self, record: &Record) -> bool {
        if record.rv <= self.base_rv {
            return false;
        }
        let Some(entity) = self.group.schema.entity(&record.entity) else { return false };
        let is_filled = |name: &Name| entity.field(name).is_some_and(Field::is_filled);
        let changed = record.versions.changed.iter().filter(|(name, _)| !is_filled(name));
        let mut seqs = changed.map(|(_, version)| version.seq()).chain([record.versions.created.seq()]);
        seqs.any(|seq| !self.has_seen(seq))
    }

    fn with_entry<T>(&self, seq: Seq, read: impl FnOnce(&LogEntry) -> T) -> Option<T> {
        let mut entries = self.entries.borrow_mut();
        let entry = entries.entry(seq).or_insert_with(|| match self.group.log_entry(seq) {
            Ok(entry) => entry,
            Err(error) => {
                *self.error.borrow_mut() = Some(error);
                None
            }
        });
        entry.as_ref().map(read)
    }

    fn is_own(&self, entry: &LogEntry) -> bool {
        entry.client_id == self.author.principal.client_id && entry.client_seq < self.author.client_seq
    }
}

impl SeenHistory for Seen<'_, '_> {
    fn has_seen(&self, seq: Seq) -> bool {
        seq <= self.base_rv
            || seq == self.author.seq
            || self.with_entry(seq, |entry| self.is_own(entry)).unwrap_or(false)
    }

    fn base_values(&self, fields: &[Name]) -> Option<Fields> {
        let key = (self.record.entity.clone(), self.record.id);
        let start =
            if self.record.rv == self.author.seq { self.group.committed(&key) } else { Ok(Some(self.record.clone())) };
        let record = match start {
            Ok(record) => record?,
            Err(error) => {
                *self.error.borrow_mut() = Some(error);
                return None;
            }
        };
        let value = |fields: &Fields, name: &Name| fields.get(name).cloned().unwrap_or(Value::Null);
        let mut values: Fields = fields.iter().map(|name| (name.clone(), value(&record.fields, name))).collect();
        // Once the walk meets the author's own write of a field, older changes of it do not matter: that is what they saw.
        let mut open: Vec<Name> = fields.to_vec();
        let mut rv = record.rv;
        for _ in 0..limits::HISTORY_WALK_MAX {
            if rv <= self.base_rv || open.is_empty() {
                return Some(values);
            }
            let (change, is_own) =
                self.with_entry(rv, |entry| (change_in(entry, &key).cloned(), self.is_own(entry)))?;
            let change = change?;
            if change.kind == ChangeKind::Put {
                // Before it there was nothing; what the author put there themselves they have seen whole.
                for name in open.iter().filter(|_| !is_own) {
                    values.insert(name.clone(), Value::Null);
                }
                return Some(values);
            }
            open.retain(|name| {
                let is_changed = change.fields.contains_key(name);
                if is_changed && !is_own {
                    values.insert(name.clone(), value(&change.before, name));
                }
                !(is_changed && is_own)
            });
            rv = change.prev_rv;
        }
        None
    }

    fn rank_of(&self, seq: Seq) -> u8 {
        let Some((user, role)) = self.with_entry(seq, |entry| (entry.user_id, entry.role.clone())) else { return 0 };
        if role == "server" {
            return u8::MAX;
        }
        match access_in_group(self.group, user) {
            Ok(access) => access.map_or(0, |access| access.rank),
            Err(error) => {
                *self.error.borrow_mut() = Some(error);
                0
            }
        }
    }
}

fn change_in<'e>(entry: &'e LogEntry, key: &(Name, RecordId)) -> Option<&'e Change> {
    entry.changes.iter().find(|change| change.entity == key.0 && change.id == key.1)
}

/// One step of a record's history, newest first: who did what, with the counters of the device it was done on.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct HistoryItem {
    pub seq: Seq,
    pub kind: ChangeKind,
    pub fields: SharedFields,
    pub before: SharedFields,
    pub user_id: UserId,
    pub device_id: DeviceId,
    pub client_id: ClientId,
    pub client_seq: u64,
    pub mutation_id: MutationId,
    pub role: Name,
    pub authored_ms: TimestampMs,
    pub committed_ms: TimestampMs,
}

/// The history of a record, newest first, at most `limit` steps and as far back as the log is kept. The caller has
/// checked that the record may be seen.
pub fn history(read: &dyn Read, entity: &str, id: RecordId, limit: usize) -> StoreResult<Vec<HistoryItem>> {
    let key = (Name::new(entity), id);
    let mut items = Vec::new();
    let mut rv = read.record(entity, id)?.map_or(0, |record| record.rv);
    while rv > 0 && items.len() < limit {
        let Some(entry) = read.log_entry(rv)? else { break };
        let Some(change) = change_in(&entry, &key).cloned() else { break };
        rv = change.prev_rv;
        items.push(HistoryItem {
            seq: entry.seq,
            kind: change.kind,
            fields: change.fields,
            before: change.before,
            user_id: entry.user_id,
            device_id: entry.device_id,
            client_id: entry.client_id,
            client_seq: entry.client_seq,
            mutation_id: entry.mutation_id,
            role: entry.role.clone(),
            authored_ms: entry.authored_ms,
            committed_ms: entry.committed_ms,
        });
    }
    Ok(items)
}
