//! Changes to the base on their way into one write: with the digests and scope rows that follow from them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::store::{BaseRecord, ReplicaResult, ReplicaStore, ReplicaWrites, ScopeState};
use crate::digest::Digest;
use crate::id::{RecordId, ScopeId};
use crate::protocol::WireOp;
use crate::{Name, Seq};

/// The base as it will be, over what is stored.
pub(super) struct Step<'s, S> {
    store: &'s S,
    base: BTreeMap<(Name, RecordId), Option<BaseRecord>>,
    pub scopes: BTreeMap<ScopeId, ScopeState>,
    /// A patch named a record that is not there and whose scope is not loading (spec BAT-2).
    pub has_hole: bool,
    /// Cursor from which a live batch, or rows beside live batches, are applied: a scope that stands elsewhere is behind.
    pub live_at: Option<Seq>,
}

/// Which of two states of a record stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Precedence {
    /// What arrives, whatever its rv: live batches and catch-ups.
    Arriving,
    /// The higher rv: rows of a snapshot, which may be older than what live batches brought.
    HigherRv,
}

impl<'s, S: ReplicaStore> Step<'s, S> {
    pub fn new(store: &'s S) -> ReplicaResult<Self> {
        Ok(Self { store, base: BTreeMap::new(), scopes: store.scopes()?, has_hole: false, live_at: None })
    }

    pub fn record(&self, entity: &Name, id: RecordId) -> ReplicaResult<Option<BaseRecord>> {
        match self.base.get(&(entity.clone(), id)) {
            Some(record) => Ok(record.clone()),
            None => self.store.base(entity, id),
        }
    }

    pub fn apply(&mut self, op: WireOp, precedence: Precedence, at: Seq) -> ReplicaResult<()> {
        if precedence == Precedence::Arriving && self.live_at.is_some() && self.holds_newer(&op)? {
            return Ok(());
        }
        match op {
            WireOp::Put { entity, id, rv, scope, fields } => {
                let held = self.record(&entity, id)?;
                let is_older = held.as_ref().is_some_and(|held| held.rv > rv);
                if is_older && precedence == Precedence::HigherRv {
                    return Ok(());
                }
                // It moved here behind the cursor's back: the live batch that says so is on its way.
                let is_later = self.live_at.is_some_and(|cursor| rv > cursor);
                let has_moved =
                    held.as_ref().is_some_and(|held| held.scope != scope && !self.is_behind(&held.scope, at));
                let is_ahead = is_later && has_moved;
                if is_ahead && precedence == Precedence::HigherRv {
                    return Ok(());
                }
                let fields = Arc::unwrap_or_clone(fields).into_iter().filter(|(_, value)| !value.is_null()).collect();
                self.set((entity.clone(), id), held, Some(BaseRecord { entity, id, rv, scope, fields }), at);
            }
            WireOp::Patch { entity, id, rv, scope, fields } => {
                let Some(held) = self.record(&entity, id)? else {
                    self.has_hole |= self.scopes.values().all(|scope| scope.loading.is_none());
                    return Ok(());
                };
                let mut record = held.clone();
                record.scope = scope.unwrap_or(record.scope);
                if self.is_behind(&held.scope, at) {
                    // What is held may lack earlier changes. With its content and rv as they were the rest of the loading
                    // finds it; in a scope that is up to date nothing more would come, so there it must be missing.
                    if !self.is_behind(&record.scope, at) {
                        self.digest_mut(&record.scope, at);
                        self.remove(entity, id)?;
                    }
                    return Ok(());
                }
                record.rv = rv;
                for (name, value) in Arc::unwrap_or_clone(fields) {
                    if value.is_null() {
                        record.fields.remove(&name);
                    } else {
                        record.fields.insert(name, value);
                    }
                }
                self.set((entity, id), Some(held), Some(record), at);
            }
            WireOp::Del { entity, id, .. } | WireOp::Leave { entity, id } => self.remove(entity, id)?,
        }
        Ok(())
    }

    /// Whether what a live change says is in the base already: a download or comparison read the record later.
    fn holds_newer(&self, op: &WireOp) -> ReplicaResult<bool> {
        let (WireOp::Put { entity, id, rv, .. }
        | WireOp::Patch { entity, id, rv, .. }
        | WireOp::Del { entity, id, rv }) = op
        else {
            return Ok(false);
        };
        Ok(self.record(entity, *id)?.is_some_and(|held| held.rv > *rv))
    }

    /// Whether rows of the scope may be older than the cursor says.
    fn is_behind(&self, scope: &ScopeId, at: Seq) -> bool {
        self.scopes.get(scope).is_some_and(|state| {
            state.loading.is_some() || self.live_at.is_some_and(|cursor| state.seq != cursor && state.seq != at)
        })
    }

    pub fn remove(&mut self, entity: Name, id: RecordId) -> ReplicaResult<()> {
        let held = self.record(&entity, id)?;
        if held.is_some() {
            self.set((entity, id), held, None, 0);
        }
        Ok(())
    }

    /// Forgets the rows of a scope that this step has and that are stored.
    pub fn clear_scope(&mut self, scope: &ScopeId) -> ReplicaResult<()> {
        for (id, entity, _) in self.store.base_rows(scope)? {
            self.remove(entity, id)?;
        }
        if let Some(state) = self.scopes.get_mut(scope) {
            state.digest = Digest::EMPTY;
        }
        Ok(())
    }

    fn set(&mut self, key: (Name, RecordId), held: Option<BaseRecord>, record: Option<BaseRecord>, at: Seq) {
        if let Some(held) = &held {
            self.digest_mut(&held.scope, at).remove(&held.entity, &held.id, held.rv);
        }
        if let Some(record) = &record {
            self.digest_mut(&record.scope, at).add(&record.entity, &record.id, record.rv);
        }
        self.base.insert(key, record);
    }

    /// A scope that nobody announced came into being under a grant of everything: it starts at `at` (spec BAT-7).
    fn digest_mut(&mut self, scope: &ScopeId, at: Seq) -> &mut Digest {
        let new = || ScopeState { seq: at, digest: Digest::EMPTY, loading: None };
        &mut self.scopes.entry(scope.clone()).or_insert_with(new).digest
    }

    /// As writes: all touched records, all scopes.
    pub fn into_writes(self) -> ReplicaWrites {
        let mut writes = ReplicaWrites { scopes: self.scopes.into_iter().collect(), ..ReplicaWrites::default() };
        for (key, record) in self.base {
            match record {
                Some(record) => writes.base_put.push(record),
                None => writes.base_delete.push(key),
            }
        }
        writes
    }
}
