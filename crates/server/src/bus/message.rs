//! What travels over the bus and what a node hears from it.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use syncline_core::id::{ClientId, DeviceId, UserId, WorkspaceId};
use syncline_core::messages::Target;
use syncline_core::principal::DeploymentMode;
use syncline_core::{Name, Seq, TimestampMs};
use uuid::Uuid;

/// One run of one node: a node that starts again is another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub Uuid);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({})", self.0)
    }
}

/// A node as the others know it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NodeInfo {
    pub id: NodeId,
    /// `host:port` for people and for other nodes; at most 255 bytes.
    pub address: String,
    /// When it started, by its own clock.
    pub since_ms: TimestampMs,
}

/// What must reach every open socket within five seconds (requirement AUTH-3). Each can be applied any number of times
/// and in any order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Revocation {
    /// A device is cut off for good: `Revocations::add_device`, then `Hub::revoke_device`.
    Device { device_id: DeviceId },
    /// Sign-ins have ended; `until_ms`: when the last of their tokens expires.
    SignIns { sids: Vec<Uuid>, until_ms: TimestampMs },
    /// An API key is refused from now on.
    ApiKey { key_id: Uuid },
    /// What a member may do has changed: sessions read their grants again. Without a user: everybody's.
    Access { user_id: Option<UserId> },
}

/// A revocation in its envelope.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Revoked {
    /// By which a node knows that it has had it.
    pub id: Uuid,
    pub workspace_id: WorkspaceId,
    /// When it was published, by its node's clock.
    pub at_ms: TimestampMs,
    #[serde(flatten)]
    pub revocation: Revocation,
}

/// Bytes of [`PresenceEntry::viewing`]. Longer ones are left out.
pub const VIEWING_BYTES_MAX: usize = 256;

/// A connection that is open somewhere in the deployment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PresenceEntry {
    pub connection_id: Uuid,
    /// `None`: of a node of an older version.
    #[serde(default)]
    pub client_id: Option<ClientId>,
    pub user_id: UserId,
    pub device_id: DeviceId,
    pub deployment_mode: DeploymentMode,
    /// Where it is connected. [`super::Bus::enter`] puts its own node here.
    pub node_id: NodeId,
    pub since_ms: TimestampMs,
    /// What the person looks at, as the caller names it, for instance `contacts/<record id>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub viewing: Option<SmolStr>,
    /// Whether the person is about to change it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_editing: bool,
    /// When the person began to look at it.
    #[serde(default)]
    pub viewing_since_ms: TimestampMs,
}

/// Which sessions are to bring what into step now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SyncRequest {
    pub workspace_id: WorkspaceId,
    pub user_id: UserId,
    /// `None`: of every mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_mode: Option<DeploymentMode>,
    pub entities: BTreeSet<Name>,
}

/// What a node hears.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BusEvent {
    /// Another node committed up to `seq`, at least. Hints may be lost, repeated and late.
    Hint {
        workspace_id: WorkspaceId,
        seq: Seq,
    },
    /// Another node stored messages, or what became of them, up to this number, at least. As hints.
    Mail {
        workspace_id: WorkspaceId,
        head: u64,
    },
    /// A message that is not stored, from another node, as its frame's JSON. May be lost.
    Live {
        workspace_id: WorkspaceId,
        to: Target,
        frame: String,
    },
    /// A user's devices are to bring something into step now; asked for at another node. May be lost.
    SyncNow(SyncRequest),
    /// From any node, also the own one; each once.
    Revoked(Revoked),
    /// Somebody connected to another node, or looks at something else there.
    Entered {
        workspace_id: WorkspaceId,
        entry: PresenceEntry,
    },
    /// A connection of another node ended.
    Left {
        workspace_id: WorkspaceId,
        node_id: NodeId,
        connection_id: Uuid,
    },
    NodeJoined(NodeInfo),
    /// A node is gone and all its presence with it.
    NodeLeft {
        node_id: NodeId,
    },
    /// Something may have been missed: look at the heads of the logs and the revocations of the database once, and list
    /// presence again.
    Resumed(ResumeCause),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResumeCause {
    /// Redis is back. Revocations of the last [`super::REVOCATIONS_KEPT_MS`] have been delivered; after a longer absence
    /// only the database knows the others.
    Reconnected { away_ms: u64 },
    /// This subscriber was too slow for its queue.
    Lagged,
}

/// Whether the nodes hear each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BusHealth {
    Connected,
    /// Redis is away; this node works for itself. `reason` holds neither password nor user name.
    Degraded {
        since_ms: TimestampMs,
        attempts: u64,
        reason: String,
    },
}

impl BusHealth {
    pub fn is_connected(&self) -> bool {
        matches!(self, Self::Connected)
    }
}

/// How far an answer reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// All nodes.
    Deployment,
    /// Redis is away: this node only. What must reach the others is sent when Redis is back.
    Degraded,
}
