//! The writer thread and its handle. The thread owns the only connection that writes; a bounded channel leads to it.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use syncline_core::id::{ClientId, WorkspaceId};
use syncline_core::schema::Schema;
use syncline_core::storage::{Store, StoreError, StoreResult};
use tokio::sync::oneshot;

use super::group;
use super::job::{Busy, Committed, Decision, Job, PushJob, TaskReply};
use crate::observe::Metrics;

/// What a writer needs to start.
pub struct WriterParts<S> {
    pub store: S,
    pub schema: Arc<Schema>,
    pub metrics: Arc<Metrics>,
    /// Pushes that may wait; more are refused with [`Busy`].
    pub queue_max: usize,
    /// Mutations of one group commit; more wait for the next.
    pub group_mutations_max: usize,
    /// Called on the writer's thread with every committed group, in commit order, before its pushes are answered.
    pub publish: Box<dyn Fn(Committed) + Send>,
}

/// Handle to the writer thread.
pub struct Writer<S: Store> {
    jobs: SyncSender<Job<S>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    metrics: Arc<Metrics>,
}

impl<S: Store + Send + 'static> Writer<S> {
    /// Starts the thread; it runs until [`Writer::stop`].
    pub fn spawn(parts: WriterParts<S>) -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel(parts.queue_max);
        let metrics = Arc::clone(&parts.metrics);
        let thread =
            std::thread::Builder::new().name("syncline-writer".to_owned()).spawn(move || run(parts, &queue))?;
        Ok(Self { jobs, thread: Mutex::new(Some(thread)), metrics })
    }

    /// Enqueues a push; its decision arrives on the receiver in `job.reply` after the commit.
    pub fn submit(&self, job: PushJob) -> Result<(), Busy> {
        match self.jobs.try_send(Job::Push(job)) {
            Ok(()) => {
                self.metrics.writer.queue_depth.inc();
                Ok(())
            }
            Err(TrySendError::Full(_)) => Err(Busy { retry_ms: crate::random::between(200, 1_000) }),
            Err(TrySendError::Disconnected(_)) => Err(Busy { retry_ms: crate::random::between(1_000, 5_000) }),
        }
    }

    /// Notes what a client has acknowledged. Best effort: dropped when the queue is full, for the next one says it again.
    pub fn acknowledge(&self, workspace_id: WorkspaceId, client_id: ClientId, upto: u64) {
        if self.jobs.try_send(Job::Acknowledge { workspace_id, client_id, upto }).is_ok() {
            self.metrics.writer.queue_depth.inc();
        }
    }

    /// Runs `task` on the writer's thread and connection, between two groups. `Unavailable` when the writer is busy or
    /// stopped.
    pub async fn run<T: Send + 'static>(
        &self,
        task: impl FnOnce(&mut S) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let (reply, answer): (TaskReply<T>, _) = oneshot::channel();
        let boxed = Box::new(move |store: &mut S| drop(reply.send(task(store))));
        let busy = || StoreError::Unavailable("the writer is busy; try again".to_owned());
        self.jobs.try_send(Job::Task(boxed)).map_err(|_| busy())?;
        self.metrics.writer.queue_depth.inc();
        answer.await.map_err(|_| StoreError::Unavailable("the writer has stopped".to_owned()))?
    }

    /// Decides everything that waits, then ends the thread. Blocks until it is done.
    pub fn stop(&self) {
        let thread = self.thread.lock().ok().and_then(|mut thread| thread.take());
        if let Some(thread) = thread {
            drop(self.jobs.send(Job::Stop));
            if thread.join().is_err() {
                tracing::error!(event = "writer_panicked", "the writer thread ended with a panic");
            }
        }
    }
}

fn run<S: Store>(mut parts: WriterParts<S>, queue: &Receiver<Job<S>>) {
    let mut acknowledged: BTreeMap<WorkspaceId, BTreeMap<ClientId, u64>> = BTreeMap::new();
    while let Ok(first) = queue.recv() {
        let round = drain(first, queue, parts.group_mutations_max);
        let is_last = round.is_last;
        parts.metrics.writer.queue_depth.dec_by(round.taken);
        for (workspace_id, jobs) in round.pushes {
            group::decide(&mut parts, &workspace_id, jobs);
        }
        for (workspace_id, client_id, upto) in round.acknowledged {
            acknowledged.entry(workspace_id).or_default().insert(client_id, upto);
        }
        for task in round.tasks {
            task(&mut parts.store);
        }
        let noted: usize = acknowledged.values().map(BTreeMap::len).sum();
        if noted >= ACKNOWLEDGED_BATCH || is_last {
            note_acknowledged(&mut parts.store, std::mem::take(&mut acknowledged));
        }
        if is_last {
            return;
        }
    }
}

/// Acknowledgements gathered before they are written: they only serve compaction.
const ACKNOWLEDGED_BATCH: usize = 256;

struct Round<S: Store> {
    /// By workspace, in the order they came.
    pushes: Vec<(WorkspaceId, Vec<PushJob>)>,
    acknowledged: Vec<(WorkspaceId, ClientId, u64)>,
    tasks: Vec<super::job::StoreTask<S>>,
    taken: i64,
    is_last: bool,
}

/// Takes what waits, up to the size of a group. A task ends the round, so that it sees every push before it.
fn drain<S: Store>(first: Job<S>, queue: &Receiver<Job<S>>, mutations_max: usize) -> Round<S> {
    let mut round = Round { pushes: Vec::new(), acknowledged: Vec::new(), tasks: Vec::new(), taken: 0, is_last: false };
    let mut mutations = 0;
    let mut next = Some(first);
    while let Some(job) = next.take() {
        round.taken += 1;
        match job {
            Job::Push(job) => {
                mutations += job.request.mutations.len();
                let workspace_id = &job.request.principal.workspace_id;
                match round.pushes.iter_mut().find(|(id, _)| id == workspace_id) {
                    Some((_, jobs)) => jobs.push(job),
                    None => round.pushes.push((workspace_id.clone(), vec![job])),
                }
            }
            Job::Acknowledge { workspace_id, client_id, upto } => {
                round.acknowledged.push((workspace_id, client_id, upto));
            }
            Job::Task(task) => round.tasks.push(task),
            Job::Stop => {
                round.taken -= 1;
                round.is_last = true;
            }
        }
        let is_full = mutations >= mutations_max || !round.tasks.is_empty() || round.is_last;
        next = if is_full { None } else { queue.try_recv().ok() };
    }
    round
}

fn note_acknowledged<S: Store>(store: &mut S, acknowledged: BTreeMap<WorkspaceId, BTreeMap<ClientId, u64>>) {
    for (workspace_id, clients) in acknowledged {
        let upto: Vec<_> = clients.into_iter().collect();
        if let Err(error) = store.acknowledge(&workspace_id, &upto) {
            tracing::warn!(event = "acknowledge_failed", %workspace_id, %error, "acknowledgements were not noted");
        }
    }
}

/// Answers a push. The asker may be gone: its outcome is stored, and a replay gets it.
pub(super) fn answer(reply: oneshot::Sender<Decision>, decision: Decision) {
    drop(reply.send(decision));
}
