//! The first workspace and its owner: what an empty database needs before anybody can sign in.

use secrecy::SecretString;
use serde_json::json;
use syncline_core::change::{Op, Outcome, OutcomeKind};
use syncline_core::engine::access::{MEMBERS, member_id};
use syncline_core::id::{BackendId, RecordId, UserId, WorkspaceId};
use syncline_core::protocol::Code;
use syncline_core::storage::{Store as _, StoreError};
use syncline_core::{Fields, Name, Value};

use crate::app::App;
use crate::push::{Author, Write};
use crate::server::ServerError;

/// A person to be made a member.
pub struct NewMember {
    pub user_id: UserId,
    pub email: String,
    pub name: String,
    pub role: &'static str,
    pub read_scope: &'static str,
    pub password: SecretString,
}

/// The owner that a first start made, with the password nobody else knows.
pub struct FirstOwner {
    pub workspace_id: WorkspaceId,
    pub email: String,
    pub password: String,
}

impl App {
    /// Makes the first workspace and its owner when the database is empty; `None` when it is not.
    pub async fn ensure_first_workspace(&self, id: &str, email: &str) -> Result<Option<FirstOwner>, ServerError> {
        let db = self.db.clone();
        let workspaces = tokio::task::spawn_blocking(move || db.workspaces()).await;
        if !workspaces.map_err(|error| ServerError::Bootstrap(error.to_string()))??.is_empty() {
            return Ok(None);
        }
        let workspace_id = WorkspaceId::new(id).map_err(|error| ServerError::Bootstrap(error.to_string()))?;
        if !self.create_workspace(&workspace_id, id).await? {
            return Ok(None);
        }
        let password = crate::random::secret_text()[..16].to_owned();
        let member = NewMember {
            user_id: UserId(crate::random::uuid_v7()),
            email: email.to_owned(),
            name: "Owner".to_owned(),
            role: "owner",
            read_scope: "all",
            password: SecretString::from(password.clone()),
        };
        self.create_member(&workspace_id, member).await?;
        Ok(Some(FirstOwner { workspace_id, email: email.to_owned(), password }))
    }

    /// Creates a workspace with its record. False: it is there already.
    pub async fn create_workspace(&self, id: &WorkspaceId, name: &str) -> Result<bool, ServerError> {
        let db = self.db.clone();
        let workspaces = tokio::task::spawn_blocking(move || db.workspaces()).await;
        if workspaces.map_err(|error| ServerError::Bootstrap(error.to_string()))??.contains(id) {
            return Ok(false);
        }
        let backend_id = BackendId(crate::random::uuid_v7());
        let workspace = id.clone();
        match self.writer.run(id, move |store| store.create_workspace(&workspace, backend_id)).await {
            // Another node that starts at the same time was first.
            Err(StoreError::WorkspaceExists(_)) => return Ok(false),
            created => created?,
        }
        let fields = fields([("name", json!(name)), ("slug", json!(id.as_str()))]);
        let record_id = RecordId::natural(id, "workspaces", id.as_str());
        self.write_all(id, vec![vec![create("workspaces", record_id, fields)]]).await?;
        Ok(true)
    }

    /// Creates a user with membership and password.
    pub async fn create_member(&self, workspace_id: &WorkspaceId, member: NewMember) -> Result<(), ServerError> {
        let user = member.user_id;
        let profile = fields([("email", json!(member.email)), ("name", json!(member.name))]);
        let membership =
            fields([("user_id", json!(user)), ("role", json!(member.role)), ("read_scope", json!(member.read_scope))]);
        let ops = vec![
            create("users", RecordId(user.0), profile),
            create(MEMBERS, member_id(workspace_id, user), membership),
        ];
        self.write_all(workspace_id, vec![ops]).await?;
        Ok(self.auth.put_credential(workspace_id, user, member.email, member.password).await?)
    }

    /// Writes as the server; the first rejection is an error that names what was refused. What is there already is none:
    /// another node that starts at the same time was first.
    pub async fn write_all(&self, workspace_id: &WorkspaceId, mutations: Vec<Vec<Op>>) -> Result<(), ServerError> {
        let author = Author::server(workspace_id.clone());
        let write = Write { author, mutations, precondition: None, idempotency: None };
        let outcomes = self.write(write).await.map_err(|error| ServerError::Bootstrap(error.to_string()))?;
        let is_rejected =
            |outcome: &Outcome| outcome.outcome == OutcomeKind::Rejected && outcome.code != Some(Code::AlreadyExists);
        match outcomes.into_iter().find(is_rejected) {
            None => Ok(()),
            Some(outcome) => Err(ServerError::Bootstrap(outcome.detail.unwrap_or_default())),
        }
    }
}

pub(crate) fn create(entity: &'static str, id: RecordId, fields: Fields) -> Op {
    Op::Create { entity: Name::new_static(entity), id, fields }
}

pub(crate) fn fields<const N: usize>(pairs: [(&'static str, Value); N]) -> Fields {
    pairs.into_iter().map(|(name, value)| (Name::new_static(name), value)).collect()
}
