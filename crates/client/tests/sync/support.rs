//! A server and devices in temporary directories.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use syncline_client::{CRM_SCHEMA, Client, SignIn, SyncEnd, SyncLimits, record_id};
use syncline_core::Fields;
use syncline_core::id::RecordId;
use syncline_core::replica::{Edit, Viewed};
use syncline_core::schema::Schema;
use syncline_server::{Config, Server, demo};

pub const OWNER: &str = "demo@syncline.dev";
pub const MANAGER: &str = "manager@syncline.dev";
pub const AGENT: &str = "agent1@syncline.dev";

/// Far beyond what anything here takes, for a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct World {
    pub folder: tempfile::TempDir,
    pub server: Option<Server>,
    address: SocketAddr,
}

impl World {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = serve(&folder.path().join("server"), 0).await;
        demo::ensure(server.app()).await.unwrap();
        let address = server.address();
        Self { folder, server: Some(server), address }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn dir(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub async fn stop_server(&mut self) {
        self.server.take().unwrap().stop().await;
    }

    /// The same data on the same port.
    pub async fn restart_server(&mut self) {
        self.server = Some(serve(&self.folder.path().join("server"), self.address.port()).await);
    }

    pub fn sign_in(&self, email: &str) -> SignIn {
        SignIn {
            server: self.url(),
            email: email.to_owned(),
            password: demo::PASSWORD.to_owned(),
            workspace: None,
            device_name: "Test".to_owned(),
            schema: None,
        }
    }

    /// A signed-in device that has not synced yet.
    pub async fn device(&self, name: &str, email: &str) -> Client {
        Client::init(self.dir(name), self.sign_in(email)).await.unwrap()
    }

    pub async fn synced_device(&self, name: &str, email: &str) -> Client {
        let device = self.device(name, email).await;
        sync(&device).await;
        device
    }
}

async fn serve(data_dir: &Path, port: u16) -> Server {
    let mut config = Config::default();
    config.store.data_dir = data_dir.to_path_buf();
    config.http.port = port;
    config.http.drain_ms = 2_000;
    let schema = Arc::new(Schema::parse(CRM_SCHEMA, "schema/crm.toml").unwrap());
    Server::start(config, schema).await.unwrap()
}

pub fn limits() -> SyncLimits {
    SyncLimits { deadline: PATIENCE, attempts_max: 3 }
}

pub async fn sync(device: &Client) {
    assert_eq!(device.sync_once(limits()).await.unwrap(), SyncEnd::Synced);
}

pub fn fields(value: Value) -> Fields {
    serde_json::from_value(value).unwrap()
}

pub async fn create(device: &Client, value: Value) -> RecordId {
    let id = record_id();
    let edit = Edit::Create { entity: "contacts".into(), id, fields: fields(value) };
    device.mutate(vec![edit]).await.unwrap();
    id
}

pub async fn update(device: &Client, id: RecordId, value: Value) {
    let edit = Edit::Update { entity: "contacts".into(), id, fields: fields(value) };
    device.mutate(vec![edit]).await.unwrap();
}

pub async fn contact(device: &Client, id: RecordId) -> Viewed {
    device.get("contacts", id).await.unwrap().expect("the device has the contact")
}

/// A field of a contact; null when it has no value.
pub async fn value(device: &Client, id: RecordId, name: &str) -> Value {
    contact(device, id).await.fields.get(name).cloned().unwrap_or(Value::Null)
}

/// What a device holds, in a form that can be compared: digests by scope, at one seq.
pub async fn held(device: &Client) -> Value {
    let status = device.status().await.unwrap();
    let scopes: Vec<Value> = status.scopes.iter().map(|scope| json!([scope.id, scope.seq, scope.digest])).collect();
    json!({"cursor": status.cursor, "scopes": scopes, "records": status.records})
}

/// Credentials of a device as they stand on disk.
pub fn credentials(dir: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(dir.join("credentials.json")).unwrap()).unwrap()
}
