//! What a plan is expected to read, loaded in one flight (design D1: one round trip, not one per op).

use std::collections::BTreeMap;

use syncline_core::change::LogEntry;
use syncline_core::digest::Digest;
use syncline_core::id::{ClientId, RecordId, ScopeId, WorkspaceId};
use syncline_core::record::Record;
use syncline_core::storage::{ClientState, StoreResult, Wanted};
use syncline_core::{Name, Seq, Value};

use super::layout::{Layout, Table};
use super::rows::{self, at};
use super::values::{int, key_text};
use super::wire::{Param, Reply, Request, integer, integers, small_integers, text, texts, uuids};

/// Ids of one value that are loaded ahead; whoever wants more asks again.
const FOUND_MAX: usize = 64;

/// `(entity, unique or field, key or value)`.
pub(super) type FindKey = (Name, Name, String);

/// What was loaded, also that something is not there.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) records: BTreeMap<(Name, RecordId), Option<Record>>,
    pub(super) unique_keys: BTreeMap<FindKey, Found>,
    pub(super) values: BTreeMap<FindKey, Found>,
    pub(super) clients: BTreeMap<ClientId, Option<ClientState>>,
    pub(super) log: BTreeMap<Seq, Option<LogEntry>>,
    pub(super) scopes: BTreeMap<ScopeId, Digest>,
}

/// Ids in order, at most [`FOUND_MAX`].
#[derive(Default)]
pub(super) struct Found(Vec<RecordId>);

impl Found {
    /// The first `limit` ids; `None`: they are not all known.
    pub(super) fn first(&self, limit: usize) -> Option<Vec<RecordId>> {
        let is_known = self.0.len() < FOUND_MAX || limit <= FOUND_MAX;
        is_known.then(|| self.0.iter().copied().take(limit).collect())
    }
}

/// The requests of a flight and what their replies mean.
pub(super) struct Loading<'a> {
    pub(super) requests: Vec<Request>,
    meanings: Vec<Meaning<'a>>,
}

enum Meaning<'a> {
    Records(&'a Table, Vec<RecordId>),
    /// Position of the key it answers, then the id.
    UniqueKeys(Vec<FindKey>),
    Values(Vec<FindKey>),
    Clients(Vec<ClientId>),
    Log(Vec<Seq>),
    Scopes(Vec<ScopeId>),
}

/// `$1` workspace, `$2` numbers of indexes, `$3` keys, `$4` limit: of each key its position and the ids in order.
pub(super) const FIND_KEYS: &str = "SELECT w.position, f.record_id
    FROM unnest($2::integer[], $3::text[]) WITH ORDINALITY AS w (no, key, position)
    CROSS JOIN LATERAL (SELECT k.record_id FROM sync_keys k WHERE k.workspace_id = $1 AND k.index_no = w.no
    AND k.key = w.key ORDER BY k.record_id LIMIT $4) f ORDER BY w.position, f.record_id";

impl<'a> Loading<'a> {
    pub(super) fn new(layout: &'a Layout, workspace: &WorkspaceId, wanted: &Wanted) -> Self {
        let mut loading = Self { requests: Vec::new(), meanings: Vec::new() };
        loading.want_records(layout, workspace, &wanted.records);
        loading.want_unique_keys(layout, workspace, wanted);
        loading.want_values(layout, workspace, wanted);
        let (key, mut add) = (|| text(workspace.as_str()), |request, meaning| loading.add(request, meaning));
        if !wanted.clients.is_empty() {
            let ids: Vec<ClientId> = wanted.clients.iter().copied().collect();
            let columns = rows::CLIENT_COLUMNS;
            let sql = format!("SELECT {columns} FROM sync_clients WHERE workspace_id = $1 AND client_id = ANY ($2)");
            add(Request::query(sql, vec![key(), uuids(ids.iter().map(|id| id.0).collect())]), Meaning::Clients(ids));
        }
        if !wanted.log.is_empty() {
            let seqs: Vec<Seq> = wanted.log.iter().copied().collect();
            let sql = "SELECT seq, entry FROM sync_log WHERE workspace_id = $1 AND seq = ANY ($2)";
            let list = integers(seqs.iter().map(|seq| int(*seq)).collect());
            add(Request::query(sql, vec![key(), list]), Meaning::Log(seqs));
        }
        if !wanted.scopes.is_empty() {
            let scopes: Vec<ScopeId> = wanted.scopes.iter().cloned().collect();
            let sql = "SELECT name, count, sum FROM sync_scopes WHERE workspace_id = $1 AND name = ANY ($2)";
            let names = texts(scopes.iter().map(|scope| scope.as_str().to_owned()).collect());
            add(Request::query(sql, vec![key(), names]), Meaning::Scopes(scopes));
        }
        loading
    }

