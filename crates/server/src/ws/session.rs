//! One session: everything that happens between the upgrade and the close, in one task.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use syncline_core::id::{ClientId, ScopeId};
use syncline_core::principal::{Access, DeploymentMode, Principal};
use syncline_core::protocol::{ClientFrame, CloseCode, Code, Problem, ServerFrame};
use syncline_storage::sqlite::ClientStatus;
use tracing::Instrument as _;
use uuid::Uuid;

use super::channels::Owner;
use super::deposit::Deposit;
use super::frames::{Allowance, kind_of, malformed, parse};
use super::messages::{Mail, Stored, can_read, next_stored};
use super::pushes::{Answered, Pushes};
use super::socket::{Gone, Received, Socket};
use super::tally::{Tally, Transport};
use crate::analytics::Whose;
use crate::app::App;
use crate::auth::{AuthError, Claims, Verified};
use crate::bus::PresenceEntry;
use crate::clock;
use crate::hub::{Admission, Full, Registered, SessionInfo, Signals, Unregistered};
use crate::observe::{AuthOperation, Status, SyncOperation, mode_text};
use crate::presence::Present;

/// What the upgrade knew.
pub struct Opened {
    pub mode: DeploymentMode,
    pub transport: Transport,
    pub client_id: ClientId,
    /// The upgrade carried a credential.
    pub verified: Option<Verified>,
    pub admission: Admission,
    /// Told who is behind the session when that is known.
    pub owner: Owner,
}

/// Why a session ends.
pub enum End {
    /// The peer is gone; nothing to say.
    Gone,
    /// The peer said goodbye.
    Left,
    Close(CloseCode, &'static str),
    TooBig,
}

impl From<Gone> for End {
    fn from(_: Gone) -> Self {
        End::Gone
    }
}

pub struct Session {
    pub(super) app: Arc<App>,
    pub(super) socket: Socket,
    pub(super) mode: DeploymentMode,
    pub(super) client_id: ClientId,
    pub(super) connection_id: Uuid,
    pub(super) identity: Option<Identity>,
    owner: Owner,
    pub(super) pushes: Pushes,
    /// Made with the first word about messages.
    pub(super) mail: Option<Box<Mail>>,
    pub(super) access: Option<Access>,
    /// As read from the store for a session that has not said `hello`, with the hub's version of access then.
    pub(super) read_access: Option<Box<(u64, Access)>>,
    /// Regrants that have been dealt with.
    pub(super) regrants_seen: u64,
    presence_checks_seen: u64,
    /// Regrants after which topics and presence were looked at; a `hello` does not.
    topics_checked: u64,
    syncs_seen: u64,
    pub(super) deposit: Option<Deposit>,
    /// What the client last said of itself.
    pub(super) report: Option<ClientStatus>,
    /// Scopes that the last `welcome` asked to compare by ranges.
    pub(super) compared: BTreeSet<ScopeId>,
    allowance: Allowance,
    pub(super) tally: Tally,
    pub(super) opened: Instant,
    heard: Instant,
    admission: Admission,
}

/// Who is behind the socket.
pub struct Identity {
    pub principal: Principal,
    pub registered: Registered,
    pub present: Present,
    /// When the access token expires; milliseconds since the Unix epoch.
    expires_ms: u64,
}

/// Runs a socket from its opening to its close.
pub async fn run(app: Arc<App>, socket: Socket, opened: Opened) {
    let now = clock::instant();
    let connection_id = crate::random::uuid_v7();
    let span = tracing::info_span!("session", %connection_id, deployment_mode = mode_text(opened.mode), user_id = tracing::field::Empty);
    let mut session = Session {
        socket,
        mode: opened.mode,
        client_id: opened.client_id,
        connection_id,
        identity: None,
        owner: opened.owner,
        pushes: Pushes::default(),
        mail: None,
        access: None,
        read_access: None,
        regrants_seen: 0,
        presence_checks_seen: 0,
        topics_checked: 0,
        syncs_seen: 0,
        deposit: None,
        report: None,
        compared: BTreeSet::new(),
        allowance: Allowance::new(app.config.sockets.frames_per_second_max, now),
        tally: Tally::new(opened.transport),
        opened: now,
        heard: now,
        admission: opened.admission,
        app,
    };
    async move {
        let end = match session.live(opened.verified).await {
            Ok(()) => End::Gone,
            Err(end) => end,
        };
        Box::pin(session.finish(end)).await;
    }
    .instrument(span)
    .await;
}

/// What the loop woke up for.
enum Event {
    Received(Received),
    Answered(Answered),
    Stored(Stored),
    Live,
    Signals,
    Deadline,
}

impl Session {
    async fn live(&mut self, verified: Option<Verified>) -> Result<(), End> {
        match verified {
            Some(verified) => Box::pin(self.authenticated(verified)).await?,
            None => Box::pin(self.wait_for_auth()).await?,
        }
        loop {
            let event = self.next_event().await;
            // Boxed, so that a session that waits has no room for what it might do.
            Box::pin(self.handle(event)).await?;
        }
    }

