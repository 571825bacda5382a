//! The router: messages between people, devices and programs (spec §20, RTR).
//!
//! A message is planned ([`syncline_core::messages::plan_send`]), stored by the router's thread in groups ([`writer`]), and then
//! the sessions of the devices concerned are told to look: each reads what is due for its device and sends it, so nothing is
//! held in memory for who is slow or away. Acknowledgements go the same way into the store. Other nodes are told by the bus,
//! and look by themselves while it is away. Messages that are not stored go straight to who is connected ([`live`]).

mod live;
mod plan;
mod writer;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::sync::Cache;
use syncline_core::id::{DeviceId, MessageId, UserId, WorkspaceId};
use syncline_core::messages::{MessageTypes, NewMessage, Priority, Target};
use syncline_core::storage::{StoreError, StoreResult};
use syncline_storage::DatabaseMessages;
use syncline_storage::messages::{MessageLimits, Replayed, SendOutcome};
use tokio::sync::{Semaphore, mpsc, oneshot};

pub(crate) use plan::unavailable;
pub use plan::{Planned, outcome_problem};
use writer::Job;

use crate::bus::Bus;
use crate::clock;
use crate::config::MessagesConfig;
use crate::db::Db;
use crate::hub::Hub;
use crate::observe::{Metrics, RoutingLabels, RoutingStep, Status};
use crate::vitals::Vitals;

/// Reads of messages at a time; further ones wait without holding a thread.
const READS_MAX: usize = 4;
/// How long a batch waits for room in the queue.
const ROOM_WAIT: Duration = Duration::from_secs(5);
/// How long it is remembered who may be written to: so long a new member may be unknown, and a former one known.
const RECIPIENTS_KEPT: Duration = Duration::from_secs(5);
const RECIPIENTS_MAX: u64 = 10_000;
/// Messages that one step of a sweep ends or forgets.
const SWEEP_STEP: usize = 200;

/// What a router is made of.
pub struct RouterParts {
    pub config: MessagesConfig,
    pub types: MessageTypes,
    pub store: DatabaseMessages,
    pub db: Db,
    pub devices: syncline_storage::DatabaseAuth,
    pub hub: Arc<Hub>,
    pub bus: Bus,
    pub metrics: Arc<Metrics>,
    /// Misses the thread when it ends with a panic.
    pub vitals: Vitals,
}

/// Handle to the router. Share it behind an `Arc`.
pub struct Router {
    pub types: MessageTypes,
    config: MessagesConfig,
    store: DatabaseMessages,
    db: Db,
    devices: syncline_storage::DatabaseAuth,
    hub: Arc<Hub>,
    bus: Bus,
    metrics: Arc<Metrics>,
    jobs: mpsc::Sender<Job>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    reads: Semaphore,
    /// The active member that a `user` or `device` target leads to.
    recipients: Cache<(WorkspaceId, Target), Option<UserId>>,
    team_mates: Cache<(WorkspaceId, UserId), Arc<BTreeSet<UserId>>>,
    /// Number up to which this node's sessions have been told of each workspace's messages.
    told: Mutex<HashMap<WorkspaceId, u64>>,
}

impl Router {
    /// Starts the thread; it runs until [`Router::stop`].
    pub fn start(parts: RouterParts) -> std::io::Result<Arc<Self>> {
        let RouterParts { config, types, store, db, devices, hub, bus, metrics, vitals } = parts;
        let (jobs, queue) = mpsc::channel(config.queue_max);
        let cache = || Cache::builder().max_capacity(RECIPIENTS_MAX).time_to_live(RECIPIENTS_KEPT);
        let router = Arc::new(Self {
            types,
            store,
            db,
            devices,
            hub,
            bus,
            metrics,
            jobs,
            thread: Mutex::default(),
            reads: Semaphore::new(READS_MAX),
            recipients: cache().build(),
            team_mates: Cache::builder().max_capacity(RECIPIENTS_MAX).time_to_live(RECIPIENTS_KEPT).build(),
            told: Mutex::default(),
            config,
        });
        let lane = writer::Lane::of(&router);
        let thread = vitals.spawn("router", move || lane.run(queue))?;
        *router.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(router)
    }

