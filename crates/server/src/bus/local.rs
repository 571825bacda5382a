//! The bus without Redis: nodes of one process, usually one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use syncline_core::Seq;
use syncline_core::id::WorkspaceId;
use syncline_core::messages::Target;

use super::message::{BusEvent, NodeId, NodeInfo, PresenceEntry, Revoked, SyncRequest};
use super::node::Node;
use super::rate::{NodeRates, RateDecision, RatePolicy};
use super::{BusError, BusHealth, PRESENCE_ROLL_MAX, Reach, Roll};
use crate::clock;

/// Where the nodes of one process meet. Tests put several nodes on one exchange; a server has one to itself.
#[derive(Clone, Default)]
pub struct Exchange {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    nodes: Mutex<BTreeMap<NodeId, Weak<Node>>>,
    rates: NodeRates,
}

pub(super) struct LocalBus {
    node: Arc<Node>,
    exchange: Exchange,
}

impl LocalBus {
    pub fn join(exchange: &Exchange, info: NodeInfo) -> Self {
        let node = Arc::new(Node::new(info.clone(), BusHealth::Connected));
        node.roster.tell_all();
        let others = exchange.nodes();
        let now = clock::now_ms();
        for revoked in others.iter().flat_map(|other| other.events.recent()) {
            node.events.revoked(revoked, now);
        }
        exchange.lock().insert(info.id, Arc::downgrade(&node));
        for other in others {
            other.events.send(BusEvent::NodeJoined(info.clone()));
        }
        Self { node, exchange: exchange.clone() }
    }

    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    pub fn hint(&self, workspace_id: &WorkspaceId, seq: Seq) {
        for other in self.others() {
            self.node.counters.hints_sent.add(1);
            other.events.send(BusEvent::Hint { workspace_id: workspace_id.clone(), seq });
        }
    }

    pub fn mail(&self, workspace_id: &WorkspaceId, head: u64) {
        for other in self.others() {
            other.events.send(BusEvent::Mail { workspace_id: workspace_id.clone(), head });
        }
    }

    pub fn live(&self, workspace_id: &WorkspaceId, to: &Target, frame: &str) {
        for other in self.others() {
            let (to, frame) = (to.clone(), frame.to_owned());
            other.events.send(BusEvent::Live { workspace_id: workspace_id.clone(), to, frame });
        }
    }

    pub fn sync_now(&self, request: &SyncRequest) {
        for other in self.others() {
            other.events.send(BusEvent::SyncNow(request.clone()));
        }
    }

    pub fn revoke(&self, revoked: &Revoked) {
        for node in self.exchange.nodes() {
            node.events.revoked(revoked.clone(), revoked.at_ms);
        }
    }

    pub fn enter(&self, workspace_id: &WorkspaceId, entry: PresenceEntry) -> Result<(), BusError> {
        self.node.roster.enter(workspace_id, entry)?;
        self.tell();
        Ok(())
    }

    pub fn leave(&self, workspace_id: &WorkspaceId, connection_id: uuid::Uuid) {
        self.node.roster.leave(workspace_id, connection_id);
        self.tell();
    }

    fn tell(&self) {
        for ((workspace_id, connection_id), entry) in self.node.roster.take_unsent(usize::MAX) {
            let left =
                || BusEvent::Left { workspace_id: workspace_id.clone(), node_id: self.node.info.id, connection_id };
            let event =
                entry.map_or_else(left, |entry| BusEvent::Entered { workspace_id: workspace_id.clone(), entry });
            for other in self.others() {
                other.events.send(event.clone());
            }
        }
    }

    pub fn presence(&self, workspace_id: &WorkspaceId) -> Roll {
        let nodes = self.exchange.nodes();
        let mut entries: Vec<_> = nodes.iter().flat_map(|node| node.roster.list(workspace_id)).collect();
        let is_complete = entries.len() <= PRESENCE_ROLL_MAX;
        entries.truncate(PRESENCE_ROLL_MAX);
        Roll { entries, is_complete, reach: Reach::Deployment }
    }

    pub fn take(&self, key: &str, policy: RatePolicy, cost: u32) -> RateDecision {
        RateDecision { reach: Reach::Deployment, ..self.exchange.shared.rates.take(key, policy, cost) }
    }

    pub fn nodes(&self) -> Vec<NodeInfo> {
        self.exchange.nodes().iter().map(|node| node.info.clone()).collect()
    }

    pub fn close(&self) {
        let is_there = self.exchange.lock().remove(&self.node.info.id).is_some();
        if is_there {
            for other in self.exchange.nodes() {
                other.events.send(BusEvent::NodeLeft { node_id: self.node.info.id });
            }
        }
        self.node.events.close();
    }

    fn others(&self) -> impl Iterator<Item = Arc<Node>> {
        let own = self.node.info.id;
        self.exchange.nodes().into_iter().filter(move |node| node.info.id != own)
    }
}

impl Drop for LocalBus {
    fn drop(&mut self) {
        self.close();
    }
}

impl Exchange {
    fn nodes(&self) -> Vec<Arc<Node>> {
        self.lock().values().filter_map(Weak::upgrade).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<NodeId, Weak<Node>>> {
        self.shared.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
