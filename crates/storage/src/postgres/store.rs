//! The two halves of a database: the store that writes, and readers for everybody else.

use std::sync::{Arc, Mutex};

use syncline_core::Seq;
use syncline_core::id::{BackendId, ClientId, WorkspaceId};
use syncline_core::schema::Schema;
use syncline_core::storage::{Read, Store, StoreError, StoreResult, Wanted, WriteSet};

use super::apply::Trouble;
use super::auth::PostgresAuth;
use super::connect::Server;
use super::error::{Fault, Severity, corrupt};
use super::lane::{Ended, Lane, Work, may_pass};
use super::layout::Layout;
use super::loaded::{Loaded, Loading};
use super::messages::PostgresMessages;
use super::options::PostgresOptions;
use super::resolve::{self, Trace};
use super::retry::Patience;
use super::rows::{Workspace, at, unsigned};
use super::view::View;
use super::wire::{Reply, Request, Wire, text};
use super::{apply, maintain, open};
use crate::url::PostgresUrl;

/// The writing half, for one thread, with a connection of its own; hand [`PostgresReader`]s to the others, and
/// [`PostgresStore::sibling`]s to other threads that write.
///
/// Every method blocks the calling thread, which must not be an async worker. A write is on the server's disk when it
/// returns. What passes (a failover, a deadlock, a lost connection) is tried again for `retry_ms`; a lost answer to COMMIT is
/// inquired after, so [`StoreError::Indeterminate`] means that the server has not come back in that time.
pub struct PostgresStore {
    reader: PostgresReader,
    auth: PostgresAuth,
    messages: PostgresMessages,
    lane: Lane,
}

impl PostgresStore {
    /// Connects and brings the database up to this build and `schema`, online: what is missing is created, nothing is dropped,
    /// and of several nodes that start at once one does the work. A server that does not answer is waited for five
    /// seconds, or `retry_ms` if that is less. What only an operator can mend is a [`StoreError::Database`] with a [`super::StartupError`] as its source.
    pub fn open(url: &PostgresUrl, schema: Arc<Schema>, options: PostgresOptions) -> StoreResult<Self> {
        let server = Server::new(url, options)?;
        let layout = Arc::new(open::open(&server, schema)?);
        let auth = PostgresAuth::new(server.clone(), Arc::new(Mutex::new(Lane::new(server.clone()))));
        let messages = PostgresMessages::new(server.clone());
        Ok(Self { lane: Lane::new(server.clone()), reader: PostgresReader { server, layout }, auth, messages })
    }

    /// A handle that reads; its reads never wait for writes.
    pub fn reader(&self) -> PostgresReader {
        self.reader.clone()
    }

    /// The identity tables of the same database.
    pub fn auth(&self) -> PostgresAuth {
        self.auth.clone()
    }

    /// The messages of the same database.
    pub fn messages(&self) -> PostgresMessages {
        self.messages.clone()
    }

    /// Another writer of the same database, for another thread. Connects when it is first used.
    pub fn sibling(&self) -> Self {
        let lane = Lane::new(self.lane.server.clone());
        Self { reader: self.reader(), auth: self.auth(), messages: self.messages(), lane }
    }

    /// Plans and writes in one transaction, tried once.
    fn attempt<T>(
        &mut self,
        workspace: &WorkspaceId,
        wanted: &Wanted,
        plan: &mut impl FnMut(&dyn Read) -> StoreResult<(WriteSet, T)>,
    ) -> Ended<(Trace, T)> {
        let layout = self.reader.layout.clone();
        let mut loading = Loading::new(&layout, workspace, wanted);
        // The lock is the first statement: whatever is loaded after it is what the plan is applied to.
        let lock = Request::query(Workspace::LOCK, vec![text(workspace.as_str())]);
        let first = std::iter::once(lock).chain(std::mem::take(&mut loading.requests)).collect();
        self.lane.once(first, |wire, replies| {
            let workspace = Workspace::from_rows(workspace, &replies[0].rows)?;
            let mut loaded = Loaded::default();
            loading.finish(&replies[1..], &mut loaded)?;
            let view = View::new(*wire, &layout, &workspace, loaded);
            let (writes, value) = plan(&view).map_err(|error| lost_or(&view, error))?;
            let trace = Trace::of(&writes)?;
            if writes.is_empty() {
                return Ok(Work::Leave((trace, value)));
            }
            apply::apply(&view, &writes)?;
            Ok(Work::Commit((trace, value)))
        })
    }
}

