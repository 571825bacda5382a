//! The contract in memory: for tests, simulation and the reference of every other adapter. Deterministic.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use super::*;
use crate::change::OutcomeKind;
use crate::record::{Version, Versions};
use crate::schema::{FieldType, Schema};

/// Workspaces in memory. A clone is an independent copy of everything, as a backup would be; O(size).
#[derive(Clone, Debug)]
pub struct MemoryStore {
    schema: Arc<Schema>,
    workspaces: BTreeMap<WorkspaceId, Workspace>,
}

#[derive(Clone, Debug)]
struct Workspace {
    head: Head,
    records: BTreeMap<(Name, RecordId), Record>,
    /// `(entity, field, value as JSON, id)` of live records; one row per element of a set.
    by_value: BTreeSet<(Name, Name, String, RecordId)>,
    /// `(entity, unique, key, id)` of live records.
    by_unique: BTreeSet<(Name, Name, String, RecordId)>,
    unique_keys: BTreeMap<(Name, RecordId), Vec<(Name, String)>>,
    /// `(entity, rv, id)` of records and tombstones, without forgotten ones.
    by_rv: BTreeMap<ScopeId, BTreeSet<(Name, Seq, RecordId)>>,
    departures: BTreeMap<ScopeId, BTreeSet<(Seq, Name, RecordId)>>,
    log: BTreeMap<Seq, (LogEntry, String)>,
    outcomes: BTreeMap<(ClientId, u64), StoredOutcome>,
    clients: BTreeMap<ClientId, ClientState>,
    acknowledged: BTreeMap<ClientId, u64>,
    digests: BTreeMap<ScopeId, Digest>,
}

impl MemoryStore {
    /// Without workspaces. The schema says which fields are indexed.
    pub fn new(schema: Arc<Schema>) -> Self {
        Self { schema, workspaces: BTreeMap::new() }
    }

    /// Applies a write set that was planned on the present head: also how a journal of them is replayed.
    pub fn apply(&mut self, workspace: &WorkspaceId, writes: &WriteSet) -> StoreResult<()> {
        let state = workspace_mut(&mut self.workspaces, workspace)?;
        state.check(&self.schema, writes)?;
        state.apply(&self.schema, writes);
        Ok(())
    }

    /// The workspace as it stands.
    pub fn view(&self, workspace: &WorkspaceId) -> StoreResult<MemoryView<'_>> {
        let state = self.workspaces.get(workspace).ok_or_else(|| StoreError::NoWorkspace(workspace.clone()))?;
        Ok(MemoryView { schema: &self.schema, state })
    }

    /// The same data under another declaration, as after a deploy; indexes are built anew. O(size).
    pub fn with_schema(mut self, schema: Arc<Schema>) -> Self {
        for state in self.workspaces.values_mut() {
            let records = std::mem::take(&mut state.records);
            state.by_value.clear();
            state.by_unique.clear();
            state.unique_keys.clear();
            state.by_rv.clear();
            for record in records.into_values() {
                let entity = schema.entity(&record.entity).filter(|_| !record.is_deleted);
                let uniques = entity.map_or(&[][..], |entity| &entity.unique);
                let keys = uniques
                    .iter()
                    .filter_map(|unique| Some((unique.name.clone(), unique_key(unique, &record.fields)?)));
                let unique_keys = keys.collect();
                state.put(&schema, RecordWrite { record, was: None, unique_keys });
            }
        }
        self.schema = schema;
        self
    }
}

impl Store for MemoryStore {
    fn create_workspace(&mut self, workspace: &WorkspaceId, backend_id: BackendId) -> StoreResult<()> {
        if self.workspaces.contains_key(workspace) {
            return Err(StoreError::WorkspaceExists(workspace.clone()));
        }
        self.workspaces.insert(workspace.clone(), Workspace::new(backend_id));
        Ok(())
    }

    fn workspaces(&self) -> StoreResult<Vec<WorkspaceId>> {
        Ok(self.workspaces.keys().cloned().collect())
    }

    fn read<T>(&self, workspace: &WorkspaceId, read: impl FnOnce(&dyn Read) -> StoreResult<T>) -> StoreResult<T> {
        read(&self.view(workspace)?)
    }

    fn transact<T>(
        &mut self,
        workspace: &WorkspaceId,
        _wanted: &Wanted,
        mut plan: impl FnMut(&dyn Read) -> StoreResult<(WriteSet, T)>,
    ) -> StoreResult<T> {
        let (writes, value) = plan(&self.view(workspace)?)?;
        if !writes.is_empty() {
            self.apply(workspace, &writes)?;
        }
        Ok(value)
    }

