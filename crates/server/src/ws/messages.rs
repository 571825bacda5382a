//! A session's messages: those it sends on their way to the store, those for its device on their way to it (spec §20).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use syncline_core::id::MessageId;
use syncline_core::messages::{Draft, Message, NewMessage, Origin, Receipt, ReceiptState, Target};
use syncline_core::protocol::limits::{MESSAGE_ACKS_MAX, MESSAGES_SENDING_MAX, MESSAGES_WINDOW};
use syncline_core::protocol::{CloseCode, Code, Problem, SendMessage, ServerFrame};
use syncline_core::storage::{StoreError, StoreResult};
use syncline_storage::messages::{ADOPTED_MAX, MailWanted, Mailbox, ReceiptCursor, SendOutcome};
use tokio::task::JoinHandle;

use super::frames::malformed;
use super::session::{End, Session};
use super::topics::may_follow;
use crate::clock;
use crate::hub::Encoded;
use crate::router::{Planned, outcome_problem, unavailable};

/// Receipts of one read.
const RECEIPTS_MAX: usize = 256;
/// Time a device has to acknowledge before it is noted that a message was delivered and no more: who acknowledges at once
/// spares the note.
const NOTE_DELIVERED_AFTER: Duration = Duration::from_secs(1);
/// Doublings of the time to acknowledge.
const TRIES_COUNTED_MAX: u32 = 6;

/// A batch on its way to the store; it arrives also when the session ends before.
type Storing<T> = Option<JoinHandle<StoreResult<T>>>;

/// Made when a session first sends a message or opens its inbox.
#[derive(Default)]
pub struct Mail {
    is_open: bool,
    /// Signals that have been looked at.
    seen: u64,
    receipts_after: Option<ReceiptCursor>,
    /// The window was full at the last read: more may be due.
    has_more: bool,
    in_flight: BTreeMap<MessageId, InFlight>,
    /// Not stored yet, in the order they came; at most [`MESSAGES_SENDING_MAX`] with those that are being stored.
    gathered: Vec<NewMessage>,
    storing: Storing<Vec<SendOutcome>>,
    stored_ids: Vec<MessageId>,
    acknowledged: Vec<MessageId>,
    acknowledging: Storing<()>,
    acknowledging_ids: Vec<MessageId>,
}

/// A message that was written to the socket and is not known to be safe with the device.
struct InFlight {
    sent: Instant,
    tries: u32,
    is_noted: bool,
    /// The device has it; the store is about to know.
    is_acknowledged: bool,
    /// Was not acknowledged in time: to be sent again.
    is_late: bool,
}

/// What the store has answered.
pub enum Stored {
    Messages(StoreResult<Vec<SendOutcome>>),
    Acknowledgements(StoreResult<()>),
}

impl Mail {
    /// Whether the client has as many messages without an answer as it may.
    fn is_full(&self) -> bool {
        self.gathered.len() + self.stored_ids.len() >= MESSAGES_SENDING_MAX
            || self.acknowledged.len() >= 4 * MESSAGE_ACKS_MAX
    }

    /// The next answer of the store; never when nothing is on its way. Cancel-safe.
    async fn next(&mut self) -> Stored {
        let (storing, acknowledging) = (&mut self.storing, &mut self.acknowledging);
        tokio::select! {
            stored = answer(storing) => Stored::Messages(stored),
            done = answer(acknowledging) => Stored::Acknowledgements(done),
        }
    }

    fn deadline(&self, ack_timeout: Duration) -> Option<Instant> {
        let waiting = self.in_flight.values().filter(|message| !message.is_acknowledged);
        waiting.map(|message| message.due(ack_timeout)).min()
    }
}

impl InFlight {
    /// When something is to be done about it.
    fn due(&self, ack_timeout: Duration) -> Instant {
        let again = self.again(ack_timeout);
        if self.is_noted { again } else { again.min(self.sent + NOTE_DELIVERED_AFTER) }
    }

    /// When it is sent again.
    fn again(&self, ack_timeout: Duration) -> Instant {
        self.sent + ack_timeout * 2_u32.pow(self.tries.min(TRIES_COUNTED_MAX))
    }
}

async fn answer<T>(pending: &mut Storing<T>) -> StoreResult<T> {
    let Some(task) = pending else { return std::future::pending().await };
    let done = task.await;
    *pending = None;
    done.unwrap_or_else(|error| Err(StoreError::Database(Box::new(error))))
}

/// Whether a session reads on.
pub(super) fn can_read(mail: Option<&Mail>) -> bool {
    mail.is_none_or(|mail| !mail.is_full())
}

