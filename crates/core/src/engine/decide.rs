//! One request: sequence, dedupe, dependencies, and the outcome of each mutation.

use std::sync::Arc;

use super::draft::{Draft, Group};
use super::ops::Author;
use super::{PushReply, PushRequest, access};
use crate::change::{LogEntry, Mutation, Outcome, OutcomeKind};
use crate::clock::authored_at;
use crate::principal::{Access, Grants, ReadScope};
use crate::protocol::{Code, Problem, limits};
use crate::storage::{ClientState, StoreResult, StoredOutcome};
use crate::{Name, Value};

/// Rank of the server's own writes: above every role.
const SERVER_RANK: u8 = u8::MAX;

/// Why a mutation is refused as a whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Rejection {
    pub code: Code,
    pub detail: String,
}

impl Rejection {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

/// What planning an op may end in besides its effect.
pub(super) enum Stop {
    Reject(Rejection),
    Store(crate::storage::StoreError),
}

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Self {
        Stop::Reject(rejection)
    }
}
impl From<crate::storage::StoreError> for Stop {
    fn from(error: crate::storage::StoreError) -> Self {
        Stop::Store(error)
    }
}

pub(super) fn reject<T>(code: Code, detail: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Reject(Rejection::new(code, detail)))
}

pub(super) fn decide_request(group: &mut Group<'_>, request: &PushRequest) -> StoreResult<PushReply> {
    let principal = &request.principal;
    let known = match group.clients.get(&principal.client_id) {
        Some(state) => Some(state.clone()),
        None => group.read.client(principal.client_id)?,
    };
    let is_owner = |state: &ClientState| {
        principal.is_server || (state.user_id == principal.user_id && state.device_id == principal.device_id)
    };
    if known.as_ref().is_some_and(|state| !is_owner(state)) {
        let message = "this client id belongs to another user or device: mint a new one for this database";
        return Ok(PushReply::Refused(Problem::new(Code::Forbidden, message)));
    }
    let mut state = known.unwrap_or(ClientState {
        client_id: principal.client_id,
        user_id: principal.user_id,
        device_id: principal.device_id,
        last_client_seq: 0,
    });
    let mut outcomes = Vec::with_capacity(request.mutations.len());
    for mutation in &request.mutations {
        if mutation.client_seq <= state.last_client_seq {
            match stored_outcome(group, request, mutation)? {
                Ok(outcome) => outcomes.push(outcome),
                Err(problem) => return Ok(refuse(outcomes, problem)),
            }
            continue;
        }
        let expected = state.last_client_seq + 1;
        if mutation.client_seq != expected {
            return Ok(PushReply::OutcomesThenGap { outcomes, expected });
        }
        let outcome = decide(group, request, mutation)?;
        state.last_client_seq = expected;
        let is_rejected = outcome.outcome == OutcomeKind::Rejected;
        let stored = StoredOutcome {
            client_id: principal.client_id,
            user_id: principal.user_id,
            decided_ms: request.received_ms,
            outcome: outcome.clone(),
            rejected: is_rejected.then(|| mutation.clone()),
        };
        group.outcomes.insert((principal.client_id, expected), stored);
        group.clients.insert(principal.client_id, state.clone());
        outcomes.push(outcome);
    }
    Ok(PushReply::Outcomes(outcomes))
}

/// A problem in the middle of a push: what was decided before stands and is asked for again by the client.
fn refuse(_decided: Vec<Outcome>, problem: Problem) -> PushReply {
    PushReply::Refused(problem)
}

/// The stored outcome of a replay (spec PSH-3, PSH-7).
fn stored_outcome(
    group: &Group<'_>,
    request: &PushRequest,
    mutation: &Mutation,
) -> StoreResult<Result<Outcome, Problem>> {
    let client_id = request.principal.client_id;
    let stored = match group.outcomes.get(&(client_id, mutation.client_seq)) {
        Some(stored) => Some(stored.outcome.clone()),
        None => group.read.outcome(client_id, mutation.client_seq)?.map(|stored| stored.outcome),
    };
    let problem =
        |code, message: &str| Problem { client_seq: Some(mutation.client_seq), ..Problem::new(code, message) };
    Ok(match stored {
        Some(outcome) if outcome.mutation_id == mutation.mutation_id => Ok(outcome),
        Some(_) => {
            let message = "another mutation was decided under this client_seq: two databases share this client id";
            Err(problem(Code::BackendMismatch, message))
        }
        None => {
            let message = "this mutation was decided and acknowledged long ago; its outcome is not kept any more";
            Err(problem(Code::ServerAhead, message))
        }
    })
}

