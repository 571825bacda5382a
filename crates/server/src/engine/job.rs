//! What the writer is asked, and how it answers.

use std::sync::Arc;

use syncline_core::Seq;
use syncline_core::change::LogEntry;
use syncline_core::digest::Digest;
use syncline_core::engine::access::has_owner_without;
use syncline_core::id::{ClientId, RecordId, ScopeId, WorkspaceId};
use syncline_core::storage::{Read, Store, StoreResult};
use tokio::sync::oneshot;

use syncline_core::engine::{PushReply, PushRequest};

/// One push on its way to the writer.
pub struct PushJob {
    pub request: PushRequest,
    pub precondition: Option<Precondition>,
    pub reply: oneshot::Sender<Decision>,
}

/// What must be so for a push to be planned, checked under the write lock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Precondition {
    /// `If-Match`: the record still has this rv.
    Unchanged { entity: String, id: RecordId, rv: Seq },
    /// The workspace has an active owner also without this member.
    OwnerWithout(RecordId),
}

impl Precondition {
    pub(super) fn holds(&self, read: &dyn Read) -> StoreResult<bool> {
        match self {
            Precondition::Unchanged { entity, id, rv } => {
                Ok(read.record(entity, *id)?.is_some_and(|record| !record.is_deleted && record.rv == *rv))
            }
            Precondition::OwnerWithout(member) => has_owner_without(read, *member),
        }
    }
}

/// What became of a push. Everything but `Reply` means: nothing happened.
#[derive(Debug)]
pub enum Decision {
    /// Decided and durable.
    Reply(PushReply),
    /// The precondition does not hold.
    PreconditionFailed,
    /// The database could not be written; the same push may be sent again.
    Unavailable,
    /// Planning this push failed: our bug, logged with its cause.
    Failed,
}

/// The writer's queue is full or closing: come back after a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Busy {
    pub retry_ms: u64,
}

/// Work on the store that is not a push, run between two groups.
pub type StoreTask<S> = Box<dyn FnOnce(&mut S) + Send>;

pub(super) enum Job<S: Store> {
    Push(PushJob),
    /// A client has its outcomes up to a `client_seq`.
    Acknowledge {
        workspace_id: WorkspaceId,
        client_id: ClientId,
        upto: u64,
    },
    Task(StoreTask<S>),
    Stop,
}

/// A committed group, for the hub.
#[derive(Debug)]
pub struct Committed {
    pub workspace_id: WorkspaceId,
    /// Head before and after.
    pub from: Seq,
    pub to: Seq,
    pub entries: Vec<Arc<LogEntry>>,
    /// Digest at `to` of every scope touched.
    pub digests: std::collections::BTreeMap<ScopeId, Digest>,
}

pub(super) type TaskReply<T> = oneshot::Sender<StoreResult<T>>;