    pub fn ack_timeout(&self) -> Duration {
        Duration::from_millis(self.config.ack_timeout_ms)
    }

    pub fn limits(&self) -> MessageLimits {
        self.config.limits()
    }

    /// Stores messages of one sender in this order, all or none for trouble of the store, and none while the sender is faster
    /// than it may be. On disk when it returns.
    pub async fn send(&self, workspace_id: WorkspaceId, messages: Vec<NewMessage>) -> StoreResult<Vec<SendOutcome>> {
        let Some(sender) = messages.first().map(|message| message.from.user_id) else { return Ok(Vec::new()) };
        let key = format!("messages:{workspace_id}:{sender}");
        let count = u32::try_from(messages.len()).unwrap_or(u32::MAX);
        let decision = self.bus.take(&key, self.config.sends(), count).await;
        if !decision.is_allowed {
            self.count(RoutingStep::Stored, None, Status::Refused, messages.len() as u64);
            return Ok(vec![SendOutcome::TooOften { retry_ms: decision.retry_ms }; messages.len()]);
        }
        let (reply, answer) = oneshot::channel();
        self.enqueue(Job::Send { workspace_id, messages, reply }).await?;
        answer.await.map_err(|_| stopped())?
    }

    /// Notes that a device has messages. On disk when it returns.
    pub async fn acknowledge(
        &self,
        workspace_id: WorkspaceId,
        device_id: DeviceId,
        ids: Vec<MessageId>,
    ) -> StoreResult<()> {
        let (reply, answer) = oneshot::channel();
        let count = ids.len() as u64;
        self.enqueue(Job::Acknowledge { workspace_id, device_id, ids, reply }).await?;
        answer.await.map_err(|_| stopped())??;
        self.count(RoutingStep::Acknowledged, None, Status::Ok, count);
        Ok(())
    }

    /// Notes that messages were written to a device's socket. Best effort: dropped when the queue is full.
    pub fn delivered(&self, workspace_id: WorkspaceId, device_id: DeviceId, ids: Vec<MessageId>) {
        if self.jobs.try_send(Job::Delivered { workspace_id, device_id, ids }).is_ok() {
            self.metrics.messages.queue_depth.inc();
        }
    }

    /// Sends a dead letter again.
    pub async fn replay(
        self: &Arc<Self>,
        workspace_id: WorkspaceId,
        id: MessageId,
        expires_ms: u64,
    ) -> StoreResult<bool> {
        let limits = self.limits();
        let workspace = workspace_id.clone();
        let done = self.read(move |store| store.replay(&workspace, id, expires_ms, limits, clock::now_ms())).await?;
        match done {
            Replayed::Done { concerned, head } => {
                self.tell(&workspace_id, &concerned, head);
                Ok(true)
            }
            Replayed::NotDead => Ok(false),
        }
    }

