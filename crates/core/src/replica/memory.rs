//! A replica store in memory: for the simulator and tests, and the reference the contract suite was written against.

use crate::id::MutationId;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use super::store::{BaseRecord, Pending, Rejected, ReplicaError, ReplicaMeta, ReplicaResult, ReplicaStore};
use super::store::{ReplicaWrites, ScopeState};
use crate::id::{RecordId, ScopeId};
use crate::schema::{Entity, FieldType, Schema};
use crate::{Name, Seq, Value};

/// Numbers on the wire stay below this (spec ID-5).
const SEQ_END: u64 = 1 << 53;

/// Everything in `BTreeMap`s. A clone is a copy of the whole store, as a backup of a device's disk would be.
#[derive(Clone, Debug)]
pub struct MemoryReplica {
    schema: Arc<Schema>,
    meta: Option<ReplicaMeta>,
    base: BTreeMap<Name, BTreeMap<RecordId, BaseRecord>>,
    /// Ids by entity, field and the canonical value as JSON.
    by_value: BTreeMap<(Name, Name, String), BTreeSet<RecordId>>,
    by_scope: BTreeMap<ScopeId, BTreeMap<(RecordId, Name), Seq>>,
    scopes: BTreeMap<ScopeId, ScopeState>,
    outbox: BTreeMap<u64, Pending>,
    /// `client_seq` by entity and record of the ops in the outbox.
    touched: BTreeMap<Name, BTreeMap<RecordId, BTreeSet<u64>>>,
    rejected: BTreeMap<(u64, MutationId), Rejected>,
    acknowledged: BTreeMap<u64, Pending>,
}

impl MemoryReplica {
    /// An empty store: no meta, nothing held.
    pub fn new(schema: Arc<Schema>) -> Self {
        Self {
            schema,
            meta: None,
            base: BTreeMap::new(),
            by_value: BTreeMap::new(),
            by_scope: BTreeMap::new(),
            scopes: BTreeMap::new(),
            outbox: BTreeMap::new(),
            touched: BTreeMap::new(),
            rejected: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
        }
    }

    /// [`ReplicaStore::write`] without giving the writes away.
    pub fn apply(&mut self, writes: &ReplicaWrites) -> ReplicaResult<()> {
        check(writes)?;
        if writes.wipe {
            let meta = self.meta.take();
            *self = Self { meta, ..Self::new(self.schema.clone()) };
        }
        writes.drop_scopes.iter().for_each(|scope| self.drop_scope(scope));
        if let Some(meta) = &writes.meta {
            self.meta = Some(meta.clone());
        }
        self.scopes.extend(writes.scopes.iter().cloned());
        writes.base_put.iter().for_each(|record| self.put_base(record.clone()));
        writes.base_delete.iter().for_each(|(entity, id)| self.delete_base(entity, *id));
        writes.outbox_put.iter().for_each(|pending| self.put_outbox(pending.clone()));
        writes.outbox_delete.iter().for_each(|client_seq| self.delete_outbox(*client_seq));
        for rejected in &writes.rejected_put {
            let key = (rejected.mutation.client_seq, rejected.mutation.mutation_id);
            self.rejected.insert(key, rejected.clone());
        }
        for mutation_id in &writes.rejected_delete {
            self.rejected.retain(|(_, id), _| id != mutation_id);
        }
        for pending in &writes.acknowledged_put {
            self.acknowledged.insert(pending.mutation.client_seq, pending.clone());
        }
        if let Some(first) = writes.acknowledged_trim {
            self.acknowledged = self.acknowledged.split_off(&first);
        }
        if writes.acknowledged_clear {
            self.acknowledged.clear();
        }
        Ok(())
    }

    fn drop_scope(&mut self, scope: &ScopeId) {
        let rows = self.by_scope.get(scope).into_iter().flat_map(BTreeMap::keys).cloned().collect::<Vec<_>>();
        rows.into_iter().for_each(|(id, entity)| self.delete_base(&entity, id));
        self.scopes.remove(scope);
    }

    fn put_base(&mut self, record: BaseRecord) {
        self.delete_base(&record.entity, record.id);
        for (field, value) in self.keys(&record) {
            self.by_value.entry((record.entity.clone(), field, value)).or_default().insert(record.id);
        }
        let rows = self.by_scope.entry(record.scope.clone()).or_default();
        rows.insert((record.id, record.entity.clone()), record.rv);
        self.base.entry(record.entity.clone()).or_default().insert(record.id, record);
    }

    fn delete_base(&mut self, entity: &Name, id: RecordId) {
        let Some(record) = self.base.get_mut(entity).and_then(|records| records.remove(&id)) else { return };
        for (field, value) in self.keys(&record) {
            let key = (entity.clone(), field, value);
            if let Some(ids) = self.by_value.get_mut(&key) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.by_value.remove(&key);
                }
            }
        }
        if let Some(rows) = self.by_scope.get_mut(&record.scope) {
            rows.remove(&(id, entity.clone()));
            if rows.is_empty() {
                self.by_scope.remove(&record.scope);
            }
        }
    }

    fn keys(&self, record: &BaseRecord) -> Vec<(Name, String)> {
        self.schema.entity(&record.entity).map(|entity| index_keys(entity, record)).unwrap_or_default()
    }

    fn put_outbox(&mut self, pending: Pending) {
        let client_seq = pending.mutation.client_seq;
        self.delete_outbox(client_seq);
        for (entity, id) in pending.mutation.ops.iter().map(|op| op.target()) {
            let records = self.touched.entry(Name::new(entity)).or_default();
            records.entry(id).or_default().insert(client_seq);
        }
        self.outbox.insert(client_seq, pending);
    }

    fn delete_outbox(&mut self, client_seq: u64) {
        let Some(pending) = self.outbox.remove(&client_seq) else { return };
        for (entity, id) in pending.mutation.ops.iter().map(|op| op.target()) {
            let Some(records) = self.touched.get_mut(entity) else { continue };
            if let Some(seqs) = records.get_mut(&id) {
                seqs.remove(&client_seq);
                if seqs.is_empty() {
                    records.remove(&id);
                }
            }
        }
    }
}