    /// Until the peer has said who it is. Meanwhile its place may go to a newer socket (HUB-4).
    async fn wait_for_auth(&mut self) -> Result<(), End> {
        let yielded = self.admission.yielded();
        while self.identity.is_none() {
            let event = tokio::select! {
                event = self.next_event() => event,
                () = yielded.cancelled() => return self.overloaded(Full::Unauthenticated).await,
            };
            Box::pin(self.handle(event)).await?;
        }
        Ok(())
    }

    async fn overloaded(&mut self, full: Full) -> Result<(), End> {
        let mut problem = Problem::new(Code::Overloaded, full.message());
        problem.retry_ms = Some(crate::random::between(1_000, 10_000));
        self.socket.send(&ServerFrame::Error { problem }).await?;
        Err(End::Close(CloseCode::Overloaded, "too many connections"))
    }

    async fn handle(&mut self, event: Event) -> Result<(), End> {
        match event {
            Event::Received(received) => self.received(received).await,
            Event::Answered(answered) => self.answered(answered).await,
            Event::Stored(stored) => self.stored(stored).await,
            Event::Live => self.send_live().await,
            Event::Signals => self.signalled().await,
            Event::Deadline => self.check_deadlines().await,
        }
    }

    async fn next_event(&mut self) -> Event {
        let deadline = tokio::time::Instant::from_std(self.next_deadline());
        let can_read = !self.pushes.is_full() && can_read(self.mail.as_deref());
        let is_served = self.deposit.is_none();
        let mut registered = self.identity.as_mut().map(|identity| &mut identity.registered);
        let is_due = is_served && registered.as_ref().is_some_and(|registered| !registered.park());
        // Fair: what is due for sending must not keep the others waiting.
        let event = tokio::select! {
            () = std::future::ready(()), if is_due => Event::Live,
            event = hub_event(registered.as_deref_mut()) => event,
            answered = self.pushes.next() => Event::Answered(answered),
            stored = next_stored(self.mail.as_deref_mut()) => Event::Stored(stored),
            received = self.socket.receive(), if can_read => Event::Received(received),
            () = tokio::time::sleep_until(deadline) => Event::Deadline,
        };
        if let Some(registered) = registered {
            registered.seat.unpark();
        }
        event
    }

    /// Whether a signal says that nothing more is for this session; its handling comes next (spec REV-1).
    pub(super) fn is_cut_off(&self) -> bool {
        let signals = self.identity.as_ref().map(|identity| identity.registered.signals.borrow());
        signals.is_some_and(|signals| signals.purge.is_some() || signals.is_replaced)
    }

    /// The next moment at which something is due although nothing happens.
    fn next_deadline(&self) -> Instant {
        let sockets = &self.app.config.sockets;
        let dead = self.heard + Duration::from_millis(sockets.connection_timeout_ms);
        let first = match &self.identity {
            None => self.opened + Duration::from_millis(sockets.auth_deadline_ms),
            Some(_) if self.deposit.is_some() => dead,
            Some(identity) => {
                let left_ms = identity.expires_ms.saturating_sub(clock::now_ms());
                clock::instant() + Duration::from_millis(left_ms.min(sockets.connection_timeout_ms))
            }
        };
        let first = first.min(dead).min(self.mail_deadline().unwrap_or(dead));
        self.deposit.as_ref().map_or(first, |deposit| first.min(deposit.ends))
    }