/// As [`Mail::next`].
pub(super) async fn next_stored(mail: Option<&mut Mail>) -> Stored {
    match mail {
        Some(mail) => mail.next().await,
        None => std::future::pending().await,
    }
}

impl Session {
    fn mail(&mut self) -> &mut Mail {
        self.mail.get_or_insert_default()
    }

    /// `msg`: plans it, then stores it after those before it, or hands it on at once (spec MSG-1, MSG-4, MSG-9).
    pub(super) async fn msg(&mut self, frame: SendMessage) -> Result<(), End> {
        let id = frame.id;
        let refused = |problem: Problem| ServerFrame::Error { problem: Problem { message_id: Some(id), ..problem } };
        let Some(identity) = self.identity.as_ref().filter(|_| self.deposit.is_none()) else {
            let problem = Problem::new(Code::Forbidden, "This device may not send messages any more.");
            return Ok(self.socket.send(&refused(problem)).await?);
        };
        let (workspace_id, user) = (identity.principal.workspace_id.clone(), identity.principal.user_id);
        let from = Origin { user_id: user, device_id: identity.principal.device_id };
        let access = match self.current_access().await {
            Ok(Some(access)) => access,
            Ok(None) => {
                let problem = Problem::new(Code::Forbidden, "You are not a member of this workspace.");
                return Ok(self.socket.send(&refused(problem)).await?);
            }
            Err(problem) => return self.messages_unstored(refused(problem)).await,
        };
        let SendMessage { id, message_type, to, payload, priority, ttl_ms } = frame;
        let draft = Draft { id, message_type, to, payload, priority, ttl_ms };
        match self.app.router.plan(&workspace_id, from, &access, draft).await {
            Ok(Planned::Store(message)) => {
                let mail = self.mail();
                // The same again before its answer: it gets one. Another under its id is told so.
                match mail.gathered.iter().find(|gathered| gathered.id == id) {
                    None => mail.gathered.push(message),
                    Some(gathered) if gathered.is_same(&message) => {}
                    Some(_) => {
                        return Ok(self.socket.send(&receipt(id, SendOutcome::IdTaken)).await?);
                    }
                }
                self.store_gathered();
                Ok(())
            }
            Ok(Planned::Deliver(message)) => {
                let is_allowed = match &message.to {
                    Target::Topic(topic) => may_follow(topic.as_str(), user, &access),
                    Target::User(_) | Target::Device(_) | Target::Mode(_) | Target::Workspace(_) => true,
                };
                if !is_allowed {
                    let problem = Problem::new(Code::Forbidden, "This topic is not one of yours.");
                    return Ok(self.socket.send(&refused(problem)).await?);
                }
                self.app.router.deliver_live(&workspace_id, message).await;
                Ok(())
            }
            Err(problem) if problem.code == Code::Unavailable => self.messages_unstored(refused(problem)).await,
            Err(problem) => Ok(self.socket.send(&refused(problem)).await?),
        }
    }

    /// Sends the gathered messages to the store, one batch at a time, so that none overtakes another.
    fn store_gathered(&mut self) {
        let Some(identity) = &self.identity else { return };
        let Some(mail) = self.mail.as_deref_mut().filter(|mail| mail.storing.is_none()) else { return };
        if mail.gathered.is_empty() {
            return;
        }
        let messages = std::mem::take(&mut mail.gathered);
        mail.stored_ids = messages.iter().map(|message| message.id).collect();
        let (router, workspace_id) = (self.app.router.clone(), identity.principal.workspace_id.clone());
        mail.storing = Some(tokio::spawn(async move { router.send(workspace_id, messages).await }));
    }

    pub(super) async fn stored(&mut self, stored: Stored) -> Result<(), End> {
        match stored {
            Stored::Messages(Ok(outcomes)) => {
                let ids = std::mem::take(&mut self.mail().stored_ids);
                let is_stopped = outcomes.iter().any(SendOutcome::is_for_now);
                let frames = ids.into_iter().zip(outcomes).map(|(id, outcome)| Encoded::new(&receipt(id, outcome)));
                let frames: Vec<Encoded> = frames.collect();
                self.socket.send_all(&frames).await?;
                if is_stopped {
                    // What was gathered meanwhile would overtake these: it comes again after them.
                    self.mail().gathered.clear();
                    return Err(End::Close(CloseCode::Resync, "messages cannot be stored for now"));
                }
                self.store_gathered();
                Ok(())
            }
            Stored::Messages(Err(_)) => {
                let id = self.mail().stored_ids.first().copied();
                let problem = Problem { message_id: id, ..unavailable() };
                self.messages_unstored(ServerFrame::Error { problem }).await
            }
            Stored::Acknowledgements(result) => {
                let mail = self.mail();
                for id in std::mem::take(&mut mail.acknowledging_ids) {
                    match (&result, mail.in_flight.get_mut(&id)) {
                        (Ok(()), _) => drop(mail.in_flight.remove(&id)),
                        // It comes again, and the device says again that it has it.
                        (Err(_), Some(message)) => message.is_acknowledged = false,
                        (Err(_), None) => {}
                    }
                }
                self.store_acknowledged();
                if self.mail().has_more { self.send_mail().await } else { Ok(()) }
            }
        }
    }

