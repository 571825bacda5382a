use rusqlite::{Row, params};
use syncline_core::id::{ClientId, DeviceId, WorkspaceId};
use syncline_core::storage::StoreResult;
use syncline_core::{Seq, TimestampMs};

use super::{AuthStore, collect, execute, id_at, ms, ms_at, optional_ms_at, workspace_at};
use crate::sqlite::error::OrFailed;

/// What a client last said of itself: the operator's view of lag and stuck outboxes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientStatus {
    pub workspace_id: WorkspaceId,
    pub client_id: ClientId,
    pub device_id: DeviceId,
    pub epoch: u32,
    pub cursor: Seq,
    pub pending_count: u64,
    /// Age of the oldest pending mutation at the time of the report; absent: none pending.
    pub oldest_pending_ms: Option<u64>,
    pub reported_ms: TimestampMs,
}

/// What is asked of the clients' reports.
#[derive(Clone, Copy, Debug)]
pub struct BacklogQuery {
    /// Older reports do not count.
    pub since_ms: TimestampMs,
    pub now_ms: TimestampMs,
    /// Age from which an outbox counts as stuck.
    pub stuck_ms: u64,
}

/// What the clients of a workspace still have to take and to hand over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Backlog {
    pub workspace_id: WorkspaceId,
    pub clients: u64,
    /// Of the client furthest behind.
    pub cursor_min: Seq,
    /// Mutations waiting.
    pub pending: u64,
    /// Age of the oldest of them now, if it still waits.
    pub oldest_ms: u64,
    /// Clients whose oldest mutation is older than asked for.
    pub stuck: u64,
}

impl AuthStore {
    /// The clients whose oldest waiting mutation is older than asked for, at most `limit`.
    pub fn stuck_clients(&self, query: &BacklogQuery, limit: usize) -> StoreResult<Vec<ClientStatus>> {
        let sql = "SELECT * FROM auth_client_status
            WHERE reported_ms >= ?1 AND pending_count > 0 AND oldest_pending_ms + ?2 - reported_ms >= ?3
            ORDER BY workspace_id, client_id LIMIT ?4";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let key = params![ms(query.since_ms), ms(query.now_ms), ms(query.stuck_ms), limit];
        self.read(|conn| collect(conn, sql, key, status_at))
    }

    /// The clients' reports summed up by workspace, in order. One statement over one small table.
    pub fn client_backlogs(&self, query: &BacklogQuery) -> StoreResult<Vec<Backlog>> {
        let sql = "SELECT workspace_id, count(*) AS clients, min(cursor) AS cursor_min, sum(pending_count) AS pending,
            coalesce(max(oldest_pending_ms + ?2 - reported_ms), 0) AS oldest_ms,
            coalesce(sum(oldest_pending_ms + ?2 - reported_ms >= ?3), 0) AS stuck
            FROM auth_client_status WHERE reported_ms >= ?1 GROUP BY workspace_id ORDER BY workspace_id";
        let key = params![ms(query.since_ms), ms(query.now_ms), ms(query.stuck_ms)];
        self.read(|conn| collect(conn, sql, key, backlog_at))
    }

    /// Inserts or replaces by client; an older report than the stored one is ignored. Collect them and call it now and
    /// then, not per frame.
    pub fn put_client_status(&self, reports: &[ClientStatus]) -> StoreResult<()> {
        let sql = "INSERT INTO auth_client_status
            (workspace_id, client_id, device_id, epoch, cursor, pending_count, oldest_pending_ms, reported_ms)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
            ON CONFLICT (workspace_id, client_id) DO UPDATE SET device_id = ?3, epoch = ?4, cursor = ?5,
            pending_count = ?6, oldest_pending_ms = ?7, reported_ms = ?8 WHERE reported_ms <= ?8";
        self.write(|conn| {
            for report in reports {
                let (client, device) = (report.client_id.to_string(), report.device_id.to_string());
                let (cursor, pending) = (ms(report.cursor), ms(report.pending_count));
                let (oldest, reported) = (report.oldest_pending_ms.map(ms), ms(report.reported_ms));
                let workspace = report.workspace_id.as_str();
                let row = params![workspace, client, device, report.epoch, cursor, pending, oldest, reported];
                execute(conn, sql, row)?;
            }
            Ok(())
        })
    }

    /// Every client's last report in client order.
    pub fn list_client_status(&self, workspace: &WorkspaceId) -> StoreResult<Vec<ClientStatus>> {
        let sql = "SELECT * FROM auth_client_status WHERE workspace_id = ?1 ORDER BY client_id";
        self.read(|conn| collect(conn, sql, [workspace.as_str()], status_at))
    }

    /// A page of them: those behind a client, at most `limit`.
    pub fn page_client_status(
        &self,
        workspace: &WorkspaceId,
        after: Option<ClientId>,
        limit: usize,
    ) -> StoreResult<Vec<ClientStatus>> {
        let sql =
            "SELECT * FROM auth_client_status WHERE workspace_id = ?1 AND client_id > ?2 ORDER BY client_id LIMIT ?3";
        let after = after.map(|client| client.to_string()).unwrap_or_default();
        let key = params![workspace.as_str(), after, i64::try_from(limit).unwrap_or(i64::MAX)];
        self.read(|conn| collect(conn, sql, key, status_at))
    }

    /// Forgets clients that have not reported since `before`; returns how many.
    pub fn purge_client_status(&self, workspace: &WorkspaceId, before: TimestampMs) -> StoreResult<usize> {
        let sql = "DELETE FROM auth_client_status WHERE workspace_id = ?1 AND reported_ms < ?2";
        self.write(|conn| execute(conn, sql, params![workspace.as_str(), ms(before)]))
    }
}

fn status_at(row: &Row<'_>) -> StoreResult<ClientStatus> {
    Ok(ClientStatus {
        workspace_id: workspace_at(row)?,
        client_id: id_at(row, "client_id")?,
        device_id: id_at(row, "device_id")?,
        epoch: row.get("epoch").or_failed()?,
        cursor: ms_at(row, "cursor")?,
        pending_count: ms_at(row, "pending_count")?,
        oldest_pending_ms: optional_ms_at(row, "oldest_pending_ms")?,
        reported_ms: ms_at(row, "reported_ms")?,
    })
}

fn backlog_at(row: &Row<'_>) -> StoreResult<Backlog> {
    Ok(Backlog {
        workspace_id: workspace_at(row)?,
        clients: ms_at(row, "clients")?,
        cursor_min: ms_at(row, "cursor_min")?,
        pending: ms_at(row, "pending")?,
        oldest_ms: ms_at(row, "oldest_ms")?,
        stuck: ms_at(row, "stuck")?,
    })
}
