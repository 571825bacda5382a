//! `syncline backup` and `syncline restore`: one file out while everything goes on, and back in as a new epoch.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use clap::builder::RangedI64ValueParser;
use serde_json::json;
use syncline_core::storage::EPOCH_MAX;
use syncline_storage::sqlite::{Restore, epoch_of, restore};
use syncline_storage::{DatabaseReader, SqliteOptions};

use super::data::{self, DataArgs, DataLock};
use super::import::{print_json, progress_bar};
use crate::clock;

#[derive(Debug, Args)]
pub struct BackupArgs {
    #[command(flatten)]
    pub data: DataArgs,
    /// The file to write; it must not exist
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Answer for programs
    #[arg(long)]
    pub json: bool,
}

const NOT_EMBEDDED: &str = "PostgreSQL is backed up and restored with its own tools: see docs/operations/backup.md";

/// The data, if these commands are for it.
fn embedded(data: &DataArgs) -> anyhow::Result<&DataArgs> {
    match data.sqlite_path() {
        Some(_) => Ok(data),
        None => bail!("{NOT_EMBEDDED}; after a restore run `syncline restored`"),
    }
}

/// Copies the database as it is at this moment. The copy holds everything, sign-in data included: guard it.
pub fn run_backup(args: &BackupArgs) -> anyhow::Result<u8> {
    let schema = args.data.schema()?;
    let DatabaseReader::Sqlite(reader) = embedded(&args.data)?.open_existing(&schema)?.reader() else {
        bail!(NOT_EMBEDDED);
    };
    let bar = progress_bar(0, args.json, "{bar:40} {pos}/{len} pages {eta}");
    let copied = reader.backup(&args.out, |at| {
        bar.set_length(at.pages_total);
        bar.set_position(at.pages_done);
    });
    bar.finish_and_clear();
    copied.with_context(|| format!("the backup to {} failed", args.out.display()))?;
    let bytes = std::fs::metadata(&args.out)?.len();
    if args.json {
        return print_json(&json!({ "file": args.out, "bytes": bytes })).map(|()| 0);
    }
    println!("{} ({} MiB)", args.out.display(), bytes.div_ceil(1 << 20));
    println!("It holds sign-in data: guard it like the database.");
    Ok(0)
}

#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// A file that `syncline backup` wrote
    pub file: PathBuf,
    #[command(flatten)]
    pub data: DataArgs,
    /// Move a database that is there aside instead of refusing
    #[arg(long)]
    pub force: bool,
    /// Epoch to begin instead of the first one after those of the backup and of the database it replaces. Needed when a
    /// backup from before an earlier restore comes back and the database of that restore is not there to be replaced: name
    /// one above what it printed
    #[arg(long, value_name = "N", value_parser = epoch_parser())]
    pub epoch: Option<u32>,
    /// Answer for programs
    #[arg(long)]
    pub json: bool,
}

/// Numbers that an epoch after a restore can have.
pub fn epoch_parser() -> RangedI64ValueParser<u32> {
    RangedI64ValueParser::new().range(1..=EPOCH_MAX.into())
}

/// Brings a backup back after checking it whole. Every workspace starts a new epoch (spec EPO-1): devices then offer again
/// what the backup does not know.
pub fn run_restore(args: &RestoreArgs) -> anyhow::Result<u8> {
    let target = embedded(&args.data)?.sqlite_path().context(NOT_EMBEDDED)?;
    let dir = target.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !args.file.is_file() {
        bail!("there is no file {}", args.file.display());
    }
    let is_empty = is_empty(dir)?;
    if !is_empty && !args.force {
        bail!("{} is not empty: choose another directory, or --force to move its database aside", dir.display());
    }
    let _lock = DataLock::acquire(dir)?;
    let epoch_used = epoch_used(&target, args.epoch)?;
    let moved = if target.exists() { Some(move_aside(&target)?) } else { None };
    let options = SqliteOptions { opened_ms: clock::now_ms(), ..SqliteOptions::default() };
    let what = Restore { backup: &args.file, target: &target, epoch_used, epoch: args.epoch };
    let restored = restore(what, args.data.schema()?, options);
    let epochs = match restored {
        Ok(epochs) => epochs,
        Err(error) => {
            if let Some(moved) = &moved {
                move_back(moved, &target).context("the former database could not be moved back")?;
            }
            return Err(error).with_context(|| format!("restoring {} failed", args.file.display()));
        }
    };
    if args.json {
        let epochs = epochs.iter().map(|(workspace, epoch)| json!({ "workspace": workspace, "epoch": epoch }));
        let answer = json!({ "database": target, "moved_aside": moved, "workspaces": epochs.collect::<Vec<_>>() });
        return print_json(&answer).map(|()| 0);
    }
    println!("{} is restored and was checked.", target.display());
    for (workspace, epoch) in &epochs {
        println!("  {workspace}: epoch {epoch}");
    }
    if let Some(moved) = moved {
        println!("The former database is at {}.", moved.display());
    }
    Ok(0)
}

/// The epoch of the database that is replaced. One too damaged to tell it leaves the choice to a person.
fn epoch_used(target: &Path, chosen: Option<u32>) -> anyhow::Result<u32> {
    if !target.exists() {
        return Ok(0);
    }
    match (epoch_of(target), chosen) {
        (Ok(epoch), _) => Ok(epoch),
        (Err(_), Some(_)) => Ok(0),
        (Err(error), None) => Err(error).with_context(|| {
            format!(
                "the epoch of {} cannot be read: name one with --epoch N, above those that earlier restores printed",
                target.display()
            )
        }),
    }
}

/// Nothing in it but an unused lock file.
fn is_empty(dir: &Path) -> anyhow::Result<bool> {
    if !dir.exists() {
        return Ok(true);
    }
    for entry in std::fs::read_dir(dir).with_context(|| format!("reading {} failed", dir.display()))? {
        if entry?.file_name() != data::LOCK_FILE {
            return Ok(false);
        }
    }
    Ok(true)
}

const LOGS: [&str; 3] = ["", "-wal", "-shm"];

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Renames a database with its log.
fn move_aside(target: &Path) -> anyhow::Result<PathBuf> {
    let moved = with_suffix(target, &format!(".before-restore-{}", clock::now_ms()));
    move_back(target, &moved).with_context(|| format!("moving {} aside failed", target.display()))?;
    Ok(moved)
}

fn move_back(from: &Path, to: &Path) -> std::io::Result<()> {
    for suffix in LOGS {
        let from = with_suffix(from, suffix);
        if from.exists() {
            std::fs::rename(from, with_suffix(to, suffix))?;
        }
    }
    Ok(())
}
