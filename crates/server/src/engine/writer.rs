//! The writer threads and their handle. Each thread owns a connection that writes; a bounded channel leads to it. All of a
//! workspace goes through one of them, so what is pushed to this node is decided in the order it came.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
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
use crate::vitals::Vitals;

/// What a writer needs to start.
pub struct WriterParts<S> {
    /// One for each thread, at least one. SQLite writes one transaction at a time, so more do not help there.
    pub stores: Vec<S>,
    pub schema: Arc<Schema>,
    pub metrics: Arc<Metrics>,
    /// Pushes that may wait for one thread; more are refused with [`Busy`].
    pub queue_max: usize,
    /// Mutations of one group commit; more wait for the next.
    pub group_mutations_max: usize,
    /// Called on the writer's thread with every committed group, in a workspace's commit order, before its pushes are
    /// answered.
    pub publish: Arc<dyn Fn(Committed) + Send + Sync>,
    /// Misses a thread that ends with a panic.
    pub vitals: Vitals,
}

/// Handle to the writer threads.
pub struct Writer<S: Store> {
    lanes: Vec<SyncSender<Job<S>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    metrics: Arc<Metrics>,
}

/// What one thread works with.
pub(super) struct Lane<S> {
    pub store: S,
    pub schema: Arc<Schema>,
    pub metrics: Arc<Metrics>,
    pub publish: Arc<dyn Fn(Committed) + Send + Sync>,
    group_mutations_max: usize,
}

impl<S: Store + Send + 'static> Writer<S> {
    /// Starts the threads; they run until [`Writer::stop`].
    pub fn spawn(parts: WriterParts<S>) -> std::io::Result<Self> {
        let WriterParts { stores, schema, metrics, queue_max, group_mutations_max, publish, vitals } = parts;
        let (mut lanes, mut threads) = (Vec::new(), Vec::new());
        for store in stores {
            let (jobs, queue) = sync_channel(queue_max);
            let (schema, metrics, publish) = (Arc::clone(&schema), Arc::clone(&metrics), Arc::clone(&publish));
            let lane = Lane { store, schema, metrics, publish, group_mutations_max };
            threads.push(vitals.spawn("writer", move || run(lane, &queue))?);
            lanes.push(jobs);
        }
        Ok(Self { lanes, threads: Mutex::new(threads), metrics })
    }

    fn lane(&self, workspace_id: &WorkspaceId) -> &SyncSender<Job<S>> {
        let mut hasher = DefaultHasher::new();
        workspace_id.hash(&mut hasher);
        &self.lanes[(hasher.finish() % self.lanes.len() as u64) as usize]
    }

    /// Enqueues a push; its decision arrives on the receiver in `job.reply` after the commit.
    pub fn submit(&self, job: PushJob) -> Result<(), Busy> {
        match self.lane(&job.request.principal.workspace_id).try_send(Job::Push(job)) {
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
        let lane = self.lane(&workspace_id).clone();
        if lane.try_send(Job::Acknowledge { workspace_id, client_id, upto }).is_ok() {
            self.metrics.writer.queue_depth.inc();
        }
    }

    /// Runs `task` on the connection and thread of a workspace's writer, between two groups. `Unavailable` when the writer is
    /// busy or stopped.
    pub async fn run<T: Send + 'static>(
        &self,
        workspace_id: &WorkspaceId,
        task: impl FnOnce(&mut S) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let (reply, answer): (TaskReply<T>, _) = oneshot::channel();
        let boxed = Box::new(move |store: &mut S| drop(reply.send(task(store))));
        let busy = || StoreError::Unavailable("the writer is busy; try again".to_owned());
        self.lane(workspace_id).try_send(Job::Task(boxed)).map_err(|_| busy())?;
        self.metrics.writer.queue_depth.inc();
        answer.await.map_err(|_| StoreError::Unavailable("the writer has stopped".to_owned()))?
    }

    /// Decides everything that waits, then ends the threads. Blocks until it is done.
    pub fn stop(&self) {
        let threads = self.threads.lock().map(|mut threads| std::mem::take(&mut *threads)).unwrap_or_default();
        if !threads.is_empty() {
            self.lanes.iter().for_each(|lane| drop(lane.send(Job::Stop)));
        }
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!(event = "writer_panicked", "a writer thread ended with a panic");
            }
        }
    }
}

fn run<S: Store>(mut lane: Lane<S>, queue: &Receiver<Job<S>>) {
    let mut acknowledged: BTreeMap<WorkspaceId, BTreeMap<ClientId, u64>> = BTreeMap::new();
    while let Ok(first) = queue.recv() {
        let round = drain(first, queue, lane.group_mutations_max);
        let is_last = round.is_last;
        lane.metrics.writer.queue_depth.dec_by(round.taken);
        for (workspace_id, jobs) in round.pushes {
            group::decide(&mut lane, &workspace_id, jobs);
        }
        for (workspace_id, client_id, upto) in round.acknowledged {
            acknowledged.entry(workspace_id).or_default().insert(client_id, upto);
        }
        for task in round.tasks {
            task(&mut lane.store);
        }
        let noted: usize = acknowledged.values().map(BTreeMap::len).sum();
        if noted >= ACKNOWLEDGED_BATCH || is_last {
            note_acknowledged(&mut lane.store, std::mem::take(&mut acknowledged));
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
