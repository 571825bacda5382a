//! What happens to a workspace besides write sets: its creation, retention, and a new epoch.

use rusqlite::{Connection, OptionalExtension as _, params};
use syncline_core::Seq;
use syncline_core::id::{BackendId, ClientId, WorkspaceId};
use syncline_core::record::{Version, Versions};
use syncline_core::storage::{CHAIN_START, EpochError, StoreError, StoreResult, epoch_after, epoch_base};

use super::connect::Lane;
use super::error::{OrFailed, corrupt};
use super::values::int;
use super::view::{Workspace, unsigned};

pub(super) fn create_workspace(lane: &mut Lane, workspace: &WorkspaceId, backend_id: BackendId) -> StoreResult<()> {
    lane.write(|conn| {
        let sql = "INSERT INTO sync_workspaces (workspace_id, backend_id, epoch, seq, min_seq, chain, anchor_seq,
            anchor_chain) VALUES (?1, ?2, 0, 0, 0, ?3, 0, ?3) ON CONFLICT DO NOTHING";
        let row = params![workspace.as_str(), backend_id.to_string(), CHAIN_START];
        match conn.execute(sql, row).or_failed()? {
            1 => Ok(()),
            _ => Err(StoreError::WorkspaceExists(workspace.clone())),
        }
    })
}

pub(super) fn workspaces(conn: &Connection) -> StoreResult<Vec<WorkspaceId>> {
    Ok(heads(conn)?.into_iter().map(|(workspace, _)| workspace).collect())
}

pub(super) fn heads(conn: &Connection) -> StoreResult<Vec<(WorkspaceId, Seq)>> {
    let sql = "SELECT workspace_id, seq FROM sync_workspaces ORDER BY workspace_id";
    let mut statement = conn.prepare_cached(sql).or_failed()?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, unsigned(row, 1)?))).or_failed()?;
    let head = |row: rusqlite::Result<(String, Seq)>| {
        let (id, seq) = row.or_failed()?;
        Ok((WorkspaceId::new(id).map_err(|error| corrupt(error.to_string()))?, seq))
    };
    rows.map(head).collect()
}

pub(super) fn acknowledge(lane: &mut Lane, workspace: &WorkspaceId, upto: &[(ClientId, u64)]) -> StoreResult<()> {
    lane.write(|conn| {
        let no = Workspace::load(conn, workspace)?.no;
        let sql = "UPDATE sync_clients SET acknowledged = ?3
                   WHERE workspace_no = ?1 AND client_id = ?2 AND acknowledged < ?3";
        let mut statement = conn.prepare_cached(sql).or_failed()?;
        for (client_id, upto) in upto {
            statement.execute(params![no, client_id.as_bytes(), int(*upto)]).or_failed()?;
        }
        Ok(())
    })
}

pub(super) fn begin_epoch(lane: &mut Lane, workspace: &WorkspaceId, epoch: u32) -> StoreResult<()> {
    lane.write(|conn| {
        let Workspace { no, head, .. } = Workspace::load(conn, workspace)?;
        let epoch = epoch_after(head.epoch, Some(epoch)).map_err(EpochError::into_store_error)?;
        let base = int(epoch_base(epoch));
        let sql = "UPDATE sync_workspaces SET epoch = ?2, seq = ?3, min_seq = ?3 WHERE no = ?1";
        conn.execute(sql, params![no, epoch, base]).or_failed()?;
        Ok(())
    })
}

/// The first step of a compaction: from here on nobody relies on what the others delete.
pub(super) fn raise_min_seq(lane: &mut Lane, workspace: &WorkspaceId, upto: Seq) -> StoreResult<Workspace> {
    lane.write(|conn| {
        let mut workspace = Workspace::load(conn, workspace)?;
        let head = &mut workspace.head;
        head.min_seq = head.min_seq.max(upto.min(head.seq));
        let sql = "UPDATE sync_workspaces SET min_seq = ?2 WHERE no = ?1 AND min_seq < ?2";
        conn.execute(sql, params![workspace.no, int(workspace.head.min_seq)]).or_failed()?;
        Ok(workspace)
    })
}

/// Deletes log entries and moves the chain's anchor along; true: there are more.
pub(super) fn forget_log(lane: &mut Lane, workspace: &Workspace, upto: Seq, rows: usize) -> StoreResult<bool> {
    lane.write(|conn| {
        let sql = "SELECT seq, hash FROM (SELECT seq, hash FROM sync_log WHERE workspace_no = ?1 AND seq <= ?2
                   ORDER BY seq LIMIT ?3) ORDER BY seq DESC LIMIT 1";
        let mut last = conn.prepare_cached(sql).or_failed()?;
        let key = params![workspace.no, int(upto), int(rows as u64)];
        let last = last.query_row(key, |row| Ok((unsigned(row, 0)?, row.get::<_, String>(1)?)));
        let Some((last, hash)) = last.optional().or_failed()? else { return Ok(false) };
        let sql = "DELETE FROM sync_log WHERE workspace_no = ?1 AND seq <= ?2";
        conn.execute(sql, params![workspace.no, int(last)]).or_failed()?;
        let sql = "UPDATE sync_workspaces SET anchor_seq = ?2, anchor_chain = ?3 WHERE no = ?1";
        conn.execute(sql, params![workspace.no, int(last), hash]).or_failed()?;
        Ok(true)
    })
}

