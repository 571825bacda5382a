//! What an import says when it is done: tables for people, one JSON object for programs.

use std::path::PathBuf;

use comfy_table::Table;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use serde_json::{Value, json};
use syncline_core::id::RecordId;

use super::columns::{Mapping, Target};
use super::plan::Verdict;
use super::source::Dialect;
use super::state::{Counters, ImportState};
use super::survey::Survey;
use super::undo::UndoReport;

pub struct Summary<'a> {
    pub import_id: RecordId,
    pub state: ImportState,
    pub counters: Counters,
    /// Rows of this run; a resumed import has read others before.
    pub rows_now: u64,
    pub elapsed_ms: u64,
    pub errors_file: Option<PathBuf>,
    /// A finished import of the same file.
    pub seen_before: Option<RecordId>,
    pub mapping: &'a Mapping,
}

pub struct Preview<'a> {
    pub entity: &'a str,
    pub dialect: &'a Dialect,
    pub survey: &'a Survey,
    pub mapping: &'a Mapping,
    pub ambiguous_dates: Vec<String>,
    pub would: Counters,
    pub new_status_options: Vec<String>,
    pub examples: Vec<(u64, Verdict)>,
}

fn counters_json(counters: &Counters) -> Value {
    let Counters { read, created, updated, skipped, failed, warnings, errors_bytes: _ } = counters;
    json!({ "read": read, "created": created, "updated": updated, "skipped": skipped, "failed": failed, "warnings": warnings })
}

fn unmapped(mapping: &Mapping) -> Vec<&str> {
    let pairs = mapping.headers.iter().zip(&mapping.targets);
    pairs.filter(|(_, target)| **target == Target::Unmapped).map(|(header, _)| header.as_str()).collect()
}

pub fn summary(summary: &Summary<'_>, is_json: bool) -> anyhow::Result<()> {
    let rows_per_s = summary.rows_now * 1_000 / summary.elapsed_ms.max(1);
    let unmapped = unmapped(summary.mapping);
    if is_json {
        let answer = json!({
            "import_id": summary.import_id,
            "state": summary.state,
            "counters": counters_json(&summary.counters),
            "elapsed_ms": summary.elapsed_ms,
            "rows_per_s": rows_per_s,
            "errors_file": summary.errors_file,
            "seen_before": summary.seen_before,
            "mapping": summary.mapping.to_json(),
            "unmapped": unmapped,
        });
        return print_json(&answer);
    }
    println!("{}", counters_table(&summary.counters));
    println!("import {} in {:.1} s ({rows_per_s} rows/s)", summary.import_id, summary.elapsed_ms as f64 / 1_000.0);
    if let Some(before) = summary.seen_before {
        println!("This file was imported before, as {before}.");
    }
    if !unmapped.is_empty() {
        println!("Not imported, for want of a field: {}", unmapped.join(", "));
    }
    if let Some(path) = &summary.errors_file {
        println!("Rows that need a look: {}", path.display());
    }
    println!("To take it back: syncline import --undo {}", summary.import_id);
    Ok(())
}

fn counters_table(counters: &Counters) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(["read", "created", "updated", "skipped", "failed", "to look at"]);
    let Counters { read, created, updated, skipped, failed, warnings, errors_bytes: _ } = counters;
    table.add_row([read, created, updated, skipped, failed, warnings].map(u64::to_string));
    table
}

pub fn preview(preview: &Preview<'_>, is_json: bool) -> anyhow::Result<()> {
    let columns = preview.survey.columns.iter().zip(&preview.mapping.headers).zip(&preview.mapping.targets);
    let columns = columns.map(|((column, header), target)| (header, target.label(&preview.mapping.parts), column));
    let unmapped = unmapped(preview.mapping);
    if is_json {
        let columns = columns.map(|(header, target, column)| {
            json!({ "header": header, "target": target, "filled": column.filled, "samples": column.samples })
        });
        let examples = preview.examples.iter().map(|(line, verdict)| {
            let (result, reason) = verdict_text(verdict);
            json!({ "line": line, "result": result, "reason": reason })
        });
        let answer = json!({
            "entity": preview.entity,
            "format": preview.dialect.format,
            "delimiter": char::from(preview.dialect.delimiter).to_string(),
            "file_sha256": preview.survey.file_sha256,
            "columns": columns.collect::<Vec<_>>(),
            "unmapped": unmapped,
            "ambiguous_dates": preview.ambiguous_dates,
            "new_status_options": preview.new_status_options,
            "would": counters_json(&preview.would),
            "examples": examples.collect::<Vec<_>>(),
        });
        return print_json(&answer);
    }
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(["column", "goes to", "filled", "for example"]);
    for (header, target, column) in columns {
        table.add_row([header.clone(), target, column.filled.to_string(), column.samples.join(" · ")]);
    }
    println!("{table}");
    if !preview.ambiguous_dates.is_empty() {
        println!("Say what the dates mean with --date-order: {}", preview.ambiguous_dates.join(", "));
    }
    if !unmapped.is_empty() {
        println!("Would not be imported, for want of a field: {}", unmapped.join(", "));
    }
    if !preview.new_status_options.is_empty() {
        println!("New status options: {}", preview.new_status_options.join(", "));
    }
    println!("This would happen:\n{}", counters_table(&preview.would));
    Ok(())
}

fn verdict_text(verdict: &Verdict) -> (&'static str, Option<&str>) {
    match verdict {
        Verdict::Created => ("created", None),
        Verdict::Updated => ("updated", None),
        Verdict::Skipped(reason) => ("skipped", Some(reason)),
        Verdict::Failed(reason) => ("failed", Some(reason)),
    }
}

pub fn undo(report: &UndoReport, is_json: bool) -> anyhow::Result<()> {
    if is_json {
        return print_json(&serde_json::to_value(report)?);
    }
    println!("Deleted {} records of import {}; {} were gone already.", report.deleted, report.import_id, report.gone);
    if !report.kept.is_empty() {
        let mut table = Table::new();
        table.load_style(UTF8_BORDERS_ONLY).set_header(["kept", "id", "because"]);
        for kept in report.kept.iter().take(50) {
            table.add_row([kept.entity.to_string(), kept.id.to_string(), kept.reason.clone()]);
        }
        println!("{table}");
        if report.kept.len() > 50 {
            println!("… and {} more (--json lists all)", report.kept.len() - 50);
        }
        println!("--force deletes these too.");
    }
    Ok(())
}

pub fn print_json(value: &Value) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}
