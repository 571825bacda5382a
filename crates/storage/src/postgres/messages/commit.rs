//! One group: messages, acknowledgements and deliveries of a workspace in one transaction.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use syncline_core::id::{DeviceId, MessageId, UserId, WorkspaceId};
use syncline_core::messages::{NewMessage, Target};
use syncline_core::storage::StoreResult;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Counter, PostgresMessages, count, device_at, ms};
use crate::messages::{GroupOutcome, MessageGroup, MessageLimits, SendOutcome};
use crate::postgres::apply::Trouble;
use crate::postgres::rows::{at, unsigned};
use crate::postgres::values::int;
use crate::postgres::wire::{Request, Wire, integer, integers, text, texts, uuid, uuids};

/// The devices of a target and their users.
pub(super) type Recipients = Vec<(DeviceId, UserId)>;

impl PostgresMessages {
    pub fn commit(&self, workspace: &WorkspaceId, group: &MessageGroup) -> StoreResult<GroupOutcome> {
        let targets: BTreeMap<&Target, ()> = group.sends.iter().map(|message| (&message.to, ())).collect();
        let more = || {
            let lookup = |to: &&Target| recipients(workspace, to, group.limits, group.now);
            let first = [known(workspace, group), kept_by_sender(workspace, group)];
            first.into_iter().chain(targets.keys().map(lookup)).collect()
        };
        self.write_in(workspace, more, |wire, counter, replies| {
            let known: HashMap<Uuid, &Row> =
                replies[0].rows.iter().map(|row| Ok((at::<Uuid>(row, 1)?, row))).collect::<StoreResult<_>>()?;
            let kept_by_sender = replies[1].rows.iter().map(|row| Ok((UserId(at(row, 0)?), unsigned(row, 1)?)));
            let kept_by_sender = kept_by_sender.collect::<StoreResult<_>>()?;
            let found = replies[2..].iter().map(|reply| reply.rows.iter().map(recipient_at).collect());
            let found: Vec<Recipients> = found.collect::<StoreResult<_>>()?;
            let recipients = targets.keys().copied().zip(found).collect();
            let mut step =
                Step { group, known, recipients, kept_by_sender, before: counter, counter, rows: Rows::default() };
            let sends = group.sends.iter().map(|message| step.send(message)).collect::<StoreResult<_>>()?;
            step.write(wire, workspace, sends)
        })
    }
}

/// What is stored under the ids of a group.
fn known(workspace: &WorkspaceId, group: &MessageGroup) -> Request {
    let sql = "SELECT no, message_id, sender_user_id, message_type, target, payload, sent_ms FROM msg_messages
        WHERE workspace_id = $1 AND message_id = ANY($2)";
    let ids = group.sends.iter().map(|message| message.id.0).collect();
    Request::query(sql, vec![text(workspace.as_str()), uuids(ids)])
}

/// Messages kept of each sender, as far as that matters: while all together have so few that no sender of the group can
/// reach the share with it, 0.
fn kept_by_sender(workspace: &WorkspaceId, group: &MessageGroup) -> Request {
    let sql = "SELECT u.id, CASE
            WHEN coalesce((SELECT w.kept FROM msg_workspaces w WHERE w.workspace_id = $1), 0) < $4 THEN 0
            ELSE (SELECT count(*) FROM (SELECT 1 FROM msg_messages m
                WHERE m.workspace_id = $1 AND m.sender_user_id = u.id LIMIT $3) kept) END
        FROM unnest($2::uuid[]) u (id)";
    let senders: BTreeSet<Uuid> = group.sends.iter().map(|message| message.from.user_id.0).collect();
    let max = group.limits.sender_kept_max;
    let harmless = max.saturating_sub(group.sends.len() as u64);
    let limits = [integer(int(max)), integer(int(harmless))];
    let params = [text(workspace.as_str()), uuids(senders.into_iter().collect())].into_iter().chain(limits);
    Request::query(sql, params.collect())
}

