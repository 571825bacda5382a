//! The SQL that depends on the schema, made once when a database is opened: a typed table per entity (design D7).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use syncline_core::Name;
use syncline_core::schema::{Entity, Field, FieldType, OnDelete, Schema, Unique};

use super::values::ColumnKind;

/// Names of tables that are not entities start with one of these.
pub(super) const RESERVED_PREFIXES: &[&str] = &["sync_", "auth_", "msg_", "sqlite_", "refinery_"];

/// Every typed table and the numbers that stand for entities in the sync tables.
pub(super) struct Layout {
    pub(super) schema: Arc<Schema>,
    pub(super) tables: BTreeMap<Name, Table>,
    /// Also of entities that are not declared any more.
    pub(super) entities_by_no: BTreeMap<i64, Name>,
}

impl Layout {
    pub(super) fn table(&self, entity: &str) -> Option<&Table> {
        self.tables.get(entity)
    }

    pub(super) fn entity(&self, no: i64) -> Option<&Name> {
        self.entities_by_no.get(&no)
    }
}

/// The id of a typed row of alias `t` as the sync tables hold it.
pub(super) const ID_AS_BLOB: &str = "unhex(replace(t.id, '-', ''))";

/// One entity's table: `workspace_id, id` and a column per field.
pub(super) struct Table {
    pub(super) entity: Name,
    pub(super) no: i64,
    /// In field order.
    pub(super) columns: Vec<Column>,
    pub(super) sets: Vec<SetIndex>,
    pub(super) uniques: Vec<UniqueIndex>,
    /// Columns whose old value decides what an update must touch: indexed ones, sets with keys, fields of a uniqueness.
    pub(super) observed: Vec<usize>,
    /// `?1` workspace number, `?2` entity number, `?3` record id, `?4` workspace, `?5` id as text; columns of the sync
    /// row, the id if there is a typed row, then the fields.
    pub(super) select_record: String,
    /// `?1` workspace, `?2` id as text: the fields.
    pub(super) select_fields: String,
    /// As above: the observed columns.
    pub(super) select_observed: String,
    /// `?1` workspace, `?2` id as text, then the fields.
    pub(super) insert: String,
    pub(super) delete: String,
    /// `?1` workspace number, `?2` entity number, `?3` workspace, `?4` id greater than, `?5` limit: what `select_record` gives,
    /// in id order, whole rows in one pass.
    pub(super) scan: String,
}

pub(super) struct Column {
    pub(super) field: Name,
    pub(super) kind: ColumnKind,
    /// It has an SQL index, so writing it costs even when it does not change.
    pub(super) is_indexed: bool,
    /// `?1` workspace, `?2` value, `?3` limit: ids in order.
    find: Option<String>,
}

/// Elements of an indexed set field, in `sync_keys`.
pub(super) struct SetIndex {
    pub(super) no: i64,
    pub(super) column: usize,
}

/// Keys of a uniqueness, in `sync_keys`.
pub(super) struct UniqueIndex {
    pub(super) no: i64,
    pub(super) unique: Unique,
    /// Columns of its fields.
    pub(super) columns: Vec<usize>,
}

impl Column {
    fn new(entity: &Entity, field: &Field) -> Self {
        let is_indexed = has_sql_index(field);
        let (table, column) = (quoted(&entity.name), quoted(&field.name));
        let find = format!("SELECT id FROM {table} WHERE workspace_id = ?1 AND {column} = ?2 ORDER BY id LIMIT ?3");
        let find = is_indexed.then_some(find);
        Self { field: field.name.clone(), kind: ColumnKind::of(&field.kind), is_indexed, find }
    }

    pub(super) fn find(&self) -> Option<&str> {
        self.find.as_deref()
    }
}

