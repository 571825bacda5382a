//! `hello` → `welcome`, stored outcomes, catch-up (spec §9), and the smaller requests of a replica.

use std::sync::Arc;
use std::time::Instant;

use syncline_core::change::{Mutation, Outcome};
use syncline_core::engine::PushRequest;
use syncline_core::engine::access::access_of;
use syncline_core::id::{RecordId, ScopeId, WorkspaceId};
use syncline_core::principal::Access;
use syncline_core::protocol::{
    CloseCode, Code, Hello, Problem, Range, SchemaRef, ScopePlan, ServerFrame, SyncPlan, Welcome, limits,
};
use syncline_core::schema::Schema;
use syncline_core::session::server::{CatchUp, SessionPlan, catch_up, compare_instead, fetch, plan_session, verify};
use syncline_core::storage::{ClientState, Read, StoreError, StoreResult};
use syncline_core::{Name, Seq, Value};
use syncline_storage::sqlite::ClientStatus;
use tokio::sync::oneshot;

use super::frames::malformed;
use super::session::{End, Session};
use crate::app::{CATCH_UP_BYTES_MAX, Room};
use crate::clock;
use crate::engine::PushJob;
use crate::hub::Encoded;
use crate::observe::{Sample, Status, SyncOperation};

/// Outcomes of one frame.
const OUTCOMES_PER_FRAME: usize = 200;
/// Offline lease when the workspace does not say; hours.
const LEASE_HOURS: u64 = 168;

/// Everything a `hello` is answered with, read at one seq.
struct Planned {
    access: Option<Access>,
    /// The client id was first used by somebody else (spec ID-2): nothing of it may be told.
    is_foreign: bool,
    plan: SessionPlan,
    applied_client_seq: u64,
    outcomes: Vec<Outcome>,
    catch_up: Vec<Encoded>,
    lease_ms: u64,
}

/// A plan with the room its frames take until they are sent.
struct Held {
    planned: Planned,
    _room: Option<Room>,
}

impl Session {
    pub(super) async fn hello(&mut self, hello: Hello) -> Result<(), End> {
        let started = clock::instant();
        if self.deposit.is_some() {
            return self.hello_in_deposit(hello.pending_count).await;
        }
        if let Some(problem) = self.refusal(&hello) {
            return self.malformed(problem).await;
        }
        if hello.proto[0] > limits::PROTO_MAX || hello.proto[1] < limits::PROTO_MIN {
            let text = format!("This server speaks protocol {} to {}.", limits::PROTO_MIN, limits::PROTO_MAX);
            let problem = Problem::new(Code::ProtoUnsupported, text);
            self.socket.send(&ServerFrame::Error { problem }).await?;
            return Err(End::Close(CloseCode::ProtoUnsupported, "no common protocol version"));
        }
        let hello = Arc::new(hello);
        let held = match self.plan(&hello).await {
            Ok(held) => held,
            Err(error) => return self.plan_failed(&error, started).await,
        };
        let planned = &held.planned;
        if planned.is_foreign {
            let message = "This client id belongs to another user or device: mint a new one for this database.";
            self.socket.send(&ServerFrame::Error { problem: Problem::new(Code::Forbidden, message) }).await?;
            return Err(End::Close(CloseCode::BackendMismatch, "foreign client id"));
        }
        let Some(access) = planned.access.clone() else {
            return self.begin_deposit(Code::DeviceRevoked, "You are not a member of this workspace.").await;
        };
        if hello.backend_id.is_some_and(|backend_id| backend_id != planned.plan.head.backend_id) {
            let message = "This replica was filled from another server. Nothing was changed on either side.";
            self.socket.send(&ServerFrame::Error { problem: Problem::new(Code::BackendMismatch, message) }).await?;
            return Err(End::Close(CloseCode::BackendMismatch, "another backend"));
        }
        self.count_sync(SyncOperation::Hello, Status::Ok, started.elapsed());
        self.report(&hello, planned);
        let is_compared = |scope: &&ScopePlan| matches!(scope.plan, SyncPlan::Reconcile { .. });
        self.compared = planned.plan.scopes.iter().filter(is_compared).map(|scope| scope.id.clone()).collect();
        self.welcome(held, access).await
    }

    /// What makes a hello contradict its connection.
    fn refusal(&self, hello: &Hello) -> Option<Problem> {
        let identity = self.identity.as_ref()?;
        if hello.client_id != self.client_id || hello.deployment_mode != self.mode {
            return Some(malformed(
                "`hello` names another client_id or deployment_mode than the connection's address.",
            ));
        }
        let is_same_device = hello.device_id == identity.principal.device_id;
        (!is_same_device).then(|| malformed("`hello` names another device_id than the access token."))
    }

