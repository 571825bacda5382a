use rusqlite::{Connection, OptionalExtension as _, Row, params};
use syncline_core::TimestampMs;
use syncline_core::id::{UserId, WorkspaceId};
use syncline_core::storage::{CHAIN_START, StoreResult, chain_hash};
use uuid::Uuid;

use super::{AuthStore, collect, execute, id_at, ms, ms_at};
use crate::sqlite::error::{OrFailed, corrupt};

/// Something that happened at a door: who came in, was refused, or changed what others may do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditEntry {
    /// `None`: of no workspace, kept by the server itself.
    pub workspace_id: Option<WorkspaceId>,
    /// Storing an entry twice stores it once.
    pub id: Uuid,
    pub at_ms: TimestampMs,
    pub event: String,
    /// Who did it, where that is known.
    pub user_id: Option<UserId>,
    /// JSON object with all of it; what the hash covers.
    pub entry: String,
}

/// An entry as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditRow {
    pub seq: u64,
    pub entry: String,
    /// Of the previous entry's hash and this entry.
    pub hash: String,
}

/// Which entries are wanted. Newest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditQuery {
    /// Only those before this seq: the last one of the page before.
    pub before_seq: Option<u64>,
    pub event: Option<String>,
    pub user_id: Option<UserId>,
    pub from_ms: TimestampMs,
    /// Exclusive.
    pub to_ms: TimestampMs,
    pub limit: usize,
}

/// Result of verifying an audit log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditReport {
    /// Entries up to this one were forgotten; their last hash is known.
    pub after: u64,
    /// Entries that were recomputed.
    pub entries: u64,
    /// The last entry that was recomputed, or the one up to which they were forgotten. `None`: there never was any.
    pub head: Option<AuditHead>,
    /// Where the chain breaks first, for a person.
    pub problem: Option<String>,
}

/// An entry and the hash of the chain up to it. Kept where nobody who can write to the database can write, it shows later that
/// nothing before it was altered and nothing cut off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditHead {
    pub seq: u64,
    pub hash: String,
}

/// Recomputes a chain entry by entry; the same for both databases.
pub(crate) struct AuditWalk<'a> {
    last: u64,
    hash: String,
    kept: Option<&'a AuditHead>,
    report: AuditReport,
}

/// A row with the columns that repeat a part of its entry.
pub(crate) struct AuditWalkRow<'a> {
    pub(crate) seq: u64,
    pub(crate) at_ms: TimestampMs,
    pub(crate) event: &'a str,
    pub(crate) user_id: Option<UserId>,
    pub(crate) entry: &'a str,
    pub(crate) hash: &'a str,
}

impl<'a> AuditWalk<'a> {
    /// `kept`: a head from elsewhere that must be in the chain.
    pub(crate) fn new(anchor_seq: u64, anchor_hash: String, kept: Option<&'a AuditHead>) -> Self {
        let mut walk = Self {
            last: anchor_seq,
            hash: anchor_hash,
            kept,
            report: AuditReport { after: anchor_seq, entries: 0, head: None, problem: None },
        };
        walk.report.problem = walk.contradiction();
        walk
    }

    /// The log of a workspace that has none.
    pub(crate) fn of_nothing(kept: Option<&'a AuditHead>) -> AuditReport {
        let problem = kept.map(|kept| format!("the audit log is empty, but had an entry {}", kept.seq));
        AuditReport { after: 0, entries: 0, head: None, problem }
    }

    /// What the kept head says against the chain up to here.
    fn contradiction(&self) -> Option<String> {
        let kept = self.kept.filter(|kept| kept.seq == self.last && kept.hash != self.hash)?;
        Some(format!("audit entry {} or one before it was altered: its hash is not the one that was kept", kept.seq))
    }

    /// False: the chain is broken here, and nothing further is to be looked at.
    pub(crate) fn step(&mut self, row: &AuditWalkRow<'_>) -> bool {
        self.report.problem = self.report.problem.take().or_else(|| self.problem(row));
        self.hash = chain_hash(&self.hash, row.entry);
        self.last = row.seq;
        self.report.entries += 1;
        self.report.problem = self.report.problem.take().or_else(|| self.contradiction());
        self.report.problem.is_none()
    }

