//! Frames. Each is a JSON object with a `type` member; every name is the glossary's.

use serde::{Deserialize, Serialize};

use super::codes::{Code, Problem};
use crate::change::{Mutation, Outcome};
use crate::digest::Digest;
use crate::id::{BackendId, ClientId, DeviceId, MessageId, RecordId, ScopeId, UserId};
use crate::messages::{Message, Priority, Receipt, Target};
use crate::principal::DeploymentMode;
use crate::{Name, Seq, SharedFields, TimestampMs, Value};

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientFrame {
    /// First frame when the upgrade carried no credential (spec SES-1).
    Auth {
        token: String,
    },
    /// Opens or re-opens the session; may be sent again at any time to resubscribe (spec SES-2).
    Hello(Hello),
    /// Mutations in `client_seq` order, from the first undecided one (spec PSH-1).
    Push {
        mutations: Vec<Mutation>,
    },
    /// What the replica has made durable (spec SES-6): lets the server forget outcomes.
    Ack {
        seq: Seq,
        outcomes_upto: u64,
    },
    /// Compare a scope by ranges of record id (spec REP-1).
    Verify {
        scope: ScopeId,
        ranges: Vec<Range>,
    },
    /// Ask for whole records after a verification (spec REP-3).
    Fetch {
        scope: ScopeId,
        records: Vec<(Name, RecordId)>,
    },
    /// Follow a topic's live messages from now on (spec TOP-1).
    Sub {
        topic: String,
    },
    Unsub {
        topic: String,
    },
    /// What the person looks at; without a record, nothing (spec PRE-1).
    Presence {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        record: Option<(Name, RecordId)>,
        /// Is about to change it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_editing: bool,
    },
    /// Opens the inbox: from now on messages for this device come, and receipts of those it sent (spec MSG-6).
    Inbox {},
    Msg(SendMessage),
    /// These messages are safe on the device, or done with (spec MSG-6).
    MsgAck {
        ids: Vec<MessageId>,
    },
    Heartbeat {},
}