    /// Answers what is on its way to the store, before the session goes.
    pub(super) async fn finish_storing(&mut self) -> Result<(), End> {
        while self.mail.as_deref().is_some_and(|mail| mail.storing.is_some() || mail.acknowledging.is_some()) {
            let stored = next_stored(self.mail.as_deref_mut()).await;
            if let Some(mail) = self.mail.as_deref_mut() {
                // Nothing new is begun.
                (mail.is_open, mail.has_more) = (false, false);
            }
            self.stored(stored).await?;
        }
        Ok(())
    }

    /// What follows on this connection must not overtake what could not be stored (spec MSG-4).
    async fn messages_unstored(&mut self, frame: ServerFrame) -> Result<(), End> {
        self.socket.send(&frame).await?;
        Err(End::Close(CloseCode::Resync, "messages cannot be stored"))
    }

    /// `inbox`: from now on messages for this device are sent (spec MSG-6, MSG-10).
    pub(super) async fn inbox(&mut self) -> Result<(), End> {
        let Some(identity) = self.identity.as_ref().filter(|_| self.deposit.is_none()) else { return Ok(()) };
        let principal = &identity.principal;
        let mailbox = Mailbox { user_id: principal.user_id, device_id: principal.device_id, mode: self.mode };
        let workspace_id = principal.workspace_id.clone();
        let seen = identity.registered.signals.borrow().mails;
        identity.registered.open_inbox();
        self.app.reports.seen(&workspace_id, principal.device_id, clock::now_ms());
        // Asked of the store after it is open: who is removed from here on is signalled.
        match self.stored_access().await {
            Ok(Some(_)) => {}
            Ok(None) => {
                return self.begin_deposit(Code::DeviceRevoked, "You are not a member of this workspace.").await;
            }
            Err(problem) => return self.messages_unstored(ServerFrame::Error { problem }).await,
        }
        loop {
            let workspace = workspace_id.clone();
            let adopt = self.app.router.read(move |store| store.adopt(&workspace, mailbox, clock::now_ms())).await;
            match adopt {
                Ok(count) if count >= ADOPTED_MAX => {}
                Ok(_) => break,
                Err(error) => return self.mail_unread(&error).await,
            }
        }
        let mail = self.mail();
        (mail.is_open, mail.seen) = (true, seen);
        self.send_mail().await
    }

