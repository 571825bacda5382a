//! One commit of an import: rows planned, checked by the engine, and written together with the import's progress.

use anyhow::Context as _;
use syncline_core::change::{Op, Outcome, OutcomeKind};
use syncline_core::engine::{GroupPlan, PushReply, plan_group};
use syncline_core::storage::{Read, Store as _, StoreError, StoreResult};
use syncline_storage::{Database, DatabaseReader};

use super::content::RowContent;
use super::errors::{ErrorFile, ErrorRow};
use super::plan::{Batch, PlannedRow, Planner, Verdict};
use super::source::Row;
use super::state::{Counters, Import, ImportState};

/// Rows of one commit.
pub const BATCH_ROWS: usize = 500;
/// The same where the database is a server's: devices wait for the workspace's lock meanwhile.
pub const BATCH_ROWS_SHARED: usize = 200;

/// Rows as they were decided, and what to write.
struct Decided {
    rows: Vec<PlannedRow>,
    plan: GroupPlan,
    counters: Counters,
    errors: Vec<u8>,
}

/// Writes a batch and moves the import's counters on.
pub fn commit(
    store: &mut Database,
    planner: &Planner<'_>,
    import: &mut Import,
    errors: &mut ErrorFile,
    rows: &[Row],
) -> anyhow::Result<()> {
    let contents: Vec<RowContent> = rows.iter().map(|row| planner.content(row)).collect();
    let wanted = planner.wanted(import, &contents);
    let counters = store.transact(planner.workspace, &wanted, |read| {
        let mut batch = Batch::default();
        let decided = decide(planner, import, errors, (read, &mut batch), (rows, &contents))?;
        // Before the commit: rows noted twice can be cut off when resuming, rows never noted are lost.
        errors
            .append(import.counters.errors_bytes, &decided.errors)
            .map_err(|error| StoreError::Unavailable(format!("the error file: {error}")))?;
        Ok((decided.plan.writes, decided.counters))
    });
    import.counters = counters.context("writing a batch of rows failed")?;
    Ok(())
}

/// What [`commit`] would do. `batch` lives as long as the preview, since nothing is written.
pub fn preview(
    reader: &DatabaseReader,
    planner: &Planner<'_>,
    import: &mut Import,
    (errors, batch): (&ErrorFile, &mut Batch),
    rows: &[Row],
) -> anyhow::Result<Vec<(u64, Verdict)>> {
    let contents: Vec<RowContent> = rows.iter().map(|row| planner.content(row)).collect();
    let decided =
        reader.read(planner.workspace, |read| decide(planner, import, errors, (read, batch), (rows, &contents)))?;
    import.counters = decided.counters;
    Ok(rows.iter().zip(decided.rows).map(|(row, planned)| (row.line, planned.verdict)).collect())
}

fn decide(
    planner: &Planner<'_>,
    import: &Import,
    errors: &ErrorFile,
    (read, batch): (&dyn Read, &mut Batch),
    (rows, contents): (&[Row], &[RowContent]),
) -> StoreResult<Decided> {
    let planned = contents.iter().map(|content| planner.plan_row(read, batch, content));
    let mut planned: Vec<PlannedRow> = planned.collect::<StoreResult<_>>()?;
    loop {
        let counters = count(&import.counters, &planned);
        let (counters, errors) = encode_errors(errors, counters, rows, &planned)?;
        let plan = plan_batch(planner, import, (read, batch), &planned, &counters)?;
        let rejected = reject(batch, &mut planned, outcomes(&plan)?);
        if rejected == 0 {
            return Ok(Decided { rows: planned, plan, counters, errors });
        }
    }
}

fn plan_batch(
    planner: &Planner<'_>,
    import: &Import,
    (read, batch): (&dyn Read, &Batch),
    planned: &[PlannedRow],
    counters: &Counters,
) -> StoreResult<GroupPlan> {
    let options = batch.options.values().map(|op| vec![op.clone()]);
    let rows = planned.iter().filter(|row| !row.ops.is_empty()).map(|row| row.ops.clone());
    let base_rv = import.rv(read)?;
    let progress: Option<Vec<Op>> =
        (base_rv > 0).then(|| vec![import.progress_op(base_rv, counters, ImportState::Running)]);
    let mutations = options.chain(rows).chain(progress);
    let request = import.request(planner.workspace, read, mutations)?;
    plan_group(planner.schema, planner.workspace, read, &[request])
}

fn outcomes(plan: &GroupPlan) -> StoreResult<&[Outcome]> {
    match plan.replies.first() {
        Some(PushReply::Outcomes(outcomes)) => Ok(outcomes),
        Some(PushReply::OutcomesThenGap { .. } | PushReply::Refused(_)) | None => {
            Err(StoreError::Corrupt("the import's sequence of changes does not fit what is stored".to_owned()))
        }
    }
}

/// Turns rows the engine refuses into failed ones, so that they leave no trace; returns how many.
fn reject(batch: &Batch, planned: &mut [PlannedRow], outcomes: &[Outcome]) -> usize {
    let mut rejected = 0;
    let of_rows = outcomes.iter().skip(batch.options.len());
    let with_ops = planned.iter_mut().filter(|row| !row.ops.is_empty());
    for (row, outcome) in with_ops.zip(of_rows) {
        if outcome.outcome == OutcomeKind::Rejected {
            rejected += 1;
            *row = PlannedRow::failed(outcome.detail.clone().unwrap_or_else(|| "refused".to_owned()));
        }
    }
    rejected
}

fn count(before: &Counters, planned: &[PlannedRow]) -> Counters {
    let mut counters = *before;
    for row in planned {
        counters.read += 1;
        counters.warnings += u64::from(row.warning.is_some());
        match &row.verdict {
            Verdict::Created => counters.created += 1,
            Verdict::Updated => counters.updated += 1,
            Verdict::Skipped(_) => counters.skipped += 1,
            Verdict::Failed(_) => counters.failed += 1,
        }
    }
    counters
}

fn encode_errors(
    errors: &ErrorFile,
    mut counters: Counters,
    rows: &[Row],
    planned: &[PlannedRow],
) -> StoreResult<(Counters, Vec<u8>)> {
    let noted = rows.iter().zip(planned).filter_map(|(row, planned)| {
        let (result, reason) = match (&planned.verdict, &planned.warning) {
            (Verdict::Skipped(reason), _) => ("skipped", reason.as_str()),
            (Verdict::Failed(reason), _) => ("failed", reason.as_str()),
            (Verdict::Created | Verdict::Updated, Some(warning)) => ("warning", warning.as_str()),
            (Verdict::Created | Verdict::Updated, None) => return None,
        };
        Some(ErrorRow { line: row.line, result, reason, original: &row.original })
    });
    let bytes = errors.encode(counters.errors_bytes == 0, noted);
    let bytes = bytes.map_err(|error| StoreError::Corrupt(format!("the error file: {error}")))?;
    counters.errors_bytes += bytes.len() as u64;
    Ok((counters, bytes))
}
