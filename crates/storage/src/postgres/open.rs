//! Brings a database up to this build and its schema: forward only, nothing is ever dropped, one process at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use syncline_core::Name;
use syncline_core::schema::{Entity, Schema};
use syncline_core::storage::StoreResult;
use tokio_postgres::Client;

use super::apply::Trouble;
use super::connect::Server;
use super::error::{Severity, refused};
use super::indexes;
use super::lane::may_pass;
use super::layout::{self, Layout, RESERVED_COLUMNS, RESERVED_PREFIXES, Table};
use super::migrate::migrate;
use super::retry::Patience;
use super::rows::at;
use super::startup;
use super::values::{ColumnKind, int};
use super::wire::{Request, Wire, integer, text, texts};

/// The advisory lock of whoever changes tables: "syncline" in ASCII.
const ADAPT_LOCK: i64 = 0x7379_6e63_6c69_6e65;

/// How long another process may take to bring the database up to date before this one gives up.
const ADAPT_WAIT_MS: u32 = 600_000;

/// How long one change of a table waits for the transactions that use it, while those that come after queue behind it. Then
/// it lets them through and tries again.
const ADAPT_LOCK_TIMEOUT_MS: u32 = 1_000;

/// Filling an index takes as long as it takes.
const ADAPT_PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// Everything that is done once when a database is opened.
pub(super) fn open(server: &Arc<Server>, schema: Arc<Schema>) -> StoreResult<Layout> {
    for entity in schema.entities.values() {
        check_names(entity)?;
    }
    let client = server.connect_patiently(&mut Patience::new(server.options.open_wait_ms()))?;
    startup::check_server(&server.wire(&client), &server.at)?;
    let mut patience = Patience::new(ADAPT_WAIT_MS);
    loop {
        let reason = match attempt(server, &schema) {
            Ok(Some(layout)) => return Ok(layout),
            Ok(None) => "another process is changing the tables of this database".to_owned(),
            Err(trouble) => may_pass(trouble)?.to_string(),
        };
        patience.pause_after(&reason)?;
    }
}

/// `None`: another process is at it.
fn attempt(server: &Arc<Server>, schema: &Arc<Schema>) -> Result<Option<Layout>, Trouble> {
    // The lock belongs to a transaction, so that it is one session's also behind a pooler, and ends with the connection. It is
    // asked for, not waited for: a statement that waits holds a snapshot, which would keep `CREATE INDEX CONCURRENTLY` of the
    // one who has the lock waiting in turn.
    let guard = server.connect()??;
    let held = server.wire(&guard).flight(&[
        Request::Batch("BEGIN; SELECT set_config('idle_in_transaction_session_timeout', '0', true)".to_owned()),
        Request::query("SELECT pg_try_advisory_xact_lock($1)", vec![integer(ADAPT_LOCK)]),
        // The portal of a query keeps its snapshot until the next one takes its place; a simple query keeps none.
        Request::Batch("SELECT 1".to_owned()),
    ])?;
    let is_ours = held[1].rows.first().map(|row| at::<bool>(row, 0)).transpose()?;
    if is_ours != Some(true) {
        return Ok(None);
    }
    let worker = server.connect()??;
    let layout = adapt(server, &worker, schema)?;
    server.wire(&guard).batch("COMMIT")?;
    Ok(Some(layout))
}

/// Creates what the schema declares and the database lacks: tables, columns, indexes. A field whose type no longer fits its
/// column, and an entity with records that is no longer declared, are refused.
fn adapt(server: &Server, worker: &Client, schema: &Arc<Schema>) -> Result<Layout, Trouble> {
    let wire = Wire { patience: ADAPT_PATIENCE, ..server.wire(worker) };
    wire.runtime.block_on(migrate(worker))?;
    let begin = format!(
        "BEGIN; SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '{ADAPT_LOCK_TIMEOUT_MS}', true),
         set_config('idle_in_transaction_session_timeout', '0', true), set_config('synchronous_commit', 'on', true)"
    );
    wire.batch(&begin)?;
    let adapted = adapt_in_transaction(server, &wire, schema);
    let adapted = adapted.and_then(|adapted| Ok(wire.batch("COMMIT").map(|()| adapted)?));
    let is_lost = |trouble: &Trouble| matches!(trouble, Trouble::Fault(fault) if fault.severity() == Severity::Lost);
    let (layout, present) = adapted.inspect_err(|trouble| {
        if !is_lost(trouble)
            && let Err(fault) = wire.batch("ROLLBACK")
        {
            tracing::debug!(%fault, "a change of tables could not be rolled back");
        }
    })?;
    indexes::create_concurrently(&wire, schema, &present)?;
    Ok(layout)
}

