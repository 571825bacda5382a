//! What the server says, applied: each frame, or the frames of one catch-up, as one local transaction (spec §9–§15).

use std::collections::BTreeSet;

use super::step::{Precedence, Step};
use super::store::{
    Loading, Pending, Rejected, ReplicaError, ReplicaMeta, ReplicaResult, ReplicaStore, ReplicaWrites, ScopeState,
};
use super::{Replica, TimestampMs};
use crate::Seq;
use crate::change::{Outcome, OutcomeKind};
use crate::digest::Digest;
use crate::id::{ClientId, ScopeId};
use crate::protocol::{Batch, Code, ScopePlan, SyncPlan, Welcome, WireOp, limits};

/// What applying changes led to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Applied {
    /// Scopes whose digest is not the server's (spec REP-1).
    pub mismatched: Vec<ScopeId>,
    /// `client_seq` of mutations that were newly rejected.
    pub rejected: Vec<u64>,
    /// The server decided another mutation under a number of ours: two databases share the client id, and this one needs a
    /// new one (spec PSH-7).
    pub shares_client_id: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum WelcomeError {
    /// The replica was filled from another server: stop, and keep everything (spec EPO-4).
    #[error("this device was filled from another server; its unsent edits can be exported")]
    BackendMismatch,
    /// The server lost acknowledged mutations that are not kept any more: call [`Replica::rekey`] and greet again
    /// (spec EPO-3).
    #[error("the server does not know mutations that were acknowledged; a new client id is needed")]
    NeedsNewClientId,
    #[error(transparent)]
    Store(#[from] ReplicaError),
}

impl<S: ReplicaStore> Replica<S> {
    /// Takes in a `welcome`: identity, grants, and what happens to each scope. When catch-up frames follow, returns the
    /// scopes that stand at their end afterwards.
    pub fn apply_welcome(
        &mut self,
        welcome: &Welcome,
        now_ms: TimestampMs,
    ) -> Result<Option<BTreeSet<ScopeId>>, WelcomeError> {
        if self.meta.backend_id.is_some_and(|backend| backend != welcome.backend_id) {
            return Err(WelcomeError::BackendMismatch);
        }
        if welcome.applied_client_seq >= self.meta.next_client_seq {
            // The server knows mutations this database has not made: it is an older copy of another one (spec ID-2).
            return Err(WelcomeError::NeedsNewClientId);
        }
        let mut meta = ReplicaMeta {
            backend_id: Some(welcome.backend_id),
            epoch: Some(welcome.epoch),
            lease_until_ms: now_ms + welcome.lease_until_ms.saturating_sub(welcome.server_ms),
            ..self.meta.clone()
        };
        let offered_again = self.offer_again(welcome.applied_client_seq)?;
        if !offered_again.is_empty() {
            meta.decided_upto = welcome.applied_client_seq;
        }
        let has_catch_up = welcome.scopes.iter().any(|scope| matches!(scope.plan, SyncPlan::CatchUp { .. }));
        let mut step = Step::new(&self.store)?;
        let is_granted = |id: &ScopeId| welcome.scopes.iter().any(|scope| scope.id == *id);
        let drop_scopes: Vec<ScopeId> = step.scopes.keys().filter(|id| !is_granted(id)).cloned().collect();
        step.scopes.retain(|id, _| is_granted(id));
        for scope in &welcome.scopes {
            let empty = ScopeState { seq: 0, digest: Digest::EMPTY, loading: None };
            let state = step.scopes.entry(scope.id.clone()).or_insert(empty).clone();
            let loading = match &scope.plan {
                SyncPlan::Resume | SyncPlan::CatchUp { .. } => None,
                SyncPlan::Reconcile { seq } => Some(Loading::Reconcile { seq: *seq }),
                SyncPlan::Snapshot { url, seq, .. } => match state.loading {
                    // Rows of an interrupted download stay good: it goes on where it stopped.
                    Some(Loading::Snapshot { resume: Some(_), .. }) => state.loading.clone(),
                    _ => Some(Loading::Snapshot { url: url.clone(), seq: *seq, resume: None }),
                },
            };
            let starts_empty = match (&scope.plan, &loading) {
                (SyncPlan::CatchUp { from: 0, .. }, _) => true,
                (_, Some(Loading::Snapshot { resume, .. })) => resume.is_none(),
                _ => false,
            };
            if starts_empty && state.digest.count > 0 {
                step.clear_scope(&scope.id)?;
            }
            let state = step.scopes.get_mut(&scope.id).expect("entered above");
            state.loading = loading;
            if matches!(scope.plan, SyncPlan::Resume) && !has_catch_up {
                state.seq = welcome.head;
            }
        }
        if !has_catch_up {
            meta.cursor = welcome.head;
            // With scopes still to be loaded the device is not in step, however far its cursor is.
            if step.scopes.values().all(|state| state.loading.is_none()) {
                meta.last_sync_ms = now_ms;
            }
        }
        let mut writes = step.into_writes();
        writes.drop_scopes = drop_scopes;
        writes.outbox_put = offered_again;
        writes.meta = Some(meta);
        self.confirm_arrived(&mut writes)?;
        self.write(writes)?;
        let is_followed = |scope: &&ScopePlan| matches!(scope.plan, SyncPlan::CatchUp { .. } | SyncPlan::Resume);
        let followed = welcome.scopes.iter().filter(is_followed).map(|scope| scope.id.clone());
        Ok(has_catch_up.then(|| followed.collect()))
    }

    /// Acknowledged mutations that a restored server does not know, as pending again (spec EPO-3).
    fn offer_again(&self, applied: u64) -> Result<Vec<Pending>, WelcomeError> {
        if applied >= self.meta.decided_upto {
            return Ok(Vec::new());
        }
        let mut lost = self.store.acknowledged(applied + 1)?;
        // Decided ones whose effects had not arrived are still in the outbox.
        let waiting = self.store.outbox(applied + 1, limits::OUTBOX_MUTATIONS_MAX as usize)?;
        lost.extend(waiting.into_iter().filter(|pending| pending.outcome.is_some() || pending.is_in_base));
        lost.sort_by_key(|pending| pending.mutation.client_seq);
        lost.dedup_by_key(|pending| pending.mutation.client_seq);
        // Numbers ascend: when the last of the decided is in its place, none before it is missing. What is in the base without a
        // known outcome comes after them.
        let last = usize::try_from(self.meta.decided_upto - applied - 1).unwrap_or(usize::MAX);
        if lost.get(last).is_none_or(|pending| pending.mutation.client_seq != self.meta.decided_upto) {
            return Err(WelcomeError::NeedsNewClientId);
        }
        let forget = |pending: Pending| Pending { outcome: None, is_in_base: false, ..pending };
        Ok(lost.into_iter().map(forget).collect())
    }

    /// Makes mutations from `expected` on pending again: a restored server asks for them (spec EPO-3).
    pub fn rewind(&mut self, expected: u64) -> Result<(), WelcomeError> {
        let outbox_put = self.offer_again(expected.saturating_sub(1))?;
        let decided_upto = self.meta.decided_upto.min(expected.saturating_sub(1));
        let meta = ReplicaMeta { decided_upto, ..self.meta.clone() };
        self.write(ReplicaWrites { meta: Some(meta), outbox_put, ..ReplicaWrites::default() })?;
        Ok(())
    }

    /// Gives the database a new client id and numbers what is pending from 1 (spec ID-2, EPO-3). Mutations with a known
    /// outcome leave the outbox, unless their number is above `known_upto`: those the server has lost.
    pub fn rekey(&mut self, client_id: ClientId, known_upto: u64) -> ReplicaResult<()> {
        let outbox = self.store.outbox(0, limits::OUTBOX_MUTATIONS_MAX as usize)?;
        let former: Vec<u64> = outbox.iter().map(|pending| pending.mutation.client_seq).collect();
        let is_decided = |pending: &Pending| pending.outcome.is_some() || pending.is_in_base;
        let is_offered = |pending: &Pending| !is_decided(pending) || pending.mutation.client_seq > known_upto;
        let mut undecided: Vec<Pending> = match known_upto.checked_add(1) {
            Some(first) => self.store.acknowledged(first)?,
            None => Vec::new(),
        };
        undecided.retain(|pending| !pending.mutation.ops.is_empty());
        undecided.extend(outbox.into_iter().filter(is_offered));
        undecided.sort_by_key(|pending| pending.mutation.client_seq);
        let renumbered: std::collections::BTreeMap<u64, u64> =
            undecided.iter().zip(1..).map(|(pending, seq)| (pending.mutation.client_seq, seq)).collect();
        let renumber = |pending: Pending| {
            let mut pending = Pending { outcome: None, is_in_base: false, ..pending };
            let mutation = &mut pending.mutation;
            mutation.client_seq = renumbered[&mutation.client_seq];
            mutation.depends_on = mutation.depends_on.iter().filter_map(|seq| renumbered.get(seq).copied()).collect();
            pending
        };
        let count = undecided.len() as u64;
        let meta = ReplicaMeta { client_id, next_client_seq: count + 1, decided_upto: 0, ..self.meta.clone() };
        let kept: Vec<Pending> = undecided.into_iter().map(renumber).collect();
        let is_reused = |seq: &u64| (1..=count).contains(seq);
        self.write(ReplicaWrites {
            meta: Some(meta),
            outbox_put: kept,
            outbox_delete: former.into_iter().filter(|seq| !is_reused(seq)).collect(),
            acknowledged_clear: true,
            ..ReplicaWrites::default()
        })
    }

    /// Scopes that follow the log live: those a batch that starts at the cursor moves.
    pub fn live_scopes(&self) -> ReplicaResult<BTreeSet<ScopeId>> {
        let scopes = self.store.scopes()?.into_iter();
        let live = scopes.filter(|(_, state)| state.loading.is_none() && state.seq == self.meta.cursor);
        Ok(live.map(|(scope, _)| scope).collect())
    }

    /// Applies all frames of one catch-up at once (spec BAT-4); afterwards `followed` stand at its end.
    pub fn apply_catch_up(
        &mut self,
        frames: Vec<Batch>,
        followed: &BTreeSet<ScopeId>,
        now_ms: TimestampMs,
    ) -> ReplicaResult<Applied> {
        let Some(to) = frames.last().map(|batch| batch.to) else { return Ok(Applied::default()) };
        let mut step = Step::new(&self.store)?;
        let mut digests = Vec::new();
        for batch in frames {
            for op in batch.changes.into_iter().flat_map(|change| change.ops) {
                step.apply(op, Precedence::Arriving, to)?;
            }
            digests.extend(batch.digests);
        }
        for (scope, state) in &mut step.scopes {
            if state.loading.is_none() && followed.contains(scope) {
                state.seq = to;
            }
        }
        let (writes, mismatched) = self.finish_step(step, (to, &digests), now_ms, &[])?;
        self.write(writes)?;
        Ok(Applied { mismatched, ..Applied::default() })
    }

    /// Applies a live batch that starts at the cursor (spec BAT-1).
    pub fn apply_live(&mut self, batch: Batch, now_ms: TimestampMs) -> ReplicaResult<Applied> {
        let mut step = Step::new(&self.store)?;
        step.live_at = Some(self.meta.cursor);
        let mut confirmed = Vec::new();
        for change in batch.changes {
            let own = change.by.filter(|(client, _)| *client == self.meta.client_id);
            confirmed.extend(own.map(|(_, client_seq)| client_seq));
            for op in change.ops {
                step.apply(op, Precedence::Arriving, batch.to)?;
            }
        }
        // A scope that was loaded but not caught up yet stays where it is.
        let cursor = self.meta.cursor;
        for state in step.scopes.values_mut().filter(|state| state.loading.is_none() && state.seq == cursor) {
            state.seq = batch.to;
        }
        let (writes, mismatched) = self.finish_step(step, (batch.to, &batch.digests), now_ms, &confirmed)?;
        self.write(writes)?;
        Ok(Applied { mismatched, ..Applied::default() })
    }

    /// The one write of a batch: base, cursor, digests and confirmed mutations (spec BAT-3), and the scopes whose digest is
    /// not the server's.
    fn finish_step(
        &self,
        step: Step<'_, S>,
        (to, digests): (Seq, &[(ScopeId, Digest)]),
        now_ms: TimestampMs,
        confirmed: &[u64],
    ) -> ReplicaResult<(ReplicaWrites, Vec<ScopeId>)> {
        let is_live =
            |scope: &ScopeId| step.scopes.get(scope).is_some_and(|state| state.loading.is_none() && state.seq == to);
        let differs = |(scope, digest): &&(ScopeId, Digest)| {
            let held = step.scopes.get(scope).map_or(Digest::EMPTY, |state| state.digest);
            held != *digest && (is_live(scope) || !step.scopes.contains_key(scope))
        };
        let mut mismatched: Vec<ScopeId> = digests.iter().filter(differs).map(|(scope, _)| scope.clone()).collect();
        if step.has_hole && mismatched.is_empty() {
            mismatched = step.scopes.keys().cloned().collect();
        }
        let is_whole = step.scopes.values().all(|state| state.loading.is_none());
        let last_sync_ms = if is_whole { now_ms } else { self.meta.last_sync_ms };
        let mut writes = step.into_writes();
        writes.meta = Some(ReplicaMeta { cursor: to, last_sync_ms, ..self.meta.clone() });
        self.confirm(&mut writes, confirmed)?;
        self.confirm_arrived(&mut writes)?;
        Ok((writes, mismatched))
    }

    /// Mutations a batch names: their effects are in the base now (spec VEW-2).
    fn confirm(&self, writes: &mut ReplicaWrites, confirmed: &[u64]) -> ReplicaResult<()> {
        for &client_seq in confirmed {
            let pending = self.store.outbox(client_seq, 1)?;
            let Some(pending) = pending.into_iter().find(|pending| pending.mutation.client_seq == client_seq) else {
                continue;
            };
            if pending.outcome.is_some() {
                acknowledge(writes, pending);
            } else {
                writes.outbox_put.push(Pending { is_in_base: true, ..pending });
            }
        }
        Ok(())
    }

    /// Mutations whose outcome lies at or before the cursor that `writes` sets: they leave the overlay.
    fn confirm_arrived(&self, writes: &mut ReplicaWrites) -> ReplicaResult<()> {
        let cursor = writes.meta.as_ref().map_or(self.meta.cursor, |meta| meta.cursor);
        let mut first = 0;
        loop {
            let page = self.store.outbox(first, 256)?;
            let Some(last) = page.last().map(|pending| pending.mutation.client_seq) else { return Ok(()) };
            let mut met_undecided = false;
            for pending in page {
                let seq = pending.mutation.client_seq;
                let is_handled = writes.outbox_delete.contains(&seq)
                    || writes.outbox_put.iter().any(|put| put.mutation.client_seq == seq);
                match &pending.outcome {
                    _ if is_handled => {}
                    Some(outcome) if outcome.seq <= cursor => acknowledge(writes, pending),
                    Some(_) => {}
                    None => met_undecided = true,
                }
            }
            if met_undecided {
                return Ok(());
            }
            first = last + 1;
        }
    }

    /// Takes in outcomes: rejected mutations move to the rejected list, others wait for their effects (spec VEW-2).
    pub fn apply_outcomes(&mut self, outcomes: &[Outcome]) -> ReplicaResult<Applied> {
        let mut writes = ReplicaWrites::default();
        let mut meta = self.meta.clone();
        let mut applied = Applied::default();
        for outcome in outcomes {
            let pending = self.store.outbox(outcome.client_seq, 1)?;
            let found = pending.into_iter().find(|pending| pending.mutation.client_seq == outcome.client_seq);
            let is_other = |pending: &Pending| pending.mutation.mutation_id != outcome.mutation_id;
            if found.as_ref().is_some_and(is_other) || outcome.client_seq >= meta.next_client_seq {
                applied.shares_client_id = true;
                break;
            }
            meta.decided_upto = meta.decided_upto.max(outcome.client_seq);
            let Some(pending) = found.filter(|pending| pending.outcome.is_none()) else { continue };
            let pending = Pending { outcome: Some(outcome.clone()), ..pending };
            if outcome.outcome == OutcomeKind::Rejected {
                applied.rejected.push(outcome.client_seq);
                reject(&mut writes, pending, outcome);
            } else if pending.is_in_base || outcome.seq <= meta.cursor {
                acknowledge(&mut writes, pending);
            } else {
                writes.outbox_put.push(pending);
            }
        }
        if meta.decided_upto > limits::ACKNOWLEDGED_KEPT_MAX {
            writes.acknowledged_trim = Some(meta.decided_upto - limits::ACKNOWLEDGED_KEPT_MAX);
        }
        writes.meta = Some(meta);
        self.write(writes)?;
        Ok(applied)
    }

    /// The lowest seq an outcome promised that the cursor has not reached: `None` when nothing is awaited (spec VEW-3).
    pub fn awaited_seq(&self) -> ReplicaResult<Option<Seq>> {
        let first = self.store.outbox(0, 1)?;
        let outcome = first.first().and_then(|pending| pending.outcome.as_ref());
        Ok(outcome.map(|outcome| outcome.seq).filter(|seq| *seq > self.meta.cursor))
    }

    /// Drops a scope that is not granted any more, with everything in it (spec GRT-1).
    pub fn drop_scope(&mut self, scope: &ScopeId) -> ReplicaResult<()> {
        self.write(ReplicaWrites { drop_scopes: vec![scope.clone()], ..ReplicaWrites::default() })
    }

    /// Forgets what is held of a scope, so that the next `hello` asks for all of it again (spec REP-4).
    pub fn reset_scope(&mut self, scope: &ScopeId) -> ReplicaResult<()> {
        let empty = ScopeState { seq: 0, digest: Digest::EMPTY, loading: None };
        let scopes = vec![(scope.clone(), empty)];
        self.write(ReplicaWrites { drop_scopes: vec![scope.clone()], scopes, ..ReplicaWrites::default() })
    }

    /// Stores rows of a snapshot and the token to go on from (spec SNP-3).
    pub fn apply_snapshot_rows(
        &mut self,
        scope: &ScopeId,
        rows: Vec<WireOp>,
        resume: Option<String>,
    ) -> ReplicaResult<()> {
        let mut step = Step::new(&self.store)?;
        step.live_at = Some(self.meta.cursor);
        // A page may arrive after its scope was taken away, or planned anew: it is not wanted any more.
        let Some(Loading::Snapshot { .. }) = step.scopes.get(scope).and_then(|state| state.loading.as_ref()) else {
            return Ok(());
        };
        for row in rows {
            if matches!(&row, WireOp::Put { scope: of_row, .. } if of_row == scope) {
                step.apply(row, Precedence::HigherRv, 0)?;
            }
        }
        if let Some(ScopeState { loading: Some(Loading::Snapshot { resume: stored, .. }), .. }) =
            step.scopes.get_mut(scope)
        {
            *stored = resume.or(stored.take());
        }
        let writes = step.into_writes();
        self.write(writes)
    }

    /// Forgets how far a download came, because the server does not go on from there: the next one starts over.
    pub fn restart_snapshot(&mut self, scope: &ScopeId) -> ReplicaResult<()> {
        let scopes = self.store.scopes()?;
        let Some(mut state) = scopes.get(scope).cloned() else { return Ok(()) };
        if let Some(Loading::Snapshot { resume, .. }) = &mut state.loading {
            *resume = None;
        }
        self.write(ReplicaWrites { scopes: vec![(scope.clone(), state)], ..ReplicaWrites::default() })
    }

    /// Download or comparison is complete: the scope stands at the seq it was made at, and the next `hello` catches up; when it
    /// was the last one and stands where the cursor does, the device is in step.
    pub fn finish_loading(&mut self, scope: &ScopeId, seq: Seq, now_ms: TimestampMs) -> ReplicaResult<()> {
        let mut scopes = self.store.scopes()?;
        let Some(state) = scopes.get_mut(scope).filter(|state| state.loading.is_some()) else { return Ok(()) };
        *state = ScopeState { seq, loading: None, ..state.clone() };
        let done = state.clone();
        let is_whole = scopes.values().all(|state| state.loading.is_none() && state.seq == self.meta.cursor);
        let last_sync_ms = if is_whole { now_ms } else { self.meta.last_sync_ms };
        let meta = ReplicaMeta { last_sync_ms, ..self.meta.clone() };
        self.write(ReplicaWrites { meta: Some(meta), scopes: vec![(scope.clone(), done)], ..ReplicaWrites::default() })
    }

    /// Deletes what the server gave, at once; what the person has not handed over yet stays (spec REV-2).
    pub fn purge_base(&mut self) -> ReplicaResult<()> {
        let drop_scopes = self.store.scopes()?.into_keys().collect();
        let meta = ReplicaMeta { epoch: None, cursor: 0, ..self.meta.clone() };
        // Decided ones waited for effects that will not come any more: the server has them.
        let outbox = self.store.outbox(0, limits::OUTBOX_MUTATIONS_MAX as usize)?;
        let mut writes = ReplicaWrites { drop_scopes, meta: Some(meta), ..ReplicaWrites::default() };
        let decided = outbox.into_iter().filter(|pending| pending.outcome.is_some());
        decided.for_each(|pending| acknowledge(&mut writes, pending));
        self.write(writes)
    }

    /// Deletes everything (spec REV-2). The identity and the reason stay, so that nobody takes the store for a new one.
    pub fn purge(&mut self, code: Code) -> ReplicaResult<()> {
        let meta = ReplicaMeta {
            backend_id: None,
            epoch: None,
            cursor: 0,
            lease_until_ms: 0,
            purged: Some(code),
            ..self.meta.clone()
        };
        self.write(ReplicaWrites { wipe: true, meta: Some(meta), ..ReplicaWrites::default() })
    }
}

/// Moves a decided mutation out of the outbox and keeps it for a server that was restored (spec EPO-3).
fn acknowledge(writes: &mut ReplicaWrites, pending: Pending) {
    writes.outbox_delete.push(pending.mutation.client_seq);
    writes.acknowledged_put.push(pending);
}

/// Moves a refused mutation to the rejected list. What is kept for a restored server is an empty one in its place: it is
/// not to be tried again, only the numbering must have no gap.
fn reject(writes: &mut ReplicaWrites, pending: Pending, outcome: &Outcome) {
    writes.outbox_delete.push(pending.mutation.client_seq);
    let mut placeholder = pending.clone();
    let was_placeholder = pending.mutation.ops.is_empty();
    placeholder.mutation.ops.clear();
    writes.acknowledged_put.push(placeholder);
    if !was_placeholder {
        let Pending { mutation, authored_ms, .. } = pending;
        writes.rejected_put.push(Rejected { mutation, authored_ms, outcome: outcome.clone() });
    }
}
