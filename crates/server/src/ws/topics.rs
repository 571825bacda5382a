//! `sub`, `unsub` and `presence`: what a session follows beside the change log, and what its person looks at (spec §18).

use std::str::FromStr as _;

use smol_str::SmolStr;
use syncline_core::Name;
use syncline_core::engine::access::access_of;
use syncline_core::id::{RecordId, ScopeId, UserId};
use syncline_core::principal::Access;
use syncline_core::protocol::{Code, Problem, ServerFrame};
use syncline_core::storage::{Read, StoreResult};

use super::frames::malformed;
use super::session::{End, Session};
use crate::hub::TOPIC_NAME_BYTES_MAX;

impl Session {
    /// Follows a topic, if its name is one and the member may read it (spec TOP-1, TOP-2).
    pub(super) async fn sub(&mut self, topic: String) -> Result<(), End> {
        if self.deposit.is_some() {
            return Ok(());
        }
        if let Err(message) = check_name(&topic) {
            return self.malformed(Problem { topic: Some(topic), ..malformed(message) }).await;
        }
        let Some(identity) = &self.identity else { return Ok(()) };
        let user = identity.principal.user_id;
        let is_readable = match self.current_access().await {
            Ok(access) => access.is_some_and(|access| may_follow(&topic, user, &access)),
            Err(problem) => return self.refuse(Problem { topic: Some(topic), ..problem }).await,
        };
        if !is_readable {
            let problem = Problem::new(Code::Forbidden, "This topic is not one of yours.");
            return self.refuse(Problem { topic: Some(topic), ..problem }).await;
        }
        let Some(identity) = &mut self.identity else { return Ok(()) };
        match identity.registered.follow(&topic) {
            Ok(_) => Ok(self.socket.send(&ServerFrame::Subscribed { topic }).await?),
            Err(full) => {
                let problem = Problem::new(Code::TooLarge, format!("Nothing was changed: {full}."));
                self.refuse(Problem { topic: Some(topic), ..problem }).await
            }
        }
    }

    pub(super) async fn unsub(&mut self, topic: String) -> Result<(), End> {
        if let Some(identity) = &mut self.identity {
            identity.registered.unfollow(&topic);
        }
        Ok(self.socket.send(&ServerFrame::Unsubscribed { topic, reason: "You asked for it.".to_owned() }).await?)
    }

    /// Says what the person looks at. Whoever looks at the same record is told, and told of them (spec PRE-1, PRE-2).
    pub(super) async fn presence(&mut self, record: Option<(Name, RecordId)>, is_editing: bool) -> Result<(), End> {
        if self.deposit.is_some() {
            return Ok(());
        }
        if let Some((entity, id)) = &record {
            match self.is_visible(entity, *id).await {
                Ok(true) => {}
                Ok(false) => {
                    let problem = Problem::new(Code::Forbidden, "There is no such record, or you may not see it.");
                    return self.refuse(Problem { entity: Some(entity.to_string()), ..problem }).await;
                }
                Err(problem) => return self.refuse(problem).await,
            }
        }
        if let Some(identity) = &mut self.identity {
            identity.present.look_at(record, is_editing);
        }
        Ok(())
    }

    /// Looks away from a record that the member may not see any more; otherwise asks for its list, which may have been lost.
    pub(super) async fn check_presence(&mut self) -> Result<(), End> {
        let Some((entity, id)) = self.identity.as_ref().and_then(|identity| identity.present.looks_at()) else {
            return Ok(());
        };
        match self.is_visible(&entity, id).await {
            Ok(true) => {
                if let Some(identity) = &self.identity {
                    identity.present.ask();
                }
                Ok(())
            }
            Ok(false) => {
                if let Some(identity) = &mut self.identity {
                    identity.present.look_at(None, false);
                }
                let frame = ServerFrame::Presence { record: (entity, id), viewers: Vec::new() };
                Ok(self.socket.send(&frame).await?)
            }
            Err(problem) => self.refuse(problem).await,
        }
    }