    async fn check_deadlines(&mut self) -> Result<(), End> {
        self.check_in_flight().await?;
        let (now, sockets) = (clock::instant(), &self.app.config.sockets);
        if now.saturating_duration_since(self.heard) >= Duration::from_millis(sockets.connection_timeout_ms) {
            return Err(End::Close(CloseCode::Dead, "nothing was heard for too long"));
        }
        if self.deposit.as_ref().is_some_and(|deposit| now >= deposit.ends) {
            return self.end_deposit().await;
        }
        match &self.identity {
            None if now.saturating_duration_since(self.opened) >= Duration::from_millis(sockets.auth_deadline_ms) => {
                let problem = Problem::new(Code::Unauthenticated, "Send `auth` with an access token within 10 s.");
                self.socket.send(&ServerFrame::Error { problem }).await?;
                Err(End::Close(CloseCode::AuthTimeout, "no credential in time"))
            }
            Some(identity) if self.deposit.is_none() && identity.expires_ms <= clock::now_ms() => {
                let problem = AuthError::TokenExpired.problem();
                self.socket.send(&ServerFrame::Error { problem }).await?;
                Err(End::Close(CloseCode::AuthTimeout, "the access token has expired"))
            }
            Some(_) | None => Ok(()),
        }
    }

    async fn received(&mut self, received: Received) -> Result<(), End> {
        self.heard = clock::instant();
        self.tell_usage(self.heard);
        if !self.allowance.take_frame(self.heard) {
            let mut problem = Problem::new(Code::RateLimited, "Too many frames. Come back slower.");
            problem.retry_ms = Some(crate::random::between(5_000, 15_000));
            self.socket.send(&ServerFrame::Error { problem }).await?;
            return Err(End::Close(CloseCode::Overloaded, "too many frames"));
        }
        match received {
            Received::Text(text) => self.frame(&text).await,
            Received::Binary => self.malformed(malformed("Frames are text messages holding JSON.")).await,
            // A peer that pings and does not read must not make pongs gather: they go out, or the write runs out of time.
            Received::Control => Ok(self.socket.send_wire(&[]).await?),
            Received::TooBig => Err(End::TooBig),
            Received::Closed => Err(End::Left),
            Received::Gone => Err(End::Gone),
        }
    }

    async fn frame(&mut self, text: &str) -> Result<(), End> {
        self.tally.frames_in += 1;
        let frame = match parse(text) {
            Ok(frame) => frame,
            Err(message) => return self.malformed(malformed(&message)).await,
        };
        tracing::debug!(target: "frames", event = "frame_in", kind = %kind_of(text), bytes = text.len(), "a frame came");
        if let ClientFrame::Auth { token } = &frame {
            return self.auth(token).await;
        }
        if self.identity.is_none() {
            let problem = Problem::new(Code::Unauthenticated, "Send `auth` with an access token first.");
            self.socket.send(&ServerFrame::Error { problem }).await?;
            return Err(End::Close(CloseCode::Unauthenticated, "not authenticated"));
        }
        match frame {
            ClientFrame::Auth { .. } => Ok(()),
            ClientFrame::Hello(hello) => self.hello(hello).await,
            ClientFrame::Push { mutations } => self.push(mutations).await,
            ClientFrame::Ack { seq, outcomes_upto } => {
                self.ack(seq, outcomes_upto);
                Ok(())
            }
            ClientFrame::Verify { scope, ranges } => self.verify(scope, ranges).await,
            ClientFrame::Fetch { scope, records } => self.fetch(scope, records).await,
            ClientFrame::Sub { topic } => self.sub(topic).await,
            ClientFrame::Unsub { topic } => self.unsub(topic).await,
            ClientFrame::Presence { record, is_editing } => self.presence(record, is_editing).await,
            ClientFrame::Inbox {} => self.inbox().await,
            ClientFrame::Msg(message) => self.msg(message).await,
            ClientFrame::MsgAck { ids } => self.msg_ack(ids).await,
            ClientFrame::Heartbeat {} => {
                Ok(self.socket.send(&ServerFrame::HeartbeatAck { server_ms: clock::now_ms() }).await?)
            }
        }
    }

    /// Answers a frame that breaks the protocol; too many of them end the session (spec ERR-2).
    pub(super) async fn malformed(&mut self, problem: Problem) -> Result<(), End> {
        self.app.metrics.hub.malformed_frames.inc();
        self.socket.send(&ServerFrame::Error { problem }).await?;
        if self.allowance.take_malformed(clock::instant()) {
            return Ok(());
        }
        Err(End::Close(CloseCode::Protocol, "too many malformed frames"))
    }

