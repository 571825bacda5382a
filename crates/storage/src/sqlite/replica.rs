//! A device's replica in one SQLite file, owned by one process.
//!
//! | table | holds |
//! |---|---|
//! | `base` | what the server last said, a record's fields as JSON |
//! | `base_index` | values of the indexed fields of `base`, sets by element |
//! | `outbox`, `outbox_touch` | pending mutations, and the records their ops name |
//! | `rejected`, `acknowledged` | mutations that were decided and are kept |
//! | `scopes`, `scope_names`, `meta`, `store` | what is held, and of whom |

mod files;
mod read;
mod write;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, Error, ErrorCode, OptionalExtension};
use syncline_core::replica::{ReplicaError, ReplicaResult};
use syncline_core::schema::Schema;

use super::connect::{RollbackUnlessCommitted, Source, SqliteOptions};
use super::error::Refused;

/// Name of the database in the replica's directory.
const DATABASE: &str = "replica.sqlite";
/// Version of the tables below; `PRAGMA user_version`.
const FORMAT: i64 = 1;
/// Rows held of the tables that a device reads again and again; KiB.
const CACHE_KIB: u32 = 32 * 1024;

const TABLES: &str = "
    CREATE TABLE store (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE meta (one INTEGER PRIMARY KEY CHECK (one = 1), body TEXT NOT NULL) STRICT;
    CREATE TABLE scope_names (no INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE scopes (name TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE base (entity TEXT NOT NULL, id BLOB NOT NULL, rv INTEGER NOT NULL, scope_no INTEGER NOT NULL,
        fields TEXT NOT NULL, PRIMARY KEY (entity, id)) STRICT, WITHOUT ROWID;
    CREATE INDEX base_scope ON base (scope_no, id, entity, rv);
    CREATE TABLE base_index (entity TEXT NOT NULL, field TEXT NOT NULL, value TEXT NOT NULL, id BLOB NOT NULL,
        PRIMARY KEY (entity, field, value, id)) STRICT, WITHOUT ROWID;
    CREATE TABLE outbox (client_seq INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
    CREATE TABLE outbox_touch (entity TEXT NOT NULL, id BLOB NOT NULL, client_seq INTEGER NOT NULL,
        PRIMARY KEY (entity, id, client_seq)) STRICT, WITHOUT ROWID;
    CREATE INDEX outbox_touch_by_seq ON outbox_touch (client_seq);
    CREATE TABLE rejected (mutation_id BLOB PRIMARY KEY, client_seq INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
    CREATE TABLE acknowledged (client_seq INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
";

/// A replica store in a directory of its own: `replica.sqlite`, `lock` and `marker`. Every write is on disk when it
/// returns. Held exclusively: a second process gets [`ReplicaError::Locked`].
#[derive(Debug)]
pub struct SqliteReplica {
    dir: PathBuf,
    conn: Connection,
    schema: Arc<Schema>,
    is_cloned: bool,
    /// Mutations in the outbox: asked for at every step, and counting them reads all of it.
    outbox_count: u64,
    /// Why the effect of the last commit is unknown: nothing may be written until the file was opened again.
    broken: Option<String>,
    /// Held until the replica is dropped; the system lets go of it when the process dies.
    _lock: File,
}

impl SqliteReplica {
    /// Opens the replica in `dir`, creating both when they are missing. Rebuilds the indexes of `base` when the schema is
    /// another than last time: one pass over all records.
    pub fn open(dir: impl AsRef<Path>, schema: Arc<Schema>) -> ReplicaResult<Self> {
        let dir = dir.as_ref().to_path_buf();
        let lock = files::lock(&dir)?;
        let options = SqliteOptions { writer_cache_kib: CACHE_KIB, ..SqliteOptions::default() };
        let source = Source { path: dir.join(DATABASE), options };
        let conn = source.open_writer().map_err(opened)?;
        let mut replica = Self { dir, conn, schema, is_cloned: false, outbox_count: 0, broken: None, _lock: lock };
        replica.prepare()?;
        replica.outbox_count = replica.number("SELECT count(*) FROM outbox", [])?;
        let marked = replica.stored("marker")?;
        replica.is_cloned = match &marked {
            None => {
                replica.adopt()?;
                false
            }
            Some(marker) => files::marker(&replica.dir)?.as_ref() != Some(marker),
        };
        Ok(replica)
    }

    /// Whether this database is a copy of another, or was put back without the rest of its directory: its client id may
    /// be in use elsewhere, so a new one must be minted (spec ID-2) before anything is sent; then [`Self::adopt`].
    pub fn is_cloned(&self) -> bool {
        self.is_cloned
    }

    /// Marks database and directory as belonging together.
    pub fn adopt(&mut self) -> ReplicaResult<()> {
        let sql = "SELECT lower(hex(randomblob(16)))";
        let marker: String = self.conn.query_row(sql, [], |row| row.get(0)).map_err(failed)?;
        files::write_marker(&self.dir, &marker)?;
        self.transaction(|conn| store(conn, "marker", &marker))?;
        self.is_cloned = false;
        Ok(())
    }

    /// Size of the database with its log; bytes.
    pub fn bytes(&self) -> u64 {
        let names = [DATABASE, "replica.sqlite-wal"];
        names.iter().filter_map(|name| std::fs::metadata(self.dir.join(name)).ok()).map(|file| file.len()).sum()
    }

    /// Takes what was deleted out of the file and its log too: a purge leaves nothing to read (spec REV-2). The deletion
    /// itself is done already; when this fails, its pages are overwritten in time.
    fn erase(&self) {
        let erased = self.conn.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);");
        if let Err(error) = erased {
            tracing::warn!(%error, "the database could not be shrunk after everything was deleted");
        }
    }

    /// Creates the tables of a new file and brings the indexes up to the schema.
    fn prepare(&mut self) -> ReplicaResult<()> {
        let format: i64 = self.conn.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
        match format {
            FORMAT => {}
            0 => self.transaction(|conn| {
                conn.execute_batch(TABLES)?;
                conn.execute_batch(&format!("PRAGMA user_version = {FORMAT}"))?;
                Ok(())
            })?,
            newer => {
                let text = format!("{DATABASE} has format {newer}, this program knows {FORMAT}: update it");
                return Err(ReplicaError::Corrupt(text));
            }
        }
        if self.stored("schema")?.as_ref() == Some(&self.schema.hash) {
            return Ok(());
        }
        let schema = self.schema.clone();
        self.transaction(|conn| {
            write::reindex(conn, &schema)?;
            store(conn, "schema", &schema.hash)
        })
    }

    fn stored(&self, key: &str) -> ReplicaResult<Option<String>> {
        let value = self.conn.query_row("SELECT value FROM store WHERE key = ?1", [key], |row| row.get(0));
        value.optional().map_err(failed)
    }

    /// Runs `work` in one transaction that is on disk when this returns. An error rolls it back.
    fn transaction<T>(&mut self, work: impl FnOnce(&Connection) -> Result<T, WriteError>) -> ReplicaResult<T> {
        if let Some(reason) = &self.broken {
            return Err(ReplicaError::Io(Box::new(Refused(format!(
                "an earlier commit failed: {reason}; open it again"
            )))));
        }
        self.conn.prepare_cached("BEGIN IMMEDIATE").and_then(|mut sql| sql.execute([])).map_err(failed)?;
        let rollback = RollbackUnlessCommitted(&self.conn);
        let value = work(&self.conn).map_err(WriteError::into_replica)?;
        let committed = self.conn.prepare_cached("COMMIT").and_then(|mut sql| sql.execute([]));
        drop(rollback);
        match committed {
            Ok(_) => Ok(value),
            Err(error) => {
                let is_undone = matches!(
                    error.sqlite_error_code(),
                    Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::DiskFull)
                );
                if !is_undone {
                    self.broken = Some(error.to_string());
                }
                Err(failed(error))
            }
        }
    }
}

fn store(conn: &Connection, key: &str, value: &str) -> Result<(), WriteError> {
    conn.execute("INSERT OR REPLACE INTO store (key, value) VALUES (?1, ?2)", [key, value])?;
    Ok(())
}

/// Why a step was not written.
#[derive(Debug)]
enum WriteError {
    Sql(Error),
    Json(serde_json::Error),
    Refused(String),
}

impl WriteError {
    fn into_replica(self) -> ReplicaError {
        match self {
            WriteError::Sql(error) => failed(error),
            WriteError::Json(error) => ReplicaError::Corrupt(error.to_string()),
            WriteError::Refused(text) => ReplicaError::Corrupt(text),
        }
    }
}
impl From<Error> for WriteError {
    fn from(error: Error) -> Self {
        WriteError::Sql(error)
    }
}
impl From<serde_json::Error> for WriteError {
    fn from(error: serde_json::Error) -> Self {
        WriteError::Json(error)
    }
}

/// What an error of SQLite means to the owner of a replica.
fn failed(error: Error) -> ReplicaError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => ReplicaError::Full,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ReplicaError::Locked,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => ReplicaError::Corrupt(error.to_string()),
        _ => ReplicaError::Io(Box::new(error)),
    }
}

/// What a failure to open means to the owner of a replica.
fn opened(error: syncline_core::storage::StoreError) -> ReplicaError {
    match error {
        syncline_core::storage::StoreError::Corrupt(text) => ReplicaError::Corrupt(text),
        other => ReplicaError::Io(Box::new(other)),
    }
}

#[cfg(test)]
mod tests;
