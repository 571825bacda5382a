//! The server's shell without sockets or threads: sessions, group commits, live fan-out, changes of grants.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use syncline_core::change::Mutation;
use syncline_core::engine::access::{access_of, touches_access};
use syncline_core::engine::{GroupPlan, PushReply, PushRequest, plan_group};
use syncline_core::id::{DeviceId, ScopeId, WorkspaceId};
use syncline_core::principal::{Access, Grants, Principal};
use syncline_core::protocol::{
    Batch, ClientFrame, CloseCode, Code, GrantAction, Hello, Problem, SchemaRef, ServerFrame, SyncPlan, Welcome, limits,
};
use syncline_core::schema::Schema;
use syncline_core::session::server::{
    catch_up, compare_instead, fetch, needs_whole, plan_session, render_batch, verify,
};
use syncline_core::storage::{MemoryStore, Read, Store, StoreResult};
use syncline_core::{Seq, TimestampMs};

use crate::disk::ServerDisk;
use crate::lens::Lens;
use crate::plant::Bug;
use crate::tamper;

/// What goes to a connection.
#[derive(Clone, Debug)]
pub enum Out {
    Frame(ServerFrame),
    Close(CloseCode),
}
pub type Outs = Vec<(u64, Out)>;

/// Where a commit is interrupted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CrashAt {
    BeforeCommit,
    BeforeSync,
    AfterSync,
    MidFanOut,
}

#[derive(Debug)]
pub struct Session {
    pub principal: Principal,
    pub access: Option<Access>,
    /// Whether live frames are sent: from the welcome until grants were added.
    pub is_live: bool,
    pub cursor: Seq,
    pub deposit: Option<Code>,
}

struct Waiting {
    conn: Option<u64>,
    request: PushRequest,
}

/// What a commit came to.
pub struct Committed {
    pub outs: Outs,
    pub has_crashed: bool,
}

pub struct Server {
    pub schema: Arc<Schema>,
    pub workspace: WorkspaceId,
    pub store: MemoryStore,
    /// As it was when the process started.
    at_start: MemoryStore,
    pub disk: ServerDisk,
    pub is_up: bool,
    pub sessions: BTreeMap<u64, Session>,
    waiting: Vec<Waiting>,
    /// Devices whose tokens are revoked.
    pub revoked: BTreeSet<DeviceId>,
    pub bug: Option<Bug>,
    pub snapshot_above: u64,
    pub splits_catch_up: bool,
}

impl Server {
    pub fn new(schema: Arc<Schema>, workspace: WorkspaceId, store: MemoryStore, bug: Option<Bug>) -> Self {
        Self {
            schema,
            workspace,
            at_start: store.clone(),
            disk: ServerDisk::new(store.clone()),
            store,
            is_up: true,
            sessions: BTreeMap::new(),
            waiting: Vec::new(),
            revoked: BTreeSet::new(),
            bug,
            snapshot_above: limits::SNAPSHOT_THRESHOLD,
            splits_catch_up: true,
        }
    }

