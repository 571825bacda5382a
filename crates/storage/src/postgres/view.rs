//! Reading: one workspace at one moment, inside a transaction that the caller holds.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use syncline_core::change::LogEntry;
use syncline_core::digest::Digest;
use syncline_core::id::{ClientId, RecordId, ScopeId};
use syncline_core::record::Record;
use syncline_core::storage::{
    ChangedPage, ClientState, Departure, Head, ListQuery, Read, StoreResult, StoredOutcome, require_index,
};
use syncline_core::{Name, Seq, Value};
use tokio_postgres::Row;

use super::error::{Fault, Severity};
use super::layout::{Layout, Table};
use super::loaded::{FIND_KEYS, Loaded, find_values};
use super::rows::{self, Workspace, at, unsigned};
use super::values::{int, key_text};
use super::wire::{Param, Wire, integer, small_integers, text, texts, uuid, uuids};

/// The contract's view. It answers from what was loaded ahead, and asks the server for the rest, one round trip each.
pub(super) struct View<'a> {
    pub(super) wire: Wire<'a>,
    pub(super) layout: &'a Layout,
    pub(super) workspace: &'a Workspace,
    pub(super) loaded: RefCell<Loaded>,
    /// Set when the transaction is gone, whatever the caller makes of the error it was given.
    fault: Cell<Option<Severity>>,
}

impl<'a> View<'a> {
    pub(super) fn new(wire: Wire<'a>, layout: &'a Layout, workspace: &'a Workspace, loaded: Loaded) -> Self {
        Self { wire, layout, workspace, loaded: RefCell::new(loaded), fault: Cell::new(None) }
    }

    /// How badly the worst read so far failed.
    pub(super) fn fault(&self) -> Option<Severity> {
        self.fault.get()
    }

    fn workspace(&self) -> Param {
        text(self.workspace.id.as_str())
    }

    /// Every row of a query; `params` follow the workspace, `$1`.
    fn query(&self, sql: &str, params: impl IntoIterator<Item = Param>) -> StoreResult<Vec<Row>> {
        let params = std::iter::once(self.workspace()).chain(params).collect();
        self.wire.query(sql, params).map_err(|fault| {
            self.fault.set(Some(fault.severity()));
            Fault::into_store_error(fault)
        })
    }

    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl IntoIterator<Item = Param>,
        decode: impl Fn(&Row) -> StoreResult<T>,
    ) -> StoreResult<Vec<T>> {
        self.query(sql, params)?.iter().map(decode).collect()
    }

    fn one<T>(
        &self,
        sql: &str,
        params: impl IntoIterator<Item = Param>,
        decode: impl Fn(&Row) -> StoreResult<T>,
    ) -> StoreResult<Option<T>> {
        self.query(sql, params)?.first().map(decode).transpose()
    }

    fn keys(&self, index_no: i32, key: &str, limit: usize) -> StoreResult<Vec<RecordId>> {
        let params = [small_integers(vec![index_no]), texts(vec![key_text(key)]), limited(limit)];
        self.all(FIND_KEYS, params, |row| rows::record_id(row, 1))
    }
}

fn limited(limit: usize) -> Param {
    integer(int(limit as u64))
}

fn find_key(entity: &str, name: &str, value: &str) -> (Name, Name, String) {
    (Name::new(entity), Name::new(name), value.to_owned())
}

