//! What `doctor` looks at: whether the file, the tables and the audit chain agree with one another.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use syncline_core::Seq;
use syncline_core::digest::Digest;
use syncline_core::id::WorkspaceId;
use syncline_core::storage::{StoreResult, chain_hash, epoch_base};

use super::error::{OrFailed, corrupt};
use super::layout::quoted;
use super::store::SqliteReader;
use super::values::{record_id, utf8};
use super::view::{Workspace, digest_at, scope, unsigned};

/// Result of [`SqliteReader::verify_chain`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChainReport {
    /// Entries before this one were forgotten; their last hash is known.
    pub after: Seq,
    /// Entries that were recomputed.
    pub entries: u64,
    /// Hash of the last entry.
    pub chain: String,
    /// Where the chain breaks first, for a person.
    pub problem: Option<String>,
}

/// Result of [`SqliteReader::check`].
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct CheckReport {
    pub workspaces: u64,
    pub records: u64,
    pub log_entries: u64,
    /// Each for a person; none: everything agrees.
    pub problems: Vec<String>,
}

/// Problems of one kind that are listed; there may be more.
const PROBLEMS_MAX: usize = 100;

impl SqliteReader {
    /// Version of the SQLite this program carries.
    pub fn sqlite_version() -> &'static str {
        rusqlite::version()
    }

    /// Recomputes the hashes of a workspace's log (spec AUD-1) and whether its seqs are gapless. O(log).
    pub fn verify_chain(&self, workspace: &WorkspaceId) -> StoreResult<ChainReport> {
        self.snapshot(|conn| verify_chain(conn, &Workspace::load(conn, workspace)?))
    }

    /// Checks the file's structure, references, and every workspace: digests, rows, uniqueness, chain. Reads everything;
    /// writers go on meanwhile.
    pub fn check(&self) -> StoreResult<CheckReport> {
        self.snapshot(|conn| {
            let mut report = CheckReport::default();
            report.problems.extend(structure(conn)?);
            for id in super::maintain::workspaces(conn)? {
                let workspace = Workspace::load(conn, &id)?;
                report.workspaces += 1;
                self.check_workspace(conn, &workspace, &mut report)?;
            }
            Ok(report)
        })
    }

    fn check_workspace(&self, conn: &Connection, workspace: &Workspace, report: &mut CheckReport) -> StoreResult<()> {
        let chain = verify_chain(conn, workspace)?;
        report.log_entries += chain.entries;
        let id = &workspace.id;
        report.problems.extend(chain.problem.map(|problem| format!("{id}: {problem}")));
        self.check_digests(conn, workspace, report)?;
        for table in self.layout.tables.values() {
            let live = "SELECT count(*) FROM sync_records WHERE workspace_no = ?1 AND entity_no = ?2 AND state = 0";
            let live: i64 = conn.query_row(live, params![workspace.no, table.no], |row| row.get(0)).or_failed()?;
            let rows = format!("SELECT count(*) FROM {} WHERE workspace_id = ?1", quoted(&table.entity));
            let rows: i64 = conn.query_row(&rows, [id.as_str()], |row| row.get(0)).or_failed()?;
            if live != rows {
                report.problems.push(format!("{id}: {} has {rows} rows but {live} live records", table.entity));
            }
            for index in &table.uniques {
                let sql = "SELECT count(*) FROM (SELECT 1 FROM sync_keys WHERE workspace_no = ?1 AND index_no = ?2
                           GROUP BY key HAVING count(*) > 1)";
                let shared: i64 = conn.query_row(sql, params![workspace.no, index.no], |row| row.get(0)).or_failed()?;
                if shared > 0 {
                    let (entity, unique) = (&table.entity, &index.unique.name);
                    report.problems.push(format!("{id}: {shared} keys of {entity}.{unique} have several records"));
                }
            }
        }
        Ok(())
    }

    fn check_digests(&self, conn: &Connection, workspace: &Workspace, report: &mut CheckReport) -> StoreResult<()> {
        let mut computed: BTreeMap<i64, Digest> = BTreeMap::new();
        let sql = "SELECT scope_no, entity_no, record_id, rv FROM sync_records WHERE workspace_no = ?1 AND state = 0";
        let mut statement = conn.prepare(sql).or_failed()?;
        let mut rows = statement.query([workspace.no]).or_failed()?;
        while let Some(row) = rows.next().or_failed()? {
            let entity = self.layout.entity(row.get(1).or_failed()?);
            let entity = entity.ok_or_else(|| corrupt("a record of an entity without a name"))?;
            let (id, rv) = (record_id(row.get_ref(2).or_failed()?)?, unsigned(row, 3).or_failed()?);
            computed.entry(row.get(0).or_failed()?).or_default().add(entity, &id, rv);
            report.records += 1;
        }
        let sql = "SELECT no, name, count, sum FROM sync_scopes WHERE workspace_no = ?1 ORDER BY name";
        let mut statement = conn.prepare(sql).or_failed()?;
        let mut rows = statement.query([workspace.no]).or_failed()?;
        while let Some(row) = rows.next().or_failed()? {
            let (stored, is) = (digest_at(row, 2)?, computed.remove(&row.get(0).or_failed()?).unwrap_or_default());
            if stored != is {
                let scope = scope(row.get_ref(1).or_failed()?)?;
                let text = format!("{}: scope {scope} has digest {stored:?}, its records give {is:?}", workspace.id);
                report.problems.push(text);
            }
        }
        for no in computed.into_keys() {
            report.problems.push(format!("{}: records in a scope {no} that does not exist", workspace.id));
        }
        Ok(())
    }
}

