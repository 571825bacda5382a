//! What the server says, frame by frame (spec §9, §10, §14).

use super::*;

impl ClientSession {
    pub(super) fn on_frame<S: ReplicaStore>(
        &mut self,
        replica: &mut Replica<S>,
        frame: ServerFrame,
        now: Now,
        effects: &mut Effects,
    ) -> ReplicaResult<()> {
        if !matches!(self.state, State::Greeting { .. } | State::Live | State::Depositing { .. }) {
            return Ok(());
        }
        match frame {
            ServerFrame::Welcome(welcome) => self.on_welcome(replica, &welcome, now, effects),
            ServerFrame::Batch(batch) => self.on_batch(replica, batch, now, effects),
            ServerFrame::Outcomes { outcomes } => self.on_outcomes(replica, &outcomes, now, effects),
            ServerFrame::OutOfOrder { expected } => {
                self.in_flight.pop_front();
                self.next_to_send = expected;
                if self.upload == Upload::Streaming {
                    self.upload = Upload::Rewinding;
                }
                if expected > replica.meta().decided_upto {
                    return Ok(());
                }
                // A restored server. Its welcome would say what it lacks; in a deposit there is none.
                if !matches!(self.state, State::Depositing { .. }) {
                    return self.greet(replica, now, effects);
                }
                match replica.rewind(expected) {
                    Ok(()) => Ok(()),
                    Err(WelcomeError::Store(error)) => Err(error),
                    Err(WelcomeError::NeedsNewClientId | WelcomeError::BackendMismatch) => {
                        self.rekey(replica, expected.saturating_sub(1), now, effects)
                    }
                }
            }
            ServerFrame::SlowDown { retry_ms } => {
                self.hold(now.monotonic_ms + retry_ms);
                Ok(())
            }
            ServerFrame::Grant { scope, action: GrantAction::Remove, .. } => {
                replica.drop_scope(&scope)?;
                effects.push(Effect::Notify(Event::Changed { cursor: replica.meta().cursor }));
                self.forget_scope(replica, &scope, now, effects)
            }
            // Scopes are compared whole, so that the named entities are among what is brought into step.
            ServerFrame::SyncNow { .. } if self.state != State::Live => Ok(()),
            ServerFrame::SyncNow { .. } => self.greet(replica, now, effects),
            ServerFrame::Grant { action: GrantAction::Add, .. } => self.greet(replica, now, effects),
            ServerFrame::VerifyReply(reply) => self.on_verify_reply(replica, &reply, now, effects),
            ServerFrame::Records { scope, seq, answered, records } => {
                if let Some(walk) = self.walk.as_mut().filter(|walk| walk.scope == scope) {
                    let mut asked = std::mem::take(&mut walk.asked);
                    for unanswered in asked.split_off(answered.clamp(1, asked.len().max(1)).min(asked.len())) {
                        walk.wanted.push_back(unanswered);
                    }
                    replica.apply_fetched(&asked, records, seq)?;
                    self.walk_on(replica, now, effects)?;
                }
                Ok(())
            }
            // Live words beside the change log are not the replica's.
            ServerFrame::HeartbeatAck { .. }
            | ServerFrame::Subscribed { .. }
            | ServerFrame::Unsubscribed { .. }
            | ServerFrame::Missed { .. }
            | ServerFrame::Presence { .. }
            | ServerFrame::Msg(_)
            | ServerFrame::MsgReceipt(_) => Ok(()),
            ServerFrame::Goodbye { retry_ms, .. } => {
                self.reconnect_later(now, Some(retry_ms), effects);
                Ok(())
            }
            ServerFrame::Purge { code, .. } => {
                self.drop_connection();
                self.next_to_send = replica.meta().decided_upto + 1;
                self.state = State::Depositing { code, since_ms: now.monotonic_ms };
                replica.purge_base()?;
                // What waited for its effects is gone with it: whoever shows either looks again.
                effects.push(Effect::Notify(Event::Changed { cursor: 0 }));
                match replica.store().outbox_count()? {
                    0 => self.finish_purge(replica, code, effects),
                    _ => Ok(()),
                }
            }
            ServerFrame::Error { problem } => self.on_problem(replica, &problem, now, effects),
        }
    }

    pub(super) fn on_welcome<S: ReplicaStore>(
        &mut self,
        replica: &mut Replica<S>,
        welcome: &Welcome,
        now: Now,
        effects: &mut Effects,
    ) -> ReplicaResult<()> {
        self.greetings = self.greetings.saturating_sub(1);
        if !matches!(self.state, State::Greeting { .. }) || self.greetings > 0 {
            return Ok(());
        }
        let followed = match replica.apply_welcome(welcome, now.wall_ms) {
            Ok(followed) => followed,
            Err(WelcomeError::BackendMismatch) => {
                self.stop(Code::BackendMismatch, effects);
                return Ok(());
            }
            Err(WelcomeError::NeedsNewClientId) => {
                return self.rekey(replica, welcome.applied_client_seq, now, effects);
            }
            Err(WelcomeError::Store(error)) => return Err(error),
        };
        self.state = State::Live;
        self.heartbeat_ms = welcome.heartbeat_ms.max(1_000);
        self.window = (welcome.window as usize).clamp(1, 64);
        if self.in_flight.is_empty() {
            self.next_to_send = replica.meta().decided_upto.max(welcome.applied_client_seq) + 1;
            self.upload = Upload::Streaming;
        }
        let is_wanted = |scope: &ScopeId, scopes: &BTreeMap<ScopeId, ScopeState>| {
            scopes.get(scope).is_some_and(|state| matches!(state.loading, Some(Loading::Snapshot { .. })))
        };
        if let Some(scope) = &self.snapshot
            && !is_wanted(scope, &replica.store().scopes()?)
        {
            self.snapshot = None;
        }
        match followed {
            Some(followed) => {
                self.staged = Some(Staged { frames: Vec::new(), followed, since_ms: now.monotonic_ms });
            }
            None => self.load_next(replica, now, effects)?,
        }
        self.owes_ack = true;
        effects.push(Effect::Notify(Event::Connected));
        Ok(())
    }

