//! The nodes that are alive, as this one knows them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::wire::Announcement;
use crate::bus::{BusEvent, NodeId, NodeInfo, ResumeCause};

/// Nodes of a deployment. More are not seen by this one.
pub(super) const NODES_MAX: usize = 1_000;

/// Changes return what subscribers are to hear of them.
pub(super) struct Registry {
    own: NodeId,
    ttl: Duration,
    state: Mutex<State>,
}

struct State {
    nodes: BTreeMap<NodeId, Announcement>,
    /// Since when Redis may know fewer nodes than there are: it was away, and they are about to announce themselves.
    resumed: Instant,
}

impl Registry {
    pub fn new(own: &Announcement, ttl: Duration, now: Instant) -> Self {
        let nodes = BTreeMap::from([(own.node.id, own.clone())]);
        Self { own: own.node.id, ttl, state: Mutex::new(State { nodes, resumed: now }) }
    }

    pub fn nodes(&self) -> Vec<NodeInfo> {
        self.with(|state| state.nodes.values().map(|announcement| announcement.node.clone()).collect())
    }

    /// The generation of a node that is alive.
    pub fn generation(&self, id: NodeId) -> Option<u64> {
        self.with(|state| state.nodes.get(&id).map(|announcement| announcement.generation))
    }

    /// Whether there may be nodes that are not in it.
    pub fn is_full(&self) -> bool {
        self.with(|state| state.nodes.len() >= NODES_MAX)
    }

    /// Redis is there again.
    pub fn resumed(&self, now: Instant) {
        self.with(|state| state.resumed = now);
    }

    /// A node has said that it is there.
    pub fn hello(&self, announcement: Announcement) -> Vec<BusEvent> {
        let mut events = Vec::new();
        self.with(|state| self.learn(&mut state.nodes, announcement, &mut events));
        events
    }

    pub fn bye(&self, id: NodeId) -> Vec<BusEvent> {
        let was_there = id != self.own && self.with(|state| state.nodes.remove(&id).is_some());
        was_there.then_some(BusEvent::NodeLeft { node_id: id }).into_iter().collect()
    }

    /// Compares with what is in Redis. A node that is not there is gone, unless Redis itself has only just come back and
    /// may have lost its memory: then the node has the time of its life to announce itself.
    pub fn compare(&self, alive: Vec<Announcement>, now: Instant) -> Vec<BusEvent> {
        self.with(|state| {
            let mut events = Vec::new();
            let alive_ids: BTreeSet<NodeId> = alive.iter().map(|announcement| announcement.node.id).collect();
            for announcement in alive {
                if self.learn(&mut state.nodes, announcement, &mut events) {
                    // Its greeting was missed and perhaps more.
                    events.push(BusEvent::Resumed(ResumeCause::Lagged));
                }
            }
            let may_be_missing = now.saturating_duration_since(state.resumed) < self.ttl;
            state.nodes.retain(|id, _| {
                let is_alive = *id == self.own || may_be_missing || alive_ids.contains(id);
                if !is_alive {
                    events.push(BusEvent::NodeLeft { node_id: *id });
                }
                is_alive
            });
            events
        })
    }

    /// Returns whether a node that was known has come back.
    fn learn(
        &self,
        nodes: &mut BTreeMap<NodeId, Announcement>,
        announcement: Announcement,
        events: &mut Vec<BusEvent>,
    ) -> bool {
        let id = announcement.node.id;
        let is_full = nodes.len() >= NODES_MAX;
        let has_returned = match nodes.get(&id) {
            Some(known) if known.generation >= announcement.generation || id == self.own => return false,
            Some(_) => {
                events.push(BusEvent::NodeLeft { node_id: id });
                true
            }
            None if is_full => return false,
            None => false,
        };
        events.push(BusEvent::NodeJoined(announcement.node.clone()));
        nodes.insert(id, announcement);
        has_returned
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::clock;

    fn announcement(id: u128, generation: u64) -> Announcement {
        let node = NodeInfo { id: NodeId(Uuid::from_u128(id)), address: "a:1".to_owned(), since_ms: 0 };
        Announcement { node, generation }
    }

    #[test]
    fn hub_8_a_node_that_redis_does_not_know_is_gone_unless_redis_forgot_it() {
        let (ttl, start) = (Duration::from_secs(15), clock::instant());
        let registry = Registry::new(&announcement(1, 0), ttl, start);
        let other = announcement(2, 0);
        assert_eq!(registry.compare(vec![other.clone()], start), [BusEvent::NodeJoined(other.node.clone())]);
        assert_eq!(registry.compare(vec![], start + ttl / 2), []);
        assert_eq!(registry.compare(vec![other.clone()], start + ttl * 9), []);
        registry.resumed(start + ttl * 10);
        assert_eq!(registry.compare(vec![], start + ttl * 10 + ttl / 2), []);
        let left = BusEvent::NodeLeft { node_id: other.node.id };
        assert_eq!(registry.compare(vec![], start + ttl * 11), [left]);
        assert_eq!(registry.nodes().len(), 1, "the own one stays");
    }

    #[test]
    fn hub_8_a_node_that_returns_brings_its_presence_anew() {
        let start = clock::instant();
        let registry = Registry::new(&announcement(1, 0), Duration::from_secs(15), start);
        let (old, new) = (announcement(2, 0), announcement(2, 1));
        registry.hello(old);
        let left = BusEvent::NodeLeft { node_id: new.node.id };
        assert_eq!(registry.hello(new.clone()), [left.clone(), BusEvent::NodeJoined(new.node.clone())]);
        assert_eq!(registry.hello(new.clone()), []);
        assert_eq!(registry.generation(new.node.id), Some(1));
        assert_eq!(registry.bye(new.node.id), [left]);
        assert_eq!(registry.bye(announcement(1, 0).node.id), []);
    }
}
