//! A world to test in: a store and a small stand-in for the engine that makes well-formed write sets.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::change::{Change, ChangeKind, LogEntry, Mutation, Outcome, OutcomeKind};
use crate::id::{BackendId, ClientId, DeviceId, MutationId, RecordId, ScopeId, UserId, WorkspaceId};
use crate::protocol::Code;
use crate::record::{Record, Version, Versions};
use crate::schema::Schema;
use crate::storage::*;
use crate::{Fields, Name, Seq, Value};

/// The client of every draft that does not name another.
pub const CLIENT: ClientId = ClientId::from_u128(0xc1);

/// A store with the workspace `acme` in it.
pub struct World<S> {
    pub store: S,
    pub schema: Arc<Schema>,
}

/// The workspace of every case.
pub fn workspace() -> WorkspaceId {
    WorkspaceId::new("acme").expect("a well-formed id")
}

/// A record id with the given low bits.
pub const fn id(bits: u128) -> RecordId {
    RecordId::from_u128(bits)
}

/// Field values from a JSON object.
pub(super) fn fields(value: serde_json::Value) -> Fields {
    serde_json::from_value(value).expect("a JSON object")
}

pub(super) fn ids(records: &[Record]) -> Vec<RecordId> {
    records.iter().map(|record| record.id).collect()
}

impl<S: Store> World<S> {
    pub fn new(schema: Arc<Schema>, mut store: S) -> Self {
        store.create_workspace(&workspace(), BackendId::from_u128(0xb)).expect("an empty store takes a workspace");
        Self { store, schema }
    }

