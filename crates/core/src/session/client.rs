//! The client's side of a session: a state machine without I/O (design D14).
//!
//! The shell feeds [`Input`]s and performs [`Effect`]s; it calls [`ClientSession::handle`] with [`Input::Tick`] no later than
//! [`ClientSession::next_wakeup_ms`]. Timers run on a monotonic clock, edit ages on the device's wall clock, which may jump.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::TimestampMs;
use crate::change::Outcome;
use crate::id::{ClientId, RecordId, ScopeId};
use crate::principal::DeploymentMode;
use crate::protocol::{
    Batch, Class, ClientFrame, Code, GrantAction, Problem, Range, ServerFrame, VerifyReply, Welcome, WireOp, limits,
};
use crate::replica::{Loading, Replica, ReplicaResult, ReplicaStore, ScopeState, WelcomeError};
use crate::{Name, Seq};

/// Both clocks and one random number, as the shell has them at this moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// Never goes back; any origin.
    pub monotonic_ms: u64,
    /// The device's clock.
    pub wall_ms: TimestampMs,
    /// Fresh random bits: jitter, and new client ids.
    pub random: u128,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    /// Begin to sync, or the network came back: connect at once.
    Online,
    /// The person pauses syncing, or the network is known to be gone.
    Pause,
    Connected,
    Frame(ServerFrame),
    /// The connection ended or could not be made. `code`: the WebSocket close code, when there was one.
    Disconnected {
        code: Option<u16>,
    },
    /// The credential was refused or ran out, and could not be renewed.
    SignedOut,
    /// A local mutation was added to the outbox.
    LocalChange,
    /// Rows of a snapshot; `resume`: the token after them, when a page ended.
    SnapshotRows {
        scope: ScopeId,
        rows: Vec<WireOp>,
        resume: Option<String>,
    },
    SnapshotEnd {
        scope: ScopeId,
        seq: Seq,
    },
    SnapshotFailed {
        scope: ScopeId,
    },
    Tick,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    Connect,
    Disconnect,
    Send(ClientFrame),
    /// Download and feed `SnapshotRows` and `SnapshotEnd`; ends an earlier download, and ends with the connection.
    FetchSnapshot {
        scope: ScopeId,
        url: String,
        resume: Option<String>,
    },
    /// Renew the access token before connecting again.
    RenewToken,
    Notify(Event),
}

/// What a person or an operator may want to know.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    Connected,
    Disconnected,
    /// The base changed up to this seq.
    Changed {
        cursor: Seq,
    },
    Rejected {
        client_seqs: Vec<u64>,
    },
    /// Replica and server differed; a repair by range began.
    Repairing {
        scope: ScopeId,
    },
    /// The watchdog dropped the session (spec LIV-2).
    Stuck,
    /// Everything was deleted because access was withdrawn (spec REV-2).
    Purged {
        code: Code,
    },
    /// Syncing stopped for good; the outbox is kept.
    Stopped {
        code: Code,
    },
    /// A person must sign in again; the outbox is kept.
    SignInNeeded,
}

/// Where the session is. Every state but `Paused` and the final ones has something under way or a timer (invariant 9).
#[derive(Clone, PartialEq, Eq, Debug)]
enum State {
    Paused,
    /// Waits until the moment, then connects.
    Waiting {
        until_ms: u64,
    },
    Connecting {
        since_ms: u64,
    },
    /// `hello` was sent.
    Greeting {
        since_ms: u64,
    },
    Live,
    /// Hands over what is pending before everything is deleted.
    Depositing {
        code: Code,
        since_ms: u64,
    },
    SignedOut,
    Stopped {
        code: Code,
    },
}

/// How the outbox goes out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Upload {
    Streaming,
    /// The server wants an earlier mutation: let the unanswered pushes come back first.
    Rewinding,
    /// The server asked for patience.
    Holding {
        until_ms: u64,
    },
}

/// Frames of a catch-up on their way.
#[derive(Debug)]
struct Staged {
    frames: Vec<Batch>,
    /// Scopes that stand at its end.
    followed: BTreeSet<ScopeId>,
    since_ms: u64,
}

