//! What happens to messages later: devices that appear, times that run out, dead letters sent again, and the end.

use rusqlite::{Connection, OptionalExtension as _, params};
use syncline_core::TimestampMs;
use syncline_core::id::{MessageId, UserId, WorkspaceId};
use syncline_core::messages::Target;
use syncline_core::storage::StoreResult;

use super::commit::{NewDelivery, insert_delivery, recipients};
use super::{Counter, MESSAGE, SqliteMessages, collect, device_at, execute, int, kept_at, number_at, uuid_at};
use crate::messages::{ADOPTED_MAX, Expired, KeptMessage, Mailbox, MessageLimits, Replayed};
use crate::sqlite::error::OrFailed;

/// Numbers after which a device that lacks nothing is noted to have been looked at.
const ADOPTION_NOTED_EVERY: i64 = 256;

impl SqliteMessages {
    pub fn adopt(&self, workspace: &WorkspaceId, mailbox: Mailbox, now: TimestampMs) -> StoreResult<usize> {
        let (counter, adopted, missing) = self.read(|conn| {
            let (counter, adopted) = (Counter::load(conn, workspace)?, adopted_no(conn, workspace, mailbox)?);
            Ok((counter, adopted, missing(conn, workspace, mailbox, adopted, now)?))
        })?;
        if missing.is_empty() && counter.head - adopted < ADOPTION_NOTED_EVERY {
            return Ok(0);
        }
        self.write(|conn| {
            let missing = missing_from(conn, workspace, mailbox, now)?;
            let mut adopted = 0;
            for KeptMessage { no, message, .. } in &missing {
                let (no, sender) = (int(*no), message.from.device_id);
                let priority = message.priority.rank();
                let row = NewDelivery { no, device: mailbox.device_id, user: mailbox.user_id, sender, priority };
                adopted += insert_delivery(conn, workspace, &row)?;
            }
            // A full step may have left some: the next one goes on after the last.
            let upto = match missing.last() {
                Some(last) if missing.len() >= ADOPTED_MAX => int(last.no),
                Some(_) | None => Counter::load(conn, workspace)?.head,
            };
            let sql = "INSERT INTO msg_devices (workspace_id, device_id, adopted_no) VALUES (?1, ?2, ?3)
                ON CONFLICT (workspace_id, device_id) DO UPDATE SET adopted_no = ?3";
            execute(conn, sql, params![workspace.as_str(), mailbox.device_id.as_bytes(), upto])?;
            Ok(adopted)
        })
    }

    pub fn expire(&self, workspace: &WorkspaceId, now: TimestampMs, limit: usize) -> StoreResult<Expired> {
        let sql = "SELECT no FROM msg_messages WHERE workspace_id = ?1 AND state = 0 AND expires_ms <= ?2
            ORDER BY expires_ms LIMIT ?3";
        let found = |conn: &Connection| {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            collect(conn, sql, params![workspace.as_str(), int(now), limit], |row| Ok(int(number_at(row, 0)?)))
        };
        if self.read(found)?.is_empty() {
            return Ok(Expired::default());
        }
        self.write(|conn| {
            let mut counter = Counter::load(conn, workspace)?;
            let number = counter.next();
            let mut expired = Expired::default();
            for no in found(conn)? {
                expired.messages += 1;
                let sql = "UPDATE msg_deliveries SET state = 3, expired_ms = ?3, changed_no = ?4
                    WHERE workspace_id = ?1 AND no = ?2 AND state < 2 RETURNING sender_device_id";
                let row = params![workspace.as_str(), no, int(now), number];
                expired.concerned.extend(collect(conn, sql, row, device_at)?);
                let is_dead = is_missed(conn, workspace, no)?;
                expired.dead += usize::from(is_dead);
                let sql = "UPDATE msg_messages SET state = ?3, ended_ms = ?4 WHERE workspace_id = ?1 AND no = ?2";
                execute(conn, sql, params![workspace.as_str(), no, if is_dead { 2 } else { 1 }, int(now)])?;
            }
            counter.save(conn, workspace)?;
            expired.head = counter.head();
            Ok(expired)
        })
    }

