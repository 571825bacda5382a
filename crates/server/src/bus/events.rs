//! From the bus to its subscribers. A subscriber has a mailbox in which hints coalesce, so a slow one costs little and
//! delays nobody; one that is too slow even so hears that it has missed something.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use syncline_core::id::WorkspaceId;
use syncline_core::{Seq, TimestampMs};
use tokio::sync::Notify;
use uuid::Uuid;

use super::message::{BusEvent, ResumeCause, Revoked};

/// Age at which a revocation is no longer handed to a node that was away; 15 minutes. The database knows it for longer.
pub const REVOCATIONS_KEPT_MS: u64 = 15 * 60_000;
/// Revocations kept and waiting in one mailbox. Beyond: the oldest is forgotten, and a mailbox has lagged.
pub const REVOCATIONS_MAX: usize = 16_384;
/// Workspaces with a hint in one mailbox. Beyond: it has lagged.
pub const MAILBOX_HINTS_MAX: usize = 65_536;
/// Other events in one mailbox. Beyond: it has lagged.
pub const MAILBOX_EVENTS_MAX: usize = 8_192;

/// All subscribers of one node, and the revocations of the last [`REVOCATIONS_KEPT_MS`].
#[derive(Default)]
pub(super) struct Events {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    mailboxes: Vec<Weak<Mailbox>>,
    recent: VecDeque<Revoked>,
    recent_ids: HashSet<Uuid>,
}

#[derive(Default)]
struct Mailbox {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Default)]
struct Waiting {
    revocations: VecDeque<Revoked>,
    resumed: Option<ResumeCause>,
    events: VecDeque<BusEvent>,
    hints: BTreeMap<WorkspaceId, Seq>,
    mail: BTreeMap<WorkspaceId, u64>,
    is_closed: bool,
}

/// Hears everything from its beginning on, and first the revocations of the last [`REVOCATIONS_KEPT_MS`]. A node has one,
/// not one per socket.
pub struct Subscription {
    mailbox: Arc<Mailbox>,
}

impl Events {
    pub fn subscribe(&self) -> Subscription {
        let mailbox = Arc::new(Mailbox::default());
        let mut state = self.lock();
        mailbox.update(|waiting| waiting.revocations.extend(state.recent.iter().cloned()));
        state.mailboxes.push(Arc::downgrade(&mailbox));
        Subscription { mailbox }
    }

    /// Delivers anything but a revocation. O(subscribers).
    pub fn send(&self, event: BusEvent) {
        self.lock().each(|waiting| waiting.put(event.clone()));
    }

    /// Delivers a revocation, unless this node has had it. Returns whether it is new.
    pub fn revoked(&self, revoked: Revoked, now: TimestampMs) -> bool {
        let mut state = self.lock();
        if !state.remember(&revoked, now) {
            return false;
        }
        state.each(|waiting| waiting.put(BusEvent::Revoked(revoked.clone())));
        true
    }

    /// The revocations that are kept, oldest first.
    pub fn recent(&self) -> Vec<Revoked> {
        self.lock().recent.iter().cloned().collect()
    }

    /// Ends every subscription once its mailbox is empty.
    pub fn close(&self) {
        self.lock().each(|waiting| waiting.is_closed = true);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remember(&mut self, revoked: &Revoked, now: TimestampMs) -> bool {
        if !self.recent_ids.insert(revoked.id) {
            return false;
        }
        self.recent.push_back(revoked.clone());
        let is_old = |oldest: &Revoked| oldest.at_ms.saturating_add(REVOCATIONS_KEPT_MS) < now;
        while self.recent.len() > REVOCATIONS_MAX || self.recent.len() > 1 && self.recent.front().is_some_and(is_old) {
            if let Some(oldest) = self.recent.pop_front() {
                self.recent_ids.remove(&oldest.id);
            }
        }
        true
    }

    fn each(&mut self, update: impl Fn(&mut Waiting)) {
        self.mailboxes.retain(|mailbox| match mailbox.upgrade() {
            Some(mailbox) => {
                mailbox.update(&update);
                true
            }
            None => false,
        });
    }
}

impl Mailbox {
    fn update(&self, update: impl FnOnce(&mut Waiting)) {
        update(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        self.arrived.notify_one();
    }
}

impl Waiting {
    fn put(&mut self, event: BusEvent) {
        match event {
            BusEvent::Revoked(revoked) => self.revocations.push_back(revoked),
            BusEvent::Resumed(cause) => self.resumed = Some(cause),
            BusEvent::Hint { workspace_id, seq } => {
                let newest = self.hints.entry(workspace_id).or_insert(seq);
                *newest = seq.max(*newest);
            }
            BusEvent::Mail { workspace_id, head } => {
                let newest = self.mail.entry(workspace_id).or_insert(head);
                *newest = head.max(*newest);
            }
            other @ (BusEvent::Live { .. }
            | BusEvent::SyncNow(_)
            | BusEvent::Entered { .. }
            | BusEvent::Left { .. }
            | BusEvent::NodeJoined(_)
            | BusEvent::NodeLeft { .. }) => self.events.push_back(other),
        }
        let is_full =
            self.events.len() > MAILBOX_EVENTS_MAX || self.hints.len().max(self.mail.len()) > MAILBOX_HINTS_MAX;
        if is_full {
            self.events.clear();
            self.hints.clear();
            self.mail.clear();
        }
        while self.revocations.len() > REVOCATIONS_MAX {
            self.revocations.pop_front();
            self.resumed.get_or_insert(ResumeCause::Lagged);
        }
        if is_full {
            self.resumed.get_or_insert(ResumeCause::Lagged);
        }
    }