    /// Leaves what the member may not read any more (spec TOP-2).
    pub(super) async fn check_topics(&mut self) -> Result<(), End> {
        let Some(identity) = &self.identity else { return Ok(()) };
        let user = identity.principal.user_id;
        let topics: Vec<String> = identity.registered.topics().map(str::to_owned).collect();
        if topics.is_empty() {
            return Ok(());
        }
        let access = match self.stored_access().await {
            Ok(access) => access,
            Err(problem) => {
                self.socket.send(&ServerFrame::Error { problem }).await?;
                None
            }
        };
        for topic in topics {
            if access.as_ref().is_some_and(|access| may_follow(&topic, user, access)) {
                continue;
            }
            if let Some(identity) = &mut self.identity {
                identity.registered.unfollow(&topic);
            }
            let reason = "Your access has changed.".to_owned();
            self.socket.send(&ServerFrame::Unsubscribed { topic, reason }).await?;
        }
        Ok(())
    }

    /// What the member may do now. Read from the store once, and again when somebody's access has changed.
    pub(super) async fn current_access(&mut self) -> Result<Option<Access>, Problem> {
        if let Some(access) = &self.access {
            return Ok(Some(access.clone()));
        }
        let Some(identity) = &self.identity else { return Ok(None) };
        let hub = identity.registered.hub();
        let version = hub.access_version();
        match self.read_access.as_deref() {
            Some((read_at, access)) if *read_at == version => return Ok(Some(access.clone())),
            Some(_) | None => {}
        }
        // From here on a change of access raises the version.
        let workspace_id = identity.principal.workspace_id.clone();
        self.app.anchor(&workspace_id, hub).await.map_err(|error| unread(&error))?;
        let access = self.stored_access().await?;
        self.read_access = access.clone().map(|access| Box::new((version, access)));
        Ok(access)
    }

    pub(super) async fn stored_access(&self) -> Result<Option<Access>, Problem> {
        let Some(identity) = &self.identity else { return Ok(None) };
        let (workspace_id, user) = (identity.principal.workspace_id.clone(), identity.principal.user_id);
        let (schema, workspace) = (self.app.schema(), workspace_id.clone());
        let read = move |read: &dyn Read| access_of(&schema, &workspace, read, user);
        self.app.db.read(&workspace_id, read).await.map_err(|error| unread(&error))
    }

    /// Whether a record is there and the member may see it.
    async fn is_visible(&self, entity: &Name, id: RecordId) -> Result<bool, Problem> {
        let Some(identity) = &self.identity else { return Ok(false) };
        let (workspace_id, user) = (identity.principal.workspace_id.clone(), identity.principal.user_id);
        let (schema, workspace, entity) = (self.app.schema(), workspace_id.clone(), entity.clone());
        if schema.entity(&entity).is_none() {
            return Ok(false);
        }
        let read = move |read: &dyn Read| -> StoreResult<bool> {
            let Some(access) = access_of(&schema, &workspace, read, user)? else { return Ok(false) };
            let record = read.record(&entity, id)?.filter(|record| !record.is_deleted);
            Ok(record.is_some_and(|record| access.grants.includes(&record.scope)))
        };
        self.app.db.read(&workspace_id, read).await.map_err(|error| unread(&error))
    }

    async fn refuse(&mut self, problem: Problem) -> Result<(), End> {
        Ok(self.socket.send(&ServerFrame::Error { problem }).await?)
    }
}

fn unread(error: &dyn std::error::Error) -> Problem {
    tracing::warn!(event = "access_unread", %error, "what a member may see could not be read");
    let mut problem = Problem::new(Code::Unavailable, "What you may see could not be read. Try again in a moment.");
    problem.retry_ms = Some(1_000);
    problem
}

/// Err: what a name has to be.
fn check_name(topic: &str) -> Result<(), &'static str> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._:/-".contains(&byte);
    if topic.is_empty() || topic.len() > TOPIC_NAME_BYTES_MAX || !topic.bytes().all(is_plain) {
        return Err("A topic has 1 to 128 characters of a-z, 0-9 and `._:/-`.");
    }
    Ok(())
}

/// Topics of a team and of a user are theirs; every other topic is the workspace's.
pub fn may_follow(topic: &str, user: UserId, access: &Access) -> bool {
    match topic.split_once('/') {
        Some(("team", id)) => {
            ScopeId::try_from(SmolStr::from(format!("team:{id}"))).is_ok_and(|scope| access.grants.includes(&scope))
        }
        Some(("user", id)) => UserId::from_str(id).is_ok_and(|id| id == user),
        Some(_) | None => true,
    }
}
