//! Group commit: many pushes of one workspace in one transaction.

use std::panic::{AssertUnwindSafe, catch_unwind};

use syncline_core::change::OutcomeKind;
use syncline_core::engine::{GroupPlan, PushReply, PushRequest, plan_group, wanted};
use syncline_core::id::WorkspaceId;
use syncline_core::storage::{Read, Store, StoreError, StoreResult, Wanted};
use tokio::sync::oneshot;

use super::job::{Committed, Decision, Precondition, PushJob};
use super::writer::{Lane, answer};
use crate::clock;
use crate::observe::Sample;

/// Decides `jobs` in their order, in as few transactions as their preconditions allow: a push with a precondition starts
/// a transaction of its own, so that the precondition is checked on exactly the state it is planned on.
pub(super) fn decide<S: Store>(lane: &mut Lane<S>, workspace_id: &WorkspaceId, jobs: Vec<PushJob>) {
    let mut group = Vec::with_capacity(jobs.len());
    for job in jobs {
        if job.precondition.is_some() && !group.is_empty() {
            decide_group(lane, workspace_id, std::mem::take(&mut group));
        }
        group.push(job);
    }
    decide_group(lane, workspace_id, group);
}

/// One transaction; when it fails, one for each push, so that a push that cannot be planned harms nobody else.
fn decide_group<S: Store>(lane: &mut Lane<S>, workspace_id: &WorkspaceId, jobs: Vec<PushJob>) {
    let mut group = Group::new(jobs);
    match commit(lane, workspace_id, &group) {
        Ok(done) => finish(lane, workspace_id, group, done),
        Err(failure) if group.requests.len() == 1 => refuse(workspace_id, group, &failure),
        Err(failure) => {
            tracing::warn!(event = "group_failed", %workspace_id, pushes = group.requests.len(), %failure, "a group commit failed; deciding its pushes one by one");
            while let Some(single) = group.take_first() {
                match commit(lane, workspace_id, &single) {
                    Ok(done) => finish(lane, workspace_id, single, done),
                    Err(failure) => refuse(workspace_id, single, &failure),
                }
            }
        }
    }
}

struct Group {
    requests: Vec<PushRequest>,
    /// Of the first request; a later one has none.
    precondition: Option<Precondition>,
    replies: Vec<oneshot::Sender<Decision>>,
}

impl Group {
    fn new(jobs: Vec<PushJob>) -> Self {
        let mut group = Group { requests: Vec::new(), precondition: None, replies: Vec::new() };
        for job in jobs {
            group.precondition = group.precondition.or(job.precondition);
            group.requests.push(job.request);
            group.replies.push(job.reply);
        }
        group
    }
    fn take_first(&mut self) -> Option<Group> {
        if self.requests.is_empty() {
            return None;
        }
        let precondition = self.precondition.take();
        Some(Group { requests: vec![self.requests.remove(0)], precondition, replies: vec![self.replies.remove(0)] })
    }
}

/// What a transaction decided.
struct Done {
    /// Replies to all requests but a first one whose precondition failed.
    plan: GroupPlan,
    is_first_refused: bool,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("the engine panicked: {0}")]
    Panic(String),
}

fn commit<S: Store>(lane: &mut Lane<S>, workspace_id: &WorkspaceId, group: &Group) -> Result<Done, Failure> {
    let started = clock::instant();
    let schema = &lane.schema;
    let store = &mut lane.store;
    let wanted = match store.reads_ahead() {
        true => wanted(schema, workspace_id, &group.requests),
        false => Wanted::default(),
    };
    let work =
        AssertUnwindSafe(|| store.transact(workspace_id, &wanted, |read| plan(schema, workspace_id, read, group)));
    let done = match catch_unwind(work) {
        Ok(done) => done.inspect_err(die_if_indeterminate)?,
        Err(panic) => return Err(Failure::Panic(panic_text(panic.as_ref()))),
    };
    lane.metrics.writer.commit_seconds.observe(started.elapsed().as_secs_f64());
    Ok(done)
}

