//! One run of `syncline import` from its arguments to its report.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use syncline_core::change::Op;
use syncline_core::id::{RecordId, WorkspaceId};
use syncline_core::record::Record;
use syncline_core::schema::Schema;
use syncline_core::storage::{Read, Store as _};
use syncline_core::{Fields, Name, Value};
use syncline_storage::Database;

use super::ImportArgs;
use super::columns::{Mapping, MappingFile};
use super::commit::{self, BATCH_ROWS, BATCH_ROWS_SHARED};
use super::content::{Owners, Reading};
use super::errors::ErrorFile;
use super::identity::Known;
use super::plan::{Batch, Planner, Winners, client_of};
use super::report::{self, Preview, Summary};
use super::source::{Dialect, Format, Row};
use super::state::{self, IMPORTS, Import, ImportState};
use super::survey::Survey;
use super::undo::Undo;
use crate::clock;
use crate::ops::EXIT_ROWS_FAILED;
use crate::ops::data;

/// Everything known before the first row is planned.
struct Job<'a> {
    args: &'a ImportArgs,
    entity: &'a str,
    dialect: Dialect,
    survey: Survey,
    schema: Arc<Schema>,
    workspace: WorkspaceId,
    batch_rows: usize,
}

pub fn import(args: &ImportArgs) -> anyhow::Result<u8> {
    let (Some(file), Some(entity)) = (&args.file, args.entity.as_deref()) else { bail!("name a file and --entity") };
    let schema = args.data.schema()?;
    let file_rules = args.mapping.as_deref().map(MappingFile::read).transpose()?.unwrap_or_default();
    let dialect = Dialect::sniff(file)?;
    let survey = Survey::take(&dialect)?;
    let mapping = Mapping::new(&schema, entity, &survey.headers, &file_rules)?;
    let _lock = if args.preview { None } else { args.data.lock()? };
    let mut store = args.data.open_existing(&schema)?;
    let workspace = data::workspace_existing(&store, args.workspace.as_deref())?;
    let batch_rows = if store.is_shared() { BATCH_ROWS_SHARED } else { BATCH_ROWS };
    let job = Job { args, entity, dialect, survey, schema, workspace, batch_rows };
    let reading = job.reading(&store, mapping, &file_rules)?;
    if args.preview { job.preview(&store, reading) } else { job.run(&mut store, reading) }
}

