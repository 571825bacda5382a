//! A server with two small tenants, and clients that fail loudly instead of waiting forever.

mod database;
mod http;
mod socket;

use std::sync::Arc;
use std::time::Duration;

pub use database::TestDatabase;
pub use http::{Answer, Http, User};
use secrecy::SecretString;
use serde_json::Value;
pub use socket::{Socket, create_contact, error_code, mentions, ops_of};
use syncline_core::id::{UserId, WorkspaceId};
use syncline_core::schema::Schema;
use syncline_server::bootstrap::NewMember;
use syncline_server::{Config, Server};

/// Longest wait for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);
pub const PASSWORD: &str = "correct horse battery";

/// A running server; its data goes with it.
pub struct World {
    pub server: Server,
    pub data: tempfile::TempDir,
    /// In place of a file in `data`.
    pub database: Option<TestDatabase>,
}

/// The members of a workspace: `(name, role, read_scope)`; e-mail `<name>@<workspace>.example`.
const MEMBERS: [(&str, &str, &str); 5] = [
    ("owner", "owner", "all"),
    ("manager", "manager", "all"),
    ("ann", "agent", "own"),
    ("bob", "agent", "own"),
    ("viewer", "viewer", "own"),
];

impl World {
    /// A server with the workspace `acme` and its members.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let world = Self::empty(change).await;
        world.populate("acme").await;
        world
    }

    /// A server without any workspace.
    pub async fn empty(change: impl FnOnce(&mut Config)) -> Self {
        syncline_server::install_crypto();
        let data = tempfile::tempdir().unwrap();
        let database = TestDatabase::wanted();
        let mut config = config(&data, database.as_ref());
        change(&mut config);
        let server = Server::start(config, Arc::new(Schema::crm())).await.unwrap();
        Self { server, data, database }
    }

    pub async fn populate(&self, workspace: &str) {
        let id = WorkspaceId::new(workspace).unwrap();
        let app = self.server.app();
        assert!(app.create_workspace(&id, workspace).await.unwrap());
        for (name, role, read_scope) in MEMBERS {
            let member = NewMember {
                user_id: user_id(workspace, name),
                email: format!("{name}@{workspace}.example"),
                name: name.to_owned(),
                role,
                read_scope,
                password: SecretString::from(PASSWORD),
            };
            app.create_member(&id, member).await.unwrap();
        }
    }

    /// Runs a statement in the server's database, past the server.
    pub fn sql(&self, sql: &str) {
        match &self.database {
            Some(database) => database.sql(sql),
            None => {
                let file = rusqlite::Connection::open(self.data.path().join(syncline_server::DATABASE_FILE)).unwrap();
                file.busy_timeout(PATIENCE).unwrap();
                file.execute_batch(sql).unwrap();
            }
        }
    }

    pub fn http(&self) -> Http {
        Http::new(self.server.address())
    }

    /// Signs in on a new device.
    pub async fn user(&self, name: &str) -> User {
        self.user_in("acme", name).await
    }

    pub async fn user_in(&self, workspace: &str, name: &str) -> User {
        self.http().login(&format!("{name}@{workspace}.example"), PASSWORD).await
    }
}

fn config(data: &tempfile::TempDir, database: Option<&TestDatabase>) -> Config {
    let mut config = Config::default();
    config.http.port = 0;
    config.metrics.is_on_main_port = true;
    config.store.data_dir = data.path().to_owned();
    config.store.database_url = database.map(|database| SecretString::from(database.url()));
    config
}

/// Ids are derived from the name, so that tests can name people.
pub fn user_id(workspace: &str, name: &str) -> UserId {
    let hash = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_DNS, format!("{name}.{workspace}").as_bytes());
    let mut random = [0; 10];
    random.copy_from_slice(&hash.as_bytes()[..10]);
    UserId(uuid::Builder::from_unix_timestamp_millis(1_700_000_000_000, &random).into_uuid())
}

/// A fresh UUIDv7 as text.
pub fn uuid_v7() -> String {
    syncline_server::random::uuid_v7().to_string()
}

/// A member of a JSON object as text; empty when it is not there.
pub fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value.get(member).and_then(Value::as_str).unwrap_or("")
}

/// Runs `attempt` until it gives something, for what the server does in its own time.
pub async fn eventually<T, F: Future<Output = Option<T>>>(mut attempt: impl FnMut() -> F) -> T {
    let waited = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(value) = attempt().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await.expect("it did not happen in time")
}

impl World {
    /// Stops the server in good order and starts another on the same data.
    pub async fn restart(self) -> Self {
        self.restart_with(|_| {}).await
    }

    pub async fn restart_with(self, change: impl FnOnce(&mut Config)) -> Self {
        let Self { server, data, database } = self;
        server.stop().await;
        let mut config = config(&data, database.as_ref());
        change(&mut config);
        let server = Server::start(config, Arc::new(Schema::crm())).await.unwrap();
        Self { server, data, database }
    }
}
