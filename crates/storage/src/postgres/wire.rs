//! Talking to the server: statements without names, as many as wanted in one flight.
//!
//! Statements are never prepared under a name, so that any pooler between us and the server may move a transaction to
//! another connection (PgBouncer's transaction mode). Planning them anew costs tens of microseconds each; a group commit
//! has about a dozen, however many rows it writes.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{MaybeDone, maybe_done};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::error::Fault;
use super::options::PostgresOptions;
use crate::timing::Timed;

/// A value with the type it is sent as.
pub(super) type Param = (Box<dyn ToSql + Sync + Send>, Type);

pub(super) fn text(value: impl Into<String>) -> Param {
    (Box::new(value.into()), Type::TEXT)
}

pub(super) fn integer(value: i64) -> Param {
    (Box::new(value), Type::INT8)
}

pub(super) fn uuid(value: uuid::Uuid) -> Param {
    (Box::new(value), Type::UUID)
}

pub(super) fn texts(values: Vec<String>) -> Param {
    (Box::new(values), Type::TEXT_ARRAY)
}

pub(super) fn optional_texts(values: Vec<Option<String>>) -> Param {
    (Box::new(values), Type::TEXT_ARRAY)
}

pub(super) fn integers(values: Vec<i64>) -> Param {
    (Box::new(values), Type::INT8_ARRAY)
}

pub(super) fn small_integers(values: Vec<i32>) -> Param {
    (Box::new(values), Type::INT4_ARRAY)
}

pub(super) fn booleans(values: Vec<bool>) -> Param {
    (Box::new(values), Type::BOOL_ARRAY)
}

pub(super) fn uuids(values: Vec<uuid::Uuid>) -> Param {
    (Box::new(values), Type::UUID_ARRAY)
}

/// One statement of a flight.
pub(super) enum Request {
    /// Several commands without parameters; no rows come back.
    Batch(String),
    /// Rows come back.
    Query { sql: String, params: Vec<Param> },
    /// The number of rows touched comes back.
    Execute { sql: String, params: Vec<Param> },
}

impl Request {
    pub(super) fn query(sql: impl Into<String>, params: Vec<Param>) -> Self {
        Self::Query { sql: sql.into(), params }
    }

    pub(super) fn execute(sql: impl Into<String>, params: Vec<Param>) -> Self {
        Self::Execute { sql: sql.into(), params }
    }
}

#[derive(Default)]
pub(super) struct Reply {
    pub(super) rows: Vec<Row>,
    /// Rows touched by an [`Request::Execute`].
    pub(super) touched: u64,
}

/// A connection as its one user sees it. Every method blocks the calling thread, which must not be an async worker.
#[derive(Clone, Copy)]
pub(super) struct Wire<'a> {
    pub(super) runtime: &'a tokio::runtime::Handle,
    pub(super) client: &'a Client,
    /// How long an answer may take before the connection counts as lost.
    pub(super) patience: Duration,
    /// Counts the answers that did not come.
    pub(super) silences: &'a AtomicU64,
}

impl Wire<'_> {
    /// The same connection for the beginning of a transaction, whose answer is due sooner.
    pub(super) fn beginning(self, options: &PostgresOptions) -> Self {
        Self { patience: options.begin_patience().min(self.patience), ..self }
    }

    /// Sends all requests at once and waits for all answers: one round trip. They run in order; the first that fails makes the
    /// rest of a transaction fail too, and its error is the one that is returned.
    pub(super) fn flight(&self, requests: &[Request]) -> Result<Vec<Reply>, Fault> {
        let _timed = Timed::start("a round trip", requests.len());
        let answers = in_order(requests.iter().map(|request| perform(self.client, request)).collect());
        let answers = async { tokio::time::timeout(self.patience, answers).await };
        let answers = self.runtime.block_on(answers).map_err(|_| {
            self.silences.fetch_add(1, Ordering::Relaxed);
            Fault::Silent(self.patience)
        })?;
        answers.into_iter().collect()
    }

    pub(super) fn query(&self, sql: &str, params: Vec<Param>) -> Result<Vec<Row>, Fault> {
        Ok(self.one(Request::query(sql, params))?.rows)
    }

    pub(super) fn execute(&self, sql: &str, params: Vec<Param>) -> Result<u64, Fault> {
        Ok(self.one(Request::execute(sql, params))?.touched)
    }

    pub(super) fn batch(&self, sql: &str) -> Result<(), Fault> {
        self.one(Request::Batch(sql.to_owned())).map(drop)
    }

    fn one(&self, request: Request) -> Result<Reply, Fault> {
        Ok(self.flight(&[request])?.pop().unwrap_or_default())
    }
}

async fn perform(client: &Client, request: &Request) -> Result<Reply, Fault> {
    match request {
        Request::Batch(sql) => client.batch_execute(sql).await.map(|()| Reply::default()).map_err(Fault::from),
        Request::Query { sql, params } => {
            let rows = client.query_typed(sql, &borrowed(params)).await?;
            Ok(Reply { rows, touched: 0 })
        }
        Request::Execute { sql, params } => {
            let touched = client.execute_typed(sql, &borrowed(params)).await?;
            Ok(Reply { rows: Vec::new(), touched })
        }
    }
}

fn borrowed(params: &[Param]) -> Vec<(&(dyn ToSql + Sync), Type)> {
    params.iter().map(|(value, kind)| (&**value as &(dyn ToSql + Sync), kind.clone())).collect()
}

/// Waits for all futures, which first run in the order given: the client sends a statement when its future first runs.
async fn in_order<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut slots: Vec<Pin<Box<MaybeDone<F>>>> =
        futures.into_iter().map(|future| Box::pin(maybe_done(future))).collect();
    poll_fn(|context| {
        let waiting =
            slots.iter_mut().filter_map(|slot| slot.as_mut().poll(context).is_pending().then_some(())).count();
        if waiting == 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    slots.iter_mut().filter_map(|slot| slot.as_mut().take_output()).collect()
}
