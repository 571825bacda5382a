//! Reading: one workspace at one moment, inside a transaction that the caller holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Params, Row, params};
use syncline_core::change::LogEntry;
use syncline_core::digest::Digest;
use syncline_core::id::{ClientId, DeviceId, RecordId, ScopeId, UserId, WorkspaceId};
use syncline_core::record::Record;
use syncline_core::storage::{
    ChangedPage, ClientState, Departure, Head, ListQuery, Read, StoreError, StoreResult, StoredOutcome, require_index,
};
use syncline_core::{Fields, Name, Seq, SharedFields, Value};

use super::error::{OrFailed, corrupt};
use super::layout::{Layout, Table};
use super::values::{IdText, int, json, record_id, utf8};

/// A workspace's row, read first so that everything after it belongs to the same moment.
#[derive(Clone, Debug)]
pub(super) struct Workspace {
    pub(super) no: i64,
    pub(super) id: WorkspaceId,
    pub(super) head: Head,
}

impl Workspace {
    pub(super) fn load(conn: &Connection, id: &WorkspaceId) -> StoreResult<Self> {
        let sql = "SELECT no, backend_id, epoch, seq, min_seq, chain FROM sync_workspaces WHERE workspace_id = ?1";
        let mut statement = conn.prepare_cached(sql).or_failed()?;
        let row = statement.query_row([id.as_str()], |row| {
            let backend_id: String = row.get(1)?;
            let (epoch, seq, min_seq) = (row.get(2)?, unsigned(row, 3)?, unsigned(row, 4)?);
            Ok((
                row.get(0)?,
                backend_id,
                Head { backend_id: Default::default(), epoch, seq, min_seq, chain: row.get(5)? },
            ))
        });
        let (no, backend_id, head) = row.optional().or_failed()?.ok_or_else(|| StoreError::NoWorkspace(id.clone()))?;
        let backend_id = backend_id.parse().map_err(|error| corrupt(format!("backend id {backend_id}: {error}")))?;
        Ok(Self { no, id: id.clone(), head: Head { backend_id, ..head } })
    }
}

/// The contract's view. Statements come from the connection's cache.
pub(super) struct View<'a> {
    pub(super) conn: &'a Connection,
    pub(super) layout: &'a Layout,
    pub(super) workspace: &'a Workspace,
}

impl View<'_> {
    fn prepare(&self, sql: &str) -> StoreResult<CachedStatement<'_>> {
        self.conn.prepare_cached(sql).or_failed()
    }

    /// Number of a scope; `None`: nothing was ever written to it.
    pub(super) fn scope_no(&self, scope: &ScopeId) -> StoreResult<Option<i64>> {
        let mut statement = self.prepare("SELECT no FROM sync_scopes WHERE workspace_no = ?1 AND name = ?2")?;
        statement.query_row(params![self.workspace.no, scope.as_str()], |row| row.get(0)).optional().or_failed()
    }

    /// Every row of a query, decoded.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        decode: impl Fn(&Row<'_>) -> StoreResult<T>,
    ) -> StoreResult<Vec<T>> {
        let mut statement = self.prepare(sql)?;
        let mut rows = statement.query(params).or_failed()?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().or_failed()? {
            all.push(decode(row)?);
        }
        Ok(all)
    }

    fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        decode: impl Fn(&Row<'_>) -> StoreResult<T>,
    ) -> StoreResult<Option<T>> {
        let mut statement = self.prepare(sql)?;
        let mut rows = statement.query(params).or_failed()?;
        rows.next().or_failed()?.map(decode).transpose()
    }

    fn entity(&self, no: i64) -> StoreResult<Name> {
        self.layout.entity(no).cloned().ok_or_else(|| corrupt(format!("entity number {no} is not registered")))
    }

    /// Values of a live record whose sync row is known.
    fn live_fields(&self, statement: &mut CachedStatement<'_>, table: &Table, id: RecordId) -> StoreResult<Fields> {
        let mut rows = statement.query(params![self.workspace.id.as_str(), IdText::new(id)]).or_failed()?;
        match rows.next().or_failed()? {
            Some(row) => fields_at(table, row, 0),
            None => Err(missing_row(table, id)),
        }
    }
}