/// Reduces tombstones to their id; true: there are more.
pub(super) fn forget_tombstones(lane: &mut Lane, workspace: &Workspace, upto: Seq, rows: usize) -> StoreResult<bool> {
    lane.write(|conn| {
        let sql = "SELECT entity_no, record_id, rv FROM sync_records
                   WHERE workspace_no = ?1 AND rv <= ?2 AND state = 1 LIMIT ?3";
        let mut statement = conn.prepare_cached(sql).or_failed()?;
        let key = params![workspace.no, int(upto), int(rows as u64)];
        let found = statement.query_map(key, |row| Ok((row.get(0)?, row.get(1)?, unsigned(row, 2)?))).or_failed()?;
        let found: Vec<(i64, [u8; 16], Seq)> = found.collect::<Result<_, _>>().or_failed()?;
        let sql = "UPDATE sync_records SET state = 2, entered = 0, fields = NULL, versions = ?4
                   WHERE workspace_no = ?1 AND entity_no = ?2 AND record_id = ?3";
        let mut forget = conn.prepare_cached(sql).or_failed()?;
        for (entity_no, id, rv) in &found {
            let versions = serde_json::to_string(&Versions::new(Version(*rv, 0)));
            let versions = versions.map_err(|error| corrupt(error.to_string()))?;
            forget.execute(params![workspace.no, entity_no, id, versions]).or_failed()?;
        }
        Ok(!found.is_empty())
    })
}

/// True: there are more.
pub(super) fn forget_departures(lane: &mut Lane, workspace: &Workspace, upto: Seq, rows: usize) -> StoreResult<bool> {
    lane.write(|conn| {
        let sql = "DELETE FROM sync_departures WHERE (scope_no, seq, entity_no, record_id) IN (
                       SELECT d.scope_no, d.seq, d.entity_no, d.record_id FROM sync_scopes s
                       CROSS JOIN sync_departures d ON d.scope_no = s.no
                       WHERE s.workspace_no = ?1 AND d.seq <= ?2 LIMIT ?3)";
        let key = params![workspace.no, int(upto), int(rows as u64)];
        Ok(conn.prepare_cached(sql).or_failed()?.execute(key).or_failed()? > 0)
    })
}

/// Forgets outcomes of single requests, which nobody acknowledges ([`ClientId::is_of_requests`](syncline_core::id::ClientId::is_of_requests)), and then their clients. True:
/// there are more.
pub(super) fn forget_requests(lane: &mut Lane, workspace: &Workspace, upto: Seq, rows: usize) -> StoreResult<bool> {
    lane.write(|conn| {
        let key = params![workspace.no, int(upto), int(rows as u64)];
        let sql = "DELETE FROM sync_outcomes WHERE (workspace_no, client_id, client_seq) IN (
                       SELECT o.workspace_no, o.client_id, o.client_seq FROM sync_clients c
                       CROSS JOIN sync_outcomes o ON o.workspace_no = c.workspace_no AND o.client_id = c.client_id
                       WHERE c.workspace_no = ?1 AND substr(hex(c.client_id), 13, 1) = '5' AND o.seq <= ?2 LIMIT ?3)";
        let outcomes = conn.prepare_cached(sql).or_failed()?.execute(key).or_failed()?;
        let sql = "DELETE FROM sync_clients WHERE (workspace_no, client_id) IN (
                       SELECT c.workspace_no, c.client_id FROM sync_clients c
                       WHERE c.workspace_no = ?1 AND substr(hex(c.client_id), 13, 1) = '5' AND NOT EXISTS (
                           SELECT 1 FROM sync_outcomes o
                           WHERE o.workspace_no = c.workspace_no AND o.client_id = c.client_id) LIMIT ?2)";
        let key = params![workspace.no, int(rows as u64)];
        let clients = conn.prepare_cached(sql).or_failed()?.execute(key).or_failed()?;
        Ok(outcomes + clients > 0)
    })
}

/// Deletes the acknowledged outcomes of one client after the other, `rows` or a little more per transaction.
pub(super) fn forget_outcomes(lane: &mut Lane, workspace: &Workspace, upto: Seq, rows: usize) -> StoreResult<()> {
    let sql = "SELECT client_id, acknowledged FROM sync_clients WHERE workspace_no = ?1 AND acknowledged > 0";
    let mut statement = lane.conn().prepare(sql).or_failed()?;
    let clients = statement.query_map([workspace.no], |row| Ok((row.get(0)?, row.get(1)?))).or_failed()?;
    let clients: Vec<([u8; 16], i64)> = clients.collect::<Result<_, _>>().or_failed()?;
    drop(statement);
    let mut clients = clients.into_iter().peekable();
    while clients.peek().is_some() {
        lane.write(|conn| {
            let sql = "DELETE FROM sync_outcomes
                       WHERE workspace_no = ?1 AND client_id = ?2 AND client_seq <= ?3 AND seq <= ?4";
            let mut statement = conn.prepare_cached(sql).or_failed()?;
            let mut deleted = 0;
            while deleted < rows {
                let Some((client_id, acknowledged)) = clients.next() else { break };
                deleted += statement.execute(params![workspace.no, client_id, acknowledged, int(upto)]).or_failed()?;
            }
            Ok(())
        })?;
    }
    Ok(())
}