/// Types by column of the tables that were there, by table.
pub(super) type Present = BTreeMap<String, BTreeMap<String, String>>;

fn adapt_in_transaction(server: &Server, wire: &Wire<'_>, schema: &Arc<Schema>) -> Result<(Layout, Present), Trouble> {
    let sql = "INSERT INTO sync_schema_versions (version, hash, at_ms) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let row = vec![integer(schema.version.into()), text(schema.hash.as_str()), integer(int(server.options.opened_ms))];
    wire.execute(sql, row)?;
    let names: Vec<String> = schema.entities.keys().map(Name::to_string).collect();
    let sql = "INSERT INTO sync_entities (name) SELECT * FROM unnest($1::text[]) ON CONFLICT DO NOTHING";
    wire.execute(sql, vec![texts(names.clone())])?;
    refuse_undeclared(wire, schema)?;
    let present = columns(wire, names)?;
    for entity in schema.entities.values() {
        match present.get(entity.name.as_str()) {
            Some(columns) => add_columns(wire, entity, columns)?,
            None => create_table(wire, entity)?,
        }
    }
    for entity in schema.entities.values().filter(|entity| !present.contains_key(entity.name.as_str())) {
        layout::add_references(entity).try_for_each(|sql| wire.batch(&sql))?;
    }
    let mut tables = BTreeMap::new();
    for entity in schema.entities.values() {
        let numbers = indexes::adapt_keys(wire, entity)?;
        let index_no = |kind: &str, name: &str| numbers.get(&(kind.to_owned(), name.to_owned())).copied().unwrap_or(0);
        tables.insert(entity.name.clone(), Table::new(entity, index_no));
    }
    Ok((Layout { schema: schema.clone(), tables }, present))
}

fn check_names(entity: &Entity) -> StoreResult<()> {
    let name = &entity.name;
    if RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        return Err(refused(format!("an entity must not be called `{name}`: that prefix is taken in the database")));
    }
    if let Some(field) = entity.fields.keys().find(|field| RESERVED_COLUMNS.contains(&field.as_str())) {
        return Err(refused(format!(
            "a field must not be called `{name}.{field}`: every table of PostgreSQL has that column"
        )));
    }
    Ok(())
}

fn refuse_undeclared(wire: &Wire<'_>, schema: &Schema) -> Result<(), Trouble> {
    let names = wire.query("SELECT name FROM sync_entities ORDER BY name", Vec::new())?;
    let names = names.iter().map(|row| at::<String>(row, 0)).collect::<StoreResult<Vec<_>>>()?;
    for name in names.into_iter().filter(|name| schema.entity(name).is_none()) {
        let sql = "SELECT 1 FROM sync_workspaces w WHERE EXISTS (SELECT 1 FROM sync_records r
            WHERE r.workspace_id = w.workspace_id AND r.entity = $1 AND r.state = 0) LIMIT 1";
        if !wire.query(sql, vec![text(name.as_str())])?.is_empty() {
            let text = format!(
                "the schema no longer declares `{name}`, but the database has records of it: declare it, or delete them first"
            );
            return Err(refused(text).into());
        }
    }
    Ok(())
}

fn create_table(wire: &Wire<'_>, entity: &Entity) -> Result<(), Trouble> {
    wire.batch(&layout::create_table(entity))?;
    // The table is empty and nobody else sees it yet.
    for field in entity.fields.values().filter(|field| layout::has_sql_index(field)) {
        let (_, sql) = layout::create_index(entity, field, "");
        wire.batch(&sql)?;
    }
    Ok(())
}

fn add_columns(wire: &Wire<'_>, entity: &Entity, present: &BTreeMap<String, String>) -> Result<(), Trouble> {
    for field in entity.fields.values() {
        let wanted = ColumnKind::of(&field.kind).sql_type();
        match present.get(field.name.as_str()) {
            Some(is) if is == wanted => {}
            Some(is) => {
                let (entity, field) = (&entity.name, &field.name);
                let text = format!(
                    "`{entity}.{field}` is stored as {is}, its new type needs {wanted}: declare a new field instead"
                );
                return Err(refused(text).into());
            }
            None => wire.batch(&layout::add_column(entity, field))?,
        }
    }
    Ok(())
}

/// Types of the columns of those of the tables that are there.
fn columns(wire: &Wire<'_>, tables: Vec<String>) -> Result<Present, Trouble> {
    let sql = "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') AND c.relname = ANY ($1)";
    let mut present = Present::new();
    for row in &wire.query(sql, vec![texts(tables)])? {
        let columns = present.entry(at(row, 0)?).or_default();
        columns.insert(at(row, 1)?, at(row, 2)?);
    }
    Ok(present)
}
