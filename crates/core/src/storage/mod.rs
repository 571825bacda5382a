//! What the engine needs of a database: one contract, with an in-memory implementation and the suite every adapter
//! passes (invariant 11).
//!
//! The engine plans against a [`Read`] and returns a [`WriteSet`]; a store applies it whole or not at all. Reading is
//! synchronous; so that a distant database is not asked once for each op, the engine says before what it is going to look
//! at ([`Wanted`]), and an adapter may load that in few round trips.

pub mod contract;
pub mod list;
mod memory;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use list::{Condition, ListQuery, Test};
pub use memory::{MemoryStore, MemoryView};
use serde::{Deserialize, Serialize};

use crate::change::{LogEntry, Mutation, Outcome};
use crate::digest::Digest;
use crate::id::{BackendId, ClientId, DeviceId, RecordId, ScopeId, UserId, WorkspaceId};
use crate::record::Record;
use crate::{Name, Seq, TimestampMs, Value};

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("there is no workspace `{0}`")]
    NoWorkspace(WorkspaceId),
    /// `create_workspace` of one that is there; nothing happened.
    #[error("there is a workspace `{0}` already")]
    WorkspaceExists(WorkspaceId),
    /// Try again later: nothing happened.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// A write whose effect is unknown (a failed fsync, a lost commit reply): the process must restart and recover.
    #[error("the database failed while committing: {0}")]
    Indeterminate(String),
    /// Stored data does not decode; names where.
    #[error("stored data is damaged: {0}")]
    Corrupt(String),
    #[error("the database refused")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
}

pub type StoreResult<T> = Result<T, StoreError>;

/// Where a workspace's log stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Head {
    pub backend_id: BackendId,
    pub epoch: u32,
    /// Last assigned seq; the first of epoch `e` is `epoch_base(e) + 1`.
    pub seq: Seq,
    /// Oldest cursor a catch-up can serve: below it departures and tombstones may be gone.
    pub min_seq: Seq,
    /// Hash of the last log entry (spec AUD-1), 32 bytes as hex; zeros before the first.
    pub chain: String,
}

/// Where the seqs of an epoch start, so that no seq of a former epoch is ever assigned again (spec EPO-2). Epoch 0 starts
/// at 0.
pub const fn epoch_base(epoch: u32) -> Seq {
    (epoch as Seq) << 40
}

/// The last epoch whose seqs stay below 2^53.
pub const EPOCH_MAX: u32 = (1 << 13) - 1;

/// An epoch that cannot begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EpochError {
    #[error("epoch {epoch} may have been used already: it must be {} or higher", .last + 1)]
    Used { epoch: u32, last: u32 },
    #[error("there is no epoch {0}: the last one is {EPOCH_MAX}")]
    BeyondLast(u32),
}

impl EpochError {
    /// What a store that was asked for the epoch answers.
    pub fn into_store_error(self) -> StoreError {
        StoreError::Database(Box::new(self))
    }
}

/// The epoch that begins when `last` is the highest known to have been used: the wanted one, or else the next.
pub fn epoch_after(last: u32, wanted: Option<u32>) -> Result<u32, EpochError> {
    let epoch = wanted.unwrap_or_else(|| last.saturating_add(1));
    match epoch {
        _ if epoch > EPOCH_MAX => Err(EpochError::BeyondLast(epoch)),
        _ if epoch <= last => Err(EpochError::Used { epoch, last }),
        _ => Ok(epoch),
    }
}

/// What the server knows of one client.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClientState {
    pub client_id: ClientId,
    pub user_id: UserId,
    pub device_id: DeviceId,
    /// Highest decided `client_seq`. Once its outcome is compacted, [`Read::outcome`] of a lower one is `None`.
    pub last_client_seq: u64,
}

