//! The limit: plain rusqlite writing, row for row, what the server writes for the same pushes.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use syncline_server::DATABASE_FILE;

use crate::clock;
use crate::place::StoreKind;
use crate::stage;

/// One table's rows in the order they were written, and the statement that writes one.
struct Copied {
    insert: String,
    rows: Vec<Vec<Value>>,
}

/// Contacts per second that a bare loop creates: the same rows in the same tables with the same indexes and durability as
/// the engine writes them, `batch` per transaction. Median of three rounds.
pub fn create_rate(batch: usize, count: usize) -> anyhow::Result<f64> {
    let model = tokio::task::block_in_place(|| {
        tokio::runtime::Handle::current().block_on(async {
            let stage = stage::Stage::start(StoreKind::Sqlite).await?;
            let mut wire = crate::wire::Wire::connect(&stage.url).await?;
            for first in (0..count).step_by(100) {
                let numbers = first..(first + 100).min(count);
                let mutations = numbers.map(|n| stage::mutation(n as u64 + 1, vec![stage::contact(n)])).collect();
                wire.push(mutations).await?;
            }
            anyhow::Ok(stage.stop().await)
        })
    })?;
    let mut rates = Vec::new();
    for _ in 0..3 {
        rates.push(write_again(model.dir.path(), batch, count)?);
    }
    Ok(clock::median(&mut rates))
}

/// Writes the last `count` mutations of the database in `model` into an empty one with the same tables.
fn write_again(model: &std::path::Path, batch: usize, count: usize) -> anyhow::Result<f64> {
    let model = Connection::open(model.join(DATABASE_FILE))?;
    let dir = tempfile::tempdir()?;
    let target = Connection::open(dir.path().join("bare.sqlite"))?;
    target.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF;")?;
    let ddl = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rootpage";
    let statements: Vec<String> = model.prepare(ddl)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for statement in statements {
        target.execute_batch(&statement)?;
    }
    let tables = [
        ("contacts", "contacts", "rowid"),
        ("sync_records", "sync_records", "rv"),
        ("sync_log", "sync_log", "seq"),
        ("sync_outcomes", "sync_outcomes", "client_seq"),
    ];
    let mut copied = Vec::new();
    for (table, from, order) in tables {
        copied.push(copy(&model, table, from, order, count)?);
    }
    let start = clock::now();
    for first in (0..count).step_by(batch) {
        target.execute_batch("BEGIN IMMEDIATE")?;
        for index in first..(first + batch).min(count) {
            for table in &copied {
                target.prepare_cached(&table.insert)?.execute(params_from_iter(&table.rows[index]))?;
            }
        }
        target.execute_batch("COMMIT")?;
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let rate = count as f64 / start.elapsed().as_secs_f64();
    Ok(rate)
}

fn copy(model: &Connection, table: &str, from: &str, order: &str, count: usize) -> anyhow::Result<Copied> {
    let has_rowid = order != "rowid" || model.prepare(&format!("SELECT rowid FROM {from} LIMIT 1")).is_ok();
    let order = if has_rowid { order } else { "id" };
    let sql = format!("SELECT * FROM {from} ORDER BY {order} DESC LIMIT {count}");
    let mut statement = model.prepare(&sql)?;
    let columns: Vec<String> = statement.column_names().map(|name| format!("\"{name}\"")).collect();
    let width = columns.len();
    let mut rows: Vec<Vec<Value>> =
        statement.query_map([], |row| (0..width).map(|index| row.get(index)).collect())?.collect::<Result<_, _>>()?;
    rows.reverse();
    anyhow::ensure!(rows.len() == count, "{table} has {} rows instead of {count}", rows.len());
    let marks = vec!["?"; width].join(", ");
    Ok(Copied { insert: format!("INSERT INTO {table} ({}) VALUES ({marks})", columns.join(", ")), rows })
}
