//! Backup while everything goes on, and the way back.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use syncline_core::id::WorkspaceId;
use syncline_core::schema::Schema;
use syncline_core::storage::{StoreError, StoreResult};

use crate::epoch::{RestoreError, begin_epochs};

use super::connect::{Source, SqliteOptions};
use super::error::{OrFailed, corrupt, refused};
use super::store::{SqliteReader, SqliteStore};

/// How far a backup has come; pages of the database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BackupProgress {
    pub pages_done: u64,
    pub pages_total: u64,
}

/// Pages copied between two reports: 4 MiB.
const STEP_PAGES: i32 = 1024;

impl SqliteReader {
    /// Writes a copy of the whole database, identity included, as it is at this moment; writers go on meanwhile. `path` must
    /// not exist; it appears, complete and synced, only when this succeeds. Guard it like the database.
    pub fn backup(&self, path: &Path, mut progress: impl FnMut(BackupProgress)) -> StoreResult<()> {
        let partial = begin_file(path)?;
        let source = self.pool.source().open_reader()?;
        // The copy's moment: later commits stay out, and so never make it start over.
        source.execute_batch("BEGIN; SELECT count(*) FROM sync_workspaces;").or_failed()?;
        let mut target = Connection::open(&partial).or_failed()?;
        {
            let backup = Backup::new(&source, &mut target).or_failed()?;
            loop {
                let step = backup.step(STEP_PAGES).or_failed()?;
                let at = backup.progress();
                let (total, left) = (at.pagecount.unsigned_abs().into(), u64::from(at.remaining.unsigned_abs()));
                progress(BackupProgress { pages_done: u64::saturating_sub(total, left), pages_total: total });
                match step {
                    StepResult::Done => break,
                    StepResult::More => {}
                    StepResult::Busy | StepResult::Locked => std::thread::yield_now(),
                    other => return Err(refused(format!("the backup stopped: {other:?}"))),
                }
            }
        }
        // One file by itself, without a log beside it.
        let _: String = target.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0)).or_failed()?;
        target.close().map_err(|(_, error)| error).or_failed()?;
        finish_file(&partial, path)
    }
}

/// What is brought back, where, and as which epoch.
#[derive(Clone, Copy, Debug)]
pub struct Restore<'a> {
    /// A file that [`SqliteReader::backup`] wrote.
    pub backup: &'a Path,
    /// The new database; it must not exist.
    pub target: &'a Path,
    /// Highest epoch used since the backup, as far as it is known ([`epoch_of`] what is replaced); 0: none.
    pub epoch_used: u32,
    /// The epoch to begin; `None`: the first that is free.
    pub epoch: Option<u32>,
}

/// Brings a backup back as a new database and begins a new epoch in every workspace (spec EPO-1): clients then offer again
/// what the backup does not know. Returns the workspaces with it.
pub fn restore(
    restore: Restore<'_>,
    schema: Arc<Schema>,
    options: SqliteOptions,
) -> Result<Vec<(WorkspaceId, u32)>, RestoreError> {
    let Restore { backup, target, epoch_used, epoch } = restore;
    let partial = begin_file(target)?;
    std::fs::copy(backup, &partial).map_err(|error| io_failed("copying the backup", backup, &error))?;
    let mut store = SqliteStore::open(&partial, schema, options)?;
    let report = store.reader().check()?;
    if let Some(problem) = report.problems.first() {
        return Err(corrupt(format!("{} is not a sound backup: {problem}", backup.display())).into());
    }
    let epochs = begin_epochs(&mut store, epoch_used, epoch)?;
    if !store.checkpoint()? {
        return Err(StoreError::Unavailable("somebody else has the restored file open".to_owned()).into());
    }
    drop(store);
    finish_file(&partial, target)?;
    Ok(epochs)
}

/// The highest epoch of a database, of whatever version; 0 as well when it has no workspace.
pub fn epoch_of(database: &Path) -> StoreResult<u32> {
    let conn = Source { path: database.to_owned(), options: SqliteOptions::default() }.open_reader()?;
    conn.query_row("SELECT coalesce(max(epoch), 0) FROM sync_workspaces", [], |row| row.get(0)).or_failed()
}

/// The name under which a file is written until it is complete. Refuses when `path` or a log of it exists.
fn begin_file(path: &Path) -> StoreResult<PathBuf> {
    for taken in [path.to_owned(), with_suffix(path, "-wal")] {
        if taken.exists() {
            return Err(refused(format!("{} exists already: move it away first", taken.display())));
        }
    }
    let partial = with_suffix(path, ".partial");
    for leftover in ["", "-wal", "-shm", "-journal"].map(|suffix| with_suffix(&partial, suffix)) {
        if leftover.exists() {
            std::fs::remove_file(&leftover).map_err(|error| io_failed("removing", &leftover, &error))?;
        }
    }
    Ok(partial)
}

/// Makes a complete file durable under its own name.
fn finish_file(partial: &Path, path: &Path) -> StoreResult<()> {
    let synced = File::open(partial).and_then(|file| file.sync_all());
    synced.map_err(|error| io_failed("syncing", partial, &error))?;
    std::fs::rename(partial, path).map_err(|error| io_failed("renaming", partial, &error))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| io_failed("syncing", folder, &error))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn io_failed(what: &str, path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("{what} {} failed: {error}", path.display()))
}
