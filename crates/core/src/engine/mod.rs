//! The server's write path: plans a whole group commit against a consistent view and returns what to write (spec §4–§8).
//!
//! Pure: the caller locks the workspace, calls [`plan_group`], applies the [`WriteSet`] in the same transaction, and only
//! then sends the replies (PSH-5). Mutations are decided one after the other; each works on a draft over the state the
//! former left and either merges into it or leaves no trace (MUT-1).

pub mod access;
mod check;
mod conflict;
mod decide;
mod draft;
mod history;
mod ops;
mod wanted;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use history::{HistoryItem, history};
pub use wanted::wanted;

use crate::TimestampMs;
use crate::change::{LogEntry, Mutation, Outcome};
use crate::digest::Digest;
use crate::id::{ScopeId, WorkspaceId};
use crate::principal::Principal;
use crate::protocol::{Code, Problem};
use crate::schema::Schema;
use crate::storage::{Read, StoreResult, WriteSet};

/// One push frame, or one write of the server itself.
#[derive(Clone, PartialEq, Debug)]
pub struct PushRequest {
    pub principal: Principal,
    pub mutations: Vec<Mutation>,
    pub received_ms: TimestampMs,
    /// The principal was revoked: store every mutation as rejected with this code (spec REV-2).
    pub deposit: Option<Code>,
}

/// What to answer to one request, once the group is on disk.
#[derive(Clone, PartialEq, Debug)]
pub enum PushReply {
    Outcomes(Vec<Outcome>),
    /// The outcomes before a gap, and the `client_seq` to go on from (spec PSH-4).
    OutcomesThenGap {
        outcomes: Vec<Outcome>,
        expected: u64,
    },
    /// Nothing of the request was decided.
    Refused(Problem),
}

/// A planned group commit.
#[derive(Clone, PartialEq, Debug)]
pub struct GroupPlan {
    pub writes: WriteSet,
    /// One per request, in order.
    pub replies: Vec<PushReply>,
    /// The new log entries, for live sessions.
    pub entries: Vec<Arc<LogEntry>>,
    /// Digests after the group of every scope it touched.
    pub digests: BTreeMap<ScopeId, Digest>,
}

/// Plans `requests` in order on the state `read` shows. Cost: a few point reads per op, more for cascades.
pub fn plan_group(
    schema: &Schema,
    workspace: &WorkspaceId,
    read: &dyn Read,
    requests: &[PushRequest],
) -> StoreResult<GroupPlan> {
    let mut group = draft::Group::new(schema, workspace, read)?;
    let mut replies = Vec::with_capacity(requests.len());
    for request in requests {
        replies.push(decide::decide_request(&mut group, request)?);
    }
    let (writes, entries) = group.into_writes()?;
    let digests = writes.digests.clone();
    Ok(GroupPlan { writes, replies, entries, digests })
}