/// A comparison under way (spec REP-1). One step at a time is unanswered.
#[derive(Debug)]
struct Walk {
    scope: ScopeId,
    /// Seq of the first reply: where the scope stands afterwards.
    first_seq: Option<Seq>,
    ranges: VecDeque<Range>,
    wanted: VecDeque<(Name, RecordId)>,
    /// Records asked for and not answered.
    asked: Vec<(Name, RecordId)>,
}

#[derive(Clone, Copy, Default, Debug)]
struct Repairs {
    /// Since the digest last agreed.
    count: u32,
    last_ms: u64,
    /// It differed again before the next repair was allowed.
    is_due: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stalled {
    client_seq: u64,
    is_decided: bool,
    since_ms: u64,
}

/// How long connecting and greeting may take.
const HANDSHAKE_MS: u64 = 15_000;
/// How long an outcome may wait for its effects before the client asks again (spec VEW-3).
const AWAIT_EFFECT_MS: u64 = 10_000;
/// Least time between two acks, and between two repairs of one scope.
const ACK_INTERVAL_MS: u64 = 1_000;
const REPAIR_INTERVAL_MS: u64 = 60_000;
/// Repairs that did not help before a scope is loaded anew (spec REP-4).
const REPAIRS_MAX: u32 = 3;
/// Failures to go on with a download after which it starts over.
const RESUME_ATTEMPTS: u32 = 3;
/// Bytes of one push frame, below the frame limit.
const PUSH_BYTES_MAX: usize = limits::FRAME_BYTES_MAX - 16 * 1024;
/// How long to wait before asking again when the server did not say.
const RELOAD_MS: u64 = 1_000;
/// Ranges asked about in one verify.
const VERIFY_RANGES: usize = limits::VERIFY_RANGES_MAX;

#[derive(Debug)]
pub struct ClientSession {
    mode: DeploymentMode,
    state: State,
    attempts: u32,
    /// `hello`s that were not answered; only the answer to the last one counts.
    greetings: u32,
    heartbeat_ms: u64,
    window: usize,
    /// `(first, last)` client_seq of unanswered pushes.
    in_flight: VecDeque<(u64, u64)>,
    next_to_send: u64,
    upload: Upload,
    staged: Option<Staged>,
    snapshot: Option<ScopeId>,
    walk: Option<Walk>,
    repairs: BTreeMap<ScopeId, Repairs>,
    last_sent_ms: u64,
    last_heard_ms: u64,
    last_ack_ms: u64,
    owes_ack: bool,
    /// The first mutation of the outbox, whether it is decided, and since when that has not changed.
    stalled: Option<Stalled>,
    awaiting_since_ms: Option<u64>,
    /// When to look again for something to load, after the server had no time for it.
    reload_at_ms: Option<u64>,
}

type Effects = Vec<Effect>;

impl Repairs {
    /// When the next repair of the scope is allowed.
    fn next_ms(&self) -> u64 {
        self.last_ms + REPAIR_INTERVAL_MS
    }
}

impl ClientSession {
    pub fn new(mode: DeploymentMode) -> Self {
        Self {
            mode,
            state: State::Paused,
            attempts: 0,
            greetings: 0,
            heartbeat_ms: limits::HEARTBEAT_MS,
            window: limits::PUSH_WINDOW as usize,
            in_flight: VecDeque::new(),
            next_to_send: 1,
            upload: Upload::Streaming,
            staged: None,
            snapshot: None,
            walk: None,
            repairs: BTreeMap::new(),
            last_sent_ms: 0,
            last_heard_ms: 0,
            last_ack_ms: 0,
            owes_ack: false,
            stalled: None,
            awaiting_since_ms: None,
            reload_at_ms: None,
        }
    }

    /// Whether the replica follows the server live.
    pub fn is_live(&self) -> bool {
        self.state == State::Live && self.staged.is_none()
    }

    pub fn is_stopped(&self) -> bool {
        matches!(self.state, State::Stopped { .. } | State::SignedOut)
    }

