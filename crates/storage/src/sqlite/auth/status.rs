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

impl AuthStore {
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