    /// Joins the audience first and reads afterwards, so that between the two nothing is missed; then makes sure that what
    /// was read belongs to the access that was joined with.
    async fn plan(&mut self, hello: &Arc<Hello>) -> StoreResult<Held> {
        let turn = self.app.catch_ups.clone().acquire_owned().await;
        let Some(identity) = &mut self.identity else { return Err(not_registered()) };
        let workspace_id = identity.principal.workspace_id.clone();
        let user = identity.principal.user_id;
        let hub = Arc::clone(identity.registered.hub());
        self.app.anchor(&workspace_id, &hub).await?;
        let mut expected: Option<Access> = None;
        loop {
            let version = identity.registered.hub().access_version();
            // Read before joining: a signal from here on is looked at after the welcome.
            let regrants_seen = identity.registered.signals.borrow().regrants;
            if let Some(access) = &expected
                && !identity.registered.join(access, version)
            {
                continue;
            }
            let (schema, workspace, hello) = (self.app.schema(), workspace_id.clone(), Arc::clone(hello));
            let (known, device) = (expected.clone(), identity.principal.device_id);
            let read = move |read: &dyn Read| {
                let access = access_of(&schema, &workspace, read, user)?;
                if access.is_some() && access != known {
                    return Ok(Err(access));
                }
                let client = read.client(hello.client_id)?;
                let is_foreign =
                    client.as_ref().is_some_and(|client| (client.user_id, client.device_id) != (user, device));
                let access = access.filter(|_| !is_foreign);
                let asked = Asked { schema: &schema, workspace: &workspace, hello: &hello };
                let planned = plan_all(&asked, read, access, client.filter(|_| !is_foreign))?;
                Ok(Ok(Planned { is_foreign, ..planned }))
            };
            match self.app.db.read(&workspace_id, read).await? {
                Ok(mut planned) => {
                    self.regrants_seen = regrants_seen;
                    // Others compute while this one waits.
                    drop(turn);
                    let room = self.app.room_for(&planned.catch_up).await;
                    if room.is_none() {
                        planned.catch_up = Vec::new();
                        compare_instead(&mut planned.plan, |_| true);
                    }
                    return Ok(Held { planned, _room: room });
                }
                Err(access) => expected = access,
            }
        }
    }

    async fn plan_failed(&mut self, error: &StoreError, started: Instant) -> Result<(), End> {
        self.count_sync(SyncOperation::Hello, Status::Failed, started.elapsed());
        tracing::warn!(event = "hello_failed", %error, "a hello could not be planned");
        if let Some(identity) = &mut self.identity {
            identity.registered.unjoin();
        }
        self.socket.send(&ServerFrame::Error { problem: unavailable() }).await?;
        Err(End::Close(CloseCode::Resync, "the store is not available"))
    }

    async fn welcome(&mut self, held: Held, access: Access) -> Result<(), End> {
        let Held { planned, _room } = held;
        let schema = self.app.schema();
        let Some(identity) = &self.identity else { return Ok(()) };
        let head = planned.plan.head.seq;
        let now = clock::now_ms();
        let welcome = ServerFrame::Welcome(Welcome {
            proto: limits::PROTO_MAX,
            connection_id: self.connection_id.to_string(),
            backend_id: planned.plan.head.backend_id,
            epoch: planned.plan.head.epoch,
            server_ms: now,
            applied_client_seq: planned.applied_client_seq,
            head,
            schema: SchemaRef { version: schema.version, hash: schema.hash.clone() },
            heartbeat_ms: self.app.config.sockets.heartbeat_ms,
            window: limits::PUSH_WINDOW,
            scopes: planned.plan.scopes,
            lease_until_ms: now.saturating_add(planned.lease_ms),
            user_id: identity.principal.user_id,
            role: access.role.clone(),
        });
        let mut frames = vec![Encoded::new(&welcome)];
        for outcomes in planned.outcomes.chunks(OUTCOMES_PER_FRAME) {
            frames.push(Encoded::new(&ServerFrame::Outcomes { outcomes: outcomes.to_vec() }));
        }
        self.socket.send_all(&frames).await?;
        let (started, has_catch_up) = (clock::instant(), !planned.catch_up.is_empty());
        // Flushed one by one, so that a slow peer is noticed by its frame and not by its whole catch-up.
        for frame in planned.catch_up {
            if self.is_cut_off() {
                return Ok(());
            }
            self.socket.send_all(&[frame]).await?;
        }
        if has_catch_up {
            self.count_sync(SyncOperation::CatchUp, Status::Ok, started.elapsed());
        }
        self.access = Some(access);
        if let Some(identity) = &self.identity {
            identity.registered.seat.set_cursor(head);
            identity.registered.want(head);
        }
        self.send_live().await
    }

