//! SQLite as either side of a copy.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, params_from_iter};
use syncline_core::id::WorkspaceId;
use syncline_core::storage::StoreResult;

use super::lines::{CHUNK_BYTES, Chunk, decode};
use super::tables::{KV, Part, Table, Tables, quoted};
use super::{Feed, Source, Target, Work, mark};
use crate::sqlite::OrFailed;

pub(super) struct SqliteSource {
    conn: Connection,
}

impl SqliteSource {
    /// Everything is read at the moment of the first read.
    pub(super) fn open(path: &Path) -> StoreResult<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags).or_failed()?;
        conn.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -65536; BEGIN").or_failed()?;
        Ok(Self { conn })
    }
}

/// What a `SELECT` of the table is bound to.
fn key<'a>(table: &Table, of: Option<&'a WorkspaceId>) -> Vec<&'a str> {
    of.filter(|_| table.part != Part::Whole).map(WorkspaceId::as_str).into_iter().collect()
}

impl Source for SqliteSource {
    fn rows(&mut self, table: &Table, of: Option<&WorkspaceId>) -> StoreResult<u64> {
        let sql = match of {
            None => format!("SELECT count(*) FROM {}", quoted(&table.name)),
            Some(_) => format!("SELECT count(*) FROM ({})", table.sqlite_select()),
        };
        let rows = self.conn.query_row(&sql, params_from_iter(key(table, of)), |row| row.get::<_, i64>(0));
        rows.map(i64::unsigned_abs).or_failed()
    }

    fn read(&mut self, table: &Table, of: Option<&WorkspaceId>, work: Work<'_>) -> StoreResult<u64> {
        let kinds = table.kinds();
        let mut statement = self.conn.prepare(&table.sqlite_select()).or_failed()?;
        let mut rows = statement.query(params_from_iter(key(table, of))).or_failed()?;
        let mut is_over = false;
        work(&mut || {
            let mut chunk = Chunk::default();
            // A statement that is stepped after its end begins anew.
            while !is_over && chunk.lines.len() < CHUNK_BYTES {
                let Some(row) = rows.next().or_failed()? else {
                    is_over = true;
                    break;
                };
                for (index, kind) in kinds.iter().enumerate() {
                    chunk.push(*kind, row.get_ref(index).or_failed()?)?;
                    chunk.end_field();
                }
                chunk.end_row();
            }
            Ok(Some(chunk).filter(|chunk| chunk.rows > 0))
        })
    }
}

pub(super) struct SqliteTarget {
    conn: Connection,
}

impl SqliteTarget {
    pub(super) fn open(path: &Path) -> StoreResult<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags).or_failed()?;
        conn.set_prepared_statement_cache_capacity(64);
        let pragmas = "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -65536;";
        conn.execute_batch(pragmas).or_failed()?;
        Ok(Self { conn })
    }
}

impl Target for SqliteTarget {
    /// Whoever writes to SQLite holds the lock of its directory.
    fn claim(&mut self) -> StoreResult<bool> {
        Ok(true)
    }

    fn clear(&mut self, tables: &Tables) -> StoreResult<()> {
        self.begin()?;
        for table in tables.all() {
            let name = quoted(&table.name);
            let kept = if table.name == KV {
                format!(" WHERE workspace_id <> '' OR key <> '{}'", mark::KEY)
            } else {
                String::new()
            };
            self.conn.execute_batch(&format!("DELETE FROM {name}{kept}")).or_failed()?;
        }
        for name in tables.derived {
            self.conn.execute_batch(&format!("DELETE FROM {name}")).or_failed()?;
        }
        self.commit()
    }

    fn begin(&mut self) -> StoreResult<()> {
        self.conn.execute_batch("BEGIN IMMEDIATE").or_failed()
    }

    fn write(&mut self, table: &Table, feed: Feed<'_>) -> StoreResult<u64> {
        let kinds = table.kinds();
        let mut insert = self.conn.prepare_cached(&table.sqlite_insert()).or_failed()?;
        let (mut rows, mut rest) = (0, Vec::new());
        while let Some(chunk) = feed()? {
            rest.extend_from_slice(&chunk.lines);
            let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            for line in rest[..whole].split_inclusive(|byte| *byte == b'\n') {
                insert.execute(params_from_iter(decode(&kinds, &line[..line.len() - 1])?)).or_failed()?;
                rows += 1;
            }
            rest.drain(..whole);
        }
        Ok(rows)
    }

    fn commit(&mut self) -> StoreResult<()> {
        self.conn.execute_batch("COMMIT").or_failed()
    }

    fn analyze(&mut self) -> StoreResult<()> {
        Ok(())
    }
}
