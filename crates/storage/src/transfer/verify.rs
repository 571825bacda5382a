//! Whether a copy is what it was copied from.

use syncline_core::id::WorkspaceId;
use syncline_core::storage::{Head, StoreResult};

use super::{Copied, DatabaseReader, Failed, TransferredWorkspace};

/// Problems that are told; there may be more.
const PROBLEMS_MAX: usize = 20;

/// Checks the target by itself (digests against records, rows against sync rows, uniqueness, hashes of the log) and against
/// the source (heads, digests of all scopes, hashes of the log).
pub(super) fn verify(
    source: &DatabaseReader,
    target: &DatabaseReader,
    copied: &[Copied],
) -> Result<Vec<TransferredWorkspace>, Failed> {
    let report = target.check().map_err(Failed::Target)?;
    let mut problems = report.problems;
    let (theirs, ours) = (source.workspaces().map_err(Failed::Source)?, target.workspaces().map_err(Failed::Target)?);
    if theirs != ours {
        problems.push(format!("the source has the workspaces {theirs:?}, the copy {ours:?}"));
    }
    let mut workspaces = Vec::new();
    for id in ours {
        let (theirs, ours) =
            (moment(source, &id).map_err(Failed::Source)?, moment(target, &id).map_err(Failed::Target)?);
        if theirs != ours {
            problems.push(format!("{id}: heads, digests or audit chains differ: {theirs:?} became {ours:?}"));
        }
        let rows = |table| copied.iter().find(|part| part.workspace.as_ref() == Some(&id) && part.table == table);
        let rows = |table| rows(table).map_or(0, |part| part.rows);
        let (records, log_entries) = (rows("sync_records"), rows("sync_log"));
        if log_entries != ours.log_entries {
            problems.push(format!("{id}: {log_entries} log entries were copied, {} are there", ours.log_entries));
        }
        let Head { epoch, seq, chain, .. } = ours.head;
        workspaces.push(TransferredWorkspace { id, epoch, seq, records, log_entries, chain });
    }
    if problems.is_empty() {
        return Ok(workspaces);
    }
    problems.truncate(PROBLEMS_MAX);
    Err(Failed::Differs(problems))
}

/// What must be the same on both sides.
#[derive(PartialEq, Debug)]
struct Moment {
    head: Head,
    scopes: Vec<(syncline_core::id::ScopeId, syncline_core::digest::Digest)>,
    /// Hash of the last entry, recomputed from the first.
    chain: String,
    log_entries: u64,
    problem: Option<String>,
}

fn moment(reader: &DatabaseReader, id: &WorkspaceId) -> StoreResult<Moment> {
    let (head, scopes) = reader.read(id, |read| Ok((read.head()?, read.scopes()?)))?;
    let chain = reader.verify_chain(id)?;
    Ok(Moment { head, scopes, chain: chain.chain, log_entries: chain.entries, problem: chain.problem })
}
