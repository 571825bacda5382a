//! Messages on PostgreSQL. A group is three round trips and one fsync, however many messages it has.

mod commit;
mod lifecycle;
mod read;

use std::sync::{Arc, Mutex, PoisonError};

use syncline_core::TimestampMs;
use syncline_core::id::{DeviceId, MessageId, UserId, WorkspaceId};
use syncline_core::messages::{Message, Origin, Priority, Target};
use syncline_core::storage::StoreResult;
use tokio_postgres::Row;
use uuid::Uuid;

use super::apply::Trouble;
use super::connect::Server;
use super::error::{OrDamaged, corrupt};
use super::lane::Lane;
use super::rows::{at, unsigned};
use super::values::int;
use super::wire::{Param, Reply, Request, Wire, integer, text};
use crate::messages::{KeptMessage, MessageState};

/// The `msg_*` tables. Cheap to clone, usable from any thread that may block. What the methods do is said at
/// [`crate::DatabaseMessages`]. Writes of one node take turns on one connection; between nodes the workspace's row is locked
/// first.
#[derive(Clone)]
pub struct PostgresMessages {
    server: Arc<Server>,
    lane: Arc<Mutex<Lane>>,
}

impl PostgresMessages {
    pub(super) fn new(server: Arc<Server>) -> Self {
        let lane = Arc::new(Mutex::new(Lane::new(server.clone())));
        Self { server, lane }
    }

    /// All rows of one statement, each decoded.
    fn all<T>(&self, sql: &str, params: Vec<Param>, decode: impl Fn(&Row) -> StoreResult<T>) -> StoreResult<Vec<T>> {
        let (_transaction, reply) = self.server.begin_read(Request::query(sql, params))?;
        reply.rows.iter().map(decode).collect()
    }

    /// One transaction that holds the workspace's row; `more` goes out with the lock, and its replies come with the row.
    fn write_in<T>(
        &self,
        workspace: &WorkspaceId,
        more: impl Fn() -> Vec<Request>,
        mut work: impl FnMut(&Wire<'_>, Counter, &[Reply]) -> Result<T, Trouble>,
    ) -> StoreResult<T> {
        let first = || {
            let make = "INSERT INTO msg_workspaces (workspace_id, head, kept) VALUES ($1, 0, 0) ON CONFLICT DO NOTHING";
            let lock = "SELECT head, kept FROM msg_workspaces WHERE workspace_id = $1 FOR UPDATE";
            let key = || vec![text(workspace.as_str())];
            let own = [Request::execute(make, key()), Request::query(lock, key())];
            own.into_iter().chain(more()).collect()
        };
        let mut lane = self.lane.lock().unwrap_or_else(PoisonError::into_inner);
        lane.write(first, |wire, replies| {
            let row = replies[1].rows.first().ok_or_else(|| corrupt("a workspace's message row is missing"))?;
            work(wire, Counter { head: at(row, 0)?, kept: at(row, 1)? }, &replies[2..])
        })
    }
}

/// A workspace's row.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Counter {
    head: i64,
    kept: i64,
}

impl Counter {
    fn save(self, workspace: &WorkspaceId) -> Request {
        let sql = "UPDATE msg_workspaces SET head = $2, kept = $3 WHERE workspace_id = $1";
        Request::execute(sql, vec![text(workspace.as_str()), integer(self.head), integer(self.kept)])
    }

    fn head(self) -> u64 {
        self.head.unsigned_abs()
    }
}

/// The columns that [`kept_at`] reads, of `msg_messages m`.
const MESSAGE: &str = "m.no, m.message_id, m.sender_user_id, m.sender_device_id, m.message_type, m.target, m.priority,
    m.payload, m.sent_ms, m.expires_ms, m.state, m.ended_ms";

fn kept_at(row: &Row) -> StoreResult<KeptMessage> {
    let target: &str = at(row, 5)?;
    let priority: i64 = at(row, 6)?;
    let payload: &str = at(row, 7)?;
    let state: i64 = at(row, 10)?;
    let rank = u8::try_from(priority).ok().and_then(Priority::from_rank);
    let message = Message {
        id: MessageId(at(row, 1)?),
        from: Origin { user_id: UserId(at(row, 2)?), device_id: DeviceId(at(row, 3)?) },
        message_type: at::<&str>(row, 4)?.into(),
        to: target.parse::<Target>().map_err(|error| corrupt(error.to_string()))?,
        priority: rank.ok_or_else(|| corrupt(format!("a message of priority {priority}")))?,
        payload: serde_json::from_str(payload).map_err(|error| corrupt(format!("a payload is not JSON: {error}")))?,
        sent_ms: unsigned(row, 8)?,
        expires_ms: unsigned(row, 9)?,
    };
    Ok(KeptMessage {
        no: unsigned(row, 0)?,
        message,
        state: MessageState::from_number(state).ok_or_else(|| corrupt(format!("a message in state {state}")))?,
        ended_ms: optional_ms_at(row, 11)?,
    })
}

fn optional_ms_at(row: &Row, column: usize) -> StoreResult<Option<TimestampMs>> {
    Ok(row.try_get::<_, Option<i64>>(column).or_damaged()?.map(i64::unsigned_abs))
}

fn device_at(row: &Row) -> StoreResult<DeviceId> {
    Ok(DeviceId(at::<Uuid>(row, 0)?))
}

fn ms(time: TimestampMs) -> Param {
    integer(int(time))
}

fn count(max: usize) -> Param {
    integer(i64::try_from(max).unwrap_or(i64::MAX))
}
