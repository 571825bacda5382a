//! Reading messages: what a session sends, what people list.

use syncline_core::TimestampMs;
use syncline_core::id::{DeviceId, MessageId, UserId, WorkspaceId};
use syncline_core::messages::{Receipt, ReceiptState};
use syncline_core::storage::StoreResult;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::{MESSAGE, PostgresMessages, count, device_at, kept_at, ms, optional_ms_at};
use crate::messages::{
    CONCERNED_MAX, Concerned, DELIVERIES_LISTED_MAX, Delivery, KeptMessage, Listed, Mail, MailWanted, MessageCounts,
    MessagePage, ReceiptCursor,
};
use crate::postgres::error::{Fault, corrupt};
use crate::postgres::rows::{at, unsigned};
use crate::postgres::values::int;
use crate::postgres::wire::{Param, Reply, Request, Wire, integer, text, uuid};

const HEAD: &str = "SELECT coalesce((SELECT head FROM msg_workspaces WHERE workspace_id = $1), 0)";

impl PostgresMessages {
    pub fn mail(
        &self,
        workspace: &WorkspaceId,
        device_id: DeviceId,
        wanted: MailWanted,
        now: TimestampMs,
    ) -> StoreResult<Mail> {
        let key = || vec![text(workspace.as_str())];
        let (transaction, head) = self.server.begin_read(Request::query(HEAD, key()))?;
        let head = one_number(&head)?;
        let sql = format!(
            "SELECT {MESSAGE} FROM msg_deliveries d JOIN msg_messages m ON m.workspace_id = $1 AND m.no = d.no
            WHERE d.workspace_id = $1 AND d.device_id = $2 AND d.state < 2 AND m.expires_ms > $3
            ORDER BY d.priority, d.no LIMIT $4"
        );
        let row = vec![text(workspace.as_str()), uuid(device_id.0), ms(now), count(wanted.due_max)];
        let mut requests = vec![Request::query(sql, row)];
        let after = wanted.receipts_after.filter(|after| *after < ReceiptCursor::at(head));
        requests.extend(after.map(|after| receipts(workspace, device_id, after, wanted.receipts_max)));
        let replies = flight(&transaction.wire(), &requests)?;
        let due = replies[0].rows.iter().map(kept_at).map(|kept| Ok(kept?.message)).collect::<StoreResult<_>>()?;
        let mut mail = Mail { due, receipts_upto: ReceiptCursor::at(head), ..Mail::default() };
        if let Some(reply) = replies.get(1) {
            let found = reply.rows.iter().map(receipt_at).collect::<StoreResult<Vec<_>>>()?;
            mail.has_more_receipts = found.len() >= wanted.receipts_max;
            if let Some((last, _)) = found.last().filter(|_| mail.has_more_receipts) {
                mail.receipts_upto = *last;
            }
            mail.receipts = found.into_iter().map(|(_, receipt)| receipt).collect();
        }
        Ok(mail)
    }

    pub fn heads(&self) -> StoreResult<Vec<(WorkspaceId, u64)>> {
        self.all("SELECT workspace_id, head FROM msg_workspaces ORDER BY workspace_id", Vec::new(), |row| {
            let id = WorkspaceId::new(at::<&str>(row, 0)?).map_err(|error| corrupt(error.to_string()))?;
            Ok((id, unsigned(row, 1)?))
        })
    }

    pub fn concerned_since(&self, workspace: &WorkspaceId, after: u64) -> StoreResult<Concerned> {
        let (transaction, head) = self.server.begin_read(Request::query(HEAD, vec![text(workspace.as_str())]))?;
        let row = || vec![text(workspace.as_str()), integer(int(after)), count(CONCERNED_MAX + 1)];
        let due = "SELECT device_id FROM msg_deliveries WHERE workspace_id = $1 AND no > $2 AND state < 2 LIMIT $3";
        let senders =
            "SELECT sender_device_id FROM msg_deliveries WHERE workspace_id = $1 AND changed_no > $2 LIMIT $3";
        let replies = flight(&transaction.wire(), &[Request::query(due, row()), Request::query(senders, row())])?;
        let is_cut = replies.iter().any(|reply| reply.rows.len() > CONCERNED_MAX);
        let devices = replies.iter().flat_map(|reply| &reply.rows).map(device_at).collect::<StoreResult<_>>()?;
        Ok(Concerned { devices, head: one_number(&head)?, is_cut })
    }

    pub fn list(&self, workspace: &WorkspaceId, page: &MessagePage) -> StoreResult<Vec<KeptMessage>> {
        let (condition, user) = match page.listed {
            Listed::Received(user) => (
                "m.no IN (SELECT d.no FROM msg_deliveries d WHERE d.workspace_id = $1 AND d.user_id = $2 AND d.no < $3)",
                user,
            ),
            Listed::Sent(user) => ("m.sender_user_id = $2", user),
            Listed::All => ("$2::uuid IS NOT NULL", UserId::NIL),
            Listed::DeadLetters => ("$2::uuid IS NOT NULL AND m.state = 2", UserId::NIL),
        };
        let sql = format!(
            "SELECT {MESSAGE} FROM msg_messages m WHERE m.workspace_id = $1 AND m.no < $3 AND {condition}
                AND ($4::text IS NULL OR m.message_type = $4::text) ORDER BY m.no DESC LIMIT $5"
        );
        let message_type: Param = (Box::new(page.message_type.clone()), Type::TEXT);
        let before = integer(page.before.map_or(i64::MAX, int));
        let row = vec![text(workspace.as_str()), uuid(user.0), before, message_type, count(page.limit)];
        self.all(&sql, row, kept_at)
    }