/// Field and value (as JSON) of each index entry of a record: scalars as they are, sets by element.
fn index_keys(entity: &Entity, record: &BaseRecord) -> Vec<(Name, String)> {
    let mut keys = Vec::new();
    for field in entity.fields.values().filter(|field| field.is_indexed) {
        match record.fields.get(&field.name) {
            None | Some(Value::Null) => {}
            Some(Value::Array(items)) if matches!(field.kind, FieldType::Set { .. }) => {
                keys.extend(items.iter().map(|item| (field.name.clone(), item.to_string())));
            }
            Some(value) => keys.push((field.name.clone(), value.to_string())),
        }
    }
    keys
}

/// Refuses numbers that no store and no wire can hold (spec ID-5), before anything is written.
fn check(writes: &ReplicaWrites) -> ReplicaResult<()> {
    let outbox = writes.outbox_put.iter().chain(&writes.acknowledged_put).map(|pending| pending.mutation.client_seq);
    let rejected = writes.rejected_put.iter().map(|rejected| rejected.mutation.client_seq);
    let rvs = writes.base_put.iter().map(|record| record.rv);
    match outbox.chain(rejected).chain(rvs).find(|number| *number >= SEQ_END) {
        None => Ok(()),
        Some(number) => Err(ReplicaError::Corrupt(format!("{number} is not below 2^53"))),
    }
}

impl ReplicaStore for MemoryReplica {
    fn meta(&self) -> ReplicaResult<Option<ReplicaMeta>> {
        Ok(self.meta.clone())
    }

    fn base(&self, entity: &str, id: RecordId) -> ReplicaResult<Option<BaseRecord>> {
        Ok(self.base.get(entity).and_then(|records| records.get(&id)).cloned())
    }

    fn base_find(&self, entity: &str, field: &str, value: &Value, limit: usize) -> ReplicaResult<Vec<RecordId>> {
        let declared = self.schema.entity(entity).and_then(|entity| entity.field(field));
        if !declared.is_some_and(|field| field.is_indexed) {
            return Err(ReplicaError::Corrupt(format!("{entity}.{field} has no index")));
        }
        let ids = self.by_value.get(&(Name::new(entity), Name::new(field), value.to_string()));
        Ok(ids.into_iter().flatten().take(limit).copied().collect())
    }

    fn base_scan(&self, entity: &str, after: Option<RecordId>, limit: usize) -> ReplicaResult<Vec<BaseRecord>> {
        let Some(records) = self.base.get(entity) else { return Ok(Vec::new()) };
        let rows = records.range((after.map_or(Unbounded, Excluded), Unbounded));
        Ok(rows.take(limit).map(|(_, record)| record.clone()).collect())
    }

    fn base_count(&self, entity: &str) -> ReplicaResult<u64> {
        Ok(self.base.get(entity).map_or(0, |records| records.len() as u64))
    }

    fn base_rows(&self, scope: &ScopeId) -> ReplicaResult<Vec<(RecordId, Name, Seq)>> {
        let rows = self.by_scope.get(scope).into_iter().flatten();
        Ok(rows.map(|((id, entity), rv)| (*id, entity.clone(), *rv)).collect())
    }

    fn scopes(&self) -> ReplicaResult<BTreeMap<ScopeId, ScopeState>> {
        Ok(self.scopes.clone())
    }

    fn outbox(&self, first: u64, limit: usize) -> ReplicaResult<Vec<Pending>> {
        Ok(self.outbox.range(first..).take(limit).map(|(_, pending)| pending.clone()).collect())
    }

    fn outbox_count(&self) -> ReplicaResult<u64> {
        Ok(self.outbox.len() as u64)
    }

    fn pending_for(&self, entity: &str, id: RecordId) -> ReplicaResult<Vec<Pending>> {
        let seqs = self.touched.get(entity).and_then(|records| records.get(&id)).into_iter().flatten();
        Ok(seqs.filter_map(|client_seq| self.outbox.get(client_seq)).cloned().collect())
    }

    fn pending_ids(&self, entity: &str) -> ReplicaResult<Vec<RecordId>> {
        Ok(self.touched.get(entity).into_iter().flat_map(BTreeMap::keys).copied().collect())
    }

    fn rejected(&self) -> ReplicaResult<Vec<Rejected>> {
        Ok(self.rejected.values().cloned().collect())
    }

    fn acknowledged(&self, first: u64) -> ReplicaResult<Vec<Pending>> {
        Ok(self.acknowledged.range(first..).map(|(_, pending)| pending.clone()).collect())
    }

    fn write(&mut self, writes: ReplicaWrites) -> ReplicaResult<()> {
        self.apply(&writes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inv_11_memory_passes_the_replica_contract() {
        super::super::contract::run(|schema| MemoryReplica::new(schema.clone()));
    }
}
