//! The router's thread: takes what waits, and writes it in one transaction for each workspace.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use syncline_core::id::{DeviceId, MessageId, WorkspaceId};
use syncline_core::messages::{NewMessage, Priority, Target};
use syncline_core::storage::{StoreError, StoreResult};
use syncline_storage::DatabaseMessages;
use syncline_storage::messages::{MessageGroup, MessageLimits, SendOutcome};
use tokio::sync::{mpsc, oneshot};

use super::Router;
use crate::bus::Bus;
use crate::clock;
use crate::hub::Hub;
use crate::observe::{Metrics, RoutingLabels, RoutingStep, Status};

/// Weight of one group commit: a message or acknowledgement counts 1, a message for many devices [`WIDE_WEIGHT`]. What comes
/// beyond waits for the next.
const GROUP_WEIGHT_MAX: usize = 1_024;
const WIDE_WEIGHT: usize = 128;

pub(super) enum Job {
    Send {
        workspace_id: WorkspaceId,
        messages: Vec<NewMessage>,
        reply: oneshot::Sender<StoreResult<Vec<SendOutcome>>>,
    },
    Acknowledge {
        workspace_id: WorkspaceId,
        device_id: DeviceId,
        ids: Vec<MessageId>,
        reply: oneshot::Sender<StoreResult<()>>,
    },
    Delivered {
        workspace_id: WorkspaceId,
        device_id: DeviceId,
        ids: Vec<MessageId>,
    },
    Stop,
}

/// What the thread works with.
pub(super) struct Lane {
    store: DatabaseMessages,
    limits: MessageLimits,
    hub: Arc<Hub>,
    bus: Bus,
    metrics: Arc<Metrics>,
}

/// Everything of one workspace in a round.
#[derive(Default)]
struct Batch {
    group: MessageGroup,
    ids: HashSet<MessageId>,
    /// Who waits for how many outcomes.
    sends: Vec<(usize, oneshot::Sender<StoreResult<Vec<SendOutcome>>>)>,
    acknowledged: Vec<oneshot::Sender<StoreResult<()>>>,
}

impl Lane {
    pub(super) fn of(router: &Router) -> Self {
        Self {
            store: router.store.clone(),
            limits: router.config.limits(),
            hub: Arc::clone(&router.hub),
            bus: router.bus.clone(),
            metrics: Arc::clone(&router.metrics),
        }
    }

    pub(super) fn run(self, mut queue: mpsc::Receiver<Job>) {
        let mut next = queue.blocking_recv();
        while let Some(first) = next.take() {
            let (batches, held, is_last) = self.drain(first, &mut queue);
            for (workspace_id, batch) in batches {
                self.commit(&workspace_id, batch);
            }
            if is_last {
                return;
            }
            next = held.or_else(|| queue.blocking_recv());
        }
    }

    /// Takes what waits, up to the weight of a group. A message under an id that is in the group already waits for the next.
    fn drain(&self, first: Job, queue: &mut mpsc::Receiver<Job>) -> (Vec<(WorkspaceId, Batch)>, Option<Job>, bool) {
        let (mut batches, mut weight, mut next): (Vec<(WorkspaceId, Batch)>, usize, _) = (Vec::new(), 0, Some(first));
        while let Some(job) = next.take() {
            let Some(workspace_id) = job.workspace_id().cloned() else { return (batches, None, true) };
            let known = batches.iter().position(|(id, _)| *id == workspace_id);
            let index = known.unwrap_or_else(|| {
                batches.push((workspace_id, Batch::default()));
                batches.len() - 1
            });
            let batch = &mut batches[index].1;
            if job.repeats(&batch.ids) {
                return (batches, Some(job), false);
            }
            self.metrics.messages.queue_depth.dec();
            weight += batch.take(job);
            next = if weight < GROUP_WEIGHT_MAX { queue.try_recv().ok() } else { None };
        }
        (batches, None, false)
    }

