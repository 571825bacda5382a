//! One name for both databases: what serves and maintains data asks for a [`Database`] and does not know which.

use std::sync::Arc;

use syncline_core::Seq;
use syncline_core::id::{BackendId, ClientId, WorkspaceId};
use syncline_core::schema::Schema;
use syncline_core::storage::{Read, Store, StoreResult, Wanted, WriteSet};

use crate::database_auth::DatabaseAuth;
use crate::messages::DatabaseMessages;
use crate::postgres::{PostgresOptions, PostgresReader, PostgresStore};
use crate::sqlite::{ChainReport, CheckReport, SqliteOptions, SqliteReader, SqliteStore};
use crate::transfer;
use crate::url::DatabaseUrl;

/// How a database is opened; the half of the one that the URL names counts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DatabaseOptions {
    pub sqlite: SqliteOptions,
    pub postgres: PostgresOptions,
}

/// The writing half of a database, for one thread. Every method may block, on PostgreSQL for as long as its options say, so
/// none is to be called on an async worker.
pub enum Database {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

/// The reading half: cheap to clone, usable from any thread that may block.
#[derive(Clone)]
pub enum DatabaseReader {
    Sqlite(SqliteReader),
    Postgres(PostgresReader),
}

impl From<SqliteStore> for Database {
    fn from(store: SqliteStore) -> Self {
        Self::Sqlite(store)
    }
}

impl From<PostgresStore> for Database {
    fn from(store: PostgresStore) -> Self {
        Self::Postgres(store)
    }
}

impl Database {
    /// Opens, or on SQLite creates, the database and brings it up to this build and `schema`. One that a copy has not finished
    /// is refused, see [`crate::transfer`].
    pub fn open(url: &DatabaseUrl, schema: Arc<Schema>, options: DatabaseOptions) -> StoreResult<Self> {
        let opened = match url {
            DatabaseUrl::Sqlite(path) => SqliteStore::open(path, schema, options.sqlite).map(Self::Sqlite),
            DatabaseUrl::Postgres(url) => PostgresStore::open(url, schema, options.postgres).map(Self::Postgres),
        }?;
        transfer::refuse_incomplete(&opened.auth())?;
        Ok(opened)
    }

    pub fn reader(&self) -> DatabaseReader {
        match self {
            Self::Sqlite(store) => DatabaseReader::Sqlite(store.reader()),
            Self::Postgres(store) => DatabaseReader::Postgres(store.reader()),
        }
    }

    /// The identity tables of the same database.
    pub fn auth(&self) -> DatabaseAuth {
        match self {
            Self::Sqlite(store) => DatabaseAuth::Sqlite(store.auth()),
            Self::Postgres(store) => DatabaseAuth::Postgres(store.auth()),
        }
    }

    /// The messages of the same database.
    pub fn messages(&self) -> DatabaseMessages {
        match self {
            Self::Sqlite(store) => DatabaseMessages::Sqlite(store.messages()),
            Self::Postgres(store) => DatabaseMessages::Postgres(store.messages()),
        }
    }

    /// Another writer of the same database, for another thread. SQLite's take turns, PostgreSQL's only within a workspace.
    pub fn sibling(&self) -> StoreResult<Self> {
        match self {
            Self::Sqlite(store) => store.sibling().map(Self::Sqlite),
            Self::Postgres(store) => Ok(Self::Postgres(store.sibling())),
        }
    }

    /// Whether other nodes may write to the same database, so that this one has to look for what they wrote.
    pub fn is_shared(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(_) => true,
        }
    }

    /// Folds SQLite's write-ahead log into its file; see [`SqliteStore::checkpoint`]. PostgreSQL does so by itself: true.
    pub fn checkpoint(&mut self) -> StoreResult<bool> {
        match self {
            Self::Sqlite(store) => store.checkpoint(),
            Self::Postgres(_) => Ok(true),
        }
    }
}

impl Store for Database {
    fn create_workspace(&mut self, workspace: &WorkspaceId, backend_id: BackendId) -> StoreResult<()> {
        match self {
            Self::Sqlite(store) => store.create_workspace(workspace, backend_id),
            Self::Postgres(store) => store.create_workspace(workspace, backend_id),
        }
    }

