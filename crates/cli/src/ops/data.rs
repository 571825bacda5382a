//! Where the data lies, who may write to it, and how it is opened.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use syncline_core::id::WorkspaceId;
use syncline_core::schema::Schema;
use syncline_core::storage::Store as _;
use syncline_storage::{Database, DatabaseOptions, DatabaseUrl, InvalidDatabaseUrl, PostgresOptions, SqliteOptions};

use crate::clock;

pub use syncline_server::server::DATABASE_FILE;

/// Whoever writes to the data holds an exclusive lock on this file; the system drops it when the process ends.
pub const LOCK_FILE: &str = "syncline.lock";

/// Somebody else, most likely the server, writes to the data.
#[derive(Debug, thiserror::Error)]
#[error("a server (or another import) is running on the data in {}: stop it first, or import through its API", .0.display())]
pub struct InUse(PathBuf);

/// The exclusive right to write to a data directory, until it is dropped.
#[derive(Debug)]
pub struct DataLock {
    _file: File,
}

impl DataLock {
    /// Takes the lock or fails at once with [`InUse`]. Makes the directory when it is missing.
    pub fn acquire(dir: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("making {} failed", dir.display()))?;
        let path = dir.join(LOCK_FILE);
        let opened = OpenOptions::new().create(true).write(true).truncate(false).open(&path);
        let file = opened.with_context(|| format!("opening {} failed", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(InUse(dir.to_owned()).into()),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("locking {} failed", path.display())),
        }
    }
}

pub fn database_path(dir: &Path) -> PathBuf {
    dir.join(DATABASE_FILE)
}

/// Which data a command works on.
#[derive(Debug, Args)]
pub struct DataArgs {
    /// Directory of the data
    #[arg(long = "data", value_name = "DIR", env = "SYNCLINE_DATA", default_value = "data")]
    pub dir: PathBuf,
    /// The database when it is not in that directory: postgres://user:password@host:port/name
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    pub database: Option<GivenUrl>,
    /// The declaration of entities the server runs with, when it is not the built-in CRM schema
    #[arg(long, value_name = "FILE")]
    pub schema: Option<PathBuf>,
}

/// A database as an argument; an empty one, as an unset variable of a shell, is none.
#[derive(Clone, Debug)]
pub struct GivenUrl(Option<DatabaseUrl>);

impl FromStr for GivenUrl {
    type Err = InvalidDatabaseUrl;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self((!text.trim().is_empty()).then(|| text.trim().parse()).transpose()?))
    }
}

/// Statements that read whole tables run this long on PostgreSQL; milliseconds.
const STATEMENT_TIMEOUT_MS: u32 = 600_000;

/// 64 MiB of log before it is copied into the database: an import writes all over the file, and what several commits
/// change is then copied once.
const CHECKPOINT_PAGES: u32 = 16_000;

impl DataArgs {
    pub fn url(&self) -> DatabaseUrl {
        let given = self.database.as_ref().and_then(|given| given.0.clone());
        given.unwrap_or_else(|| DatabaseUrl::Sqlite(database_path(&self.dir)))
    }

    /// The path of the embedded database; `None`: it is on PostgreSQL.
    pub fn sqlite_path(&self) -> Option<PathBuf> {
        match self.url() {
            DatabaseUrl::Sqlite(path) => Some(path),
            DatabaseUrl::Postgres(_) => None,
        }
    }

    /// Opens the database, which must exist.
    pub fn open_existing(&self, schema: &Arc<Schema>) -> anyhow::Result<Database> {
        let url = self.url();
        if let DatabaseUrl::Sqlite(path) = &url
            && !path.exists()
        {
            bail!("there is no database at {}: name its directory with --data", path.display());
        }
        let opened_ms = clock::now_ms();
        let options = DatabaseOptions {
            sqlite: SqliteOptions { opened_ms, checkpoint_pages: CHECKPOINT_PAGES, ..SqliteOptions::default() },
            postgres: PostgresOptions {
                opened_ms,
                statement_timeout_ms: STATEMENT_TIMEOUT_MS,
                ..PostgresOptions::default()
            },
        };
        Database::open(&url, Arc::clone(schema), options).with_context(|| format!("opening {url} failed"))
    }

    /// The exclusive right to write to an embedded database. PostgreSQL needs none: each commit locks its workspace there.
    pub fn lock(&self) -> anyhow::Result<Option<DataLock>> {
        let Some(path) = self.sqlite_path() else { return Ok(None) };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        DataLock::acquire(folder).map(Some)
    }

    pub fn schema(&self) -> anyhow::Result<Arc<Schema>> {
        schema(self.schema.as_deref())
    }
}

/// The declaration in a file, or the built-in one.
pub fn schema(path: Option<&Path>) -> anyhow::Result<Arc<Schema>> {
    let Some(path) = path else { return Ok(Arc::new(Schema::crm())) };
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {} failed", path.display()))?;
    Ok(Arc::new(Schema::parse(&text, &path.display().to_string())?))
}

/// The workspace a command is about: the one named, or the only one there is.
pub fn workspace(store: &Database, named: Option<&str>) -> anyhow::Result<Option<WorkspaceId>> {
    let present = store.workspaces()?;
    if let Some(named) = named {
        let id = WorkspaceId::new(named)?;
        return Ok(present.contains(&id).then_some(id));
    }
    match present.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(only.clone())),
        several => {
            let names: Vec<&str> = several.iter().map(WorkspaceId::as_str).collect();
            bail!("there are several workspaces ({}): choose one with --workspace", names.join(", "))
        }
    }
}

/// As [`workspace`], for a command that needs one to be there.
pub fn workspace_existing(store: &Database, named: Option<&str>) -> anyhow::Result<WorkspaceId> {
    match (workspace(store, named)?, named) {
        (Some(id), _) => Ok(id),
        (None, Some(named)) => bail!("there is no workspace `{named}`"),
        (None, None) => bail!("the database has no workspace yet: start the server on it once"),
    }
}