impl Read for View<'_> {
    fn head(&self) -> StoreResult<Head> {
        Ok(self.workspace.head.clone())
    }

    fn record(&self, entity: &str, id: RecordId) -> StoreResult<Option<Record>> {
        let Some(table) = self.layout.table(entity) else { return Ok(None) };
        let key = params![self.workspace.no, table.no, id.as_bytes(), self.workspace.id.as_str(), IdText::new(id)];
        self.one(&table.select_record, key, |row| {
            let scope = scope(row.get_ref(0).or_failed()?)?;
            let mut record = sync_row(table, id, scope, row, 1)?;
            if record.is_deleted {
                record.fields = Arc::new(tombstone_fields(row.get_ref(5).or_failed()?)?);
            } else if row.get_ref(6).or_failed()? == ValueRef::Null {
                return Err(missing_row(table, id));
            } else {
                record.fields = Arc::new(fields_at(table, row, 7)?);
            }
            Ok(record)
        })
    }

    fn find(&self, entity: &str, field: &str, value: &Value, limit: usize) -> StoreResult<Vec<RecordId>> {
        require_index(&self.layout.schema, entity, field)?;
        let Some(table) = self.layout.table(entity) else { return Ok(Vec::new()) };
        let Some(position) = table.columns.iter().position(|column| column.field == field) else {
            return Ok(Vec::new());
        };
        let id_at = |row: &Row<'_>| record_id(row.get_ref(0).or_failed()?);
        if let Some(set) = table.sets.iter().find(|set| set.column == position) {
            let Some(item) = value.as_str() else { return Ok(Vec::new()) };
            let sql = "SELECT record_id FROM sync_keys WHERE workspace_no = ?1 AND index_no = ?2 AND key = ?3
                       ORDER BY record_id LIMIT ?4";
            return self.all(sql, params![self.workspace.no, set.no, item, int(limit as u64)], id_at);
        }
        let column = &table.columns[position];
        match (column.find(), column.kind.encode(Some(value))) {
            (Some(sql), Some(value)) => {
                self.all(sql, params![self.workspace.id.as_str(), value, int(limit as u64)], id_at)
            }
            _ => Ok(Vec::new()),
        }
    }

    fn find_unique(&self, entity: &str, unique: &str, key: &str) -> StoreResult<Vec<RecordId>> {
        let uniques = self.layout.table(entity).map_or(&[][..], |table| &table.uniques);
        let Some(index) = uniques.iter().find(|index| index.unique.name == unique) else { return Ok(Vec::new()) };
        let sql = "SELECT record_id FROM sync_keys WHERE workspace_no = ?1 AND index_no = ?2 AND key = ?3
                   ORDER BY record_id LIMIT 2";
        self.all(sql, params![self.workspace.no, index.no, key], |row| record_id(row.get_ref(0).or_failed()?))
    }

    fn client(&self, client_id: ClientId) -> StoreResult<Option<ClientState>> {
        let sql =
            "SELECT user_id, device_id, last_client_seq FROM sync_clients WHERE workspace_no = ?1 AND client_id = ?2";
        self.one(sql, params![self.workspace.no, client_id.as_bytes()], |row| {
            let (user_id, device_id) = (UserId(uuid_at(row, 0)?), DeviceId(uuid_at(row, 1)?));
            Ok(ClientState { client_id, user_id, device_id, last_client_seq: unsigned(row, 2).or_failed()? })
        })
    }

    fn outcome(&self, client_id: ClientId, client_seq: u64) -> StoreResult<Option<StoredOutcome>> {
        let sql = "SELECT client_id, user_id, decided_ms, outcome, rejected FROM sync_outcomes
                   WHERE workspace_no = ?1 AND client_id = ?2 AND client_seq = ?3";
        self.one(sql, params![self.workspace.no, client_id.as_bytes(), int(client_seq)], outcome_at)
    }

    fn outcomes_from(&self, client_id: ClientId, first: u64, limit: usize) -> StoreResult<Vec<StoredOutcome>> {
        let sql = "SELECT client_id, user_id, decided_ms, outcome, rejected FROM sync_outcomes
                   WHERE workspace_no = ?1 AND client_id = ?2 AND client_seq >= ?3 ORDER BY client_seq LIMIT ?4";
        let key = params![self.workspace.no, client_id.as_bytes(), int(first), int(limit as u64)];
        self.all(sql, key, outcome_at)
    }

    fn log_entry(&self, seq: Seq) -> StoreResult<Option<LogEntry>> {
        let sql = "SELECT entry FROM sync_log WHERE workspace_no = ?1 AND seq = ?2";
        self.one(sql, params![self.workspace.no, int(seq)], entry_at)
    }

    fn log(&self, after: Seq, to: Seq, limit: usize) -> StoreResult<Vec<LogEntry>> {
        let sql = "SELECT entry FROM sync_log WHERE workspace_no = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq LIMIT ?4";
        self.all(sql, params![self.workspace.no, int(after), int(to), int(limit as u64)], entry_at)
    }

    fn scope_digest(&self, scope: &ScopeId) -> StoreResult<Digest> {
        let sql = "SELECT count, sum FROM sync_scopes WHERE workspace_no = ?1 AND name = ?2";
        let digest = self.one(sql, params![self.workspace.no, scope.as_str()], |row| digest_at(row, 0));
        Ok(digest?.unwrap_or_default())
    }

    fn scopes(&self) -> StoreResult<Vec<(ScopeId, Digest)>> {
        let sql = "SELECT name, count, sum FROM sync_scopes s WHERE workspace_no = ?1
                   AND (EXISTS (SELECT 1 FROM sync_records r WHERE r.scope_no = s.no AND r.state < 2)
                        OR EXISTS (SELECT 1 FROM sync_departures d WHERE d.scope_no = s.no))
                   ORDER BY name";
        self.all(sql, [self.workspace.no], |row| Ok((scope(row.get_ref(0).or_failed()?)?, digest_at(row, 1)?)))
    }

    fn changed(&self, page: &ChangedPage) -> StoreResult<Vec<Record>> {
        let mut records: Vec<Record> = Vec::new();
        let Some(table) = self.layout.table(&page.entity) else { return Ok(records) };
        let Some(scope_no) = self.scope_no(&page.scope)? else { return Ok(records) };
        let mut fields = self.prepare(&table.select_fields)?;
        let sql = if page.live_only { CHANGED_LIVE } else { CHANGED };
        let mut statement = self.prepare(sql)?;
        let key = params![scope_no, table.no, int(page.after), int(page.to)];
        let mut rows = statement.query(key).or_failed()?;
        while let Some(row) = rows.next().or_failed()? {
            let rv = unsigned(row, 0).or_failed()?;
            if records.len() >= page.limit && records.last().is_none_or(|last| last.rv != rv) {
                break;
            }
            let id = record_id(row.get_ref(5).or_failed()?)?;
            let mut record = sync_row(table, id, page.scope.clone(), row, 0)?;
            record.fields = Arc::new(match record.is_deleted {
                true => tombstone_fields(row.get_ref(4).or_failed()?)?,
                false => self.live_fields(&mut fields, table, id)?,
            });
            records.push(record);
        }
        Ok(records)
    }

    fn departures(&self, scope: &ScopeId, after: Seq, to: Seq) -> StoreResult<Vec<Departure>> {
        let Some(scope_no) = self.scope_no(scope)? else { return Ok(Vec::new()) };
        let sql = "SELECT seq, entity_no, record_id FROM sync_departures WHERE scope_no = ?1 AND seq > ?2 AND seq <= ?3
                   ORDER BY seq";
        let all = self.all(sql, params![scope_no, int(after), int(to)], |row| {
            let entity = self.entity(row.get(1).or_failed()?)?;
            Ok(((entity, record_id(row.get_ref(2).or_failed()?)?), unsigned(row, 0).or_failed()?))
        });
        let latest: BTreeMap<(Name, RecordId), Seq> = all?.into_iter().collect();
        let mut departures: Vec<Departure> =
            latest.into_iter().map(|((entity, id), seq)| Departure { seq, entity, id }).collect();
        departures.sort_by_key(|departure| departure.seq);
        Ok(departures)
    }

    fn scope_rows(&self, scope: &ScopeId) -> StoreResult<Vec<(Name, RecordId, Seq)>> {
        let Some(scope_no) = self.scope_no(scope)? else { return Ok(Vec::new()) };
        let mut rows = self.all(SCOPE_ROWS, [scope_no], |row| {
            let (id, rv) = (record_id(row.get_ref(1).or_failed()?)?, unsigned(row, 2).or_failed()?);
            Ok((self.entity(row.get(0).or_failed()?)?, id, rv))
        })?;
        rows.sort_unstable_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        Ok(rows)
    }

    fn scan(&self, entity: &str, after: Option<RecordId>, limit: usize) -> StoreResult<Vec<Record>> {
        let Some(table) = self.layout.table(entity) else { return Ok(Vec::new()) };
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let key = params![self.workspace.no, table.no, self.workspace.id.as_str(), after, int(limit as u64)];
        self.all(&table.scan, key, |row| {
            let id = record_id(row.get_ref(6).or_failed()?)?;
            if row.get_ref(0).or_failed()? == ValueRef::Null {
                return Err(corrupt(format!("{entity} {id} has no sync row")));
            }
            let mut record = sync_row(table, id, scope(row.get_ref(0).or_failed()?)?, row, 1)?;
            record.fields = Arc::new(fields_at(table, row, 7)?);
            Ok(record)
        })
    }

    fn list(&self, query: &ListQuery) -> StoreResult<Vec<Record>> {
        super::list::list(self, query)
    }

    fn rejected(&self, limit: usize) -> StoreResult<Vec<StoredOutcome>> {
        let sql = "SELECT client_id, user_id, decided_ms, outcome, rejected FROM sync_outcomes
                   WHERE workspace_no = ?1 AND is_rejected = 1
                   ORDER BY decided_ms DESC, client_id DESC, client_seq DESC LIMIT ?2";
        self.all(sql, params![self.workspace.no, int(limit as u64)], outcome_at)
    }
}