/// The devices of a target that are not revoked and, but for a device named itself, not idle; one more than may be at most.
pub(super) fn recipients(workspace: &WorkspaceId, to: &Target, limits: MessageLimits, now: u64) -> Request {
    let (condition, value) = match to {
        Target::User(id) => ("user_id = $2", uuid(id.0)),
        Target::Device(id) => ("device_id = $2", uuid(id.0)),
        Target::Mode(mode) => ("deployment_mode = $2", text(mode.as_str())),
        Target::Workspace(_) => ("workspace_id = $2", text(workspace.as_str())),
        // Nobody subscribes to a topic durably: what goes there is not stored.
        Target::Topic(_) => ("$2 = 'a stored topic'", text("")),
    };
    let seen_since = if matches!(to, Target::Device(_)) { 0 } else { now.saturating_sub(limits.idle_ms) };
    let sql = format!(
        "SELECT device_id, user_id FROM auth_devices WHERE workspace_id = $1 AND {condition} AND revoked_ms IS NULL
            AND last_seen_ms >= $3 ORDER BY device_id LIMIT $4"
    );
    let limit = count(limits.devices_max.saturating_add(1));
    Request::query(sql, vec![text(workspace.as_str()), value, ms(seen_since), limit])
}

pub(super) fn recipient_at(row: &Row) -> StoreResult<(DeviceId, UserId)> {
    Ok((DeviceId(at(row, 0)?), UserId(at(row, 1)?)))
}

struct Step<'a> {
    group: &'a MessageGroup,
    known: HashMap<Uuid, &'a Row>,
    recipients: BTreeMap<&'a Target, Recipients>,
    kept_by_sender: HashMap<UserId, u64>,
    before: Counter,
    counter: Counter,
    rows: Rows<'a>,
}

#[derive(Default)]
struct Rows<'a> {
    messages: Vec<(i64, &'a NewMessage)>,
    deliveries: NewDeliveries,
    /// Numbers that an earlier try of the sender got.
    repeated: Vec<i64>,
}

/// Columns of new rows in `msg_deliveries`.
#[derive(Default)]
pub(super) struct NewDeliveries {
    no: Vec<i64>,
    device: Vec<Uuid>,
    user: Vec<Uuid>,
    sender: Vec<Uuid>,
    priority: Vec<i64>,
}

impl NewDeliveries {
    pub(super) fn push(&mut self, no: i64, to: (DeviceId, UserId), sender: DeviceId, priority: u8) {
        self.no.push(no);
        self.device.push(to.0.0);
        self.user.push(to.1.0);
        self.sender.push(sender.0);
        self.priority.push(priority.into());
    }

    /// Leaves rows that are there as they are.
    pub(super) fn insert(self, workspace: &WorkspaceId) -> Request {
        let sql = "INSERT INTO msg_deliveries
            (workspace_id, no, device_id, user_id, sender_device_id, priority, state)
            SELECT $1, u.*, 0 FROM unnest($2::bigint[], $3::uuid[], $4::uuid[], $5::uuid[], $6::bigint[]) u
            ON CONFLICT DO NOTHING";
        let Self { no, device, user, sender, priority } = self;
        let columns = vec![integers(no), uuids(device), uuids(user), uuids(sender), integers(priority)];
        Request::execute(sql, std::iter::once(text(workspace.as_str())).chain(columns).collect())
    }
}

impl<'a> Step<'a> {
    fn send(&mut self, message: &'a NewMessage) -> StoreResult<SendOutcome> {
        if let Some(row) = self.known.get(&message.id.0) {
            let is_same = at::<Uuid>(row, 2)? == message.from.user_id.0
                && at::<&str>(row, 3)? == message.message_type.as_str()
                && at::<&str>(row, 4)? == message.to.to_string()
                && at::<&str>(row, 5)? == message.payload;
            if !is_same {
                return Ok(SendOutcome::IdTaken);
            }
            self.rows.repeated.push(at(row, 0)?);
            return Ok(SendOutcome::Stored { at_ms: unsigned(row, 6)? });
        }
        let limits = self.group.limits;
        if self.counter.kept >= int(limits.kept_max) {
            return Ok(SendOutcome::Full);
        }
        let kept = self.kept_by_sender.get(&message.from.user_id).copied().unwrap_or(0);
        if kept >= limits.sender_kept_max {
            return Ok(SendOutcome::SenderFull);
        }
        let recipients = &self.recipients[&message.to];
        if recipients.len() > limits.devices_max {
            return Ok(SendOutcome::TooManyDevices);
        }
        let is_for_one = matches!(message.to, Target::Device(_));
        if is_for_one && recipients.is_empty() {
            return Ok(SendOutcome::NoDevice);
        }
        self.counter = Counter { head: self.counter.head + 1, kept: self.counter.kept + 1 };
        *self.kept_by_sender.entry(message.from.user_id).or_default() += 1;
        let (no, sender) = (self.counter.head, message.from.device_id);
        self.rows.messages.push((no, message));
        for to in recipients.iter().filter(|(device, _)| is_for_one || *device != sender) {
            self.rows.deliveries.push(no, *to, sender, message.priority.rank());
        }
        Ok(SendOutcome::Stored { at_ms: message.sent_ms })
    }

