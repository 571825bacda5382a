//! What became of a COMMIT whose answer was lost: the tables know.

use syncline_core::Seq;
use syncline_core::id::{ClientId, WorkspaceId};
use syncline_core::storage::{StoreError, StoreResult, WriteSet};

use super::apply::Trouble;
use super::lane::{Lane, indeterminate};
use super::rows::{Workspace, at};
use super::values::{encode, int};
use super::wire::{Reply, Request, integer, text, uuid};

/// By what a write set is recognised once it is committed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Trace {
    head: Seq,
    /// Hash of the last entry: it covers everything that was logged before, so no other write set has it.
    chain: Option<String>,
    /// The last outcome, as it is stored.
    outcome: Option<(ClientId, u64, String)>,
}

impl Trace {
    pub(super) fn of(writes: &WriteSet) -> StoreResult<Self> {
        let outcome = writes
            .outcomes
            .last()
            .map(|stored| Ok::<_, StoreError>((stored.client_id, stored.outcome.client_seq, encode(&stored.outcome)?)));
        let chain = writes.log.last().map(|write| write.hash.clone());
        Ok(Self { head: writes.head, chain, outcome: outcome.transpose()? })
    }

    /// `head` is where the log stands; `hash` and `outcome` are what is stored where ours would be. `None`: nobody can tell.
    fn is_committed(&self, head: Seq, hash: Option<&str>, outcome: Option<&str>) -> Option<bool> {
        let has_outcome = self.outcome.as_ref().map(|(_, _, ours)| outcome == Some(ours));
        match (&self.chain, hash) {
            (Some(ours), Some(stored)) => Some(ours == stored),
            (Some(_), None) if head < self.head => Some(false),
            // The log is longer, but our entry is not in it any more: it was compacted, or never there.
            (Some(_), None) => has_outcome,
            // Without entries and outcomes it only set what clients said last, which may be set again.
            (None, _) => has_outcome.or(Some(false)),
        }
    }
}

/// Whether the write set was committed. Takes the workspace's lock, and so waits until the server has ended the transaction in
/// question: committed it, or noticed that nobody is there to do so.
pub(super) fn is_committed(lane: &mut Lane, workspace: &WorkspaceId, trace: &Trace) -> StoreResult<bool> {
    let requests = || {
        let key = || text(workspace.as_str());
        let (client_id, client_seq) =
            trace.outcome.as_ref().map_or((ClientId::from_u128(0), 0), |(id, seq, _)| (*id, *seq));
        let hash = "SELECT hash FROM sync_log WHERE workspace_id = $1 AND seq = $2";
        let outcome =
            "SELECT outcome FROM sync_outcomes WHERE workspace_id = $1 AND client_id = $2 AND client_seq = $3";
        vec![
            Request::query(Workspace::LOCK, vec![key()]),
            Request::query(hash, vec![key(), integer(int(trace.head))]),
            Request::query(outcome, vec![key(), uuid(client_id.0), integer(int(client_seq))]),
        ]
    };
    let found = lane.write(requests, |_, replies| {
        let first = |reply: &Reply| reply.rows.first().map(|row| at::<String>(row, 0)).transpose();
        let Workspace { head, .. } = Workspace::from_rows(workspace, &replies[0].rows)?;
        let (hash, outcome) = (first(&replies[1])?, first(&replies[2])?);
        Ok::<_, Trouble>(trace.is_committed(head.seq, hash.as_deref(), outcome.as_deref()))
    });
    match found {
        Ok(Some(is_committed)) => Ok(is_committed),
        Ok(None) => Err(indeterminate("the log was compacted meanwhile")),
        Err(error) => Err(indeterminate(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inv_3_a_lost_answer_is_resolved_by_what_is_stored() {
        let outcome = Some((ClientId::from_u128(1), 7, "ours".to_owned()));
        let logged = Trace { head: 9, chain: Some("h9".to_owned()), outcome: outcome.clone() };
        let refused = Trace { head: 8, chain: None, outcome };
        let only_clients = Trace { head: 8, chain: None, outcome: None };
        let bare = Trace { outcome: None, ..logged.clone() };
        let table = [
            ("committed", &logged, 9, Some("h9"), Some("ours"), Some(true)),
            ("committed, and others after it", &logged, 20, Some("h9"), Some("ours"), Some(true)),
            ("not committed", &logged, 8, None, None, Some(false)),
            ("another node took the seq", &logged, 12, Some("x9"), None, Some(false)),
            ("committed and compacted", &logged, 30, None, Some("ours"), Some(true)),
            ("not committed, then a new epoch", &logged, 1 << 40, None, None, Some(false)),
            ("compacted, and nothing else to tell by", &bare, 30, None, None, None),
            ("a refusal, committed", &refused, 8, None, Some("ours"), Some(true)),
            ("a refusal, not committed", &refused, 8, None, None, Some(false)),
            ("a refusal, decided otherwise", &refused, 8, None, Some("theirs"), Some(false)),
            ("nothing that twice would be too much", &only_clients, 8, None, None, Some(false)),
        ];
        for (name, trace, head, hash, stored, want) in table {
            assert_eq!(trace.is_committed(head, hash, stored), want, "{name}");
        }
    }
}