impl Table {
    /// `index_no` gives the number of a set's or uniqueness's index: `(kind, name)`.
    pub(super) fn new(entity: &Entity, no: i64, index_no: impl Fn(&str, &str) -> i64) -> Self {
        let columns: Vec<Column> = entity.fields.values().map(|field| Column::new(entity, field)).collect();
        let column_of = |field: &Name| columns.iter().position(|column| column.field == *field);
        let sets = entity.fields.values().enumerate().filter(|(_, field)| has_set_index(field));
        let sets: Vec<SetIndex> =
            sets.map(|(column, field)| SetIndex { no: index_no("set", &field.name), column }).collect();
        let uniques = entity.unique.iter().map(|unique| UniqueIndex {
            no: index_no("unique", &unique.name),
            unique: unique.clone(),
            columns: unique.fields.iter().filter_map(column_of).collect(),
        });
        let uniques: Vec<UniqueIndex> = uniques.collect();
        let is_observed = |column: &usize| {
            columns[*column].is_indexed
                || sets.iter().any(|set| set.column == *column)
                || uniques.iter().any(|unique| unique.columns.contains(column))
        };
        let observed: Vec<usize> = (0..columns.len()).filter(is_observed).collect();
        let table = quoted(&entity.name);
        let list = |prefix: &str, which: &mut dyn Iterator<Item = usize>| {
            let mut list = String::new();
            for column in which {
                let _ = write!(list, ", {prefix}{}", quoted(&columns[column].field));
            }
            list
        };
        let all = || 0..columns.len();
        let select = |list: String| {
            let list = list.strip_prefix(", ").unwrap_or("1").to_owned();
            format!("SELECT {list} FROM {table} WHERE workspace_id = ?1 AND id = ?2")
        };
        let values: String = all().map(|column| format!(", ?{}", column + 3)).collect();
        Self {
            select_record: format!(
                "SELECT s.name, r.rv, r.entered, r.state, r.versions, r.fields, t.id{} FROM sync_records r
                 JOIN sync_scopes s ON s.no = r.scope_no LEFT JOIN {table} t ON t.workspace_id = ?4 AND t.id = ?5
                 WHERE r.workspace_no = ?1 AND r.entity_no = ?2 AND r.record_id = ?3",
                list("t.", &mut all())
            ),
            select_fields: select(list("", &mut all())),
            select_observed: select(list("", &mut observed.iter().copied())),
            insert: format!("INSERT INTO {table} (workspace_id, id{}) VALUES (?1, ?2{values})", list("", &mut all())),
            delete: format!("DELETE FROM {table} WHERE workspace_id = ?1 AND id = ?2"),
            scan: format!(
                "SELECT s.name, r.rv, r.entered, r.state, r.versions, r.fields, t.id{} FROM {table} t
                 LEFT JOIN sync_records r ON r.workspace_no = ?1 AND r.entity_no = ?2
                     AND r.record_id = {ID_AS_BLOB}
                 LEFT JOIN sync_scopes s ON s.no = r.scope_no
                 WHERE t.workspace_id = ?3 AND t.id > ?4 ORDER BY t.id LIMIT ?5",
                list("t.", &mut all())
            ),
            entity: entity.name.clone(),
            no,
            columns,
            sets,
            uniques,
            observed,
        }
    }

    /// An update of all columns without an index and of the indexed ones that `is_written` names: `?1` workspace, `?2`
    /// id as text, `?3` on the fields by position. `None`: nothing to write.
    pub(super) fn update(&self, is_written: impl Fn(usize) -> bool) -> Option<String> {
        let mut sql = format!("UPDATE {} SET ", quoted(&self.entity));
        let mut is_first = true;
        for (index, column) in self.columns.iter().enumerate() {
            if column.is_indexed && !is_written(index) {
                continue;
            }
            let separator = if std::mem::take(&mut is_first) { "" } else { ", " };
            let _ = write!(sql, "{separator}{} = ?{}", quoted(&column.field), index + 3);
        }
        sql.push_str(" WHERE workspace_id = ?1 AND id = ?2");
        (!is_first).then_some(sql)
    }
}

/// `CREATE TABLE` of an entity. With a rowid: WITHOUT ROWID saves an index, but moves all of a row beyond 1 KB to overflow
/// pages (measured on 40 filled columns: 0.7 times the updates and half the reads; narrow rows are equal).
pub(super) fn create_table(entity: &Entity) -> String {
    let mut sql =
        format!("CREATE TABLE {} (\n    workspace_id TEXT NOT NULL,\n    id TEXT NOT NULL", quoted(&entity.name));
    for field in entity.fields.values() {
        let _ = write!(sql, ",\n    {} {}", quoted(&field.name), ColumnKind::of(&field.kind).sql_type());
    }
    sql.push_str(",\n    PRIMARY KEY (workspace_id, id)");
    for (field, target) in enforced_references(entity) {
        let (column, table) = (quoted(&field.name), quoted(target));
        let _ = write!(
            sql,
            ",\n    FOREIGN KEY (workspace_id, {column}) REFERENCES {table} (workspace_id, id) DEFERRABLE INITIALLY DEFERRED"
        );
    }
    sql.push_str("\n) STRICT");
    sql
}

/// References that the database checks too; a kept one may dangle.
pub(super) fn enforced_references(entity: &Entity) -> impl Iterator<Item = (&Field, &Name)> {
    entity.fields.values().filter_map(|field| {
        let reference = field.references.as_ref().filter(|reference| reference.on_delete != OnDelete::Keep)?;
        Some((field, &reference.entity))
    })
}

pub(super) fn add_column(entity: &Entity, field: &Field) -> String {
    let (table, column) = (quoted(&entity.name), quoted(&field.name));
    format!("ALTER TABLE {table} ADD COLUMN {column} {}", ColumnKind::of(&field.kind).sql_type())
}

/// `CREATE INDEX` of a field, in the order and with the id that [`Column::find`] reads, so it needs nothing else. Names have
/// no dots, so `entity.field` cannot collide.
pub(super) fn create_index(entity: &Entity, field: &Field) -> String {
    let name = quoted(&format!("{}.{}", entity.name, field.name));
    let (table, column) = (quoted(&entity.name), quoted(&field.name));
    format!("CREATE INDEX IF NOT EXISTS {name} ON {table} (workspace_id, {column}, id)")
}

pub(super) fn has_sql_index(field: &Field) -> bool {
    (field.is_indexed || field.references.is_some()) && !matches!(field.kind, FieldType::Set { .. })
}

pub(super) fn has_set_index(field: &Field) -> bool {
    field.is_indexed && matches!(field.kind, FieldType::Set { .. })
}

/// An identifier for SQL, whatever word it is.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
