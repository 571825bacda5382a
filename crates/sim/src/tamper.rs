//! What planted bugs do to requests before the engine sees them, and to its plans before they are written.

use std::collections::BTreeMap;
use std::sync::Arc;

use syncline_core::change::{CONFLICTS, Op};
use syncline_core::digest::Digest;
use syncline_core::engine::{GroupPlan, PushReply, PushRequest};
use syncline_core::protocol::{Batch, ServerFrame, WireOp};
use syncline_core::storage::{CHAIN_START, Head, LogWrite, Read, StoreResult};
use syncline_core::{Seq, Value};

use crate::plant::Bug;

/// Requests as the bug would have them, and how far their numbers were moved.
pub fn requests(bug: Bug, read: &dyn Read, requests: &mut [PushRequest]) -> StoreResult<Vec<i64>> {
    let mut moved = vec![0; requests.len()];
    let mut next: BTreeMap<_, u64> = BTreeMap::new();
    for (request, moved) in requests.iter_mut().zip(&mut moved) {
        let client = request.principal.client_id;
        let known = read.client(client)?;
        if bug == Bug::UserFromClient
            && let Some(known) = &known
        {
            (request.principal.user_id, request.principal.device_id) = (known.user_id, known.device_id);
        }
        if bug == Bug::NoPermissionOnPush {
            request.principal.is_server = true;
        }
        let last = known.map_or(0, |client| client.last_client_seq);
        let expected = *next.get(&client).unwrap_or(&(last + 1));
        let first = request.mutations.first().map_or(0, |mutation| mutation.client_seq);
        let renumbers = match bug {
            Bug::NoDedupe => first < expected,
            Bug::GapCheckMissing => first > expected,
            _ => false,
        };
        if renumbers && !request.principal.is_server {
            *moved = i64::try_from(first).unwrap_or(0) - i64::try_from(expected).unwrap_or(0);
            for (mutation, seq) in request.mutations.iter_mut().zip(expected..) {
                mutation.client_seq = seq;
            }
        }
        let end = request.mutations.last().map_or(0, |mutation| mutation.client_seq + 1);
        next.insert(client, expected.max(end));
        for mutation in &mut request.mutations {
            match bug {
                Bug::ArrivalOrder => mutation.age_ms = 0,
                Bug::TiebreakReversed => mutation.age_ms += 1,
                Bug::MutationSplit => mutation.ops.truncate(1),
                _ => {}
            }
            for op in &mut mutation.ops {
                tamper_op(bug, read, op)?;
            }
        }
    }
    Ok(moved)
}

