//! Writing: a write set as a dozen statements over arrays, in one flight, however many rows it has.

use std::collections::{BTreeMap, BTreeSet};

use syncline_core::Name;
use syncline_core::change::OutcomeKind;
use syncline_core::digest::Digest;
use syncline_core::id::{ClientId, RecordId, ScopeId};
use syncline_core::record::Record;
use syncline_core::storage::{ClientState, RecordWas, RecordWrite, StoreError, StoreResult, WriteSet, unique_key};
use uuid::Uuid;

use super::error::{Fault, corrupt};
use super::layout::{Layout, Table};
use super::loaded::Loading;
use super::values::{Values, encode, int, key_text, set_items};
use super::view::View;
use super::wire::{Param, Request, booleans, integer, integers, optional_texts, small_integers, text, texts, uuids};

/// Why a write set was not applied.
pub(super) enum Trouble {
    Fault(Fault),
    Store(StoreError),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Writes it all: one round trip, and one before it when the plan wrote records that it has not read. The caller rolls back
/// when this fails.
pub(super) fn apply(view: &View<'_>, writes: &WriteSet) -> Result<(), Trouble> {
    writes.check(&view.workspace.head)?;
    load_touched(view, writes)?;
    let mut flight = Flight { workspace: view.workspace.id.as_str(), requests: Vec::new(), checks: Vec::new() };
    let mut rows = Rows::default();
    for write in &writes.records {
        rows.add(view, write)?;
    }
    flight.scopes(writes);
    flight.sync_records(&rows)?;
    flight.typed_rows(view.layout, rows)?;
    flight.departures(writes);
    flight.log(writes);
    flight.outcomes(writes)?;
    flight.clients(writes);
    flight.head(writes);
    flight.run(view)
}

/// Makes sure that what is stored of every touched record is known, so that contradictions are found before anything is
/// written, and the keys that no longer hold are known by their values.
fn load_touched(view: &View<'_>, writes: &WriteSet) -> Result<(), Trouble> {
    let mut touched = BTreeSet::new();
    for RecordWrite { record: Record { entity, id, .. }, .. } in &writes.records {
        if view.layout.table(entity).is_none() {
            return Err(corrupt(format!("a plan writes an unknown entity {entity}")).into());
        }
        if !touched.insert((entity.clone(), *id)) {
            return Err(corrupt(format!("a plan writes {entity} {id} twice")).into());
        }
    }
    touched.retain(|key| !view.loaded.borrow().records.contains_key(key));
    if touched.is_empty() {
        return Ok(());
    }
    let loading = Loading::of_records(view.layout, &view.workspace.id, &touched);
    let replies = view.wire.flight(&loading.requests)?;
    Ok(loading.finish(&replies, &mut view.loaded.borrow_mut())?)
}

/// The rows of all records, sorted by what happens to them.
#[derive(Default)]
struct Rows<'w> {
    new: Vec<&'w RecordWrite>,
    known: Vec<&'w RecordWrite>,
    tables: BTreeMap<&'w Name, TableRows<'w>>,
    /// `(index, key, record)`.
    outdated_keys: BTreeSet<(i32, String, RecordId)>,
    new_keys: BTreeSet<(i32, String, RecordId)>,
}

#[derive(Default)]
struct TableRows<'w> {
    inserts: Vec<&'w Record>,
    updates: Vec<&'w Record>,
    deletes: Vec<Uuid>,
}

impl<'w> Rows<'w> {
    fn add(&mut self, view: &View<'_>, write: &'w RecordWrite) -> StoreResult<()> {
        let RecordWrite { record, was, .. } = write;
        let Record { entity, id, .. } = record;
        let loaded = view.loaded.borrow();
        let stored = loaded.records.get(&(entity.clone(), *id)).and_then(Option::as_ref);
        let is = stored.map(|old| RecordWas { rv: old.rv, is_deleted: old.is_deleted, scope: old.scope.clone() });
        if *was != is {
            return Err(corrupt(format!("a plan takes {entity} {id} for {was:?}, it is {is:?}")));
        }
        let Some(table) = view.layout.table(entity) else { return Ok(()) };
        if was.is_none() {
            self.new.push(write)
        } else {
            self.known.push(write)
        }
        let old = stored.filter(|old| !old.is_deleted);
        self.keys(table, old, write);
        let rows = self.tables.entry(entity).or_default();
        match (old, record.is_deleted) {
            (None, false) => rows.inserts.push(record),
            (Some(old), false) if old.fields != record.fields => rows.updates.push(record),
            (Some(_), true) => rows.deletes.push(id.0),
            (Some(_), false) | (None, true) => {}
        }
        Ok(())
    }