    fn acknowledge(&mut self, workspace: &WorkspaceId, upto: &[(ClientId, u64)]) -> StoreResult<()> {
        let state = workspace_mut(&mut self.workspaces, workspace)?;
        for (client_id, upto) in upto.iter().filter(|(client_id, _)| state.clients.contains_key(client_id)) {
            let known = state.acknowledged.entry(*client_id).or_default();
            *known = (*known).max(*upto);
        }
        Ok(())
    }

    fn compact(&mut self, workspace: &WorkspaceId, upto: Seq) -> StoreResult<()> {
        workspace_mut(&mut self.workspaces, workspace)?.compact(upto);
        Ok(())
    }

    fn begin_epoch(&mut self, workspace: &WorkspaceId, epoch: u32) -> StoreResult<()> {
        let head = &mut workspace_mut(&mut self.workspaces, workspace)?.head;
        head.epoch = epoch_after(head.epoch, Some(epoch)).map_err(EpochError::into_store_error)?;
        head.seq = epoch_base(epoch);
        head.min_seq = head.seq;
        Ok(())
    }
}

fn workspace_mut<'a>(
    all: &'a mut BTreeMap<WorkspaceId, Workspace>,
    workspace: &WorkspaceId,
) -> StoreResult<&'a mut Workspace> {
    all.get_mut(workspace).ok_or_else(|| StoreError::NoWorkspace(workspace.clone()))
}

impl Workspace {
    fn new(backend_id: BackendId) -> Self {
        Self {
            head: Head { backend_id, epoch: 0, seq: 0, min_seq: 0, chain: CHAIN_START.to_owned() },
            records: BTreeMap::new(),
            by_value: BTreeSet::new(),
            by_unique: BTreeSet::new(),
            unique_keys: BTreeMap::new(),
            by_rv: BTreeMap::new(),
            departures: BTreeMap::new(),
            log: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            clients: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            digests: BTreeMap::new(),
        }
    }

    /// Everything that may refuse a write set, before anything is written.
    fn check(&self, schema: &Schema, writes: &WriteSet) -> StoreResult<()> {
        writes.check(&self.head)?;
        let mut touched = BTreeSet::new();
        for RecordWrite { record, was, .. } in &writes.records {
            let Record { entity, id, .. } = record;
            let declared = schema.entity(entity);
            let declared =
                declared.ok_or_else(|| StoreError::Corrupt(format!("a plan writes an unknown entity {entity}")))?;
            let stray = record.fields.keys().find(|field| declared.field(field).is_none());
            if let Some(field) = stray.filter(|_| !record.is_deleted) {
                return Err(StoreError::Corrupt(format!("a plan writes an unknown field {entity}.{field}")));
            }
            let stored = self.records.get(&(entity.clone(), *id)).map(|stored| RecordWas {
                rv: stored.rv,
                is_deleted: stored.is_deleted,
                scope: stored.scope.clone(),
            });
            if *was != stored || !touched.insert((entity, id)) {
                return Err(StoreError::Corrupt(format!("a plan takes {entity} {id} for {was:?}, it is {stored:?}")));
            }
        }
        for stored in &writes.outcomes {
            let key = (stored.client_id, stored.outcome.client_seq);
            if self.outcomes.contains_key(&key) {
                return Err(StoreError::Corrupt(format!("a plan decides {key:?} again")));
            }
        }
        Ok(())
    }

    fn apply(&mut self, schema: &Schema, writes: &WriteSet) {
        writes.records.iter().for_each(|write| self.put(schema, write.clone()));
        for (scope, departure) in writes.departures.iter().cloned() {
            self.departures.entry(scope).or_default().insert((departure.seq, departure.entity, departure.id));
        }
        let entries =
            writes.log.iter().map(|LogWrite { entry, hash, .. }| (entry.seq, (LogEntry::clone(entry), hash.clone())));
        self.log.extend(entries);
        let outcomes = writes.outcomes.iter().cloned();
        self.outcomes.extend(outcomes.map(|stored| ((stored.client_id, stored.outcome.client_seq), stored)));
        self.clients.extend(writes.clients.iter().map(|client| (client.client_id, client.clone())));
        self.digests.extend(writes.digests.iter().map(|(scope, digest)| (scope.clone(), *digest)));
        self.head.seq = writes.head;
        self.head.chain.clone_from(&writes.chain);
    }

    fn put(&mut self, schema: &Schema, write: RecordWrite) {
        let RecordWrite { record, unique_keys, .. } = write;
        let key = (record.entity.clone(), record.id);
        if let Some(old) = self.records.remove(&key) {
            self.unindex(schema, &old);
        }
        if !record.is_forgotten() {
            let row = (record.entity.clone(), record.rv, record.id);
            self.by_rv.entry(record.scope.clone()).or_default().insert(row);
        }
        if !record.is_deleted {
            self.by_value.extend(index_rows(schema, &record));
            let rows = unique_keys.iter().map(|(name, text)| (key.0.clone(), name.clone(), text.clone(), key.1));
            self.by_unique.extend(rows);
            self.unique_keys.insert(key.clone(), unique_keys);
        }
        self.records.insert(key, record);
    }

