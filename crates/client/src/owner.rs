//! The thread that owns the replica. Everything else sends it work and waits for the answer.

use std::sync::Mutex;

use syncline_core::replica::Replica;
use syncline_core::session::client::ClientSession;
use syncline_storage::SqliteReplica;
use tokio::sync::{mpsc, oneshot};

use crate::error::ClientError;

/// What lives on the thread.
pub(crate) struct Owned {
    pub replica: Replica<SqliteReplica>,
    /// The session that is syncing, if any.
    pub session: Option<ClientSession>,
}

type Job = Box<dyn FnOnce(&mut Owned) + Send>;

/// Jobs that may wait; whoever brings another one waits too.
const JOBS_MAX: usize = 256;

pub(crate) struct Owner {
    /// `None`: closed.
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    ended: tokio::sync::Mutex<Option<oneshot::Receiver<()>>>,
}

impl Owner {
    pub fn spawn(replica: Replica<SqliteReplica>) -> Result<Self, ClientError> {
        let (jobs, mut receiver) = mpsc::channel::<Job>(JOBS_MAX);
        let (end, ended) = oneshot::channel();
        let run = move || {
            let mut owned = Owned { replica, session: None };
            while let Some(job) = receiver.blocking_recv() {
                job(&mut owned);
            }
            drop(owned);
            // Nobody need wait for it.
            let _ = end.send(());
        };
        let thread = std::thread::Builder::new().name("syncline-replica".to_owned()).spawn(run);
        thread.map_err(|error| ClientError::file("the replica's thread", error))?;
        Ok(Self { jobs: Mutex::new(Some(jobs)), ended: tokio::sync::Mutex::new(Some(ended)) })
    }

    /// Runs `work` on the thread, after everything that was sent before.
    pub async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Owned) -> T + Send + 'static,
    ) -> Result<T, ClientError> {
        let jobs = self.jobs.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let jobs = jobs.ok_or(ClientError::Closed)?;
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |owned| drop(reply.send(work(owned))));
        jobs.send(job).await.map_err(|_| ClientError::Closed)?;
        drop(jobs);
        answer.await.map_err(|_| ClientError::Closed)
    }

    /// Ends the thread after what was sent before, and waits until the files are closed.
    pub async fn close(&self) {
        drop(self.jobs.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take());
        if let Some(ended) = self.ended.lock().await.take() {
            drop(ended.await);
        }
    }
}