/// The error of a plan; when a read of it lost the transaction, that, so that it is begun anew.
fn lost_or(view: &View<'_>, error: StoreError) -> Trouble {
    match view.fault() {
        Some(Severity::Lost | Severity::Again) => Trouble::Fault(Fault::Connect(error.to_string())),
        Some(Severity::Definite) | None => Trouble::Store(error),
    }
}

impl Store for PostgresStore {
    fn create_workspace(&mut self, workspace: &WorkspaceId, backend_id: BackendId) -> StoreResult<()> {
        maintain::create_workspace(&mut self.lane, workspace, backend_id)
    }

    fn workspaces(&self) -> StoreResult<Vec<WorkspaceId>> {
        self.reader.workspaces()
    }

    fn read<T>(&self, workspace: &WorkspaceId, read: impl FnOnce(&dyn Read) -> StoreResult<T>) -> StoreResult<T> {
        self.reader.read(workspace, read)
    }

    fn reads_ahead(&self) -> bool {
        true
    }

    fn transact<T>(
        &mut self,
        workspace: &WorkspaceId,
        wanted: &Wanted,
        mut plan: impl FnMut(&dyn Read) -> StoreResult<(WriteSet, T)>,
    ) -> StoreResult<T> {
        let mut patience = Patience::new(self.lane.server.options.retry_ms);
        loop {
            let fault = match self.attempt(workspace, wanted, &mut plan) {
                Ended::Committed((_, value)) => return Ok(value),
                Ended::Failed(trouble) => may_pass(trouble)?,
                Ended::Unknown((trace, value), fault) => {
                    tracing::warn!(workspace_id = %workspace, %fault, "the answer to a commit was lost; asking what became of it");
                    if resolve::is_committed(&mut self.lane, workspace, &trace)? {
                        return Ok(value);
                    }
                    fault
                }
            };
            tracing::debug!(workspace_id = %workspace, %fault, "a write is begun anew");
            patience.pause_after(&fault.to_string())?;
        }
    }

    fn acknowledge(&mut self, workspace: &WorkspaceId, upto: &[(ClientId, u64)]) -> StoreResult<()> {
        maintain::acknowledge(&mut self.lane, workspace, upto)
    }

    /// Takes many small transactions; after a crash in between, calling it again finishes the rest.
    fn compact(&mut self, workspace: &WorkspaceId, upto: Seq) -> StoreResult<()> {
        maintain::compact(&mut self.lane, workspace, upto)
    }

    fn begin_epoch(&mut self, workspace: &WorkspaceId, epoch: u32) -> StoreResult<()> {
        maintain::begin_epoch(&mut self.lane, workspace, epoch)
    }
}

/// The reading half: cheap to clone, usable from any thread that may block. Every [`PostgresReader::read`] sees one moment and
/// waits only when all `readers_max` connections are busy.
#[derive(Clone)]
pub struct PostgresReader {
    server: Arc<Server>,
    pub(super) layout: Arc<Layout>,
}

impl PostgresReader {
    /// As [`Store::read`].
    pub fn read<T>(&self, workspace: &WorkspaceId, read: impl FnOnce(&dyn Read) -> StoreResult<T>) -> StoreResult<T> {
        let first = Request::query(Workspace::SELECT, vec![text(workspace.as_str())]);
        let (transaction, Reply { rows, .. }) = self.server.begin_read(first)?;
        let workspace = Workspace::from_rows(workspace, &rows)?;
        read(&View::new(transaction.wire(), &self.layout, &workspace, Loaded::default()))
    }

    /// All workspaces in order.
    pub fn workspaces(&self) -> StoreResult<Vec<WorkspaceId>> {
        Ok(self.heads()?.into_iter().map(|(workspace, _)| workspace).collect())
    }

    /// Where the log of every workspace stands, in order: one round trip and one small table, for a node that wants to know
    /// what others have written.
    pub fn heads(&self) -> StoreResult<Vec<(WorkspaceId, Seq)>> {
        let first = Request::query("SELECT workspace_id, seq FROM sync_workspaces ORDER BY workspace_id", Vec::new());
        let (_transaction, Reply { rows, .. }) = self.server.begin_read(first)?;
        let head = |row| {
            let id = WorkspaceId::new(at::<&str>(row, 0)?).map_err(|error| corrupt(error.to_string()))?;
            Ok((id, unsigned(row, 1)?))
        };
        rows.iter().map(head).collect()
    }

    /// Runs `read` in one read transaction.
    pub(super) fn snapshot<T>(&self, read: impl FnOnce(&Wire<'_>) -> StoreResult<T>) -> StoreResult<T> {
        self.server.snapshot(read)
    }
}