    fn unindex(&mut self, schema: &Schema, old: &Record) {
        if let Some(rows) = self.by_rv.get_mut(&old.scope) {
            rows.remove(&(old.entity.clone(), old.rv, old.id));
        }
        if !old.is_deleted {
            for row in index_rows(schema, old) {
                self.by_value.remove(&row);
            }
        }
        for (name, text) in self.unique_keys.remove(&(old.entity.clone(), old.id)).unwrap_or_default() {
            self.by_unique.remove(&(old.entity.clone(), name, text, old.id));
        }
    }

    fn compact(&mut self, upto: Seq) {
        let upto = upto.min(self.head.seq);
        self.log = self.log.split_off(&(upto + 1));
        for rows in self.departures.values_mut() {
            rows.retain(|(seq, _, _)| *seq > upto);
        }
        let acknowledged = &self.acknowledged;
        self.outcomes.retain(|(client_id, client_seq), stored| {
            let is_seen = acknowledged.get(client_id).is_some_and(|seen| client_seq <= seen);
            stored.outcome.seq > upto || !(is_seen || client_id.is_of_requests())
        });
        for record in self.records.values_mut().filter(|record| record.is_deleted && record.rv <= upto) {
            if let Some(rows) = self.by_rv.get_mut(&record.scope) {
                rows.remove(&(record.entity.clone(), record.rv, record.id));
            }
            record.entered = 0;
            record.fields = Arc::default();
            record.versions = Versions::new(Version(record.rv, 0));
        }
        self.head.min_seq = self.head.min_seq.max(upto);
    }
}

/// The rows of [`Workspace::by_value`] for a live record.
fn index_rows(schema: &Schema, record: &Record) -> Vec<(Name, Name, String, RecordId)> {
    let Some(entity) = schema.entity(&record.entity) else { return Vec::new() };
    let mut rows = Vec::new();
    for (name, value) in &*record.fields {
        let Some(field) = entity.field(name).filter(|field| field.is_indexed) else { continue };
        let row = |value: &Value| (record.entity.clone(), name.clone(), value.to_string(), record.id);
        match (&field.kind, value) {
            (FieldType::Set { .. }, Value::Array(items)) => rows.extend(items.iter().map(row)),
            _ => rows.push(row(value)),
        }
    }
    rows
}

/// A workspace of a [`MemoryStore`].
#[derive(Clone, Copy, Debug)]
pub struct MemoryView<'a> {
    schema: &'a Schema,
    state: &'a Workspace,
}