fn tamper_op(bug: Bug, read: &dyn Read, op: &mut Op) -> StoreResult<()> {
    let Op::Update { entity, id, base_rv, fields } = op else { return Ok(()) };
    let Some(record) = read.record(entity, *id)? else { return Ok(()) };
    match bug {
        Bug::BaseIgnored => *base_rv = record.rv,
        Bug::GroupHalvesMixed if fields.contains_key("zip") && *base_rv < record.rv => {
            fields.remove("zip");
            *base_rv = record.rv;
        }
        Bug::CounterTwice => {
            if let Some(Value::Object(patch)) = fields.get_mut("balance")
                && let Some(increment) = patch.get("inc").and_then(Value::as_i64).filter(|inc| *inc > 0)
            {
                patch.insert("inc".to_owned(), Value::from(increment * 2));
            }
        }
        Bug::SetReplaced => {
            if let Some(Value::Object(patch)) = fields.get_mut("tags") {
                let held = record.fields.get("tags").cloned().unwrap_or(Value::Array(Vec::new()));
                patch.insert("remove".to_owned(), held);
                *base_rv = record.rv;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Gives replies the numbers the client used.
pub fn replies(moved: &[i64], replies: &mut [PushReply]) {
    for (reply, moved) in replies.iter_mut().zip(moved) {
        if let PushReply::Outcomes(outcomes) | PushReply::OutcomesThenGap { outcomes, .. } = reply {
            for outcome in outcomes {
                outcome.client_seq = outcome.client_seq.saturating_add_signed(*moved);
            }
        }
    }
}

/// A plan as the bug would write it, consistent in itself.
pub fn plan(bug: Bug, head: &Head, plan: &mut GroupPlan) {
    match bug {
        Bug::ConflictDropped => {
            let writes = &mut plan.writes;
            for write in writes.records.iter().filter(|write| write.record.entity == CONFLICTS && write.was.is_none()) {
                if let Some(digest) = writes.digests.get_mut(&write.record.scope) {
                    digest.remove(CONFLICTS, &write.record.id, write.record.rv);
                }
            }
            writes.records.retain(|write| write.record.entity != CONFLICTS || write.was.is_some());
            let dropped = |entity: &str, kind| entity == CONFLICTS && kind == syncline_core::change::ChangeKind::Put;
            for write in &mut writes.log {
                Arc::make_mut(&mut write.entry).changes.retain(|change| !dropped(&change.entity, change.kind));
            }
            rechain(&head.chain, plan, true);
            plan.digests.clone_from(&plan.writes.digests);
        }
        Bug::AuditNotChained => rechain(CHAIN_START, plan, false),
        _ => {}
    }
}

fn rechain(start: &str, plan: &mut GroupPlan, follows: bool) {
    let mut chain = start.to_owned();
    for write in &mut plan.writes.log {
        let before = if follows { chain.as_str() } else { start };
        *write = LogWrite::new(before, Arc::clone(&write.entry)).expect("an entry encodes");
        chain.clone_from(&write.hash);
    }
    if !plan.writes.log.is_empty() {
        plan.writes.chain = chain;
    }
    plan.entries = plan.writes.log.iter().map(|write| Arc::clone(&write.entry)).collect();
}

/// A frame as the bug would send it; `None`: it is not sent.
pub fn frame(bug: Bug, frame: ServerFrame) -> Option<ServerFrame> {
    use syncline_core::protocol::GrantAction;
    match (bug, frame) {
        (Bug::NoPurgeOnRevoke, ServerFrame::Grant { action: GrantAction::Remove, .. }) => None,
        (Bug::LeaveNotSent, ServerFrame::Batch(mut batch)) => {
            for change in &mut batch.changes {
                change.ops.retain(|op| !matches!(op, WireOp::Leave { .. }));
            }
            Some(ServerFrame::Batch(batch))
        }
        (Bug::DigestWrongColumns, ServerFrame::Batch(mut batch)) => {
            for (scope, digest) in &mut batch.digests {
                let mut wrong = Digest::EMPTY;
                (0..digest.count).for_each(|_| wrong.add(scope.as_str(), &syncline_core::id::RecordId::NIL, 0));
                *digest = wrong;
            }
            Some(ServerFrame::Batch(batch))
        }
        (Bug::PageOffByOne, ServerFrame::Batch(mut batch)) if !batch.catch_up => {
            batch.changes.pop();
            Some(ServerFrame::Batch(batch))
        }
        (_, frame) => Some(frame),
    }
}

/// Cuts a catch-up into frames of one record each: legal, and what large worlds do by size.
pub fn split_catch_up(bug: Option<Bug>, batches: Vec<Batch>) -> Vec<Batch> {
    let mut cut = Vec::new();
    let bounds: Option<(Seq, Seq)> = batches.first().map(|batch| (batch.from, batch.to));
    let Some((from, to)) = bounds else { return batches };
    for batch in batches {
        let frame = |changes, digests| Batch { from, to, catch_up: true, more: true, changes, digests };
        for change in batch.changes {
            cut.extend(
                change
                    .ops
                    .into_iter()
                    .map(|op| frame(vec![syncline_core::protocol::WireChange { by: None, ops: vec![op] }], Vec::new())),
            );
        }
        cut.push(frame(Vec::new(), batch.digests));
    }
    let count = cut.len();
    for (index, batch) in cut.iter_mut().enumerate() {
        batch.more = index + 1 < count && bug != Some(Bug::CatchUpByFrames);
    }
    cut
}
