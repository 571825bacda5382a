//! The bus: what travels between the nodes of one deployment. In process for one node, Redis for several.
//!
//! Nothing on it is the truth (design D11). Data lies in the database; a hint says that there is some, and a lost one
//! costs latency only. While Redis is away every call answers at once from this node alone and says so
//! ([`Reach::Degraded`]); when it is back the node announces itself and its presence again, hands over the revocations
//! it could not publish, reads those it missed, and tells its subscribers [`BusEvent::Resumed`].
//!
//! **Revocations and the database.** Who revokes writes to the database first, then calls [`Bus::revoke`]; every node,
//! the own one too, gets [`BusEvent::Revoked`] once and applies it to its memory and its sockets. It is published at once
//! and kept for [`REVOCATIONS_KEPT_MS`], so that a node that was cut off finds it. The server polls the
//! database beside that: with Redis away for longer than five seconds, that poll is what keeps the promise of AUTH-3.
//!
//! **Sessions.** Which connection is whose, in what deployment mode, and on which node is presence: minted with the
//! connection, in Redis with the life of its node, and what the console shows. Nothing else of a session is shared, since a
//! client resumes on any node from its cursors (HUB-2, HUB-8).
//!
//! **Start reading at** [`Bus`], then `redis/mod.rs`.

mod events;
mod local;
mod message;
mod node;
mod rate;
mod redis;
mod roster;

use std::fmt;
use std::sync::Arc;

pub use events::{MAILBOX_EVENTS_MAX, MAILBOX_HINTS_MAX, REVOCATIONS_KEPT_MS, REVOCATIONS_MAX, Subscription};
pub use local::Exchange;
pub use message::{
    BusEvent, BusHealth, NodeId, NodeInfo, PresenceEntry, Reach, ResumeCause, Revocation, Revoked, SyncRequest,
    VIEWING_BYTES_MAX,
};
pub use rate::{RATE_KEYS_MAX, RateDecision, RatePolicy};
pub use roster::PRESENCE_NODE_MAX;
use syncline_core::Seq;
use syncline_core::id::WorkspaceId;
use syncline_core::messages::Target;
use uuid::Uuid;

use crate::config::BusConfig;
use crate::{clock, random};
use local::LocalBus;
use node::Node;
use redis::{Addresses, RedisBus};

/// A node's place on the bus; a clone is the same place. When the last clone is gone without [`Bus::close`], the other
/// nodes take this one for dead: at once within a process, after `node_ttl_ms` with Redis.
#[derive(Clone)]
pub struct Bus {
    backend: Backend,
}

#[derive(Clone)]
enum Backend {
    Local(Arc<LocalBus>),
    Redis(Arc<RedisBus>),
}

/// Who is connected to a workspace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Roll {
    /// In no order.
    pub entries: Vec<PresenceEntry>,
    /// Whether nobody was left out for their number ([`PRESENCE_ROLL_MAX`]).
    pub is_complete: bool,
    /// `Degraded`: only those of this node.
    pub reach: Reach,
}

/// Entries of one roll. More are left out.
pub const PRESENCE_ROLL_MAX: usize = 10_000;

/// What the metrics of a node show of its bus; each number only grows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BusStats {
    /// Hints that went out.
    pub hints_sent: u64,
    /// Hints that a newer one of their workspace replaced before they went out.
    pub hints_coalesced: u64,
    /// Hints that nobody was sent: too many workspaces waited for Redis.
    pub hints_dropped: u64,
    pub messages_received: u64,
    /// Messages that could not be read, for instance of a newer version.
    pub messages_refused: u64,
    /// Calls that this node answered for itself because Redis did not.
    pub fallbacks: u64,
    /// Times that Redis was lost.
    pub outages: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum BusError {
    #[error("the setting bus.redis_url is not the address of a Redis: {reason}")]
    Address { reason: String },
    #[error("this node already has {PRESENCE_NODE_MAX} connections in presence")]
    PresenceFull,
}

/// Whether what the configuration names as the address of Redis is one, or it names none.
pub fn is_address(config: &BusConfig) -> bool {
    Addresses::parse(config).is_ok()
}

impl Bus {
    /// The bus that `config` asks for. `address`: where this node listens, unless the configuration names another one.
    ///
    /// With Redis it waits for the first attempt to connect, at most `connect_ms`; should that fail, the bus begins
    /// degraded and goes on trying. Err: the address of Redis is none.
    pub async fn start(config: &BusConfig, address: &str) -> Result<Self, BusError> {
        let address = config.node_address.as_deref().unwrap_or(address);
        let backend = match Addresses::parse(config)? {
            Some(addresses) => Backend::Redis(Arc::new(RedisBus::start(config, addresses, new_node(address)).await)),
            None => return Ok(Self::join(&Exchange::default(), address)),
        };
        Ok(Self { backend })
    }

    /// A node on an exchange within this process.
    pub fn join(exchange: &Exchange, address: &str) -> Self {
        Self { backend: Backend::Local(Arc::new(LocalBus::join(exchange, new_node(address)))) }
    }

    pub fn node(&self) -> &NodeInfo {
        &self.own().info
    }

    /// Hears everything from now on. One per node: the server spreads it to its sockets.
    pub fn subscribe(&self) -> Subscription {
        self.own().events.subscribe()
    }

    pub fn health(&self) -> BusHealth {
        self.own().health.borrow().clone()
    }

    /// Completes when the health is another than `seen`, and returns it.
    pub async fn health_other_than(&self, seen: &BusHealth) -> BusHealth {
        let mut health = self.own().health.subscribe();
        let changed = health.wait_for(|health| health != seen).await;
        changed.map_or_else(|_| seen.clone(), |health| health.clone())
    }

