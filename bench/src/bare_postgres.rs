//! The limit on PostgreSQL: multi-row inserts of the rows that the server writes for the same pushes, into the same tables, one
//! transaction per batch.

use std::sync::Arc;

use futures_util::future::try_join_all;
use syncline_core::schema::Schema;
use syncline_storage::{Database, DatabaseOptions};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};

use crate::clock;
use crate::place::{Place, StoreKind};
use crate::push::{Pair, foreign_contact};
use crate::stage::{self, Stage};
use crate::wire::Wire;

const ROUNDS: usize = 3;

/// What is written for a contact: of each table, which rows belong to the changes after `$1`.
const TABLES: [(&str, &str); 5] = [
    ("contacts", "id IN (SELECT record_id FROM sync_records WHERE rv > $1)"),
    ("sync_records", "rv > $1"),
    ("sync_keys", "record_id IN (SELECT record_id FROM sync_records WHERE rv > $1)"),
    ("sync_log", "seq > $1"),
    ("sync_outcomes", "seq > $1"),
];

/// A column of a batch, as text: the server casts it.
type Column = Vec<Option<String>>;

/// One table's rows, and the statement that writes many of them.
struct Copied {
    insert: String,
    rows: Vec<Column>,
}

/// Contacts per second that `connections` bare loops create together, `batch` per transaction, after fsync. Median of three
/// rounds, each on empty tables.
pub async fn create_rate(connections: usize, batch: usize, count: usize) -> anyhow::Result<f64> {
    let Model { people, tables } = Model::make(count).await?;
    let target = Place::new(StoreKind::Postgres).await?;
    let url = target.url()?;
    // It makes the same tables, with the same indexes and references.
    let schema = Arc::new(Schema::crm());
    tokio::task::block_in_place(|| Database::open(&url, schema, DatabaseOptions::default()).map(drop))?;
    let share = vec![people.columns((0, 1, 1))];
    Loop::prepare(&target, &[people], vec![share]).await?.run().await?;
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let names = TABLES.map(|(table, _)| table).join(", ");
        target.connect().await?.batch_execute(&format!("TRUNCATE {names} CASCADE")).await?;
        let mut loops = Vec::new();
        for connection in 0..connections {
            let mut share = Vec::new();
            for first in (connection * batch..count).step_by(connections * batch) {
                let rows = (first, (first + batch).min(count), count);
                share.push(tables.iter().map(|table| table.columns(rows)).collect::<Vec<_>>());
            }
            loops.push(Loop::prepare(&target, &tables, share).await?);
        }
        let start = clock::now();
        let running: Vec<_> = loops.into_iter().map(|each| tokio::spawn(each.run())).collect();
        for each in running {
            each.await??;
        }
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        rates.push(count as f64 / start.elapsed().as_secs_f64());
    }
    Ok(clock::median(&mut rates))
}

/// The rows that a server writes when contacts are pushed to it.
struct Model {
    /// To whom the contacts refer.
    people: Copied,
    tables: Vec<Copied>,
}

impl Model {
    async fn make(count: usize) -> anyhow::Result<Self> {
        let stage = Stage::start(StoreKind::Postgres).await?;
        let before = Wire::head(&stage.url).await?;
        let pair = Pair::of_demo();
        let mut wire = Wire::connect_as(&stage.url, &pair.pusher).await?;
        for first in (0..count).step_by(100) {
            let numbers = first..(first + 100).min(count);
            let contact = |n| stage::mutation(n as u64 + 1, vec![foreign_contact(n, pair.owner)]);
            wire.push(numbers.map(contact).collect()).await?;
        }
        let place = stage.stop().await;
        let client = place.connect().await?;
        let mut tables = Vec::new();
        for (table, condition) in TABLES {
            tables.push(copy(&client, table, condition, i64::try_from(before)?).await?);
        }
        anyhow::ensure!(tables[0].rows.len() == count, "{} contacts instead of {count}", tables[0].rows.len());
        tables.retain(|table| !table.rows.is_empty());
        Ok(Self { people: copy(&client, "users", "$1::bigint IS NOT NULL", 0).await?, tables })
    }
}

async fn copy(client: &Client, table: &str, condition: &str, after: i64) -> anyhow::Result<Copied> {
    let sql = "SELECT quote_ident(attname), format_type(atttypid, atttypmod) FROM pg_attribute
        WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
    let columns: Vec<(String, String)> =
        client.query(sql, &[&table]).await?.iter().map(|row| (row.get(0), row.get(1))).collect();
    let each = |show: &dyn Fn(usize, &(String, String)) -> String| {
        let parts: Vec<String> = columns.iter().enumerate().map(|(index, column)| show(index, column)).collect();
        parts.join(", ")
    };
    let names = each(&|_, (name, _)| name.clone());
    let casts = each(&|index, (_, kind)| format!("u.c{index}::{kind}"));
    let arrays = each(&|index, _| format!("${}::text[]", index + 1));
    let aliases = each(&|index, _| format!("c{index}"));
    let insert = format!("INSERT INTO {table} ({names}) SELECT {casts} FROM unnest({arrays}) AS u ({aliases})");
    let texts = each(&|_, (name, _)| format!("{name}::text"));
    let rows = client.query(&format!("SELECT {texts} FROM {table} WHERE {condition}"), &[&after]).await?;
    let rows = rows.iter().map(|row| (0..columns.len()).map(|index| row.get(index)).collect()).collect();
    Ok(Copied { insert, rows })
}

impl Copied {
    /// The part of the rows that belongs to the contacts from `first` to `end` of `count`, by column.
    fn columns(&self, (first, end, count): (usize, usize, usize)) -> Vec<Column> {
        let at = |contact: usize| contact * self.rows.len() / count;
        let rows = &self.rows[at(first)..at(end)];
        let width = self.rows.first().map_or(0, Vec::len);
        (0..width).map(|column| rows.iter().map(|row| row[column].clone()).collect()).collect()
    }
}

/// One connection and its batches: of each batch the columns by table.
struct Loop {
    client: Client,
    statements: Vec<Statement>,
    batches: Vec<Vec<Vec<Column>>>,
}

impl Loop {
    async fn prepare(place: &Place, tables: &[Copied], batches: Vec<Vec<Vec<Column>>>) -> anyhow::Result<Self> {
        let client = place.connect().await?;
        let statements = try_join_all(tables.iter().map(|table| client.prepare(&table.insert))).await?;
        Ok(Self { client, statements, batches })
    }

    /// Each transaction goes out in one piece, its COMMIT too.
    async fn run(self) -> anyhow::Result<()> {
        for batch in &self.batches {
            let params: Vec<Vec<&(dyn ToSql + Sync)>> =
                batch.iter().map(|table| table.iter().map(|column| column as &(dyn ToSql + Sync)).collect()).collect();
            let inserts = self.statements.iter().zip(&params).map(|(sql, params)| self.client.execute(sql, params));
            let (begun, done, committed) = tokio::join!(
                biased;
                self.client.batch_execute("BEGIN"),
                try_join_all(inserts),
                self.client.batch_execute("COMMIT"),
            );
            begun?;
            done?;
            committed?;
        }
        Ok(())
    }
}
