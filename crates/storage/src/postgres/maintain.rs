//! What happens to a workspace besides write sets: its creation, retention, and a new epoch.
//!
//! Every step takes the workspace's lock first, as write sets do, so a plan never sees one half done.

use std::time::Duration;

use syncline_core::Seq;
use syncline_core::id::{BackendId, ClientId, WorkspaceId};
use syncline_core::storage::{CHAIN_START, EpochError, StoreError, StoreResult, epoch_after, epoch_base};

use super::apply::Trouble;
use super::lane::Lane;
use super::rows::{Workspace, at, unsigned};
use super::values::int;
use super::wire::{Request, Wire, integer, integers, text, uuid, uuids};

/// Rows that one transaction of a compaction touches.
const COMPACT_STEP_ROWS: i64 = 5_000;

/// How long a statement of a compaction may run: it looks through tables that have no index for it.
const COMPACT_STATEMENT: Duration = Duration::from_secs(30);

pub(super) fn create_workspace(lane: &mut Lane, workspace: &WorkspaceId, backend_id: BackendId) -> StoreResult<()> {
    // When the answer to a first try is lost, the second finds the workspace there, as this call made it.
    let mut has_inserted = false;
    let is_ours = lane.write(Vec::new, |wire, _| {
        let sql = "INSERT INTO sync_workspaces (workspace_id, backend_id, epoch, seq, min_seq, chain, anchor_seq,
            anchor_chain) VALUES ($1, $2, 0, 0, 0, $3, 0, $3) ON CONFLICT DO NOTHING";
        let params = vec![text(workspace.as_str()), uuid(backend_id.0), text(CHAIN_START)];
        let is_new = wire.execute(sql, params)? == 1;
        let is_ours = is_new || has_inserted;
        has_inserted |= is_new;
        Ok::<_, Trouble>(is_ours)
    })?;
    if is_ours { Ok(()) } else { Err(StoreError::WorkspaceExists(workspace.clone())) }
}

