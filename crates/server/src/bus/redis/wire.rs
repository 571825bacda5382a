//! The form in which nodes write to each other. Nodes of neighbouring versions share a Redis during a deploy: members
//! are added, never changed, and what cannot be read is counted and left.

use serde::{Deserialize, Serialize};
use syncline_core::Seq;
use syncline_core::id::WorkspaceId;
use syncline_core::messages::Target;
use uuid::Uuid;

use crate::bus::{NodeId, NodeInfo, PresenceEntry, Revoked, SyncRequest};

/// Bytes of a message; 1 MiB. Longer ones are refused unread.
pub(super) const MESSAGE_BYTES_MAX: usize = 1 << 20;

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(super) struct Envelope {
    pub from: NodeId,
    pub body: Body,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Body {
    Hints(Vec<(WorkspaceId, Seq)>),
    Mail(Vec<(WorkspaceId, u64)>),
    Live {
        workspace_id: WorkspaceId,
        to: Target,
        frame: String,
    },
    SyncNow(SyncRequest),
    Revoked(Revoked),
    Presence(Vec<Change>),
    /// A node is there, or there again.
    Hello(Announcement),
    /// A node has left.
    Bye,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Change {
    Entered { workspace_id: WorkspaceId, entry: PresenceEntry },
    Left { workspace_id: WorkspaceId, connection_id: Uuid },
}

/// What a node says of itself.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub(super) struct Announcement {
    pub node: NodeInfo,
    /// Grows each time the node has found Redis again. Its presence of earlier generations no longer counts.
    pub generation: u64,
}

/// One connection in the hash of a workspace's presence.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(super) struct Kept {
    pub generation: u64,
    pub entry: PresenceEntry,
}

pub(super) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain structs with text keys always serialise")
}

/// `None`: too long, or nothing this version knows.
pub(super) fn from_json<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Option<T> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return None;
    }
    serde_json::from_slice(bytes).ok()
}

/// Names of keys and channels. What one script touches shares a hash tag, so that it works in a cluster.
pub(super) struct Keys {
    prefix: String,
    node: NodeId,
}

impl Keys {
    pub fn new(prefix: &str, node: NodeId) -> Self {
        Self { prefix: prefix.to_owned(), node }
    }
    pub fn channel(&self) -> String {
        format!("{}bus", self.prefix)
    }
    pub fn echo_channel(&self) -> String {
        format!("{}echo:{}", self.prefix, self.node)
    }
    pub fn alive(&self) -> String {
        format!("{}{{nodes}}:alive", self.prefix)
    }
    pub fn info(&self) -> String {
        format!("{}{{nodes}}:info", self.prefix)
    }
    pub fn revocations(&self) -> String {
        format!("{}revocations", self.prefix)
    }
    pub fn presence(&self, workspace_id: &WorkspaceId) -> String {
        format!("{}presence:{{{workspace_id}}}", self.prefix)
    }
    pub fn rate(&self, key: &str) -> String {
        format!("{}rate:{key}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::Revocation;

    #[test]
    fn hub_8_messages_keep_their_form() {
        let from = NodeId(Uuid::from_u128(7));
        let workspace_id = WorkspaceId::new("acme").unwrap();
        let revocation = Revocation::SignIns { sids: vec![Uuid::from_u128(2)], until_ms: 9 };
        let revoked = Revoked { id: Uuid::from_u128(1), workspace_id: workspace_id.clone(), at_ms: 5, revocation };
        let table = [
            (Body::Hints(vec![(workspace_id, 3)]), r#"{"hints":[["acme",3]]}"#),
            (
                Body::Revoked(revoked),
                r#"{"revoked":{"id":"00000000-0000-0000-0000-000000000001","workspace_id":"acme","at_ms":5,"kind":"sign_ins","sids":["00000000-0000-0000-0000-000000000002"],"until_ms":9}}"#,
            ),
            (Body::Bye, r#""bye""#),
        ];
        for (body, expected) in table {
            let envelope = Envelope { from, body };
            let text = to_json(&envelope);
            assert_eq!(text, format!(r#"{{"from":"00000000-0000-0000-0000-000000000007","body":{expected}}}"#));
            assert_eq!(from_json::<Envelope>(text.as_bytes()), Some(envelope));
        }
        assert_eq!(from_json::<Envelope>(b"{\"from\":1}"), None);
        assert_eq!(from_json::<u8>(&vec![b' '; MESSAGE_BYTES_MAX + 1]), None);
    }
}
