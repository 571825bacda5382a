use syncline_core::TimestampMs;
use syncline_core::id::{UserId, WorkspaceId};
use syncline_core::storage::{CHAIN_START, StoreResult, chain_hash};
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{PostgresAuth, get, ms, ms_at};
use crate::postgres::apply::Trouble;
use crate::postgres::error::{OrFailed as _, corrupt};
use crate::postgres::values::int;
use crate::postgres::wire::{Param, Wire, integer, text, uuid};
use crate::sqlite::{AuditEntry, AuditHead, AuditQuery, AuditReport, AuditRow, AuditWalk, AuditWalkRow};

/// Rows of a chain that are read at a time.
const WALK_PAGE: i64 = 1_000;

impl PostgresAuth {
    /// Appends entries in their order, all or none, each to its workspace's chain.
    pub fn append_audit(&self, entries: &[AuditEntry]) -> StoreResult<()> {
        self.write(|wire| {
            // In one order everywhere, so that two nodes never wait for each other.
            let mut workspaces: Vec<&str> = entries.iter().map(|entry| owner(entry.workspace_id.as_ref())).collect();
            workspaces.sort_unstable();
            workspaces.dedup();
            for workspace in workspaces {
                let own = entries.iter().filter(|entry| owner(entry.workspace_id.as_ref()) == workspace);
                append(wire, workspace, own)?;
            }
            Ok(())
        })
    }

    /// A page of a workspace's audit log, newest first; `None`: the server's own.
    pub fn audit_page(&self, workspace: Option<&WorkspaceId>, query: &AuditQuery) -> StoreResult<Vec<AuditRow>> {
        let sql = "SELECT seq, entry, hash FROM audit_log WHERE workspace_id = $1 AND seq < $2
            AND ($3 IS NULL OR event = $3) AND ($4 IS NULL OR user_id = $4) AND at_ms >= $5 AND at_ms < $6
            ORDER BY seq DESC LIMIT $7";
        let params = vec![
            text(owner(workspace)),
            query.before_seq.map_or_else(|| integer(i64::MAX), ms),
            (Box::new(query.event.clone()), Type::TEXT),
            (Box::new(query.user_id.map(|user| user.0)), Type::UUID),
            ms(query.from_ms),
            ms(query.to_ms),
            integer(i64::try_from(query.limit).unwrap_or(i64::MAX)),
        ];
        self.all(sql, params, |row| {
            Ok(AuditRow { seq: ms_at(row, "seq")?, entry: get(row, "entry")?, hash: get(row, "hash")? })
        })
    }

    /// Recomputes the chain of a workspace's audit log; `None`: the server's own. O(log).
    pub fn verify_audit(&self, workspace: Option<&WorkspaceId>, kept: Option<&AuditHead>) -> StoreResult<AuditReport> {
        let workspace = owner(workspace);
        self.server.snapshot(|wire| {
            let heads = wire.query(HEAD, vec![text(workspace)]).or_failed()?;
            let Some(head) = heads.first() else { return Ok(AuditWalk::of_nothing(kept)) };
            let (anchor, seq) = (ms_at(head, "anchor_seq")?, ms_at(head, "seq")?);
            let mut walk = AuditWalk::new(anchor, get(head, "anchor_hash")?, kept);
            let sql = "SELECT seq, at_ms, event, user_id, entry, hash FROM audit_log
                WHERE workspace_id = $1 AND seq > $2 ORDER BY seq LIMIT $3";
            let mut last = -1;
            loop {
                let rows = wire.query(sql, vec![text(workspace), integer(last), integer(WALK_PAGE)]).or_failed()?;
                let Some(end) = rows.last() else { break };
                last = get(end, "seq")?;
                if !steps(&mut walk, &rows)? {
                    break;
                }
            }
            Ok(walk.finish(seq, get(head, "hash")?))
        })
    }