/// A message as its sender writes it (spec MSG-1).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SendMessage {
    pub id: MessageId,
    pub message_type: Name,
    pub to: Target,
    pub payload: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// Lowest and highest protocol version spoken.
    pub proto: [u32; 2],
    pub client_id: ClientId,
    pub device_id: DeviceId,
    pub deployment_mode: DeploymentMode,
    pub schema: SchemaRef,
    /// Server the replica was filled from; absent when it is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_id: Option<BackendId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u32>,
    /// First `client_seq` without a known outcome.
    pub next_client_seq: u64,
    pub pending_count: u64,
    pub oldest_pending_age_ms: u64,
    /// What the replica holds; `seq` 0 or an absent scope: nothing.
    pub scopes: Vec<HeldScope>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SchemaRef {
    pub version: u32,
    pub hash: String,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct HeldScope {
    pub id: ScopeId,
    /// Everything of the scope up to here has been applied.
    pub seq: Seq,
    pub digest: Digest,
}

/// Records of a scope with `lo <= id <= hi` (bounds are ids, both inclusive), over all entities.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Range {
    pub lo: RecordId,
    pub hi: RecordId,
    pub digest: Digest,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerFrame {
    Welcome(Welcome),
    /// A scope was granted or taken away while connected (spec GRT-1). After `add` the client says `hello` again; at
    /// `remove` it drops the scope before anything else.
    Grant {
        scope: ScopeId,
        action: GrantAction,
        reason: String,
    },
    /// Changes of all granted scopes between two seqs (spec BAT-1).
    Batch(Batch),
    Outcomes {
        outcomes: Vec<Outcome>,
    },
    /// A push could not be taken as sent: `expected` is the `client_seq` to go on from (spec PSH-4).
    OutOfOrder {
        expected: u64,
    },
    VerifyReply(VerifyReply),
    /// Answer to `fetch` for the first `answered` records asked for, as they are at `seq`; those that are not in the scope
    /// any more are absent. What did not fit is asked for again.
    Records {
        scope: ScopeId,
        seq: Seq,
        answered: usize,
        records: Vec<WireOp>,
    },
    /// The topic is followed from here on; so is one that was already (spec TOP-1).
    Subscribed {
        topic: String,
    },
    /// The topic is not followed any more (spec TOP-1, TOP-2).
    Unsubscribed {
        topic: String,
        reason: String,
    },
    /// The client was too slow: so many live messages of a topic are gone (spec TOP-3).
    Missed {
        topic: String,
        count: u64,
    },
    /// Everybody who looks at a record, the client itself among them; replaces what was said before (spec PRE-2).
    Presence {
        record: (Name, RecordId),
        viewers: Vec<Viewer>,
    },
    HeartbeatAck {
        server_ms: TimestampMs,
    },
    SlowDown {
        retry_ms: u64,
    },
    /// The person asked elsewhere for these entities to be in step now; none named: all (spec SES-9). The client says `hello`
    /// again.
    SyncNow {
        entities: Vec<Name>,
    },
    /// The node is going away; reconnect after `retry_ms`.
    Goodbye {
        retry_ms: u64,
        reason: String,
    },
    /// Hand over what is pending (it is stored, not applied), then delete everything (spec REV-2).
    Purge {
        code: Code,
        reason: String,
    },
    /// A message for this device; comes again until it is acknowledged (spec MSG-6).
    Msg(Message),
    /// What became of a message of this device (spec MSG-7).
    MsgReceipt(Receipt),
    Error {
        problem: Problem,
    },
}

/// One connection that shows a record to a person.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Viewer {
    pub connection_id: String,
    pub user_id: UserId,
    pub deployment_mode: DeploymentMode,
    pub is_editing: bool,
    /// When it began to look at the record.
    pub since_ms: TimestampMs,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantAction {
    Add,
    Remove,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Welcome {
    /// Version both will speak.
    pub proto: u32,
    pub connection_id: String,
    pub backend_id: BackendId,
    pub epoch: u32,
    pub server_ms: TimestampMs,
    /// Highest `client_seq` of this client the server has decided.
    pub applied_client_seq: u64,
    pub head: Seq,
    pub schema: SchemaRef,
    pub heartbeat_ms: u64,
    /// Push frames that may be unanswered.
    pub window: u32,
    /// Every granted scope with what the server will do about it; a held scope that is not listed is not granted (any
    /// more) and is dropped.
    pub scopes: Vec<ScopePlan>,
    /// After this moment without contact the local store is locked.
    pub lease_until_ms: TimestampMs,
    pub user_id: UserId,
    pub role: Name,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ScopePlan {
    pub id: ScopeId,
    pub plan: SyncPlan,
}

/// How one scope gets from where the replica is to live.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum SyncPlan {
    /// Nothing is missing.
    Resume,
    /// Batch frames follow, up to `to`.
    CatchUp { from: Seq, to: Seq },
    /// The replica is too old for a catch-up or from another epoch: compare by ranges, then say `hello` again with the
    /// scope at `seq`.
    Reconcile { seq: Seq },
    /// Download `GET {url}`, then say `hello` again with the scope at `seq`.
    Snapshot { url: String, seq: Seq, count: u64 },
}

/// Changes in seq order between `from` (exclusive) and `to` (inclusive). Live batches are byte for byte the same for
/// every session with the same grants. A catch-up comes in several frames with the same `to`; all but the last say
/// `more`, and the replica applies them together (invariant 5).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Batch {
    /// Where the batch starts; scopes held at `from` or later may apply it.
    pub from: Seq,
    pub to: Seq,
    /// A catch-up, coalesced per record, rather than the log's entries.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub catch_up: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    pub changes: Vec<WireChange>,
    /// Digest at `to` of every scope the batch touches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub digests: Vec<(ScopeId, Digest)>,
}

/// One log entry as a session may see it. In a catch-up `by` is absent.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WireChange {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<(ClientId, u64)>,
    pub ops: Vec<WireOp>,
}

/// What a replica does to one record of its base.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum WireOp {
    /// The whole record, replacing what is there.
    Put { entity: Name, id: RecordId, rv: Seq, scope: ScopeId, fields: SharedFields },
    /// Changed fields with their new whole values (sets too); `null`: no value. `scope` when it changed.
    Patch {
        entity: Name,
        id: RecordId,
        rv: Seq,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scope: Option<ScopeId>,
        fields: SharedFields,
    },
    /// Deleted.
    Del { entity: Name, id: RecordId, rv: Seq },
    /// Not visible any more.
    Leave { entity: Name, id: RecordId },
}

/// Answer to `verify`, all of it read at `seq`. Ranges whose digests agree are not mentioned.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct VerifyReply {
    pub scope: ScopeId,
    pub seq: Seq,
    /// Sub-ranges of large differing ranges, to be compared next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub split: Vec<Range>,
    /// Small differing ranges with all their rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<RangeRows>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RangeRows {
    pub lo: RecordId,
    pub hi: RecordId,
    /// `[entity, id, rv]` in id order.
    pub rows: Vec<(Name, RecordId, Seq)>,
}
