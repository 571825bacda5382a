//! Writes that do not come from a replica: REST requests and the server's own, as mutations through the same writer.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use syncline_core::change::{Mutation, Op, Outcome};
use syncline_core::engine::{PushReply, PushRequest};
use syncline_core::id::{ClientId, DeviceId, MutationId, UserId, WorkspaceId};
use syncline_core::principal::Principal;
use syncline_core::protocol::{Code, Problem};
use tokio::sync::oneshot;

use crate::app::App;
use crate::clock;
use crate::engine::{Busy, Decision, Precondition, PushJob};

/// Who writes over REST; each gets a client id of this run, whose `client_seq` the server counts.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Author {
    pub workspace_id: WorkspaceId,
    pub user_id: UserId,
    pub device_id: DeviceId,
    pub is_server: bool,
}

/// The client ids of REST authors.
#[derive(Default)]
pub struct RestClients {
    slots: Mutex<HashMap<Author, Slot>>,
}

#[derive(Clone, Copy)]
struct Slot {
    client_id: ClientId,
    next_seq: u64,
}

/// Authors remembered; beyond, all start anew with fresh client ids.
const AUTHORS_MAX: usize = 10_000;

/// Mutations of a request as the caller means them.
pub struct Write {
    pub author: Author,
    /// One mutation each.
    pub mutations: Vec<Vec<Op>>,
    pub precondition: Option<Precondition>,
    /// Replays of the same key get the stored outcomes (spec PSH-3).
    pub idempotency: Option<Idempotency>,
}

/// Identity of a request that may be sent again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Idempotency {
    pub client_id: ClientId,
    /// Differs when the request differs, so that a key used twice is noticed (spec PSH-7).
    pub request_id: uuid::Uuid,
}

#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("too many writes are waiting")]
    Busy(Busy),
    #[error("the record changed meanwhile")]
    PreconditionFailed,
    #[error("the store cannot be written now")]
    Unavailable,
    #[error("the write could not be decided")]
    Failed,
    #[error("{}", .0.message)]
    Refused(Box<Problem>),
}

impl Author {
    /// The server itself, in a workspace.
    pub fn server(workspace_id: WorkspaceId) -> Self {
        Self { workspace_id, user_id: UserId::NIL, device_id: DeviceId::NIL, is_server: true }
    }
}

impl App {
    /// Decides a write; one outcome per mutation, in order, durable when this returns.
    pub async fn write(&self, write: Write) -> Result<Vec<Outcome>, WriteError> {
        if let Some(idempotency) = &write.idempotency {
            let request = request(&write, idempotency.client_id, 1, Some(idempotency.request_id));
            let answer = self.submit(request, write.precondition).map_err(WriteError::Busy)?;
            return outcomes(answer.await, 0).map_err(Retry::give_up);
        }
        match self.write_once(&write).await {
            Err(Retry::FreshClient(_)) => self.write_once(&write).await.map_err(Retry::give_up),
            decided => decided.map_err(Retry::give_up),
        }
    }

    async fn write_once(&self, write: &Write) -> Result<Vec<Outcome>, Retry> {
        let (answer, slot) = self.submit_next(write).map_err(|busy| Retry::No(WriteError::Busy(busy)))?;
        let result = outcomes(answer.await, slot.next_seq);
        if result.is_err() {
            self.rest_clients.forget(&write.author, slot.client_id);
        }
        result
    }

    /// Numbers and enqueues under one lock, so that the order of the queue is the order of `client_seq`.
    fn submit_next(&self, write: &Write) -> Result<(oneshot::Receiver<Decision>, Slot), Busy> {
        let mut slots = self.rest_clients.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= AUTHORS_MAX && !slots.contains_key(&write.author) {
            slots.clear();
        }
        let fresh = || Slot { client_id: ClientId(crate::random::uuid_v5()), next_seq: 1 };
        let slot = *slots.entry(write.author.clone()).or_insert_with(fresh);
        let request = request(write, slot.client_id, slot.next_seq, None);
        let answer = self.submit(request, write.precondition.clone())?;
        if write.precondition.is_some() {
            // A precondition that fails leaves the number unused: nothing may be enqueued behind it.
            slots.remove(&write.author);
        } else {
            let next_seq = slot.next_seq + write.mutations.len() as u64;
            slots.insert(write.author.clone(), Slot { next_seq, ..slot });
        }
        Ok((answer, slot))
    }

    fn submit(
        &self,
        request: PushRequest,
        precondition: Option<Precondition>,
    ) -> Result<oneshot::Receiver<Decision>, Busy> {
        let (reply, answer) = oneshot::channel();
        self.writer.submit(PushJob { request, precondition, reply })?;
        Ok(answer)
    }
}

impl RestClients {
    fn forget(&self, author: &Author, client_id: ClientId) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.get(author).is_some_and(|slot| slot.client_id == client_id) {
            slots.remove(author);
        }
    }
}

/// Why a write did not happen, and whether a fresh client id may help.
enum Retry {
    No(WriteError),
    /// An earlier write of the same client id was not decided, so this one met a gap.
    FreshClient(WriteError),
}

impl Retry {
    fn give_up(self) -> WriteError {
        match self {
            Retry::No(error) | Retry::FreshClient(error) => error,
        }
    }
}

fn outcomes(answer: Result<Decision, oneshot::error::RecvError>, first_seq: u64) -> Result<Vec<Outcome>, Retry> {
    match answer {
        Ok(Decision::Reply(PushReply::Outcomes(outcomes))) => Ok(outcomes),
        Ok(Decision::Reply(PushReply::OutcomesThenGap { expected, .. })) => {
            let message = format!("the server's own numbering met a gap: sent {first_seq}, expected {expected}");
            Err(Retry::FreshClient(WriteError::Refused(Box::new(Problem::new(Code::OutOfOrder, message)))))
        }
        Ok(Decision::Reply(PushReply::Refused(problem))) => Err(Retry::No(WriteError::Refused(Box::new(problem)))),
        Ok(Decision::PreconditionFailed) => Err(Retry::No(WriteError::PreconditionFailed)),
        Ok(Decision::Unavailable) | Err(_) => Err(Retry::No(WriteError::Unavailable)),
        Ok(Decision::Failed) => Err(Retry::No(WriteError::Failed)),
    }
}

fn request(write: &Write, client_id: ClientId, first_seq: u64, request_id: Option<uuid::Uuid>) -> PushRequest {
    let mutations = write.mutations.iter().zip(0_u64..).map(|(ops, index)| Mutation {
        mutation_id: MutationId(match request_id {
            Some(request_id) => uuid::Uuid::new_v5(&request_id, &index.to_be_bytes()),
            None => crate::random::uuid_v7(),
        }),
        client_seq: first_seq + index,
        age_ms: 0,
        ops: ops.clone(),
        depends_on: Vec::new(),
    });
    let author = &write.author;
    let principal = Principal {
        workspace_id: author.workspace_id.clone(),
        user_id: author.user_id,
        device_id: author.device_id,
        client_id,
        is_server: author.is_server,
    };
    PushRequest { principal, mutations: mutations.collect(), received_ms: clock::now_ms(), deposit: None }
}
