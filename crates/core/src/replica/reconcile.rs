//! Comparing a scope with the server by ranges of record id, and repairing what differs (spec REP-1 to REP-4).

use std::collections::BTreeMap;

use super::Replica;
use super::step::{Precedence, Step};
use super::store::{Loading, ReplicaMeta, ReplicaResult, ReplicaStore, ReplicaWrites, ScopeState};
use crate::digest::Digest;
use crate::id::{RecordId, ScopeId};
use crate::protocol::{Range, VerifyReply, WireOp};
use crate::{Name, Seq};

/// What a `verify_reply` leads to.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Comparison {
    /// Differing sub-ranges to ask about next.
    pub ranges: Vec<Range>,
    /// Records to fetch.
    pub fetch: Vec<(Name, RecordId)>,
}

/// Rows with `lo <= id <= hi`; `rows` are in id order.
fn within(rows: &[(RecordId, Name, Seq)], lo: RecordId, hi: RecordId) -> &[(RecordId, Name, Seq)] {
    let first = rows.partition_point(|(id, ..)| *id < lo);
    let end = rows.partition_point(|(id, ..)| *id <= hi);
    &rows[first..end.max(first)]
}

impl<S: ReplicaStore> Replica<S> {
    /// Marks a scope as being compared; its digest is not checked meanwhile.
    pub fn begin_reconcile(&mut self, scope: &ScopeId, seq: Seq) -> ReplicaResult<()> {
        // One that nobody announced: all that came of it was a patch of a record that is not here (spec BAT-7).
        let unknown = ScopeState { seq, digest: Digest::EMPTY, loading: None };
        let state = self.store.scopes()?.get(scope).cloned().unwrap_or(unknown);
        let state = ScopeState { loading: Some(Loading::Reconcile { seq }), ..state };
        let meta = ReplicaMeta { repairs: self.meta.repairs + 1, ..self.meta.clone() };
        self.write(ReplicaWrites { meta: Some(meta), scopes: vec![(scope.clone(), state)], ..ReplicaWrites::default() })
    }

    /// The whole id range of a scope with the digest of the rows that are really there: what a comparison starts with.
    pub fn whole_range(&self, scope: &ScopeId) -> ReplicaResult<Range> {
        let mut digest = Digest::EMPTY;
        for (id, entity, rv) in self.store.base_rows(scope)? {
            digest.add(&entity, &id, rv);
        }
        Ok(Range { lo: RecordId::NIL, hi: RecordId::MAX, digest })
    }

    /// Compares a reply with the base. Records the server does not list any more are removed here (spec REP-2).
    pub fn compare(&mut self, reply: &VerifyReply) -> ReplicaResult<Comparison> {
        let rows = self.store.base_rows(&reply.scope)?;
        let mut comparison = Comparison::default();
        for range in &reply.split {
            let mut digest = Digest::EMPTY;
            for (id, entity, rv) in within(&rows, range.lo, range.hi) {
                digest.add(entity, id, *rv);
            }
            if digest != range.digest {
                comparison.ranges.push(Range { digest, ..range.clone() });
            }
        }
        let mut step = Step::new(&self.store)?;
        for listed in &reply.rows {
            let held = within(&rows, listed.lo, listed.hi);
            let theirs: BTreeMap<(RecordId, &Name), Seq> =
                listed.rows.iter().map(|(entity, id, rv)| ((*id, entity), *rv)).collect();
            for (id, entity, rv) in held {
                if !theirs.contains_key(&(*id, entity)) && *rv <= reply.seq {
                    step.remove(entity.clone(), *id)?;
                }
            }
            let ours: BTreeMap<(RecordId, &Name), Seq> =
                held.iter().map(|(id, entity, rv)| ((*id, entity), *rv)).collect();
            let differing = theirs.iter().filter(|(key, rv)| ours.get(key) != Some(rv));
            comparison.fetch.extend(differing.map(|((id, entity), _)| ((*entity).clone(), *id)));
        }
        let writes = step.into_writes();
        self.write(writes)?;
        Ok(comparison)
    }

    /// Stores fetched records; what was asked for and is not there any more is removed.
    pub fn apply_fetched(&mut self, asked: &[(Name, RecordId)], records: Vec<WireOp>, seq: Seq) -> ReplicaResult<()> {
        let mut step = Step::new(&self.store)?;
        for (entity, id) in asked {
            let is_there =
                records.iter().any(|op| matches!(op, WireOp::Put { entity: e, id: i, .. } if e == entity && i == id));
            let held = step.record(entity, *id)?;
            if !is_there && held.is_some_and(|held| held.rv <= seq) {
                step.remove(entity.clone(), *id)?;
            }
        }
        for op in records {
            step.apply(op, Precedence::Arriving, seq)?;
        }
        let writes = step.into_writes();
        self.write(writes)
    }
}