/// Decides one new mutation: drafts its effects and makes them part of the group, or rejects it whole.
fn decide(group: &mut Group<'_>, request: &PushRequest, mutation: &Mutation) -> StoreResult<Outcome> {
    let outcome = |outcome, seq| Outcome {
        client_seq: mutation.client_seq,
        mutation_id: mutation.mutation_id,
        outcome,
        code: None,
        detail: None,
        conflict_ids: Vec::new(),
        seq,
    };
    let rejected = |rejection: Rejection, seq| Outcome {
        code: Some(rejection.code),
        detail: Some(rejection.detail),
        ..outcome(OutcomeKind::Rejected, seq)
    };
    let author = match author_of(group, request, mutation) {
        Ok(author) => author,
        Err(Stop::Reject(rejection)) => return Ok(rejected(rejection, group.head.seq)),
        Err(Stop::Store(error)) => return Err(error),
    };
    let mut draft = Draft::default();
    let parts = match author.draft_all(group, &mut draft, &mutation.ops) {
        Ok(parts) => parts,
        Err(Stop::Reject(rejection)) => return Ok(rejected(rejection, group.head.seq)),
        Err(Stop::Store(error)) => return Err(error),
    };
    let kind = parts.outcome();
    if draft.len() == 0 {
        return Ok(Outcome { conflict_ids: parts.conflict_ids, ..outcome(kind, group.head.seq) });
    }
    let seq = author.seq;
    let entry = LogEntry {
        seq,
        mutation_id: mutation.mutation_id,
        client_id: request.principal.client_id,
        client_seq: mutation.client_seq,
        user_id: request.principal.user_id,
        device_id: request.principal.device_id,
        role: author.access.role.clone(),
        authored_ms: author.authored_ms,
        committed_ms: request.received_ms,
        changes: Vec::new(),
    };
    group.accept(draft, entry)?;
    Ok(Outcome { conflict_ids: parts.conflict_ids, ..outcome(kind, seq) })
}

/// Everything that refuses a mutation before its ops are looked at, and the author as they are now.
fn author_of<'r>(group: &mut Group<'_>, request: &'r PushRequest, mutation: &Mutation) -> Result<Author<'r>, Stop> {
    if let Some(code) = request.deposit {
        return reject(code, "access was withdrawn before this reached the server; an administrator can see it");
    }
    if mutation.ops.is_empty() {
        return reject(Code::Validation, "a mutation needs at least one op");
    }
    if mutation.ops.len() > limits::OPS_PER_MUTATION_MAX {
        let message = format!("a mutation has at most {} ops; split it", limits::OPS_PER_MUTATION_MAX);
        return reject(Code::TooLarge, message);
    }
    for &needed in &mutation.depends_on {
        let key = (request.principal.client_id, needed);
        let outcome = match group.outcomes.get(&key) {
            Some(stored) => Some(stored.outcome.outcome),
            None => group.read.outcome(key.0, key.1)?.map(|stored| stored.outcome.outcome),
        };
        if outcome == Some(OutcomeKind::Rejected) {
            let message = format!("it builds on your change number {needed}, which was rejected");
            return reject(Code::DependencyFailed, message);
        }
    }
    let Some(access) = access_now(group, request)? else {
        return reject(Code::Forbidden, "you are not an active member of this workspace any more");
    };
    let newest_base = mutation.ops.iter().map(|op| op.base_rv()).max().unwrap_or(0);
    let base_committed_ms = match mutation.age_ms {
        0 => 0,
        _ => group.log_entry(newest_base)?.map_or(0, |entry| entry.committed_ms),
    };
    Ok(Author {
        principal: &request.principal,
        mutation_id: mutation.mutation_id,
        client_seq: mutation.client_seq,
        access,
        seq: group.head.seq + 1,
        authored_ms: authored_at(mutation.age_ms, base_committed_ms, request.received_ms),
        received_ms: request.received_ms,
    })
}

/// The author's access at this point of the group (spec PRM-1); computed once until members or teams change.
fn access_now(group: &mut Group<'_>, request: &PushRequest) -> Result<Option<Arc<Access>>, Stop> {
    if request.principal.is_server {
        let role = Name::new_static("server");
        let access = Access { role, rank: SERVER_RANK, read_scope: ReadScope::All, grants: Grants::All };
        return Ok(Some(Arc::new(access)));
    }
    let user = request.principal.user_id;
    if let Some(access) = group.access_by_user.get(&user) {
        return Ok(access.clone());
    }
    let access = access_in_group(group, user)?.map(Arc::new);
    group.access_by_user.insert(user, access.clone());
    Ok(access)
}

/// [`access::access_of`] with what the group has changed so far.
pub(super) fn access_in_group(group: &Group<'_>, user: crate::id::UserId) -> StoreResult<Option<Access>> {
    let nothing = Draft::default();
    let member = group.record(&nothing, access::MEMBERS, access::member_id(group.workspace, user))?;
    let find_teams = || {
        let Some(teams) = group.schema.entity(access::TEAMS) else { return Ok(Vec::new()) };
        let field = Name::new_static("member_ids");
        let ids = group.find(&nothing, teams, &field, &Value::String(user.to_string()), limits::CASCADE_RECORDS_MAX)?;
        ids.into_iter().filter_map(|id| group.record(&nothing, access::TEAMS, id).transpose()).collect()
    };
    access::access_from(group.schema, user, member, find_teams)
}
