//! Reading: every answer comes from the file, in the order the trait promises.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, Params, Row, params};
use serde::de::DeserializeOwned;
use syncline_core::id::{RecordId, ScopeId};
use syncline_core::replica::{
    BaseRecord, Pending, Rejected, ReplicaError, ReplicaMeta, ReplicaResult, ReplicaStore, ReplicaWrites, ScopeState,
};
use syncline_core::{Fields, Name, Seq, Value};
use uuid::Uuid;

use super::{SqliteReplica, failed, write};

impl ReplicaStore for SqliteReplica {
    fn meta(&self) -> ReplicaResult<Option<ReplicaMeta>> {
        let bodies = self.bodies("SELECT body FROM meta", [])?;
        Ok(bodies.into_iter().next())
    }

    fn base(&self, entity: &str, id: RecordId) -> ReplicaResult<Option<BaseRecord>> {
        let sql = "SELECT b.id, b.rv, s.name, b.fields FROM base b JOIN scope_names s ON s.no = b.scope_no
            WHERE b.entity = ?1 AND b.id = ?2";
        let name = Name::new(entity);
        let mut statement = self.conn.prepare_cached(sql).map_err(failed)?;
        let row = statement.query_row(params![entity, id.as_bytes()], |row| Ok(base_record(&name, row))).optional();
        row.map_err(failed)?.transpose()
    }

    fn base_find(&self, entity: &str, field: &str, value: &Value, limit: usize) -> ReplicaResult<Vec<RecordId>> {
        let declared = self.schema.entity(entity).and_then(|entity| entity.field(field));
        if !declared.is_some_and(|field| field.is_indexed) {
            return Err(ReplicaError::Corrupt(format!("{entity}.{field} has no index")));
        }
        let sql = "SELECT id FROM base_index WHERE entity = ?1 AND field = ?2 AND value = ?3 ORDER BY id LIMIT ?4";
        self.rows(sql, params![entity, field, value.to_string(), count(limit)], |row| record_id(row, 0))
    }

    fn base_scan(&self, entity: &str, after: Option<RecordId>, limit: usize) -> ReplicaResult<Vec<BaseRecord>> {
        let sql = "SELECT b.id, b.rv, s.name, b.fields FROM base b JOIN scope_names s ON s.no = b.scope_no
            WHERE b.entity = ?1 AND b.id > ?2 ORDER BY b.id LIMIT ?3";
        let name = Name::new(entity);
        // No blob sorts before the empty one.
        let after = after.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
        self.rows(sql, params![entity, after, count(limit)], |row| base_record(&name, row))
    }

    fn base_count(&self, entity: &str) -> ReplicaResult<u64> {
        self.number("SELECT count(*) FROM base WHERE entity = ?1", [entity])
    }

    fn base_rows(&self, scope: &ScopeId) -> ReplicaResult<Vec<(RecordId, Name, Seq)>> {
        let sql = "SELECT id, entity, rv FROM base WHERE scope_no = (SELECT no FROM scope_names WHERE name = ?1)
            ORDER BY id, entity";
        self.rows(sql, [scope.as_str()], |row| Ok((record_id(row, 0)?, Name::new(text(row, 1)?), seq(row, 2)?)))
    }

    fn scopes(&self) -> ReplicaResult<BTreeMap<ScopeId, ScopeState>> {
        let rows = self.rows("SELECT name, body FROM scopes", [], |row| Ok((scope(row, 0)?, body(text(row, 1)?)?)))?;
        Ok(rows.into_iter().collect())
    }

    fn outbox(&self, first: u64, limit: usize) -> ReplicaResult<Vec<Pending>> {
        let sql = "SELECT body FROM outbox WHERE client_seq >= ?1 ORDER BY client_seq LIMIT ?2";
        self.bodies(sql, params![from(first), count(limit)])
    }

    fn outbox_count(&self) -> ReplicaResult<u64> {
        Ok(self.outbox_count)
    }