    fn keys(&mut self, table: &Table, old: Option<&Record>, write: &RecordWrite) {
        let id = write.record.id;
        let live = Some(&write.record).filter(|record| !record.is_deleted);
        let (mut before, mut after) = (BTreeSet::new(), BTreeSet::new());
        for set in &table.sets {
            let field = &table.columns[set.column].field;
            let keys = |record: Option<&Record>, keys: &mut BTreeSet<_>| {
                let items = set_items(record.and_then(|record| record.fields.get(field)));
                keys.extend(items.map(|item| (set.no, key_text(item), id)));
            };
            keys(old, &mut before);
            keys(live, &mut after);
        }
        for index in &table.uniques {
            let key = old.and_then(|old| unique_key(&index.unique, &old.fields));
            before.extend(key.map(|key| (index.no, key_text(&key), id)));
            let key = write.unique_keys.iter().find(|(name, _)| *name == index.unique.name);
            after.extend(key.filter(|_| live.is_some()).map(|(_, key)| (index.no, key_text(key), id)));
        }
        self.outdated_keys.extend(before.difference(&after).cloned());
        self.new_keys.extend(after.difference(&before).cloned());
    }
}

/// A flight in the making, and how many rows each of its statements must touch.
struct Flight<'a> {
    workspace: &'a str,
    requests: Vec<Request>,
    checks: Vec<Option<(u64, String)>>,
}

