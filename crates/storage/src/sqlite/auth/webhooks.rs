use rusqlite::{Connection, Row, params};
use syncline_core::id::{UserId, WorkspaceId};
use syncline_core::storage::StoreResult;
use syncline_core::{Seq, TimestampMs};
use uuid::Uuid;

use super::{AuthStore, collect, execute, id_at, ms, ms_at, workspace_at};
use crate::sqlite::error::{OrFailed, corrupt};

/// A webhook of a workspace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Webhook {
    pub workspace_id: WorkspaceId,
    pub id: Uuid,
    pub is_incoming: bool,
    pub name: String,
    pub url: Option<String>,
    /// Signs what goes out, verifies what comes in.
    pub secret: String,
    /// The secret before, while both are good.
    pub former_secret: Option<FormerSecret>,
    /// JSON list.
    pub events: String,
    /// JSON object.
    pub mapping: Option<String>,
    pub is_enabled: bool,
    /// When the server switched it off, why.
    pub disabled_reason: Option<String>,
    /// Seq of the change log up to which deliveries were made.
    pub cursor: Seq,
    /// Deliveries given up in a row.
    pub failures: u64,
    pub created_ms: TimestampMs,
    pub created_by: UserId,
}

/// A secret that was replaced, and until when it is good beside the new one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FormerSecret {
    pub secret: String,
    pub until_ms: TimestampMs,
}

impl Webhook {
    /// The secrets that are good at a moment, the present one first.
    pub fn secrets(&self, now_ms: TimestampMs) -> impl Iterator<Item = &str> {
        let former = self.former_secret.as_ref().filter(|former| former.until_ms > now_ms);
        std::iter::once(self.secret.as_str()).chain(former.map(|former| former.secret.as_str()))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeliveryState {
    Pending,
    Delivered,
    /// Given up.
    Failed,
}

/// A message on its way to a receiver.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    pub workspace_id: WorkspaceId,
    /// What a receiver knows it by; the same at every attempt.
    pub id: Uuid,
    pub webhook_id: Uuid,
    pub event: String,
    pub payload: String,
    pub state: DeliveryState,
    pub attempts: u64,
    /// Pending: when it is due.
    pub next_ms: TimestampMs,
    pub last_status: Option<u16>,
    pub last_error: Option<String>,
    pub created_ms: TimestampMs,
    pub updated_ms: TimestampMs,
}

/// Which deliveries to take, and until when the taker is at them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    pub now_ms: TimestampMs,
    pub lease_until_ms: TimestampMs,
    pub limit: usize,
    /// Deliveries of one webhook that may be under way at a time, with those that others are at.
    pub per_hook: usize,
}

/// How often a webhook's deliveries may be given up in a row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FailurePolicy {
    pub failures_max: u64,
    /// What is written where it is switched off.
    pub reason: String,
}

impl DeliveryState {
    pub fn as_str(self) -> &'static str {
        match self {
            DeliveryState::Pending => "pending",
            DeliveryState::Delivered => "delivered",
            DeliveryState::Failed => "failed",
        }
    }

    pub(crate) fn from_text(text: &str) -> StoreResult<Self> {
        let all = [DeliveryState::Pending, DeliveryState::Delivered, DeliveryState::Failed];
        let found = all.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| corrupt(format!("`{text}` is no state of a delivery")))
    }
}

