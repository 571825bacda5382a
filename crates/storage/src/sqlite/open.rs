//! Brings a database up to this build and its schema: forward only, nothing is ever dropped.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, params};
use syncline_core::schema::{Entity, Schema, Unique};
use syncline_core::storage::{StoreResult, unique_key};
use syncline_core::{Name, TimestampMs, Value};

use crate::migration::newer_version;

use super::connect::Lane;
use super::error::{OrFailed, refused};
use super::layout::{self, Layout, RESERVED_PREFIXES, Table};
use super::values::{ColumnKind, int, record_id};

mod migrations {
    refinery::embed_migrations!("migrations/sqlite");
}

/// Brings the tables that do not depend on the schema up to this build, all steps in one transaction.
pub(super) fn migrate(conn: &mut Connection) -> StoreResult<()> {
    let runner = migrations::migrations::runner().set_grouped(true).set_abort_missing(true);
    let report = runner.run(conn).map_err(|error| {
        newer_version(&runner, &error).unwrap_or_else(|| refused(format!("migrating the database failed: {error}")))
    })?;
    for step in report.applied_migrations() {
        tracing::info!(step = step.version(), name = step.name(), "migrated the database");
    }
    Ok(())
}

/// Creates what the schema declares and the database lacks: tables, columns, indexes. A field whose type no longer fits its
/// column, and an entity with records that is no longer declared, are refused.
pub(super) fn adapt(lane: &mut Lane, schema: Arc<Schema>, now: TimestampMs) -> StoreResult<Layout> {
    lane.write(|conn| {
        let sql = "INSERT INTO sync_schema_versions (version, hash, at_ms) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        conn.execute(sql, params![schema.version, schema.hash, int(now)]).or_failed()?;
        let mut tables = BTreeMap::new();
        for entity in schema.entities.values() {
            check_names(entity)?;
            let no = entity_no(conn, entity)?;
            adapt_table(conn, entity)?;
            let numbers = adapt_key_indexes(conn, entity, no)?;
            let index_no =
                |kind: &str, name: &str| numbers.get(&(kind.to_owned(), name.to_owned())).copied().unwrap_or(0);
            let table = Table::new(entity, no, index_no);
            tables.insert(entity.name.clone(), table);
        }
        let entities_by_no = registered(conn)?;
        refuse_undeclared(conn, &schema, &entities_by_no)?;
        Ok(Layout { schema: schema.clone(), tables, entities_by_no })
    })
}

fn check_names(entity: &Entity) -> StoreResult<()> {
    if RESERVED_PREFIXES.iter().any(|prefix| entity.name.starts_with(prefix)) {
        let name = &entity.name;
        return Err(refused(format!("an entity must not be called `{name}`: that prefix is taken in the database")));
    }
    Ok(())
}

fn entity_no(conn: &Connection, entity: &Entity) -> StoreResult<i64> {
    conn.execute("INSERT INTO sync_entities (name) VALUES (?1) ON CONFLICT DO NOTHING", [entity.name.as_str()])
        .or_failed()?;
    conn.query_row("SELECT no FROM sync_entities WHERE name = ?1", [entity.name.as_str()], |row| row.get(0)).or_failed()
}

fn registered(conn: &Connection) -> StoreResult<BTreeMap<i64, Name>> {
    let mut statement = conn.prepare("SELECT no, name FROM sync_entities").or_failed()?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, Name::new(row.get_ref(1)?.as_str()?)))).or_failed()?;
    rows.collect::<Result<_, _>>().or_failed()
}

fn refuse_undeclared(conn: &Connection, schema: &Schema, entities: &BTreeMap<i64, Name>) -> StoreResult<()> {
    for (no, name) in entities.iter().filter(|(_, name)| schema.entity(name).is_none()) {
        let sql = "SELECT EXISTS (SELECT 1 FROM sync_records WHERE entity_no = ?1 AND state = 0)";
        if conn.query_row(sql, [no], |row| row.get(0)).or_failed()? {
            return Err(refused(format!(
                "the schema no longer declares `{name}`, but the database has records of it: declare it, or delete them first"
            )));
        }
    }
    Ok(())
}

fn adapt_table(conn: &Connection, entity: &Entity) -> StoreResult<()> {
    let present = columns(conn, &entity.name)?;
    if present.is_empty() {
        conn.execute_batch(&layout::create_table(entity)).or_failed()?;
    }
    for field in entity.fields.values().filter(|_| !present.is_empty()) {
        let wanted = ColumnKind::of(&field.kind).sql_type();
        match present.get(field.name.as_str()) {
            Some(is) if is == wanted => {}
            Some(is) => {
                let (entity, field) = (&entity.name, &field.name);
                return Err(refused(format!(
                    "`{entity}.{field}` is stored as {is}, its new type needs {wanted}: declare a new field instead"
                )));
            }
            None => conn.execute_batch(&layout::add_column(entity, field)).or_failed()?,
        }
    }
    let mut indexed = entity.fields.values().filter(|field| layout::has_sql_index(field));
    indexed.try_for_each(|field| conn.execute_batch(&layout::create_index(entity, field)).or_failed())
}