    /// Live, nothing pending, nothing loading: replica and server are the same as far as both know.
    pub fn is_quiescent<S: ReplicaStore>(&self, replica: &Replica<S>) -> ReplicaResult<bool> {
        let is_idle = self.is_live() && self.walk.is_none() && self.snapshot.is_none() && self.in_flight.is_empty();
        let is_idle = is_idle && self.repairs.values().all(|repairs| !repairs.is_due);
        let is_loaded = || Ok(replica.store().scopes()?.values().all(|scope| scope.loading.is_none()));
        Ok(is_idle && replica.store().outbox_count()? == 0 && is_loaded()?)
    }

    /// When [`Input::Tick`] is due at the latest, on the monotonic clock. `None`: only an input from outside goes on.
    pub fn next_wakeup_ms(&self) -> Option<u64> {
        match &self.state {
            State::Paused | State::SignedOut | State::Stopped { .. } => None,
            State::Waiting { until_ms } => Some(*until_ms),
            State::Connecting { since_ms } | State::Greeting { since_ms } => Some(since_ms + HANDSHAKE_MS),
            State::Depositing { since_ms, .. } => Some(since_ms + limits::DEPOSIT_WINDOW_MS),
            State::Live => {
                let ack = self.owes_ack.then_some(self.last_ack_ms + ACK_INTERVAL_MS);
                let hold = match self.upload {
                    Upload::Holding { until_ms } => Some(until_ms),
                    Upload::Streaming | Upload::Rewinding => None,
                };
                let timers = [
                    Some(self.last_sent_ms + self.heartbeat_ms),
                    Some(self.last_heard_ms + 2 * self.heartbeat_ms),
                    ack,
                    hold,
                    self.staged.as_ref().map(|staged| staged.since_ms + limits::STUCK_STAGED_MS),
                    self.stalled.map(|stalled| stalled.since_ms + limits::STUCK_PENDING_MS),
                    self.awaiting_since_ms.map(|since| since + AWAIT_EFFECT_MS),
                    self.reload_at_ms,
                    self.repairs.values().filter(|repairs| repairs.is_due).map(Repairs::next_ms).min(),
                ];
                timers.into_iter().flatten().min()
            }
        }
    }

    /// Takes one input. A store error leaves session and replica as before the input; the shell drops the connection
    /// (feeds `Disconnected`) and goes on.
    pub fn handle<S: ReplicaStore>(
        &mut self,
        replica: &mut Replica<S>,
        input: Input,
        now: Now,
    ) -> ReplicaResult<Effects> {
        let mut effects = Vec::new();
        match input {
            Input::Online => self.go_online(now, &mut effects),
            Input::Pause => self.pause(&mut effects),
            Input::Connected => self.greet(replica, now, &mut effects)?,
            Input::Frame(frame) => {
                self.last_heard_ms = now.monotonic_ms;
                self.on_frame(replica, frame, now, &mut effects)?;
            }
            Input::Disconnected { code } => self.on_disconnected(replica, code, now, &mut effects)?,
            Input::SignedOut => {
                self.drop_connection();
                self.state = State::SignedOut;
                effects.push(Effect::Notify(Event::SignInNeeded));
            }
            Input::LocalChange => {}
            Input::SnapshotRows { scope, rows, resume } if self.snapshot.as_ref() == Some(&scope) => {
                replica.apply_snapshot_rows(&scope, rows, resume)?;
            }
            Input::SnapshotEnd { scope, seq } if self.snapshot.as_ref() == Some(&scope) => {
                replica.finish_loading(&scope, seq)?;
                self.snapshot = None;
                self.load_next(replica, now, &mut effects)?;
            }
            Input::SnapshotFailed { scope } if self.snapshot.as_ref() == Some(&scope) => {
                if self.attempts >= RESUME_ATTEMPTS {
                    replica.restart_snapshot(&scope)?;
                }
                self.reconnect_later(now, None, &mut effects);
            }
            Input::SnapshotRows { .. } | Input::SnapshotEnd { .. } | Input::SnapshotFailed { .. } => {}
            Input::Tick => self.on_tick(replica, now, &mut effects)?,
        }
        if matches!(self.state, State::Live | State::Depositing { .. }) {
            self.upload(replica, now, &mut effects)?;
            self.watch(replica, now)?;
        }
        if effects.iter().any(|effect| matches!(effect, Effect::Send(_))) {
            self.last_sent_ms = now.monotonic_ms;
        }
        Ok(effects)
    }