/// Runs `work` under the workspace's lock.
fn locked<T>(
    lane: &mut Lane,
    workspace: &WorkspaceId,
    mut work: impl FnMut(&Wire<'_>, &Workspace) -> Result<T, Trouble>,
) -> StoreResult<T> {
    let lock = || vec![Request::query(Workspace::LOCK, vec![text(workspace.as_str())])];
    lane.write(lock, |wire, replies| {
        let workspace = Workspace::from_rows(workspace, &replies[0].rows)?;
        work(wire, &workspace)
    })
}

pub(super) fn acknowledge(lane: &mut Lane, workspace: &WorkspaceId, upto: &[(ClientId, u64)]) -> StoreResult<()> {
    locked(lane, workspace, |wire, _| {
        let sql = "UPDATE sync_clients c SET acknowledged = u.upto
            FROM (SELECT id, max(upto) AS upto FROM unnest($2::uuid[], $3::bigint[]) AS a (id, upto) GROUP BY id) u
            WHERE c.workspace_id = $1 AND c.client_id = u.id AND c.acknowledged < u.upto";
        let (ids, seqs) = upto.iter().map(|(id, seq)| (id.0, int(*seq))).unzip();
        wire.execute(sql, vec![text(workspace.as_str()), uuids(ids), integers(seqs)])?;
        Ok(())
    })
}

pub(super) fn begin_epoch(lane: &mut Lane, workspace: &WorkspaceId, epoch: u32) -> StoreResult<()> {
    let mut has_tried = false;
    locked(lane, workspace, |wire, Workspace { id, head }| {
        // After a lost answer: this is what the first try did.
        if has_tried && head.epoch == epoch {
            return Ok(());
        }
        let epoch = epoch_after(head.epoch, Some(epoch)).map_err(EpochError::into_store_error)?;
        let sql = "UPDATE sync_workspaces SET epoch = $2, seq = $3, min_seq = $3 WHERE workspace_id = $1";
        let params = vec![text(id.as_str()), integer(epoch.into()), integer(int(epoch_base(epoch)))];
        wire.execute(sql, params)?;
        has_tried = true;
        Ok(())
    })
}

/// Forgets in small transactions, so that other writers of the workspace get their turn.
pub(super) fn compact(lane: &mut Lane, workspace: &WorkspaceId, upto: Seq) -> StoreResult<()> {
    let upto = raise_min_seq(lane, workspace, upto)?;
    while step(lane, workspace, upto, forget_log)? {}
    while step(lane, workspace, upto, forget_tombstones)? {}
    while step(lane, workspace, upto, forget_departures)? {}
    while step(lane, workspace, upto, forget_requests)? {}
    while step(lane, workspace, upto, forget_outcomes)? {}
    Ok(())
}

/// The first step of a compaction: from here on nobody relies on what the others delete.
fn raise_min_seq(lane: &mut Lane, workspace: &WorkspaceId, upto: Seq) -> StoreResult<Seq> {
    locked(lane, workspace, |wire, Workspace { id, head }| {
        let upto = upto.min(head.seq);
        let sql = "UPDATE sync_workspaces SET min_seq = $2 WHERE workspace_id = $1 AND min_seq < $2";
        wire.execute(sql, vec![text(id.as_str()), integer(int(upto))])?;
        Ok(upto)
    })
}

/// Forgets some of the workspace up to a seq; returns how many rows.
type Forget = fn(&Wire<'_>, &WorkspaceId, i64) -> Result<u64, Trouble>;

/// True: there may be more.
fn step(lane: &mut Lane, workspace: &WorkspaceId, upto: Seq, forget: Forget) -> StoreResult<bool> {
    locked(lane, workspace, |wire, Workspace { id, .. }| {
        wire.batch(&format!("SET LOCAL statement_timeout = {}", COMPACT_STATEMENT.as_millis()))?;
        let wire = Wire { patience: wire.patience.max(2 * COMPACT_STATEMENT), ..*wire };
        Ok(forget(&wire, id, int(upto))? > 0)
    })
}

/// Deletes log entries and moves the chain's anchor along.
fn forget_log(wire: &Wire<'_>, workspace: &WorkspaceId, upto: i64) -> Result<u64, Trouble> {
    let sql = "SELECT seq, hash FROM (SELECT seq, hash FROM sync_log WHERE workspace_id = $1 AND seq <= $2
        ORDER BY seq LIMIT $3) oldest ORDER BY seq DESC LIMIT 1";
    let key = || text(workspace.as_str());
    let rows = wire.query(sql, vec![key(), integer(upto), integer(COMPACT_STEP_ROWS)])?;
    let Some(row) = rows.first() else { return Ok(0) };
    let (last, hash) = (int(unsigned(row, 0)?), at::<String>(row, 1)?);
    let delete = "DELETE FROM sync_log WHERE workspace_id = $1 AND seq <= $2";
    let anchor = "UPDATE sync_workspaces SET anchor_seq = $2, anchor_chain = $3 WHERE workspace_id = $1";
    let replies = wire.flight(&[
        Request::execute(delete, vec![key(), integer(last)]),
        Request::execute(anchor, vec![key(), integer(last), text(hash)]),
    ])?;
    Ok(replies[0].touched)
}

/// Reduces tombstones to their id, with the versions that `Versions::new(Version(rv, 0))` encodes as.
fn forget_tombstones(wire: &Wire<'_>, workspace: &WorkspaceId, upto: i64) -> Result<u64, Trouble> {
    let sql = "UPDATE sync_records r SET state = 2, entered = 0, fields = NULL,
        versions = '{\"c\":[' || r.rv::text || ',0]}'
        FROM (SELECT entity, record_id FROM sync_records
              WHERE workspace_id = $1 AND rv <= $2 AND state = 1 LIMIT $3) old
        WHERE r.workspace_id = $1 AND r.entity = old.entity AND r.record_id = old.record_id";
    Ok(wire.execute(sql, vec![text(workspace.as_str()), integer(upto), integer(COMPACT_STEP_ROWS)])?)
}

fn forget_departures(wire: &Wire<'_>, workspace: &WorkspaceId, upto: i64) -> Result<u64, Trouble> {
    let sql = "DELETE FROM sync_departures d USING (
            SELECT o.scope, o.seq, o.entity, o.record_id FROM sync_scopes s
            JOIN sync_departures o ON o.workspace_id = s.workspace_id AND o.scope = s.name
            WHERE s.workspace_id = $1 AND o.seq <= $2 LIMIT $3) old
        WHERE d.workspace_id = $1 AND d.scope = old.scope AND d.seq = old.seq AND d.entity = old.entity
        AND d.record_id = old.record_id";
    Ok(wire.execute(sql, vec![text(workspace.as_str()), integer(upto), integer(COMPACT_STEP_ROWS)])?)
}

