//! The two halves of a database: the store that writes, and readers for everybody else.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use syncline_core::Seq;
use syncline_core::id::{BackendId, ClientId, WorkspaceId};
use syncline_core::schema::Schema;
use syncline_core::storage::{Read, Store, StoreResult, Wanted, WriteSet};

use super::auth::AuthStore;
use super::connect::{Lane, RollbackUnlessCommitted, Source, SqliteOptions};
use super::error::OrFailed;
use super::layout::Layout;
use super::messages::SqliteMessages;
use super::pool::ReadPool;
use super::turn::Turnstile;
use super::view::{View, Workspace};
use super::{apply, maintain, open};
use crate::timing::Timed;

/// The writing half, for one thread; hand [`SqliteReader`]s to the others.
///
/// Every write is on disk (`synchronous=FULL`) when it returns. After [`syncline_core::storage::StoreError::Indeterminate`]
/// it refuses to write until the database is opened anew.
pub struct SqliteStore {
    reader: SqliteReader,
    auth: AuthStore,
    messages: SqliteMessages,
    /// Last, so that it closes last: only a connection that writes can fold the log back into the database.
    lane: Lane,
}

impl SqliteStore {
    /// Opens or creates the database and brings it up to this build and `schema`, online: what is missing is created,
    /// nothing is dropped. New indexes cost a scan of their table.
    pub fn open(path: impl AsRef<Path>, schema: Arc<Schema>, options: SqliteOptions) -> StoreResult<Self> {
        let opened_ms = options.opened_ms;
        let source = Source { path: path.as_ref().to_owned(), options };
        let mut conn = source.open_writer()?;
        open::migrate(&mut conn)?;
        let turn = Arc::new(Turnstile::default());
        let mut lane = Lane::new(conn, &source, turn.clone());
        let layout = Arc::new(open::adapt(&mut lane, schema, opened_ms)?);
        let auth_lane = Lane::new(source.open_writer()?, &source, turn.clone());
        let messages_lane = Lane::new(source.open_writer()?, &source, turn);
        let pool = Arc::new(ReadPool::new(source));
        let auth = AuthStore::new(auth_lane, pool.clone());
        let messages = SqliteMessages::new(messages_lane, pool.clone());
        Ok(Self { reader: SqliteReader { pool, layout }, auth, messages, lane })
    }

    /// A handle that reads; its reads never wait for this store's writes.
    pub fn reader(&self) -> SqliteReader {
        self.reader.clone()
    }

    /// The identity tables of the same file.
    pub fn auth(&self) -> AuthStore {
        self.auth.clone()
    }

    /// The messages of the same file.
    pub fn messages(&self) -> SqliteMessages {
        self.messages.clone()
    }

    /// Another writer of the same file, for another thread; they take turns.
    pub fn sibling(&self) -> StoreResult<Self> {
        let lane = self.lane.sibling(self.reader.pool.source())?;
        Ok(Self { reader: self.reader(), auth: self.auth(), messages: self.messages(), lane })
    }

    /// Copies the write-ahead log into the database and empties it; false when a reader was in the way, which is not
    /// waited for.
    pub fn checkpoint(&mut self) -> StoreResult<bool> {
        self.lane.without_waiting(|conn| {
            let is_busy: bool = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).or_failed()?;
            Ok(!is_busy)
        })
    }

    /// As [`Store::compact`], at most about `rows` rows per transaction, so that other writers of the file get their turn.
    fn compact_in_steps(&mut self, workspace: &WorkspaceId, upto: Seq, rows: usize) -> StoreResult<()> {
        let workspace = maintain::raise_min_seq(&mut self.lane, workspace, upto)?;
        let upto = upto.min(workspace.head.seq);
        while maintain::forget_log(&mut self.lane, &workspace, upto, rows)? {}
        while maintain::forget_tombstones(&mut self.lane, &workspace, upto, rows)? {}
        while maintain::forget_departures(&mut self.lane, &workspace, upto, rows)? {}
        while maintain::forget_requests(&mut self.lane, &workspace, upto, rows)? {}
        maintain::forget_outcomes(&mut self.lane, &workspace, upto, rows)
    }
}

/// Rows that one transaction of a compaction deletes.
const COMPACT_STEP_ROWS: usize = 5_000;

impl Store for SqliteStore {
    fn create_workspace(&mut self, workspace: &WorkspaceId, backend_id: BackendId) -> StoreResult<()> {
        maintain::create_workspace(&mut self.lane, workspace, backend_id)
    }

    fn workspaces(&self) -> StoreResult<Vec<WorkspaceId>> {
        self.reader.workspaces()
    }

    fn read<T>(&self, workspace: &WorkspaceId, read: impl FnOnce(&dyn Read) -> StoreResult<T>) -> StoreResult<T> {
        self.reader.read(workspace, read)
    }

    fn transact<T>(
        &mut self,
        workspace: &WorkspaceId,
        _wanted: &Wanted,
        mut plan: impl FnMut(&dyn Read) -> StoreResult<(WriteSet, T)>,
    ) -> StoreResult<T> {
        let layout = &self.reader.layout;
        self.lane.write(|conn| {
            let workspace = Workspace::load(conn, workspace)?;
            let view = View { conn, layout, workspace: &workspace };
            let (writes, value) = plan(&view)?;
            if !writes.is_empty() {
                apply::apply(&view, &writes)?;
            }
            Ok(value)
        })
    }

    fn acknowledge(&mut self, workspace: &WorkspaceId, upto: &[(ClientId, u64)]) -> StoreResult<()> {
        maintain::acknowledge(&mut self.lane, workspace, upto)
    }

    /// Takes many small transactions; after a crash in between, calling it again finishes the rest.
    fn compact(&mut self, workspace: &WorkspaceId, upto: Seq) -> StoreResult<()> {
        self.compact_in_steps(workspace, upto, COMPACT_STEP_ROWS)
    }

    fn begin_epoch(&mut self, workspace: &WorkspaceId, epoch: u32) -> StoreResult<()> {
        maintain::begin_epoch(&mut self.lane, workspace, epoch)
    }
}

/// The reading half: cheap to clone, usable from any thread. Every [`SqliteReader::read`] sees one moment, blocks its
/// thread, and waits only when all `readers_max` connections are busy.
#[derive(Clone)]
pub struct SqliteReader {
    pub(super) pool: Arc<ReadPool>,
    pub(super) layout: Arc<Layout>,
}

impl SqliteReader {
    /// As [`Store::read`].
    pub fn read<T>(&self, workspace: &WorkspaceId, read: impl FnOnce(&dyn Read) -> StoreResult<T>) -> StoreResult<T> {
        self.snapshot(|conn| {
            let workspace = Workspace::load(conn, workspace)?;
            read(&View { conn, layout: &self.layout, workspace: &workspace })
        })
    }

    /// All workspaces in order.
    pub fn workspaces(&self) -> StoreResult<Vec<WorkspaceId>> {
        self.snapshot(maintain::workspaces)
    }

    /// Where the log of every workspace stands, in order.
    pub fn heads(&self) -> StoreResult<Vec<(WorkspaceId, Seq)>> {
        self.snapshot(maintain::heads)
    }

    /// Runs `read` in one read transaction.
    pub(super) fn snapshot<T>(&self, read: impl FnOnce(&Connection) -> StoreResult<T>) -> StoreResult<T> {
        let conn = self.pool.get()?;
        let _timed = Timed::start("a read", 0);
        conn.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([])).or_failed()?;
        let _end = RollbackUnlessCommitted(&conn);
        read(&conn)
    }
}