    fn go_online(&mut self, now: Now, effects: &mut Effects) {
        match self.state {
            State::Paused | State::Waiting { .. } | State::SignedOut => {
                self.attempts = 0;
                self.connect(now, effects);
            }
            State::Connecting { .. }
            | State::Greeting { .. }
            | State::Live
            | State::Depositing { .. }
            | State::Stopped { .. } => {}
        }
    }

    fn pause(&mut self, effects: &mut Effects) {
        if !self.is_stopped() {
            self.drop_connection();
            self.state = State::Paused;
            effects.push(Effect::Disconnect);
        }
    }

    fn connect(&mut self, now: Now, effects: &mut Effects) {
        self.state = State::Connecting { since_ms: now.monotonic_ms };
        effects.push(Effect::Connect);
    }

    /// Opens the session, or opens it anew on the same connection (spec SES-2).
    fn greet<S: ReplicaStore>(&mut self, replica: &Replica<S>, now: Now, effects: &mut Effects) -> ReplicaResult<()> {
        if matches!(self.state, State::Paused | State::SignedOut | State::Stopped { .. }) {
            return Ok(());
        }
        self.staged = None;
        self.walk = None;
        self.greetings += 1;
        self.last_heard_ms = now.monotonic_ms;
        self.state = State::Greeting { since_ms: now.monotonic_ms };
        effects.push(Effect::Send(ClientFrame::Hello(replica.hello(self.mode, now.wall_ms)?)));
        Ok(())
    }

    fn drop_connection(&mut self) {
        self.in_flight.clear();
        self.upload = Upload::Streaming;
        self.staged = None;
        self.snapshot = None;
        self.walk = None;
        self.owes_ack = false;
        self.greetings = 0;
        self.stalled = None;
        self.awaiting_since_ms = None;
        self.reload_at_ms = None;
    }

    /// Full-jitter back-off (spec LIV-1); the server's wish wins.
    fn reconnect_later(&mut self, now: Now, retry_ms: Option<u64>, effects: &mut Effects) {
        self.drop_connection();
        let bound = limits::BACKOFF_MIN_MS.saturating_mul(1 << self.attempts.min(16)).min(limits::BACKOFF_MAX_MS);
        self.attempts = self.attempts.saturating_add(1);
        let jitter = u64::try_from(((now.random >> 64) * u128::from(bound + 1)) >> 64).unwrap_or(bound);
        let wait_ms = retry_ms.unwrap_or(jitter);
        self.state = State::Waiting { until_ms: now.monotonic_ms + wait_ms };
        effects.push(Effect::Disconnect);
        effects.push(Effect::Notify(Event::Disconnected));
    }

    fn stop(&mut self, code: Code, effects: &mut Effects) {
        self.drop_connection();
        self.state = State::Stopped { code };
        effects.push(Effect::Disconnect);
        effects.push(Effect::Notify(Event::Stopped { code }));
    }

    fn on_disconnected<S: ReplicaStore>(
        &mut self,
        replica: &mut Replica<S>,
        code: Option<u16>,
        now: Now,
        effects: &mut Effects,
    ) -> ReplicaResult<()> {
        match (&self.state, code) {
            (State::Paused | State::SignedOut | State::Stopped { .. } | State::Waiting { .. }, _) => {}
            (_, Some(4601)) => self.finish_purge(replica, Code::DeviceRevoked, effects)?,
            (_, Some(4600)) => self.stop(Code::ProtoUnsupported, effects),
            (_, Some(4602)) => self.stop(Code::BackendMismatch, effects),
            (_, code) => {
                if matches!(code, Some(4401 | 4406)) {
                    effects.push(Effect::RenewToken);
                }
                self.reconnect_later(now, None, effects);
            }
        }
        Ok(())
    }