    pub fn has_bug(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Reads the present state, as a planted bug sees it.
    pub fn read<T>(&self, work: impl FnOnce(&dyn Read) -> StoreResult<T>) -> T {
        let stale = self.has_bug(Bug::RevokeCached).then_some((&self.at_start, &self.workspace));
        let has_no_horizon = self.has_bug(Bug::TombstoneTooEarly);
        let through = |read: &dyn Read| work(&Lens { now: read, access_from: stale, has_no_horizon });
        self.store.read(&self.workspace, through).expect("a memory store answers")
    }

    pub fn head(&self) -> Seq {
        self.read(|read| read.head()).seq
    }

    fn access(&self, principal: &Principal) -> Option<Access> {
        let access = self.read(|read| access_of(&self.schema, &self.workspace, read, principal.user_id));
        match access {
            Some(access) if self.has_bug(Bug::NoPermissionOnPull) => Some(Access { grants: Grants::All, ..access }),
            access => access,
        }
    }

    /// Whether the session's user may read the scope now.
    pub fn may_read(&self, conn: u64, scope: &ScopeId) -> bool {
        let Some(session) = self.sessions.get(&conn) else { return false };
        self.access(&session.principal).is_some_and(|access| access.grants.includes(scope))
    }

    pub fn open(&mut self, conn: u64, principal: Principal) {
        let deposit = self.revoked.contains(&principal.device_id).then_some(Code::DeviceRevoked);
        self.sessions.insert(conn, Session { principal, access: None, is_live: false, cursor: 0, deposit });
    }

    pub fn close(&mut self, conn: u64) {
        self.sessions.remove(&conn);
    }

    /// Takes one frame. Pushes wait for the next commit.
    pub fn receive(&mut self, conn: u64, frame: ClientFrame, now_ms: TimestampMs) -> Outs {
        let Some(session) = self.sessions.get(&conn) else { return Vec::new() };
        let is_cut_off = session.deposit.is_some();
        match frame {
            ClientFrame::Hello(hello) => self.hello(conn, &hello, now_ms),
            ClientFrame::Push { mutations } => {
                self.push(Some(conn), session.principal.clone(), mutations, now_ms);
                Vec::new()
            }
            ClientFrame::Ack { outcomes_upto, .. } => {
                let client = session.principal.client_id;
                self.store.acknowledge(&self.workspace, &[(client, outcomes_upto)]).expect("the workspace exists");
                Vec::new()
            }
            ClientFrame::Verify { scope, ranges } if !is_cut_off && self.may_read(conn, &scope) => {
                let reply = self.read(|read| verify(read, &scope, &ranges));
                vec![(conn, Out::Frame(ServerFrame::VerifyReply(reply)))]
            }
            ClientFrame::Fetch { scope, records } if !is_cut_off && self.may_read(conn, &scope) => {
                vec![(conn, Out::Frame(self.read(|read| fetch(read, &scope, &records))))]
            }
            // The scope went while the question was on its way: the client is told by `grant`.
            ClientFrame::Verify { .. } | ClientFrame::Fetch { .. } => vec![(conn, Out::Close(CloseCode::Resync))],
            ClientFrame::Heartbeat {} => vec![(conn, Out::Frame(ServerFrame::HeartbeatAck { server_ms: now_ms }))],
            // Nothing of the change log.
            ClientFrame::Auth { .. }
            | ClientFrame::Sub { .. }
            | ClientFrame::Unsub { .. }
            | ClientFrame::Presence { .. }
            | ClientFrame::Inbox {}
            | ClientFrame::Msg(_)
            | ClientFrame::MsgAck { .. } => Vec::new(),
        }
    }

    /// Puts a request in line for the next commit.
    pub fn push(&mut self, conn: Option<u64>, principal: Principal, mutations: Vec<Mutation>, now_ms: TimestampMs) {
        let is_revoked = self.revoked.contains(&principal.device_id);
        let of_session = conn.and_then(|conn| self.sessions.get(&conn)).and_then(|session| session.deposit);
        let deposit = of_session.or(is_revoked.then_some(Code::DeviceRevoked));
        let request = PushRequest { principal, mutations, received_ms: now_ms, deposit };
        self.waiting.push(Waiting { conn, request });
    }

    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn hello(&mut self, conn: u64, hello: &Hello, now_ms: TimestampMs) -> Outs {
        let Some(session) = self.sessions.get(&conn) else { return Vec::new() };
        let principal = session.principal.clone();
        let mut outs: Outs = Vec::new();
        let older = self
            .sessions
            .iter()
            .filter(|(other, session)| **other != conn && session.principal.client_id == principal.client_id);
        let older: Vec<u64> = older.map(|(other, _)| *other).collect();
        outs.extend(older.into_iter().map(|other| (other, Out::Close(CloseCode::Replaced))));
        if hello.client_id != principal.client_id {
            outs.push((conn, Out::Close(CloseCode::Protocol)));
            return outs;
        }
        let access = self.access(&principal);
        let session = self.sessions.get_mut(&conn).expect("looked up above");
        let (None, Some(access)) = (session.deposit, access) else {
            let code = *session.deposit.get_or_insert(Code::DeviceRevoked);
            session.is_live = false;
            outs.push((conn, Out::Frame(ServerFrame::Purge { code, reason: "revoked".to_owned() })));
            return outs;
        };
        let mut plan = self.read(|read| plan_session(read, &access.grants, hello));
        let to = plan.head.seq;
        // A smaller threshold than the product's, so that small worlds download snapshots too.
        for scope in &mut plan.scopes {
            let digest = self.read(|read| read.scope_digest(&scope.id));
            let holds_nothing = !hello.scopes.iter().any(|held| held.id == scope.id && held.digest.count > 0);
            let is_whole = matches!(scope.plan, SyncPlan::CatchUp { from: 0, .. });
            if is_whole && holds_nothing && digest.count > self.snapshot_above {
                plan.catch_up.retain(|(id, _)| *id != scope.id);
                scope.plan = SyncPlan::Snapshot { url: format!("{}@{to}", scope.id), seq: to, count: digest.count };
            }
        }
        let held = (&plan.catch_up[..], to);
        let caught_up = self.read(|read| catch_up(&self.schema, read, &access.grants, held, usize::MAX));
        compare_instead(&mut plan, |scope| caught_up.left_out.contains(scope));
        let batches = caught_up.batches;
        let batches = if self.splits_catch_up { tamper::split_catch_up(self.bug, batches) } else { batches };
        let client = self.read(|read| read.client(hello.client_id));
        let outcomes = self.read(|read| read.outcomes_from(hello.client_id, hello.next_client_seq, 1_000));
        let welcome = Welcome {
            proto: 1,
            connection_id: conn.to_string(),
            backend_id: plan.head.backend_id,
            epoch: plan.head.epoch,
            server_ms: now_ms,
            applied_client_seq: client.map_or(0, |client| client.last_client_seq),
            head: to,
            schema: SchemaRef { version: self.schema.version, hash: self.schema.hash.clone() },
            heartbeat_ms: limits::HEARTBEAT_MS,
            window: limits::PUSH_WINDOW,
            scopes: plan.scopes,
            lease_until_ms: now_ms + 168 * 3_600_000,
            user_id: principal.user_id,
            role: access.role.clone(),
        };
        outs.push((conn, Out::Frame(ServerFrame::Welcome(welcome))));
        if !outcomes.is_empty() && !self.has_bug(Bug::OutcomesNotResent) {
            let outcomes = outcomes.into_iter().map(|stored| stored.outcome).collect();
            outs.push((conn, Out::Frame(ServerFrame::Outcomes { outcomes })));
        }
        outs.extend(batches.into_iter().map(|batch| (conn, Out::Frame(ServerFrame::Batch(batch)))));
        let session = self.sessions.get_mut(&conn).expect("looked up above");
        (session.access, session.is_live, session.cursor) = (Some(access), true, to);
        self.tampered(outs)
    }

    fn tampered(&self, outs: Outs) -> Outs {
        let Some(bug) = self.bug else { return outs };
        let tamper = |(conn, out)| match out {
            Out::Frame(frame) => tamper::frame(bug, frame).map(|frame| (conn, Out::Frame(frame))),
            close => Some((conn, close)),
        };
        outs.into_iter().filter_map(tamper).collect()
    }

    /// Plans what waits as one group, makes it durable, answers, and tells live sessions.
    pub fn commit(&mut self, crash: Option<CrashAt>, sync_fails: bool) -> Committed {
        let crashed = |outs| Committed { outs, has_crashed: true };
        if crash == Some(CrashAt::BeforeCommit) {
            return crashed(Vec::new());
        }
        let waiting = std::mem::take(&mut self.waiting);
        let mut requests: Vec<PushRequest> = waiting.iter().map(|waiting| waiting.request.clone()).collect();
        let plan = self.plan(&mut requests);
        if !plan.writes.is_empty() {
            self.store.apply(&self.workspace, &plan.writes).expect("the plan was made on this state");
            self.disk.append(&plan.writes);
        }
        let answers = self.answers(&waiting, &plan);
        if self.has_bug(Bug::AckBeforeFsync) && crash == Some(CrashAt::BeforeSync) {
            return crashed(answers);
        }
        if crash == Some(CrashAt::BeforeSync) {
            return crashed(Vec::new());
        }
        if !self.disk.sync(sync_fails) && !self.has_bug(Bug::FsyncErrorIgnored) {
            return crashed(Vec::new());
        }
        if crash == Some(CrashAt::AfterSync) {
            return crashed(Vec::new());
        }
        let mut outs = answers;
        let fan_out = self.fan_out(&plan);
        if crash == Some(CrashAt::MidFanOut) {
            let half = fan_out.len() / 2;
            outs.extend(fan_out.into_iter().take(half));
            return crashed(self.tampered(outs));
        }
        outs.extend(fan_out);
        Committed { outs: self.tampered(outs), has_crashed: false }
    }

    fn plan(&self, requests: &mut [PushRequest]) -> GroupPlan {
        self.read(|read| {
            let moved = match self.bug {
                Some(bug) => tamper::requests(bug, read, requests)?,
                None => Vec::new(),
            };
            let mut plan = plan_group(&self.schema, &self.workspace, read, requests)?;
            if let Some(bug) = self.bug {
                tamper::plan(bug, &read.head()?, &mut plan);
                tamper::replies(&moved, &mut plan.replies);
            }
            Ok(plan)
        })
    }

    fn answers(&self, waiting: &[Waiting], plan: &GroupPlan) -> Outs {
        let mut outs: Outs = Vec::new();
        for (waiting, reply) in waiting.iter().zip(&plan.replies) {
            let Some(conn) = waiting.conn.filter(|conn| self.sessions.contains_key(conn)) else { continue };
            let mut send = |frame| outs.push((conn, Out::Frame(frame)));
            match reply.clone() {
                PushReply::Outcomes(outcomes) => send(ServerFrame::Outcomes { outcomes }),
                PushReply::OutcomesThenGap { outcomes, expected } => {
                    if !outcomes.is_empty() {
                        send(ServerFrame::Outcomes { outcomes });
                    }
                    send(ServerFrame::OutOfOrder { expected });
                }
                PushReply::Refused(problem) => send(ServerFrame::Error { problem }),
            }
        }
        outs
    }

    /// Live batches for everybody, after those whose grants changed were told (spec GRT-1).
    fn fan_out(&mut self, plan: &GroupPlan) -> Outs {
        let mut outs: Outs = Vec::new();
        if plan.entries.iter().any(|entry| touches_access(entry)) && !self.has_bug(Bug::PermissionAtSubscribeOnly) {
            let conns: Vec<u64> = self.sessions.keys().copied().collect();
            conns.into_iter().for_each(|conn| self.regrant(conn, &mut outs));
        }
        let to = plan.writes.head;
        let conns: Vec<u64> = self.sessions.keys().copied().collect();
        for conn in conns {
            outs.extend(self.bring_up(conn, to, plan));
        }
        outs
    }

    fn regrant(&mut self, conn: u64, outs: &mut Outs) {
        let Some(session) = self.sessions.get(&conn).filter(|session| session.deposit.is_none()) else { return };
        let Some(was) = session.access.clone() else { return };
        let now = self.access(&session.principal);
        let existing: BTreeSet<ScopeId> = self.read(|read| read.scopes()).into_iter().map(|(scope, _)| scope).collect();
        let session = self.sessions.get_mut(&conn).expect("looked up above");
        let Some(now) = now else {
            session.deposit = Some(Code::DeviceRevoked);
            session.is_live = false;
            let purge = ServerFrame::Purge { code: Code::DeviceRevoked, reason: "revoked".to_owned() };
            outs.push((conn, Out::Frame(purge)));
            return;
        };
        let (before, after) = (scopes_of(&was.grants, &existing), scopes_of(&now.grants, &existing));
        let frame = |scope: &ScopeId, action| {
            (conn, Out::Frame(ServerFrame::Grant { scope: scope.clone(), action, reason: "changed".to_owned() }))
        };
        outs.extend(before.difference(&after).map(|scope| frame(scope, GrantAction::Remove)));
        let mut added = after.difference(&before).peekable();
        session.is_live &= added.peek().is_none();
        outs.extend(added.map(|scope| frame(scope, GrantAction::Add)));
        session.access = Some(now);
    }

    /// A live batch from the session's cursor to `to`, or a catch-up where a record moved into view.
    fn bring_up(&mut self, conn: u64, to: Seq, plan: &GroupPlan) -> Outs {
        let Some(session) = self.sessions.get(&conn) else { return Vec::new() };
        let Some(access) = session.access.clone().filter(|_| session.is_live && session.deposit.is_none()) else {
            return Vec::new();
        };
        if to <= session.cursor {
            return Vec::new();
        }
        let from = session.cursor;
        let batches: Vec<Batch> = if needs_whole(&plan.entries, &access.grants) {
            let existing: BTreeSet<ScopeId> = self.read(|read| read.scopes()).into_iter().map(|(s, _)| s).collect();
            let held: Vec<_> = scopes_of(&access.grants, &existing).into_iter().map(|scope| (scope, from)).collect();
            self.read(|read| catch_up(&self.schema, read, &access.grants, (&held, to), usize::MAX)).batches
        } else {
            vec![render_batch(&plan.entries, &plan.digests, &access.grants, (from, to))]
        };
        self.sessions.get_mut(&conn).expect("looked up above").cursor = to;
        batches.into_iter().map(|batch| (conn, Out::Frame(ServerFrame::Batch(batch)))).collect()
    }

    /// Cuts a device off on its open sockets (spec REV-1).
    pub fn revoke(&mut self, device: DeviceId) -> Outs {
        self.revoked.insert(device);
        let mut outs = Vec::new();
        for (conn, session) in &mut self.sessions {
            if session.principal.device_id == device && session.deposit.is_none() {
                session.deposit = Some(Code::DeviceRevoked);
                session.is_live = false;
                let purge = ServerFrame::Purge { code: Code::DeviceRevoked, reason: "revoked".to_owned() };
                outs.push((*conn, Out::Frame(purge)));
            }
        }
        outs
    }

    pub fn slow_down(conn: u64) -> (u64, Out) {
        (conn, Out::Frame(ServerFrame::SlowDown { retry_ms: 300 }))
    }

    pub fn unavailable(conn: u64) -> (u64, Out) {
        let problem = Problem { retry_ms: Some(400), ..Problem::new(Code::Unavailable, "try again") };
        (conn, Out::Frame(ServerFrame::Error { problem }))
    }

    /// The process dies: nothing but the disk is left.
    pub fn die(&mut self) {
        self.is_up = false;
        self.sessions.clear();
        self.waiting.clear();
    }

    /// A new process over what the disk has.
    pub fn start(&mut self) {
        self.store = self.disk.recover(&self.workspace, self.bug);
        self.at_start = self.store.clone();
        self.is_up = true;
    }

    /// Replaces everything by a backup, as an operator would: the next epoch begins.
    pub fn restore(&mut self, backup: &MemoryStore) {
        self.store = backup.clone().with_schema(self.schema.clone());
        if !self.has_bug(Bug::RestoreWithoutEpoch) {
            let head = self.store.read(&self.workspace, |read| read.head()).expect("the workspace exists");
            self.store.begin_epoch(&self.workspace, head.epoch + 1).expect("a restore is rarer than epochs");
        }
        self.disk.checkpoint(self.store.clone());
        self.at_start = self.store.clone();
    }

    pub fn compact(&mut self, upto: Seq) {
        self.store.compact(&self.workspace, upto).expect("the workspace exists");
        self.disk.checkpoint(self.store.clone());
    }

    pub fn change_schema(&mut self, schema: Arc<Schema>) {
        self.schema = schema.clone();
        self.store = self.store.clone().with_schema(schema);
        self.disk.checkpoint(self.store.clone());
    }
}

pub fn scopes_of(grants: &Grants, existing: &BTreeSet<ScopeId>) -> BTreeSet<ScopeId> {
    match grants {
        Grants::All => existing.clone(),
        Grants::Scopes(scopes) => scopes.clone(),
    }
}