fn plan(
    schema: &syncline_core::schema::Schema,
    workspace_id: &WorkspaceId,
    read: &dyn Read,
    group: &Group,
) -> StoreResult<(syncline_core::storage::WriteSet, Done)> {
    let is_first_refused = match &group.precondition {
        // A replay gets its stored outcome, whatever the record is now.
        Some(_) if is_replay(read, &group.requests)? => false,
        Some(precondition) => !precondition.holds(read)?,
        None => false,
    };
    let requests = &group.requests[usize::from(is_first_refused)..];
    let mut plan = plan_group(schema, workspace_id, read, requests)?;
    let writes = std::mem::take(&mut plan.writes);
    plan.writes.expected_head = writes.expected_head;
    plan.writes.head = writes.head;
    Ok((writes, Done { plan, is_first_refused }))
}

/// Whether the first request was decided before.
fn is_replay(read: &dyn Read, requests: &[PushRequest]) -> StoreResult<bool> {
    let Some((request, mutation)) = requests.first().and_then(|request| Some((request, request.mutations.first()?)))
    else {
        return Ok(false);
    };
    let client = read.client(request.principal.client_id)?;
    Ok(client.is_some_and(|client| mutation.client_seq <= client.last_client_seq))
}

fn finish<S: Store>(lane: &Lane<S>, workspace_id: &WorkspaceId, group: Group, done: Done) {
    let plan = done.plan;
    count(lane, workspace_id, &group, &plan);
    if !plan.entries.is_empty() {
        (lane.publish)(Committed {
            workspace_id: workspace_id.clone(),
            from: plan.writes.expected_head,
            to: plan.writes.head,
            entries: plan.entries,
            digests: plan.digests,
        });
    }
    let mut replies = group.replies.into_iter();
    if done.is_first_refused
        && let Some(reply) = replies.next()
    {
        answer(reply, Decision::PreconditionFailed);
    }
    for (reply, decided) in replies.zip(plan.replies) {
        answer(reply, Decision::Reply(decided));
    }
}

fn refuse(workspace_id: &WorkspaceId, group: Group, failure: &Failure) {
    let is_ours = match failure {
        Failure::Panic(_) => true,
        Failure::Store(StoreError::Unavailable(_)) => false,
        Failure::Store(_) => true,
    };
    if is_ours {
        tracing::error!(event = "push_failed", %workspace_id, %failure, "a push could not be decided");
    } else {
        tracing::warn!(event = "store_unavailable", %workspace_id, %failure, "the store is unavailable");
    }
    for reply in group.replies {
        answer(reply, if is_ours { Decision::Failed } else { Decision::Unavailable });
    }
}

/// A commit whose effect is unknown must not be answered, retried or built upon: crash, and recover from the disk.
fn die_if_indeterminate(error: &StoreError) {
    if let StoreError::Indeterminate(cause) = error {
        tracing::error!(event = "commit_indeterminate", cause, "a commit's effect is unknown; aborting to recover");
        std::process::abort();
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("no message").to_owned()
}

fn count<S: Store>(lane: &Lane<S>, workspace_id: &WorkspaceId, group: &Group, plan: &GroupPlan) {
    let metrics = &lane.metrics.writer;
    let mut sample = Sample::default();
    let mutations: usize = group.requests.iter().map(|request| request.mutations.len()).sum();
    metrics.group_mutations.observe(mutations as f64);
    for reply in &plan.replies {
        let outcomes = match reply {
            PushReply::Outcomes(outcomes) | PushReply::OutcomesThenGap { outcomes, .. } => outcomes,
            PushReply::Refused(_) => continue,
        };
        for outcome in outcomes {
            lane.metrics.count_outcome(outcome.outcome);
            if outcome.outcome == OutcomeKind::InReview {
                metrics.conflicts_open.inc();
            }
            sample.outcomes += 1;
            sample.conflicts += outcome.conflict_ids.len() as u64;
        }
    }
    let changes = plan.entries.iter().flat_map(|entry| &entry.changes);
    changes.for_each(|change| lane.metrics.count_conflict(change));
    lane.metrics.windows.record(workspace_id, clock::now_ms(), &sample);
}
