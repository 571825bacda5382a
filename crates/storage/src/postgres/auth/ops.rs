use syncline_core::TimestampMs;
use syncline_core::id::WorkspaceId;
use syncline_core::storage::StoreResult;
use tokio_postgres::Row;

use super::{PostgresAuth, get, ms, ms_at};
use crate::postgres::wire::{integer, text};
use crate::sqlite::{AlertRow, Lease, owner_from_text, state_from_text, state_text};

impl PostgresAuth {
    /// Takes or renews a lease. False: somebody else holds it.
    pub fn take_lease(&self, lease: &Lease) -> StoreResult<bool> {
        let sql = "INSERT INTO ops_leases AS l (name, holder, until_ms) VALUES ($1, $2, $4)
            ON CONFLICT (name) DO UPDATE SET holder = $2, until_ms = $4 WHERE l.holder = $2 OR l.until_ms <= $3";
        let params =
            || vec![text(lease.name.as_str()), text(lease.holder.as_str()), ms(lease.now_ms), ms(lease.until_ms)];
        Ok(self.execute(sql, params)? == 1)
    }

    /// Stores alerts as they are now.
    pub fn put_alerts(&self, alerts: &[AlertRow]) -> StoreResult<()> {
        let sql = "INSERT INTO ops_alerts
            (workspace_id, alert_key, rule, severity, state, summary, since_ms, updated_ms)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
            ON CONFLICT (workspace_id, alert_key) DO UPDATE SET severity = $4, state = $5, summary = $6, since_ms = $7,
            updated_ms = $7";
        // In one order everywhere, so that two nodes never wait for each other.
        let mut alerts: Vec<&AlertRow> = alerts.iter().collect();
        alerts.sort_by(|a, b| (&a.workspace_id, &a.key).cmp(&(&b.workspace_id, &b.key)));
        self.write(|wire| {
            for alert in &alerts {
                let params = vec![
                    text(alert.workspace_id.as_ref().map_or("", WorkspaceId::as_str)),
                    text(alert.key.as_str()),
                    text(alert.rule.as_str()),
                    text(alert.severity.as_str()),
                    text(state_text(alert.is_firing)),
                    text(alert.summary.as_str()),
                    ms(alert.since_ms),
                ];
                wire.execute(sql, params)?;
            }
            Ok(())
        })
    }

    /// All alerts that fire.
    pub fn firing_alerts(&self) -> StoreResult<Vec<AlertRow>> {
        let sql = "SELECT * FROM ops_alerts WHERE state = 'firing' ORDER BY workspace_id, alert_key";
        self.all(sql, Vec::new(), alert_at)
    }

    /// The alerts of a workspace and of the nodes: those that fire first, then by age.
    pub fn list_alerts(&self, workspace: &WorkspaceId, limit: usize) -> StoreResult<Vec<AlertRow>> {
        let sql = "SELECT * FROM ops_alerts WHERE workspace_id IN ($1, '')
            ORDER BY state, since_ms DESC, alert_key LIMIT $2";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.all(sql, vec![text(workspace.as_str()), integer(limit)], alert_at)
    }

    /// Forgets alerts that were resolved before `before`; returns how many.
    pub fn purge_alerts(&self, before: TimestampMs) -> StoreResult<usize> {
        let sql = "DELETE FROM ops_alerts WHERE state = 'resolved' AND updated_ms < $1";
        self.execute(sql, || vec![ms(before)])
    }
}

fn alert_at(row: &Row) -> StoreResult<AlertRow> {
    Ok(AlertRow {
        workspace_id: owner_from_text(get(row, "workspace_id")?)?,
        key: get(row, "alert_key")?,
        rule: get(row, "rule")?,
        severity: get(row, "severity")?,
        is_firing: state_from_text(get(row, "state")?)?,
        summary: get(row, "summary")?,
        since_ms: ms_at(row, "since_ms")?,
    })
}
