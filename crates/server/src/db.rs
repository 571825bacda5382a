//! Reading the store from asynchronous code: on blocking threads, as many at a time as there are connections.

use std::sync::Arc;

use syncline_core::Seq;
use syncline_core::id::WorkspaceId;
use syncline_core::schema::Schema;
use syncline_core::storage::{Read, StoreError, StoreResult};
use syncline_storage::DatabaseReader;
use tokio::sync::Semaphore;

/// Readers of the store, with the schema. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    reader: DatabaseReader,
    schema: Arc<Schema>,
    turns: Arc<Semaphore>,
    /// Turns of what may read a whole entity; taken before one of `turns`.
    much: Arc<Semaphore>,
}

impl Db {
    /// `readers`: how many read at a time; further ones wait their turn without holding a thread.
    pub fn new(reader: DatabaseReader, schema: Arc<Schema>, readers: usize) -> Self {
        let much = Arc::new(Semaphore::new((readers / 2).max(1)));
        Self { reader, schema, turns: Arc::new(Semaphore::new(readers)), much }
    }

    pub fn schema(&self) -> Arc<Schema> {
        Arc::clone(&self.schema)
    }

    /// Runs `read` on a consistent view of the workspace, on a blocking thread.
    pub async fn read<T: Send + 'static>(
        &self,
        workspace_id: &WorkspaceId,
        read: impl FnOnce(&dyn Read) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let stopped = || StoreError::Unavailable("the store is closing".to_owned());
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| stopped())?;
        let (reader, workspace_id) = (self.reader.clone(), workspace_id.clone());
        let done = tokio::task::spawn_blocking(move || {
            let result = reader.read(&workspace_id, read);
            drop(turn);
            result
        });
        done.await.map_err(|error| StoreError::Database(Box::new(error)))?
    }

    /// As [`Db::read`], for lists and searches: half of the readers at most, so that devices that sync find the others free.
    /// Whoever gives up while waiting costs nothing.
    pub async fn read_much<T: Send + 'static>(
        &self,
        workspace_id: &WorkspaceId,
        read: impl FnOnce(&dyn Read) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let stopped = || StoreError::Unavailable("the store is closing".to_owned());
        let turn = Arc::clone(&self.much).acquire_owned().await.map_err(|_| stopped())?;
        let read = move |view: &dyn Read| {
            // Held by the reading itself, which goes on when the one who asked is gone.
            let _turn = turn;
            read(view)
        };
        self.read(workspace_id, read).await
    }

    /// As [`Db::read`], on this thread.
    pub fn read_blocking<T>(
        &self,
        workspace_id: &WorkspaceId,
        read: impl FnOnce(&dyn Read) -> StoreResult<T>,
    ) -> StoreResult<T> {
        self.reader.read(workspace_id, read)
    }

    /// Where the log of every workspace stands; blocks.
    pub fn heads(&self) -> StoreResult<Vec<(WorkspaceId, Seq)>> {
        self.reader.heads()
    }

    pub fn workspaces(&self) -> StoreResult<Vec<WorkspaceId>> {
        self.reader.workspaces()
    }
}
