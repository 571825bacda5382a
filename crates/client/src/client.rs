//! A device: its directory, its replica, and who is signed in on it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use syncline_core::id::{ClientId, WorkspaceId};
use syncline_core::protocol::Code;
use syncline_core::replica::{Replica, ReplicaIdentity, ReplicaMeta, ReplicaStore as _};
use syncline_core::schema::Schema;
use syncline_core::session::client::Event;
use syncline_storage::SqliteReplica;
use tokio::sync::{Notify, broadcast};

use crate::api::{Api, LoginRequest, server_address};
use crate::credentials::Credentials;
use crate::error::ClientError;
use crate::owner::Owner;
use crate::{CRM_SCHEMA, random};

/// A device. Cheap to clone; all clones are the same device. One process may have a directory open at a time.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub dir: PathBuf,
    pub schema: Arc<Schema>,
    pub owner: Owner,
    pub api: Api,
    pub events: broadcast::Sender<Event>,
    /// Told when the outbox has grown, so that a running sync sends it.
    pub changed: Notify,
    /// Held by the call that syncs.
    pub syncing: tokio::sync::Mutex<()>,
}

/// Who signs in, where, on which device.
#[derive(Clone)]
pub struct SignIn {
    pub server: String,
    pub email: String,
    pub password: String,
    /// Needed by members of several workspaces.
    pub workspace: Option<WorkspaceId>,
    /// How the device is called in the list of devices, 1 to 100 characters.
    pub device_name: String,
    /// Declaration of the schema, when it is not the default one; kept in the directory.
    pub schema: Option<String>,
}

/// Events that wait for a slow listener; older ones are lost to it.
const EVENTS_MAX: usize = 1_024;

impl Client {
    /// Opens the device in `dir`. Needs no network.
    pub async fn open(dir: impl Into<PathBuf>) -> Result<Self, ClientError> {
        let dir = dir.into();
        if !dir.join("replica.sqlite").exists() {
            return Err(ClientError::NotInitialised(dir));
        }
        let schema = load_schema(&dir)?;
        let replica = open_replica(&dir, &schema, None)?.ok_or_else(|| ClientError::NotInitialised(dir.clone()))?;
        let credentials = Credentials::load(&dir)?;
        Self::start(dir, schema, replica, credentials)
    }

    /// Signs in and makes `dir` a device; on one that exists already, signs its owner in again and keeps what it holds.
    pub async fn init(dir: impl Into<PathBuf>, sign_in: SignIn) -> Result<Self, ClientError> {
        let dir = dir.into();
        std::fs::create_dir_all(&dir).map_err(|error| ClientError::file(&dir, error))?;
        if let Some(text) = &sign_in.schema {
            Schema::parse(text, "schema.toml")?;
            let path = dir.join(SCHEMA_FILE);
            std::fs::write(&path, text).map_err(|error| ClientError::file(path, error))?;
        }
        let schema = load_schema(&dir)?;
        let server = server_address(&sign_in.server)?;
        let held = open_replica(&dir, &schema, None)?;
        let held = match held {
            Some(replica) if is_blank(&replica)? => {
                drop(replica);
                delete_replica(&dir)?;
                None
            }
            held => held,
        };
        let api = Api::new(dir.clone(), None)?;
        let request = LoginRequest {
            server: &server,
            email: &sign_in.email,
            password: &sign_in.password,
            workspace: sign_in.workspace.as_ref(),
            device_id: held.as_ref().map_or_else(random::device_id, |replica| replica.meta().device_id),
            device_name: &sign_in.device_name,
        };
        let credentials = match (api.login(&request).await, &held) {
            // The device id in the directory is somebody else's.
            (Err(ClientError::Refused(problem)), Some(replica)) if problem.code == Code::Forbidden => {
                return Err(other_owner(dir, replica));
            }
            (answer, _) => answer?,
        };
        if let Some(replica) = &held {
            let meta = replica.meta();
            if meta.user_id != credentials.user_id || meta.workspace_id != credentials.workspace_id {
                return Err(other_owner(dir, replica));
            }
        }
        let replica = match held {
            Some(replica) => replica,
            None => {
                let identity = ReplicaIdentity {
                    workspace_id: credentials.workspace_id.clone(),
                    user_id: credentials.user_id,
                    device_id: credentials.device_id,
                    client_id: random::client_id(),
                };
                let opened = open_replica(&dir, &schema, Some(identity))?;
                opened.ok_or_else(|| ClientError::NotInitialised(dir.clone()))?
            }
        };
        credentials.save(&dir)?;
        Self::start(dir, schema, replica, Some(credentials))
    }