impl Read for View<'_> {
    fn head(&self) -> StoreResult<Head> {
        Ok(self.workspace.head.clone())
    }

    fn record(&self, entity: &str, id: RecordId) -> StoreResult<Option<Record>> {
        let Some(table) = self.layout.table(entity) else { return Ok(None) };
        let key = (table.entity.clone(), id);
        if let Some(known) = self.loaded.borrow().records.get(&key) {
            return Ok(known.clone());
        }
        let record =
            self.one(&table.select_records, [text(entity), uuids(vec![id.0])], |row| rows::record(table, row))?;
        self.loaded.borrow_mut().records.insert(key, record.clone());
        Ok(record)
    }

    fn find(&self, entity: &str, field: &str, value: &Value, limit: usize) -> StoreResult<Vec<RecordId>> {
        require_index(&self.layout.schema, entity, field)?;
        let Some(table) = self.layout.table(entity) else { return Ok(Vec::new()) };
        if let Some(item) = value.as_str() {
            let known =
                self.loaded.borrow().values.get(&find_key(entity, field, item)).and_then(|ids| ids.first(limit));
            if let Some(known) = known {
                return Ok(known);
            }
        }
        if let Some(set) = table.sets.iter().find(|set| table.columns[set.column].field == field) {
            return value.as_str().map_or(Ok(Vec::new()), |item| self.keys(set.no, item, limit));
        }
        match find_values(self.layout, entity, field, std::slice::from_ref(value)) {
            Some((sql, values)) => self.all(sql, [values, limited(limit)], |row| rows::record_id(row, 1)),
            None => Ok(Vec::new()),
        }
    }

    fn find_unique(&self, entity: &str, unique: &str, key: &str) -> StoreResult<Vec<RecordId>> {
        let uniques = self.layout.table(entity).map_or(&[][..], |table| &table.uniques);
        let Some(index) = uniques.iter().find(|index| index.unique.name == unique) else { return Ok(Vec::new()) };
        let known = self.loaded.borrow().unique_keys.get(&find_key(entity, unique, key)).and_then(|ids| ids.first(2));
        known.map_or_else(|| self.keys(index.no, key, 2), Ok)
    }

    fn client(&self, client_id: ClientId) -> StoreResult<Option<ClientState>> {
        if let Some(known) = self.loaded.borrow().clients.get(&client_id) {
            return Ok(known.clone());
        }
        let columns = rows::CLIENT_COLUMNS;
        let sql = format!("SELECT {columns} FROM sync_clients WHERE workspace_id = $1 AND client_id = $2");
        self.one(&sql, [uuid(client_id.0)], rows::client)
    }

    fn outcome(&self, client_id: ClientId, client_seq: u64) -> StoreResult<Option<StoredOutcome>> {
        let columns = rows::OUTCOME_COLUMNS;
        let sql = format!(
            "SELECT {columns} FROM sync_outcomes WHERE workspace_id = $1 AND client_id = $2 AND client_seq = $3"
        );
        self.one(&sql, [uuid(client_id.0), integer(int(client_seq))], rows::outcome)
    }

    fn outcomes_from(&self, client_id: ClientId, first: u64, limit: usize) -> StoreResult<Vec<StoredOutcome>> {
        let columns = rows::OUTCOME_COLUMNS;
        let sql = format!(
            "SELECT {columns} FROM sync_outcomes WHERE workspace_id = $1 AND client_id = $2 AND client_seq >= $3
             ORDER BY client_seq LIMIT $4"
        );
        self.all(&sql, [uuid(client_id.0), integer(int(first)), limited(limit)], rows::outcome)
    }

    fn log_entry(&self, seq: Seq) -> StoreResult<Option<LogEntry>> {
        if let Some(known) = self.loaded.borrow().log.get(&seq) {
            return Ok(known.clone());
        }
        let sql = "SELECT entry FROM sync_log WHERE workspace_id = $1 AND seq = $2";
        self.one(sql, [integer(int(seq))], |row| rows::log_entry(row, 0))
    }

    fn log(&self, after: Seq, to: Seq, limit: usize) -> StoreResult<Vec<LogEntry>> {
        let sql = "SELECT entry FROM sync_log WHERE workspace_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4";
        self.all(sql, [integer(int(after)), integer(int(to)), limited(limit)], |row| rows::log_entry(row, 0))
    }

    fn scope_digest(&self, scope: &ScopeId) -> StoreResult<Digest> {
        if let Some(known) = self.loaded.borrow().scopes.get(scope) {
            return Ok(*known);
        }
        let sql = "SELECT count, sum FROM sync_scopes WHERE workspace_id = $1 AND name = $2";
        let digest = self.one(sql, [text(scope.as_str())], |row| rows::digest(row, 0))?;
        Ok(digest.unwrap_or_default())
    }

    fn scopes(&self) -> StoreResult<Vec<(ScopeId, Digest)>> {
        let sql = "SELECT name, count, sum FROM sync_scopes s WHERE workspace_id = $1
            AND (EXISTS (SELECT 1 FROM sync_records r
                         WHERE r.workspace_id = s.workspace_id AND r.scope = s.name AND r.state < 2)
                 OR EXISTS (SELECT 1 FROM sync_departures d
                            WHERE d.workspace_id = s.workspace_id AND d.scope = s.name))
            ORDER BY name";
        self.all(sql, [], |row| Ok((rows::scope(row, 0)?, rows::digest(row, 1)?)))
    }

    fn changed(&self, page: &ChangedPage) -> StoreResult<Vec<Record>> {
        let Some(table) = self.layout.table(&page.entity) else { return Ok(Vec::new()) };
        let Table { record_columns, record_tables, .. } = table;
        let live = if page.live_only { "AND r.state = 0" } else { "" };
        // WITH TIES: a page never splits the records of one rv.
        let sql = format!(
            "SELECT {record_columns} FROM {record_tables} WHERE r.workspace_id = $1 AND r.scope = $2 AND r.entity = $3
             AND r.rv > $4 AND r.rv <= $5 AND r.state < 2 {live} ORDER BY r.rv FETCH FIRST $6 ROWS WITH TIES"
        );
        let (scope, entity) = (text(page.scope.as_str()), text(page.entity.as_str()));
        let params = [scope, entity, integer(int(page.after)), integer(int(page.to)), limited(page.limit)];
        let mut records = self.all(&sql, params, |row| rows::record(table, row))?;
        records.sort_by_key(|record| (record.rv, record.id));
        Ok(records)
    }

    fn departures(&self, scope: &ScopeId, after: Seq, to: Seq) -> StoreResult<Vec<Departure>> {
        let sql = "SELECT entity, record_id, max(seq) FROM sync_departures
            WHERE workspace_id = $1 AND scope = $2 AND seq > $3 AND seq <= $4 GROUP BY entity, record_id";
        let params = [text(scope.as_str()), integer(int(after)), integer(int(to))];
        let mut departures = self.all(sql, params, |row| {
            Ok(Departure { entity: rows::name(row, 0)?, id: rows::record_id(row, 1)?, seq: unsigned(row, 2)? })
        })?;
        departures.sort_by(|a, b| (a.seq, &a.entity, a.id).cmp(&(b.seq, &b.entity, b.id)));
        Ok(departures)
    }

    fn scope_rows(&self, scope: &ScopeId) -> StoreResult<Vec<(Name, RecordId, Seq)>> {
        let sql = "SELECT entity, record_id, rv FROM sync_records
            WHERE workspace_id = $1 AND scope = $2 AND state < 2 AND state = 0";
        // One allocation per entity, not per row.
        let names = RefCell::new(BTreeMap::<String, Name>::new());
        let mut all = self.all(sql, [text(scope.as_str())], |row| {
            let entity: &str = at(row, 0)?;
            let mut names = names.borrow_mut();
            let name = match names.get(entity) {
                Some(name) => name.clone(),
                None => names.entry(entity.to_owned()).or_insert_with(|| Name::new(entity)).clone(),
            };
            Ok((name, rows::record_id(row, 1)?, unsigned(row, 2)?))
        })?;
        all.sort_unstable_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        Ok(all)
    }

    fn scan(&self, entity: &str, after: Option<RecordId>, limit: usize) -> StoreResult<Vec<Record>> {
        let Some(table) = self.layout.table(entity) else { return Ok(Vec::new()) };
        let Table { record_columns, record_tables, .. } = table;
        let sql = format!(
            "SELECT {record_columns} FROM {record_tables} WHERE r.workspace_id = $1 AND r.entity = $2 AND r.state = 0
             AND ($3::uuid IS NULL OR r.record_id > $3::uuid) ORDER BY r.record_id LIMIT $4"
        );
        let after: Param = (Box::new(after.map(|id| id.0)), tokio_postgres::types::Type::UUID);
        self.all(&sql, [text(entity), after, limited(limit)], |row| rows::record(table, row))
    }

    fn list(&self, query: &ListQuery) -> StoreResult<Vec<Record>> {
        super::list::list(self, query)
    }

    fn rejected(&self, limit: usize) -> StoreResult<Vec<StoredOutcome>> {
        let columns = rows::OUTCOME_COLUMNS;
        let sql = format!(
            "SELECT {columns} FROM sync_outcomes WHERE workspace_id = $1 AND is_rejected
             ORDER BY decided_ms DESC, client_id DESC, client_seq DESC LIMIT $2"
        );
        self.all(&sql, [limited(limit)], rows::outcome)
    }
}
