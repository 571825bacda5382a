//! `syncline migrate-storage`: everything from the embedded database to PostgreSQL, or back, so that devices go on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use syncline_core::schema::Schema;
use syncline_storage::transfer::{Transfer, TransferProgress, TransferReport, transfer};
use syncline_storage::{DatabaseOptions, DatabaseUrl, PostgresOptions, SqliteOptions};

use super::data::{DATABASE_FILE, DataLock};
use super::import::{print_json, progress_bar};
use crate::clock;

/// Copies records, log, outcomes, conflicts and sign-in data, and checks the copy. Devices then go on with the new database
/// without loading anything again and without signing in. Stop the server first; the source is left as it is.
#[derive(Debug, Args)]
pub struct MigrateStorageArgs {
    /// The database to copy: sqlite:PATH, or postgres://user:password@host:port/name
    #[arg(long, value_name = "URL")]
    pub from: DatabaseUrl,
    /// The database to fill, without workspaces; postgres://… (not through a pooler), or sqlite:PATH
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    pub to: DatabaseUrl,
    /// The declaration of entities the server runs with, when it is not the built-in CRM schema
    #[arg(long, value_name = "FILE")]
    pub schema: Option<PathBuf>,
    /// Answer for programs
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: &MigrateStorageArgs) -> anyhow::Result<u8> {
    let schema = super::data::schema(args.schema.as_deref())?;
    let (from, to) = (file_of(&args.from), file_of(&args.to));
    let _locks = (lock(&from, false)?, lock(&to, true)?);
    let started_ms = clock::now_ms();
    let report = copy(&from, &to, schema, args.json)?;
    let elapsed_ms = clock::now_ms().saturating_sub(started_ms);
    if args.json {
        return print_json(&answer(&report, elapsed_ms)).map(|()| 0);
    }
    if report.was_interrupted {
        println!("An earlier copy had been interrupted; this one began anew.");
    }
    for workspace in &report.workspaces {
        println!(
            "  {}: {} records and tombstones, {} log entries, epoch {} at seq {}",
            workspace.id, workspace.records, workspace.log_entries, workspace.epoch, workspace.seq
        );
    }
    println!(
        "{} rows copied in {:.1} s; digests, counts and audit chains are equal.",
        report.rows,
        elapsed_ms as f64 / 1e3
    );
    println!("Start the server with DATABASE_URL naming {to}, and never again on {from}: devices would go two ways.");
    Ok(0)
}

fn copy(from: &DatabaseUrl, to: &DatabaseUrl, schema: Arc<Schema>, is_json: bool) -> anyhow::Result<TransferReport> {
    let opened_ms = clock::now_ms();
    let options = DatabaseOptions {
        sqlite: SqliteOptions { opened_ms, ..SqliteOptions::default() },
        // Checking the copy reads whole tables.
        postgres: PostgresOptions { opened_ms, statement_timeout_ms: 600_000, ..PostgresOptions::default() },
    };
    let bar = progress_bar(0, is_json, "{bar:40} {pos}/{len} rows {eta} {msg}");
    let copied = transfer(&Transfer { from, to, schema, options }, |at: &TransferProgress<'_>| {
        bar.set_length(at.rows_total);
        bar.set_position(at.rows_done);
        bar.set_message(at.table.unwrap_or("checking").to_owned());
    });
    bar.finish_and_clear();
    Ok(copied?)
}

fn answer(report: &TransferReport, elapsed_ms: u64) -> serde_json::Value {
    let workspaces = report.workspaces.iter().map(|workspace| {
        json!({
            "workspace": workspace.id, "epoch": workspace.epoch, "seq": workspace.seq, "records": workspace.records,
            "log_entries": workspace.log_entries, "chain": workspace.chain,
        })
    });
    json!({
        "rows": report.rows, "elapsed_ms": elapsed_ms, "was_interrupted": report.was_interrupted,
        "workspaces": workspaces.collect::<Vec<_>>(),
    })
}

/// A directory stands for the database in it.
fn file_of(url: &DatabaseUrl) -> DatabaseUrl {
    match url {
        DatabaseUrl::Sqlite(path) if path.is_dir() => DatabaseUrl::Sqlite(path.join(DATABASE_FILE)),
        DatabaseUrl::Sqlite(_) | DatabaseUrl::Postgres(_) => url.clone(),
    }
}

/// No server writes to an embedded database while this is held.
fn lock(url: &DatabaseUrl, may_create: bool) -> anyhow::Result<Option<DataLock>> {
    let DatabaseUrl::Sqlite(path) = url else { return Ok(None) };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !may_create {
        std::fs::metadata(path).with_context(|| format!("there is no database at {}", path.display()))?;
    }
    DataLock::acquire(folder).map(Some)
}