    fn pending_for(&self, entity: &str, id: RecordId) -> ReplicaResult<Vec<Pending>> {
        let sql = "SELECT o.body FROM outbox_touch t JOIN outbox o ON o.client_seq = t.client_seq
            WHERE t.entity = ?1 AND t.id = ?2 ORDER BY t.client_seq";
        self.bodies(sql, params![entity, id.as_bytes()])
    }

    fn pending_ids(&self, entity: &str) -> ReplicaResult<Vec<RecordId>> {
        let sql = "SELECT DISTINCT id FROM outbox_touch WHERE entity = ?1 ORDER BY id";
        self.rows(sql, [entity], |row| record_id(row, 0))
    }

    fn rejected(&self) -> ReplicaResult<Vec<Rejected>> {
        self.bodies("SELECT body FROM rejected ORDER BY client_seq, mutation_id", [])
    }

    fn acknowledged(&self, first: u64) -> ReplicaResult<Vec<Pending>> {
        self.bodies("SELECT body FROM acknowledged WHERE client_seq >= ?1 ORDER BY client_seq", [from(first)])
    }

    fn write(&mut self, writes: ReplicaWrites) -> ReplicaResult<()> {
        let (schema, outbox_count) = (self.schema.clone(), self.outbox_count);
        self.outbox_count = self.transaction(|conn| write::apply(conn, &schema, &writes, outbox_count))?;
        if writes.wipe {
            self.erase();
        }
        Ok(())
    }
}

impl SqliteReplica {
    fn rows<T>(
        &self,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> ReplicaResult<T>,
    ) -> ReplicaResult<Vec<T>> {
        let mut statement = self.conn.prepare_cached(sql).map_err(failed)?;
        let mut rows = statement.query(params).map_err(failed)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            found.push(read(row)?);
        }
        Ok(found)
    }

    /// The first column of every row, from JSON.
    fn bodies<T: DeserializeOwned>(&self, sql: &str, params: impl Params) -> ReplicaResult<Vec<T>> {
        self.rows(sql, params, |row| body(text(row, 0)?))
    }

    pub(super) fn number(&self, sql: &str, params: impl Params) -> ReplicaResult<u64> {
        let mut statement = self.conn.prepare_cached(sql).map_err(failed)?;
        let number: i64 = statement.query_row(params, |row| row.get(0)).map_err(failed)?;
        Ok(number.cast_unsigned())
    }
}

/// Columns: id, rv, scope name, fields.
fn base_record(entity: &Name, row: &Row<'_>) -> ReplicaResult<BaseRecord> {
    let fields: Fields = body(text(row, 3)?)?;
    Ok(BaseRecord { entity: entity.clone(), id: record_id(row, 0)?, rv: seq(row, 1)?, scope: scope(row, 2)?, fields })
}

/// A limit as SQLite takes it.
fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A lower bound as SQLite takes it: no number it stores is beyond.
fn from(first: u64) -> i64 {
    i64::try_from(first).unwrap_or(i64::MAX)
}

fn text<'r>(row: &'r Row<'_>, column: usize) -> ReplicaResult<&'r str> {
    row.get_ref(column).map_err(failed)?.as_str().map_err(damaged)
}

fn body<T: DeserializeOwned>(text: &str) -> ReplicaResult<T> {
    serde_json::from_str(text).map_err(damaged)
}

fn record_id(row: &Row<'_>, column: usize) -> ReplicaResult<RecordId> {
    let bytes = row.get_ref(column).map_err(failed)?.as_blob().map_err(damaged)?;
    Uuid::from_slice(bytes).map(RecordId).map_err(damaged)
}

fn seq(row: &Row<'_>, column: usize) -> ReplicaResult<Seq> {
    let number: i64 = row.get(column).map_err(failed)?;
    Ok(number.cast_unsigned())
}

fn scope(row: &Row<'_>, column: usize) -> ReplicaResult<ScopeId> {
    ScopeId::try_from(Name::new(text(row, column)?)).map_err(damaged)
}

fn damaged(error: impl std::fmt::Display) -> ReplicaError {
    ReplicaError::Corrupt(error.to_string())
}
