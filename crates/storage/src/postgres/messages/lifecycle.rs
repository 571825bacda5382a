//! What happens to messages later: devices that appear, times that run out, dead letters sent again, and the end.

use syncline_core::TimestampMs;
use syncline_core::id::{MessageId, UserId, WorkspaceId};
use syncline_core::messages::Target;
use syncline_core::storage::StoreResult;

use super::commit::{NewDeliveries, recipient_at, recipients};
use super::{Counter, MESSAGE, PostgresMessages, count, device_at, kept_at, ms};
use crate::messages::{ADOPTED_MAX, Expired, KeptMessage, Mailbox, MessageLimits, Replayed};
use crate::postgres::rows::at;
use crate::postgres::values::int;
use crate::postgres::wire::{Request, integer, integers, text, uuid};

/// Numbers after which a device that lacks nothing is noted to have been looked at.
const ADOPTION_NOTED_EVERY: i64 = 256;

impl PostgresMessages {
    pub fn adopt(&self, workspace: &WorkspaceId, mailbox: Mailbox, now: TimestampMs) -> StoreResult<usize> {
        let sql = "SELECT coalesce((SELECT head FROM msg_workspaces WHERE workspace_id = $1), 0)
            - coalesce((SELECT adopted_no FROM msg_devices WHERE workspace_id = $1 AND device_id = $2), 0)";
        let key = || vec![text(workspace.as_str()), uuid(mailbox.device_id.0)];
        let (transaction, reply) = self.server.begin_read(Request::query(sql, key()))?;
        let behind: i64 = reply.rows.first().map_or(Ok(0), |row| at(row, 0))?;
        let lacks_nothing = behind == 0 || {
            let flight = transaction.wire().flight(&[missing(workspace, mailbox, now)]);
            let replies = flight.map_err(crate::postgres::error::Fault::into_store_error)?;
            replies[0].rows.is_empty()
        };
        drop(transaction);
        if lacks_nothing && behind < ADOPTION_NOTED_EVERY {
            return Ok(0);
        }
        let more = || vec![missing(workspace, mailbox, now)];
        self.write_in(workspace, more, |wire, counter, replies| {
            let missing: Vec<KeptMessage> = replies[0].rows.iter().map(kept_at).collect::<StoreResult<_>>()?;
            let mut rows = NewDeliveries::default();
            for KeptMessage { no, message, .. } in &missing {
                let to = (mailbox.device_id, mailbox.user_id);
                rows.push(int(*no), to, message.from.device_id, message.priority.rank());
            }
            // A full step may have left some: the next one goes on after the last.
            let upto = match missing.last() {
                Some(last) if missing.len() >= ADOPTED_MAX => int(last.no),
                Some(_) | None => counter.head,
            };
            let sql = "INSERT INTO msg_devices (workspace_id, device_id, adopted_no) VALUES ($1, $2, $3)
                ON CONFLICT (workspace_id, device_id) DO UPDATE SET adopted_no = $3";
            let note = Request::execute(sql, key().into_iter().chain([integer(upto)]).collect());
            wire.flight(&[rows.insert(workspace), note])?;
            Ok(missing.len())
        })
    }

