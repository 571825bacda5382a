//! What `doctor` looks at: whether the tables and the audit chain agree with one another. References are the server's to keep.

use std::collections::BTreeMap;

use syncline_core::Seq;
use syncline_core::digest::Digest;
use syncline_core::id::{ScopeId, WorkspaceId};
use syncline_core::storage::{StoreResult, chain_hash, epoch_base};
use uuid::Uuid;

use super::error::OrFailed;
use super::layout::quoted;
use super::rows::{self, Workspace, at, unsigned};
use super::store::PostgresReader;
use super::values::int;
use super::wire::{Wire, integer, small_integers, text, uuid};
use crate::sqlite::{ChainReport, CheckReport};

/// Rows that are read at once.
const PAGE_ROWS: i64 = 10_000;

impl PostgresReader {
    /// Name and version of the server, for a person.
    pub fn version(&self) -> StoreResult<String> {
        self.snapshot(|wire| {
            let rows = wire.query("SELECT current_setting('server_version')", Vec::new()).or_failed()?;
            let version = rows.first().map(|row| at::<String>(row, 0)).transpose()?.unwrap_or_default();
            Ok(format!("PostgreSQL {version}"))
        })
    }

    /// The server's clock; milliseconds since the Unix epoch.
    pub fn clock_ms(&self) -> StoreResult<u64> {
        self.snapshot(|wire| {
            let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
            let rows = wire.query(sql, Vec::new()).or_failed()?;
            let at_ms = rows.first().map(|row| at::<i64>(row, 0)).transpose()?.unwrap_or_default();
            Ok(at_ms.unsigned_abs())
        })
    }

    /// Recomputes the hashes of a workspace's log (spec AUD-1) and whether its seqs are gapless. O(log).
    pub fn verify_chain(&self, workspace: &WorkspaceId) -> StoreResult<ChainReport> {
        self.snapshot(|wire| verify_chain(wire, &load(wire, workspace)?))
    }

    /// Checks every workspace: digests, rows, uniqueness, chain. Reads everything, in one long transaction that holds up
    /// vacuuming; writers go on meanwhile.
    pub fn check(&self) -> StoreResult<CheckReport> {
        let workspaces = self.workspaces()?;
        let mut report = CheckReport::default();
        for id in workspaces {
            self.snapshot(|wire| {
                let workspace = load(wire, &id)?;
                report.workspaces += 1;
                self.check_workspace(wire, &workspace, &mut report)
            })?;
        }
        Ok(report)
    }

    fn check_workspace(&self, wire: &Wire<'_>, workspace: &Workspace, report: &mut CheckReport) -> StoreResult<()> {
        let chain = verify_chain(wire, workspace)?;
        report.log_entries += chain.entries;
        let id = &workspace.id;
        report.problems.extend(chain.problem.map(|problem| format!("{id}: {problem}")));
        check_digests(wire, workspace, report)?;
        for table in self.layout.tables.values() {
            let entity = &table.entity;
            let sql = format!(
                "SELECT (SELECT count(*) FROM sync_records WHERE workspace_id = $1 AND entity = $2 AND state = 0),
                 (SELECT count(*) FROM {} WHERE workspace_id = $1)",
                quoted(entity)
            );
            let counts = wire.query(&sql, vec![text(id.as_str()), text(entity.as_str())]).or_failed()?;
            for row in &counts {
                let (live, rows) = (unsigned(row, 0)?, unsigned(row, 1)?);
                if live != rows {
                    report.problems.push(format!("{id}: {entity} has {rows} rows but {live} live records"));
                }
            }
            for index in &table.uniques {
                let sql = "SELECT count(*) FROM (SELECT 1 FROM sync_keys WHERE workspace_id = $1
                    AND index_no = ANY ($2) GROUP BY key HAVING count(*) > 1) shared";
                let rows = wire.query(sql, vec![text(id.as_str()), small_integers(vec![index.no])]).or_failed()?;
                let shared = rows.first().map(|row| unsigned(row, 0)).transpose()?.unwrap_or_default();
                if shared > 0 {
                    let unique = &index.unique.name;
                    report.problems.push(format!("{id}: {shared} keys of {entity}.{unique} have several records"));
                }
            }
        }
        Ok(())
    }
}