impl Read for MemoryView<'_> {
    fn head(&self) -> StoreResult<Head> {
        Ok(self.state.head.clone())
    }

    fn record(&self, entity: &str, id: RecordId) -> StoreResult<Option<Record>> {
        Ok(self.state.records.get(&(entity.into(), id)).cloned())
    }

    fn find(&self, entity: &str, field: &str, value: &Value, limit: usize) -> StoreResult<Vec<RecordId>> {
        require_index(self.schema, entity, field)?;
        Ok(ids_with_key(&self.state.by_value, entity, field, &value.to_string()).take(limit).collect())
    }

    fn find_unique(&self, entity: &str, unique: &str, key: &str) -> StoreResult<Vec<RecordId>> {
        Ok(ids_with_key(&self.state.by_unique, entity, unique, key).take(2).collect())
    }

    fn client(&self, client_id: ClientId) -> StoreResult<Option<ClientState>> {
        Ok(self.state.clients.get(&client_id).cloned())
    }

    fn outcome(&self, client_id: ClientId, client_seq: u64) -> StoreResult<Option<StoredOutcome>> {
        Ok(self.state.outcomes.get(&(client_id, client_seq)).cloned())
    }

    fn outcomes_from(&self, client_id: ClientId, first: u64, limit: usize) -> StoreResult<Vec<StoredOutcome>> {
        let range = self.state.outcomes.range((client_id, first)..=(client_id, u64::MAX));
        Ok(range.map(|(_, stored)| stored.clone()).take(limit).collect())
    }

    fn log_entry(&self, seq: Seq) -> StoreResult<Option<LogEntry>> {
        Ok(self.state.log.get(&seq).map(|(entry, _)| entry.clone()))
    }

    fn log(&self, after: Seq, to: Seq, limit: usize) -> StoreResult<Vec<LogEntry>> {
        if after >= to {
            return Ok(Vec::new());
        }
        let range = self.state.log.range((Bound::Excluded(after), Bound::Included(to)));
        Ok(range.map(|(_, (entry, _))| entry.clone()).take(limit).collect())
    }

    fn scope_digest(&self, scope: &ScopeId) -> StoreResult<Digest> {
        Ok(self.state.digests.get(scope).copied().unwrap_or_default())
    }

    fn scopes(&self) -> StoreResult<Vec<(ScopeId, Digest)>> {
        let with_records = self.state.by_rv.iter().filter(|(_, rows)| !rows.is_empty()).map(|(scope, _)| scope);
        let departed = self.state.departures.iter().filter(|(_, rows)| !rows.is_empty()).map(|(scope, _)| scope);
        let scopes: BTreeSet<&ScopeId> = with_records.chain(departed).collect();
        scopes.into_iter().map(|scope| Ok((scope.clone(), self.scope_digest(scope)?))).collect()
    }

    fn changed(&self, page: &ChangedPage) -> StoreResult<Vec<Record>> {
        let mut records: Vec<Record> = Vec::new();
        let Some(rows) = self.state.by_rv.get(&page.scope) else { return Ok(records) };
        let first = (page.entity.clone(), page.after.saturating_add(1), RecordId::NIL);
        for (entity, rv, id) in
            rows.range(first..).take_while(|(entity, rv, _)| *entity == page.entity && *rv <= page.to)
        {
            if records.len() >= page.limit && records.last().is_none_or(|last| last.rv != *rv) {
                break;
            }
            let record = self.state.records.get(&(entity.clone(), *id));
            records.extend(record.filter(|record| !(page.live_only && record.is_deleted)).cloned());
        }
        Ok(records)
    }

    fn departures(&self, scope: &ScopeId, after: Seq, to: Seq) -> StoreResult<Vec<Departure>> {
        let mut latest: BTreeMap<(&Name, RecordId), Seq> = BTreeMap::new();
        for (seq, entity, id) in self.state.departures.get(scope).into_iter().flatten() {
            if (after + 1..=to).contains(seq) {
                latest.insert((entity, *id), *seq);
            }
        }
        let mut all: Vec<Departure> =
            latest.into_iter().map(|((entity, id), seq)| Departure { seq, entity: entity.clone(), id }).collect();
        all.sort_by_key(|departure| departure.seq);
        Ok(all)
    }

    fn scope_rows(&self, scope: &ScopeId) -> StoreResult<Vec<(Name, RecordId, Seq)>> {
        let rows = self.state.by_rv.get(scope).into_iter().flatten();
        let is_live = |entity: &Name, id: RecordId| {
            self.state.records.get(&(entity.clone(), id)).is_some_and(|record| !record.is_deleted)
        };
        let mut live: Vec<(Name, RecordId, Seq)> = rows
            .filter(|(entity, _, id)| is_live(entity, *id))
            .map(|(entity, rv, id)| (entity.clone(), *id, *rv))
            .collect();
        live.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        Ok(live)
    }

    fn scan(&self, entity: &str, after: Option<RecordId>, limit: usize) -> StoreResult<Vec<Record>> {
        let entity = Name::new(entity);
        let after =
            after.map_or(Bound::Included((entity.clone(), RecordId::NIL)), |id| Bound::Excluded((entity.clone(), id)));
        let range = self.state.records.range((after, Bound::Included((entity, RecordId::MAX))));
        Ok(range.map(|(_, record)| record).filter(|record| !record.is_deleted).take(limit).cloned().collect())
    }

    fn list(&self, query: &ListQuery) -> StoreResult<Vec<Record>> {
        query.page(self.schema, self.scan(&query.entity, None, usize::MAX)?.into_iter())
    }

    fn rejected(&self, limit: usize) -> StoreResult<Vec<StoredOutcome>> {
        let all = self.state.outcomes.values().filter(|stored| stored.outcome.outcome == OutcomeKind::Rejected);
        let mut rejected: Vec<&StoredOutcome> = all.collect();
        rejected.sort_by_key(|stored| (stored.decided_ms, stored.client_id, stored.outcome.client_seq));
        Ok(rejected.into_iter().rev().take(limit).cloned().collect())
    }
}

fn ids_with_key<'a>(
    rows: &'a BTreeSet<(Name, Name, String, RecordId)>,
    entity: &str,
    name: &str,
    key: &str,
) -> impl Iterator<Item = RecordId> + 'a {
    let row = |id| (Name::new(entity), Name::new(name), key.to_owned(), id);
    rows.range(row(RecordId::NIL)..=row(RecordId::MAX)).map(|(_, _, _, id)| *id)
}

#[cfg(test)]
mod tests {
    use super::MemoryStore;
    use crate::storage::contract;

    #[test]
    fn inv_11_memory_passes_the_contract() {
        contract::run(|schema| MemoryStore::new(schema.clone()));
    }
}
