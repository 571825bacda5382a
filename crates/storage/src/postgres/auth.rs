//! Identity: the same as on SQLite, in the same database as the data.
//!
//! Writes of one node take turns on one connection. What is decided on what was read (is the e-mail taken, was the token
//! used) is serialised by workspace between nodes too, with an advisory lock that ends with its transaction. A write whose
//! COMMIT was not answered is done again: what it returns may then say that there was nothing left to do, and a wrong password
//! may count twice.

mod analytics;
mod audit;
mod credentials;
mod devices;
mod identities;
mod kv;
mod ops;
mod status;
mod tokens;
mod webhooks;

use std::sync::{Arc, Mutex, PoisonError};

use syncline_core::TimestampMs;
use syncline_core::id::WorkspaceId;
use syncline_core::storage::StoreResult;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

use super::apply::Trouble;
use super::connect::Server;
use super::error::{OrDamaged, corrupt};
use super::lane::Lane;
use super::values::{int, unescaped};
use super::wire::{Param, Request, Wire, text};

/// The `auth_*` tables. Cheap to clone, usable from any thread that may block. A write costs two or three round trips and one
/// fsync.
#[derive(Clone)]
pub struct PostgresAuth {
    server: Arc<Server>,
    lane: Arc<Mutex<Lane>>,
}

/// First key of the advisory locks that make writes about one workspace take turns; the second is a hash of its id.
const TURN: &str = "SELECT pg_advisory_xact_lock(7562851, hashtext($1))";

impl PostgresAuth {
    pub(super) fn new(server: Arc<Server>, lane: Arc<Mutex<Lane>>) -> Self {
        Self { server, lane }
    }

    /// All rows of one statement, each decoded.
    fn all<T>(&self, sql: &str, params: Vec<Param>, decode: impl Fn(&Row) -> StoreResult<T>) -> StoreResult<Vec<T>> {
        let (_transaction, reply) = self.server.begin_read(Request::query(sql, params))?;
        reply.rows.iter().map(decode).collect()
    }

    fn one<T>(&self, sql: &str, params: Vec<Param>, decode: impl Fn(&Row) -> StoreResult<T>) -> StoreResult<Option<T>> {
        Ok(self.all(sql, params, decode)?.pop())
    }

    fn write<T>(&self, work: impl FnMut(&Wire<'_>) -> Result<T, Trouble>) -> StoreResult<T> {
        self.write_after(Vec::new, work)
    }

    /// As [`PostgresAuth::write`], while nobody else writes about the workspace this way.
    fn write_in<T>(
        &self,
        workspace: &WorkspaceId,
        work: impl FnMut(&Wire<'_>) -> Result<T, Trouble>,
    ) -> StoreResult<T> {
        self.write_after(|| vec![Request::query(TURN, vec![text(workspace.as_str())])], work)
    }

    fn write_after<T>(
        &self,
        first: impl Fn() -> Vec<Request>,
        mut work: impl FnMut(&Wire<'_>) -> Result<T, Trouble>,
    ) -> StoreResult<T> {
        let mut lane = self.lane.lock().unwrap_or_else(PoisonError::into_inner);
        lane.write(first, |wire, _| work(wire))
    }

    /// Runs one statement; returns how many rows it touched.
    fn execute(&self, sql: &str, params: impl Fn() -> Vec<Param>) -> StoreResult<usize> {
        self.write(|wire| Ok(usize::try_from(wire.execute(sql, params())?).unwrap_or(usize::MAX)))
    }
}

/// A time for a column; beyond 2^63 it is the end of time.
fn ms(time: TimestampMs) -> Param {
    (Box::new(int(time)), Type::INT8)
}

fn optional_ms(time: Option<TimestampMs>) -> Param {
    (Box::new(time.map(int)), Type::INT8)
}

fn bytes(value: &[u8]) -> Param {
    (Box::new(value.to_vec()), Type::BYTEA)
}

fn get<'a, T: FromSql<'a>>(row: &'a Row, column: &str) -> StoreResult<T> {
    row.try_get(column).or_damaged()
}

fn ms_at(row: &Row, column: &str) -> StoreResult<TimestampMs> {
    get::<i64>(row, column).map(i64::unsigned_abs)
}

fn optional_ms_at(row: &Row, column: &str) -> StoreResult<Option<TimestampMs>> {
    Ok(get::<Option<i64>>(row, column)?.map(i64::unsigned_abs))
}

fn text_at(row: &Row, column: &str) -> StoreResult<String> {
    Ok(unescaped(get(row, column)?).into_owned())
}

fn workspace_at(row: &Row) -> StoreResult<WorkspaceId> {
    WorkspaceId::new(get::<&str>(row, "workspace_id")?).map_err(|error| corrupt(error.to_string()))
}