    /// Commits what `plan` drafts, in `acme`.
    pub fn commit(&mut self, plan: impl FnMut(&mut Draft<'_>)) {
        self.commit_in(&workspace(), plan);
    }

    pub fn commit_in(&mut self, workspace: &WorkspaceId, plan: impl FnMut(&mut Draft<'_>)) {
        self.try_commit(workspace, plan).expect("a well-formed write set is applied");
    }

    pub fn try_commit(&mut self, workspace: &WorkspaceId, mut plan: impl FnMut(&mut Draft<'_>)) -> StoreResult<()> {
        let schema = self.schema.clone();
        self.store.transact(workspace, &Wanted::default(), |read| {
            let mut draft = Draft::new(read, &schema)?;
            plan(&mut draft);
            Ok((draft.finish(), ()))
        })
    }

    pub fn read<T>(&self, read: impl FnOnce(&dyn Read) -> StoreResult<T>) -> T {
        self.store.read(&workspace(), read).expect("a read of the workspace")
    }

    pub fn head(&self) -> Head {
        self.read(|read| read.head())
    }

    pub fn record(&self, entity: &str, id: RecordId) -> Option<Record> {
        self.read(|read| read.record(entity, id))
    }
}

/// One group commit in the making. Each mutation takes the next seq; each method after it belongs to it.
pub struct Draft<'a> {
    read: &'a dyn Read,
    schema: &'a Schema,
    pub writes: WriteSet,
    records: BTreeMap<(Name, RecordId), RecordWrite>,
}

impl<'a> Draft<'a> {
    fn new(read: &'a dyn Read, schema: &'a Schema) -> StoreResult<Self> {
        let head = read.head()?;
        let writes = WriteSet { expected_head: head.seq, head: head.seq, chain: head.chain, ..WriteSet::default() };
        Ok(Self { read, schema, writes, records: BTreeMap::new() })
    }

    /// Starts the next mutation, of [`CLIENT`], applied.
    pub fn mutation(&mut self) -> Seq {
        let client_seq = self.next_client_seq(CLIENT);
        let seq = self.writes.head + 1;
        let mutation_id = MutationId::from_u128(u128::from(seq));
        let entry = LogEntry {
            seq,
            mutation_id,
            client_id: CLIENT,
            client_seq,
            user_id: UserId::from_u128(0x5e),
            device_id: DeviceId::from_u128(0xde),
            role: "agent".into(),
            authored_ms: seq * 10,
            committed_ms: seq * 10 + 5,
            changes: Vec::new(),
        };
        self.writes.head = seq;
        let entry = Arc::new(entry);
        self.writes.log.push(LogWrite { entry, json: String::new(), hash: String::new() });
        let (outcome, conflict_ids) = (OutcomeKind::Applied, Vec::new());
        self.outcome(CLIENT, Outcome { client_seq, mutation_id, outcome, code: None, detail: None, conflict_ids, seq });
        seq
    }

    /// A mutation of `client` that was refused.
    pub fn rejection(&mut self, client: ClientId) {
        let client_seq = self.next_client_seq(client);
        let mutation_id = MutationId::from_u128(0xbad_0000 + u128::from(client_seq));
        let outcome = Outcome {
            client_seq,
            mutation_id,
            outcome: OutcomeKind::Rejected,
            code: Some(Code::Rule),
            detail: Some("„no“ \u{1f6ab}".to_owned()),
            conflict_ids: Vec::new(),
            seq: self.writes.head,
        };
        self.outcome(client, outcome);
        let ops = Vec::new();
        let mutation = Mutation { mutation_id, client_seq, age_ms: 7, ops, depends_on: vec![1] };
        if let Some(stored) = self.writes.outcomes.last_mut() {
            stored.rejected = Some(mutation);
        }
    }

    /// Writes a live record in `scope`; it may be new, known or deleted before.
    pub fn put(&mut self, entity: &str, id: RecordId, scope: &ScopeId, fields: Fields) {
        let seq = self.writes.head;
        let before = self.present(entity, id);
        let created = Version(seq, seq * 10);
        let mut versions = before.as_ref().map_or_else(|| Versions::new(created), |record| record.versions.clone());
        let is_new = before.as_ref().is_none_or(|record| record.is_deleted);
        if !is_new {
            let old = before.as_ref().map(|record| &record.fields);
            let is_new = |field: &&Name| old.and_then(|old| old.get(*field)) != fields.get(*field);
            versions.changed.extend(fields.keys().filter(is_new).map(|field| (field.clone(), created)));
        }
        let stayed = before.as_ref().filter(|record| !record.is_deleted && record.scope == *scope);
        let entered = stayed.map_or(seq, |record| record.entered);
        let (entity, scope) = (Name::new(entity), scope.clone());
        let kind = if is_new { ChangeKind::Put } else { ChangeKind::Patch };
        self.write(
            kind,
            Record { entity, id, rv: seq, scope, entered, is_deleted: false, fields: Arc::new(fields), versions },
        );
    }

    pub fn delete(&mut self, entity: &str, id: RecordId) {
        let before = self.present(entity, id).expect("a case deletes what it wrote");
        self.write(ChangeKind::Del, Record { rv: self.writes.head, is_deleted: true, ..before });
    }

    /// The write set so far, with its records in the order of their ids except as [`Draft::flush`] says.
    pub fn finish(mut self) -> WriteSet {
        self.flush();
        let mut chain = self.read.head().expect("the head was read before").chain;
        for write in &mut self.writes.log {
            *write = LogWrite::new(&chain, Arc::clone(&write.entry)).expect("an entry encodes");
            chain.clone_from(&write.hash);
        }
        self.writes.chain = chain;
        self.writes
    }

    /// Makes further records be written before the ones drafted so far.
    pub fn flush(&mut self) {
        let mut records: Vec<RecordWrite> = std::mem::take(&mut self.records).into_values().collect();
        records.append(&mut self.writes.records);
        self.writes.records = records;
    }

    fn present(&self, entity: &str, id: RecordId) -> Option<Record> {
        match self.records.get(&(entity.into(), id)) {
            Some(write) => Some(write.record.clone()),
            None => self.read.record(entity, id).expect("a read within a plan"),
        }
    }

    fn write(&mut self, kind: ChangeKind, record: Record) {
        let before = self.present(&record.entity, record.id);
        let stored = self.read.record(&record.entity, record.id).expect("a read within a plan");
        let left =
            before.as_ref().filter(|old| !old.is_deleted && old.scope != record.scope).map(|old| old.scope.clone());
        if let Some(old) = before.as_ref().filter(|old| !old.is_deleted) {
            self.digest(&old.scope).remove(&old.entity, &old.id, old.rv);
        }
        if !record.is_deleted {
            self.digest(&record.scope).add(&record.entity, &record.id, record.rv);
        }
        let Record { entity, id, rv, scope, .. } = record.clone();
        if let Some(scope) = left.clone() {
            self.writes.departures.push((scope, Departure { seq: rv, entity: entity.clone(), id }));
        }
        let prev_rv = before.as_ref().map_or(0, |old| old.rv);
        let mut before = before.filter(|old| !old.is_deleted).map(|old| Fields::clone(&old.fields)).unwrap_or_default();
        let mut fields = if record.is_deleted { Fields::new() } else { Fields::clone(&record.fields) };
        if kind == ChangeKind::Patch {
            let cleared = before.keys().filter(|field| !record.fields.contains_key(*field)).cloned();
            fields.extend(cleared.map(|field| (field, Value::Null)).collect::<Fields>());
            fields.retain(|field, value| before.get(field).unwrap_or(&Value::Null) != value);
            before.retain(|field, _| fields.contains_key(field));
        }
        let change = Change {
            entity: entity.clone(),
            id,
            kind,
            prev_rv,
            scope,
            left,
            fields: Arc::new(fields),
            before: Arc::new(before),
        };
        let write = self.writes.log.last_mut().expect("a draft starts with a mutation");
        Arc::make_mut(&mut write.entry).changes.push(change);
        let uniques = self.schema.entity(&entity).map_or(&[][..], |entity| &entity.unique);
        let keys = uniques.iter().filter(|_| !record.is_deleted);
        let keys = keys.filter_map(|unique| Some((unique.name.clone(), unique_key(unique, &record.fields)?))).collect();
        let was = stored.map(|old| RecordWas { rv: old.rv, is_deleted: old.is_deleted, scope: old.scope });
        self.records.insert((entity, id), RecordWrite { record, was, unique_keys: keys });
    }

    fn digest(&mut self, scope: &ScopeId) -> &mut Digest {
        let read = self.read;
        let stored = || read.scope_digest(scope).expect("a read within a plan");
        self.writes.digests.entry(scope.clone()).or_insert_with(stored)
    }

    fn next_client_seq(&self, client: ClientId) -> u64 {
        let drafted = self.writes.clients.iter().rev().find(|state| state.client_id == client).cloned();
        let state = drafted.or_else(|| self.read.client(client).expect("a read within a plan"));
        state.map_or(1, |state| state.last_client_seq + 1)
    }

    fn outcome(&mut self, client_id: ClientId, outcome: Outcome) {
        let (user_id, device_id) = (UserId::from_u128(0x5e), DeviceId::from_u128(0xde));
        let last_client_seq = outcome.client_seq;
        self.writes.clients.push(ClientState { client_id, user_id, device_id, last_client_seq });
        let decided_ms = 1_000 + self.writes.head;
        self.writes.outcomes.push(StoredOutcome { client_id, user_id, decided_ms, outcome, rejected: None });
    }
}