impl AuthStore {
    /// Inserts or replaces a webhook, unless the workspace has `max` others. False: it has.
    pub fn put_webhook(&self, hook: &Webhook, max: usize) -> StoreResult<bool> {
        let (workspace, id) = (hook.workspace_id.as_str(), hook.id.to_string());
        self.write(|conn| {
            let sql = "SELECT count(*) FROM webhooks WHERE workspace_id = ?1 AND id <> ?2";
            let others: i64 = conn.query_row(sql, params![workspace, id], |row| row.get(0)).or_failed()?;
            if others.unsigned_abs() >= max as u64 {
                return Ok(false);
            }
            let sql = "INSERT INTO webhooks (workspace_id, id, is_incoming, name, url, secret, events, mapping, is_enabled,
                disabled_reason, cursor, failures, created_ms, created_by, former_secret, former_until_ms)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
                ON CONFLICT (workspace_id, id) DO UPDATE SET name = ?4, url = ?5, secret = ?6, events = ?7, mapping = ?8,
                is_enabled = ?9, disabled_reason = ?10, cursor = ?11, failures = ?12, former_secret = ?15,
                former_until_ms = ?16";
            let former = hook.former_secret.as_ref();
            let (former, until) = (former.map(|f| f.secret.as_str()), ms(former.map_or(0, |f| f.until_ms)));
            let (cursor, failures) = (ms(hook.cursor), ms(hook.failures));
            let row = params![
                workspace, id, hook.is_incoming, hook.name, hook.url, hook.secret, hook.events, hook.mapping,
                hook.is_enabled, hook.disabled_reason, cursor, failures, ms(hook.created_ms), hook.created_by.to_string(),
                former, until
            ];
            execute(conn, sql, row).map(|_| true)
        })
    }

    /// A workspace's webhooks, oldest first.
    pub fn list_webhooks(&self, workspace: &WorkspaceId) -> StoreResult<Vec<Webhook>> {
        let sql = "SELECT * FROM webhooks WHERE workspace_id = ?1 ORDER BY created_ms, id";
        self.read(|conn| collect(conn, sql, [workspace.as_str()], webhook_at))
    }

    /// All that are told of changes and switched on.
    pub fn outgoing_webhooks(&self) -> StoreResult<Vec<Webhook>> {
        let sql = "SELECT * FROM webhooks WHERE is_enabled = 1 AND is_incoming = 0 ORDER BY workspace_id, id";
        self.read(|conn| collect(conn, sql, [], webhook_at))
    }

    /// The webhook of this id in whatever workspace.
    pub fn find_webhook(&self, id: Uuid) -> StoreResult<Option<Webhook>> {
        let sql = "SELECT * FROM webhooks WHERE id = ?1";
        self.read(|conn| Ok(collect(conn, sql, [id.to_string()], webhook_at)?.pop()))
    }

    /// Deletes a webhook with its deliveries. False: there is none.
    pub fn delete_webhook(&self, workspace: &WorkspaceId, id: Uuid) -> StoreResult<bool> {
        let key = || [workspace.as_str().to_owned(), id.to_string()];
        self.write(|conn| {
            execute(conn, "DELETE FROM webhook_deliveries WHERE workspace_id = ?1 AND webhook_id = ?2", key())?;
            Ok(execute(conn, "DELETE FROM webhooks WHERE workspace_id = ?1 AND id = ?2", key())? == 1)
        })
    }

    /// Stores the deliveries of a stretch of the log and moves the webhook's cursor over it, both or neither. False: the cursor
    /// is no longer at `from`, and nothing happened.
    pub fn enqueue_deliveries(&self, hook: &Webhook, to: Seq, deliveries: &[Delivery]) -> StoreResult<bool> {
        self.write(|conn| {
            let sql = "UPDATE webhooks SET cursor = ?4 WHERE workspace_id = ?1 AND id = ?2 AND cursor = ?3";
            let key = params![hook.workspace_id.as_str(), hook.id.to_string(), ms(hook.cursor), ms(to)];
            if execute(conn, sql, key)? == 0 {
                return Ok(false);
            }
            deliveries.iter().try_for_each(|delivery| insert_delivery(conn, delivery))?;
            Ok(true)
        })
    }

    /// Deliveries that wait.
    pub fn pending_deliveries(&self, workspace: &WorkspaceId, webhook_id: Uuid) -> StoreResult<u64> {
        let sql = "SELECT count(*) AS pending FROM webhook_deliveries
                   WHERE workspace_id = ?1 AND webhook_id = ?2 AND state = 'pending'";
        let key = params![workspace.as_str(), webhook_id.to_string()];
        Ok(self.read(|conn| collect(conn, sql, key, |row| ms_at(row, "pending")))?.pop().unwrap_or(0))
    }

    /// Takes deliveries that are due and that nobody is at, oldest first.
    pub fn claim_deliveries(&self, claim: &Claim) -> StoreResult<Vec<Delivery>> {
        let sql = "UPDATE webhook_deliveries SET lease_until_ms = ?2 WHERE (workspace_id, id) IN (
                       SELECT workspace_id, id FROM (
                           SELECT workspace_id, id, next_ms, lease_until_ms, row_number() OVER (
                               PARTITION BY workspace_id, webhook_id ORDER BY lease_until_ms <= ?1, next_ms) AS place
                           FROM webhook_deliveries d
                           WHERE state = 'pending' AND (next_ms <= ?1 OR lease_until_ms > ?1) AND EXISTS (
                               SELECT 1 FROM webhooks h WHERE h.workspace_id = d.workspace_id
                                   AND h.id = d.webhook_id AND h.is_enabled = 1))
                       WHERE lease_until_ms <= ?1 AND place <= ?4 ORDER BY next_ms LIMIT ?3)
                   RETURNING *";
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let key = params![ms(claim.now_ms), ms(claim.lease_until_ms), number(claim.limit), number(claim.per_hook)];
        self.write(|conn| collect(conn, sql, key, delivery_at))
    }

    /// Stores how an attempt ended, and lets the delivery go. A delivered one ends its webhook's row of failures; one that is given
    /// up counts, and too many switch the webhook off. True: this one did.
    pub fn finish_attempt(&self, delivery: &Delivery, policy: &FailurePolicy) -> StoreResult<bool> {
        let (workspace, hook) = (delivery.workspace_id.as_str(), delivery.webhook_id.to_string());
        self.write(|conn| {
            let sql = "UPDATE webhook_deliveries SET state = ?3, attempts = ?4, next_ms = ?5, lease_until_ms = 0,
                last_status = ?6, last_error = ?7, updated_ms = ?8 WHERE workspace_id = ?1 AND id = ?2";
            let row = params![
                workspace,
                delivery.id.to_string(),
                delivery.state.as_str(),
                ms(delivery.attempts),
                ms(delivery.next_ms),
                delivery.last_status,
                delivery.last_error,
                ms(delivery.updated_ms)
            ];
            execute(conn, sql, row)?;
            match delivery.state {
                DeliveryState::Pending => Ok(false),
                DeliveryState::Delivered => {
                    let sql = "UPDATE webhooks SET failures = 0 WHERE workspace_id = ?1 AND id = ?2 AND failures > 0";
                    execute(conn, sql, params![workspace, hook]).map(|_| false)
                }
                DeliveryState::Failed => {
                    let sql = "UPDATE webhooks SET failures = failures + 1 WHERE workspace_id = ?1 AND id = ?2";
                    execute(conn, sql, params![workspace, hook])?;
                    let sql = "UPDATE webhooks SET is_enabled = 0, disabled_reason = ?4
                               WHERE workspace_id = ?1 AND id = ?2 AND failures >= ?3 AND is_enabled = 1";
                    let off = params![workspace, hook, ms(policy.failures_max), policy.reason];
                    Ok(execute(conn, sql, off)? == 1)
                }
            }
        })
    }

    /// The deliveries of a webhook, newest first.
    pub fn list_deliveries(
        &self,
        workspace: &WorkspaceId,
        webhook_id: Uuid,
        limit: usize,
    ) -> StoreResult<Vec<Delivery>> {
        let sql = "SELECT * FROM webhook_deliveries WHERE workspace_id = ?1 AND webhook_id = ?2
                   ORDER BY created_ms DESC, id DESC LIMIT ?3";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let key = params![workspace.as_str(), webhook_id.to_string(), limit];
        self.read(|conn| collect(conn, sql, key, delivery_at))
    }

    /// Makes a delivery due again, as if it had never been tried. False: there is none.
    pub fn retry_delivery(&self, workspace: &WorkspaceId, id: Uuid, now: TimestampMs) -> StoreResult<bool> {
        let sql = "UPDATE webhook_deliveries SET state = 'pending', attempts = 0, next_ms = ?3, updated_ms = ?3
                   WHERE workspace_id = ?1 AND id = ?2";
        self.write(|conn| Ok(execute(conn, sql, params![workspace.as_str(), id.to_string(), ms(now)])? == 1))
    }

    /// Forgets deliveries that ended before `before`; returns how many.
    pub fn purge_deliveries(&self, before: TimestampMs) -> StoreResult<usize> {
        let sql = "DELETE FROM webhook_deliveries WHERE state <> 'pending' AND updated_ms < ?1";
        self.write(|conn| execute(conn, sql, [ms(before)]))
    }
}

