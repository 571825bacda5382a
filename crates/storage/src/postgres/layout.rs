//! The SQL that depends on the schema, made once when a database is opened: a typed table per entity (design D7).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use syncline_core::Name;
use syncline_core::schema::{Entity, Field, FieldType, OnDelete, Schema, Unique};

use super::values::ColumnKind;

/// Names of tables that are not entities start with one of these, here or on SQLite: a schema fits both.
pub(super) const RESERVED_PREFIXES: &[&str] = &["sync_", "auth_", "msg_", "sqlite_", "refinery_", "pg_"];

/// Columns that every table of PostgreSQL has.
pub(super) const RESERVED_COLUMNS: &[&str] = &["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

/// Bytes of an identifier; longer ones are cut off silently.
const IDENTIFIER_BYTES_MAX: usize = 63;

/// Characters of a text that an index holds: four bytes each at most, and a row of a B-tree has 2,704.
const INDEXED_CHARS_MAX: u32 = 512;

/// Every typed table.
pub(super) struct Layout {
    pub(super) schema: Arc<Schema>,
    pub(super) tables: BTreeMap<Name, Table>,
}

impl Layout {
    pub(super) fn table(&self, entity: &str) -> Option<&Table> {
        self.tables.get(entity)
    }
}

/// One entity's table: `workspace_id, id` and a column per field.
pub(super) struct Table {
    pub(super) entity: Name,
    /// In field order.
    pub(super) columns: Vec<Column>,
    pub(super) sets: Vec<SetIndex>,
    pub(super) uniques: Vec<UniqueIndex>,
    /// `$1` workspace, `$2` entity, `$3` ids.
    pub(super) select_records: String,
    /// The columns of a record: those of the sync row, the id if there is a typed row, then the fields.
    pub(super) record_columns: String,
    /// The tables those columns come from.
    pub(super) record_tables: String,
    /// `$1` workspace, `$2` ids, then an array per field.
    pub(super) insert: String,
    pub(super) update: String,
    /// `$1` workspace, `$2` ids.
    pub(super) delete: String,
}

pub(super) struct Column {
    pub(super) field: Name,
    pub(super) kind: ColumnKind,
    /// `$1` workspace, `$2` values, `$3` limit: of each value its position and the ids in order.
    find: Option<String>,
}

/// Elements of an indexed set field, in `sync_keys`.
pub(super) struct SetIndex {
    pub(super) no: i32,
    pub(super) column: usize,
}

/// Keys of a uniqueness, in `sync_keys`.
pub(super) struct UniqueIndex {
    pub(super) no: i32,
    pub(super) unique: Unique,
}

impl Column {
    fn new(entity: &Entity, field: &Field) -> Self {
        let kind = ColumnKind::of(&field.kind);
        let (table, column) = (quoted(&entity.name), quoted(&field.name));
        let value = kind.cast("w.value");
        let is_equal = match is_long(field) {
            true => format!("{} = {} AND t.{column} = {value}", prefix(&format!("t.{column}")), prefix(&value)),
            false => format!("t.{column} = {value}"),
        };
        let find = format!(
            "SELECT w.position, f.id FROM unnest($2::{}) WITH ORDINALITY AS w (value, position)
             CROSS JOIN LATERAL (SELECT t.id FROM {table} t WHERE t.workspace_id = $1 AND {is_equal}
             ORDER BY t.id LIMIT $3) f ORDER BY w.position, f.id",
            array_type(kind)
        );
        let find = has_sql_index(field).then_some(find);
        Self { field: field.name.clone(), kind, find }
    }

    pub(super) fn find(&self) -> Option<&str> {
        self.find.as_deref()
    }
}

fn array_type(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Uuid => "uuid[]",
        ColumnKind::Integer => "bigint[]",
        ColumnKind::Boolean => "boolean[]",
        ColumnKind::Text | ColumnKind::Decimal | ColumnKind::Date | ColumnKind::Timestamp | ColumnKind::Json => {
            "text[]"
        }
    }
}