    /// Runs `read` on the store, on a blocking thread.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&DatabaseMessages) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let _turn = self.reads.acquire().await.map_err(|_| stopped())?;
        let store = self.store.clone();
        let done = tokio::task::spawn_blocking(move || read(&store)).await;
        done.map_err(|error| StoreError::Database(Box::new(error)))?
    }

    /// Ends what has run out of time, everywhere.
    pub async fn expire(&self) -> StoreResult<()> {
        for (workspace_id, _) in self.read(DatabaseMessages::heads).await? {
            loop {
                let workspace = workspace_id.clone();
                let step = move |store: &DatabaseMessages| store.expire(&workspace, clock::now_ms(), SWEEP_STEP);
                let expired = self.read(step).await?;
                if expired.messages == 0 {
                    break;
                }
                self.count(RoutingStep::Expired, None, Status::Ok, expired.messages as u64);
                self.count(RoutingStep::DeadLettered, None, Status::Ok, expired.dead as u64);
                self.tell(&workspace_id, &expired.concerned, expired.head);
            }
        }
        Ok(())
    }

    /// Forgets what has been kept for long enough, everywhere.
    pub async fn forget(&self) -> StoreResult<()> {
        let before = clock::now_ms().saturating_sub(self.config.history_ms);
        for (workspace_id, _) in self.read(DatabaseMessages::heads).await? {
            loop {
                let workspace = workspace_id.clone();
                let step = move |store: &DatabaseMessages| store.forget(&workspace, before, SWEEP_STEP);
                if self.read(step).await? == 0 {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Brings the gauges up to now.
    pub async fn gauge(&self) -> StoreResult<()> {
        let counts = self.read(DatabaseMessages::counts).await?;
        self.metrics.messages.due.set(i64::try_from(counts.due).unwrap_or(i64::MAX));
        self.metrics.messages.dead_letters.set(i64::try_from(counts.dead_letters).unwrap_or(i64::MAX));
        Ok(())
    }

    /// Another node's messages of a workspace have reached `head`: tells the sessions here that they concern.
    pub async fn reached(&self, workspace_id: &WorkspaceId, head: u64) -> StoreResult<()> {
        let told = self.told_upto(workspace_id);
        if told.is_some_and(|told| told >= head) {
            return Ok(());
        }
        if !self.hub.has_sessions(workspace_id) {
            self.note_told(workspace_id, head);
            return Ok(());
        }
        // What came before this node first looked is read by every session when it opens its inbox.
        let Some(after) = told else {
            self.hub.mail(workspace_id, None);
            self.note_told(workspace_id, head);
            return Ok(());
        };
        let workspace = workspace_id.clone();
        let concerned = self.read(move |store| store.concerned_since(&workspace, after)).await?;
        self.hub.mail(workspace_id, (!concerned.is_cut).then_some(&concerned.devices));
        self.note_told(workspace_id, concerned.head);
        Ok(())
    }

    /// As [`Router::reached`], for every workspace, by the heads in the store.
    pub async fn look(&self) -> StoreResult<()> {
        for (workspace_id, head) in self.read(DatabaseMessages::heads).await? {
            self.reached(&workspace_id, head).await?;
        }
        Ok(())
    }

    /// Tells the sessions concerned here, and the other nodes.
    fn tell(&self, workspace_id: &WorkspaceId, concerned: &BTreeSet<DeviceId>, head: u64) {
        if !concerned.is_empty() {
            self.hub.mail(workspace_id, Some(concerned));
            self.bus.mail(workspace_id, head);
        }
    }

    fn told_upto(&self, workspace_id: &WorkspaceId) -> Option<u64> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).get(workspace_id).copied()
    }

    fn note_told(&self, workspace_id: &WorkspaceId, head: u64) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let known = told.entry(workspace_id.clone()).or_insert(head);
        *known = head.max(*known);
    }

    fn count(&self, step: RoutingStep, priority: Option<Priority>, status: Status, count: u64) {
        // Of sweeps and acknowledgements the priority is not known without another read.
        let priority = priority.map_or("any", Priority::as_str);
        self.metrics.count_messages(RoutingLabels { step, priority, status }, count);
    }

    async fn enqueue(&self, job: Job) -> StoreResult<()> {
        match tokio::time::timeout(ROOM_WAIT, self.jobs.send(job)).await {
            Ok(Ok(())) => {
                self.metrics.messages.queue_depth.inc();
                Ok(())
            }
            Ok(Err(_)) => Err(stopped()),
            Err(_) => Err(StoreError::Unavailable("too many messages wait for the store".to_owned())),
        }
    }

    /// Stores everything that waits, then ends the thread. Blocks until it is done.
    pub fn stop(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        drop(self.jobs.blocking_send(Job::Stop));
        if thread.join().is_err() {
            tracing::error!(event = "router_panicked", "the router's thread ended with a panic");
        }
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the router has stopped".to_owned())
}
