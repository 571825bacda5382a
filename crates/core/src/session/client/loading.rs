//! Downloads, comparisons and repairs: everything that brings a scope up to the log (spec §12, §13).

use super::*;

impl ClientSession {
    /// Starts what is still to be loaded, one scope at a time; when nothing is left after something was, greets again so
    /// that the server catches the loaded scopes up.
    pub(super) fn load_next<S: ReplicaStore>(
        &mut self,
        replica: &mut Replica<S>,
        now: Now,
        effects: &mut Effects,
    ) -> ReplicaResult<()> {
        let is_busy = self.staged.is_some() || self.snapshot.is_some() || self.walk.is_some();
        if self.state != State::Live || is_busy || self.reload_at_ms.is_some() {
            return Ok(());
        }
        let cursor = replica.meta().cursor;
        let scopes = replica.store().scopes()?;
        for (scope, state) in &scopes {
            match &state.loading {
                None => {}
                Some(Loading::Snapshot { url, resume, .. }) => {
                    self.snapshot = Some(scope.clone());
                    let (scope, url, resume) = (scope.clone(), url.clone(), resume.clone());
                    effects.push(Effect::FetchSnapshot { scope, url, resume });
                    return Ok(());
                }
                Some(Loading::Reconcile { .. }) => {
                    let ranges = VecDeque::from([replica.whole_range(scope)?]);
                    let (wanted, asked) = (VecDeque::new(), Vec::new());
                    self.walk = Some(Walk { scope: scope.clone(), first_seq: None, ranges, wanted, asked });
                    return self.walk_on(replica, now, effects);
                }
            }
        }
        if scopes.values().any(|state| state.seq != cursor) {
            return self.greet(replica, now, effects);
        }
        // Everything is there, and no push waits to be taken: whatever went wrong before is over.
        if self.in_flight.is_empty() && self.upload == Upload::Streaming {
            self.attempts = 0;
        }
        Ok(())
    }

    /// Repairs that had to wait, and loads the server had no time for.
    pub(super) fn resume_loading<S: ReplicaStore>(
        &mut self,
        replica: &mut Replica<S>,
        now: Now,
        effects: &mut Effects,
    ) -> ReplicaResult<()> {
        let is_due = |repairs: &Repairs| repairs.is_due && now.monotonic_ms >= repairs.next_ms();
        let due = self.repairs.iter().filter(|(_, repairs)| is_due(repairs)).map(|(scope, _)| scope.clone());
        for scope in due.collect::<Vec<_>>() {
            self.repair(replica, scope, now, effects)?;
        }
        if self.reload_at_ms.is_some_and(|at| now.monotonic_ms < at) {
            return Ok(());
        }
        self.reload_at_ms = None;
        self.load_next(replica, now, effects)
    }

    /// A digest differed: compare by range, not more than once a minute per scope; after three in vain load it anew
    /// (spec REP-4).
    pub(super) fn repair<S: ReplicaStore>(
        &mut self,
        replica: &mut Replica<S>,
        scope: ScopeId,
        now: Now,
        effects: &mut Effects,
    ) -> ReplicaResult<()> {
        let repairs = self.repairs.entry(scope.clone()).or_default();
        if repairs.last_ms > 0 && now.monotonic_ms < repairs.next_ms() {
            repairs.is_due = true;
            return Ok(());
        }
        let is_hopeless = repairs.count >= REPAIRS_MAX;
        let count = if is_hopeless { 0 } else { repairs.count + 1 };
        *repairs = Repairs { count, last_ms: now.monotonic_ms.max(1), is_due: false };
        effects.push(Effect::Notify(Event::Repairing { scope: scope.clone() }));
        if is_hopeless { replica.reset_scope(&scope) } else { replica.begin_reconcile(&scope, replica.meta().cursor) }
    }

    pub(super) fn on_verify_reply<S: ReplicaStore>(
        &mut self,
        replica: &mut Replica<S>,
        reply: &VerifyReply,
        now: Now,
        effects: &mut Effects,
    ) -> ReplicaResult<()> {
        let Some(walk) = self.walk.as_mut().filter(|walk| walk.scope == reply.scope) else { return Ok(()) };
        let comparison = replica.compare(reply)?;
        walk.first_seq.get_or_insert(reply.seq);
        walk.ranges.extend(comparison.ranges);
        walk.wanted.extend(comparison.fetch);
        self.walk_on(replica, now, effects)
    }

    /// Asks the next question of a comparison, or ends it.
    pub(super) fn walk_on<S: ReplicaStore>(
        &mut self,
        replica: &mut Replica<S>,
        now: Now,
        effects: &mut Effects,
    ) -> ReplicaResult<()> {
        let Some(walk) = &mut self.walk else { return Ok(()) };
        let scope = walk.scope.clone();
        if !walk.wanted.is_empty() {
            let count = walk.wanted.len().min(limits::FETCH_RECORDS_MAX);
            walk.asked = walk.wanted.drain(..count).collect();
            let records = walk.asked.clone();
            effects.push(Effect::Send(ClientFrame::Fetch { scope, records }));
        } else if !walk.ranges.is_empty() {
            let count = walk.ranges.len().min(VERIFY_RANGES);
            let ranges = walk.ranges.drain(..count).collect();
            effects.push(Effect::Send(ClientFrame::Verify { scope, ranges }));
        } else {
            let seq = walk.first_seq.unwrap_or(0);
            self.walk = None;
            replica.finish_loading(&scope, seq, now.wall_ms)?;
            self.load_next(replica, now, effects)?;
        }
        Ok(())
    }

    /// A question of a comparison was not answered: ask again later, or, when the scope is not ours any more, greet.
    pub(super) fn on_walk_problem<S: ReplicaStore>(
        &mut self,
        replica: &Replica<S>,
        scope: &ScopeId,
        problem: &Problem,
        now: Now,
        effects: &mut Effects,
    ) -> ReplicaResult<()> {
        if self.walk.as_ref().is_none_or(|walk| walk.scope != *scope) {
            return Ok(());
        }
        self.walk = None;
        if problem.class == Class::Transient {
            let wait_ms = problem.retry_ms.unwrap_or(RELOAD_MS);
            self.reload_at_ms = Some(now.monotonic_ms + wait_ms);
            return Ok(());
        }
        self.greet(replica, now, effects)
    }

    /// Ends what is under way for a scope that was taken away.
    pub(super) fn forget_scope<S: ReplicaStore>(
        &mut self,
        replica: &mut Replica<S>,
        scope: &ScopeId,
        now: Now,
        effects: &mut Effects,
    ) -> ReplicaResult<()> {
        self.repairs.remove(scope);
        self.snapshot.take_if(|loading| loading == scope);
        self.walk.take_if(|walk| walk.scope == *scope);
        if self.staged.is_some() {
            // Rows of it may be among the staged ones.
            return self.greet(replica, now, effects);
        }
        self.load_next(replica, now, effects)
    }
}
