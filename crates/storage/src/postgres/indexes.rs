//! Indexes of a schema that grows: those of columns, and those that `sync_keys` holds.

use std::collections::BTreeMap;

use syncline_core::schema::{Entity, Schema, Unique};
use syncline_core::storage::{StoreResult, unique_key};
use syncline_core::{Fields, Name};
use uuid::Uuid;

use super::apply::Trouble;
use super::layout;
use super::open::Present;
use super::rows::at;
use super::values::{ColumnKind, key_text, set_items};
use super::wire::{Wire, small_integers, text, texts, uuid, uuids};

/// Rows that are read at once while an index is filled.
const FILL_PAGE_ROWS: i64 = 5_000;

/// Creates the indexes that tables with rows in them lack, while everybody goes on writing. One that a crash left half built
/// is built anew.
pub(super) fn create_concurrently(wire: &Wire<'_>, schema: &Schema, present: &Present) -> Result<(), Trouble> {
    let entities = schema.entities.values().filter(|entity| present.contains_key(entity.name.as_str()));
    let wanted = entities.flat_map(|entity| {
        let fields = entity.fields.values().filter(|field| layout::has_sql_index(field));
        fields.map(move |field| layout::create_index(entity, field, "CONCURRENTLY"))
    });
    let wanted: BTreeMap<String, String> = wanted.collect();
    let sql = "SELECT c.relname::text, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() AND c.relname = ANY ($1)";
    let names = wanted.keys().cloned().collect();
    let rows = wire.query(sql, vec![texts(names)])?;
    let known = rows.iter().map(|row| Ok((at(row, 0)?, at(row, 1)?)));
    let known: BTreeMap<String, bool> = known.collect::<StoreResult<_>>()?;
    for (name, create) in wanted {
        match known.get(&name) {
            Some(true) => continue,
            Some(false) => wire.batch(&format!("DROP INDEX CONCURRENTLY IF EXISTS {}", layout::quoted(&name)))?,
            None => {}
        }
        wire.batch(&create)?;
        tracing::info!(index = name, "created an index");
    }
    Ok(())
}

type Key = (String, String);

/// Numbers of the indexes kept in `sync_keys` by `(kind, name)`. A new or changed one is filled from the typed table, one
/// that is no longer declared is emptied, so that it cannot come back out of date.
pub(super) fn adapt_keys(wire: &Wire<'_>, entity: &Entity) -> Result<BTreeMap<Key, i32>, Trouble> {
    let mut stored = stored(wire, entity)?;
    let mut numbers = BTreeMap::new();
    for (key, definition) in wanted(entity) {
        let no = match stored.remove(&key) {
            Some((no, known)) if known == definition => no,
            outdated => {
                if let Some((no, _)) = outdated {
                    forget(wire, no)?;
                }
                // Nobody writes a row between its being read here and its keys being written.
                wire.batch(&format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", layout::quoted(&entity.name)))?;
                let sql =
                    "INSERT INTO sync_indexes (entity, kind, name, definition) VALUES ($1, $2, $3, $4) RETURNING no";
                let row = vec![text(entity.name.as_str()), text(&*key.0), text(&*key.1), text(definition)];
                let rows = wire.query(sql, row)?;
                let no = rows.first().map(|row| at(row, 0)).transpose()?.unwrap_or_default();
                fill(wire, entity, &key, no)?;
                no
            }
        };
        numbers.insert(key, no);
    }
    for (no, _) in stored.into_values() {
        forget(wire, no)?;
    }
    Ok(numbers)
}

fn stored(wire: &Wire<'_>, entity: &Entity) -> Result<BTreeMap<Key, (i32, String)>, Trouble> {
    let sql = "SELECT kind, name, no, definition FROM sync_indexes WHERE entity = $1";
    let rows = wire.query(sql, vec![text(entity.name.as_str())])?;
    let all = rows.iter().map(|row| Ok(((at(row, 0)?, at(row, 1)?), (at(row, 2)?, at(row, 3)?))));
    Ok(all.collect::<StoreResult<_>>()?)
}

fn wanted(entity: &Entity) -> Vec<(Key, String)> {
    let sets = entity.fields.values().filter(|field| layout::has_set_index(field));
    let sets = sets.map(|field| (("set".to_owned(), field.name.to_string()), field.name.to_string()));
    let definition = |unique: &Unique| {
        let folding = if unique.is_case_folded { " folded" } else { "" };
        unique.fields.join(", ") + folding
    };
    let uniques = entity.unique.iter();
    let uniques = uniques.map(|unique| (("unique".to_owned(), unique.name.to_string()), definition(unique)));
    sets.chain(uniques).collect()
}

fn forget(wire: &Wire<'_>, no: i32) -> Result<(), Trouble> {
    let sql = "DELETE FROM sync_keys k USING sync_workspaces w
        WHERE k.workspace_id = w.workspace_id AND k.index_no = ANY ($1)";
    wire.execute(sql, vec![small_integers(vec![no])])?;
    wire.execute("DELETE FROM sync_indexes WHERE no = ANY ($1)", vec![small_integers(vec![no])])?;
    Ok(())
}

fn fill(wire: &Wire<'_>, entity: &Entity, key: &Key, no: i32) -> Result<(), Trouble> {
    let unique = entity.unique.iter().find(|unique| key.0 == "unique" && unique.name == key.1);
    let own = [Name::new(&key.1)];
    let fields = unique.map_or(&own[..], |unique| &unique.fields);
    let kinds: Vec<(&Name, ColumnKind)> =
        fields.iter().filter_map(|name| Some((name, ColumnKind::of(&entity.field(name)?.kind)))).collect();
    let list: String = kinds.iter().map(|(name, kind)| format!(", {}", kind.read(&layout::quoted(name)))).collect();
    let sql = format!(
        "SELECT workspace_id, id{list} FROM {} WHERE (workspace_id, id) > ($1, $2) ORDER BY workspace_id, id LIMIT {FILL_PAGE_ROWS}",
        layout::quoted(&entity.name)
    );
    let mut last = (String::new(), Uuid::nil());
    loop {
        let rows = wire.query(&sql, vec![text(&*last.0), uuid(last.1)])?;
        let Some(end) = rows.last() else { return Ok(()) };
        last = (at(end, 0)?, at(end, 1)?);
        let (mut workspaces, mut keys, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        for row in &rows {
            let mut values = Fields::new();
            for (position, (name, kind)) in kinds.iter().enumerate() {
                values.extend(kind.decode(row, position + 2)?.map(|value| ((*name).clone(), value)));
            }
            let found: Vec<String> = match unique {
                Some(unique) => unique_key(unique, &values).iter().map(|key| key_text(key)).collect(),
                None => set_items(values.get(&own[0])).map(key_text).collect(),
            };
            for key in found {
                workspaces.push(at(row, 0)?);
                ids.push(at(row, 1)?);
                keys.push(key);
            }
        }
        let insert = "INSERT INTO sync_keys (workspace_id, index_no, key, record_id)
            SELECT u.workspace, n.no, u.key, u.id FROM unnest($1::text[], $2::text[], $3::uuid[]) AS u (workspace, key, id)
            CROSS JOIN unnest($4::integer[]) AS n (no) ON CONFLICT DO NOTHING";
        wire.execute(insert, vec![texts(workspaces), texts(keys), uuids(ids), small_integers(vec![no])])?;
    }
}
