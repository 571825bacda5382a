//! Rows of the sync tables as what they stand for.

use std::sync::Arc;

use syncline_core::change::LogEntry;
use syncline_core::digest::Digest;
use syncline_core::id::{BackendId, ClientId, DeviceId, RecordId, ScopeId, UserId, WorkspaceId};
use syncline_core::record::Record;
use syncline_core::storage::{ClientState, Head, StoreError, StoreResult, StoredOutcome};
use syncline_core::{Fields, Name};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use uuid::Uuid;

use super::error::{OrDamaged, corrupt};
use super::layout::Table;
use super::values::json;

/// A workspace's row, read first so that everything after it belongs to the same moment.
#[derive(Clone, Debug)]
pub(super) struct Workspace {
    pub(super) id: WorkspaceId,
    pub(super) head: Head,
}

impl Workspace {
    /// `$1` workspace.
    pub(super) const SELECT: &str =
        "SELECT backend_id, epoch, seq, min_seq, chain FROM sync_workspaces WHERE workspace_id = $1";
    /// As above, and nobody else writes to it until the transaction ends.
    pub(super) const LOCK: &str =
        "SELECT backend_id, epoch, seq, min_seq, chain FROM sync_workspaces WHERE workspace_id = $1 FOR UPDATE";

    /// The answer to [`Workspace::SELECT`] or [`Workspace::LOCK`].
    pub(super) fn from_rows(id: &WorkspaceId, rows: &[Row]) -> StoreResult<Self> {
        let Some(row) = rows.first() else { return Err(StoreError::NoWorkspace(id.clone())) };
        let epoch = unsigned(row, 1)?;
        let head = Head {
            backend_id: BackendId(at(row, 0)?),
            epoch: epoch.try_into().map_err(|_| corrupt(format!("epoch {epoch}")))?,
            seq: unsigned(row, 2)?,
            min_seq: unsigned(row, 3)?,
            chain: at(row, 4)?,
        };
        Ok(Self { id: id.clone(), head })
    }
}

pub(super) fn at<'a, T: FromSql<'a>>(row: &'a Row, position: usize) -> StoreResult<T> {
    row.try_get(position).or_damaged()
}

pub(super) fn unsigned(row: &Row, position: usize) -> StoreResult<u64> {
    at::<i64>(row, position).map(i64::unsigned_abs)
}

pub(super) fn record_id(row: &Row, position: usize) -> StoreResult<RecordId> {
    at::<Uuid>(row, position).map(RecordId)
}

pub(super) fn name(row: &Row, position: usize) -> StoreResult<Name> {
    at::<&str>(row, position).map(Name::new)
}

pub(super) fn scope(row: &Row, position: usize) -> StoreResult<ScopeId> {
    ScopeId::try_from(name(row, position)?).map_err(|error| corrupt(error.to_string()))
}

/// `count, sum` from `first` on; the sum is stored as the signed number with the same bits.
pub(super) fn digest(row: &Row, first: usize) -> StoreResult<Digest> {
    Ok(Digest { count: unsigned(row, first)?, sum: at::<i64>(row, first + 1)?.cast_unsigned() })
}

/// A row of [`Table::record_columns`].
pub(super) fn record(table: &Table, row: &Row) -> StoreResult<Record> {
    let id = record_id(row, 0)?;
    let is_deleted = at::<i16>(row, 4)? > 0;
    let fields = match (is_deleted, at::<bool>(row, 7)?) {
        (true, _) => at::<Option<&str>>(row, 6)?.map(json).transpose()?.unwrap_or_default(),
        (false, true) => fields(table, row)?,
        (false, false) => return Err(corrupt(format!("{} {id} is live but has no row in its table", table.entity))),
    };
    Ok(Record {
        entity: table.entity.clone(),
        id,
        rv: unsigned(row, 2)?,
        scope: scope(row, 1)?,
        entered: unsigned(row, 3)?,
        is_deleted,
        fields: Arc::new(fields),
        versions: json(at(row, 5)?)?,
    })
}

fn fields(table: &Table, row: &Row) -> StoreResult<Fields> {
    let mut fields = Fields::new();
    for (index, column) in table.columns.iter().enumerate() {
        let value = column.kind.decode(row, Table::FIELDS_FROM + index);
        let value = value.map_err(|error| corrupt(format!("{}.{}: {error}", table.entity, column.field)))?;
        fields.extend(value.map(|value| (column.field.clone(), value)));
    }
    Ok(fields)
}

pub(super) const CLIENT_COLUMNS: &str = "client_id, user_id, device_id, last_client_seq";

pub(super) fn client(row: &Row) -> StoreResult<ClientState> {
    Ok(ClientState {
        client_id: ClientId(at(row, 0)?),
        user_id: UserId(at(row, 1)?),
        device_id: DeviceId(at(row, 2)?),
        last_client_seq: unsigned(row, 3)?,
    })
}

pub(super) const OUTCOME_COLUMNS: &str = "client_id, user_id, decided_ms, outcome, rejected";

pub(super) fn outcome(row: &Row) -> StoreResult<StoredOutcome> {
    Ok(StoredOutcome {
        client_id: ClientId(at(row, 0)?),
        user_id: UserId(at(row, 1)?),
        decided_ms: unsigned(row, 2)?,
        outcome: json(at(row, 3)?)?,
        rejected: at::<Option<&str>>(row, 4)?.map(json).transpose()?,
    })
}

/// `entry` at `position`.
pub(super) fn log_entry(row: &Row, position: usize) -> StoreResult<LogEntry> {
    json(at(row, position)?)
}
