use syncline_core::id::{UserId, WorkspaceId};
use syncline_core::storage::StoreResult;
use syncline_core::{Seq, TimestampMs};
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{PostgresAuth, get, ms, ms_at, text_at, workspace_at};
use crate::postgres::error::corrupt;
use crate::postgres::values::escaped;
use crate::postgres::wire::{Param, integer, text, uuid};
use crate::sqlite::{Claim, Delivery, DeliveryState, FailurePolicy, FormerSecret, Webhook};

impl PostgresAuth {
    /// Inserts or replaces a webhook, unless the workspace has `max` others. False: it has.
    pub fn put_webhook(&self, hook: &Webhook, max: usize) -> StoreResult<bool> {
        self.write_in(&hook.workspace_id, |wire| {
            let sql = "SELECT count(*) AS others FROM webhooks WHERE workspace_id = $1 AND id <> $2";
            let rows = wire.query(sql, key(&hook.workspace_id, hook.id))?;
            let others = rows.first().map(|row| ms_at(row, "others")).transpose()?.unwrap_or(0);
            if others >= max as u64 {
                return Ok(false);
            }
            let sql = "INSERT INTO webhooks (workspace_id, id, is_incoming, name, url, secret, events, mapping, is_enabled,
                disabled_reason, cursor, failures, created_ms, created_by, former_secret, former_until_ms)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
                ON CONFLICT (workspace_id, id) DO UPDATE SET name = $4, url = $5, secret = $6, events = $7, mapping = $8,
                is_enabled = $9, disabled_reason = $10, cursor = $11, failures = $12, former_secret = $15,
                former_until_ms = $16";
            let former = hook.former_secret.as_ref();
            let mut params = key(&hook.workspace_id, hook.id);
            params.extend([
                boolean(hook.is_incoming),
                text(escaped(&hook.name)),
                optional(hook.url.as_deref()),
                text(hook.secret.as_str()),
                text(escaped(&hook.events)),
                optional(hook.mapping.as_deref()),
                boolean(hook.is_enabled),
                optional(hook.disabled_reason.as_deref()),
                ms(hook.cursor),
                ms(hook.failures),
                ms(hook.created_ms),
                uuid(hook.created_by.0),
                optional(former.map(|former| former.secret.as_str())),
                ms(former.map_or(0, |former| former.until_ms)),
            ]);
            wire.execute(sql, params)?;
            Ok(true)
        })
    }

    /// A workspace's webhooks, oldest first.
    pub fn list_webhooks(&self, workspace: &WorkspaceId) -> StoreResult<Vec<Webhook>> {
        let sql = "SELECT * FROM webhooks WHERE workspace_id = $1 ORDER BY created_ms, id";
        self.all(sql, vec![text(workspace.as_str())], webhook_at)
    }

    /// All that are told of changes and switched on.
    pub fn outgoing_webhooks(&self) -> StoreResult<Vec<Webhook>> {
        let sql = "SELECT * FROM webhooks WHERE is_enabled AND NOT is_incoming ORDER BY workspace_id, id";
        self.all(sql, Vec::new(), webhook_at)
    }

    /// The webhook of this id in whatever workspace.
    pub fn find_webhook(&self, id: Uuid) -> StoreResult<Option<Webhook>> {
        self.one("SELECT * FROM webhooks WHERE id = $1", vec![uuid(id)], webhook_at)
    }

    /// Deletes a webhook with its deliveries. False: there is none.
    pub fn delete_webhook(&self, workspace: &WorkspaceId, id: Uuid) -> StoreResult<bool> {
        self.write(|wire| {
            let sql = "DELETE FROM webhook_deliveries WHERE workspace_id = $1 AND webhook_id = $2";
            wire.execute(sql, key(workspace, id))?;
            let sql = "DELETE FROM webhooks WHERE workspace_id = $1 AND id = $2";
            Ok(wire.execute(sql, key(workspace, id))? == 1)
        })
    }

    /// Stores the deliveries of a stretch of the log and moves the webhook's cursor over it, both or neither. False: the cursor
    /// is no longer at `from`, and nothing happened.
    pub fn enqueue_deliveries(&self, hook: &Webhook, to: Seq, deliveries: &[Delivery]) -> StoreResult<bool> {
        self.write(|wire| {
            let sql = "UPDATE webhooks SET cursor = $4 WHERE workspace_id = $1 AND id = $2 AND cursor = $3";
            let mut params = key(&hook.workspace_id, hook.id);
            params.extend([ms(hook.cursor), ms(to)]);
            if wire.execute(sql, params)? == 0 {
                return Ok(false);
            }
            // The same stretch of the log makes the same ids: one that is there already stays as it is.
            let sql = "INSERT INTO webhook_deliveries (workspace_id, id, webhook_id, event, payload, state, attempts,
                next_ms, lease_until_ms, created_ms, updated_ms) VALUES ($1, $2, $3, $4, $5, $6, 0, $7, 0, $8, $8)
                ON CONFLICT (workspace_id, id) DO NOTHING";
            for delivery in deliveries {
                let mut params = key(&delivery.workspace_id, delivery.id);
                params.extend([
                    uuid(delivery.webhook_id),
                    text(delivery.event.as_str()),
                    text(escaped(&delivery.payload)),
                    text(delivery.state.as_str()),
                    ms(delivery.next_ms),
                    ms(delivery.created_ms),
                ]);
                wire.execute(sql, params)?;
            }
            Ok(true)
        })
    }

    /// Deliveries that wait.
    pub fn pending_deliveries(&self, workspace: &WorkspaceId, webhook_id: Uuid) -> StoreResult<u64> {
        let sql = "SELECT count(*) AS pending FROM webhook_deliveries
            WHERE workspace_id = $1 AND webhook_id = $2 AND state = 'pending'";
        let pending = self.one(sql, key(workspace, webhook_id), |row| ms_at(row, "pending"))?;
        Ok(pending.unwrap_or(0))
    }

    /// Takes deliveries that are due and that nobody is at, oldest first.
    pub fn claim_deliveries(&self, claim: &Claim) -> StoreResult<Vec<Delivery>> {
        let sql = "UPDATE webhook_deliveries SET lease_until_ms = $2 WHERE (workspace_id, id) IN (
                SELECT d.workspace_id, d.id FROM webhook_deliveries d JOIN (
                    SELECT workspace_id, id, row_number() OVER (
                        PARTITION BY workspace_id, webhook_id ORDER BY lease_until_ms <= $1, next_ms) AS place
                    FROM webhook_deliveries p
                    WHERE state = 'pending' AND (next_ms <= $1 OR lease_until_ms > $1) AND EXISTS (
                        SELECT 1 FROM webhooks h WHERE h.workspace_id = p.workspace_id
                            AND h.id = p.webhook_id AND h.is_enabled)) placed
                ON placed.workspace_id = d.workspace_id AND placed.id = d.id
                WHERE d.state = 'pending' AND d.lease_until_ms <= $1 AND placed.place <= $4
                ORDER BY d.next_ms LIMIT $3 FOR UPDATE OF d SKIP LOCKED)
            RETURNING *";
        let number = |count: usize| integer(i64::try_from(count).unwrap_or(i64::MAX));
        self.write(|wire| {
            let rows = wire.query(
                sql,
                vec![ms(claim.now_ms), ms(claim.lease_until_ms), number(claim.limit), number(claim.per_hook)],
            )?;
            Ok(rows.iter().map(delivery_at).collect::<StoreResult<_>>()?)
        })
    }

    /// Stores how an attempt ended, and lets the delivery go. A delivered one ends its webhook's row of failures; one that is given
    /// up counts, and too many switch the webhook off. True: this one did.
    pub fn finish_attempt(&self, delivery: &Delivery, policy: &FailurePolicy) -> StoreResult<bool> {
        let hook = || key(&delivery.workspace_id, delivery.webhook_id);
        self.write(|wire| {
            let sql = "UPDATE webhook_deliveries SET state = $3, attempts = $4, next_ms = $5, lease_until_ms = 0,
                last_status = $6, last_error = $7, updated_ms = $8 WHERE workspace_id = $1 AND id = $2";
            let mut params = key(&delivery.workspace_id, delivery.id);
            params.extend([
                text(delivery.state.as_str()),
                ms(delivery.attempts),
                ms(delivery.next_ms),
                (Box::new(delivery.last_status.map(i64::from)), Type::INT8),
                optional(delivery.last_error.as_deref()),
                ms(delivery.updated_ms),
            ]);
            wire.execute(sql, params)?;
            match delivery.state {
                DeliveryState::Pending => Ok(false),
                DeliveryState::Delivered => {
                    let sql = "UPDATE webhooks SET failures = 0 WHERE workspace_id = $1 AND id = $2 AND failures > 0";
                    wire.execute(sql, hook())?;
                    Ok(false)
                }
                DeliveryState::Failed => {
                    let sql = "UPDATE webhooks SET failures = failures + 1 WHERE workspace_id = $1 AND id = $2";
                    wire.execute(sql, hook())?;
                    let sql = "UPDATE webhooks SET is_enabled = false, disabled_reason = $4
                        WHERE workspace_id = $1 AND id = $2 AND failures >= $3 AND is_enabled";
                    let mut params = hook();
                    params.extend([ms(policy.failures_max), text(policy.reason.as_str())]);
                    Ok(wire.execute(sql, params)? == 1)
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
        let sql = "SELECT * FROM webhook_deliveries WHERE workspace_id = $1 AND webhook_id = $2
            ORDER BY created_ms DESC, id DESC LIMIT $3";
        let mut params = key(workspace, webhook_id);
        params.push(integer(i64::try_from(limit).unwrap_or(i64::MAX)));
        self.all(sql, params, delivery_at)
    }

    /// Makes a delivery due again, as if it had never been tried. False: there is none.
    pub fn retry_delivery(&self, workspace: &WorkspaceId, id: Uuid, now: TimestampMs) -> StoreResult<bool> {
        let sql = "UPDATE webhook_deliveries SET state = 'pending', attempts = 0, next_ms = $3, updated_ms = $3
            WHERE workspace_id = $1 AND id = $2";
        Ok(self.execute(sql, || key(workspace, id).into_iter().chain([ms(now)]).collect())? == 1)
    }

    /// Forgets deliveries that ended before `before`; returns how many.
    pub fn purge_deliveries(&self, before: TimestampMs) -> StoreResult<usize> {
        let sql = "DELETE FROM webhook_deliveries WHERE state <> 'pending' AND updated_ms < $1";
        self.execute(sql, || vec![ms(before)])
    }
}

fn key(workspace: &WorkspaceId, id: Uuid) -> Vec<Param> {
    vec![text(workspace.as_str()), uuid(id)]
}

fn boolean(value: bool) -> Param {
    (Box::new(value), Type::BOOL)
}

fn optional(value: Option<&str>) -> Param {
    (Box::new(value.map(|value| escaped(value).into_owned())), Type::TEXT)
}

fn optional_at(row: &Row, column: &str) -> StoreResult<Option<String>> {
    let value: Option<&str> = get(row, column)?;
    value.map(|_| text_at(row, column)).transpose()
}

fn webhook_at(row: &Row) -> StoreResult<Webhook> {
    Ok(Webhook {
        workspace_id: workspace_at(row)?,
        id: get(row, "id")?,
        is_incoming: get(row, "is_incoming")?,
        name: text_at(row, "name")?,
        url: optional_at(row, "url")?,
        secret: get(row, "secret")?,
        former_secret: match optional_at(row, "former_secret")? {
            Some(secret) => Some(FormerSecret { secret, until_ms: ms_at(row, "former_until_ms")? }),
            None => None,
        },
        events: text_at(row, "events")?,
        mapping: optional_at(row, "mapping")?,
        is_enabled: get(row, "is_enabled")?,
        disabled_reason: optional_at(row, "disabled_reason")?,
        cursor: ms_at(row, "cursor")?,
        failures: ms_at(row, "failures")?,
        created_ms: ms_at(row, "created_ms")?,
        created_by: UserId(get(row, "created_by")?),
    })
}

fn delivery_at(row: &Row) -> StoreResult<Delivery> {
    let status: Option<i64> = get(row, "last_status")?;
    let status = status.map(|status| u16::try_from(status).map_err(|_| corrupt(format!("status {status}"))));
    Ok(Delivery {
        workspace_id: workspace_at(row)?,
        id: get(row, "id")?,
        webhook_id: get(row, "webhook_id")?,
        event: get(row, "event")?,
        payload: text_at(row, "payload")?,
        state: DeliveryState::from_text(get(row, "state")?)?,
        attempts: ms_at(row, "attempts")?,
        next_ms: ms_at(row, "next_ms")?,
        last_status: status.transpose()?,
        last_error: optional_at(row, "last_error")?,
        created_ms: ms_at(row, "created_ms")?,
        updated_ms: ms_at(row, "updated_ms")?,
    })
}
