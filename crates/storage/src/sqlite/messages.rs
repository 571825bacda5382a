//! Messages on SQLite. Writes take turns with the sync writer; a group costs about one fsync.

mod commit;
mod lifecycle;
mod read;

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use syncline_core::TimestampMs;
use syncline_core::id::{DeviceId, MessageId, UserId, WorkspaceId};
use syncline_core::messages::{Message, Origin, Priority, Target};
use syncline_core::storage::StoreResult;
use uuid::Uuid;

use super::connect::Lane;
use super::error::{OrFailed, corrupt};
use super::pool::ReadPool;
use super::rows::{collect, execute};
use super::values::int;
use crate::messages::{KeptMessage, MessageState};

/// The `msg_*` tables. Cheap to clone, usable from any thread; every method blocks. What the methods do is said at
/// [`crate::DatabaseMessages`].
#[derive(Clone)]
pub struct SqliteMessages {
    lane: Arc<Mutex<Lane>>,
    pool: Arc<ReadPool>,
}

impl SqliteMessages {
    pub(super) fn new(lane: Lane, pool: Arc<ReadPool>) -> Self {
        Self { lane: Arc::new(Mutex::new(lane)), pool }
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> StoreResult<T>) -> StoreResult<T> {
        let conn = self.pool.get()?;
        conn.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([])).or_failed()?;
        let _end = super::connect::RollbackUnlessCommitted(&conn);
        read(&conn)
    }

    fn write<T>(&self, write: impl FnOnce(&Connection) -> StoreResult<T>) -> StoreResult<T> {
        self.lane.lock().unwrap_or_else(PoisonError::into_inner).write(write)
    }
}

/// A workspace's row.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Counter {
    head: i64,
    kept: i64,
}

impl Counter {
    fn load(conn: &Connection, workspace: &WorkspaceId) -> StoreResult<Self> {
        let sql = "SELECT head, kept FROM msg_workspaces WHERE workspace_id = ?1";
        let mut statement = conn.prepare_cached(sql).or_failed()?;
        let row = |row: &Row<'_>| Ok(Self { head: row.get(0)?, kept: row.get(1)? });
        let found = statement.query_row([workspace.as_str()], row).optional().or_failed()?;
        Ok(found.unwrap_or(Self { head: 0, kept: 0 }))
    }

    fn save(self, conn: &Connection, workspace: &WorkspaceId) -> StoreResult<()> {
        let sql = "INSERT INTO msg_workspaces (workspace_id, head, kept) VALUES (?1, ?2, ?3)
            ON CONFLICT (workspace_id) DO UPDATE SET head = ?2, kept = ?3";
        execute(conn, sql, params![workspace.as_str(), self.head, self.kept]).map(drop)
    }

    fn next(&mut self) -> i64 {
        self.head += 1;
        self.head
    }

    fn head(self) -> u64 {
        self.head.unsigned_abs()
    }
}

/// The columns that [`kept_at`] reads, of `msg_messages m`.
const MESSAGE: &str = "m.no, m.message_id, m.sender_user_id, m.sender_device_id, m.message_type, m.target, m.priority,
    m.payload, m.sent_ms, m.expires_ms, m.state, m.ended_ms";

fn kept_at(row: &Row<'_>) -> StoreResult<KeptMessage> {
    let target: String = row.get(5).or_failed()?;
    let priority: u8 = row.get(6).or_failed()?;
    let payload: String = row.get(7).or_failed()?;
    let state: i64 = row.get(10).or_failed()?;
    let message = Message {
        id: MessageId(uuid_at(row, 1)?),
        from: Origin { user_id: UserId(uuid_at(row, 2)?), device_id: DeviceId(uuid_at(row, 3)?) },
        message_type: row.get::<_, String>(4).or_failed()?.into(),
        to: target.parse::<Target>().map_err(|error| corrupt(error.to_string()))?,
        priority: Priority::from_rank(priority).ok_or_else(|| corrupt(format!("a message of priority {priority}")))?,
        payload: serde_json::from_str(&payload).map_err(|error| corrupt(format!("a payload is not JSON: {error}")))?,
        sent_ms: ms_at(row, 8)?,
        expires_ms: ms_at(row, 9)?,
    };
    Ok(KeptMessage {
        no: number_at(row, 0)?,
        message,
        state: MessageState::from_number(state).ok_or_else(|| corrupt(format!("a message in state {state}")))?,
        ended_ms: row.get::<_, Option<i64>>(11).or_failed()?.map(i64::unsigned_abs),
    })
}

fn uuid_at(row: &Row<'_>, column: usize) -> StoreResult<Uuid> {
    let bytes = row.get_ref(column).or_failed()?.as_blob().unwrap_or_default();
    Uuid::from_slice(bytes).map_err(|_| corrupt(format!("an id of {} bytes", bytes.len())))
}

fn number_at(row: &Row<'_>, column: usize) -> StoreResult<u64> {
    Ok(row.get::<_, i64>(column).or_failed()?.unsigned_abs())
}

fn ms_at(row: &Row<'_>, column: usize) -> StoreResult<TimestampMs> {
    number_at(row, column)
}

fn optional_ms_at(row: &Row<'_>, column: usize) -> StoreResult<Option<TimestampMs>> {
    Ok(row.get::<_, Option<i64>>(column).or_failed()?.map(i64::unsigned_abs))
}

fn device_at(row: &Row<'_>) -> StoreResult<DeviceId> {
    Ok(DeviceId(uuid_at(row, 0)?))
}
