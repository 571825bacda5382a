//! Messages that are not stored: to who is connected, here and on the other nodes (spec MSG-9).

use std::collections::BTreeSet;

use syncline_core::id::WorkspaceId;
use syncline_core::messages::{Message, NewMessage, Priority, Target};
use syncline_core::protocol::ServerFrame;

use super::Router;
use crate::hub::{Among, Encoded, SessionInfo};
use crate::observe::{RoutingStep, Status};

impl Router {
    /// Hands a message to who is connected. Returns how many connections of this node got it.
    pub async fn deliver_live(&self, workspace_id: &WorkspaceId, message: NewMessage) -> usize {
        let NewMessage { id, from, message_type, to, priority, payload, sent_ms, expires_ms } = message;
        let payload = serde_json::from_str(&payload).unwrap_or_default();
        let frame = ServerFrame::Msg(Message {
            id,
            message_type,
            from,
            to: to.clone(),
            priority,
            payload,
            sent_ms,
            expires_ms,
        });
        let encoded = Encoded::new(&frame);
        let count = self.deliver_here(workspace_id, &to, (&frame, &encoded)).await;
        self.count(RoutingStep::Delivered, Some(priority), Status::Ok, count as u64);
        self.bus.live(workspace_id, &to, encoded.as_text()).await;
        count
    }

    /// The same, on the word of another node.
    pub async fn deliver_relayed(&self, workspace_id: &WorkspaceId, to: &Target, frame: &str) {
        if !self.hub.has_sessions(workspace_id) {
            return;
        }
        match serde_json::from_str::<ServerFrame>(frame) {
            Ok(frame) => drop(self.deliver_here(workspace_id, to, (&frame, &Encoded::new(&frame))).await),
            Err(error) => tracing::warn!(event = "relay_unread", %error, "a message of another node could not be read"),
        }
    }

    async fn deliver_here(
        &self,
        workspace_id: &WorkspaceId,
        to: &Target,
        (frame, encoded): (&ServerFrame, &Encoded),
    ) -> usize {
        let ServerFrame::Msg(message) = frame else { return 0 };
        let hub = self.hub.workspace(workspace_id);
        if let Target::Topic(topic) = to {
            return hub.publish_topic(topic.as_str(), encoded).await;
        }
        let is_urgent = message.priority == Priority::Critical;
        let from = message.from.device_id;
        let is_meant = |session: &SessionInfo| match to {
            Target::User(user) => session.user_id == *user && session.device_id != from,
            Target::Device(device) => session.device_id == *device,
            Target::Mode(mode) => session.deployment_mode == *mode && session.device_id != from,
            Target::Workspace(_) => session.device_id != from,
            Target::Topic(_) => false,
        };
        let named;
        let these = match to {
            Target::User(user) => Among::User(*user),
            Target::Device(device) => {
                named = BTreeSet::from([*device]);
                Among::Devices(&named)
            }
            Target::Mode(_) | Target::Workspace(_) | Target::Topic(_) => Among::All,
        };
        hub.send_message(encoded, is_urgent, these, is_meant)
    }
}
