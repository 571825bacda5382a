//! Where a measured server keeps its data: a SQLite file, or a database of its own on a PostgreSQL.

use anyhow::Context as _;
use clap::ValueEnum;
use syncline_server::{Config, DATABASE_FILE};
use syncline_storage::DatabaseUrl;
use tempfile::TempDir;
use tokio_postgres::NoTls;

/// The PostgreSQL on which databases are made; `cargo xtask bench` starts one.
const POSTGRES: &str = "SYNCLINE_TEST_POSTGRES";
/// The Redis between the nodes of one deployment.
const REDIS: &str = "SYNCLINE_TEST_REDIS";

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum StoreKind {
    Sqlite,
    Postgres,
}

impl StoreKind {
    /// For titles.
    pub fn name(self) -> &'static str {
        match self {
            StoreKind::Sqlite => "SQLite",
            StoreKind::Postgres => "PostgreSQL",
        }
    }
}

/// It and what is in it go when it is dropped.
pub struct Place {
    pub dir: TempDir,
    database: Option<PostgresDatabase>,
}

struct PostgresDatabase {
    /// Of the server, whose last part is another database.
    server: String,
    name: String,
}

impl Place {
    pub async fn new(kind: StoreKind) -> anyhow::Result<Self> {
        let database = match kind {
            StoreKind::Sqlite => None,
            StoreKind::Postgres => Some(PostgresDatabase::create().await?),
        };
        Ok(Self { dir: tempfile::tempdir()?, database })
    }

    /// As a setting.
    pub fn database_url(&self) -> Option<String> {
        self.database.as_ref().map(PostgresDatabase::url)
    }

    pub fn url(&self) -> anyhow::Result<DatabaseUrl> {
        match self.database_url() {
            Some(url) => Ok(url.parse()?),
            None => Ok(DatabaseUrl::Sqlite(self.dir.path().join(DATABASE_FILE))),
        }
    }

    /// A node on this data, on a free port. `is_joined`: there are others. Clients may send more
    /// frames and messages than by default, so that the engine is measured and not the limit.
    pub fn config(&self, is_joined: bool) -> anyhow::Result<Config> {
        let mut config = Config::default();
        config.http.port = 0;
        config.store.data_dir = self.dir.path().to_owned();
        config.store.database_url = self.database_url().map(Into::into);
        config.sockets.frames_per_second_max = 100_000;
        (config.messages.sends_per_minute, config.messages.sends_burst) = (1_000_000, 1_000_000);
        config.messages.sender_kept_percent = 100;
        if is_joined {
            let redis = std::env::var(REDIS).with_context(|| format!("{REDIS} names no Redis"))?;
            config.bus.redis_url = Some(redis.into());
            let name = self.database.as_ref().context("several nodes share a PostgreSQL")?.name.as_str();
            config.bus.key_prefix = format!("{name}:");
        }
        Ok(config)
    }

    /// A connection beside those of the server.
    pub async fn connect(&self) -> anyhow::Result<tokio_postgres::Client> {
        connect(&self.database_url().context("a PostgreSQL")?).await
    }
}

impl PostgresDatabase {
    async fn create() -> anyhow::Result<Self> {
        let server = std::env::var(POSTGRES).with_context(|| {
            format!("{POSTGRES} names no PostgreSQL: `cargo xtask bench --store postgres` starts one, or set it to the URL of a superuser")
        })?;
        let name = format!("bench_{}", crate::stage::new_id().0.simple());
        let database = Self { server, name };
        connect(&database.server).await?.batch_execute(&format!("CREATE DATABASE {}", database.name)).await?;
        Ok(database)
    }

    fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').unwrap_or((&self.server, ""));
        format!("{server}/{}", self.name)
    }
}

impl Drop for PostgresDatabase {
    fn drop(&mut self) {
        let (server, sql) = (self.server.clone(), format!("DROP DATABASE {} WITH (FORCE)", self.name));
        // Another thread, because this one may belong to a runtime, which must not be blocked on.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async { anyhow::Ok(connect(&server).await?.batch_execute(&sql).await?) })
        });
        if !matches!(dropping.join(), Ok(Ok(()))) {
            eprintln!("the database {} could not be dropped", self.name);
        }
    }
}

async fn connect(url: &str) -> anyhow::Result<tokio_postgres::Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("connecting to PostgreSQL")?;
    tokio::spawn(connection);
    Ok(client)
}