    /// Forgets the oldest entries that are from before `before`, at most `rows_max`, and moves the anchor along; returns how
    /// many.
    pub fn prune_audit(
        &self,
        workspace: Option<&WorkspaceId>,
        before: TimestampMs,
        rows_max: usize,
    ) -> StoreResult<usize> {
        let workspace = owner(workspace);
        let limit = i64::try_from(rows_max).unwrap_or(i64::MAX);
        self.write(|wire| {
            lock(wire, workspace)?;
            let sql = "SELECT seq, at_ms, hash FROM audit_log WHERE workspace_id = $1 ORDER BY seq LIMIT $2";
            let oldest = wire.query(sql, vec![text(workspace), integer(limit)])?;
            let mut last = None;
            for row in &oldest {
                if ms_at(row, "at_ms")? >= before {
                    break;
                }
                last = Some((get::<i64>(row, "seq")?, get::<String>(row, "hash")?));
            }
            let Some((seq, hash)) = last else { return Ok(0) };
            let sql = "UPDATE audit_heads SET anchor_seq = $2, anchor_hash = $3 WHERE workspace_id = $1";
            wire.execute(sql, vec![text(workspace), integer(seq), text(hash)])?;
            let sql = "DELETE FROM audit_log WHERE workspace_id = $1 AND seq <= $2";
            let deleted = wire.execute(sql, vec![text(workspace), integer(seq)])?;
            Ok(usize::try_from(deleted).unwrap_or(usize::MAX))
        })
    }
}

const HEAD: &str = "SELECT seq, hash, anchor_seq, anchor_hash FROM audit_heads WHERE workspace_id = $1";

/// Makes the head when there is none, and keeps others from appending until the transaction ends.
fn lock(wire: &Wire<'_>, workspace: &str) -> Result<(u64, String), Trouble> {
    let sql = "INSERT INTO audit_heads (workspace_id, seq, hash, anchor_seq, anchor_hash) VALUES ($1, 0, $2, 0, $2)
        ON CONFLICT (workspace_id) DO NOTHING";
    wire.execute(sql, vec![text(workspace), text(CHAIN_START)])?;
    let rows = wire.query(&format!("{HEAD} FOR UPDATE"), vec![text(workspace)])?;
    let head = rows.first().ok_or_else(|| corrupt("the head of an audit log was not stored"))?;
    Ok((ms_at(head, "seq")?, get(head, "hash")?))
}

fn append<'e>(
    wire: &Wire<'_>,
    workspace: &str,
    entries: impl Iterator<Item = &'e AuditEntry> + Clone,
) -> Result<(), Trouble> {
    let (mut seq, mut hash) = lock(wire, workspace)?;
    let ids: Vec<Uuid> = entries.clone().map(|entry| entry.id).collect();
    let sql = "SELECT id FROM audit_log WHERE workspace_id = $1 AND id = ANY($2)";
    let known = wire.query(sql, vec![text(workspace), (Box::new(ids), Type::UUID_ARRAY)])?;
    let known = known.iter().map(|row| get::<Uuid>(row, "id")).collect::<StoreResult<Vec<_>>>()?;
    let sql = "INSERT INTO audit_log (workspace_id, seq, id, at_ms, event, user_id, entry, hash)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    for entry in entries.filter(|entry| !known.contains(&entry.id)) {
        seq += 1;
        hash = chain_hash(&hash, &entry.entry);
        let user: Param = (Box::new(entry.user_id.map(|user| user.0)), Type::UUID);
        let row = vec![
            text(workspace),
            integer(int(seq)),
            uuid(entry.id),
            ms(entry.at_ms),
            text(entry.event.as_str()),
            user,
            text(entry.entry.as_str()),
            text(hash.as_str()),
        ];
        wire.execute(sql, row)?;
    }
    let sql = "UPDATE audit_heads SET seq = $2, hash = $3 WHERE workspace_id = $1";
    wire.execute(sql, vec![text(workspace), integer(int(seq)), text(hash)])?;
    Ok(())
}

/// False: the chain is broken.
fn steps(walk: &mut AuditWalk<'_>, rows: &[Row]) -> StoreResult<bool> {
    for row in rows {
        let is_sound = walk.step(&AuditWalkRow {
            seq: ms_at(row, "seq")?,
            at_ms: ms_at(row, "at_ms")?,
            event: get(row, "event")?,
            user_id: get::<Option<Uuid>>(row, "user_id")?.map(UserId),
            entry: get(row, "entry")?,
            hash: get(row, "hash")?,
        });
        if !is_sound {
            return Ok(false);
        }
    }
    Ok(true)
}

fn owner(workspace: Option<&WorkspaceId>) -> &str {
    workspace.map_or("", WorkspaceId::as_str)
}