    /// `auth` as the first frame, or again with a fresh token of the same device.
    async fn auth(&mut self, token: &str) -> Result<(), End> {
        match self.app.auth.verify_for_socket(token) {
            Ok(verified) => {
                self.app.metrics.count_auth(AuthOperation::Token, Status::Ok);
                self.authenticated(verified).await
            }
            Err(error) => {
                self.app.metrics.count_auth(AuthOperation::Token, Status::Refused);
                self.socket.send(&ServerFrame::Error { problem: error.problem() }).await?;
                Err(End::Close(CloseCode::Unauthenticated, "the credential was refused"))
            }
        }
    }

    async fn authenticated(&mut self, verified: Verified) -> Result<(), End> {
        let (claims, expires_ms) = (&verified.claims, verified.expires_ms());
        let principal = Principal {
            workspace_id: claims.workspace_id.clone(),
            user_id: claims.sub,
            device_id: claims.device_id,
            client_id: self.client_id,
            is_server: false,
        };
        if let Some(identity) = &mut self.identity {
            if identity.principal != principal {
                let problem = Problem::new(Code::Forbidden, "This connection belongs to another user or device.");
                self.socket.send(&ServerFrame::Error { problem }).await?;
                return Err(End::Close(CloseCode::Unauthenticated, "another identity"));
            }
            identity.expires_ms = expires_ms;
            identity.registered.renew(claims.sid);
            if verified.is_deposit {
                return self.begin_deposit(Code::DeviceRevoked, "This device has been revoked.").await;
            }
            return self.check_sign_in(&verified.claims).await;
        }
        if let Err(full) = self.admission.confirm(&self.app.hub.connections) {
            return self.overloaded(full).await;
        }
        let info = SessionInfo {
            connection_id: self.connection_id,
            user_id: claims.sub,
            device_id: claims.device_id,
            client_id: self.client_id,
            deployment_mode: self.mode,
            sid: claims.sid,
            since_ms: clock::now_ms(),
        };
        let user_max = self.app.config.sockets.user_connections_max;
        let hub = self.app.hub.workspace(&claims.workspace_id);
        let registered = match hub.register(info, self.socket.outlet(), user_max) {
            Ok(registered) => registered,
            Err(Unregistered::UserFull) => return self.overloaded(Full::User).await,
            Err(Unregistered::ForeignClient) => {
                let message = "This client id belongs to another user or device: mint a new one for this database.";
                self.socket.send(&ServerFrame::Error { problem: Problem::new(Code::Forbidden, message) }).await?;
                return Err(End::Close(CloseCode::BackendMismatch, "foreign client id"));
            }
        };
        self.socket.obey(registered.signals.clone());
        let user_id = principal.user_id;
        tracing::Span::current().record("user_id", tracing::field::display(user_id));
        tracing::debug!(event = "session_opened", %user_id, client_id = %self.client_id, "a session is authenticated");
        let present = self.app.presence.enter(&principal.workspace_id, self.presence_entry(&principal));
        let _ = self.owner.set((principal.workspace_id.clone(), user_id));
        self.identity = Some(Identity { principal, registered, present, expires_ms });
        if verified.is_deposit {
            return self.begin_deposit(Code::DeviceRevoked, "This device has been revoked.").await;
        }
        if self.app.hub.is_draining() {
            return self.drain(crate::random::between(500, 2_000)).await;
        }
        // Revoked between the check of the token and this moment: the signal came before there was anybody to hear it.
        let is_revoked = self.app.auth.revocations.is_device_revoked(&claims.workspace_id, claims.device_id);
        if is_revoked {
            return self.begin_deposit(Code::DeviceRevoked, "This device has been revoked.").await;
        }
        self.check_sign_in(&verified.claims).await
    }

    /// Ends the session when its sign-in ended after its token was checked and before there was anybody to signal.
    async fn check_sign_in(&mut self, claims: &Claims) -> Result<(), End> {
        if !self.app.auth.revocations.is_signed_out(claims) {
            return Ok(());
        }
        self.socket.send(&ServerFrame::Error { problem: AuthError::SignedOut.problem() }).await?;
        Err(End::Close(CloseCode::Unauthenticated, "signed out"))
    }

    fn presence_entry(&self, principal: &Principal) -> PresenceEntry {
        PresenceEntry {
            connection_id: self.connection_id,
            client_id: Some(self.client_id),
            user_id: principal.user_id,
            device_id: principal.device_id,
            deployment_mode: self.mode,
            node_id: self.app.bus.node().id,
            since_ms: clock::now_ms(),
            viewing: None,
            is_editing: false,
            viewing_since_ms: 0,
        }
    }