/// Reads `sync_records_changed` in its own order.
const CHANGED: &str = "SELECT rv, entered, state, versions, fields, record_id FROM sync_records
    INDEXED BY sync_records_changed
    WHERE scope_no = ?1 AND entity_no = ?2 AND rv > ?3 AND rv <= ?4 AND state < 2 ORDER BY rv, record_id";
const CHANGED_LIVE: &str = "SELECT rv, entered, state, versions, fields, record_id FROM sync_records
    INDEXED BY sync_records_changed
    WHERE scope_no = ?1 AND entity_no = ?2 AND rv > ?3 AND rv <= ?4 AND state < 2 AND state = 0
    ORDER BY rv, record_id";
/// Reads nothing but `sync_records_changed`.
const SCOPE_ROWS: &str = "SELECT entity_no, record_id, rv FROM sync_records INDEXED BY sync_records_changed
    WHERE scope_no = ?1 AND state < 2 AND state = 0";

/// `rv, entered, state, versions` from `first` on; without fields.
fn sync_row(table: &Table, id: RecordId, scope: ScopeId, row: &Row<'_>, first: usize) -> StoreResult<Record> {
    let versions = row.get_ref(first + 3).or_failed()?.as_bytes().unwrap_or_default();
    Ok(Record {
        entity: table.entity.clone(),
        id,
        rv: unsigned(row, first).or_failed()?,
        scope,
        entered: unsigned(row, first + 1).or_failed()?,
        is_deleted: unsigned(row, first + 2).or_failed()? > 0,
        fields: SharedFields::default(),
        versions: json(versions)?,
    })
}