    /// Only records: what a write set touches and nobody has read yet.
    pub(super) fn of_records<'w>(
        layout: &'a Layout,
        workspace: &WorkspaceId,
        records: impl IntoIterator<Item = &'w (Name, RecordId)>,
    ) -> Self {
        let mut loading = Self { requests: Vec::new(), meanings: Vec::new() };
        loading.want_records(layout, workspace, records);
        loading
    }

    fn add(&mut self, request: Request, meaning: Meaning<'a>) {
        self.requests.push(request);
        self.meanings.push(meaning);
    }

    fn want_records<'w>(
        &mut self,
        layout: &'a Layout,
        workspace: &WorkspaceId,
        records: impl IntoIterator<Item = &'w (Name, RecordId)>,
    ) {
        let mut ids_by_entity: BTreeMap<&str, Vec<RecordId>> = BTreeMap::new();
        for (entity, id) in records {
            ids_by_entity.entry(entity).or_default().push(*id);
        }
        for (entity, ids) in ids_by_entity {
            let Some(table) = layout.table(entity) else { continue };
            let params = vec![text(workspace.as_str()), text(entity), uuids(ids.iter().map(|id| id.0).collect())];
            self.add(Request::query(&table.select_records, params), Meaning::Records(table, ids));
        }
    }

    fn want_unique_keys(&mut self, layout: &Layout, workspace: &WorkspaceId, wanted: &Wanted) {
        let number = |key: &FindKey| {
            let index = layout.table(&key.0)?.uniques.iter().find(|index| index.unique.name == key.1)?;
            Some((index.no, key.clone()))
        };
        let (numbers, keys): (Vec<i32>, Vec<FindKey>) = wanted.unique_keys.iter().filter_map(number).unzip();
        if !keys.is_empty() {
            let request = find_keys(workspace, numbers, &keys);
            self.add(request, Meaning::UniqueKeys(keys));
        }
    }

    fn want_values(&mut self, layout: &Layout, workspace: &WorkspaceId, wanted: &Wanted) {
        let (mut numbers, mut elements) = (Vec::new(), Vec::new());
        let mut scalars: BTreeMap<(&Name, &Name), Vec<FindKey>> = BTreeMap::new();
        for key in &wanted.values {
            let Some(table) = layout.table(&key.0) else { continue };
            let set = table.sets.iter().find(|set| table.columns[set.column].field == key.1);
            match set {
                Some(set) => {
                    numbers.push(set.no);
                    elements.push(key.clone());
                }
                None => scalars.entry((&key.0, &key.1)).or_default().push(key.clone()),
            }
        }
        if !elements.is_empty() {
            let request = find_keys(workspace, numbers, &elements);
            self.add(request, Meaning::Values(elements));
        }
        for ((entity, field), keys) in scalars {
            let all: Vec<Value> = keys.iter().map(|(_, _, value)| Value::from(value.as_str())).collect();
            if let Some((sql, values)) = find_values(layout, entity, field, &all) {
                let limit = integer(int(FOUND_MAX as u64));
                self.add(Request::query(sql, vec![text(workspace.as_str()), values, limit]), Meaning::Values(keys));
            }
        }
    }

    /// Takes the replies to the requests, in their order.
    pub(super) fn finish(self, replies: &[Reply], loaded: &mut Loaded) -> StoreResult<()> {
        for (meaning, reply) in self.meanings.into_iter().zip(replies) {
            loaded.take(meaning, reply)?;
        }
        Ok(())
    }
}

fn find_keys(workspace: &WorkspaceId, numbers: Vec<i32>, keys: &[FindKey]) -> Request {
    let list = texts(keys.iter().map(|(_, _, key)| key_text(key)).collect());
    let limit = integer(int(FOUND_MAX as u64));
    Request::query(FIND_KEYS, vec![text(workspace.as_str()), small_integers(numbers), list, limit])
}

/// The statement that finds scalars of an indexed column and its values; `None`: no index, or a value that none of its values
/// can equal.
pub(super) fn find_values<'a>(
    layout: &'a Layout,
    entity: &str,
    field: &str,
    wanted: &[Value],
) -> Option<(&'a str, Param)> {
    let column = layout.table(entity)?.columns.iter().find(|column| column.field == field)?;
    let declared = layout.schema.entity(entity)?.field(field)?;
    let mut values = column.kind.values();
    for value in wanted {
        // The server would answer a value that is not of the column's type with an error, not with nothing.
        let is_possible = value.is_string() || value.is_number() || value.is_boolean();
        let is_possible = is_possible && (!column.kind.is_parsed() || declared.kind.canonical(value.clone()).is_ok());
        if !is_possible || !values.push(column.kind, Some(value)) {
            return None;
        }
    }
    Some((column.find()?, values.into_param()))
}

impl Loaded {
    fn take(&mut self, meaning: Meaning<'_>, reply: &Reply) -> StoreResult<()> {
        let rows = &reply.rows;
        match meaning {
            Meaning::Records(table, ids) => {
                self.records.extend(ids.into_iter().map(|id| ((table.entity.clone(), id), None)));
                for row in rows {
                    let record = rows::record(table, row)?;
                    self.records.insert((table.entity.clone(), record.id), Some(record));
                }
            }
            Meaning::UniqueKeys(keys) => found(&mut self.unique_keys, keys, reply)?,
            Meaning::Values(keys) => found(&mut self.values, keys, reply)?,
            Meaning::Clients(ids) => {
                self.clients.extend(ids.into_iter().map(|id| (id, None)));
                for row in rows {
                    let client = rows::client(row)?;
                    self.clients.insert(client.client_id, Some(client));
                }
            }
            Meaning::Log(seqs) => {
                self.log.extend(seqs.into_iter().map(|seq| (seq, None)));
                for row in rows {
                    self.log.insert(rows::unsigned(row, 0)?, Some(rows::log_entry(row, 1)?));
                }
            }
            Meaning::Scopes(scopes) => {
                self.scopes.extend(scopes.into_iter().map(|scope| (scope, Digest::EMPTY)));
                for row in rows {
                    self.scopes.insert(rows::scope(row, 0)?, rows::digest(row, 1)?);
                }
            }
        }
        Ok(())
    }
}

fn found(all: &mut BTreeMap<FindKey, Found>, keys: Vec<FindKey>, reply: &Reply) -> StoreResult<()> {
    let mut lists: Vec<Found> = keys.iter().map(|_| Found::default()).collect();
    for row in &reply.rows {
        let position = usize::try_from(at::<i64>(row, 0)? - 1).unwrap_or(usize::MAX);
        if let Some(list) = lists.get_mut(position) {
            list.0.push(rows::record_id(row, 1)?);
        }
    }
    all.extend(keys.into_iter().zip(lists));
    Ok(())
}
