//! What a replica needs of a local store: reads, and one atomic write per step (invariant 5). In-memory here, SQLite and
//! browsers elsewhere; all pass [`super::contract`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::change::{Mutation, Outcome};
use crate::digest::Digest;
use crate::id::{BackendId, ClientId, DeviceId, MutationId, RecordId, ScopeId, UserId, WorkspaceId};
use crate::protocol::Code;
use crate::{Fields, Name, Seq, TimestampMs, Value};

#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// The disk or quota is full: nothing of this step was written.
    #[error("the local store is full: free some space, nothing was lost")]
    Full,
    #[error("the local store is locked by another process")]
    Locked,
    #[error("the local store is damaged: {0}")]
    Corrupt(String),
    #[error("the local store failed")]
    Io(#[source] Box<dyn std::error::Error + Send + Sync>),
}

pub type ReplicaResult<T> = Result<T, ReplicaError>;

/// Who this replica is and how far it has come. One row, written whole.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ReplicaMeta {
    pub workspace_id: WorkspaceId,
    pub user_id: UserId,
    pub device_id: DeviceId,
    pub client_id: ClientId,
    /// Server and epoch the base comes from; absent before the first sync.
    pub backend_id: Option<BackendId>,
    pub epoch: Option<u32>,
    /// Everything up to here has been applied, for every scope that is live.
    pub cursor: Seq,
    /// `client_seq` of the next local mutation.
    pub next_client_seq: u64,
    /// Highest `client_seq` with a known outcome.
    pub decided_upto: u64,
    /// Device time of the last completed sync; 0: never.
    pub last_sync_ms: TimestampMs,
    /// Device time after which the store is locked until the server is heard again; 0: no lease yet.
    pub lease_until_ms: TimestampMs,
    /// Repairs by range since the replica was made.
    pub repairs: u64,
    /// Why everything was deleted (spec REV-2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purged: Option<Code>,
}

/// A record as the server last said it is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BaseRecord {
    pub entity: Name,
    pub id: RecordId,
    pub rv: Seq,
    pub scope: ScopeId,
    pub fields: Fields,
}

/// What is held of one granted scope.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ScopeState {
    /// Everything of it up to here has been applied. 0: nothing yet.
    pub seq: Seq,
    pub digest: Digest,
    /// A download or comparison that is under way, and where to go on after an interruption.
    pub loading: Option<Loading>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Loading {
    /// Rows come from `url`; `resume` is the token of the last page stored.
    Snapshot { url: String, seq: Seq, resume: Option<String> },
    /// Ranges are being compared with the server's state at `seq`.
    Reconcile { seq: Seq },
}

/// A mutation of the outbox.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Pending {
    pub mutation: Mutation,
    /// Device time of the edit.
    pub authored_ms: TimestampMs,
    /// Known, but its effects have not reached the base yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Its effects are in the base already, but the outcome is not known yet: it is not part of the overlay any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_in_base: bool,
}

/// A mutation the server refused, kept until the person decides (design D10).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Rejected {
    pub mutation: Mutation,
    pub authored_ms: TimestampMs,
    pub outcome: Outcome,
}

pub trait ReplicaStore {
    /// `None`: the store is new (or was evicted): a new client id must be minted.
    fn meta(&self) -> ReplicaResult<Option<ReplicaMeta>>;
    fn base(&self, entity: &str, id: RecordId) -> ReplicaResult<Option<BaseRecord>>;
    /// Ids of base records whose indexed field equals (set: contains) the canonical value, in id order, at most `limit`.
    fn base_find(&self, entity: &str, field: &str, value: &Value, limit: usize) -> ReplicaResult<Vec<RecordId>>;
    /// Base records of an entity with id > `after` in id order, at most `limit`.
    fn base_scan(&self, entity: &str, after: Option<RecordId>, limit: usize) -> ReplicaResult<Vec<BaseRecord>>;
    fn base_count(&self, entity: &str) -> ReplicaResult<u64>;
    /// `(id, entity, rv)` of a scope's base records in id then entity order.
    fn base_rows(&self, scope: &ScopeId) -> ReplicaResult<Vec<(RecordId, Name, Seq)>>;
    fn scopes(&self) -> ReplicaResult<BTreeMap<ScopeId, ScopeState>>;
    /// Outbox from `first` on in `client_seq` order, at most `limit`.
    fn outbox(&self, first: u64, limit: usize) -> ReplicaResult<Vec<Pending>>;
    fn outbox_count(&self) -> ReplicaResult<u64>;
    /// Pending mutations that touch a record, in order.
    fn pending_for(&self, entity: &str, id: RecordId) -> ReplicaResult<Vec<Pending>>;
    /// Ids of the records of an entity that pending mutations touch.
    fn pending_ids(&self, entity: &str) -> ReplicaResult<Vec<RecordId>>;
    /// In order of `client_seq`, then mutation id.
    fn rejected(&self) -> ReplicaResult<Vec<Rejected>>;
    /// Acknowledged mutations from `first` on, in order.
    fn acknowledged(&self, first: u64) -> ReplicaResult<Vec<Pending>>;
    /// Applies all of it durably, or nothing.
    fn write(&mut self, writes: ReplicaWrites) -> ReplicaResult<()>;
}

/// One atomic step of a replica. Applied in field order.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ReplicaWrites {
    /// Delete everything first: base, outbox, rejected, acknowledged, scopes (a purge).
    pub wipe: bool,
    /// Delete the base records of these scopes and forget the scopes.
    pub drop_scopes: Vec<ScopeId>,
    pub meta: Option<ReplicaMeta>,
    pub scopes: Vec<(ScopeId, ScopeState)>,
    pub base_put: Vec<BaseRecord>,
    pub base_delete: Vec<(Name, RecordId)>,
    /// Inserts or replaces by `client_seq`.
    pub outbox_put: Vec<Pending>,
    pub outbox_delete: Vec<u64>,
    /// Inserts or replaces by mutation id: numbers start over with a new client id.
    pub rejected_put: Vec<Rejected>,
    pub rejected_delete: Vec<MutationId>,
    pub acknowledged_put: Vec<Pending>,
    /// Forget acknowledged mutations below this `client_seq`.
    pub acknowledged_trim: Option<u64>,
    /// Forget all acknowledged mutations (a new client id).
    pub acknowledged_clear: bool,
}