fn tombstone_fields(stored: ValueRef<'_>) -> StoreResult<Fields> {
    match stored {
        ValueRef::Text(text) => json(text),
        _ => Ok(Fields::new()),
    }
}

/// A table's fields from column `first` on.
pub(super) fn fields_at(table: &Table, row: &Row<'_>, first: usize) -> StoreResult<Fields> {
    let mut fields = Fields::new();
    for (index, column) in table.columns.iter().enumerate() {
        let value = column.kind.decode(row.get_ref(first + index).or_failed()?);
        let value = value.map_err(|error| corrupt(format!("{}.{}: {error}", table.entity, column.field)))?;
        if let Some(value) = value {
            fields.insert(column.field.clone(), value);
        }
    }
    Ok(fields)
}

fn missing_row(table: &Table, id: RecordId) -> StoreError {
    corrupt(format!("{} {id} is live but has no row in its table", table.entity))
}

pub(super) fn scope(stored: ValueRef<'_>) -> StoreResult<ScopeId> {
    let text = utf8(stored.as_bytes().unwrap_or_default())?;
    ScopeId::try_from(Name::new(text)).map_err(|error| corrupt(error.to_string()))
}

pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::unsigned_abs)
}

fn uuid_at(row: &Row<'_>, column: usize) -> StoreResult<uuid::Uuid> {
    record_id(row.get_ref(column).or_failed()?).map(|id| id.0)
}

