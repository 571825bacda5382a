use rusqlite::{Row, params};
use syncline_core::TimestampMs;
use syncline_core::id::WorkspaceId;
use syncline_core::storage::StoreResult;

use super::{AuthStore, collect, execute, ms, ms_at};
use crate::sqlite::error::{OrFailed, corrupt};

/// The right to do a task that one node at a time does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    pub name: String,
    /// Who asks for it.
    pub holder: String,
    pub now_ms: TimestampMs,
    /// Until when it is wanted. To be renewed before.
    pub until_ms: TimestampMs,
}

/// An alert as it last was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlertRow {
    /// `None`: about a node.
    pub workspace_id: Option<WorkspaceId>,
    /// Tells the alerts of a workspace apart.
    pub key: String,
    pub rule: String,
    pub severity: String,
    /// False: resolved.
    pub is_firing: bool,
    /// One sentence for a person.
    pub summary: String,
    /// When it began to fire, or was resolved.
    pub since_ms: TimestampMs,
}

impl AuthStore {
    /// Takes or renews a lease. False: somebody else holds it.
    pub fn take_lease(&self, lease: &Lease) -> StoreResult<bool> {
        let sql = "INSERT INTO ops_leases (name, holder, until_ms) VALUES (?1, ?2, ?4)
                   ON CONFLICT (name) DO UPDATE SET holder = ?2, until_ms = ?4 WHERE holder = ?2 OR until_ms <= ?3";
        let row = params![lease.name, lease.holder, ms(lease.now_ms), ms(lease.until_ms)];
        self.write(|conn| Ok(execute(conn, sql, row)? == 1))
    }

    /// Stores alerts as they are now.
    pub fn put_alerts(&self, alerts: &[AlertRow]) -> StoreResult<()> {
        let sql = "INSERT INTO ops_alerts
            (workspace_id, alert_key, rule, severity, state, summary, since_ms, updated_ms)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)
            ON CONFLICT (workspace_id, alert_key) DO UPDATE SET severity = ?4, state = ?5, summary = ?6, since_ms = ?7,
            updated_ms = ?7";
        self.write(|conn| {
            for alert in alerts {
                let workspace = alert.workspace_id.as_ref().map_or("", WorkspaceId::as_str);
                let (state, since) = (state_text(alert.is_firing), ms(alert.since_ms));
                let row = params![workspace, alert.key, alert.rule, alert.severity, state, alert.summary, since];
                execute(conn, sql, row)?;
            }
            Ok(())
        })
    }

    /// All alerts that fire.
    pub fn firing_alerts(&self) -> StoreResult<Vec<AlertRow>> {
        let sql = "SELECT * FROM ops_alerts WHERE state = 'firing' ORDER BY workspace_id, alert_key";
        self.read(|conn| collect(conn, sql, [], alert_at))
    }

    /// The alerts of a workspace and of the nodes: those that fire first, then by age.
    pub fn list_alerts(&self, workspace: &WorkspaceId, limit: usize) -> StoreResult<Vec<AlertRow>> {
        let sql = "SELECT * FROM ops_alerts WHERE workspace_id IN (?1, '')
                   ORDER BY state, since_ms DESC, alert_key LIMIT ?2";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(|conn| collect(conn, sql, params![workspace.as_str(), limit], alert_at))
    }

    /// Forgets alerts that were resolved before `before`; returns how many.
    pub fn purge_alerts(&self, before: TimestampMs) -> StoreResult<usize> {
        let sql = "DELETE FROM ops_alerts WHERE state = 'resolved' AND updated_ms < ?1";
        self.write(|conn| execute(conn, sql, [ms(before)]))
    }
}

/// A state as it is stored; firing sorts first.
pub(crate) fn state_text(is_firing: bool) -> &'static str {
    if is_firing { "firing" } else { "resolved" }
}

pub(crate) fn state_from_text(text: &str) -> StoreResult<bool> {
    match text {
        "firing" => Ok(true),
        "resolved" => Ok(false),
        other => Err(corrupt(format!("`{other}` is no state of an alert"))),
    }
}

/// The owner of an alert; '' is the server itself.
pub(crate) fn owner_from_text(text: &str) -> StoreResult<Option<WorkspaceId>> {
    if text.is_empty() {
        return Ok(None);
    }
    WorkspaceId::new(text).map(Some).map_err(|error| corrupt(error.to_string()))
}

fn alert_at(row: &Row<'_>) -> StoreResult<AlertRow> {
    let text = |column: &str| row.get::<_, String>(column).or_failed();
    Ok(AlertRow {
        workspace_id: owner_from_text(&text("workspace_id")?)?,
        key: text("alert_key")?,
        rule: text("rule")?,
        severity: text("severity")?,
        is_firing: state_from_text(&text("state")?)?,
        summary: text("summary")?,
        since_ms: ms_at(row, "since_ms")?,
    })
}