    fn report(&mut self, hello: &Hello, planned: &Planned) {
        let Some(identity) = &self.identity else { return };
        let held = hello.scopes.iter().map(|scope| scope.seq).min();
        let has_pending = hello.pending_count > 0;
        let report = ClientStatus {
            workspace_id: identity.principal.workspace_id.clone(),
            client_id: self.client_id,
            device_id: identity.principal.device_id,
            epoch: planned.plan.head.epoch,
            cursor: held.unwrap_or(0).min(planned.plan.head.seq),
            pending_count: hello.pending_count,
            oldest_pending_ms: has_pending.then_some(hello.oldest_pending_age_ms),
            reported_ms: clock::now_ms(),
        };
        self.report = Some(report.clone());
        self.app.reports.hello(report);
    }

    pub(super) fn ack(&self, seq: Seq, outcomes_upto: u64) {
        // Before its `hello` was accepted nobody speaks for a client.
        let (Some(identity), Some(report)) = (&self.identity, &self.report) else { return };
        let workspace_id = identity.principal.workspace_id.clone();
        self.app.writer.acknowledge(workspace_id, self.client_id, outcomes_upto);
        self.app.reports.ack(report, seq, clock::now_ms());
    }

    pub(super) async fn push(&mut self, mutations: Vec<Mutation>) -> Result<(), End> {
        if mutations.is_empty() || mutations.len() > limits::MUTATIONS_PER_PUSH_MAX {
            let text = format!("A push carries 1 to {} mutations.", limits::MUTATIONS_PER_PUSH_MAX);
            return self.malformed(malformed(&text)).await;
        }
        if !mutations.windows(2).all(|pair| pair[1].client_seq == pair[0].client_seq.saturating_add(1)) {
            return self.malformed(malformed("The mutations of a push have consecutive client_seq.")).await;
        }
        let Some(identity) = &self.identity else { return Ok(()) };
        let request = PushRequest {
            principal: identity.principal.clone(),
            mutations,
            received_ms: clock::now_ms(),
            deposit: self.deposit.as_ref().map(|deposit| deposit.code),
        };
        let (reply, decision) = oneshot::channel();
        match self.app.writer.submit(PushJob { request, precondition: None, reply }) {
            Ok(()) => self.pushes.wait_for(decision),
            Err(busy) => self.pushes.slow_down(busy.retry_ms),
        }
        Ok(())
    }

    pub(super) async fn verify(&mut self, scope: ScopeId, ranges: Vec<Range>) -> Result<(), End> {
        if ranges.len() > limits::VERIFY_RANGES_MAX {
            let text = format!("A verify asks about at most {} ranges.", limits::VERIFY_RANGES_MAX);
            return self.malformed(malformed(&text)).await;
        }
        let (asked, started) = (scope.clone(), clock::instant());
        let is_first = ranges.len() == 1 && ranges[0].lo == RecordId::NIL;
        let answer = self.read_in_scope(&scope, move |read| verify(read, &asked, &ranges)).await;
        if let Ok(Some(reply)) = &answer
            && is_first
            && (!reply.split.is_empty() || !reply.rows.is_empty())
        {
            self.count_mismatch(&scope);
        }
        self.reply((SyncOperation::Verify, started), &scope, answer.map(|reply| reply.map(ServerFrame::VerifyReply)))
            .await
    }

    pub(super) async fn fetch(&mut self, scope: ScopeId, records: Vec<(Name, RecordId)>) -> Result<(), End> {
        if records.len() > limits::FETCH_RECORDS_MAX {
            let text = format!("A fetch names at most {} records.", limits::FETCH_RECORDS_MAX);
            return self.malformed(malformed(&text)).await;
        }
        let (asked, started) = (scope.clone(), clock::instant());
        let answer = self.read_in_scope(&scope, move |read| fetch(read, &asked, &records)).await;
        if let Ok(Some(ServerFrame::Records { records, .. })) = &answer {
            self.app.metrics.sync.repaired_records.inc_by(records.len() as u64);
        }
        self.reply((SyncOperation::Fetch, started), &scope, answer).await
    }

    /// The replica disagrees with the server about a scope. Where the plan was to compare, that is no surprise.
    fn count_mismatch(&self, scope: &ScopeId) {
        let Some(identity) = self.identity.as_ref().filter(|_| !self.compared.contains(scope)) else { return };
        let principal = &identity.principal;
        self.app.metrics.sync.digest_mismatches.inc();
        self.app.metrics.windows.record(&principal.workspace_id, clock::now_ms(), &Sample::mismatch());
        tracing::warn!(event = "digest_mismatch", workspace_id = %principal.workspace_id, user_id = %principal.user_id,
            device_id = %principal.device_id, %scope, "a replica differs from the server and is being repaired");
    }