/// Deletes outcomes that their client has acknowledged.
/// Outcomes of single requests, which nobody acknowledges ([`ClientId::is_of_requests`]), and then their clients.
///
/// [`ClientId::is_of_requests`]: syncline_core::id::ClientId::is_of_requests
fn forget_requests(wire: &Wire<'_>, workspace: &WorkspaceId, upto: i64) -> Result<u64, Trouble> {
    let sql = "DELETE FROM sync_outcomes o USING (
            SELECT a.client_id, a.client_seq FROM sync_clients c
            JOIN sync_outcomes a ON a.workspace_id = c.workspace_id AND a.client_id = c.client_id
            WHERE c.workspace_id = $1 AND substr(c.client_id::text, 15, 1) = '5' AND a.seq <= $2 LIMIT $3) old
        WHERE o.workspace_id = $1 AND o.client_id = old.client_id AND o.client_seq = old.client_seq";
    let outcomes = wire.execute(sql, vec![text(workspace.as_str()), integer(upto), integer(COMPACT_STEP_ROWS)])?;
    let sql = "DELETE FROM sync_clients d USING (
            SELECT c.client_id FROM sync_clients c
            WHERE c.workspace_id = $1 AND substr(c.client_id::text, 15, 1) = '5' AND NOT EXISTS (
                SELECT 1 FROM sync_outcomes a WHERE a.workspace_id = c.workspace_id AND a.client_id = c.client_id)
            LIMIT $2) old
        WHERE d.workspace_id = $1 AND d.client_id = old.client_id";
    Ok(outcomes + wire.execute(sql, vec![text(workspace.as_str()), integer(COMPACT_STEP_ROWS)])?)
}

fn forget_outcomes(wire: &Wire<'_>, workspace: &WorkspaceId, upto: i64) -> Result<u64, Trouble> {
    let sql = "DELETE FROM sync_outcomes o USING (
            SELECT a.client_id, a.client_seq FROM sync_clients c
            JOIN sync_outcomes a ON a.workspace_id = c.workspace_id AND a.client_id = c.client_id
            AND a.client_seq <= c.acknowledged
            WHERE c.workspace_id = $1 AND c.acknowledged > 0 AND a.seq <= $2 LIMIT $3) old
        WHERE o.workspace_id = $1 AND o.client_id = old.client_id AND o.client_seq = old.client_seq";
    Ok(wire.execute(sql, vec![text(workspace.as_str()), integer(upto), integer(COMPACT_STEP_ROWS)])?)
}

#[cfg(test)]
mod tests {
    use syncline_core::record::{Version, Versions};

    #[test]
    fn sto_14_forgotten_versions_are_written_as_core_writes_them() {
        let written = serde_json::to_string(&Versions::new(Version(42, 0))).unwrap();
        assert_eq!(written, "{\"c\":[42,0]}", "`forget_tombstones` writes this form in SQL");
    }
}