    fn workspaces(&self) -> StoreResult<Vec<WorkspaceId>> {
        match self {
            Self::Sqlite(store) => store.workspaces(),
            Self::Postgres(store) => store.workspaces(),
        }
    }

    fn read<T>(&self, workspace: &WorkspaceId, read: impl FnOnce(&dyn Read) -> StoreResult<T>) -> StoreResult<T> {
        match self {
            Self::Sqlite(store) => store.read(workspace, read),
            Self::Postgres(store) => store.read(workspace, read),
        }
    }

    fn reads_ahead(&self) -> bool {
        match self {
            Self::Sqlite(store) => store.reads_ahead(),
            Self::Postgres(store) => store.reads_ahead(),
        }
    }

    fn transact<T>(
        &mut self,
        workspace: &WorkspaceId,
        wanted: &Wanted,
        plan: impl FnMut(&dyn Read) -> StoreResult<(WriteSet, T)>,
    ) -> StoreResult<T> {
        match self {
            Self::Sqlite(store) => store.transact(workspace, wanted, plan),
            Self::Postgres(store) => store.transact(workspace, wanted, plan),
        }
    }

    fn acknowledge(&mut self, workspace: &WorkspaceId, upto: &[(ClientId, u64)]) -> StoreResult<()> {
        match self {
            Self::Sqlite(store) => store.acknowledge(workspace, upto),
            Self::Postgres(store) => store.acknowledge(workspace, upto),
        }
    }

    fn compact(&mut self, workspace: &WorkspaceId, upto: Seq) -> StoreResult<()> {
        match self {
            Self::Sqlite(store) => store.compact(workspace, upto),
            Self::Postgres(store) => store.compact(workspace, upto),
        }
    }

    fn begin_epoch(&mut self, workspace: &WorkspaceId, epoch: u32) -> StoreResult<()> {
        match self {
            Self::Sqlite(store) => store.begin_epoch(workspace, epoch),
            Self::Postgres(store) => store.begin_epoch(workspace, epoch),
        }
    }
}

impl DatabaseReader {
    /// As [`Store::read`].
    pub fn read<T>(&self, workspace: &WorkspaceId, read: impl FnOnce(&dyn Read) -> StoreResult<T>) -> StoreResult<T> {
        match self {
            Self::Sqlite(reader) => reader.read(workspace, read),
            Self::Postgres(reader) => reader.read(workspace, read),
        }
    }

    /// All workspaces in order.
    pub fn workspaces(&self) -> StoreResult<Vec<WorkspaceId>> {
        match self {
            Self::Sqlite(reader) => reader.workspaces(),
            Self::Postgres(reader) => reader.workspaces(),
        }
    }

    /// Where the log of every workspace stands, in order: one statement over one small table, for a node that wants to know
    /// what others have written.
    pub fn heads(&self) -> StoreResult<Vec<(WorkspaceId, Seq)>> {
        match self {
            Self::Sqlite(reader) => reader.heads(),
            Self::Postgres(reader) => reader.heads(),
        }
    }

    /// Name and version of the database, for a person.
    pub fn version(&self) -> StoreResult<String> {
        match self {
            Self::Sqlite(_) => Ok(format!("SQLite {}", SqliteReader::sqlite_version())),
            Self::Postgres(reader) => reader.version(),
        }
    }

    /// The clock of the database's machine; milliseconds since the Unix epoch. `None` where it is this machine's.
    pub fn clock_ms(&self) -> StoreResult<Option<u64>> {
        match self {
            Self::Sqlite(_) => Ok(None),
            Self::Postgres(reader) => reader.clock_ms().map(Some),
        }
    }

    /// Recomputes the hashes of a workspace's log (spec AUD-1) and whether its seqs are gapless. O(log).
    pub fn verify_chain(&self, workspace: &WorkspaceId) -> StoreResult<ChainReport> {
        match self {
            Self::Sqlite(reader) => reader.verify_chain(workspace),
            Self::Postgres(reader) => reader.verify_chain(workspace),
        }
    }

    /// Checks every workspace: digests, rows, uniqueness, chain. Reads everything; writers go on meanwhile.
    pub fn check(&self) -> StoreResult<CheckReport> {
        match self {
            Self::Sqlite(reader) => reader.check(),
            Self::Postgres(reader) => reader.check(),
        }
    }
}