    pub fn forget(&self, workspace: &WorkspaceId, before: TimestampMs, limit: usize) -> StoreResult<usize> {
        let sql = "SELECT no FROM msg_messages WHERE workspace_id = ?1 AND state > 0 AND ended_ms < ?2
            ORDER BY ended_ms LIMIT ?3";
        let found = |conn: &Connection| {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            collect(conn, sql, params![workspace.as_str(), int(before), limit], |row| Ok(int(number_at(row, 0)?)))
        };
        if self.read(found)?.is_empty() {
            return Ok(0);
        }
        self.write(|conn| {
            let mut counter = Counter::load(conn, workspace)?;
            let numbers = found(conn)?;
            for no in &numbers {
                let row = params![workspace.as_str(), no];
                execute(conn, "DELETE FROM msg_deliveries WHERE workspace_id = ?1 AND no = ?2", row)?;
                execute(conn, "DELETE FROM msg_messages WHERE workspace_id = ?1 AND no = ?2", row)?;
                counter.kept -= 1;
            }
            counter.save(conn, workspace)?;
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
        self.write(|conn| {
            let sql = format!(
                "SELECT {MESSAGE} FROM msg_messages m WHERE m.workspace_id = ?1 AND m.message_id = ?2 AND m.state = 2"
            );
            let found = collect(conn, &sql, params![workspace.as_str(), id.as_bytes()], kept_at)?.pop();
            let Some(KeptMessage { no, message, .. }) = found else { return Ok(Replayed::NotDead) };
            let mut counter = Counter::load(conn, workspace)?;
            let (old, new) = (int(no), counter.next());
            let sql = "UPDATE msg_messages SET no = ?3, state = 0, expires_ms = ?4, ended_ms = NULL
                WHERE workspace_id = ?1 AND no = ?2";
            execute(conn, sql, params![workspace.as_str(), old, new, int(expires_ms)])?;
            let row = params![workspace.as_str(), old, new];
            execute(conn, "UPDATE msg_deliveries SET no = ?3 WHERE workspace_id = ?1 AND no = ?2", row)?;
            let had = users_that_had(conn, workspace, new)?;
            let sql = "UPDATE msg_deliveries SET state = 0, expired_ms = NULL, delivered_ms = NULL, changed_no = NULL
                WHERE workspace_id = ?1 AND no = ?2 AND state = 3 AND user_id NOT IN
                    (SELECT user_id FROM msg_deliveries WHERE workspace_id = ?1 AND no = ?2 AND state = 2)";
            execute(conn, sql, params![workspace.as_str(), new])?;
            let sender = message.from.device_id;
            let is_for_one = matches!(message.to, Target::Device(_));
            for (device, user) in recipients(conn, workspace, &message.to, limits, now)? {
                if !had.contains(&user) && (is_for_one || device != sender) {
                    let row = NewDelivery { no: new, device, user, sender, priority: message.priority.rank() };
                    insert_delivery(conn, workspace, &row)?;
                }
            }
            counter.save(conn, workspace)?;
            let sql = "SELECT device_id FROM msg_deliveries WHERE workspace_id = ?1 AND no = ?2 AND state = 0";
            let concerned = collect(conn, sql, params![workspace.as_str(), new], device_at)?.into_iter().collect();
            Ok(Replayed::Done { concerned, head: counter.head() })
        })
    }
}

fn adopted_no(conn: &Connection, workspace: &WorkspaceId, mailbox: Mailbox) -> StoreResult<i64> {
    let sql = "SELECT adopted_no FROM msg_devices WHERE workspace_id = ?1 AND device_id = ?2";
    let mut statement = conn.prepare_cached(sql).or_failed()?;
    let key = params![workspace.as_str(), mailbox.device_id.as_bytes()];
    Ok(statement.query_row(key, |row| row.get(0)).optional().or_failed()?.unwrap_or(0))
}

fn missing_from(
    conn: &Connection,
    workspace: &WorkspaceId,
    mailbox: Mailbox,
    now: TimestampMs,
) -> StoreResult<Vec<KeptMessage>> {
    missing(conn, workspace, mailbox, adopted_no(conn, workspace, mailbox)?, now)
}

/// Live messages after `adopted` that a device should have a row for and has none, oldest first.
fn missing(
    conn: &Connection,
    workspace: &WorkspaceId,
    mailbox: Mailbox,
    adopted: i64,
    now: TimestampMs,
) -> StoreResult<Vec<KeptMessage>> {
    let sql = format!(
        "SELECT {MESSAGE} FROM msg_messages m
        WHERE m.workspace_id = ?1 AND m.target IN (?2, ?3, 'workspace') AND m.state = 0 AND m.no > ?4
            AND m.expires_ms > ?5 AND m.sender_device_id <> ?6
            AND NOT EXISTS (SELECT 1 FROM msg_deliveries d
                WHERE d.workspace_id = ?1 AND d.no = m.no AND (d.device_id = ?6 OR (d.user_id = ?7 AND d.state = 2)))
        ORDER BY m.no LIMIT ?8"
    );
    let (user, mode) = (Target::User(mailbox.user_id), Target::Mode(mailbox.mode));
    let limit = i64::try_from(ADOPTED_MAX).unwrap_or(i64::MAX);
    let row = params![
        workspace.as_str(),
        user.to_string(),
        mode.to_string(),
        adopted,
        int(now),
        mailbox.device_id.as_bytes(),
        mailbox.user_id.as_bytes(),
        limit,
    ];
    collect(conn, &sql, row, kept_at)
}

/// Whether somebody a message was for has it on no device, or it was for nobody.
fn is_missed(conn: &Connection, workspace: &WorkspaceId, no: i64) -> StoreResult<bool> {
    let sql = "SELECT count(*) = 0 OR min(had) = 0 FROM (SELECT max(state = 2) AS had FROM msg_deliveries
        WHERE workspace_id = ?1 AND no = ?2 GROUP BY user_id)";
    let mut statement = conn.prepare_cached(sql).or_failed()?;
    statement.query_row(params![workspace.as_str(), no], |row| row.get(0)).or_failed()
}

fn users_that_had(conn: &Connection, workspace: &WorkspaceId, no: i64) -> StoreResult<Vec<UserId>> {
    let sql = "SELECT DISTINCT user_id FROM msg_deliveries WHERE workspace_id = ?1 AND no = ?2 AND state = 2";
    collect(conn, sql, params![workspace.as_str(), no], |row| Ok(UserId(uuid_at(row, 0)?)))
}
