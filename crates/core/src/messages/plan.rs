//! Who may send what to whom: decided here, from what is known, without asking anybody (spec MSG-2).

use std::collections::BTreeSet;

use super::{MessageTypes, NewMessage, Origin, Persistence, Priority, Reach, Target};
use crate::id::{MessageId, UserId};
use crate::protocol::Code;
use crate::{Name, TimestampMs, Value};

/// A message as its author wrote it.
#[derive(Clone, PartialEq, Debug)]
pub struct Draft {
    pub id: MessageId,
    pub message_type: Name,
    pub to: Target,
    /// An object.
    pub payload: Value,
    pub priority: Option<Priority>,
    pub ttl_ms: Option<u64>,
}

/// Who sends, with what is known of them and of the target at this moment.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    pub from: Origin,
    /// Rank of their role.
    pub rank: u8,
    /// Whether they see the whole workspace; then every type reaches all of it.
    pub sees_all: bool,
    /// The people of their teams.
    pub team_mates: &'a BTreeSet<UserId>,
}

/// What is to be done with a message.
#[derive(Clone, PartialEq, Debug)]
pub enum SendPlan {
    /// Store it, then deliver it.
    Store(NewMessage),
    /// Hand it to who is connected.
    Deliver(NewMessage),
    Refuse(Refusal),
}

/// Why a message is not sent, and what the sender can do about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub code: Code,
    pub field: &'static str,
    pub message: String,
}

fn refuse(code: Code, field: &'static str, message: impl Into<String>) -> SendPlan {
    SendPlan::Refuse(Refusal { code, field, message: message.into() })
}