    /// Everything in one flight; the replies say whom it concerns.
    fn write(
        mut self,
        wire: &Wire<'_>,
        workspace: &WorkspaceId,
        sends: Vec<SendOutcome>,
    ) -> Result<GroupOutcome, Trouble> {
        let mut outcome = GroupOutcome { sends, ..GroupOutcome::default() };
        outcome.concerned.extend(self.rows.deliveries.device.iter().map(|id| DeviceId(*id)));
        let has_changes = !self.group.acknowledged.is_empty() || !self.group.delivered.is_empty();
        let number = self.counter.head + 1;
        self.counter.head += i64::from(has_changes);
        let mut requests = Vec::new();
        if !self.rows.messages.is_empty() {
            requests.push(insert_messages(workspace, &self.rows.messages));
            requests.push(std::mem::take(&mut self.rows.deliveries).insert(workspace));
        }
        if !self.rows.repeated.is_empty() {
            let sql = "SELECT device_id FROM msg_deliveries WHERE workspace_id = $1 AND no = ANY($2) AND state < 2";
            let numbers = std::mem::take(&mut self.rows.repeated);
            requests.push(Request::query(sql, vec![text(workspace.as_str()), integers(numbers)]));
        }
        if has_changes {
            requests.push(change(workspace, ACKNOWLEDGE, &self.group.acknowledged, (self.group.now, number)));
            requests.push(change(workspace, DELIVER, &self.group.delivered, (self.group.now, number)));
        }
        if self.counter != self.before {
            requests.push(self.counter.save(workspace));
        }
        for reply in wire.flight(&requests)? {
            for row in &reply.rows {
                outcome.concerned.insert(device_at(row)?);
            }
        }
        outcome.head = self.counter.head();
        Ok(outcome)
    }
}

const ACKNOWLEDGE: &str = "UPDATE msg_deliveries d SET state = 2, acknowledged_ms = $4, changed_no = $5,
        delivered_ms = coalesce(d.delivered_ms, $4)
    FROM unnest($2::uuid[], $3::uuid[]) u (device, message)
    JOIN msg_messages m ON m.workspace_id = $1 AND m.message_id = u.message
    WHERE d.workspace_id = $1 AND d.no = m.no AND d.device_id = u.device AND d.state <> 2
    RETURNING d.sender_device_id";

const DELIVER: &str = "UPDATE msg_deliveries d SET state = 1, delivered_ms = $4, changed_no = $5
    FROM unnest($2::uuid[], $3::uuid[]) u (device, message)
    JOIN msg_messages m ON m.workspace_id = $1 AND m.message_id = u.message
    WHERE d.workspace_id = $1 AND d.no = m.no AND d.device_id = u.device AND d.state = 0
    RETURNING d.sender_device_id";

fn change(workspace: &WorkspaceId, sql: &str, changed: &[(DeviceId, MessageId)], at: (u64, i64)) -> Request {
    let devices = changed.iter().map(|(device, _)| device.0).collect();
    let messages = changed.iter().map(|(_, message)| message.0).collect();
    let (now, number) = at;
    Request::query(sql, vec![text(workspace.as_str()), uuids(devices), uuids(messages), ms(now), integer(number)])
}

fn insert_messages(workspace: &WorkspaceId, messages: &[(i64, &NewMessage)]) -> Request {
    let sql = "INSERT INTO msg_messages (workspace_id, no, message_id, sender_user_id, sender_device_id, message_type,
            target, priority, payload, sent_ms, expires_ms, state)
        SELECT $1, u.*, 0 FROM unnest($2::bigint[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::text[],
            $8::bigint[], $9::text[], $10::bigint[], $11::bigint[]) u";
    let all = || messages.iter().map(|(_, message)| *message);
    let columns = vec![
        text(workspace.as_str()),
        integers(messages.iter().map(|(no, _)| *no).collect()),
        uuids(all().map(|message| message.id.0).collect()),
        uuids(all().map(|message| message.from.user_id.0).collect()),
        uuids(all().map(|message| message.from.device_id.0).collect()),
        texts(all().map(|message| message.message_type.to_string()).collect()),
        texts(all().map(|message| message.to.to_string()).collect()),
        integers(all().map(|message| message.priority.rank().into()).collect()),
        texts(all().map(|message| message.payload.clone()).collect()),
        integers(all().map(|message| int(message.sent_ms)).collect()),
        integers(all().map(|message| int(message.expires_ms)).collect()),
    ];
    Request::execute(sql, columns)
}
