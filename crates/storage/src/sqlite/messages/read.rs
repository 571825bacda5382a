//! Reading messages: what a session sends, what people list.

use rusqlite::{Connection, Row, params};
use syncline_core::TimestampMs;
use syncline_core::id::{DeviceId, MessageId, UserId, WorkspaceId};
use syncline_core::messages::{Receipt, ReceiptState};
use syncline_core::storage::StoreResult;

use super::{
    Counter, MESSAGE, SqliteMessages, collect, device_at, int, kept_at, ms_at, number_at, optional_ms_at, uuid_at,
};
use crate::messages::{
    CONCERNED_MAX, Concerned, DELIVERIES_LISTED_MAX, Delivery, KeptMessage, Listed, Mail, MailWanted, MessageCounts,
    MessagePage, ReceiptCursor,
};
use crate::sqlite::error::{OrFailed, corrupt};

impl SqliteMessages {
    pub fn mail(
        &self,
        workspace: &WorkspaceId,
        device_id: DeviceId,
        wanted: MailWanted,
        now: TimestampMs,
    ) -> StoreResult<Mail> {
        self.read(|conn| {
            let head = Counter::load(conn, workspace)?.head();
            let sql = format!(
                "SELECT {MESSAGE} FROM msg_deliveries d JOIN msg_messages m ON m.workspace_id = ?1 AND m.no = d.no
                WHERE d.workspace_id = ?1 AND d.device_id = ?2 AND d.state < 2 AND m.expires_ms > ?3
                ORDER BY d.priority, d.no LIMIT ?4"
            );
            let row = params![workspace.as_str(), device_id.as_bytes(), int(now), count(wanted.due_max)];
            let due = collect(conn, &sql, row, kept_at)?.into_iter().map(|kept| kept.message).collect();
            let mut mail = Mail { due, receipts_upto: ReceiptCursor::at(head), ..Mail::default() };
            if let Some(after) = wanted.receipts_after.filter(|after| *after < ReceiptCursor::at(head)) {
                let found = receipts(conn, workspace, device_id, after, wanted.receipts_max)?;
                mail.has_more_receipts = found.len() >= wanted.receipts_max;
                if let Some((last, _)) = found.last().filter(|_| mail.has_more_receipts) {
                    mail.receipts_upto = *last;
                }
                mail.receipts = found.into_iter().map(|(_, receipt)| receipt).collect();
            }
            Ok(mail)
        })
    }

    pub fn heads(&self) -> StoreResult<Vec<(WorkspaceId, u64)>> {
        self.read(|conn| {
            let sql = "SELECT workspace_id, head FROM msg_workspaces ORDER BY workspace_id";
            collect(conn, sql, [], |row| {
                let id = row.get::<_, String>(0).or_failed()?;
                Ok((WorkspaceId::new(id).map_err(|error| corrupt(error.to_string()))?, number_at(row, 1)?))
            })
        })
    }

    pub fn concerned_since(&self, workspace: &WorkspaceId, after: u64) -> StoreResult<Concerned> {
        self.read(|conn| {
            let head = Counter::load(conn, workspace)?.head();
            let sql = "SELECT device_id FROM msg_deliveries WHERE workspace_id = ?1 AND no > ?2 AND state < 2 LIMIT ?3";
            let row = params![workspace.as_str(), int(after), count(CONCERNED_MAX + 1)];
            let due = collect(conn, sql, row, device_at)?;
            let sql =
                "SELECT sender_device_id FROM msg_deliveries WHERE workspace_id = ?1 AND changed_no > ?2 LIMIT ?3";
            let senders = collect(conn, sql, row, device_at)?;
            let is_cut = due.len() > CONCERNED_MAX || senders.len() > CONCERNED_MAX;
            Ok(Concerned { devices: due.into_iter().chain(senders).collect(), head, is_cut })
        })
    }

    pub fn list(&self, workspace: &WorkspaceId, page: &MessagePage) -> StoreResult<Vec<KeptMessage>> {
        let (from, condition, user) = match page.listed {
            // The order of the join is given: by the user's deliveries, newest first.
            Listed::Received(user) => (
                "msg_deliveries d CROSS JOIN msg_messages m ON m.workspace_id = ?1 AND m.no = d.no",
                "d.workspace_id = ?1 AND d.user_id = ?2 AND d.no < ?3",
                user,
            ),
            Listed::Sent(user) => {
                ("msg_messages m", "m.workspace_id = ?1 AND m.sender_user_id = ?2 AND m.no < ?3", user)
            }
            Listed::All => ("msg_messages m", "m.workspace_id = ?1 AND ?2 IS NOT NULL AND m.no < ?3", UserId::NIL),
            Listed::DeadLetters => {
                ("msg_messages m", "m.workspace_id = ?1 AND ?2 IS NOT NULL AND m.no < ?3 AND m.state = 2", UserId::NIL)
            }
        };
        let (group, order) = match page.listed {
            Listed::Received(_) => ("GROUP BY d.no", "d.no"),
            Listed::Sent(_) | Listed::All | Listed::DeadLetters => ("", "m.no"),
        };
        let sql = format!(
            "SELECT {MESSAGE} FROM {from} WHERE {condition} AND (?4 IS NULL OR m.message_type = ?4) {group}
            ORDER BY {order} DESC LIMIT ?5"
        );
        let before = page.before.map_or(i64::MAX, int);
        let row = params![workspace.as_str(), user.as_bytes(), before, page.message_type, count(page.limit)];
        self.read(|conn| collect(conn, &sql, row, kept_at))
    }