    fn on_frame<S: ReplicaStore>(
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
            ServerFrame::HeartbeatAck { .. } => Ok(()),
            ServerFrame::Goodbye { retry_ms, .. } => {
                self.reconnect_later(now, Some(retry_ms), effects);
                Ok(())
            }
            ServerFrame::Purge { code, .. } => {
                self.in_flight.clear();
                self.next_to_send = replica.meta().decided_upto + 1;
                self.upload = Upload::Streaming;
                self.state = State::Depositing { code, since_ms: now.monotonic_ms };
                replica.purge_base()?;
                match replica.store().outbox_count()? {
                    0 => self.finish_purge(replica, code, effects),
                    _ => Ok(()),
                }
            }
            ServerFrame::Error { problem } => self.on_problem(replica, &problem, now, effects),
        }
    }

    fn on_welcome<S: ReplicaStore>(
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

    fn on_batch<S: ReplicaStore>(
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

    fn on_outcomes<S: ReplicaStore>(
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

    fn on_problem<S: ReplicaStore>(
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
                let fallback = limits::BACKOFF_MIN_MS.saturating_mul(1 << self.attempts.min(7));
                self.attempts = self.attempts.saturating_add(1);
                self.hold(now.monotonic_ms + problem.retry_ms.unwrap_or(fallback));
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

    /// A question of a comparison was not answered: ask again later, or, when the scope is not ours any more, greet.
    fn on_walk_problem<S: ReplicaStore>(
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

    /// Gives the database a new client id and connects again, because a connection is the client's that opened it.
    fn rekey<S: ReplicaStore>(
        &mut self,
        replica: &mut Replica<S>,
        known_upto: u64,
        now: Now,
        effects: &mut Effects,
    ) -> ReplicaResult<()> {
        let random = now.random.to_be_bytes();
        let random = random[6..].try_into().expect("ten of sixteen bytes");
        replica.rekey(ClientId::v7(now.wall_ms, random), known_upto)?;
        self.reconnect_later(now, None, effects);
        Ok(())
    }

    /// Ends what is under way for a scope that was taken away.
    fn forget_scope<S: ReplicaStore>(
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

    /// The server took nothing of the oldest unanswered push: send it again later, after the others came back.
    fn hold(&mut self, until_ms: u64) {
        if let Some((first, _)) = self.in_flight.pop_front() {
            self.next_to_send = self.next_to_send.min(first);
        }
        self.upload = Upload::Holding { until_ms };
    }

    fn on_tick<S: ReplicaStore>(
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

    /// Repairs that had to wait, and loads the server had no time for.
    fn resume_loading<S: ReplicaStore>(
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

    fn send_due<S: ReplicaStore>(&mut self, replica: &Replica<S>, now: Now, effects: &mut Effects) {
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

    /// Fills the push window from the outbox (spec PSH-1).
    fn upload<S: ReplicaStore>(&mut self, replica: &Replica<S>, now: Now, effects: &mut Effects) -> ReplicaResult<()> {
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

    /// Arms the watchdogs over the outbox (spec LIV-2, VEW-3).
    fn watch<S: ReplicaStore>(&mut self, replica: &Replica<S>, now: Now) -> ReplicaResult<()> {
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

    /// Starts what is still to be loaded, one scope at a time; when nothing is left after something was, greets again so
    /// that the server catches the loaded scopes up.
    fn load_next<S: ReplicaStore>(
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
        // Everything is there: whatever went wrong before is over.
        self.attempts = 0;
        Ok(())
    }

    /// A digest differed: compare by range, not more than once a minute per scope; after three in vain load it anew
    /// (spec REP-4).
    fn repair<S: ReplicaStore>(
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

    fn on_verify_reply<S: ReplicaStore>(
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
    fn walk_on<S: ReplicaStore>(
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
            replica.finish_loading(&scope, seq)?;
            self.load_next(replica, now, effects)?;
        }
        Ok(())
    }

    fn finish_purge<S: ReplicaStore>(
        &mut self,
        replica: &mut Replica<S>,
        code: Code,
        effects: &mut Effects,
    ) -> ReplicaResult<()> {
        replica.purge(code)?;
        self.drop_connection();
        self.state = State::Stopped { code };
        effects.push(Effect::Disconnect);
        effects.push(Effect::Notify(Event::Purged { code }));
        Ok(())
    }
}
