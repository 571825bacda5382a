//! Messages on either database: the router's store.
//!
//! Every write about a workspace takes the next number of its row in `msg_workspaces` first, so numbers are in commit order
//! (as seqs are, design D1) and what a reader has seen up to a number never changes behind it. What is due for a device is
//! one indexed query over `msg_deliveries`, most urgent first: overtaking and bounded memory come of that.

use std::collections::BTreeSet;

use syncline_core::TimestampMs;
use syncline_core::id::{DeviceId, MessageId, UserId, WorkspaceId};
use syncline_core::messages::{Message, NewMessage, Receipt, ReceiptState};
use syncline_core::principal::DeploymentMode;
use syncline_core::storage::StoreResult;

use crate::postgres::PostgresMessages;
use crate::sqlite::SqliteMessages;

/// What is written in one transaction about one workspace.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct MessageGroup {
    /// In the order in which they get their numbers. No id twice.
    pub sends: Vec<NewMessage>,
    /// What devices said they have; what was not for the device is passed over.
    pub acknowledged: Vec<(DeviceId, MessageId)>,
    /// What has been written to a device's socket.
    pub delivered: Vec<(DeviceId, MessageId)>,
    pub now: TimestampMs,
    pub limits: MessageLimits,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MessageLimits {
    /// Messages kept in a workspace, history and dead letters included. More: [`SendOutcome::Full`].
    pub kept_max: u64,
    /// Of these, messages of one sender. More: [`SendOutcome::SenderFull`].
    pub sender_kept_max: u64,
    /// Devices of one message. More: [`SendOutcome::TooManyDevices`].
    pub devices_max: usize,
    /// A device that was not seen for this long gets no rows of its own in advance: when it comes back it is treated as one
    /// that appears later. Milliseconds.
    pub idle_ms: u64,
}

impl Default for MessageLimits {
    fn default() -> Self {
        Self {
            kept_max: 1_000_000,
            sender_kept_max: 100_000,
            devices_max: syncline_core::protocol::limits::MESSAGE_DEVICES_MAX,
            idle_ms: 30 * 86_400_000,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SendOutcome {
    /// Stored now, or by an earlier try of the same sender with the same content.
    Stored {
        at_ms: TimestampMs,
    },
    /// The id names another message. Nothing was stored.
    IdTaken,
    TooManyDevices,
    /// The workspace keeps as many messages as it may.
    Full,
    /// The sender has its share of what the workspace keeps.
    SenderFull,
    /// The sender sends faster than it may; the store was not asked.
    TooOften {
        retry_ms: u64,
    },
    /// A `device` target that is not there, or was revoked meanwhile.
    NoDevice,
}

impl SendOutcome {
    /// Whether the same may be stored later: its sender's next ones must not overtake it (spec MSG-4).
    pub fn is_for_now(&self) -> bool {
        matches!(self, Self::Full | Self::SenderFull | Self::TooOften { .. })
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GroupOutcome {
    /// One for each of [`MessageGroup::sends`], in order.
    pub sends: Vec<SendOutcome>,
    /// Devices that something is due for, and devices that sent what has a new receipt.
    pub concerned: BTreeSet<DeviceId>,
    /// The last number given so far.
    pub head: u64,
}

/// Whose inbox is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mailbox {
    pub user_id: UserId,
    pub device_id: DeviceId,
    pub mode: DeploymentMode,
}

/// What a session is to send, read at one moment.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Mail {
    /// Due, most urgent first, then in order of storing.
    pub due: Vec<Message>,
    /// Of messages that the device sent, in order of change; of several changes of one delivery the last.
    pub receipts: Vec<Receipt>,
    /// Receipts up to here have been read.
    pub receipts_upto: ReceiptCursor,
    /// Whether more receipts may be left.
    pub has_more_receipts: bool,
}

/// A place in the order of receipts: number of the change, number of the message, device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct ReceiptCursor {
    pub changed_no: u64,
    pub no: u64,
    pub device_id: DeviceId,
}

impl ReceiptCursor {
    /// After everything that has this number or a lower one.
    pub(crate) fn at(head: u64) -> Self {
        Self { changed_no: head, no: i64::MAX.unsigned_abs(), device_id: DeviceId::MAX }
    }
}

/// Where a reader of [`Mail`] stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MailWanted {
    pub due_max: usize,
    /// `None`: from now on, without any.
    pub receipts_after: Option<ReceiptCursor>,
    pub receipts_max: usize,
}

/// How a message stands as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    /// May still be delivered.
    Live,
    /// Its time is over, and everybody it was for had it.
    Over,
    /// Its time is over, and somebody it was for never had it on any device.
    DeadLetter,
}

impl MessageState {
    pub(crate) fn from_number(number: i64) -> Option<Self> {
        [Self::Live, Self::Over, Self::DeadLetter].into_iter().find(|state| *state as i64 == number)
    }
}

/// A message of the history.
#[derive(Clone, PartialEq, Debug)]
pub struct KeptMessage {
    /// Its place in the workspace's order; pages go on after it.
    pub no: u64,
    pub message: Message,
    pub state: MessageState,
    pub ended_ms: Option<TimestampMs>,
}

