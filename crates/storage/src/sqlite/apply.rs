//! Writing: a write set, inside the transaction that it was planned in.

use std::collections::BTreeMap;

use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, Params, params, params_from_iter};
use syncline_core::change::OutcomeKind;
use syncline_core::id::{RecordId, ScopeId};
use syncline_core::record::Record;
use syncline_core::storage::{ClientState, LogWrite, RecordWrite, StoreResult, StoredOutcome, WriteSet, unique_key};
use syncline_core::{Fields, Name};

use super::error::{OrFailed, corrupt};
use super::layout::{Layout, Table};
use super::open::set_items;
use super::values::{IdText, int, is_same};
use super::view::{View, Workspace};

/// Writes it all. The caller rolls back when this fails.
pub(super) fn apply(view: &View<'_>, writes: &WriteSet) -> StoreResult<()> {
    writes.check(&view.workspace.head)?;
    let mut writer = Writer { view, scopes: BTreeMap::new() };
    writes.records.iter().try_for_each(|write| writer.record(write))?;
    writer.departures(writes)?;
    writer.log(writes)?;
    writes.outcomes.iter().try_for_each(|stored| writer.outcome(stored))?;
    let last: BTreeMap<_, &ClientState> = writes.clients.iter().map(|client| (client.client_id, client)).collect();
    last.into_values().try_for_each(|client| writer.client(client))?;
    writer.digests(writes)?;
    writer.head(writes)
}

struct Writer<'a> {
    view: &'a View<'a>,
    /// Numbers of the scopes met so far.
    scopes: BTreeMap<ScopeId, i64>,
}