/// One that is there already stays as it is: the same stretch of the log makes the same ids.
fn insert_delivery(conn: &Connection, delivery: &Delivery) -> StoreResult<()> {
    let sql = "INSERT INTO webhook_deliveries (workspace_id, id, webhook_id, event, payload, state, attempts, next_ms,
        lease_until_ms, created_ms, updated_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, 0, ?8, ?8)
        ON CONFLICT (workspace_id, id) DO NOTHING";
    let row = params![
        delivery.workspace_id.as_str(),
        delivery.id.to_string(),
        delivery.webhook_id.to_string(),
        delivery.event,
        delivery.payload,
        delivery.state.as_str(),
        ms(delivery.next_ms),
        ms(delivery.created_ms)
    ];
    execute(conn, sql, row).map(drop)
}

fn webhook_at(row: &Row<'_>) -> StoreResult<Webhook> {
    Ok(Webhook {
        workspace_id: workspace_at(row)?,
        id: id_at(row, "id")?,
        is_incoming: row.get("is_incoming").or_failed()?,
        name: row.get("name").or_failed()?,
        url: row.get("url").or_failed()?,
        secret: row.get("secret").or_failed()?,
        former_secret: match row.get::<_, Option<String>>("former_secret").or_failed()? {
            Some(secret) => Some(FormerSecret { secret, until_ms: ms_at(row, "former_until_ms")? }),
            None => None,
        },
        events: row.get("events").or_failed()?,
        mapping: row.get("mapping").or_failed()?,
        is_enabled: row.get("is_enabled").or_failed()?,
        disabled_reason: row.get("disabled_reason").or_failed()?,
        cursor: ms_at(row, "cursor")?,
        failures: ms_at(row, "failures")?,
        created_ms: ms_at(row, "created_ms")?,
        created_by: id_at(row, "created_by")?,
    })
}

fn delivery_at(row: &Row<'_>) -> StoreResult<Delivery> {
    let state: String = row.get("state").or_failed()?;
    Ok(Delivery {
        workspace_id: workspace_at(row)?,
        id: id_at(row, "id")?,
        webhook_id: id_at(row, "webhook_id")?,
        event: row.get("event").or_failed()?,
        payload: row.get("payload").or_failed()?,
        state: DeliveryState::from_text(&state)?,
        attempts: ms_at(row, "attempts")?,
        next_ms: ms_at(row, "next_ms")?,
        last_status: row.get("last_status").or_failed()?,
        last_error: row.get("last_error").or_failed()?,
        created_ms: ms_at(row, "created_ms")?,
        updated_ms: ms_at(row, "updated_ms")?,
    })
}
