//! PostgreSQL as either side of a copy, through `COPY`. On a connection of its own, which must not go through a pooler in
//! transaction mode: `COPY` names its statements.

use std::io::Cursor;
use std::pin::pin;

use futures_util::{SinkExt as _, StreamExt as _};
use syncline_core::id::WorkspaceId;
use syncline_core::storage::{StoreError, StoreResult};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, SimpleQueryMessage};

use super::lines::{CHUNK_BYTES, Chunk};
use super::tables::{KV, Table, Tables, quoted};
use super::{Feed, Source, Target, Work, mark};
use crate::postgres::{StartupError, tls};
use crate::sqlite::corrupt;
use crate::url::PostgresUrl;

/// A connection, and the thread that moves its bytes while another reads or writes the other database.
struct Link {
    client: Client,
    runtime: Runtime,
}

impl Link {
    /// The database has been opened before, so an error here is one of the moment.
    fn open(url: &PostgresUrl) -> StoreResult<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("transfer").enable_all().build();
        let runtime = runtime.map_err(|error| StoreError::Unavailable(format!("no thread: {error}")))?;
        let mut config = url.config().map_err(|error| startup(error.into()))?;
        config.ssl_mode(tls::ssl_mode(url.tls)).application_name("syncline migrate-storage");
        let connector = tls::connector(url).map_err(startup)?;
        let (client, connection) = runtime.block_on(config.connect(connector)).map_err(|error| failed(&error))?;
        runtime.spawn(connection);
        Ok(Self { client, runtime })
    }

    fn batch(&self, sql: &str) -> StoreResult<()> {
        self.runtime.block_on(self.client.batch_execute(sql)).map_err(|error| failed(&error))
    }

    /// The first column of the first row.
    fn one(&self, sql: &str) -> StoreResult<String> {
        let messages = self.runtime.block_on(self.client.simple_query(sql)).map_err(|error| failed(&error))?;
        let value = messages.into_iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        value.ok_or_else(|| corrupt("a question was not answered"))
    }

    fn rows(&self, table: &Table, of: Option<&WorkspaceId>) -> StoreResult<u64> {
        let only = table.postgres_where(of.map(WorkspaceId::as_str));
        let count = self.one(&format!("SELECT count(*) FROM {}{only}", quoted(&table.name)))?;
        count.parse().map_err(|_| corrupt(format!("a count of {count}")))
    }
}

fn startup(error: StartupError) -> StoreError {
    StoreError::Database(Box::new(error))
}

fn failed(error: &tokio_postgres::Error) -> StoreError {
    match error.as_db_error() {
        Some(db) => {
            let place = [db.table(), db.constraint()].into_iter().flatten().collect::<Vec<_>>().join(", ");
            StoreError::Unavailable(format!("PostgreSQL says: {} ({}) {place}", db.message(), db.code().code()))
        }
        None => StoreError::Unavailable(format!("the connection to PostgreSQL failed: {error}")),
    }
}

/// Nothing times out while the other side is slow.
const SETTINGS: &str = "SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '10000', true),
    set_config('idle_in_transaction_session_timeout', '0', true), set_config('DateStyle', 'ISO', true),
    set_config('bytea_output', 'hex', true)";

pub(super) struct PostgresSource {
    link: Link,
}

impl PostgresSource {
    /// Everything is read at one moment, and nobody writes until this is dropped.
    pub(super) fn open(url: &PostgresUrl) -> StoreResult<Self> {
        let link = Link::open(url)?;
        link.batch(&format!("BEGIN ISOLATION LEVEL REPEATABLE READ; {SETTINGS}"))?;
        link.batch(
            "LOCK TABLE sync_workspaces, auth_credentials, auth_devices, auth_refresh_tokens, auth_identities, auth_kv
             IN SHARE MODE",
        )?;
        Ok(Self { link })
    }
}

impl Source for PostgresSource {
    fn rows(&mut self, table: &Table, of: Option<&WorkspaceId>) -> StoreResult<u64> {
        self.link.rows(table, of)
    }

    fn read(&mut self, table: &Table, of: Option<&WorkspaceId>, work: Work<'_>) -> StoreResult<u64> {
        let Link { client, runtime } = &self.link;
        let sql = format!("COPY ({}) TO STDOUT", table.postgres_select(of.map(WorkspaceId::as_str)));
        let rows = runtime.block_on(client.copy_out(sql.as_str())).map_err(|error| failed(&error))?;
        let mut rows = pin!(rows);
        let mut is_over = false;
        work(&mut || {
            let mut chunk = Chunk::default();
            // What follows the end is no row.
            while !is_over && chunk.lines.len() < CHUNK_BYTES {
                // The server sends each row as a message of its own.
                let Some(row) = runtime.block_on(rows.next()) else {
                    is_over = true;
                    break;
                };
                chunk.lines.extend_from_slice(&row.map_err(|error| failed(&error))?);
                chunk.rows += 1;
            }
            Ok(Some(chunk).filter(|chunk| chunk.rows > 0))
        })
    }
}

pub(super) struct PostgresTarget {
    link: Link,
    /// Its transaction holds a lock until the copy is over, however that ends.
    claim: Link,
}

/// The advisory lock of whoever copies into a database: "transfer" in ASCII.
const CLAIM: i64 = 0x7472_616e_7366_6572;

impl PostgresTarget {
    pub(super) fn open(url: &PostgresUrl) -> StoreResult<Self> {
        Ok(Self { link: Link::open(url)?, claim: Link::open(url)? })
    }
}

impl Target for PostgresTarget {
    fn claim(&mut self) -> StoreResult<bool> {
        self.claim.batch(&format!("BEGIN; {SETTINGS}"))?;
        Ok(self.claim.one(&format!("SELECT pg_try_advisory_xact_lock({CLAIM})"))? == "t")
    }

    fn clear(&mut self, tables: &Tables) -> StoreResult<()> {
        let names = tables.all().map(|table| table.name.as_str()).filter(|name| *name != KV).chain(tables.derived);
        let names = names.map(quoted).collect::<Vec<_>>().join(", ");
        self.begin()?;
        self.link.batch(&format!("TRUNCATE {names}"))?;
        self.link.batch(&format!("DELETE FROM {KV} WHERE workspace_id <> '' OR key <> '{}'", mark::KEY))?;
        self.commit()
    }

    fn begin(&mut self) -> StoreResult<()> {
        self.link.batch(&format!("BEGIN; {SETTINGS}"))
    }

    fn write(&mut self, table: &Table, feed: Feed<'_>) -> StoreResult<u64> {
        let Link { client, runtime } = &self.link;
        let sql = format!("COPY {} FROM STDIN", table.postgres_target());
        let sink = runtime.block_on(client.copy_in(sql.as_str())).map_err(|error| failed(&error))?;
        let mut sink = pin!(sink);
        while let Some(Chunk { lines, .. }) = feed()? {
            let sent = runtime.block_on(sink.send(Cursor::new(lines)));
            if let Err(error) = sent {
                // The server's reason is in its answer to the whole.
                let answer = runtime.block_on(sink.as_mut().finish());
                return Err(failed(&answer.err().filter(|answer| answer.as_db_error().is_some()).unwrap_or(error)));
            }
        }
        runtime.block_on(sink.finish()).map_err(|error| failed(&error))
    }

    fn commit(&mut self) -> StoreResult<()> {
        self.link.batch("COMMIT")
    }

    fn analyze(&mut self) -> StoreResult<()> {
        self.link.batch("ANALYZE")
    }
}
