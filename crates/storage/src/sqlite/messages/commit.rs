//! One group: messages, acknowledgements and deliveries of a workspace in one transaction.

use std::collections::HashMap;

use rusqlite::{Connection, Row, params};
use syncline_core::id::{DeviceId, MessageId, UserId, WorkspaceId};
use syncline_core::messages::{NewMessage, Target};
use syncline_core::storage::StoreResult;
use uuid::Uuid;

use super::{Counter, SqliteMessages, collect, device_at, execute, int, ms_at, uuid_at};
use crate::messages::{GroupOutcome, MessageGroup, MessageLimits, SendOutcome};
use crate::sqlite::error::{OrFailed, corrupt};

/// The devices of a target and their users.
pub(super) type Recipients = Vec<(DeviceId, UserId)>;

impl SqliteMessages {
    pub fn commit(&self, workspace: &WorkspaceId, group: &MessageGroup) -> StoreResult<GroupOutcome> {
        self.write(|conn| {
            let mut step = Step::begin(conn, workspace, group)?;
            for message in &group.sends {
                let outcome = step.send(message)?;
                step.outcome.sends.push(outcome);
            }
            step.acknowledge()?;
            step.deliver()?;
            step.finish()
        })
    }
}

struct Step<'a> {
    conn: &'a Connection,
    workspace: &'a WorkspaceId,
    group: &'a MessageGroup,
    before: Counter,
    counter: Counter,
    /// Looked up once for all messages of the group.
    recipients: HashMap<Target, Recipients>,
    /// Messages kept of a sender, at most as many as may be; looked up once for all messages of the group.
    kept_by_sender: HashMap<UserId, u64>,
    outcome: GroupOutcome,
}

impl<'a> Step<'a> {
    fn begin(conn: &'a Connection, workspace: &'a WorkspaceId, group: &'a MessageGroup) -> StoreResult<Self> {
        let counter = Counter::load(conn, workspace)?;
        let (recipients, kept_by_sender, outcome) = (HashMap::new(), HashMap::new(), GroupOutcome::default());
        Ok(Self { conn, workspace, group, before: counter, counter, recipients, kept_by_sender, outcome })
    }

    fn send(&mut self, message: &NewMessage) -> StoreResult<SendOutcome> {
        if let Some(known) = self.known(message)? {
            return Ok(known);
        }
        if self.counter.kept >= int(self.group.limits.kept_max) {
            return Ok(SendOutcome::Full);
        }
        if self.kept_of(message.from.user_id)? >= self.group.limits.sender_kept_max {
            return Ok(SendOutcome::SenderFull);
        }
        let limits = self.group.limits;
        if !self.recipients.contains_key(&message.to) {
            let found = recipients(self.conn, self.workspace, &message.to, limits, self.group.now)?;
            self.recipients.insert(message.to.clone(), found);
        }
        let recipients = &self.recipients[&message.to];
        if recipients.len() > limits.devices_max {
            return Ok(SendOutcome::TooManyDevices);
        }
        let is_for_one = matches!(message.to, Target::Device(_));
        if is_for_one && recipients.is_empty() {
            return Ok(SendOutcome::NoDevice);
        }
        let no = self.counter.next();
        self.counter.kept += 1;
        // One that was not counted yet is counted from the table, this message included.
        if let Some(kept) = self.kept_by_sender.get_mut(&message.from.user_id) {
            *kept += 1;
        }
        insert_message(self.conn, self.workspace, no, message)?;
        let sender = message.from.device_id;
        for (device, user) in recipients.iter().filter(|(device, _)| is_for_one || *device != sender) {
            let row = NewDelivery { no, device: *device, user: *user, sender, priority: message.priority.rank() };
            insert_delivery(self.conn, self.workspace, &row)?;
            self.outcome.concerned.insert(*device);
        }
        Ok(SendOutcome::Stored { at_ms: message.sent_ms })
    }

    /// Messages kept of a sender, as far as that matters.
    fn kept_of(&mut self, sender: UserId) -> StoreResult<u64> {
        let max = self.group.limits.sender_kept_max;
        // All senders together have fewer.
        if self.counter.kept < int(max) {
            return Ok(0);
        }
        if let Some(known) = self.kept_by_sender.get(&sender) {
            return Ok(*known);
        }
        let sql = "SELECT count(*) FROM (SELECT 1 FROM msg_messages WHERE workspace_id = ?1 AND sender_user_id = ?2 LIMIT ?3)";
        let mut statement = self.conn.prepare_cached(sql).or_failed()?;
        let kept: i64 = statement
            .query_row(params![self.workspace.as_str(), sender.as_bytes(), int(max)], |row| row.get(0))
            .or_failed()?;
        self.kept_by_sender.insert(sender, kept.unsigned_abs());
        Ok(kept.unsigned_abs())
    }

    /// What is known under the id of a message; `None`: it is new.
    fn known(&mut self, message: &NewMessage) -> StoreResult<Option<SendOutcome>> {
        let sql = "SELECT no, sender_user_id, message_type, target, payload, sent_ms FROM msg_messages
            WHERE workspace_id = ?1 AND message_id = ?2";
        let mut statement = self.conn.prepare_cached(sql).or_failed()?;
        let mut rows = statement.query(params![self.workspace.as_str(), message.id.as_bytes()]).or_failed()?;
        let Some(row) = rows.next().or_failed()? else { return Ok(None) };
        let is_same = uuid_at(row, 1)? == message.from.user_id.0
            && text_at(row, 2)? == message.message_type.as_str()
            && text_at(row, 3)? == message.to.to_string()
            && text_at(row, 4)? == message.payload;
        if !is_same {
            return Ok(Some(SendOutcome::IdTaken));
        }
        // The first try may have stored it without anybody hearing of it.
        let sql = "SELECT device_id FROM msg_deliveries WHERE workspace_id = ?1 AND no = ?2 AND state < 2";
        let no: i64 = row.get(0).or_failed()?;
        let due = collect(self.conn, sql, params![self.workspace.as_str(), no], device_at)?;
        self.outcome.concerned.extend(due);
        Ok(Some(SendOutcome::Stored { at_ms: ms_at(row, 5)? }))
    }