/// `count, sum` from `first` on; the sum is stored as the signed number with the same bits.
pub(super) fn digest_at(row: &Row<'_>, first: usize) -> StoreResult<Digest> {
    let sum: i64 = row.get(first + 1).or_failed()?;
    Ok(Digest { count: unsigned(row, first).or_failed()?, sum: sum.cast_unsigned() })
}

fn entry_at(row: &Row<'_>) -> StoreResult<LogEntry> {
    json(row.get_ref(0).or_failed()?.as_bytes().unwrap_or_default())
}

fn outcome_at(row: &Row<'_>) -> StoreResult<StoredOutcome> {
    Ok(StoredOutcome {
        client_id: ClientId(uuid_at(row, 0)?),
        user_id: UserId(uuid_at(row, 1)?),
        decided_ms: unsigned(row, 2).or_failed()?,
        outcome: json(row.get_ref(3).or_failed()?.as_bytes().unwrap_or_default())?,
        rejected: match row.get_ref(4).or_failed()? {
            ValueRef::Text(text) => Some(json(text)?),
            _ => None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::{SqliteOptions, SqliteStore};

    /// What SQLite does for a statement.
    fn plan(conn: &Connection, sql: &str) -> String {
        let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let count = statement.parameter_count();
        let nulls = rusqlite::params_from_iter(std::iter::repeat_n(rusqlite::types::Null, count));
        let lines = statement.query_map(nulls, |row| row.get::<_, String>(3)).unwrap();
        lines.collect::<Result<Vec<_>, _>>().unwrap().join("; ")
    }

    #[test]
    fn sto_7_no_read_sorts_or_scans() {
        let folder = tempfile::tempdir().unwrap();
        let schema = syncline_core::storage::contract::schema();
        let store = SqliteStore::open(folder.path().join("a.sqlite"), schema, SqliteOptions::default()).unwrap();
        let reader = store.reader();
        let table = reader.layout.table("things").unwrap();
        let finds = table.columns.iter().filter_map(|column| column.find());
        let per_table = [&table.select_record, &table.select_fields, &table.select_observed, &table.scan];
        let statements = [CHANGED, CHANGED_LIVE, SCOPE_ROWS].into_iter().chain(finds);
        reader
            .snapshot(|conn| {
                for sql in statements.chain(per_table.into_iter().map(String::as_str)) {
                    let plan = plan(conn, sql);
                    assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{sql}\n{plan}");
                }
                for sql in [CHANGED, CHANGED_LIVE, SCOPE_ROWS] {
                    assert!(plan(conn, sql).contains("sync_records_changed"), "{sql}\n{}", plan(conn, sql));
                }
                let covered = table.columns.iter().filter_map(|column| column.find()).chain([SCOPE_ROWS]);
                for sql in covered {
                    assert!(plan(conn, sql).contains("COVERING INDEX"), "{sql}\n{}", plan(conn, sql));
                }
                Ok(())
            })
            .unwrap();
    }
}