    fn start(
        dir: PathBuf,
        schema: Arc<Schema>,
        replica: Replica<SqliteReplica>,
        credentials: Option<Credentials>,
    ) -> Result<Self, ClientError> {
        let api = Api::new(dir.clone(), credentials)?;
        let owner = Owner::spawn(replica)?;
        let (events, _) = broadcast::channel(EVENTS_MAX);
        let (changed, syncing) = (Notify::new(), tokio::sync::Mutex::new(()));
        Ok(Self { inner: Arc::new(Inner { dir, schema, owner, api, events, changed, syncing }) })
    }

    pub fn schema(&self) -> &Arc<Schema> {
        &self.inner.schema
    }

    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// What happens from now on while a sync runs.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.inner.events.subscribe()
    }

    /// Who this replica is and how far it has come.
    pub async fn meta(&self) -> Result<ReplicaMeta, ClientError> {
        self.inner.owner.call(|owned| owned.replica.meta().clone()).await
    }

    /// Closes the files, so that the directory can be opened again; calls on clones fail from now on.
    pub async fn close(self) {
        self.inner.owner.close().await;
    }
}

fn other_owner(dir: PathBuf, replica: &Replica<SqliteReplica>) -> ClientError {
    let meta = replica.meta();
    let owner = format!("user {} of workspace {}", meta.user_id, meta.workspace_id);
    ClientError::OtherOwner { dir, owner }
}

const SCHEMA_FILE: &str = "schema.toml";

fn load_schema(dir: &Path) -> Result<Arc<Schema>, ClientError> {
    let path = dir.join(SCHEMA_FILE);
    let schema = match std::fs::read_to_string(&path) {
        Ok(text) => Schema::parse(&text, &path.display().to_string())?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Schema::parse(CRM_SCHEMA, "schema/crm.toml")?,
        Err(error) => return Err(ClientError::file(path, error)),
    };
    Ok(Arc::new(schema))
}

/// Opens the replica of a directory. A copy of another device's database gets a client id of its own (spec ID-2).
fn open_replica(
    dir: &Path,
    schema: &Arc<Schema>,
    identity: Option<ReplicaIdentity>,
) -> Result<Option<Replica<SqliteReplica>>, ClientError> {
    let store = SqliteReplica::open(dir, schema.clone())?;
    let is_cloned = store.is_cloned();
    let Some(mut replica) = Replica::open(store, schema.clone(), identity)? else { return Ok(None) };
    if !is_cloned {
        return Ok(Some(replica));
    }
    let client_id: ClientId = random::client_id();
    tracing::warn!(%client_id, "this database is a copy of another; it gets a client id of its own");
    replica.rekey(client_id, u64::MAX)?;
    let mut store = replica.into_store();
    store.adopt()?;
    Ok(Replica::open(store, schema.clone(), None)?)
}

/// Whether a replica holds nothing: it never synced, or it was purged, and nothing is pending.
fn is_blank(replica: &Replica<SqliteReplica>) -> Result<bool, ClientError> {
    let meta = replica.meta();
    let holds_nothing = meta.backend_id.is_none() && meta.cursor == 0;
    Ok(holds_nothing && replica.store().outbox_count()? == 0 && replica.store().rejected()?.is_empty())
}

fn delete_replica(dir: &Path) -> Result<(), ClientError> {
    for name in ["replica.sqlite", "replica.sqlite-wal", "replica.sqlite-shm", "marker"] {
        let path = dir.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(ClientError::file(path, error)),
            _ => {}
        }
    }
    Ok(())
}