impl<'a> Writer<'a> {
    fn layout(&self) -> &'a Layout {
        self.view.layout
    }

    fn workspace(&self) -> &'a Workspace {
        self.view.workspace
    }

    /// Runs a statement; returns how many rows it touched.
    fn run(&self, sql: &str, params: impl Params) -> StoreResult<usize> {
        self.view.conn.prepare_cached(sql).or_failed()?.execute(params).or_failed()
    }

    /// Number of a scope, given now if it has none.
    fn scope_no(&mut self, scope: &ScopeId) -> StoreResult<i64> {
        if let Some(no) = self.scopes.get(scope) {
            return Ok(*no);
        }
        let no = match self.view.scope_no(scope)? {
            Some(no) => no,
            None => {
                let sql = "INSERT INTO sync_scopes (workspace_no, name) VALUES (?1, ?2)";
                self.run(sql, params![self.workspace().no, scope.as_str()])?;
                self.view.conn.last_insert_rowid()
            }
        };
        self.scopes.insert(scope.clone(), no);
        Ok(no)
    }

    fn table(&self, entity: &Name) -> StoreResult<&'a Table> {
        self.layout().table(entity).ok_or_else(|| corrupt(format!("a plan writes an unknown entity {entity}")))
    }

    fn record(&mut self, write: &RecordWrite) -> StoreResult<()> {
        let RecordWrite { record, was, .. } = write;
        let table = self.table(&record.entity)?;
        self.sync_row(table, write)?;
        let row = TypedRow { view: self.view, table, record, unique_keys: &write.unique_keys };
        match (was.as_ref().is_some_and(|was| !was.is_deleted), record.is_deleted) {
            (false, false) => row.insert(),
            (true, false) => row.update(),
            (true, true) => row.delete(),
            (false, true) => Ok(()),
        }
    }

    fn sync_row(&mut self, table: &Table, write: &RecordWrite) -> StoreResult<()> {
        let RecordWrite { record, was, .. } = write;
        let scope_no = self.scope_no(&record.scope)?;
        let versions = encode(&record.versions)?;
        let fields = record.is_deleted.then(|| encode(&record.fields)).transpose()?;
        let (workspace_no, id) = (self.workspace().no, record.id.as_bytes());
        let (rv, entered) = (int(record.rv), int(record.entered));
        let state = i64::from(record.is_deleted) + i64::from(record.is_forgotten());
        let written = match was {
            None => {
                let sql = "INSERT INTO sync_records (workspace_no, entity_no, record_id, scope_no, rv, entered, state,
                    versions, fields) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING";
                self.run(sql, params![workspace_no, table.no, id, scope_no, rv, entered, state, versions, fields])?
            }
            Some(was) => {
                let was_scope_no = self.scope_no(&was.scope)?;
                let sql = "UPDATE sync_records SET scope_no = ?4, rv = ?5, entered = ?6, state = ?7, versions = ?8,
                    fields = ?9 WHERE workspace_no = ?1 AND entity_no = ?2 AND record_id = ?3
                    AND rv = ?10 AND (state > 0) = ?11 AND scope_no = ?12";
                let (was_rv, was_deleted) = (int(was.rv), was.is_deleted);
                let key = params![
                    workspace_no,
                    table.no,
                    id,
                    scope_no,
                    rv,
                    entered,
                    state,
                    versions,
                    fields,
                    was_rv,
                    was_deleted,
                    was_scope_no
                ];
                self.run(sql, key)?
            }
        };
        if written == 1 {
            return Ok(());
        }
        let Record { entity, id, .. } = record;
        Err(corrupt(format!("a plan takes {entity} {id} for {was:?}, which it is not")))
    }

    fn departures(&mut self, writes: &WriteSet) -> StoreResult<()> {
        let sql = "INSERT INTO sync_departures (scope_no, seq, entity_no, record_id) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT DO NOTHING";
        for (scope, departure) in &writes.departures {
            let (scope_no, entity_no) = (self.scope_no(scope)?, self.table(&departure.entity)?.no);
            self.run(sql, params![scope_no, int(departure.seq), entity_no, departure.id.as_bytes()])?;
        }
        Ok(())
    }

    fn log(&self, writes: &WriteSet) -> StoreResult<()> {
        let sql = "INSERT INTO sync_log (workspace_no, seq, entry, hash) VALUES (?1, ?2, ?3, ?4)";
        for LogWrite { entry, json, hash } in &writes.log {
            self.run(sql, params![self.workspace().no, int(entry.seq), json, hash])?;
        }
        Ok(())
    }

    fn outcome(&self, stored: &StoredOutcome) -> StoreResult<()> {
        let StoredOutcome { client_id, user_id, decided_ms, outcome, rejected } = stored;
        let sql =
            "INSERT INTO sync_outcomes (workspace_no, client_id, client_seq, user_id, seq, decided_ms, is_rejected,
            outcome, rejected) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING";
        let (workspace_no, client_seq) = (self.workspace().no, int(outcome.client_seq));
        let (seq, decided) = (int(outcome.seq), int(*decided_ms));
        let is_rejected = outcome.outcome == OutcomeKind::Rejected;
        let (text, rejected) = (encode(outcome)?, rejected.as_ref().map(encode).transpose()?);
        let (client, user) = (client_id.as_bytes(), user_id.as_bytes());
        let row = params![workspace_no, client, client_seq, user, seq, decided, is_rejected, text, rejected];
        match self.run(sql, row)? {
            1 => Ok(()),
            _ => Err(corrupt(format!("a plan decides {client_id}/{} again", outcome.client_seq))),
        }
    }

    fn client(&self, client: &ClientState) -> StoreResult<()> {
        let ClientState { client_id, user_id, device_id, last_client_seq } = client;
        let sql = "INSERT INTO sync_clients (workspace_no, client_id, user_id, device_id, last_client_seq)
                   VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (workspace_no, client_id)
                   DO UPDATE SET user_id = ?3, device_id = ?4, last_client_seq = ?5";
        let (client, user, device) = (client_id.as_bytes(), user_id.as_bytes(), device_id.as_bytes());
        self.run(sql, params![self.workspace().no, client, user, device, int(*last_client_seq)]).map(drop)
    }

    fn digests(&mut self, writes: &WriteSet) -> StoreResult<()> {
        for (scope, digest) in &writes.digests {
            let no = self.scope_no(scope)?;
            let (count, sum) = (int(digest.count), digest.sum.cast_signed());
            self.run("UPDATE sync_scopes SET count = ?2, sum = ?3 WHERE no = ?1", params![no, count, sum])?;
        }
        Ok(())
    }

    fn head(&self, writes: &WriteSet) -> StoreResult<()> {
        let sql = "UPDATE sync_workspaces SET seq = ?2, chain = ?3 WHERE no = ?1";
        self.run(sql, params![self.workspace().no, int(writes.head), writes.chain]).map(drop)
    }
}

/// A record's row in its typed table, and its keys.
struct TypedRow<'a> {
    view: &'a View<'a>,
    table: &'a Table,
    record: &'a Record,
    unique_keys: &'a [(Name, String)],
}