    fn problem(&self, row: &AuditWalkRow<'_>) -> Option<String> {
        let seq = row.seq;
        if seq != self.last + 1 {
            return Some(format!("audit entry {seq} follows {}: entries are missing", self.last));
        }
        if chain_hash(&self.hash, row.entry) != row.hash {
            return Some(format!("audit entry {seq} was altered: its hash does not fit"));
        }
        let Ok(entry) = serde_json::from_str::<serde_json::Value>(row.entry) else {
            return Some(format!("audit entry {seq} is no JSON"));
        };
        let user = row.user_id.map(|user| user.to_string());
        let fits =
            entry["at_ms"] == row.at_ms && entry["event"] == row.event && entry["user_id"].as_str() == user.as_deref();
        (!fits).then(|| format!("audit entry {seq} was altered: its columns differ from what was hashed"))
    }

    pub(crate) fn finish(mut self, head_seq: u64, head_hash: &str) -> AuditReport {
        let is_whole = self.last == head_seq && self.hash == head_hash;
        if self.report.problem.is_none() && !is_whole {
            let problem =
                format!("the audit log ends at {}, its head is {head_seq}: entries are missing at the end", self.last);
            self.report.problem = Some(problem);
        }
        let cut = self.kept.filter(|kept| kept.seq > self.last && self.report.problem.is_none());
        if let Some(kept) = cut {
            let problem =
                format!("the audit log ends at {}, but had an entry {}: its end was cut off", self.last, kept.seq);
            self.report.problem = Some(problem);
        }
        self.report.head = Some(AuditHead { seq: self.last, hash: self.hash });
        self.report
    }
}

impl AuthStore {
    /// Appends entries in their order, all or none, each to its workspace's chain.
    pub fn append_audit(&self, entries: &[AuditEntry]) -> StoreResult<()> {
        self.write(|conn| entries.iter().try_for_each(|entry| append(conn, entry)))
    }

    /// A page of a workspace's audit log, newest first; `None`: the server's own.
    pub fn audit_page(&self, workspace: Option<&WorkspaceId>, query: &AuditQuery) -> StoreResult<Vec<AuditRow>> {
        let sql = "SELECT seq, entry, hash FROM audit_log WHERE workspace_id = ?1 AND seq < ?2
            AND (?3 IS NULL OR event = ?3) AND (?4 IS NULL OR user_id = ?4) AND at_ms >= ?5 AND at_ms < ?6
            ORDER BY seq DESC LIMIT ?7";
        let user = query.user_id.map(|user| user.to_string());
        let before = query.before_seq.map_or(i64::MAX, ms);
        let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
        let key = params![owner(workspace), before, query.event, user, ms(query.from_ms), ms(query.to_ms), limit];
        self.read(|conn| collect(conn, sql, key, audit_row_at))
    }

