//! What goes up, and what is due when nothing comes: pushes, acks, heartbeats and watchdogs (spec §4, §16).

use super::*;

impl ClientSession {
    /// Fills the push window from the outbox (spec PSH-1).
    pub(super) fn upload<S: ReplicaStore>(
        &mut self,
        replica: &Replica<S>,
        now: Now,
        effects: &mut Effects,
    ) -> ReplicaResult<()> {
        if self.upload == Upload::Rewinding && self.in_flight.is_empty() {
            self.upload = Upload::Streaming;
        }
        while self.upload == Upload::Streaming && self.in_flight.len() < self.window {
            let page = replica.store().outbox(self.next_to_send, limits::MUTATIONS_PER_PUSH_MAX)?;
            let mut mutations = Vec::with_capacity(page.len());
            let mut bytes = 0;
            for pending in page.into_iter().filter(|pending| pending.outcome.is_none()) {
                let mut mutation = pending.mutation;
                mutation.age_ms = now.wall_ms.saturating_sub(pending.authored_ms);
                bytes += serde_json::to_vec(&mutation).map_or(0, |bytes| bytes.len()) + 1;
                if bytes > PUSH_BYTES_MAX && !mutations.is_empty() {
                    break;
                }
                mutations.push(mutation);
            }
            let (Some(first), Some(last)) = (mutations.first(), mutations.last()) else { return Ok(()) };
            self.in_flight.push_back((first.client_seq, last.client_seq));
            self.next_to_send = last.client_seq + 1;
            effects.push(Effect::Send(ClientFrame::Push { mutations }));
        }
        Ok(())
    }

    /// The server took nothing of the oldest unanswered push: send it again later, after the others came back.
    pub(super) fn hold(&mut self, until_ms: u64) {
        if let Some((first, _)) = self.in_flight.pop_front() {
            self.next_to_send = self.next_to_send.min(first);
        }
        self.upload = Upload::Holding { until_ms };
    }

    /// Arms the watchdogs over the outbox (spec LIV-2, VEW-3).
    pub(super) fn watch<S: ReplicaStore>(&mut self, replica: &Replica<S>, now: Now) -> ReplicaResult<()> {
        let Some(first) = replica.store().outbox(0, 1)?.pop() else {
            self.stalled = None;
            self.awaiting_since_ms = None;
            return Ok(());
        };
        let (client_seq, is_decided) = (first.mutation.client_seq, first.outcome.is_some());
        let has_moved = |stalled: &Stalled| (stalled.client_seq, stalled.is_decided) != (client_seq, is_decided);
        if self.stalled.as_ref().is_none_or(has_moved) {
            self.stalled = Some(Stalled { client_seq, is_decided, since_ms: now.monotonic_ms });
        }
        match replica.awaited_seq()? {
            Some(_) => {
                self.awaiting_since_ms.get_or_insert(now.monotonic_ms);
            }
            None => self.awaiting_since_ms = None,
        }
        Ok(())
    }

    pub(super) fn send_due<S: ReplicaStore>(&mut self, replica: &Replica<S>, now: Now, effects: &mut Effects) {
        if let Upload::Holding { until_ms } = self.upload
            && now.monotonic_ms >= until_ms
        {
            self.upload = Upload::Rewinding;
        }
        if self.owes_ack && now.monotonic_ms >= self.last_ack_ms + ACK_INTERVAL_MS {
            self.owes_ack = false;
            self.last_ack_ms = now.monotonic_ms;
            let meta = replica.meta();
            effects.push(Effect::Send(ClientFrame::Ack { seq: meta.cursor, outcomes_upto: meta.decided_upto }));
        } else if now.monotonic_ms >= self.last_sent_ms + self.heartbeat_ms {
            effects.push(Effect::Send(ClientFrame::Heartbeat {}));
        }
    }

    pub(super) fn on_tick<S: ReplicaStore>(
        &mut self,
        replica: &mut Replica<S>,
        now: Now,
        effects: &mut Effects,
    ) -> ReplicaResult<()> {
        let now_ms = now.monotonic_ms;
        let is_due = |since: u64, after: u64| now_ms >= since + after;
        match self.state.clone() {
            State::Paused | State::SignedOut | State::Stopped { .. } => {}
            State::Waiting { until_ms } if now_ms >= until_ms => self.connect(now, effects),
            State::Waiting { .. } => {}
            State::Connecting { since_ms } | State::Greeting { since_ms } => {
                if is_due(since_ms, HANDSHAKE_MS) {
                    self.reconnect_later(now, None, effects);
                }
            }
            State::Depositing { since_ms, .. } => {
                // What was not handed over is offered again: the server asks for it at the next connection.
                if is_due(since_ms, limits::DEPOSIT_WINDOW_MS) {
                    self.reconnect_later(now, None, effects);
                }
            }
            State::Live => {
                let staged_since = self.staged.as_ref().map(|staged| staged.since_ms);
                let is_stuck = staged_since.is_some_and(|since| is_due(since, limits::STUCK_STAGED_MS))
                    || self.stalled.is_some_and(|stalled| is_due(stalled.since_ms, limits::STUCK_PENDING_MS));
                if is_stuck {
                    effects.push(Effect::Notify(Event::Stuck));
                    self.reconnect_later(now, None, effects);
                } else if is_due(self.last_heard_ms, 2 * self.heartbeat_ms) {
                    self.reconnect_later(now, None, effects);
                } else if self.awaiting_since_ms.is_some_and(|since| is_due(since, AWAIT_EFFECT_MS)) {
                    self.awaiting_since_ms = None;
                    self.greet(replica, now, effects)?;
                } else {
                    self.send_due(replica, now, effects);
                    self.resume_loading(replica, now, effects)?;
                }
            }
        }
        Ok(())
    }
}