    /// Reads about a scope the user is granted at that moment; `None`: they are not.
    async fn read_in_scope<T: Send + 'static>(
        &mut self,
        scope: &ScopeId,
        work: impl FnOnce(&dyn Read) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<Option<T>> {
        let Some(identity) = &self.identity else { return Ok(None) };
        if self.deposit.is_some() {
            return Ok(None);
        }
        let _turn = self.app.catch_ups.clone().acquire_owned().await;
        let (schema, user, scope) = (self.app.schema(), identity.principal.user_id, scope.clone());
        let workspace_id = identity.principal.workspace_id.clone();
        let workspace = workspace_id.clone();
        let read = move |read: &dyn Read| {
            let access = access_of(&schema, &workspace, read, user)?;
            let is_granted = access.is_some_and(|access| access.grants.includes(&scope));
            if is_granted { work(read).map(Some) } else { Ok(None) }
        };
        self.app.db.read(&workspace_id, read).await
    }

    async fn reply(
        &mut self,
        (operation, started): (SyncOperation, Instant),
        scope: &ScopeId,
        answer: StoreResult<Option<ServerFrame>>,
    ) -> Result<(), End> {
        // A client tells answers to its questions from answers to its pushes by the scope (spec REP-5).
        let about = |problem: Problem| Problem { scope: Some(scope.clone()), ..problem };
        let (status, frame) = match answer {
            Ok(Some(frame)) => (Status::Ok, frame),
            Ok(None) => {
                let problem = Problem::new(Code::Forbidden, "This scope is not granted to you.");
                (Status::Refused, ServerFrame::Error { problem: about(problem) })
            }
            Err(error) => {
                tracing::warn!(event = "read_failed", ?operation, %error, "a replica's question could not be answered");
                (Status::Failed, ServerFrame::Error { problem: about(unavailable()) })
            }
        };
        self.count_sync(operation, status, started.elapsed());
        Ok(self.socket.send(&frame).await?)
    }
}

struct Asked<'a> {
    schema: &'a Schema,
    workspace: &'a WorkspaceId,
    hello: &'a Hello,
}

/// Without access nothing is granted; without a client there are no outcomes.
fn plan_all(
    asked: &Asked<'_>,
    read: &dyn Read,
    access: Option<Access>,
    client: Option<ClientState>,
) -> StoreResult<Planned> {
    let Asked { schema, workspace, hello } = *asked;
    let nothing = syncline_core::principal::Grants::Scopes(std::collections::BTreeSet::new());
    let grants = access.as_ref().map_or(&nothing, |access| &access.grants);
    let mut plan = plan_session(read, grants, hello)?;
    let held = (&plan.catch_up[..], plan.head.seq);
    let CatchUp { batches, left_out } = catch_up(schema, read, grants, held, CATCH_UP_BYTES_MAX)?;
    compare_instead(&mut plan, |scope| left_out.contains(scope));
    let has_catch_up = plan.scopes.iter().any(|scope| matches!(scope.plan, SyncPlan::CatchUp { .. }));
    let catch_up = if has_catch_up {
        batches.into_iter().map(|batch| Encoded::new(&ServerFrame::Batch(batch))).collect()
    } else {
        Vec::new()
    };
    let outcomes = if client.is_some() { stored_outcomes(read, hello)? } else { Vec::new() };
    Ok(Planned {
        applied_client_seq: client.map_or(0, |client| client.last_client_seq),
        outcomes,
        is_foreign: false,
        lease_ms: lease_hours(workspace, read)? * 3_600_000,
        access,
        plan,
        catch_up,
    })
}

fn stored_outcomes(read: &dyn Read, hello: &Hello) -> StoreResult<Vec<Outcome>> {
    const PAGE: usize = 1_000;
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut next = hello.next_client_seq;
    loop {
        let page = read.outcomes_from(hello.client_id, next, PAGE)?;
        let is_last = page.len() < PAGE;
        outcomes.extend(page.into_iter().map(|stored| stored.outcome));
        match outcomes.last() {
            Some(last) if !is_last => next = last.client_seq + 1,
            Some(_) | None => return Ok(outcomes),
        }
    }
}

/// The workspace's offline lease; its record has the natural id of its slug.
fn lease_hours(workspace: &WorkspaceId, read: &dyn Read) -> StoreResult<u64> {
    let id = RecordId::natural(workspace, "workspaces", workspace.as_str());
    let record = read.record("workspaces", id)?;
    let hours = record.and_then(|record| record.fields.get("offline_lease_hours").and_then(Value::as_u64));
    Ok(hours.unwrap_or(LEASE_HOURS))
}

fn unavailable() -> Problem {
    let mut problem = Problem::new(Code::Unavailable, "The store is not available right now. Try again in a moment.");
    problem.retry_ms = Some(crate::random::between(500, 3_000));
    problem
}

fn not_registered() -> StoreError {
    StoreError::Unavailable("the session is not registered".to_owned())
}