impl Flight<'_> {
    /// Adds a statement whose `$1` is the workspace.
    fn add(&mut self, sql: &str, params: Vec<Param>) {
        let params = std::iter::once(text(self.workspace)).chain(params).collect();
        self.requests.push(Request::execute(sql, params));
        self.checks.push(None);
    }

    /// The statement added last touches that many rows, or else `problem` is what is wrong with the plan.
    fn expect(&mut self, rows: usize, problem: impl Into<String>) {
        if let Some(check) = self.checks.last_mut() {
            *check = Some((rows as u64, problem.into()));
        }
    }

    fn run(self, view: &View<'_>) -> Result<(), Trouble> {
        let replies = view.wire.flight(&self.requests)?;
        for (reply, check) in replies.iter().zip(self.checks) {
            if let Some((want, problem)) = check.filter(|(want, _)| *want != reply.touched) {
                return Err(corrupt(format!("{problem} ({} of {want} rows)", reply.touched)).into());
            }
        }
        Ok(())
    }

    /// Every scope that something is written to, with its digest if that changed.
    fn scopes(&mut self, writes: &WriteSet) {
        let written = writes.records.iter().map(|write| &write.record.scope);
        let left = writes.departures.iter().map(|(scope, _)| scope);
        let others: BTreeSet<&ScopeId> =
            written.chain(left).filter(|scope| !writes.digests.contains_key(*scope)).collect();
        if !others.is_empty() {
            let names = others.into_iter().map(|scope| scope.as_str().to_owned()).collect();
            let sql =
                "INSERT INTO sync_scopes (workspace_id, name) SELECT $1, u.name FROM unnest($2::text[]) AS u (name)
                ON CONFLICT DO NOTHING";
            self.add(sql, vec![texts(names)]);
        }
        if !writes.digests.is_empty() {
            let names = writes.digests.keys().map(|scope| scope.as_str().to_owned()).collect();
            let number = |number: fn(&Digest) -> i64| integers(writes.digests.values().map(number).collect());
            let (counts, sums) = (number(|digest| int(digest.count)), number(|digest| digest.sum.cast_signed()));
            let sql = "INSERT INTO sync_scopes (workspace_id, name, count, sum)
                SELECT $1, u.* FROM unnest($2::text[], $3::bigint[], $4::bigint[]) AS u
                ON CONFLICT (workspace_id, name) DO UPDATE SET count = excluded.count, sum = excluded.sum";
            self.add(sql, vec![texts(names), counts, sums]);
        }
    }

    fn sync_records(&mut self, rows: &Rows<'_>) -> StoreResult<()> {
        let from = "unnest($2::text[], $3::uuid[], $4::text[], $5::bigint[], $6::bigint[], $7::integer[], $8::text[],
            $9::text[]) AS u (entity, record_id, scope, rv, entered, state, versions, fields)";
        if !rows.new.is_empty() {
            let sql = format!(
                "INSERT INTO sync_records (workspace_id, entity, record_id, scope, rv, entered, state, versions, fields)
                 SELECT $1, u.entity, u.record_id, u.scope, u.rv, u.entered, u.state, u.versions, u.fields FROM {from}
                 ON CONFLICT DO NOTHING"
            );
            self.add(&sql, sync_columns(&rows.new)?);
            self.expect(rows.new.len(), "a plan takes a known record for a new one");
        }
        if !rows.known.is_empty() {
            let sql = format!(
                "UPDATE sync_records r SET scope = u.scope, rv = u.rv, entered = u.entered, state = u.state,
                 versions = u.versions, fields = u.fields FROM {from}
                 WHERE r.workspace_id = $1 AND r.entity = u.entity AND r.record_id = u.record_id"
            );
            self.add(&sql, sync_columns(&rows.known)?);
            self.expect(rows.known.len(), "a plan takes an unknown record for a known one");
        }
        Ok(())
    }

    fn typed_rows(&mut self, layout: &Layout, rows: Rows<'_>) -> StoreResult<()> {
        let key_columns = |keys: BTreeSet<(i32, String, RecordId)>| {
            let (mut numbers, mut texts_, mut ids) = (Vec::new(), Vec::new(), Vec::new());
            for (no, key, id) in keys {
                numbers.push(no);
                texts_.push(key);
                ids.push(id.0);
            }
            vec![small_integers(numbers), texts(texts_), uuids(ids)]
        };
        if !rows.outdated_keys.is_empty() {
            let sql = "DELETE FROM sync_keys k USING unnest($2::integer[], $3::text[], $4::uuid[]) AS u (no, key, id)
                WHERE k.workspace_id = $1 AND k.index_no = u.no AND k.key = u.key AND k.record_id = u.id";
            self.add(sql, key_columns(rows.outdated_keys));
        }
        for (entity, rows) in rows.tables {
            let Some(table) = layout.table(entity) else { continue };
            for (records, sql) in [(&rows.inserts, &table.insert), (&rows.updates, &table.update)] {
                if !records.is_empty() {
                    self.add(sql, columns(table, records)?);
                    self.expect(records.len(), format!("a row of {entity} is missing"));
                }
            }
            if !rows.deletes.is_empty() {
                let count = rows.deletes.len();
                self.add(&table.delete, vec![uuids(rows.deletes)]);
                self.expect(count, format!("a row of {entity} is missing"));
            }
        }
        if !rows.new_keys.is_empty() {
            let sql = "INSERT INTO sync_keys (workspace_id, index_no, key, record_id)
                SELECT $1, u.* FROM unnest($2::integer[], $3::text[], $4::uuid[]) AS u ON CONFLICT DO NOTHING";
            self.add(sql, key_columns(rows.new_keys));
        }
        Ok(())
    }

    fn departures(&mut self, writes: &WriteSet) {
        let all = &writes.departures;
        if all.is_empty() {
            return;
        }
        let scopes = all.iter().map(|(scope, _)| scope.as_str().to_owned()).collect();
        let seqs = all.iter().map(|(_, departure)| int(departure.seq)).collect();
        let entities = all.iter().map(|(_, departure)| departure.entity.to_string()).collect();
        let ids = all.iter().map(|(_, departure)| departure.id.0).collect();
        let sql = "INSERT INTO sync_departures (workspace_id, scope, seq, entity, record_id)
            SELECT $1, u.* FROM unnest($2::text[], $3::bigint[], $4::text[], $5::uuid[]) AS u ON CONFLICT DO NOTHING";
        self.add(sql, vec![texts(scopes), integers(seqs), texts(entities), uuids(ids)]);
    }

    fn log(&mut self, writes: &WriteSet) {
        if writes.log.is_empty() {
            return;
        }
        let seqs = writes.log.iter().map(|write| int(write.entry.seq)).collect();
        let entries = writes.log.iter().map(|write| write.json.clone()).collect();
        let hashes = writes.log.iter().map(|write| write.hash.clone()).collect();
        let sql = "INSERT INTO sync_log (workspace_id, seq, entry, hash)
            SELECT $1, u.* FROM unnest($2::bigint[], $3::text[], $4::text[]) AS u";
        self.add(sql, vec![integers(seqs), texts(entries), texts(hashes)]);
    }

    fn outcomes(&mut self, writes: &WriteSet) -> StoreResult<()> {
        let all = &writes.outcomes;
        if all.is_empty() {
            return Ok(());
        }
        let number = |number: &dyn Fn(usize) -> u64| integers((0..all.len()).map(|at| int(number(at))).collect());
        let outcomes = all.iter().map(|stored| encode(&stored.outcome)).collect::<StoreResult<_>>()?;
        let rejected = all.iter().map(|stored| stored.rejected.as_ref().map(encode).transpose());
        let sql =
            "INSERT INTO sync_outcomes (workspace_id, client_id, client_seq, user_id, seq, decided_ms, is_rejected,
            outcome, rejected) SELECT $1, u.* FROM unnest($2::uuid[], $3::bigint[], $4::uuid[], $5::bigint[],
            $6::bigint[], $7::boolean[], $8::text[], $9::text[]) AS u ON CONFLICT DO NOTHING";
        let params = vec![
            uuids(all.iter().map(|stored| stored.client_id.0).collect()),
            number(&|at| all[at].outcome.client_seq),
            uuids(all.iter().map(|stored| stored.user_id.0).collect()),
            number(&|at| all[at].outcome.seq),
            number(&|at| all[at].decided_ms),
            booleans(all.iter().map(|stored| stored.outcome.outcome == OutcomeKind::Rejected).collect()),
            texts(outcomes),
            optional_texts(rejected.collect::<StoreResult<_>>()?),
        ];
        self.add(sql, params);
        self.expect(all.len(), "a plan decides a mutation again");
        Ok(())
    }

    fn clients(&mut self, writes: &WriteSet) {
        if writes.clients.is_empty() {
            return;
        }
        let last: BTreeMap<ClientId, &ClientState> =
            writes.clients.iter().map(|client| (client.client_id, client)).collect();
        let ids = |id: fn(&ClientState) -> Uuid| uuids(last.values().map(|client| id(client)).collect());
        let sql = "INSERT INTO sync_clients (workspace_id, client_id, user_id, device_id, last_client_seq)
            SELECT $1, u.* FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[]) AS u
            ON CONFLICT (workspace_id, client_id) DO UPDATE SET user_id = excluded.user_id,
            device_id = excluded.device_id, last_client_seq = excluded.last_client_seq";
        let seqs = integers(last.values().map(|client| int(client.last_client_seq)).collect());
        let columns =
            (ids(|client| client.client_id.0), ids(|client| client.user_id.0), ids(|client| client.device_id.0));
        self.add(sql, vec![columns.0, columns.1, columns.2, seqs]);
    }

    fn head(&mut self, writes: &WriteSet) {
        let sql = "UPDATE sync_workspaces SET seq = $2, chain = $3 WHERE workspace_id = $1";
        self.add(sql, vec![integer(int(writes.head)), text(writes.chain.as_str())]);
        self.expect(1, "the workspace is gone");
    }
}