/// A stored outcome with what the administrator needs of a mutation that was not applied.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StoredOutcome {
    pub client_id: ClientId,
    pub user_id: UserId,
    pub decided_ms: TimestampMs,
    pub outcome: Outcome,
    /// The mutation itself, kept when it was rejected (design D10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Mutation>,
}

/// A consistent view of one workspace at one seq.
pub trait Read {
    fn head(&self) -> StoreResult<Head>;
    /// The record or its tombstone.
    fn record(&self, entity: &str, id: RecordId) -> StoreResult<Option<Record>>;
    /// Ids of live records whose indexed `field` equals the canonical `value` (a set field: contains it), in id order,
    /// at most `limit`. A field that is not indexed is an error, not a scan.
    fn find(&self, entity: &str, field: &str, value: &Value, limit: usize) -> StoreResult<Vec<RecordId>>;
    /// Ids of live records that hold `key` (see [`unique_key`]) for the named uniqueness of their entity, at most 2.
    fn find_unique(&self, entity: &str, unique: &str, key: &str) -> StoreResult<Vec<RecordId>>;
    fn client(&self, client_id: ClientId) -> StoreResult<Option<ClientState>>;
    fn outcome(&self, client_id: ClientId, client_seq: u64) -> StoreResult<Option<StoredOutcome>>;
    /// Outcomes of a client from `first` on, in order, at most `limit`.
    fn outcomes_from(&self, client_id: ClientId, first: u64, limit: usize) -> StoreResult<Vec<StoredOutcome>>;
    fn log_entry(&self, seq: Seq) -> StoreResult<Option<LogEntry>>;
    /// Entries with `after < seq <= to` in order, at most `limit`.
    fn log(&self, after: Seq, to: Seq, limit: usize) -> StoreResult<Vec<LogEntry>>;
    /// Digest of a scope's live records; empty for one nobody has written to.
    fn scope_digest(&self, scope: &ScopeId) -> StoreResult<Digest>;
    /// All scopes with at least one record, tombstone (not a forgotten one) or departure, in order.
    fn scopes(&self) -> StoreResult<Vec<(ScopeId, Digest)>>;
    /// Records and tombstones whose present scope is `scope`, of `entity`, with `after < rv <= to`, in rv then id order,
    /// at most `limit` (but never splitting records of the same rv: it may return more). `live_only` leaves out tombstones;
    /// forgotten ones never appear.
    fn changed(&self, page: &ChangedPage) -> StoreResult<Vec<Record>>;
    /// Records that left `scope` at a seq in `(after, to]`, with that seq; of several departures of a record the latest in
    /// that range; in seq, entity, id order.
    fn departures(&self, scope: &ScopeId, after: Seq, to: Seq) -> StoreResult<Vec<Departure>>;
    /// `(entity, id, rv)` of the live records of a scope in `(id, entity)` order.
    fn scope_rows(&self, scope: &ScopeId) -> StoreResult<Vec<(Name, RecordId, Seq)>>;
    /// A page of a list, filtered and sorted by the store: its cost is at most one pass over the entity, however few records
    /// are wanted.
    fn list(&self, query: &ListQuery) -> StoreResult<Vec<Record>>;
    /// Live records of an entity with id greater than `after`, in id order, at most `limit`: for export and searches.
    fn scan(&self, entity: &str, after: Option<RecordId>, limit: usize) -> StoreResult<Vec<Record>>;
    /// Rejected mutations, newest (`decided_ms`, then client id, then `client_seq`) first, at most `limit`: the
    /// administrator's inbox.
    fn rejected(&self, limit: usize) -> StoreResult<Vec<StoredOutcome>>;
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChangedPage {
    pub scope: ScopeId,
    pub entity: Name,
    pub after: Seq,
    pub to: Seq,
    pub live_only: bool,
    pub limit: usize,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Departure {
    pub seq: Seq,
    pub entity: Name,
    pub id: RecordId,
}

/// What a plan is expected to read: a hint, never a limit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    pub records: BTreeSet<(Name, RecordId)>,
    /// As [`Read::find_unique`] asks: `(entity, unique, key)`.
    pub unique_keys: BTreeSet<(Name, Name, String)>,
    /// As [`Read::find`] asks, for texts: `(entity, field, value)`.
    pub values: BTreeSet<(Name, Name, String)>,
    pub clients: BTreeSet<ClientId>,
    pub log: BTreeSet<Seq>,
    pub scopes: BTreeSet<ScopeId>,
}

/// Everything one group commit writes, computed by the engine. Applied whole or not at all.
///
/// A store refuses as `Corrupt`, having written nothing, what can only be our bug: a record whose `was` is not what is
/// stored, a live record with a field its entity does not declare, an outcome that is there already (invariant 3).
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct WriteSet {
    /// Head the plan was made on; a store whose head differs refuses with `Unavailable`.
    pub expected_head: Seq,
    /// Last seq after the commit.
    pub head: Seq,
    /// Hash of the last entry after the commit (spec AUD-1).
    pub chain: String,
    /// New state of every record touched, each once, with the rv it had before (0: new).
    pub records: Vec<RecordWrite>,
    pub departures: Vec<(ScopeId, Departure)>,
    /// New entries, seq order.
    pub log: Vec<LogWrite>,
    pub outcomes: Vec<StoredOutcome>,
    pub clients: Vec<ClientState>,
    /// New digest of every scope touched.
    pub digests: BTreeMap<ScopeId, Digest>,
}

/// A log entry as it is stored: encoded once, for its hash and for the store.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LogWrite {
    pub entry: Arc<LogEntry>,
    /// The entry as `serde_json` writes it: what is hashed and what is kept.
    pub json: String,
    /// Chain hash at this entry (spec AUD-1).
    pub hash: String,
}