    /// Recomputes the chain of a workspace's audit log; `None`: the server's own. O(log).
    pub fn verify_audit(&self, workspace: Option<&WorkspaceId>, kept: Option<&AuditHead>) -> StoreResult<AuditReport> {
        self.read(|conn| {
            let tx = conn.unchecked_transaction().or_failed()?;
            let Some(head) = head(&tx, owner(workspace))? else {
                return Ok(AuditWalk::of_nothing(kept));
            };
            let mut walk = AuditWalk::new(head.anchor_seq, head.anchor_hash, kept);
            let sql =
                "SELECT seq, at_ms, event, user_id, entry, hash FROM audit_log WHERE workspace_id = ?1 ORDER BY seq";
            let mut statement = tx.prepare_cached(sql).or_failed()?;
            let mut rows = statement.query([owner(workspace)]).or_failed()?;
            while let Some(row) = rows.next().or_failed()? {
                let text = |column: &str| {
                    row.get_ref(column).or_failed()?.as_str().map_err(|error| corrupt(error.to_string()))
                };
                let has_user = row.get_ref("user_id").or_failed()? != rusqlite::types::ValueRef::Null;
                let is_sound = walk.step(&AuditWalkRow {
                    seq: ms_at(row, "seq")?,
                    at_ms: ms_at(row, "at_ms")?,
                    event: text("event")?,
                    user_id: has_user.then(|| id_at(row, "user_id")).transpose()?,
                    entry: text("entry")?,
                    hash: text("hash")?,
                });
                if !is_sound {
                    break;
                }
            }
            Ok(walk.finish(head.seq, &head.hash))
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
        self.write(|conn| {
            let sql = "SELECT seq, at_ms, hash FROM audit_log WHERE workspace_id = ?1 ORDER BY seq LIMIT ?2";
            let limit = i64::try_from(rows_max).unwrap_or(i64::MAX);
            let oldest = collect(conn, sql, params![workspace, limit], |row| {
                Ok((ms_at(row, "seq")?, ms_at(row, "at_ms")?, row.get::<_, String>("hash").or_failed()?))
            })?;
            let old = oldest.into_iter().take_while(|(_, at_ms, _)| *at_ms < before);
            let Some((seq, _, hash)) = old.last() else { return Ok(0) };
            let sql = "UPDATE audit_heads SET anchor_seq = ?2, anchor_hash = ?3 WHERE workspace_id = ?1";
            execute(conn, sql, params![workspace, ms(seq), hash])?;
            execute(conn, "DELETE FROM audit_log WHERE workspace_id = ?1 AND seq <= ?2", params![workspace, ms(seq)])
        })
    }
}

struct Head {
    seq: u64,
    hash: String,
    anchor_seq: u64,
    anchor_hash: String,
}

fn head(conn: &Connection, workspace: &str) -> StoreResult<Option<Head>> {
    let sql = "SELECT seq, hash, anchor_seq, anchor_hash FROM audit_heads WHERE workspace_id = ?1";
    let heads = collect(conn, sql, [workspace], |row| {
        Ok(Head {
            seq: ms_at(row, "seq")?,
            hash: row.get("hash").or_failed()?,
            anchor_seq: ms_at(row, "anchor_seq")?,
            anchor_hash: row.get("anchor_hash").or_failed()?,
        })
    });
    Ok(heads?.pop())
}

fn append(conn: &Connection, entry: &AuditEntry) -> StoreResult<()> {
    let workspace = owner(entry.workspace_id.as_ref());
    let id = entry.id.to_string();
    let known = "SELECT 1 FROM audit_log WHERE workspace_id = ?1 AND id = ?2";
    let is_known = conn.prepare_cached(known).or_failed()?.query_row(params![workspace, id], |_| Ok(())).optional();
    if is_known.or_failed()?.is_some() {
        return Ok(());
    }
    let (seq, former) = head(conn, workspace)?.map_or((0, CHAIN_START.to_owned()), |head| (head.seq, head.hash));
    let (seq, hash) = (ms(seq + 1), chain_hash(&former, &entry.entry));
    let sql = "INSERT INTO audit_log (workspace_id, seq, id, at_ms, event, user_id, entry, hash)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let user = entry.user_id.map(|user| user.to_string());
    execute(conn, sql, params![workspace, seq, id, ms(entry.at_ms), entry.event, user, entry.entry, hash])?;
    let sql = "INSERT INTO audit_heads (workspace_id, seq, hash, anchor_seq, anchor_hash) VALUES (?1, ?2, ?3, 0, ?4)
               ON CONFLICT (workspace_id) DO UPDATE SET seq = ?2, hash = ?3";
    execute(conn, sql, params![workspace, seq, hash, CHAIN_START]).map(drop)
}

fn audit_row_at(row: &Row<'_>) -> StoreResult<AuditRow> {
    Ok(AuditRow { seq: ms_at(row, "seq")?, entry: row.get("entry").or_failed()?, hash: row.get("hash").or_failed()? })
}

fn owner(workspace: Option<&WorkspaceId>) -> &str {
    workspace.map_or("", WorkspaceId::as_str)
}