    async fn answered(&mut self, answered: Answered) -> Result<(), End> {
        self.note_push(&answered);
        for frame in &answered.frames {
            self.socket.send(frame).await?;
        }
        if let Some(identity) = &self.identity
            && answered.seq > identity.registered.seat.cursor()
        {
            identity.registered.want(answered.seq);
        }
        self.deposited(answered.decided).await
    }

    pub(super) fn note_push(&mut self, answered: &Answered) {
        self.tally.mutations += answered.decided;
        self.count_sync(SyncOperation::Push, answered.status, answered.took);
    }

    /// Counts an operation, for the metrics and for this device.
    pub(super) fn count_sync(&self, operation: SyncOperation, status: Status, took: Duration) {
        self.app.metrics.count_sync(operation, status, took);
        if let Some(identity) = &self.identity {
            let (principal, now) = (&identity.principal, clock::now_ms());
            let failures = &self.app.metrics.sync_failures;
            failures.note(&principal.workspace_id, principal.device_id, status, now);
            self.app.analytics.sync(Whose::from(principal), now, (operation, status, took));
        }
    }

    async fn signalled(&mut self) -> Result<(), End> {
        let Some(identity) = &mut self.identity else { return Ok(()) };
        let signals: Signals = identity.registered.signals.borrow_and_update().clone();
        if signals.is_replaced {
            return Err(End::Close(CloseCode::Replaced, "a newer connection of this client took over"));
        }
        if let Some((code, reason)) = signals.purge {
            self.begin_deposit(code, reason).await?;
        }
        if signals.is_signed_out && self.deposit.is_none() {
            self.socket.send(&ServerFrame::Error { problem: AuthError::SignedOut.problem() }).await?;
            return Err(End::Close(CloseCode::Unauthenticated, "signed out"));
        }
        if let Some(retry_ms) = signals.drain_retry_ms {
            return self.drain(retry_ms).await;
        }
        self.check_mail(signals.mails).await?;
        if signals.presence_checks > self.presence_checks_seen {
            self.presence_checks_seen = signals.presence_checks;
            self.check_presence().await?;
        }
        if signals.syncs > self.syncs_seen && self.deposit.is_none() {
            self.syncs_seen = signals.syncs;
            let entities = signals.sync_entities.iter().cloned().collect();
            self.socket.send(&ServerFrame::SyncNow { entities }).await?;
        }
        if signals.regrants > self.topics_checked {
            self.topics_checked = signals.regrants;
            self.check_topics().await?;
            self.check_presence().await?;
        }
        if signals.regrants > self.regrants_seen && self.deposit.is_none() {
            self.regrants_seen = signals.regrants;
            return self.regrant().await;
        }
        Ok(())
    }

    /// Finishes what was pushed, says when to come back, and goes (spec HUB-6).
    async fn drain(&mut self, retry_ms: u64) -> Result<(), End> {
        while !self.pushes.is_empty() {
            let answered = self.pushes.next().await;
            self.note_push(&answered);
            for frame in &answered.frames {
                self.socket.send(frame).await?;
            }
        }
        self.finish_storing().await?;
        let reason = "This node is going away.".to_owned();
        self.socket.send(&ServerFrame::Goodbye { retry_ms, reason }).await?;
        Err(End::Close(CloseCode::Draining, "draining"))
    }

    async fn finish(mut self, end: End) {
        let (last_words, outlet) = (self.last_words(&end), self.socket.outlet());
        match end {
            End::Gone => {}
            End::Left => self.socket.leave().await,
            End::Close(code, reason) => {
                tracing::debug!(event = "session_closed", code = code as u16, reason, "a session was closed");
                self.socket.close(code, reason).await;
            }
            End::TooBig => self.socket.close_too_big().await,
        }
        if let Some(last_words) = last_words {
            last_words.say(&self.app.analytics, outlet.traffic());
        }
    }
}

/// Something from the hub; never before there is a place in it.
async fn hub_event(registered: Option<&mut Registered>) -> Event {
    match registered {
        None => std::future::pending().await,
        Some(registered) => {
            if registered.next().await {
                Event::Live
            } else {
                Event::Signals
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<A, B, C, F>(_: impl Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    /// PERF-4: ten thousand of them wait for something to happen.
    #[test]
    fn hub_4_a_waiting_session_is_small() {
        let bytes = size_of_future(run);
        assert!(bytes <= 3_456, "{bytes}");
    }
}