impl Table {
    /// `index_no` gives the number of a set's or uniqueness's index: `(kind, name)`.
    pub(super) fn new(entity: &Entity, index_no: impl Fn(&str, &str) -> i32) -> Self {
        let columns: Vec<Column> = entity.fields.values().map(|field| Column::new(entity, field)).collect();
        let sets = entity.fields.values().enumerate().filter(|(_, field)| has_set_index(field));
        let sets = sets.map(|(column, field)| SetIndex { no: index_no("set", &field.name), column }).collect();
        let uniques = entity.unique.iter();
        let uniques =
            uniques.map(|unique| UniqueIndex { no: index_no("unique", &unique.name), unique: unique.clone() });
        let table = quoted(&entity.name);
        let list = |each: &dyn Fn(usize, &Column) -> String| {
            columns.iter().enumerate().fold(String::new(), |mut list, (index, column)| {
                let _ = write!(list, ", {}", each(index, column));
                list
            })
        };
        let names = list(&|_, column| quoted(&column.field));
        let sent = list(&|index, column| column.kind.cast(&format!("u.c{index}")));
        let arrays = list(&|index, column| format!("${}::{}", index + 3, array_type(column.kind)));
        let aliases = list(&|index, _| format!("c{index}"));
        let rows = format!("unnest($2::uuid[]{arrays}) AS u (id{aliases})");
        let set =
            list(&|index, column| format!("{} = {}", quoted(&column.field), column.kind.cast(&format!("u.c{index}"))));
        let set = set.strip_prefix(", ").unwrap_or("id = t.id").to_owned();
        let read = list(&|_, column| column.kind.read(&format!("t.{}", quoted(&column.field))));
        let record_columns =
            format!("r.record_id, r.scope, r.rv, r.entered, r.state, r.versions, r.fields, t.id IS NOT NULL{read}");
        let record_tables = format!(
            "sync_records r LEFT JOIN {table} t
             ON t.workspace_id = r.workspace_id AND t.id = r.record_id AND r.state = 0"
        );
        Self {
            select_records: format!(
                "SELECT {record_columns} FROM {record_tables}
                 WHERE r.workspace_id = $1 AND r.entity = $2 AND r.record_id = ANY ($3)"
            ),
            insert: format!("INSERT INTO {table} (workspace_id, id{names}) SELECT $1, u.id{sent} FROM {rows}"),
            update: format!("UPDATE {table} t SET {set} FROM {rows} WHERE t.workspace_id = $1 AND t.id = u.id"),
            delete: format!("DELETE FROM {table} WHERE workspace_id = $1 AND id = ANY ($2)"),
            record_columns,
            record_tables,
            entity: entity.name.clone(),
            sets,
            uniques: uniques.collect(),
            columns,
        }
    }

    /// First of the fields in [`Table::record_columns`].
    pub(super) const FIELDS_FROM: usize = 8;
}

/// `CREATE TABLE` of an entity, without references: their targets may not be there yet.
pub(super) fn create_table(entity: &Entity) -> String {
    let mut sql = format!(
        "CREATE TABLE {} (\n    workspace_id text COLLATE \"C\" NOT NULL,\n    id uuid NOT NULL",
        quoted(&entity.name)
    );
    for field in entity.fields.values() {
        let _ = write!(sql, ",\n    {} {}", quoted(&field.name), column_type(field));
    }
    sql.push_str(",\n    PRIMARY KEY (workspace_id, id)\n)");
    sql
}

fn column_type(field: &Field) -> String {
    let kind = ColumnKind::of(&field.kind);
    let collation = if kind == ColumnKind::Text { " COLLATE \"C\"" } else { "" };
    format!("{}{collation}", kind.sql_type())
}

/// References that the database checks too, when the transaction commits; a kept one may dangle.
pub(super) fn add_references(entity: &Entity) -> impl Iterator<Item = String> {
    entity.fields.values().filter_map(|field| {
        let reference = field.references.as_ref().filter(|reference| reference.on_delete != OnDelete::Keep)?;
        let is_scalar = ColumnKind::of(&field.kind) == ColumnKind::Uuid;
        let (table, column, target) = (quoted(&entity.name), quoted(&field.name), quoted(&reference.entity));
        let name = identifier(&format!("{}.{}.references", entity.name, field.name));
        is_scalar.then(|| {
            format!(
                "ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY (workspace_id, {column})
                 REFERENCES {target} (workspace_id, id) DEFERRABLE INITIALLY DEFERRED"
            )
        })
    })
}

pub(super) fn add_column(entity: &Entity, field: &Field) -> String {
    let (table, column) = (quoted(&entity.name), quoted(&field.name));
    format!("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column} {}", column_type(field))
}

/// Name and `CREATE INDEX` of a field, in the order and with the id that [`Column::find`] reads. Names have no dots, so
/// `entity.field` cannot collide. `how` is empty or `CONCURRENTLY`.
pub(super) fn create_index(entity: &Entity, field: &Field, how: &str) -> (String, String) {
    let name = index_name(entity, field);
    let (table, column) = (quoted(&entity.name), quoted(&field.name));
    let column = if is_long(field) { prefix(&column) } else { column };
    let sql = format!("CREATE INDEX {how} IF NOT EXISTS {} ON {table} (workspace_id, ({column}), id)", quoted(&name));
    (name, sql)
}

fn index_name(entity: &Entity, field: &Field) -> String {
    shortened(&format!("{}.{}", entity.name, field.name))
}

pub(super) fn has_sql_index(field: &Field) -> bool {
    (field.is_indexed || field.references.is_some()) && ColumnKind::of(&field.kind) != ColumnKind::Json
}

pub(super) fn has_set_index(field: &Field) -> bool {
    field.is_indexed && matches!(field.kind, FieldType::Set { .. })
}

/// Values may be longer than what an index can hold: only their beginning is indexed.
pub(super) fn is_long(field: &Field) -> bool {
    matches!(field.kind, FieldType::Text { max_len, .. } if max_len > INDEXED_CHARS_MAX)
}

pub(super) fn prefix(expression: &str) -> String {
    format!("left({expression}, {INDEXED_CHARS_MAX})")
}

fn identifier(name: &str) -> String {
    quoted(&shortened(name))
}

/// A name that fits: a longer one ends in a hash of itself instead.
fn shortened(name: &str) -> String {
    if name.len() <= IDENTIFIER_BYTES_MAX {
        return name.to_owned();
    }
    let hash: String = Sha256::digest(name.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    // Names are ASCII, so any byte is the end of a character.
    format!("{}.{hash}", &name[..IDENTIFIER_BYTES_MAX - 17])
}

/// An identifier for SQL, whatever word it is.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