    /// Tells the other nodes that a workspace has reached `seq`. Never waits; O(1).
    pub fn hint(&self, workspace_id: &WorkspaceId, seq: Seq) {
        match &self.backend {
            Backend::Local(local) => local.hint(workspace_id, seq),
            Backend::Redis(redis) => redis.hint(workspace_id, seq),
        }
    }

    /// Tells the other nodes that a workspace's messages have reached the number `head`. Never waits; O(1).
    pub fn mail(&self, workspace_id: &WorkspaceId, head: u64) {
        match &self.backend {
            Backend::Local(local) => local.mail(workspace_id, head),
            Backend::Redis(redis) => redis.mail(workspace_id, head),
        }
    }

    /// Hands a message that is not stored to the other nodes. `Degraded`: they do not get it. Waits at most `command_ms`.
    pub async fn live(&self, workspace_id: &WorkspaceId, to: &Target, frame: &str) -> Reach {
        match &self.backend {
            Backend::Local(local) => {
                local.live(workspace_id, to, frame);
                Reach::Deployment
            }
            Backend::Redis(redis) => redis.live(workspace_id, to, frame.to_owned()).await,
        }
    }

    /// Asks the sessions of other nodes to bring something into step. `Degraded`: they are not asked. Waits at most
    /// `command_ms`.
    pub async fn sync_now(&self, request: SyncRequest) -> Reach {
        match &self.backend {
            Backend::Local(local) => {
                local.sync_now(&request);
                Reach::Deployment
            }
            Backend::Redis(redis) => redis.sync_now(request).await,
        }
    }

    /// Delivers a revocation to every node; this one has it when the call returns. The database comes first.
    ///
    /// `Degraded`: the others get it when Redis is back, within [`REVOCATIONS_KEPT_MS`]. Waits at most `command_ms`.
    pub async fn revoke(&self, workspace_id: &WorkspaceId, revocation: Revocation) -> Reach {
        let (id, at_ms) = (random::uuid_v7(), clock::now_ms());
        let revoked = Revoked { id, workspace_id: workspace_id.clone(), at_ms, revocation };
        match &self.backend {
            Backend::Local(local) => {
                local.revoke(&revoked);
                Reach::Deployment
            }
            Backend::Redis(redis) => redis.revoke(revoked).await,
        }
    }

    /// Adds a connection of this node to presence, or changes it. Never waits; the others hear of it soon.
    pub fn enter(&self, workspace_id: &WorkspaceId, mut entry: PresenceEntry) -> Result<(), BusError> {
        entry.node_id = self.node().id;
        entry.viewing = entry.viewing.filter(|viewing| viewing.len() <= VIEWING_BYTES_MAX);
        match &self.backend {
            Backend::Local(local) => local.enter(workspace_id, entry),
            Backend::Redis(redis) => redis.enter(workspace_id, entry),
        }
    }

    /// Takes a connection of this node out of presence. Never waits.
    pub fn leave(&self, workspace_id: &WorkspaceId, connection_id: Uuid) {
        match &self.backend {
            Backend::Local(local) => local.leave(workspace_id, connection_id),
            Backend::Redis(redis) => redis.leave(workspace_id, connection_id),
        }
    }

    /// Who is connected to a workspace, on all nodes. A node that was killed counts until `node_ttl_ms` and two
    /// heartbeats after its last sign of life. Waits at most `command_ms`.
    pub async fn presence(&self, workspace_id: &WorkspaceId) -> Roll {
        match &self.backend {
            Backend::Local(local) => local.presence(workspace_id),
            Backend::Redis(redis) => redis.presence(workspace_id).await,
        }
    }

    /// Takes `cost` units from the allowance of `key`, or says when they will be there. Counted for the deployment;
    /// with Redis away for this node alone. Waits at most `command_ms`.
    pub async fn take(&self, key: &str, policy: RatePolicy, cost: u32) -> RateDecision {
        match &self.backend {
            Backend::Local(local) => local.take(key, policy, cost),
            Backend::Redis(redis) => redis.take(key, policy, cost).await,
        }
    }

    /// The nodes that are alive, this one among them; with Redis as of the last heartbeat. Does not wait.
    pub fn nodes(&self) -> Vec<NodeInfo> {
        match &self.backend {
            Backend::Local(local) => local.nodes(),
            Backend::Redis(redis) => redis.nodes(),
        }
    }

    pub fn stats(&self) -> BusStats {
        let counters = &self.own().counters;
        BusStats {
            hints_sent: counters.hints_sent.get(),
            hints_coalesced: counters.hints_coalesced.get(),
            hints_dropped: counters.hints_dropped.get(),
            messages_received: counters.messages_received.get(),
            messages_refused: counters.messages_refused.get(),
            fallbacks: counters.fallbacks.get(),
            outages: counters.outages.get(),
        }
    }

    /// Says goodbye: the others hear at once that this node and its presence are gone. Waits at most `command_ms`.
    pub async fn close(&self) {
        match &self.backend {
            Backend::Local(local) => local.close(),
            Backend::Redis(redis) => redis.close().await,
        }
    }

    fn own(&self) -> &Arc<Node> {
        match &self.backend {
            Backend::Local(local) => local.node(),
            Backend::Redis(redis) => redis.node(),
        }
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus").field("node", self.node()).field("health", &self.health()).finish()
    }
}

fn new_node(address: &str) -> NodeInfo {
    let address = address.chars().take(255).collect();
    NodeInfo { id: NodeId(random::uuid_v7()), address, since_ms: clock::now_ms() }
}