    fn commit(&self, workspace_id: &WorkspaceId, mut batch: Batch) {
        batch.group.now = clock::now_ms();
        batch.group.limits = self.limits;
        // A bug in one commit must not end the router: its senders are told to try again.
        let committed = std::panic::catch_unwind(AssertUnwindSafe(|| self.store.commit(workspace_id, &batch.group)));
        let committed =
            committed.unwrap_or_else(|_| Err(StoreError::Unavailable("committing messages panicked".to_owned())));
        match committed {
            Ok(outcome) => {
                for (message, sent) in batch.group.sends.iter().zip(&outcome.sends) {
                    self.count(message.priority, *sent);
                }
                let mut outcomes = outcome.sends.into_iter();
                for (count, reply) in batch.sends {
                    // Whoever asked may be gone; the messages are stored.
                    drop(reply.send(Ok(outcomes.by_ref().take(count).collect())));
                }
                batch.acknowledged.into_iter().for_each(|reply| drop(reply.send(Ok(()))));
                if !outcome.concerned.is_empty() {
                    self.hub.mail(workspace_id, Some(&outcome.concerned));
                    self.bus.mail(workspace_id, outcome.head);
                }
            }
            Err(error) => {
                tracing::warn!(event = "messages_unstored", %workspace_id, %error, "messages could not be stored");
                let again = || StoreError::Unavailable("the messages could not be stored".to_owned());
                batch.sends.into_iter().for_each(|(_, reply)| drop(reply.send(Err(again()))));
                batch.acknowledged.into_iter().for_each(|reply| drop(reply.send(Err(again()))));
            }
        }
    }

    fn count(&self, priority: Priority, sent: SendOutcome) {
        let status = match sent {
            SendOutcome::Stored { .. } => Status::Ok,
            SendOutcome::IdTaken
            | SendOutcome::TooManyDevices
            | SendOutcome::Full
            | SendOutcome::SenderFull
            | SendOutcome::TooOften { .. }
            | SendOutcome::NoDevice => Status::Refused,
        };
        let labels = RoutingLabels { step: RoutingStep::Stored, priority: priority.as_str(), status };
        self.metrics.count_messages(labels, 1);
    }
}

impl Job {
    fn workspace_id(&self) -> Option<&WorkspaceId> {
        match self {
            Self::Send { workspace_id, .. }
            | Self::Acknowledge { workspace_id, .. }
            | Self::Delivered { workspace_id, .. } => Some(workspace_id),
            Self::Stop => None,
        }
    }

    fn repeats(&self, ids: &HashSet<MessageId>) -> bool {
        match self {
            Self::Send { messages, .. } => messages.iter().any(|message| ids.contains(&message.id)),
            Self::Acknowledge { .. } | Self::Delivered { .. } | Self::Stop => false,
        }
    }
}

impl Batch {
    /// Takes a job in; returns its weight.
    fn take(&mut self, job: Job) -> usize {
        match job {
            Job::Send { messages, reply, .. } => {
                let weight = messages.iter().map(|message| match message.to {
                    Target::User(_) | Target::Device(_) => 1,
                    Target::Mode(_) | Target::Topic(_) | Target::Workspace(_) => WIDE_WEIGHT,
                });
                let weight = weight.sum();
                self.sends.push((messages.len(), reply));
                self.ids.extend(messages.iter().map(|message| message.id));
                self.group.sends.extend(messages);
                weight
            }
            Job::Acknowledge { device_id, ids, reply, .. } => {
                let count = ids.len();
                self.acknowledged.push(reply);
                self.group.acknowledged.extend(ids.into_iter().map(|id| (device_id, id)));
                count
            }
            Job::Delivered { device_id, ids, .. } => {
                let count = ids.len();
                self.group.delivered.extend(ids.into_iter().map(|id| (device_id, id)));
                count
            }
            Job::Stop => 0,
        }
    }
}