impl TypedRow<'_> {
    fn insert(&self) -> StoreResult<()> {
        self.write(&self.table.insert, self.values()?)?;
        for set in &self.table.sets {
            self.add_keys(set.no, set_items(self.value(set.column)))?;
        }
        for index in &self.table.uniques {
            self.add_keys(index.no, self.unique_key(&index.unique.name))?;
        }
        Ok(())
    }

    fn update(&self) -> StoreResult<()> {
        let values = self.values()?;
        let changed = self.drop_outdated_keys(Some(&values))?;
        let has_changed = |column| changed.contains(&column);
        for set in self.table.sets.iter().filter(|set| has_changed(set.column)) {
            self.add_keys(set.no, set_items(self.value(set.column)))?;
        }
        for index in self.table.uniques.iter().filter(|index| index.columns.iter().any(|column| has_changed(*column))) {
            self.add_keys(index.no, self.unique_key(&index.unique.name))?;
        }
        match self.table.update(has_changed) {
            Some(sql) => self.write(&sql, values),
            None => Ok(()),
        }
    }

    fn delete(&self) -> StoreResult<()> {
        self.drop_outdated_keys(None)?;
        self.write(&self.table.delete, Vec::new())
    }

    fn value(&self, column: usize) -> Option<&syncline_core::Value> {
        self.record.fields.get(&self.table.columns[column].field)
    }

    fn unique_key(&self, name: &Name) -> Option<&str> {
        self.unique_keys.iter().find(|(unique, _)| unique == name).map(|(_, key)| key.as_str())
    }

    /// The values of all columns in order.
    fn values(&self) -> StoreResult<Vec<ToSqlOutput<'_>>> {
        let Record { entity, id, fields, .. } = self.record;
        // Columns and fields are both in name order.
        let mut fields = fields.iter().peekable();
        let mut values = Vec::with_capacity(self.table.columns.len());
        for column in &self.table.columns {
            let value = fields.next_if(|(field, _)| **field == column.field).map(|(_, value)| value);
            let wrong = || corrupt(format!("a plan writes {entity}.{} of {id} with the wrong type", column.field));
            values.push(column.kind.encode(value).ok_or_else(wrong)?);
        }
        match fields.next() {
            Some((field, _)) => Err(corrupt(format!("a plan writes an unknown field {entity}.{field}"))),
            None => Ok(values),
        }
    }

    fn write(&self, sql: &str, values: Vec<ToSqlOutput<'_>>) -> StoreResult<()> {
        let workspace = ToSqlOutput::from(self.view.workspace.id.as_str());
        let id = IdText::new(self.record.id);
        let id = rusqlite::ToSql::to_sql(&id).or_failed()?;
        let mut statement = self.view.conn.prepare_cached(sql).or_failed()?;
        // An update leaves out the last columns when they are indexed and unchanged.
        let wanted = statement.parameter_count();
        let values = [workspace, id].into_iter().chain(values).take(wanted);
        let written = statement.execute(params_from_iter(values)).or_failed()?;
        if written == 1 { Ok(()) } else { Err(corrupt(format!("{} {} has no row", self.table.entity, self.record.id))) }
    }

    /// Compares what is stored with `values` (`None`: nothing stays) and removes the keys that no longer hold. Returns the
    /// observed columns whose value changes. One point read; none for a table without indexes.
    fn drop_outdated_keys(&self, values: Option<&[ToSqlOutput<'_>]>) -> StoreResult<Vec<usize>> {
        let table = self.table;
        if table.observed.is_empty() {
            return Ok(Vec::new());
        }
        let mut changed = Vec::new();
        let mut old = Fields::new();
        let mut statement = self.view.conn.prepare_cached(&table.select_observed).or_failed()?;
        let key = params![self.view.workspace.id.as_str(), IdText::new(self.record.id)];
        let mut rows = statement.query(key).or_failed()?;
        let Some(row) = rows.next().or_failed()? else {
            return Err(corrupt(format!("{} {} has no row", table.entity, self.record.id)));
        };
        for (position, &column) in table.observed.iter().enumerate() {
            let stored = row.get_ref(position).or_failed()?;
            if values.is_none_or(|values| !is_same(stored, &values[column])) {
                changed.push(column);
            }
            let value = table.columns[column].kind.decode(stored)?;
            old.extend(value.map(|value| (table.columns[column].field.clone(), value)));
        }
        for set in table.sets.iter().filter(|set| changed.contains(&set.column)) {
            self.remove_keys(set.no, set_items(old.get(&table.columns[set.column].field)))?;
        }
        for index in table.uniques.iter().filter(|index| index.columns.iter().any(|column| changed.contains(column))) {
            let key = unique_key(&index.unique, &old);
            self.remove_keys(index.no, key.as_deref())?;
        }
        Ok(changed)
    }

    fn add_keys<'k>(&self, index_no: i64, keys: impl IntoIterator<Item = &'k str>) -> StoreResult<()> {
        let sql = "INSERT INTO sync_keys (workspace_no, index_no, key, record_id) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT DO NOTHING";
        each_key(self.view.conn, sql, self.view.workspace.no, index_no, self.record.id, keys)
    }

    fn remove_keys<'k>(&self, index_no: i64, keys: impl IntoIterator<Item = &'k str>) -> StoreResult<()> {
        let sql = "DELETE FROM sync_keys WHERE workspace_no = ?1 AND index_no = ?2 AND key = ?3 AND record_id = ?4";
        each_key(self.view.conn, sql, self.view.workspace.no, index_no, self.record.id, keys)
    }
}

fn each_key<'k>(
    conn: &Connection,
    sql: &str,
    workspace_no: i64,
    index_no: i64,
    id: RecordId,
    keys: impl IntoIterator<Item = &'k str>,
) -> StoreResult<()> {
    let mut statement = conn.prepare_cached(sql).or_failed()?;
    for key in keys {
        statement.execute(params![workspace_no, index_no, key, id.as_bytes()]).or_failed()?;
    }
    Ok(())
}

fn encode(value: &impl serde::Serialize) -> StoreResult<String> {
    serde_json::to_string(value).map_err(|error| corrupt(format!("a plan holds what JSON cannot: {error}")))
}