/// What became of a message on one device.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Delivery {
    pub device_id: DeviceId,
    pub user_id: UserId,
    /// `None`: still due.
    pub state: Option<ReceiptState>,
    pub delivered_ms: Option<TimestampMs>,
    pub acknowledged_ms: Option<TimestampMs>,
    pub expired_ms: Option<TimestampMs>,
}

impl Delivery {
    pub(crate) fn state_from_number(number: i64) -> Option<ReceiptState> {
        match number {
            1 => Some(ReceiptState::Delivered),
            2 => Some(ReceiptState::Acknowledged),
            3 => Some(ReceiptState::Expired),
            _ => None,
        }
    }
}

/// Which messages of a workspace are listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Listed {
    /// Those for a user.
    Received(UserId),
    /// Those of a user.
    Sent(UserId),
    All,
    DeadLetters,
}

/// One page of the history, newest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MessagePage {
    pub listed: Listed,
    pub message_type: Option<String>,
    /// Only those with a lower number.
    pub before: Option<u64>,
    pub limit: usize,
}

/// What a sweep over messages whose time is over has done.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Expired {
    /// Messages that ended.
    pub messages: usize,
    /// Of these, how many became dead letters.
    pub dead: usize,
    /// Senders with new receipts.
    pub concerned: BTreeSet<DeviceId>,
    pub head: u64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Replayed {
    /// On its way again, at the end of the order.
    Done { concerned: BTreeSet<DeviceId>, head: u64 },
    /// No such message, or it is no dead letter.
    NotDead,
}

/// Devices that have something new to be sent, and up to which number that is known.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Concerned {
    pub devices: BTreeSet<DeviceId>,
    pub head: u64,
    /// There were more than fit: everybody may be concerned.
    pub is_cut: bool,
}

/// Most devices of one [`Concerned`].
pub const CONCERNED_MAX: usize = 4_096;
/// Deliveries of one message that are listed. More are left out.
pub const DELIVERIES_LISTED_MAX: usize = 1_000;
/// Messages that one step gives to a device that appears later.
pub const ADOPTED_MAX: usize = 1_000;

/// What waits, for the gauges.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MessageCounts {
    /// Deliveries that are not acknowledged and not expired.
    pub due: u64,
    pub dead_letters: u64,
}

/// The `msg_*` tables. Cheap to clone, usable from any thread; every method blocks, so call it off the async runtime. Writes
/// of one process take turns.
#[derive(Clone)]
pub enum DatabaseMessages {
    Sqlite(SqliteMessages),
    Postgres(PostgresMessages),
}

/// Hands each method on to the database that this is.
macro_rules! hand_on {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $kind:ty),*) -> $result:ty;)*) => {
        impl DatabaseMessages {
            $(
                $(#[$doc])*
                pub fn $name(&self, $($arg: $kind),*) -> StoreResult<$result> {
                    match self {
                        Self::Sqlite(messages) => messages.$name($($arg),*),
                        Self::Postgres(messages) => messages.$name($($arg),*),
                    }
                }
            )*
        }
    };
}

hand_on! {
    /// Writes a group; durable when it returns. Doing it again does nothing, and answers the same.
    fn commit(workspace: &WorkspaceId, group: &MessageGroup) -> GroupOutcome;
    /// Gives a device what was sent before it was known and is still due for it: what is for its mode or the workspace, and
    /// what is for its user and no device of theirs has acknowledged. At most [`ADOPTED_MAX`]; returns how many.
    fn adopt(workspace: &WorkspaceId, mailbox: Mailbox, now: TimestampMs) -> usize;
    /// What a session is to send: one indexed query each for messages and receipts.
    fn mail(workspace: &WorkspaceId, device_id: DeviceId, wanted: MailWanted, now: TimestampMs) -> Mail;
    /// The last number of every workspace that has messages, in order: one small table.
    fn heads() -> Vec<(WorkspaceId, u64)>;
    /// Whom numbers after `after` concern.
    fn concerned_since(workspace: &WorkspaceId, after: u64) -> Concerned;
    /// Ends at most `limit` messages whose time is over.
    fn expire(workspace: &WorkspaceId, now: TimestampMs, limit: usize) -> Expired;
    /// Forgets at most `limit` messages that ended before `before`; returns how many.
    fn forget(workspace: &WorkspaceId, before: TimestampMs, limit: usize) -> usize;
    /// Sends a dead letter again, to whom it did not reach.
    fn replay(workspace: &WorkspaceId, id: MessageId, expires_ms: TimestampMs, limits: MessageLimits, now: TimestampMs) -> Replayed;
    fn list(workspace: &WorkspaceId, page: &MessagePage) -> Vec<KeptMessage>;
    /// A message with its deliveries in device order, at most [`DELIVERIES_LISTED_MAX`].
    fn get(workspace: &WorkspaceId, id: MessageId) -> Option<(KeptMessage, Vec<Delivery>)>;
    /// Whether a message was for a user.
    fn is_for(workspace: &WorkspaceId, id: MessageId, user_id: UserId) -> bool;
    /// What waits in all workspaces. O(what waits).
    fn counts() -> MessageCounts;
}