fn structure(conn: &Connection) -> StoreResult<Vec<String>> {
    let mut problems = Vec::new();
    let mut statement = conn.prepare("SELECT integrity_check FROM pragma_integrity_check LIMIT ?1").or_failed()?;
    let rows = statement.query_map([PROBLEMS_MAX as i64], |row| row.get::<_, String>(0)).or_failed()?;
    for line in rows {
        problems.extend(Some(line.or_failed()?).filter(|line| line != "ok"));
    }
    let sql = r#"SELECT "table", parent, count(*) FROM pragma_foreign_key_check GROUP BY 1, 2 LIMIT ?1"#;
    let mut statement = conn.prepare(sql).or_failed()?;
    let rows = statement.query_map([PROBLEMS_MAX as i64], |row| {
        let (table, parent, count): (String, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(format!("{count} rows of {table} refer to {parent} that do not exist"))
    });
    for line in rows.or_failed()? {
        problems.push(line.or_failed()?);
    }
    Ok(problems)
}

fn verify_chain(conn: &Connection, workspace: &Workspace) -> StoreResult<ChainReport> {
    let sql = "SELECT anchor_seq, anchor_chain FROM sync_workspaces WHERE no = ?1";
    let anchor = conn.query_row(sql, [workspace.no], |row| Ok((unsigned(row, 0)?, row.get(1)?))).or_failed()?;
    let (after, chain): (Seq, String) = anchor;
    let mut report = ChainReport { after, entries: 0, chain, problem: None };
    let mut last = after;
    let mut statement = conn.prepare_cached(LOG_WITH_HASHES).or_failed()?;
    let mut rows = statement.query([workspace.no]).or_failed()?;
    while let Some(row) = rows.next().or_failed()? {
        let seq = unsigned(row, 0).or_failed()?;
        let entry = utf8(row.get_ref(1).or_failed()?.as_bytes().unwrap_or_default())?;
        let hash: String = row.get(2).or_failed()?;
        if !follows(last, seq, workspace.head.epoch) {
            report.problem = Some(format!("log entry {seq} follows {last}: entries are missing"));
            return Ok(report);
        }
        report.chain = chain_hash(&report.chain, entry);
        if report.chain != hash {
            report.problem = Some(format!("log entry {seq} or one before it was altered: its hash does not fit"));
            return Ok(report);
        }
        (last, report.entries) = (seq, report.entries + 1);
    }
    let head = &workspace.head;
    let is_at_head = last == head.seq || head.seq == epoch_base(head.epoch) && last <= head.seq;
    if report.chain != head.chain || !is_at_head {
        report.problem =
            Some(format!("the log ends at {last}, the head is {}: entries are missing at the end", head.seq));
    }
    Ok(report)
}

const LOG_WITH_HASHES: &str = "SELECT seq, entry, hash FROM sync_log WHERE workspace_no = ?1 ORDER BY seq";

/// Seqs are gapless, except that a later epoch starts behind its base.
fn follows(last: Seq, seq: Seq, epoch: u32) -> bool {
    seq == last + 1 || (1..=epoch).any(|epoch| seq == epoch_base(epoch) + 1 && last < seq)
}