    pub fn get(&self, workspace: &WorkspaceId, id: MessageId) -> StoreResult<Option<(KeptMessage, Vec<Delivery>)>> {
        let sql = format!("SELECT {MESSAGE} FROM msg_messages m WHERE m.workspace_id = $1 AND m.message_id = $2");
        let (transaction, reply) =
            self.server.begin_read(Request::query(sql, vec![text(workspace.as_str()), uuid(id.0)]))?;
        let Some(kept) = reply.rows.first().map(kept_at).transpose()? else { return Ok(None) };
        let sql = "SELECT device_id, user_id, state, delivered_ms, acknowledged_ms, expired_ms FROM msg_deliveries
            WHERE workspace_id = $1 AND no = $2 ORDER BY device_id LIMIT $3";
        let row = vec![text(workspace.as_str()), integer(int(kept.no)), count(DELIVERIES_LISTED_MAX)];
        let replies = flight(&transaction.wire(), &[Request::query(sql, row)])?;
        let deliveries = replies[0].rows.iter().map(delivery_at).collect::<StoreResult<_>>()?;
        Ok(Some((kept, deliveries)))
    }

    pub fn is_for(&self, workspace: &WorkspaceId, id: MessageId, user_id: UserId) -> StoreResult<bool> {
        let sql = "SELECT 1::bigint FROM msg_deliveries WHERE workspace_id = $1 AND user_id = $3
            AND no = (SELECT no FROM msg_messages WHERE workspace_id = $1 AND message_id = $2) LIMIT 1";
        let row = vec![text(workspace.as_str()), uuid(id.0), uuid(user_id.0)];
        Ok(!self.all(sql, row, |row| unsigned(row, 0))?.is_empty())
    }

    pub fn counts(&self) -> StoreResult<MessageCounts> {
        let sql = "SELECT (SELECT count(*) FROM msg_deliveries WHERE state < 2),
            (SELECT count(*) FROM msg_messages WHERE state = 2)";
        let counts = |row: &Row| Ok(MessageCounts { due: unsigned(row, 0)?, dead_letters: unsigned(row, 1)? });
        Ok(self.all(sql, Vec::new(), counts)?.pop().unwrap_or_default())
    }
}

fn flight(wire: &Wire<'_>, requests: &[Request]) -> StoreResult<Vec<Reply>> {
    wire.flight(requests).map_err(Fault::into_store_error)
}

fn one_number(reply: &Reply) -> StoreResult<u64> {
    reply.rows.first().map_or(Ok(0), |row| unsigned(row, 0))
}

/// Deliveries of the device's messages that changed after a place, in order.
fn receipts(workspace: &WorkspaceId, sender: DeviceId, after: ReceiptCursor, max: usize) -> Request {
    let sql = "SELECT m.message_id, d.state, d.device_id,
            CASE d.state WHEN 3 THEN d.expired_ms WHEN 2 THEN d.acknowledged_ms ELSE d.delivered_ms END,
            d.changed_no, d.no
        FROM msg_deliveries d JOIN msg_messages m ON m.workspace_id = $1 AND m.no = d.no
        WHERE d.workspace_id = $1 AND d.sender_device_id = $2 AND d.changed_no IS NOT NULL
            AND (d.changed_no, d.no, d.device_id) > ($3, $4, $5)
        ORDER BY d.changed_no, d.no, d.device_id LIMIT $6";
    let row = vec![
        text(workspace.as_str()),
        uuid(sender.0),
        integer(int(after.changed_no)),
        integer(int(after.no)),
        uuid(after.device_id.0),
        count(max),
    ];
    Request::query(sql, row)
}

fn receipt_at(row: &Row) -> StoreResult<(ReceiptCursor, Receipt)> {
    let device_id = DeviceId(at(row, 2)?);
    let receipt = Receipt {
        id: MessageId(at(row, 0)?),
        state: Delivery::state_from_number(at(row, 1)?).unwrap_or(ReceiptState::Delivered),
        device_id: Some(device_id),
        at_ms: unsigned(row, 3)?,
    };
    Ok((ReceiptCursor { changed_no: unsigned(row, 4)?, no: unsigned(row, 5)?, device_id }, receipt))
}

fn delivery_at(row: &Row) -> StoreResult<Delivery> {
    Ok(Delivery {
        device_id: DeviceId(at(row, 0)?),
        user_id: UserId(at(row, 1)?),
        state: Delivery::state_from_number(at(row, 2)?),
        delivered_ms: optional_ms_at(row, 3)?,
        acknowledged_ms: optional_ms_at(row, 4)?,
        expired_ms: optional_ms_at(row, 5)?,
    })
}