    pub fn expire(&self, workspace: &WorkspaceId, now: TimestampMs, limit: usize) -> StoreResult<Expired> {
        let sql = "SELECT no FROM msg_messages WHERE workspace_id = $1 AND state = 0 AND expires_ms <= $2
            ORDER BY expires_ms LIMIT $3";
        let params = || vec![text(workspace.as_str()), ms(now), count(limit)];
        if self.all(sql, params(), |row| at::<i64>(row, 0))?.is_empty() {
            return Ok(Expired::default());
        }
        let more = || vec![Request::query(sql, params())];
        self.write_in(workspace, more, |wire, counter, replies| {
            let numbers: Vec<i64> = replies[0].rows.iter().map(|row| at(row, 0)).collect::<StoreResult<_>>()?;
            let counter = Counter { head: counter.head + 1, ..counter };
            let deliveries = "UPDATE msg_deliveries SET state = 3, expired_ms = $3, changed_no = $4
                WHERE workspace_id = $1 AND no = ANY($2) AND state < 2 RETURNING sender_device_id";
            let key = || vec![text(workspace.as_str()), integers(numbers.clone()), ms(now)];
            let changed = key().into_iter().chain([integer(counter.head)]).collect();
            // Missed: somebody it was for has it on no device, or it was for nobody.
            let messages = "UPDATE msg_messages m SET ended_ms = $3, state = CASE WHEN (
                    SELECT coalesce(bool_and(u.had), false) FROM (SELECT bool_or(d.state = 2) AS had FROM msg_deliveries d
                        WHERE d.workspace_id = $1 AND d.no = m.no GROUP BY d.user_id) u) THEN 1 ELSE 2 END
                WHERE m.workspace_id = $1 AND m.no = ANY($2) RETURNING m.state";
            let requests =
                [Request::query(deliveries, changed), Request::query(messages, key()), counter.save(workspace)];
            let replies = wire.flight(&requests)?;
            let concerned = replies[0].rows.iter().map(device_at).collect::<StoreResult<_>>()?;
            let states: Vec<i64> = replies[1].rows.iter().map(|row| at(row, 0)).collect::<StoreResult<_>>()?;
            let dead = states.iter().filter(|state| **state == 2).count();
            Ok(Expired { messages: states.len(), dead, concerned, head: counter.head() })
        })
    }

    pub fn forget(&self, workspace: &WorkspaceId, before: TimestampMs, limit: usize) -> StoreResult<usize> {
        let sql = "SELECT no FROM msg_messages WHERE workspace_id = $1 AND state > 0 AND ended_ms < $2
            ORDER BY ended_ms LIMIT $3";
        let params = || vec![text(workspace.as_str()), ms(before), count(limit)];
        if self.all(sql, params(), |row| at::<i64>(row, 0))?.is_empty() {
            return Ok(0);
        }
        let more = || vec![Request::query(sql, params())];
        self.write_in(workspace, more, |wire, counter, replies| {
            let numbers: Vec<i64> = replies[0].rows.iter().map(|row| at(row, 0)).collect::<StoreResult<_>>()?;
            let kept = counter.kept - i64::try_from(numbers.len()).unwrap_or(0);
            let key = || vec![text(workspace.as_str()), integers(numbers.clone())];
            let (deliveries, messages) = (
                "DELETE FROM msg_deliveries WHERE workspace_id = $1 AND no = ANY($2)",
                "DELETE FROM msg_messages WHERE workspace_id = $1 AND no = ANY($2)",
            );
            let counter = Counter { kept, ..counter };
            let requests =
                [Request::execute(deliveries, key()), Request::execute(messages, key()), counter.save(workspace)];
            wire.flight(&requests)?;
            Ok(numbers.len())
        })
    }

    pub fn replay(
        &self,
        workspace: &WorkspaceId,
        id: MessageId,
        expires_ms: TimestampMs,
        limits: MessageLimits,
        now: TimestampMs,
    ) -> StoreResult<Replayed> {
        let sql = format!(
            "SELECT {MESSAGE} FROM msg_messages m WHERE m.workspace_id = $1 AND m.message_id = $2 AND m.state = 2"
        );
        let more = || vec![Request::query(&sql, vec![text(workspace.as_str()), uuid(id.0)])];
        self.write_in(workspace, more, |wire, counter, replies| {
            let Some(kept) = replies[0].rows.first().map(kept_at).transpose()? else { return Ok(Replayed::NotDead) };
            let KeptMessage { no, message, .. } = kept;
            let counter = Counter { head: counter.head + 1, ..counter };
            let moved = || vec![text(workspace.as_str()), integer(int(no)), integer(counter.head)];
            let new = || vec![text(workspace.as_str()), integer(counter.head)];
            let had = "SELECT DISTINCT user_id FROM msg_deliveries WHERE workspace_id = $1 AND no = $2 AND state = 2";
            let requests = [
                Request::execute(
                    "UPDATE msg_messages SET no = $3, state = 0, expires_ms = $4, ended_ms = NULL
                        WHERE workspace_id = $1 AND no = $2",
                    moved().into_iter().chain([ms(expires_ms)]).collect(),
                ),
                Request::execute("UPDATE msg_deliveries SET no = $3 WHERE workspace_id = $1 AND no = $2", moved()),
                Request::query(had, new()),
                recipients(workspace, &message.to, limits, now),
            ];
            let replies = wire.flight(&requests)?;
            let had = replies[2].rows.iter().map(|row| Ok(UserId(at(row, 0)?))).collect::<StoreResult<Vec<_>>>()?;
            let (mut rows, sender) = (NewDeliveries::default(), message.from.device_id);
            let is_for_one = matches!(message.to, Target::Device(_));
            for row in &replies[3].rows {
                let (device, user) = recipient_at(row)?;
                if !had.contains(&user) && (is_for_one || device != sender) {
                    rows.push(counter.head, (device, user), sender, message.priority.rank());
                }
            }
            let due_again =
                "UPDATE msg_deliveries SET state = 0, expired_ms = NULL, delivered_ms = NULL, changed_no = NULL
                WHERE workspace_id = $1 AND no = $2 AND state = 3 AND user_id NOT IN
                    (SELECT user_id FROM msg_deliveries WHERE workspace_id = $1 AND no = $2 AND state = 2)";
            let due = "SELECT device_id FROM msg_deliveries WHERE workspace_id = $1 AND no = $2 AND state = 0";
            let requests = [
                Request::execute(due_again, new()),
                rows.insert(workspace),
                Request::query(due, new()),
                counter.save(workspace),
            ];
            let replies = wire.flight(&requests)?;
            let concerned = replies[2].rows.iter().map(device_at).collect::<StoreResult<_>>()?;
            Ok(Replayed::Done { concerned, head: counter.head() })
        })
    }
}

/// Live messages that a device should have a row for and has none, after what it was given before, oldest first.
fn missing(workspace: &WorkspaceId, mailbox: Mailbox, now: TimestampMs) -> Request {
    let sql = format!(
        "SELECT {MESSAGE} FROM msg_messages m
        WHERE m.workspace_id = $1 AND m.target IN ($2, $3, 'workspace') AND m.state = 0
            AND m.no > coalesce((SELECT adopted_no FROM msg_devices WHERE workspace_id = $1 AND device_id = $5), 0)
            AND m.expires_ms > $4 AND m.sender_device_id <> $5
            AND NOT EXISTS (SELECT 1 FROM msg_deliveries d
                WHERE d.workspace_id = $1 AND d.no = m.no AND (d.device_id = $5 OR (d.user_id = $6 AND d.state = 2)))
        ORDER BY m.no LIMIT $7"
    );
    let (user, mode) = (Target::User(mailbox.user_id), Target::Mode(mailbox.mode));
    let params = vec![
        text(workspace.as_str()),
        text(user.to_string()),
        text(mode.to_string()),
        ms(now),
        uuid(mailbox.device_id.0),
        uuid(mailbox.user_id.0),
        count(ADOPTED_MAX),
    ];
    Request::query(sql, params)
}