fn sync_columns(writes: &[&RecordWrite]) -> StoreResult<Vec<Param>> {
    let records = || writes.iter().map(|write| &write.record);
    let fields = records().map(|record| record.is_deleted.then(|| encode(&record.fields)).transpose());
    Ok(vec![
        texts(records().map(|record| record.entity.to_string()).collect()),
        uuids(records().map(|record| record.id.0).collect()),
        texts(records().map(|record| record.scope.as_str().to_owned()).collect()),
        integers(records().map(|record| int(record.rv)).collect()),
        integers(records().map(|record| int(record.entered)).collect()),
        small_integers(
            records().map(|record| i32::from(record.is_deleted) + i32::from(record.is_forgotten())).collect(),
        ),
        texts(records().map(|record| encode(&record.versions)).collect::<StoreResult<_>>()?),
        optional_texts(fields.collect::<StoreResult<_>>()?),
    ])
}

/// The ids and all columns of the rows of one table.
fn columns(table: &Table, records: &[&Record]) -> StoreResult<Vec<Param>> {
    let mut columns: Vec<Values> = table.columns.iter().map(|column| column.kind.values()).collect();
    for Record { entity, id, fields, .. } in records {
        let is_known = |field: &Name| table.columns.binary_search_by(|column| column.field.cmp(field)).is_ok();
        if let Some(field) = fields.keys().find(|field| !is_known(field)) {
            return Err(corrupt(format!("a plan writes an unknown field {entity}.{field}")));
        }
        for (column, values) in table.columns.iter().zip(&mut columns) {
            if !values.push(column.kind, fields.get(&column.field)) {
                let field = &column.field;
                return Err(corrupt(format!("a plan writes {entity}.{field} of {id} with the wrong type")));
            }
        }
    }
    let ids = uuids(records.iter().map(|record| record.id.0).collect());
    Ok(std::iter::once(ids).chain(columns.into_iter().map(Values::into_param)).collect())
}
