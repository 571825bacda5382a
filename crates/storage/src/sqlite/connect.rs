//! Connections: how they are opened, and the lane that writes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use syncline_core::TimestampMs;
use syncline_core::storage::{StoreError, StoreResult};

use crate::timing::Timed;

use super::error::{OrFailed, commit_failed, failed, refused};
use super::turn::Turnstile;

/// 3.51.3: older ones can corrupt a WAL when it is reset.
const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// How a database is opened. `SqliteOptions::default()` suits a server with a few hundred megabytes to spare.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SqliteOptions {
    /// Connections that read at the same time, at least 1; a further reader waits for one. Each may take `reader_cache_kib`.
    pub readers_max: usize,
    /// Page cache of the writing connection; KiB.
    pub writer_cache_kib: u32,
    /// Page cache of each reading connection; KiB.
    pub reader_cache_kib: u32,
    /// Bytes of the file that each reader maps into memory instead of reading; 0: none. A disk error in a mapped page kills
    /// the process.
    pub mmap_bytes: u64,
    /// How long a write waits for another *process*; milliseconds.
    pub busy_timeout_ms: u32,
    /// WAL size from which a commit also copies it into the database; pages of 4 KiB.
    pub checkpoint_pages: u32,
    /// Now, for the record of schema versions.
    pub opened_ms: TimestampMs,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            readers_max: 8,
            writer_cache_kib: 64 * 1024,
            reader_cache_kib: 16 * 1024,
            mmap_bytes: 0,
            busy_timeout_ms: 5_000,
            checkpoint_pages: 4_000,
            opened_ms: 0,
        }
    }
}

/// Where a database lies and how it is opened.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) options: SqliteOptions,
}

impl Source {
    /// A connection that may write: WAL, every commit on disk before it returns.
    pub(super) fn open_writer(&self) -> StoreResult<Connection> {
        let version = rusqlite::version_number();
        if version < SQLITE_VERSION_MIN {
            return Err(refused(format!("SQLite {} can corrupt its WAL; 3.51.3 is needed", rusqlite::version())));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&self.path, flags).or_failed()?;
        self.set_up(&conn, self.options.writer_cache_kib)?;
        let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).or_failed()?;
        if mode != "wal" {
            let path = self.path.display();
            return Err(refused(format!(
                "{path} cannot use a write-ahead log (journal mode {mode}); use a local disk"
            )));
        }
        let checkpoint_pages = self.options.checkpoint_pages;
        let pragmas = format!(
            "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA wal_autocheckpoint = {checkpoint_pages};
             PRAGMA journal_size_limit = 67108864; PRAGMA trusted_schema = OFF;"
        );
        conn.execute_batch(&pragmas).or_failed()?;
        Ok(conn)
    }

    /// A connection that cannot write. The database must exist.
    pub(super) fn open_reader(&self) -> StoreResult<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&self.path, flags).or_failed()?;
        self.set_up(&conn, self.options.reader_cache_kib)?;
        let pragmas = format!(
            "PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; PRAGMA mmap_size = {};",
            self.options.mmap_bytes
        );
        conn.execute_batch(&pragmas).or_failed()?;
        Ok(conn)
    }

    fn busy_timeout(&self) -> Duration {
        Duration::from_millis(self.options.busy_timeout_ms.into())
    }

    fn set_up(&self, conn: &Connection, cache_kib: u32) -> StoreResult<()> {
        conn.busy_timeout(self.busy_timeout()).or_failed()?;
        conn.set_prepared_statement_cache_capacity(512);
        // Plans do not depend on bound values, so that a statement is never prepared again because of them.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).or_failed()?;
        conn.execute_batch(&format!("PRAGMA cache_size = -{cache_kib}; PRAGMA temp_store = MEMORY;")).or_failed()
    }
}

/// A connection that writes, one transaction at a time, taking turns with the others of this process.
pub(super) struct Lane {
    conn: Connection,
    busy_timeout: Duration,
    turn: Arc<Turnstile>,
    /// Why the last commit's effect is unknown: nothing may be written until the process has recovered.
    broken: Option<String>,
}

impl Lane {
    pub(super) fn new(conn: Connection, source: &Source, turn: Arc<Turnstile>) -> Self {
        Self { conn, busy_timeout: source.busy_timeout(), turn, broken: None }
    }

    /// Another lane to the same file, which takes turns with this one.
    pub(super) fn sibling(&self, source: &Source) -> StoreResult<Self> {
        Ok(Self::new(source.open_writer()?, source, self.turn.clone()))
    }

    /// For what needs no transaction of ours.
    pub(super) fn conn(&self) -> &Connection {
        &self.conn
    }

