//! The client's side of a session: a state machine without I/O (design D14).
//!
//! The shell feeds [`Input`]s and performs [`Effect`]s; it calls [`ClientSession::handle`] with [`Input::Tick`] no later than
//! [`ClientSession::next_wakeup_ms`]. Timers run on a monotonic clock, edit ages on the device's wall clock, which may jump.

mod frames;
mod loading;
mod outbox;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::Serialize;

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
    /// Sixteen fresh random bytes, the first on top. Jitter is made of the first six, the sixth of which counts most, and a
    /// new client id of the others (spec/sessions).
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
    /// `is_lost`: what was loaded cannot be continued, and all of the scope is asked for again.
    SnapshotFailed {
        scope: ScopeId,
        is_lost: bool,
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

/// What a person or an operator may want to know. As JSON its name is the member `event`.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    Connected,
    Disconnected,
    /// The base changed up to this seq.
    Changed {
        cursor: Seq,
    },
    /// The server decided our mutations up to this number: they are not waited for any more.
    Decided {
        upto: u64,
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

    /// Where the session is, by the names that scripts of sessions have for it (spec/sessions).
    pub fn phase(&self) -> &'static str {
        match &self.state {
            State::Paused => "paused",
            State::Waiting { .. } => "waiting",
            State::Connecting { .. } => "connecting",
            State::Greeting { .. } => "greeting",
            State::Live => "live",
            State::Depositing { .. } => "depositing",
            State::SignedOut => "signed_out",
            State::Stopped { .. } => "stopped",
        }
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
                replica.finish_loading(&scope, seq, now.wall_ms)?;
                self.snapshot = None;
                self.load_next(replica, now, &mut effects)?;
            }
            Input::SnapshotFailed { scope, is_lost } if self.snapshot.as_ref() == Some(&scope) => {
                if is_lost {
                    replica.reset_scope(&scope)?;
                } else if self.attempts >= RESUME_ATTEMPTS {
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
        if !matches!(self.state, State::Stopped { .. }) {
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
        // What comes late of a connection that was given up is none.
        if matches!(self.state, State::Paused | State::Waiting { .. } | State::SignedOut | State::Stopped { .. }) {
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
        let jitter = self.back_off_ms(now);
        self.state = State::Waiting { until_ms: now.monotonic_ms + retry_ms.unwrap_or(jitter) };
        effects.push(Effect::Disconnect);
        effects.push(Effect::Notify(Event::Disconnected));
    }

    /// How long to wait after one failure more, with full jitter (spec LIV-1).
    fn back_off_ms(&mut self, now: Now) -> u64 {
        let bound = limits::BACKOFF_MIN_MS.saturating_mul(1 << self.attempts.min(16)).min(limits::BACKOFF_MAX_MS);
        self.attempts = self.attempts.saturating_add(1);
        let bits = (now.random >> 80).swap_bytes() >> 80;
        u64::try_from((bits * u128::from(bound + 1)) >> 48).unwrap_or(bound)
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
            (_, Some(4602)) => self.stop(Code::BackendMismatch, effects),
            // Those of a later version mean what their range means.
            (_, Some(4600..=4699)) => self.stop(Code::ProtoUnsupported, effects),
            (_, code) => {
                if matches!(code, Some(4401 | 4406)) {
                    effects.push(Effect::RenewToken);
                }
                self.reconnect_later(now, None, effects);
            }
        }
        Ok(())
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
