//! What the plan of a message has to know: who the recipient is, and who is in one's teams.

use std::collections::BTreeSet;
use std::sync::Arc;

use syncline_core::engine::access::{access_of, team_mates_of};
use syncline_core::id::{UserId, WorkspaceId};
use syncline_core::messages::{Draft, NewMessage, Origin, Reach, Refusal, SendPlan, Sender, Target, plan_send};
use syncline_core::principal::{Access, ReadScope};
use syncline_core::protocol::{Code, Problem};
use syncline_core::storage::{StoreError, StoreResult};
use syncline_storage::messages::SendOutcome;

use super::Router;
use crate::clock;

/// A message that may be sent.
pub enum Planned {
    Store(NewMessage),
    Deliver(NewMessage),
}

impl Router {
    /// Decides about a message of a member with this access (spec MSG-2). Err: what its sender is told.
    pub async fn plan(
        &self,
        workspace_id: &WorkspaceId,
        from: Origin,
        access: &Access,
        draft: Draft,
    ) -> Result<Planned, Problem> {
        let id = draft.id;
        let known = self.known(workspace_id, from.user_id, access, &draft).await;
        let (recipient, team_mates) = known.map_err(|error| {
            tracing::warn!(event = "recipient_unread", %error, "a message could not be planned");
            Problem { message_id: Some(id), ..unavailable() }
        })?;
        let sees_all = access.read_scope == ReadScope::All;
        let sender = Sender { from, rank: access.rank, sees_all, team_mates: &team_mates };
        match plan_send(&self.types, sender, recipient, draft, clock::now_ms()) {
            SendPlan::Store(message) => Ok(Planned::Store(message)),
            SendPlan::Deliver(message) => Ok(Planned::Deliver(message)),
            SendPlan::Refuse(Refusal { code, field, message }) => {
                Err(Problem { message_id: Some(id), field: Some(field.to_owned()), ..Problem::new(code, message) })
            }
        }
    }

    async fn known(
        &self,
        workspace_id: &WorkspaceId,
        sender: UserId,
        access: &Access,
        draft: &Draft,
    ) -> StoreResult<(Option<UserId>, Arc<BTreeSet<UserId>>)> {
        let is_near = self.types.get(&draft.message_type).is_some_and(|kind| kind.reach == Reach::Teams)
            && access.read_scope != ReadScope::All;
        let recipient = match &draft.to {
            Target::User(_) | Target::Device(_) => self.recipient(workspace_id, &draft.to).await?,
            Target::Mode(_) | Target::Topic(_) | Target::Workspace(_) => None,
        };
        let asks_for_teams = is_near && recipient.is_some_and(|user| user != sender);
        let team_mates = if asks_for_teams { self.team_mates(workspace_id, sender).await? } else { Arc::default() };
        Ok((recipient, team_mates))
    }

    async fn recipient(&self, workspace_id: &WorkspaceId, to: &Target) -> StoreResult<Option<UserId>> {
        let key = (workspace_id.clone(), to.clone());
        if let Some(known) = self.recipients.get(&key) {
            return Ok(known);
        }
        let user = match to {
            Target::User(id) => Some(*id),
            Target::Device(id) => {
                let (devices, workspace, id) = (self.devices.clone(), workspace_id.clone(), *id);
                let found = tokio::task::spawn_blocking(move || devices.device(&workspace, id)).await;
                let found = found.map_err(|error| StoreError::Database(Box::new(error)))??;
                found.filter(|device| device.revoked_ms.is_none()).map(|device| device.user_id)
            }
            Target::Mode(_) | Target::Topic(_) | Target::Workspace(_) => None,
        };
        let is_member = match user {
            Some(user) => {
                let (schema, workspace) = (self.db.schema(), workspace_id.clone());
                self.db.read(workspace_id, move |read| access_of(&schema, &workspace, read, user)).await?.is_some()
            }
            None => false,
        };
        let recipient = user.filter(|_| is_member);
        self.recipients.insert(key, recipient);
        Ok(recipient)
    }

    async fn team_mates(&self, workspace_id: &WorkspaceId, user: UserId) -> StoreResult<Arc<BTreeSet<UserId>>> {
        let key = (workspace_id.clone(), user);
        if let Some(known) = self.team_mates.get(&key) {
            return Ok(known);
        }
        let found = Arc::new(self.db.read(workspace_id, move |read| team_mates_of(read, user)).await?);
        self.team_mates.insert(key, Arc::clone(&found));
        Ok(found)
    }
}

/// What the sender is told about a message that was not stored; `None`: it is stored.
pub fn outcome_problem(outcome: SendOutcome) -> Option<Problem> {
    match outcome {
        SendOutcome::Stored { .. } => None,
        SendOutcome::IdTaken => {
            let text = "This id names another message: mint a new one for every message.";
            Some(Problem { field: Some("id".to_owned()), ..Problem::new(Code::AlreadyExists, text) })
        }
        SendOutcome::TooManyDevices => {
            let text = "So many devices would get it that it is not sent: name a narrower target.";
            Some(Problem { field: Some("to".to_owned()), ..Problem::new(Code::TooLarge, text) })
        }
        SendOutcome::NoDevice => {
            let text = "There is no such recipient, or none that you may write to.";
            Some(Problem { field: Some("to".to_owned()), ..Problem::new(Code::RefMissing, text) })
        }
        SendOutcome::SenderFull => {
            let text = "So many messages of yours are kept that no more are. Try again when older ones are forgotten.";
            Some(Problem {
                retry_ms: Some(crate::random::between(30_000, 90_000)),
                ..Problem::new(Code::Overloaded, text)
            })
        }
        SendOutcome::TooOften { retry_ms } => {
            let text = "You send faster than one sender may. Send what has no receipt again, in order, more slowly.";
            Some(Problem { retry_ms: Some(retry_ms.max(1)), ..Problem::new(Code::RateLimited, text) })
        }
        SendOutcome::Full => {
            let text = "The workspace keeps as many messages as it may. Try again when older ones are forgotten.";
            Some(Problem {
                retry_ms: Some(crate::random::between(30_000, 90_000)),
                ..Problem::new(Code::Overloaded, text)
            })
        }
    }
}

pub(crate) fn unavailable() -> Problem {
    let text = "Messages cannot be stored right now. Send what has no receipt again, in order.";
    Problem { retry_ms: Some(crate::random::between(500, 2_000)), ..Problem::new(Code::Unavailable, text) }
}