/// Type by name of a table's columns; empty: no such table.
fn columns(conn: &Connection, table: &str) -> StoreResult<BTreeMap<String, String>> {
    let mut statement = conn.prepare("SELECT name, type FROM pragma_table_info(?1)").or_failed()?;
    let rows = statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?))).or_failed()?;
    rows.collect::<Result<_, _>>().or_failed()
}

/// Numbers of the indexes kept in `sync_keys` by `(kind, name)`. A new or changed one is filled from the typed table, one
/// that is no longer declared is emptied, so that it cannot come back out of date.
fn adapt_key_indexes(
    conn: &Connection,
    entity: &Entity,
    entity_no: i64,
) -> StoreResult<BTreeMap<(String, String), i64>> {
    let mut stored = stored_indexes(conn, entity_no)?;
    let mut numbers = BTreeMap::new();
    for (key, definition) in wanted_indexes(entity) {
        let no = match stored.remove(&key) {
            Some((no, known)) if known == definition => no,
            outdated => {
                if let Some((no, _)) = outdated {
                    forget_index(conn, no)?;
                }
                let sql = "INSERT INTO sync_indexes (entity_no, kind, name, definition) VALUES (?1, ?2, ?3, ?4)";
                conn.execute(sql, params![entity_no, key.0, key.1, definition]).or_failed()?;
                let no = conn.last_insert_rowid();
                fill_index(conn, entity, &key, no)?;
                no
            }
        };
        numbers.insert(key, no);
    }
    for (no, _) in stored.into_values() {
        forget_index(conn, no)?;
    }
    Ok(numbers)
}

type StoredIndexes = BTreeMap<(String, String), (i64, String)>;

fn stored_indexes(conn: &Connection, entity_no: i64) -> StoreResult<StoredIndexes> {
    let sql = "SELECT kind, name, no, definition FROM sync_indexes WHERE entity_no = ?1";
    let mut statement = conn.prepare(sql).or_failed()?;
    let rows = statement.query_map([entity_no], |row| Ok(((row.get(0)?, row.get(1)?), (row.get(2)?, row.get(3)?))));
    rows.or_failed()?.collect::<Result<_, _>>().or_failed()
}

fn wanted_indexes(entity: &Entity) -> Vec<((String, String), String)> {
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

fn forget_index(conn: &Connection, no: i64) -> StoreResult<()> {
    let workspaces = "SELECT no FROM sync_workspaces";
    let sql = format!("DELETE FROM sync_keys WHERE workspace_no IN ({workspaces}) AND index_no = ?1");
    conn.execute(&sql, [no]).or_failed()?;
    conn.execute("DELETE FROM sync_indexes WHERE no = ?1", [no]).or_failed().map(drop)
}

fn fill_index(conn: &Connection, entity: &Entity, key: &(String, String), no: i64) -> StoreResult<()> {
    let unique = entity.unique.iter().find(|unique| key.0 == "unique" && unique.name == key.1);
    let own = [Name::new(&key.1)];
    let fields = unique.map_or(&own[..], |unique| &unique.fields);
    let list: String = fields.iter().map(|field| format!(", t.{}", layout::quoted(field))).collect();
    let table = layout::quoted(&entity.name);
    let sql = format!("SELECT w.no, t.id{list} FROM {table} t JOIN sync_workspaces w USING (workspace_id)");
    let insert = "INSERT INTO sync_keys (workspace_no, index_no, key, record_id) VALUES (?1, ?2, ?3, ?4)";
    let mut insert = conn.prepare(insert).or_failed()?;
    let mut statement = conn.prepare(&sql).or_failed()?;
    let mut rows = statement.query([]).or_failed()?;
    while let Some(row) = rows.next().or_failed()? {
        let workspace_no: i64 = row.get(0).or_failed()?;
        let id = record_id(row.get_ref(1).or_failed()?)?;
        let mut values = syncline_core::Fields::new();
        for (index, name) in fields.iter().enumerate() {
            let Some(field) = entity.field(name) else { continue };
            let value = ColumnKind::of(&field.kind).decode(row.get_ref(index + 2).or_failed()?)?;
            values.extend(value.map(|value| (name.clone(), value)));
        }
        let keys: Vec<String> = match unique {
            Some(unique) => unique_key(unique, &values).into_iter().collect(),
            None => set_items(values.get(&own[0])).map(str::to_owned).collect(),
        };
        for key in keys {
            insert.execute(params![workspace_no, no, key, id.as_bytes()]).or_failed()?;
        }
    }
    Ok(())
}

/// The elements of a set's value.
pub(super) fn set_items(value: Option<&Value>) -> impl Iterator<Item = &str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}