    pub fn get(&self, workspace: &WorkspaceId, id: MessageId) -> StoreResult<Option<(KeptMessage, Vec<Delivery>)>> {
        self.read(|conn| {
            let sql = format!("SELECT {MESSAGE} FROM msg_messages m WHERE m.workspace_id = ?1 AND m.message_id = ?2");
            let found = collect(conn, &sql, params![workspace.as_str(), id.as_bytes()], kept_at)?.pop();
            let Some(kept) = found else { return Ok(None) };
            let sql = "SELECT device_id, user_id, state, delivered_ms, acknowledged_ms, expired_ms FROM msg_deliveries
                WHERE workspace_id = ?1 AND no = ?2 ORDER BY device_id LIMIT ?3";
            let row = params![workspace.as_str(), int(kept.no), count(DELIVERIES_LISTED_MAX)];
            let deliveries = collect(conn, sql, row, delivery_at)?;
            Ok(Some((kept, deliveries)))
        })
    }

    pub fn is_for(&self, workspace: &WorkspaceId, id: MessageId, user_id: UserId) -> StoreResult<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM msg_deliveries WHERE workspace_id = ?1 AND user_id = ?3
            AND no = (SELECT no FROM msg_messages WHERE workspace_id = ?1 AND message_id = ?2))";
        let row = params![workspace.as_str(), id.as_bytes(), user_id.as_bytes()];
        self.read(|conn| conn.prepare_cached(sql).or_failed()?.query_row(row, |row| row.get(0)).or_failed())
    }

    pub fn counts(&self) -> StoreResult<MessageCounts> {
        self.read(|conn| {
            let of = |sql: &str| {
                let mut statement = conn.prepare_cached(sql).or_failed()?;
                statement.query_row([], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs).or_failed()
            };
            Ok(MessageCounts {
                due: of("SELECT count(*) FROM msg_deliveries WHERE state < 2")?,
                dead_letters: of("SELECT count(*) FROM msg_messages WHERE state = 2")?,
            })
        })
    }
}

/// Deliveries of the device's messages that changed after a place, in order.
fn receipts(
    conn: &Connection,
    workspace: &WorkspaceId,
    sender: DeviceId,
    after: ReceiptCursor,
    max: usize,
) -> StoreResult<Vec<(ReceiptCursor, Receipt)>> {
    let sql = "SELECT m.message_id, d.state, d.device_id,
            CASE d.state WHEN 3 THEN d.expired_ms WHEN 2 THEN d.acknowledged_ms ELSE d.delivered_ms END,
            d.changed_no, d.no
        FROM msg_deliveries d JOIN msg_messages m ON m.workspace_id = ?1 AND m.no = d.no
        WHERE d.workspace_id = ?1 AND d.sender_device_id = ?2 AND d.changed_no IS NOT NULL
            AND (d.changed_no, d.no, d.device_id) > (?3, ?4, ?5)
        ORDER BY d.changed_no, d.no, d.device_id LIMIT ?6";
    let (changed_no, no) = (int(after.changed_no), int(after.no));
    let row = params![workspace.as_str(), sender.as_bytes(), changed_no, no, after.device_id.as_bytes(), count(max)];
    collect(conn, sql, row, |row| {
        let receipt = receipt_at(row)?;
        let device_id = receipt.device_id.unwrap_or_default();
        Ok((ReceiptCursor { changed_no: number_at(row, 4)?, no: number_at(row, 5)?, device_id }, receipt))
    })
}

fn receipt_at(row: &Row<'_>) -> StoreResult<Receipt> {
    let state: i64 = row.get(1).or_failed()?;
    Ok(Receipt {
        id: MessageId(uuid_at(row, 0)?),
        state: Delivery::state_from_number(state).unwrap_or(ReceiptState::Delivered),
        device_id: Some(DeviceId(uuid_at(row, 2)?)),
        at_ms: ms_at(row, 3)?,
    })
}

fn delivery_at(row: &Row<'_>) -> StoreResult<Delivery> {
    Ok(Delivery {
        device_id: DeviceId(uuid_at(row, 0)?),
        user_id: UserId(uuid_at(row, 1)?),
        state: Delivery::state_from_number(row.get(2).or_failed()?),
        delivered_ms: optional_ms_at(row, 3)?,
        acknowledged_ms: optional_ms_at(row, 4)?,
        expired_ms: optional_ms_at(row, 5)?,
    })
}

fn count(max: usize) -> i64 {
    i64::try_from(max).unwrap_or(i64::MAX)
}