    pub(super) fn on_batch<S: ReplicaStore>(
        &mut self,
        replica: &mut Replica<S>,
        batch: Batch,
        now: Now,
        effects: &mut Effects,
    ) -> ReplicaResult<()> {
        if self.state != State::Live {
            return Ok(());
        }
        let compared: Vec<ScopeId>;
        let applied = if batch.catch_up {
            let has_more = batch.more;
            if self.staged.is_none() && batch.from != replica.meta().cursor {
                return self.greet(replica, now, effects);
            }
            // One that no welcome promised: the session fell behind the live batches.
            let followed = if self.staged.is_none() { replica.live_scopes()? } else { BTreeSet::new() };
            let since_ms = now.monotonic_ms;
            let mut staged = self.staged.take().unwrap_or(Staged { frames: Vec::new(), followed, since_ms });
            staged.frames.push(batch);
            if has_more {
                self.staged = Some(staged);
                return Ok(());
            }
            compared = staged.frames.iter().flat_map(|batch| &batch.digests).map(|(scope, _)| scope.clone()).collect();
            replica.apply_catch_up(staged.frames, &staged.followed, now.wall_ms)?
        } else {
            if batch.to <= replica.meta().cursor {
                return Ok(());
            }
            if self.staged.is_some() || batch.from != replica.meta().cursor {
                return self.greet(replica, now, effects);
            }
            compared = batch.digests.iter().map(|(scope, _)| scope.clone()).collect();
            replica.apply_live(batch, now.wall_ms)?
        };
        self.owes_ack = true;
        for scope in compared.iter().filter(|scope| !applied.mismatched.contains(scope)) {
            if let Some(repairs) = self.repairs.get_mut(scope) {
                *repairs = Repairs { count: 0, is_due: false, ..*repairs };
            }
        }
        effects.push(Effect::Notify(Event::Changed { cursor: replica.meta().cursor }));
        for scope in applied.mismatched {
            self.repair(replica, scope, now, effects)?;
        }
        self.load_next(replica, now, effects)
    }

    pub(super) fn on_outcomes<S: ReplicaStore>(
        &mut self,
        replica: &mut Replica<S>,
        outcomes: &[Outcome],
        now: Now,
        effects: &mut Effects,
    ) -> ReplicaResult<()> {
        let applied = replica.apply_outcomes(outcomes)?;
        if applied.shares_client_id {
            return self.rekey(replica, u64::MAX, now, effects);
        }
        if let Some(last) = outcomes.iter().map(|outcome| outcome.client_seq).max() {
            while self.in_flight.front().is_some_and(|(_, end)| *end <= last) {
                self.in_flight.pop_front();
            }
            // A reply that stops short of what was pushed: the rest was answered out of order.
            if let Some(front) = self.in_flight.front_mut().filter(|(first, _)| *first <= last) {
                front.0 = last + 1;
            }
        }
        self.owes_ack = true;
        effects.push(Effect::Notify(Event::Decided { upto: replica.meta().decided_upto }));
        if !applied.rejected.is_empty() {
            effects.push(Effect::Notify(Event::Rejected { client_seqs: applied.rejected }));
        }
        if let State::Depositing { code, .. } = self.state
            && replica.store().outbox_count()? == 0
        {
            self.finish_purge(replica, code, effects)?;
        }
        Ok(())
    }

    pub(super) fn on_problem<S: ReplicaStore>(
        &mut self,
        replica: &mut Replica<S>,
        problem: &Problem,
        now: Now,
        effects: &mut Effects,
    ) -> ReplicaResult<()> {
        if let Some(scope) = &problem.scope {
            return self.on_walk_problem(replica, scope, problem, now, effects);
        }
        match problem.class {
            Class::Transient => {
                let jitter = self.back_off_ms(now);
                self.hold(now.monotonic_ms + problem.retry_ms.unwrap_or(jitter));
            }
            Class::Session => {
                effects.push(Effect::RenewToken);
                self.reconnect_later(now, problem.retry_ms, effects);
            }
            Class::Protocol => self.reconnect_later(now, problem.retry_ms, effects),
            // Two databases share the client id, or it is somebody else's (spec ID-2, PSH-7).
            Class::Fatal | Class::Rejected if problem.client_seq.is_some() || problem.code == Code::Forbidden => {
                return self.rekey(replica, u64::MAX, now, effects);
            }
            Class::Fatal | Class::Rejected | Class::Local => self.stop(problem.code, effects),
        }
        Ok(())
    }
}
