//! `syncline export`: all live records of an entity, one moment of the store, streamed.
//!
//! CSV cells that a spreadsheet would run as a formula get an apostrophe in front; an import takes it off again. JSON is
//! exact by itself.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use serde_json::Map;
use syncline_core::id::WorkspaceId;
use syncline_core::record::Record;
use syncline_core::schema::{Entity, FieldType};
use syncline_core::storage::{Read, Store as _, StoreError, StoreResult};
use syncline_core::{Name, Value};
use syncline_server::audit::{AuditEvent, AuditRecord};
use syncline_storage::Database;

use super::data::{self, DataArgs};
use super::formula;
use crate::clock;

#[derive(Debug, Args)]
pub struct ExportArgs {
    /// What to export: contacts, leads, …
    #[arg(long)]
    pub entity: String,
    #[arg(long, value_enum, default_value_t = ExportFormat::Csv)]
    pub format: ExportFormat,
    /// Where to write; default standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub data: DataArgs,
    /// Workspace to export; may be left out when there is one
    #[arg(long, value_name = "ID")]
    pub workspace: Option<String>,
    /// CSV: leave cells that look like formulas as they are (`=`, `+`, `-`, `@` in front are otherwise marked with `'`)
    #[arg(long)]
    pub raw: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum ExportFormat {
    Csv,
    /// One array
    Json,
    /// One object per line
    Ndjson,
}

const PAGE: usize = 500;

pub fn run(args: &ExportArgs) -> anyhow::Result<u8> {
    let schema = args.data.schema()?;
    let Some(entity) = schema.entity(&args.entity) else { bail!("the schema has no entity `{}`", args.entity) };
    let store = args.data.open_existing(&schema)?;
    let workspace = data::workspace_existing(&store, args.workspace.as_deref())?;
    let out: Box<dyn Write> = match &args.out {
        Some(path) => Box::new(File::create(path).with_context(|| format!("making {} failed", path.display()))?),
        None => Box::new(std::io::stdout().lock()),
    };
    let mut writer = RowWriter::new(args, entity, BufWriter::with_capacity(1 << 18, out))?;
    store.read(&workspace, |read| each_record(read, entity, |record| writer.write(record).map_err(unwritten)))?;
    let rows = writer.finish()?;
    note(&store, &workspace, args, rows)?;
    if args.out.is_some() {
        eprintln!("{rows} {} exported", entity.name);
    }
    Ok(0)
}

/// Who can run this can read everything; that it was done is in the audit log.
fn note(store: &Database, workspace: &WorkspaceId, args: &ExportArgs, rows: u64) -> anyhow::Result<()> {
    let record = AuditRecord::new(workspace, AuditEvent::Export).about(&args.entity).with("rows", rows);
    let entry = record.with("by", "command_line").into_entry(syncline_server::random::uuid_v7(), clock::now_ms(), 0);
    Ok(store.auth().append_audit(&[entry])?)
}

fn unwritten(error: anyhow::Error) -> StoreError {
    StoreError::Unavailable(format!("writing the export failed: {error:#}"))
}

fn each_record(read: &dyn Read, entity: &Entity, mut work: impl FnMut(&Record) -> StoreResult<()>) -> StoreResult<()> {
    let mut after = None;
    loop {
        let page = read.scan(&entity.name, after, PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id);
        page.iter().try_for_each(&mut work)?;
    }
}

type Out = BufWriter<Box<dyn Write>>;

enum Sink {
    Csv(Box<csv::Writer<Out>>),
    Json { out: Out, is_array: bool },
}

struct RowWriter<'a> {
    sink: Sink,
    fields: Vec<(&'a Name, &'a FieldType)>,
    is_raw: bool,
    rows: u64,
}

impl<'a> RowWriter<'a> {
    fn new(args: &ExportArgs, entity: &'a Entity, mut out: Out) -> anyhow::Result<Self> {
        let fields: Vec<_> = entity.fields.values().map(|field| (&field.name, &field.kind)).collect();
        let sink = match args.format {
            ExportFormat::Csv => {
                let mut writer = Box::new(csv::Writer::from_writer(out));
                writer.write_record(std::iter::once("id").chain(fields.iter().map(|(name, _)| name.as_str())))?;
                Sink::Csv(writer)
            }
            ExportFormat::Json => {
                out.write_all(b"[")?;
                Sink::Json { out, is_array: true }
            }
            ExportFormat::Ndjson => Sink::Json { out, is_array: false },
        };
        Ok(Self { sink, fields, is_raw: args.raw, rows: 0 })
    }

    fn write(&mut self, record: &Record) -> anyhow::Result<()> {
        match &mut self.sink {
            Sink::Csv(writer) => {
                writer.write_field(record.id.to_string())?;
                for (name, kind) in &self.fields {
                    match record.fields.get(*name) {
                        None | Some(Value::Null) => writer.write_field("")?,
                        Some(Value::String(text)) if self.is_raw || is_number(kind) => writer.write_field(text)?,
                        Some(Value::String(text)) => writer.write_field(formula::guard(text).as_ref())?,
                        Some(other) => writer.write_field(other.to_string())?,
                    }
                }
                writer.write_record(None::<&[u8]>)?;
            }
            Sink::Json { out, is_array } => {
                let mut object = Map::new();
                object.insert("id".to_owned(), Value::from(record.id.to_string()));
                object.extend(record.fields.iter().map(|(name, value)| (name.to_string(), value.clone())));
                if *is_array {
                    out.write_all(if self.rows == 0 { b"\n" } else { b",\n" })?;
                }
                serde_json::to_writer(&mut *out, &object)?;
                if !*is_array {
                    out.write_all(b"\n")?;
                }
            }
        }
        self.rows += 1;
        Ok(())
    }

    fn finish(self) -> anyhow::Result<u64> {
        match self.sink {
            Sink::Csv(mut writer) => writer.flush()?,
            Sink::Json { mut out, is_array } => {
                if is_array {
                    out.write_all(if self.rows == 0 { b"]\n" } else { b"\n]\n" })?;
                }
                out.flush()?;
            }
        }
        Ok(self.rows)
    }
}

/// Texts that are numbers to everybody; a minus in front makes no formula of them.
fn is_number(kind: &FieldType) -> bool {
    matches!(kind, FieldType::Decimal { .. })
}