impl Job<'_> {
    fn reading(&self, store: &Database, mapping: Mapping, file: &MappingFile) -> anyhow::Result<Reading> {
        let named = self.args.date_order.or(file.date_order);
        let columns = self.survey.columns.iter();
        let date_orders = columns.map(|column| named.or_else(|| column.dates.proven())).collect();
        let placeholders = match (&self.args.placeholder, &file.placeholders) {
            (given, _) if !given.is_empty() => given.clone(),
            (_, Some(given)) => given.clone(),
            (_, None) => vec!["Select".to_owned()],
        };
        let placeholders = placeholders.into_iter().filter(|text| !text.is_empty()).collect();
        let owners = store.read(&self.workspace, |read| Owners::load(&self.schema, read))?;
        Ok(Reading { format: self.dialect.format, mapping, date_orders, placeholders, owners })
    }

    /// Headers of date columns nobody can read in one way only.
    fn ambiguous(&self, reading: &Reading) -> Vec<&str> {
        let columns = self.survey.columns.iter().enumerate();
        let unclear = columns.filter(|(index, column)| {
            let is_open = reading.date_orders.get(*index).copied().flatten().is_none();
            is_open && column.dates.is_ambiguous() && reading.mapping.is_date(&self.schema, *index)
        });
        unclear.map(|(index, _)| self.survey.headers[index].as_str()).collect()
    }

    fn planner(&self, store: &Database, import: &Import, reading: Reading) -> anyhow::Result<Planner<'_>> {
        let mut winners = Winners::default();
        if reading.has_keys(&self.schema) {
            let mut rows = self.dialect.rows()?;
            while let Some(row) = rows.next_row()? {
                if let Ok(Some(content)) = reading.content(&self.schema, &self.workspace, &row) {
                    winners.note(&content);
                }
            }
        }
        let has_contacts = reading.mapping.parts.0.iter().any(|part| part == "contacts");
        let client_id = import.client_id;
        let (known, import_clients) = store.read(&self.workspace, |read| {
            // Empty unless an interrupted import goes on.
            let own = state::seqs(read, client_id)?.into_iter().collect::<BTreeSet<_>>();
            let is_own = |record: &Record| own.contains(&record.versions.created.seq());
            let known = if has_contacts { Known::load(read, is_own)? } else { Known::default() };
            let clients = state::all(read)?.iter().map(|record| client_of(record.id)).collect::<BTreeSet<_>>();
            Ok((known, clients))
        })?;
        Ok(Planner {
            schema: &self.schema,
            workspace: &self.workspace,
            reading,
            on_match: self.args.on_match,
            known,
            client_id,
            import_clients,
            winners: winners.into_shared(),
        })
    }

    fn preview(&self, store: &Database, reading: Reading) -> anyhow::Result<u8> {
        let ambiguous: Vec<String> = self.ambiguous(&reading).into_iter().map(str::to_owned).collect();
        let mut import = Import::new(RecordId::NIL);
        let planner = self.planner(store, &import, reading)?;
        let errors = ErrorFile::open(&self.args.data.dir.join("no such folder/preview"), &self.survey.headers, 0)?;
        let (mut batch, mut examples) = (Batch::default(), Vec::new());
        let reader = store.reader();
        self.each_batch(0, |rows, _| {
            let verdicts = commit::preview(&reader, &planner, &mut import, (&errors, &mut batch), rows)?;
            examples.extend(verdicts.into_iter().take(10_usize.saturating_sub(examples.len())));
            Ok(())
        })?;
        let preview = Preview {
            entity: self.entity,
            dialect: &self.dialect,
            survey: &self.survey,
            mapping: &planner.reading.mapping,
            ambiguous_dates: ambiguous,
            would: import.counters,
            new_status_options: batch.options.values().filter_map(option_name).collect(),
            examples,
        };
        report::preview(&preview, self.args.json)?;
        Ok(0)
    }

    fn run(&self, store: &mut Database, reading: Reading) -> anyhow::Result<u8> {
        let ambiguous = self.ambiguous(&reading);
        if !ambiguous.is_empty() {
            let names = ambiguous.join("`, `");
            bail!("`{names}`: day and month could be either; say which with --date-order dmy or --date-order mdy");
        }
        let earlier = store.read(&self.workspace, |read| state::of_file(read, &self.survey.file_sha256))?;
        let same_entity = |record: &&Record| state::text(record, "entity") == self.entity;
        let unfinished = earlier.iter().filter(same_entity).rfind(|record| state::text(record, "state") == "running");
        let mut import = match (unfinished, self.args.resume) {
            (Some(record), true) => Import::from_record(record)?,
            (Some(record), false) => bail!(
                "an import of this file was interrupted: go on with --resume, or take it back with --undo {}",
                record.id
            ),
            (None, true) => bail!("there is no interrupted import of this file to resume"),
            (None, false) => self.begin(store, &reading)?,
        };
        let seen_before = earlier.iter().filter(same_entity).rfind(|record| state::text(record, "state") == "done");
        let errors_path = self.errors_path(import.id);
        let mut errors = ErrorFile::open(&errors_path, &self.survey.headers, import.counters.errors_bytes)?;
        let started = clock::instant();
        let before = import.counters.read;
        let planner = self.planner(store, &import, reading)?;
        let bar = self.bar();
        let done = self.each_batch(import.counters.read, |rows, position| {
            commit::commit(store, &planner, &mut import, &mut errors, rows)?;
            bar.set_position(position);
            Ok(())
        });
        bar.finish_and_clear();
        let state = if done.is_ok() { ImportState::Done } else { ImportState::Failed };
        import.finish(store, (&self.schema, &self.workspace), state)?;
        done?;
        let summary = Summary {
            import_id: import.id,
            state,
            counters: import.counters,
            rows_now: import.counters.read - before,
            elapsed_ms: u64::try_from(clock::instant().duration_since(started).as_millis()).unwrap_or(u64::MAX),
            errors_file: errors.path().map(std::path::Path::to_owned),
            seen_before: seen_before.map(|record| record.id),
            mapping: &planner.reading.mapping,
        };
        report::summary(&summary, self.args.json)?;
        Ok(if import.counters.failed > 0 { EXIT_ROWS_FAILED } else { 0 })
    }

    /// Notes the import before its first row.
    fn begin(&self, store: &mut Database, reading: &Reading) -> anyhow::Result<Import> {
        let id = RecordId::v7(clock::now_ms(), rand::random());
        let import = Import::new(id);
        let delimiter = char::from(self.dialect.delimiter).to_string();
        let dialect = json!({
            "file_name": state::file_name(&self.dialect.path),
            "encoding": "utf-8",
            "format": self.dialect.format,
            "delimiter": if self.dialect.format == Format::Csv { Value::from(delimiter) } else { Value::Null },
            "header_row": self.dialect.format == Format::Csv,
            "date_order": self.args.date_order,
            "placeholders": reading.placeholders,
        });
        let fields = Fields::from([
            (Name::new_static("entity"), json!(self.entity)),
            (Name::new_static("file_sha256"), json!(self.survey.file_sha256)),
            (Name::new_static("dialect"), dialect),
            (Name::new_static("mapping"), reading.mapping.to_json()),
            (Name::new_static("match_keys"), json!(["external_id", "email", "phone"])),
            (Name::new_static("on_match"), json!(self.args.on_match)),
            (Name::new_static("state"), json!(ImportState::Running.word())),
            (Name::new_static("counters"), json!(import.counters)),
            (Name::new_static("last_row"), json!(0)),
        ]);
        let op = Op::Create { entity: Name::new_static(IMPORTS), id, fields };
        import.write(store, (&self.schema, &self.workspace), |_: &dyn Read| Ok(vec![op.clone()]))?;
        Ok(import)
    }

    /// Calls `work` with batches of rows behind the first `skip`, and how far in the file they end.
    fn each_batch(&self, skip: u64, mut work: impl FnMut(&[Row], u64) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut rows = self.dialect.rows()?;
        for _ in 0..skip {
            if rows.next_row()?.is_none() {
                bail!("the file has fewer rows than were imported already");
            }
        }
        let mut batch = Vec::with_capacity(self.batch_rows);
        loop {
            let next = rows.next_row()?;
            let is_end = next.is_none();
            batch.extend(next);
            if batch.len() == self.batch_rows || (is_end && !batch.is_empty()) {
                work(&batch, rows.position())?;
                batch.clear();
            }
            if is_end {
                return Ok(());
            }
        }
    }

    fn errors_path(&self, import: RecordId) -> PathBuf {
        let default = || self.args.data.dir.join("imports").join(format!("{import}.csv"));
        self.args.errors.clone().unwrap_or_else(default)
    }

    fn bar(&self) -> ProgressBar {
        progress_bar(self.survey.bytes, self.args.json, "{bar:40} {bytes}/{total_bytes} {eta}")
    }
}