    /// Looks for messages when the hub said that there may be some.
    pub(super) async fn check_mail(&mut self, mails: u64) -> Result<(), End> {
        match self.mail.as_deref_mut() {
            Some(mail) if mail.is_open && mail.seen != mails => {
                mail.seen = mails;
                self.send_mail().await
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Sends the first of what is due that is not on its way already, and new receipts.
    async fn send_mail(&mut self) -> Result<(), End> {
        loop {
            let Some(identity) = self.identity.as_ref().filter(|_| self.deposit.is_none()) else { return Ok(()) };
            let Some(mail) = self.mail.as_deref().filter(|mail| mail.is_open) else { return Ok(()) };
            let (workspace_id, device_id) = (identity.principal.workspace_id.clone(), identity.principal.device_id);
            let wanted = MailWanted {
                due_max: MESSAGES_WINDOW,
                receipts_after: mail.receipts_after,
                receipts_max: RECEIPTS_MAX,
            };
            let read = self.app.router.read(move |store| store.mail(&workspace_id, device_id, wanted, clock::now_ms()));
            let found = match read.await {
                Ok(found) => found,
                Err(error) => return self.mail_unread(&error).await,
            };
            let mail = self.mail();
            mail.receipts_after = Some(found.receipts_upto);
            mail.has_more = found.due.len() >= MESSAGES_WINDOW;
            let now = clock::instant();
            let receipts = found.receipts.into_iter().map(ServerFrame::MsgReceipt);
            let due = found.due.into_iter().filter(|message| mail.starts(message, now)).map(ServerFrame::Msg);
            let frames: Vec<Encoded> = receipts.chain(due).map(|frame| Encoded::new(&frame)).collect();
            if self.is_cut_off() {
                return Ok(());
            }
            self.socket.send_all(&frames).await?;
            if !found.has_more_receipts {
                return Ok(());
            }
        }
    }

    async fn mail_unread(&mut self, error: &StoreError) -> Result<(), End> {
        tracing::warn!(event = "mail_unread", %error, "a device's messages could not be read");
        Err(End::Close(CloseCode::Resync, "the store is not available"))
    }

    /// `msg_ack` (spec MSG-6).
    pub(super) async fn msg_ack(&mut self, ids: Vec<MessageId>) -> Result<(), End> {
        if ids.is_empty() || ids.len() > MESSAGE_ACKS_MAX {
            let text = format!("An acknowledgement names 1 to {MESSAGE_ACKS_MAX} messages.");
            return self.malformed(malformed(&text)).await;
        }
        if self.deposit.is_some() {
            return Ok(());
        }
        let mail = self.mail();
        for id in &ids {
            if let Some(message) = mail.in_flight.get_mut(id) {
                message.is_acknowledged = true;
            }
        }
        mail.acknowledged.extend(ids);
        self.store_acknowledged();
        Ok(())
    }

    fn store_acknowledged(&mut self) {
        let Some(identity) = &self.identity else { return };
        let Some(mail) = self.mail.as_deref_mut().filter(|mail| mail.acknowledging.is_none()) else { return };
        if mail.acknowledged.is_empty() {
            return;
        }
        let ids = std::mem::take(&mut mail.acknowledged);
        mail.acknowledging_ids.clone_from(&ids);
        let (router, principal) = (self.app.router.clone(), &identity.principal);
        let (workspace_id, device_id) = (principal.workspace_id.clone(), principal.device_id);
        mail.acknowledging = Some(tokio::spawn(async move { router.acknowledge(workspace_id, device_id, ids).await }));
    }

    pub(super) fn mail_deadline(&self) -> Option<Instant> {
        self.mail.as_deref()?.deadline(self.app.router.ack_timeout())
    }

    /// Notes what was delivered and not acknowledged at once, and sends again what was not acknowledged in time.
    pub(super) async fn check_in_flight(&mut self) -> Result<(), End> {
        let (now, ack_timeout) = (clock::instant(), self.app.router.ack_timeout());
        let (Some(mail), Some(identity)) = (self.mail.as_deref_mut(), &self.identity) else { return Ok(()) };
        let mut noted = Vec::new();
        let mut is_late = false;
        for (id, message) in mail.in_flight.iter_mut().filter(|(_, message)| !message.is_acknowledged) {
            if !message.is_noted && now >= message.sent + NOTE_DELIVERED_AFTER {
                message.is_noted = true;
                noted.push(*id);
            }
            message.is_late = now >= message.again(ack_timeout);
            is_late |= message.is_late;
        }
        if !noted.is_empty() {
            let principal = &identity.principal;
            self.app.router.delivered(principal.workspace_id.clone(), principal.device_id, noted);
        }
        if is_late {
            self.send_mail().await?;
            // What is still late is not among the first any more, or has run out of time.
            self.mail().in_flight.retain(|_, message| !message.is_late);
        }
        Ok(())
    }
}

impl Mail {
    /// Whether a due message is to be sent now; then it is noted as on its way.
    fn starts(&mut self, message: &Message, now: Instant) -> bool {
        let fresh = InFlight { sent: now, tries: 0, is_noted: false, is_acknowledged: false, is_late: false };
        match self.in_flight.get_mut(&message.id) {
            None => {
                self.in_flight.insert(message.id, fresh);
                true
            }
            Some(known) if known.is_late => {
                *known = InFlight { tries: known.tries + 1, is_noted: true, ..fresh };
                true
            }
            Some(_) => false,
        }
    }
}

fn receipt(id: MessageId, outcome: SendOutcome) -> ServerFrame {
    match (outcome_problem(outcome), outcome) {
        (None, SendOutcome::Stored { at_ms }) => {
            ServerFrame::MsgReceipt(Receipt { id, state: ReceiptState::Stored, device_id: None, at_ms })
        }
        (Some(problem), _) => ServerFrame::Error { problem: Problem { message_id: Some(id), ..problem } },
        (None, _) => ServerFrame::Error { problem: Problem { message_id: Some(id), ..unavailable() } },
    }
}
