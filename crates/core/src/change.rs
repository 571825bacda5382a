//! What people do to records, and what the server makes of it: ops, mutations, outcomes, and the change log's entries.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::{ClientId, DeviceId, MutationId, RecordId, ScopeId, UserId};
use crate::protocol::Code;
use crate::{Fields, Name, Seq, SharedFields, TimestampMs};

/// A field-level change of one record as its author meant it (spec MUT-2). `base_rv` is the record's rv in the replica's
/// base when the op was authored: everything the record's history holds up to there had been seen.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    Create {
        entity: Name,
        id: RecordId,
        fields: Fields,
    },
    /// `fields` holds only what the author changed; `null` clears. Sets and counters take their own patch forms
    /// (see [`crate::schema::FieldType`]).
    Update {
        entity: Name,
        id: RecordId,
        base_rv: Seq,
        fields: Fields,
    },
    Delete {
        entity: Name,
        id: RecordId,
        base_rv: Seq,
    },
    /// Brings a deleted record back with its last values and `fields` on top.
    Restore {
        entity: Name,
        id: RecordId,
        base_rv: Seq,
        #[serde(default, skip_serializing_if = "Fields::is_empty")]
        fields: Fields,
    },
    /// Decides a conflict, or decides it anew, which is how a resolution is undone. `id` and `base_rv` are those of the
    /// record in `conflicts`; `fields` are the values for `Custom`.
    Resolve {
        id: RecordId,
        base_rv: Seq,
        resolution: Resolution,
        #[serde(default, skip_serializing_if = "Fields::is_empty")]
        fields: Fields,
    },
}

impl Op {
    /// The entity and record the op names; for `Resolve` the conflict.
    pub fn target(&self) -> (&str, RecordId) {
        match self {
            Op::Create { entity, id, .. }
            | Op::Update { entity, id, .. }
            | Op::Delete { entity, id, .. }
            | Op::Restore { entity, id, .. } => (entity, *id),
            Op::Resolve { id, .. } => (CONFLICTS, *id),
        }
    }
    /// 0 for a create.
    pub fn base_rv(&self) -> Seq {
        match self {
            Op::Create { .. } => 0,
            Op::Update { base_rv, .. }
            | Op::Delete { base_rv, .. }
            | Op::Restore { base_rv, .. }
            | Op::Resolve { base_rv, .. } => *base_rv,
        }
    }
}

/// Name of the entity whose records are conflicts.
pub const CONFLICTS: &str = "conflicts";

/// How a person decides a conflict. `mine` is the side of the mutation that met the conflict, `theirs` what the server
/// had; the words stand in the conflict record itself, so they mean the same on every device.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    UseMine,
    UseTheirs,
    /// The fields named by the op; the others keep their live value.
    Custom,
}

/// One user intent: applied all or nothing (spec MUT-1).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Mutation {
    pub mutation_id: MutationId,
    /// From 1, contiguous per client.
    pub client_seq: u64,
    /// Now − edit time on the device's clock when the frame is made (spec CLK-1); milliseconds.
    pub age_ms: u64,
    pub ops: Vec<Op>,
    /// Earlier mutations of the same client whose creations this one builds on: if one was rejected, so is this.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<u64>,
}

/// How a mutation ended (spec OUT-1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// Took effect as authored; nobody else had changed the same records meanwhile.
    Applied,
    /// Took effect, combined with changes the author had not seen.
    Merged,
    /// Everything in it lost to changes the author had not seen. Kept in history and in its conflicts.
    Superseded,
    /// At least one part waits in an open conflict.
    InReview,
    /// Nothing of it took effect; `code` says why.
    Rejected,
}

/// The durable answer to a mutation; never changes once stored (invariant 3).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Outcome {
    pub client_seq: u64,
    pub mutation_id: MutationId,
    pub outcome: OutcomeKind,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "Code::of_outcome")]
    pub code: Option<Code>,
    /// What is wrong and what to do, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflict_ids: Vec<RecordId>,
    /// Where its effects lie in the log; for one without effects the head when it was decided.
    pub seq: Seq,
}

/// One accepted mutation in the change log: atomic by construction, since a cursor cannot stand inside it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LogEntry {
    pub seq: Seq,
    pub mutation_id: MutationId,
    pub client_id: ClientId,
    pub client_seq: u64,
    pub user_id: UserId,
    pub device_id: DeviceId,
    /// Role of the author at commit.
    pub role: Name,
    pub authored_ms: TimestampMs,
    pub committed_ms: TimestampMs,
    pub changes: Vec<Change>,
}

/// What an accepted mutation did to one record.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Change {
    pub entity: Name,
    pub id: RecordId,
    pub kind: ChangeKind,
    /// The record's rv before this change, 0 when it did not exist: history is walked backwards along it.
    pub prev_rv: Seq,
    /// Scope after the change (of a deletion: the scope it was in).
    pub scope: ScopeId,
    /// Scope before, when it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<ScopeId>,
    /// New values of the fields that changed (all fields of a put); `null` where cleared. Empty for a deletion.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: SharedFields,
    /// Values before, of the same fields (of a deletion: all fields).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub before: SharedFields,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// The record came to be (created or restored).
    Put,
    Patch,
    Del,
}

impl LogEntry {
    /// Every scope this entry is visible in, including ones records left.
    pub fn scopes(&self) -> BTreeSet<ScopeId> {
        self.changes.iter().flat_map(|change| [Some(&change.scope), change.left.as_ref()]).flatten().cloned().collect()
    }
}