/// A bar on a terminal; nothing elsewhere.
pub fn progress_bar(total: u64, is_json: bool, template: &str) -> ProgressBar {
    if is_json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(total);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

fn option_name(op: &Op) -> Option<String> {
    match op {
        Op::Create { fields, .. } | Op::Restore { fields, .. } => {
            fields.get("name").and_then(Value::as_str).map(str::to_owned)
        }
        Op::Update { .. } | Op::Delete { .. } | Op::Resolve { .. } => None,
    }
}

pub fn undo(args: &ImportArgs, import_id: RecordId) -> anyhow::Result<u8> {
    let schema = args.data.schema()?;
    let _lock = args.data.lock()?;
    let mut store = args.data.open_existing(&schema)?;
    let workspace = data::workspace_existing(&store, args.workspace.as_deref())?;
    let record = store.read(&workspace, |read| read.record(IMPORTS, import_id))?;
    let record = record.filter(|record| !record.is_deleted);
    let record = record.with_context(|| format!("there is no import {import_id} in workspace {workspace}"))?;
    let import = Import::from_record(&record)?;
    let bar = progress_bar(import.counters.created, args.json, "{bar:40} {pos}/{len} {eta}");
    let undo = Undo { schema: &schema, workspace: &workspace, import, is_forced: args.force };
    let undone = undo.run(&mut store, |rows| bar.inc(rows));
    bar.finish_and_clear();
    report::undo(&undone?, args.json)?;
    Ok(0)
}
