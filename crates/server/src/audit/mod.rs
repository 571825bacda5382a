//! The audit log of authentication and access: who came in or was refused, what administrators read and changed, what was
//! denied. What happened to records is in the change log.
//!
//! An event is handed to a queue and written by one task, everything that waits in one transaction, so that no sign-in
//! waits for the disk. What is lost when the process is killed is what happened in the last moment. Each workspace has a
//! chain of hashes of its own; what belongs to none (a sign-in with an unknown address) is in the server's.

mod context;
mod event;
mod repeats;

use std::sync::Arc;
use std::time::Duration;

use syncline_core::storage::{StoreError, StoreResult};
use syncline_storage::DatabaseAuth;
use syncline_storage::sqlite::AuditEntry;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

pub use context::{RequestContext, RequestPrincipal, current_request, with_request};
pub use event::{AuditEvent, AuditRecord};
use repeats::Repeats;

use crate::clock;

/// Events that wait to be written. While there is no room, whoever has one waits for [`PATIENCE`]; then it is lost, and an
/// error in the log says so.
const QUEUE_MAX: usize = 10_000;
/// Events of one transaction.
const GROUP_MAX: usize = 1_000;
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause after a write that failed; nothing is lost meanwhile.
const RETRY: Duration = Duration::from_secs(1);

/// Where events go. Cheap to clone.
#[derive(Clone)]
pub struct Audit {
    queue: mpsc::Sender<AuditEntry>,
    repeats: Arc<Repeats>,
}

/// The task that writes them.
pub struct AuditWriter {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Audit {
    pub fn start(store: DatabaseAuth) -> (Self, AuditWriter) {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(write(store, waiting, stopped));
        (Self { queue, repeats: Arc::default() }, AuditWriter { stop, task })
    }

    /// Notes an event. Returns as soon as it has its place in the queue, which is at once unless the database is away.
    pub async fn record(&self, record: AuditRecord) {
        let now = clock::now_ms();
        let Some(repeated) = self.repeats.admit(&record, now) else { return };
        let event = record.event.as_str();
        let entry = record.into_entry(crate::random::uuid_v7(), now, repeated);
        let sent = self.queue.send_timeout(entry, PATIENCE).await;
        if sent.is_err() {
            tracing::error!(
                event = "audit_lost",
                lost = event,
                "an event could not be put into the audit log: its queue is full"
            );
        }
    }
}

impl AuditWriter {
    /// Writes what waits, and ends.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if self.task.await.is_err() {
            tracing::error!(event = "audit_panicked", "the writer of the audit log ended with a panic");
        }
    }
}

async fn write(store: DatabaseAuth, mut waiting: mpsc::Receiver<AuditEntry>, mut stopped: watch::Receiver<bool>) {
    let mut group = Vec::with_capacity(GROUP_MAX);
    loop {
        let mut is_last = tokio::select! {
            taken = waiting.recv_many(&mut group, GROUP_MAX) => taken == 0,
            () = stop_asked(&mut stopped) => {
                gather(&mut waiting, &mut group);
                true
            }
        };
        while let Err(error) = append(&store, &group).await {
            tracing::warn!(event = "audit_unwritten", %error, waiting = group.len(), "the audit log cannot be written; it is tried again");
            if is_last {
                tracing::error!(
                    event = "audit_lost",
                    lost = group.len(),
                    "events of the audit log are lost: the database is away"
                );
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY) => (),
                () = stop_asked(&mut stopped) => {
                    gather(&mut waiting, &mut group);
                    is_last = true;
                }
            }
        }
        group.clear();
        if is_last {
            return;
        }
    }
}

async fn stop_asked(stopped: &mut watch::Receiver<bool>) {
    drop(stopped.wait_for(|is_stopped| *is_stopped).await);
}

/// Takes everything that waits.
fn gather(waiting: &mut mpsc::Receiver<AuditEntry>, group: &mut Vec<AuditEntry>) {
    while group.len() < QUEUE_MAX
        && let Ok(entry) = waiting.try_recv()
    {
        group.push(entry);
    }
}

async fn append(store: &DatabaseAuth, group: &[AuditEntry]) -> StoreResult<()> {
    if group.is_empty() {
        return Ok(());
    }
    let (store, group) = (store.clone(), group.to_vec());
    let done = tokio::task::spawn_blocking(move || store.append_audit(&group)).await;
    done.unwrap_or_else(|_| Err(StoreError::Unavailable("writing the audit log was cut off".to_owned())))
}