/// Decides about one message. `recipient`: the active member a `user` or `device` target leads to; `None` when there is
/// none, and for wider targets. Somebody out of reach and somebody who does not exist are refused alike (spec PRM-2).
pub fn plan_send(
    types: &MessageTypes,
    sender: Sender<'_>,
    recipient: Option<UserId>,
    draft: Draft,
    now: TimestampMs,
) -> SendPlan {
    let Some(kind) = types.get(&draft.message_type) else {
        let known: Vec<&str> = types.iter().map(|(name, _)| name.as_str()).collect();
        let text = format!("There is no message type `{}`; there are: {}.", draft.message_type, known.join(", "));
        return refuse(Code::Validation, "message_type", text);
    };
    let name = &draft.message_type;
    if sender.rank < kind.least_rank {
        return refuse(Code::Forbidden, "message_type", format!("Your role may not send messages of type `{name}`."));
    }
    if !kind.targets.contains(&draft.to.kind()) {
        let text = format!("Messages of type `{name}` do not go to such a target; see `GET /api/messages/types`.");
        return refuse(Code::Validation, "to", text);
    }
    let is_near = kind.reach == Reach::Teams && !sender.sees_all;
    match &draft.to {
        Target::User(_) | Target::Device(_) => {
            let is_reached =
                |user: &UserId| !is_near || *user == sender.from.user_id || sender.team_mates.contains(user);
            if !recipient.as_ref().is_some_and(is_reached) {
                let text = "There is no such recipient, or none that you may write to.";
                return refuse(Code::RefMissing, "to", text);
            }
        }
        Target::Mode(_) | Target::Topic(_) | Target::Workspace(_) if is_near => {
            let text = format!("Messages of type `{name}` stay within your teams: name a user or a device.");
            return refuse(Code::Forbidden, "to", text);
        }
        Target::Mode(_) | Target::Topic(_) | Target::Workspace(_) => {}
    }
    let priority = draft.priority.unwrap_or(kind.priority);
    if priority < kind.priority_max {
        let text = format!("Messages of type `{name}` are at most of priority `{}`.", kind.priority_max.as_str());
        return refuse(Code::Validation, "priority", text);
    }
    let ttl_ms = draft.ttl_ms.unwrap_or(kind.ttl_ms);
    if !(1..=kind.ttl_ms_max).contains(&ttl_ms) {
        let text = format!("Messages of type `{name}` live for 1 to {} milliseconds.", kind.ttl_ms_max);
        return refuse(Code::Validation, "ttl_ms", text);
    }
    if !draft.payload.is_object() {
        return refuse(Code::Validation, "payload", "The payload of a message is a JSON object.");
    }
    let payload = draft.payload.to_string();
    if payload.len() > kind.payload_bytes_max {
        let text = format!("The payload of type `{name}` has at most {} bytes of JSON.", kind.payload_bytes_max);
        return refuse(Code::TooLarge, "payload", text);
    }
    let message = NewMessage {
        id: draft.id,
        from: sender.from,
        message_type: draft.message_type,
        to: draft.to,
        priority,
        payload,
        sent_ms: now,
        expires_ms: now.saturating_add(ttl_ms),
    };
    match kind.persistence {
        Persistence::Stored => SendPlan::Store(message),
        Persistence::Live => SendPlan::Deliver(message),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::id::DeviceId;
    use crate::messages::Topic;
    use crate::principal::DeploymentMode;

    const ME: UserId = UserId::from_u128(1);
    const MATE: UserId = UserId::from_u128(2);
    const STRANGER: UserId = UserId::from_u128(3);

    fn draft(message_type: &str, to: Target) -> Draft {
        let id = MessageId::from_u128(9);
        Draft {
            id,
            message_type: Name::new(message_type),
            to,
            payload: json!({"text": "x"}),
            priority: None,
            ttl_ms: None,
        }
    }

    fn plan(rank: u8, sees_all: bool, recipient: Option<UserId>, draft: Draft) -> SendPlan {
        let team_mates = BTreeSet::from([ME, MATE]);
        let from = Origin { user_id: ME, device_id: DeviceId::from_u128(7) };
        plan_send(
            &MessageTypes::default(),
            Sender { from, rank, sees_all, team_mates: &team_mates },
            recipient,
            draft,
            1_000,
        )
    }

    /// What a plan comes to: `stored`, `live`, or the code and field of the refusal.
    fn gist(plan: SendPlan) -> String {
        match plan {
            SendPlan::Store(_) => "stored".to_owned(),
            SendPlan::Deliver(_) => "live".to_owned(),
            SendPlan::Refuse(refusal) => format!("{} {}", refusal.code.as_str(), refusal.field),
        }
    }

    /// The table of permissions: type, rank, sees all, target, recipient, what comes of it.
    #[test]
    fn rtr_1_rtr_2_msg_2_who_may_send_what_to_whom() {
        let user = |id: UserId| Target::User(id);
        let device = || Target::Device(DeviceId::from_u128(8));
        let mode = || Target::Mode(DeploymentMode::WebApp);
        let topic = || Target::Topic(Topic::new("t").unwrap());
        let all = || Target::WORKSPACE;
        let table = [
            ("note", 30, false, user(MATE), Some(MATE), "stored"),
            ("note", 30, false, user(ME), Some(ME), "stored"),
            ("note", 30, false, device(), Some(MATE), "stored"),
            ("note", 30, false, user(STRANGER), Some(STRANGER), "ref_missing to"),
            ("note", 30, false, device(), Some(STRANGER), "ref_missing to"),
            ("note", 30, false, user(STRANGER), None, "ref_missing to"),
            ("note", 50, true, user(STRANGER), Some(STRANGER), "stored"),
            ("note", 50, true, user(STRANGER), None, "ref_missing to"),
            ("note", 50, true, all(), None, "validation to"),
            ("note", 10, false, user(MATE), Some(MATE), "forbidden message_type"),
            ("notice", 40, false, user(STRANGER), Some(STRANGER), "stored"),
            ("notice", 40, false, mode(), None, "stored"),
            ("notice", 40, false, all(), None, "stored"),
            ("notice", 40, false, topic(), None, "validation to"),
            ("notice", 30, false, all(), None, "forbidden message_type"),
            ("alert", 40, true, all(), None, "forbidden message_type"),
            ("alert", 50, true, all(), None, "stored"),
            ("signal", 10, false, topic(), None, "live"),
            ("signal", 10, false, user(STRANGER), Some(STRANGER), "live"),
            ("signal", 10, false, mode(), None, "validation to"),
            ("signal", 5, false, topic(), None, "forbidden message_type"),
            ("nonsense", 60, true, all(), None, "validation message_type"),
        ];
        for (message_type, rank, sees_all, to, recipient, expected) in table {
            let about = format!("{message_type} {rank} {sees_all} {to} {recipient:?}");
            assert_eq!(gist(plan(rank, sees_all, recipient, draft(message_type, to))), expected, "{about}");
        }
    }

    #[test]
    fn rtr_2_priority_time_to_live_and_size_stay_within_the_type() {
        let note = || draft("note", Target::User(MATE));
        let sent = |draft: Draft| plan(30, false, Some(MATE), draft);
        let SendPlan::Store(message) = sent(note()) else { panic!("a note is stored") };
        assert_eq!((message.priority, message.sent_ms), (Priority::Normal, 1_000));
        assert_eq!(message.expires_ms, 1_000 + 7 * 86_400_000);
        let high = Draft { priority: Some(Priority::High), ttl_ms: Some(5), ..note() };
        let SendPlan::Store(message) = sent(high) else { panic!("high is within the type") };
        assert_eq!((message.priority, message.expires_ms), (Priority::High, 1_005));
        let table = [
            (Draft { priority: Some(Priority::Critical), ..note() }, "validation priority"),
            (Draft { ttl_ms: Some(0), ..note() }, "validation ttl_ms"),
            (Draft { ttl_ms: Some(u64::MAX), ..note() }, "validation ttl_ms"),
            (Draft { payload: json!({"a": "x".repeat(16 * 1024 - 8)}), ..note() }, "stored"),
            (Draft { payload: json!({"a": "x".repeat(16 * 1024 - 7)}), ..note() }, "too_large payload"),
            (Draft { payload: json!("x"), ..note() }, "validation payload"),
            (Draft { payload: Value::Null, ..note() }, "validation payload"),
        ];
        for (draft, expected) in table {
            assert_eq!(gist(sent(draft)), expected);
        }
    }

    #[test]
    fn rtr_2_a_narrow_type_with_wide_targets_stays_within_teams() {
        let kind = crate::messages::MessageType {
            targets: vec![super::super::TargetKind::Workspace],
            ..MessageTypes::default().get("note").unwrap().clone()
        };
        let types = MessageTypes::with(&[("near".to_owned(), kind)].into()).unwrap();
        let from = Origin { user_id: ME, device_id: DeviceId::NIL };
        let none = BTreeSet::new();
        let sender = Sender { from, rank: 30, sees_all: false, team_mates: &none };
        let near = || draft("near", Target::WORKSPACE);
        assert_eq!(gist(plan_send(&types, sender, None, near(), 0)), "forbidden to");
        assert_eq!(gist(plan_send(&types, Sender { sees_all: true, ..sender }, None, near(), 0)), "stored");
    }
}