    fn acknowledge(&mut self) -> StoreResult<()> {
        let sql = "UPDATE msg_deliveries SET state = 2, acknowledged_ms = ?4, changed_no = ?5,
                delivered_ms = coalesce(delivered_ms, ?4)
            WHERE workspace_id = ?1 AND device_id = ?2 AND state <> 2
                AND no = (SELECT no FROM msg_messages WHERE workspace_id = ?1 AND message_id = ?3)
            RETURNING sender_device_id";
        self.change(sql, &self.group.acknowledged)
    }

    fn deliver(&mut self) -> StoreResult<()> {
        let sql = "UPDATE msg_deliveries SET state = 1, delivered_ms = ?4, changed_no = ?5
            WHERE workspace_id = ?1 AND device_id = ?2 AND state = 0
                AND no = (SELECT no FROM msg_messages WHERE workspace_id = ?1 AND message_id = ?3)
            RETURNING sender_device_id";
        self.change(sql, &self.group.delivered)
    }

    /// All changes of a group share one number.
    fn change(&mut self, sql: &str, changed: &[(DeviceId, MessageId)]) -> StoreResult<()> {
        let number = self.counter.head + 1;
        for (device, message) in changed {
            let at = int(self.group.now);
            let row = params![self.workspace.as_str(), device.as_bytes(), message.as_bytes(), at, number];
            for sender in collect(self.conn, sql, row, device_at)? {
                self.counter.head = number;
                self.outcome.concerned.insert(sender);
            }
        }
        Ok(())
    }

    fn finish(mut self) -> StoreResult<GroupOutcome> {
        if self.counter != self.before {
            self.counter.save(self.conn, self.workspace)?;
        }
        self.outcome.head = self.counter.head();
        Ok(self.outcome)
    }
}

pub(super) struct NewDelivery {
    pub no: i64,
    pub device: DeviceId,
    pub user: UserId,
    pub sender: DeviceId,
    pub priority: u8,
}

pub(super) fn insert_delivery(conn: &Connection, workspace: &WorkspaceId, row: &NewDelivery) -> StoreResult<usize> {
    let NewDelivery { no, device, user, sender, priority } = row;
    let sql = "INSERT INTO msg_deliveries (workspace_id, no, device_id, user_id, sender_device_id, priority, state)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0) ON CONFLICT DO NOTHING";
    let (device, user, sender) = (device.as_bytes(), user.as_bytes(), sender.as_bytes());
    execute(conn, sql, params![workspace.as_str(), no, device, user, sender, priority])
}

fn insert_message(conn: &Connection, workspace: &WorkspaceId, no: i64, message: &NewMessage) -> StoreResult<()> {
    let sql = "INSERT INTO msg_messages (workspace_id, no, message_id, sender_user_id, sender_device_id, message_type,
        target, priority, payload, sent_ms, expires_ms, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 0)";
    let row = params![
        workspace.as_str(),
        no,
        message.id.as_bytes(),
        message.from.user_id.as_bytes(),
        message.from.device_id.as_bytes(),
        message.message_type.as_str(),
        message.to.to_string(),
        message.priority.rank(),
        message.payload,
        int(message.sent_ms),
        int(message.expires_ms),
    ];
    execute(conn, sql, row).map(drop)
}

/// The devices of a target that are not revoked and, but for a device named itself, not idle; one more than may be at most.
pub(super) fn recipients(
    conn: &Connection,
    workspace: &WorkspaceId,
    to: &Target,
    limits: MessageLimits,
    now: u64,
) -> StoreResult<Recipients> {
    let (column, value) = match to {
        Target::User(id) => ("user_id", id.to_string()),
        Target::Device(id) => ("device_id", id.to_string()),
        Target::Mode(mode) => ("deployment_mode", mode.as_str().to_owned()),
        Target::Workspace(_) => ("workspace_id", workspace.as_str().to_owned()),
        // Nobody subscribes to a topic durably: what goes there is not stored.
        Target::Topic(_) => return Ok(Vec::new()),
    };
    let seen_since = if matches!(to, Target::Device(_)) { 0 } else { now.saturating_sub(limits.idle_ms) };
    let sql = format!(
        "SELECT device_id, user_id FROM auth_devices WHERE workspace_id = ?1 AND {column} = ?2 AND revoked_ms IS NULL
            AND last_seen_ms >= ?3 ORDER BY device_id LIMIT ?4"
    );
    let limit = i64::try_from(limits.devices_max).unwrap_or(i64::MAX).saturating_add(1);
    collect(conn, &sql, params![workspace.as_str(), value, int(seen_since), limit], |row| {
        Ok((DeviceId(text_id_at(row, 0)?), UserId(text_id_at(row, 1)?)))
    })
}

fn text_id_at(row: &Row<'_>, column: usize) -> StoreResult<Uuid> {
    let text = text_at(row, column)?;
    Uuid::parse_str(text).map_err(|_| corrupt(format!("`{text}` is not an id")))
}

fn text_at<'a>(row: &'a Row<'_>, column: usize) -> StoreResult<&'a str> {
    Ok(row.get_ref(column).or_failed()?.as_str().unwrap_or_default())
}