    /// What is urgent first.
    fn take(&mut self) -> Option<BusEvent> {
        let revoked = self.revocations.pop_front().map(BusEvent::Revoked);
        let resumed = revoked.or_else(|| self.resumed.take().map(BusEvent::Resumed));
        let event = resumed.or_else(|| self.events.pop_front());
        let hint = |hints: &mut BTreeMap<_, _>| {
            hints.pop_first().map(|(workspace_id, seq)| BusEvent::Hint { workspace_id, seq })
        };
        let event = event.or_else(|| hint(&mut self.hints));
        event.or_else(|| self.mail.pop_first().map(|(workspace_id, head)| BusEvent::Mail { workspace_id, head }))
    }
}

impl Subscription {
    /// The next event; `None` once the bus has been closed. May be cancelled without losing any.
    pub async fn next(&mut self) -> Option<BusEvent> {
        loop {
            {
                let mut waiting = self.mailbox.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(event) = waiting.take() {
                    return Some(event);
                }
                if waiting.is_closed {
                    return None;
                }
            }
            self.mailbox.arrived.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::{NodeId, Revocation};

    fn revoked(id: u128, at_ms: TimestampMs) -> Revoked {
        let revocation = Revocation::Access { user_id: None };
        Revoked { id: Uuid::from_u128(id), workspace_id: WorkspaceId::new("acme").unwrap(), at_ms, revocation }
    }

    #[tokio::test]
    async fn auth_3_a_revocation_overtakes_and_comes_once() {
        let events = Events::default();
        assert!(events.revoked(revoked(1, 10), 10));
        let mut subscription = events.subscribe();
        events.send(BusEvent::Hint { workspace_id: WorkspaceId::new("acme").unwrap(), seq: 3 });
        assert!(events.revoked(revoked(2, 11), 11));
        assert!(!events.revoked(revoked(2, 11), 12));
        events.close();
        let mut heard = Vec::new();
        while let Some(event) = subscription.next().await {
            heard.push(event);
        }
        let hint = BusEvent::Hint { workspace_id: WorkspaceId::new("acme").unwrap(), seq: 3 };
        assert_eq!(heard, [BusEvent::Revoked(revoked(1, 10)), BusEvent::Revoked(revoked(2, 11)), hint]);
    }

    #[tokio::test]
    async fn inv_10_a_full_mailbox_says_that_it_lost_something() {
        let events = Events::default();
        let mut subscription = events.subscribe();
        for _ in 0..=MAILBOX_EVENTS_MAX {
            events.send(BusEvent::NodeLeft { node_id: NodeId(Uuid::nil()) });
        }
        assert_eq!(subscription.next().await, Some(BusEvent::Resumed(ResumeCause::Lagged)));
        events.close();
        assert_eq!(subscription.next().await, None);
    }

    #[test]
    fn inv_10_old_revocations_are_forgotten() {
        let events = Events::default();
        events.revoked(revoked(1, 10), 10);
        events.revoked(revoked(2, 10 + REVOCATIONS_KEPT_MS), 11 + REVOCATIONS_KEPT_MS);
        assert_eq!(events.recent(), [revoked(2, 10 + REVOCATIONS_KEPT_MS)]);
        for id in 0..=REVOCATIONS_MAX as u128 {
            events.revoked(revoked(100 + id, 20 + REVOCATIONS_KEPT_MS), 20 + REVOCATIONS_KEPT_MS);
        }
        assert_eq!(events.recent().len(), REVOCATIONS_MAX);
    }
}