fn load(wire: &Wire<'_>, id: &WorkspaceId) -> StoreResult<Workspace> {
    Workspace::from_rows(id, &wire.query(Workspace::SELECT, vec![text(id.as_str())]).or_failed()?)
}

fn check_digests(wire: &Wire<'_>, workspace: &Workspace, report: &mut CheckReport) -> StoreResult<()> {
    let mut computed: BTreeMap<ScopeId, Digest> = BTreeMap::new();
    let sql = "SELECT entity, record_id, scope, rv FROM sync_records WHERE workspace_id = $1 AND state = 0
        AND (entity, record_id) > ($2, $3) ORDER BY entity, record_id LIMIT $4";
    let mut last = (String::new(), Uuid::nil());
    loop {
        let params = vec![text(workspace.id.as_str()), text(&*last.0), uuid(last.1), integer(PAGE_ROWS)];
        let rows = wire.query(sql, params).or_failed()?;
        let Some(end) = rows.last() else { break };
        last = (at(end, 0)?, at(end, 1)?);
        for row in &rows {
            let (entity, id, rv) = (at(row, 0)?, rows::record_id(row, 1)?, unsigned(row, 3)?);
            computed.entry(rows::scope(row, 2)?).or_default().add(entity, &id, rv);
            report.records += 1;
        }
    }
    let sql = "SELECT name, count, sum FROM sync_scopes WHERE workspace_id = $1 ORDER BY name";
    for row in &wire.query(sql, vec![text(workspace.id.as_str())]).or_failed()? {
        let (scope, stored) = (rows::scope(row, 0)?, rows::digest(row, 1)?);
        let is = computed.remove(&scope).unwrap_or_default();
        if stored != is {
            let text = format!("{}: scope {scope} has digest {stored:?}, its records give {is:?}", workspace.id);
            report.problems.push(text);
        }
    }
    for scope in computed.into_keys() {
        report.problems.push(format!("{}: records in a scope {scope} that does not exist", workspace.id));
    }
    Ok(())
}

fn verify_chain(wire: &Wire<'_>, workspace: &Workspace) -> StoreResult<ChainReport> {
    let sql = "SELECT anchor_seq, anchor_chain FROM sync_workspaces WHERE workspace_id = $1";
    let key = || text(workspace.id.as_str());
    let anchor = wire.query(sql, vec![key()]).or_failed()?;
    let anchor = anchor.first().map(|row| Ok((unsigned(row, 0)?, at(row, 1)?))).transpose()?;
    let (after, chain): (Seq, String) = anchor.unwrap_or_default();
    let mut report = ChainReport { after, entries: 0, chain, problem: None };
    let mut last = after;
    let sql = "SELECT seq, entry, hash FROM sync_log WHERE workspace_id = $1 AND seq > $2 ORDER BY seq LIMIT $3";
    let mut from = 0;
    loop {
        let rows = wire.query(sql, vec![key(), integer(int(from)), integer(PAGE_ROWS)]).or_failed()?;
        if rows.is_empty() {
            break;
        }
        for row in &rows {
            let seq = unsigned(row, 0)?;
            if !follows(last, seq, workspace.head.epoch) {
                report.problem = Some(format!("log entry {seq} follows {last}: entries are missing"));
                return Ok(report);
            }
            report.chain = chain_hash(&report.chain, at(row, 1)?);
            if report.chain != at::<&str>(row, 2)? {
                report.problem = Some(format!("log entry {seq} or one before it was altered: its hash does not fit"));
                return Ok(report);
            }
            (last, report.entries) = (seq, report.entries + 1);
        }
        from = last;
    }
    let head = &workspace.head;
    let is_at_head = last == head.seq || head.seq == epoch_base(head.epoch) && last <= head.seq;
    if report.chain != head.chain || !is_at_head {
        report.problem =
            Some(format!("the log ends at {last}, the head is {}: entries are missing at the end", head.seq));
    }
    Ok(report)
}

/// Seqs are gapless, except that a later epoch starts behind its base.
fn follows(last: Seq, seq: Seq, epoch: u32) -> bool {
    seq == last + 1 || (1..=epoch).any(|epoch| seq == epoch_base(epoch) + 1 && last < seq)
}