impl LogWrite {
    /// The entry that follows the one with hash `prev`. An entry that does not encode is `Corrupt`.
    pub fn new(prev: &str, entry: impl Into<Arc<LogEntry>>) -> StoreResult<Self> {
        let entry = entry.into();
        let json = serde_json::to_string(&*entry)
            .map_err(|error| StoreError::Corrupt(format!("log entry {} does not encode: {error}", entry.seq)))?;
        let hash = chain_hash(prev, &json);
        Ok(Self { entry, json, hash })
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RecordWrite {
    pub record: Record,
    /// What is stored now, as far as indexes need it: absent for a new record.
    pub was: Option<RecordWas>,
    /// Uniqueness keys after the write: `(unique name, key)`; none for a tombstone.
    pub unique_keys: Vec<(Name, String)>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RecordWas {
    pub rv: Seq,
    pub is_deleted: bool,
    pub scope: ScopeId,
}

impl WriteSet {
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.log.is_empty() && self.outcomes.is_empty() && self.clients.is_empty()
    }

    /// What every store checks before it writes anything: the head is the one the plan was made on (else `Unavailable`,
    /// plan again), and the log runs gapless from there to the new head (else `Corrupt`, our bug).
    pub fn check(&self, head: &Head) -> StoreResult<()> {
        if self.expected_head != head.seq {
            let (want, is) = (self.expected_head, head.seq);
            return Err(StoreError::Unavailable(format!("planned on head {want}, but it is {is}; plan again")));
        }
        let seqs = self.log.iter().map(|write| write.entry.seq);
        let is_gapless = seqs.eq(head.seq + 1..=self.head);
        let ends_in_chain = self.log.last().is_none_or(|write| write.hash == self.chain);
        if !is_gapless || !ends_in_chain {
            let text =
                format!("a plan's log does not run from {} to {} with its last hash as chain", head.seq, self.head);
            return Err(StoreError::Corrupt(text));
        }
        Ok(())
    }
}

/// A store of workspaces.
///
/// `transact` runs `plan` on the state as it is under the workspace's write lock and applies what it returns; a store runs
/// `plan` again when the transaction had to be begun anew, and takes the last result. When it returns, the effects are durable (`synchronous=FULL` or its like). An error means nothing happened, except
/// [`StoreError::Indeterminate`].
pub trait Store {
    fn create_workspace(&mut self, workspace: &WorkspaceId, backend_id: BackendId) -> StoreResult<()>;
    fn workspaces(&self) -> StoreResult<Vec<WorkspaceId>>;
    fn read<T>(&self, workspace: &WorkspaceId, read: impl FnOnce(&dyn Read) -> StoreResult<T>) -> StoreResult<T>;
    /// Whether a read costs a round trip, so that it pays to say in `wanted` what will be read.
    fn reads_ahead(&self) -> bool {
        false
    }
    fn transact<T>(
        &mut self,
        workspace: &WorkspaceId,
        wanted: &Wanted,
        plan: impl FnMut(&dyn Read) -> StoreResult<(WriteSet, T)>,
    ) -> StoreResult<T>;
    /// Notes that clients have seen their outcomes up to a `client_seq`; a lower one than before and an unknown client are
    /// ignored. Only [`Store::compact`] reads it, so a store may lose it in a crash.
    fn acknowledge(&mut self, workspace: &WorkspaceId, upto: &[(ClientId, u64)]) -> StoreResult<()>;
    /// Forgets log entries, departures and tombstones with seq `<= upto` and outcomes with seq `<= upto` that their client
    /// has acknowledged; ids of the tombstones stay known as gone ([`Record::is_forgotten`], with `versions` reduced to
    /// `Version(rv, 0)`). Raises `min_seq`.
    fn compact(&mut self, workspace: &WorkspaceId, upto: Seq) -> StoreResult<()>;
    /// Starts an epoch later than the present one ([`epoch_after`]): what a restore does to every workspace it brings back
    /// (spec EPO-1). The head moves to [`epoch_base`] and so does `min_seq`; records, log, outcomes and the chain stay.
    fn begin_epoch(&mut self, workspace: &WorkspaceId, epoch: u32) -> StoreResult<()>;
}

/// The error of [`Read::find`] on a field that has no index (or does not exist): a mistake in our code, never in data.
pub fn require_index(schema: &crate::schema::Schema, entity: &str, field: &str) -> StoreResult<()> {
    let declared = schema.entity(entity).and_then(|entity| entity.field(field));
    if declared.is_some_and(|field| field.is_indexed) {
        return Ok(());
    }
    Err(StoreError::Corrupt(format!("{entity}.{field} was searched but is not declared as indexed")))
}

/// Hash of a log entry (spec AUD-1): SHA-256 over the hash before it (64 hex digits) and the entry as `serde_json` writes
/// it, in hex. The hash before the first entry is 64 zeros.
pub fn chain_hash(prev: &str, entry_json: &str) -> String {
    use sha2::{Digest as _, Sha256};
    let hash = Sha256::new().chain_update(prev.as_bytes()).chain_update(entry_json.as_bytes()).finalize();
    hash.iter().fold(String::with_capacity(64), |mut hex, byte| {
        for nibble in [byte >> 4, byte & 15] {
            hex.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
        hex
    })
}

/// [`Head::chain`] of a workspace without log entries.
pub const CHAIN_START: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The text a uniqueness compares: the JSON array of the canonical values, texts lower-cased where it folds case.
/// `None`: one of the fields has no value, so the record is not compared.
pub fn unique_key(unique: &crate::schema::Unique, fields: &crate::Fields) -> Option<String> {
    let mut parts = Vec::with_capacity(unique.fields.len());
    for field in &unique.fields {
        let value = fields.get(field).filter(|value| !value.is_null())?;
        parts.push(match value {
            Value::String(text) if unique.is_case_folded => Value::String(text.to_lowercase()),
            other => other.clone(),
        });
    }
    Some(Value::Array(parts).to_string())
}
