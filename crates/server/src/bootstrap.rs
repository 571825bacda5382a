//! The first workspace and its owner: what an empty database needs before anybody can sign in.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::json;
use syncline_core::change::{Op, Outcome, OutcomeKind};
use syncline_core::engine::access::{MEMBERS, member_id};
use syncline_core::id::{BackendId, RecordId, UserId, WorkspaceId};
use syncline_core::protocol::Code;
use syncline_core::record::Record;
use syncline_core::storage::{Read, Store as _, StoreError};
use syncline_core::{Fields, Name, Value};
use syncline_storage::DatabaseUrl;
use syncline_storage::sqlite::Lease;

use crate::app::App;
use crate::clock;
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

/// How far the first start has come. Its steps are a workspace, its record, its owner, and the owner's password; whoever is
/// killed between them leaves what a later start goes on with, until somebody can sign in.
enum FirstStart {
    /// The owner who is there already has no password yet.
    Begun {
        owner: Option<UserId>,
    },
    Done,
}

/// Name of the right to make the first workspace, where several nodes share a database.
const LEASE: &str = "first_start";
/// How long a node that has it may say nothing; milliseconds. It is over in a second.
const LEASE_MS: u64 = 15_000;
/// Pause of a node that waits for another's first start.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

impl App {
    /// Makes the first workspace and its owner when the database is empty, or goes on where a start was killed that was at
    /// it; `None` when somebody can sign in already. One node at a time does this, the others wait for it.
    pub async fn ensure_first_workspace(&self, id: &str, email: &str) -> Result<Option<FirstOwner>, ServerError> {
        let workspace_id = WorkspaceId::new(id).map_err(|error| ServerError::Bootstrap(error.to_string()))?;
        loop {
            if let FirstStart::Done = self.first_start(&workspace_id, email).await? {
                return Ok(None);
            }
            if self.may_start_first().await? {
                break;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        // Whoever had the right before may have finished meanwhile.
        let FirstStart::Begun { owner } = self.first_start(&workspace_id, email).await? else { return Ok(None) };
        self.create_workspace(&workspace_id, id).await?;
        self.record_workspace(&workspace_id, id).await?;
        let password = crate::random::secret_text()[..16].to_owned();
        let secret = SecretString::from(password.clone());
        match owner {
            Some(owner) => self.auth.put_credential(&workspace_id, owner, email.to_owned(), secret).await?,
            None => {
                let member = NewMember {
                    user_id: UserId(crate::random::uuid_v7()),
                    email: email.to_owned(),
                    name: "Owner".to_owned(),
                    role: "owner",
                    read_scope: "all",
                    password: secret,
                };
                self.create_member(&workspace_id, member).await?;
            }
        }
        Ok(Some(FirstOwner { workspace_id, email: email.to_owned(), password }))
    }

    async fn first_start(&self, workspace_id: &WorkspaceId, email: &str) -> Result<FirstStart, ServerError> {
        let workspaces = self.workspaces().await?;
        if workspaces.is_empty() {
            return Ok(FirstStart::Begun { owner: None });
        }
        if workspaces != [workspace_id.clone()] {
            return Ok(FirstStart::Done);
        }
        let read = |read: &dyn Read| Ok((read.scan("users", None, 2)?, read.scan(MEMBERS, None, 2)?));
        let (users, members) = self.db.read(workspace_id, read).await?;
        let (user, member) = match (users.as_slice(), members.as_slice()) {
            ([], []) => return Ok(FirstStart::Begun { owner: None }),
            ([user], [member]) => (user, member),
            _ => return Ok(FirstStart::Done),
        };
        let text = |record: &Record, field: &str| record.fields.get(field).and_then(Value::as_str).map(str::to_owned);
        let is_ours = text(user, "email").as_deref() == Some(email) && text(member, "role").as_deref() == Some("owner");
        let (owner, workspace) = (UserId(user.id.0), workspace_id.clone());
        let credential = self.auth.with_store(move |store| store.credential(&workspace, owner)).await?;
        Ok(if is_ours && credential.is_none() { FirstStart::Begun { owner: Some(owner) } } else { FirstStart::Done })
    }

    /// Whether it is this node's to do. An embedded database has no other.
    async fn may_start_first(&self) -> Result<bool, ServerError> {
        if matches!(self.config.store.url()?, DatabaseUrl::Sqlite(_)) {
            return Ok(true);
        }
        let now_ms = clock::now_ms();
        let holder = self.bus.node().id.to_string();
        let lease = Lease { name: LEASE.to_owned(), holder, now_ms, until_ms: now_ms + LEASE_MS };
        Ok(self.auth.with_store(move |store| store.take_lease(&lease)).await?)
    }

    async fn workspaces(&self) -> Result<Vec<WorkspaceId>, ServerError> {
        let db = self.db.clone();
        let workspaces = tokio::task::spawn_blocking(move || db.workspaces()).await;
        Ok(workspaces.map_err(|error| ServerError::Bootstrap(error.to_string()))??)
    }

    /// Creates a workspace with its record. False: it is there already.
    pub async fn create_workspace(&self, id: &WorkspaceId, name: &str) -> Result<bool, ServerError> {
        if self.workspaces().await?.contains(id) {
            return Ok(false);
        }
        let backend_id = BackendId(crate::random::uuid_v7());
        let workspace = id.clone();
        match self.writer.run(id, move |store| store.create_workspace(&workspace, backend_id)).await {
            // Another node that starts at the same time was first.
            Err(StoreError::WorkspaceExists(_)) => return Ok(false),
            created => created?,
        }
        self.record_workspace(id, name).await?;
        Ok(true)
    }

    /// Writes a workspace's record, unless it is there.
    async fn record_workspace(&self, id: &WorkspaceId, name: &str) -> Result<(), ServerError> {
        let fields = fields([("name", json!(name)), ("slug", json!(id.as_str()))]);
        let record_id = RecordId::natural(id, "workspaces", id.as_str());
        self.write_all(id, vec![vec![create("workspaces", record_id, fields)]]).await
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