    /// Runs `work`, outside a transaction, without waiting for locks.
    pub(super) fn without_waiting<T>(&mut self, work: impl FnOnce(&Connection) -> StoreResult<T>) -> StoreResult<T> {
        let _turn = self.turn.wait();
        self.conn.busy_timeout(Duration::ZERO).or_failed()?;
        let result = work(&self.conn);
        self.conn.busy_timeout(self.busy_timeout).or_failed()?;
        result
    }

    /// Runs `work` in one write transaction and commits it durably. An error of `work` or a panic rolls it back.
    pub(super) fn write<T>(&mut self, work: impl FnOnce(&Connection) -> StoreResult<T>) -> StoreResult<T> {
        if let Some(reason) = &self.broken {
            return Err(StoreError::Indeterminate(format!("an earlier commit failed, restart to recover: {reason}")));
        }
        let _turn = self.turn.wait();
        let _timed = Timed::start("a write", 0);
        run(&self.conn, "BEGIN IMMEDIATE").map_err(failed)?;
        let rollback = RollbackUnlessCommitted(&self.conn);
        let value = work(&self.conn)?;
        let committed = run(&self.conn, "COMMIT").map_err(commit_failed);
        drop(rollback);
        if let Err(StoreError::Indeterminate(reason)) = &committed {
            self.broken = Some(reason.clone());
        }
        committed.map(|()| value)
    }
}

fn run(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute([]).map(drop)
}

/// Ends the transaction of a connection if it is still open.
pub(super) struct RollbackUnlessCommitted<'a>(pub(super) &'a Connection);

impl Drop for RollbackUnlessCommitted<'_> {
    fn drop(&mut self) {
        if !self.0.is_autocommit()
            && let Err(error) = run(self.0, "ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(folder: &tempfile::TempDir) -> Source {
        Source { path: folder.path().join("a.sqlite"), options: SqliteOptions::default() }
    }

    fn pragma(conn: &Connection, name: &str) -> String {
        let value = conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, rusqlite::types::Value>(0));
        match value.unwrap() {
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other => panic!("{name} is {other:?}"),
        }
    }

    #[test]
    fn inv_3_every_writing_connection_is_durable() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let conn = source(&folder).open_writer().unwrap();
            assert_eq!(pragma(&conn, "journal_mode"), "wal");
            assert_eq!(pragma(&conn, "synchronous"), "2", "FULL: every commit is synced before it is answered");
            assert_eq!(pragma(&conn, "foreign_keys"), "1");
        }
    }

    #[test]
    fn inv_3_a_reading_connection_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let writer = source(&folder).open_writer().unwrap();
        writer.execute_batch("CREATE TABLE t (a)").unwrap();
        let reader = source(&folder).open_reader().unwrap();
        assert!(reader.execute_batch("INSERT INTO t VALUES (1)").is_err());
        assert_eq!(pragma(&reader, "query_only"), "1");
        let nowhere = Source { path: folder.path().join("b.sqlite"), ..source(&folder) };
        assert!(matches!(nowhere.open_reader().map(drop), Err(StoreError::Unavailable(_))));
    }

    #[test]
    fn inv_3_after_a_commit_of_unknown_effect_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let conn = source(&folder).open_writer().unwrap();
        let mut lane = Lane::new(conn, &source(&folder), Arc::new(Turnstile::default()));
        // Stands in for a COMMIT that fails: the transaction is over before its time.
        let failed = lane.write(|conn| conn.execute_batch("COMMIT").or_failed());
        assert!(matches!(failed, Err(StoreError::Indeterminate(_))), "{failed:?}");
        let after = lane.write(|_| Ok(()));
        assert!(matches!(after, Err(StoreError::Indeterminate(_))), "{after:?}");
    }

    #[test]
    fn inv_3_a_full_disk_leaves_nothing_and_is_no_catastrophe() {
        let folder = tempfile::tempdir().unwrap();
        let conn = source(&folder).open_writer().unwrap();
        conn.execute_batch("CREATE TABLE t (a); PRAGMA max_page_count = 10").unwrap();
        let mut lane = Lane::new(conn, &source(&folder), Arc::new(Turnstile::default()));
        let full = lane.write(|conn| {
            let mut insert = conn.prepare("INSERT INTO t VALUES (zeroblob(10000))").or_failed()?;
            (0..50).try_for_each(|_| insert.execute([]).or_failed().map(drop))
        });
        assert!(matches!(&full, Err(StoreError::Unavailable(text)) if text.contains("full")), "{full:?}");
        let count = lane.write(|conn| {
            conn.execute_batch("INSERT INTO t VALUES (1)").or_failed()?;
            conn.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).or_failed()
        });
        assert_eq!(count.unwrap(), 1, "nothing of the failed transaction is left, and the next one works");
    }
}
