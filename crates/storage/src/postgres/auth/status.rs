use std::collections::BTreeMap;

use syncline_core::TimestampMs;
use syncline_core::id::{ClientId, DeviceId, WorkspaceId};
use syncline_core::storage::StoreResult;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::{PostgresAuth, get, ms, ms_at, optional_ms_at, workspace_at};
use crate::postgres::error::corrupt;
use crate::postgres::values::int;
use crate::postgres::wire::{Param, integer, integers, text, texts, uuids};
use crate::sqlite::{Backlog, BacklogQuery, ClientStatus};

impl PostgresAuth {
    /// The clients whose oldest waiting mutation is older than asked for, at most `limit`.
    pub fn stuck_clients(&self, query: &BacklogQuery, limit: usize) -> StoreResult<Vec<ClientStatus>> {
        let sql = "SELECT * FROM auth_client_status
            WHERE reported_ms >= $1 AND pending_count > 0 AND oldest_pending_ms + $2 - reported_ms >= $3
            ORDER BY workspace_id, client_id LIMIT $4";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let params = vec![ms(query.since_ms), ms(query.now_ms), ms(query.stuck_ms), integer(limit)];
        self.all(sql, params, status_at)
    }

    /// The clients' reports summed up by workspace, in order.
    pub fn client_backlogs(&self, query: &BacklogQuery) -> StoreResult<Vec<Backlog>> {
        let sql = "SELECT workspace_id, count(*) AS clients, min(cursor) AS cursor_min,
            sum(pending_count)::bigint AS pending,
            coalesce(max(oldest_pending_ms + $2 - reported_ms), 0) AS oldest_ms,
            count(*) FILTER (WHERE oldest_pending_ms + $2 - reported_ms >= $3) AS stuck
            FROM auth_client_status WHERE reported_ms >= $1 GROUP BY workspace_id ORDER BY workspace_id";
        self.all(sql, vec![ms(query.since_ms), ms(query.now_ms), ms(query.stuck_ms)], backlog_at)
    }

    /// Inserts or replaces by client; an older report than the stored one is ignored. Collect them and call it now and
    /// then, not per frame.
    pub fn put_client_status(&self, reports: &[ClientStatus]) -> StoreResult<()> {
        let sql = "INSERT INTO auth_client_status AS s
            (workspace_id, client_id, device_id, epoch, cursor, pending_count, oldest_pending_ms, reported_ms)
            SELECT * FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[], $6::bigint[],
                $7::bigint[], $8::bigint[])
            ON CONFLICT (workspace_id, client_id) DO UPDATE SET device_id = excluded.device_id, epoch = excluded.epoch,
            cursor = excluded.cursor, pending_count = excluded.pending_count,
            oldest_pending_ms = excluded.oldest_pending_ms, reported_ms = excluded.reported_ms
            WHERE s.reported_ms <= excluded.reported_ms";
        // One row per client, its latest report, in one order everywhere.
        let mut latest: BTreeMap<_, &ClientStatus> = BTreeMap::new();
        for report in reports {
            let known = latest.entry((&report.workspace_id, report.client_id)).or_insert(report);
            if known.reported_ms <= report.reported_ms {
                *known = report;
            }
        }
        let params = || -> Vec<Param> {
            let all = || latest.values().copied();
            let number = |number: fn(&ClientStatus) -> u64| integers(all().map(|report| int(number(report))).collect());
            let oldest: Vec<Option<i64>> = all().map(|report| report.oldest_pending_ms.map(int)).collect();
            vec![
                texts(all().map(|report| report.workspace_id.as_str().to_owned()).collect()),
                uuids(all().map(|report| report.client_id.0).collect()),
                uuids(all().map(|report| report.device_id.0).collect()),
                number(|report| report.epoch.into()),
                number(|report| report.cursor),
                number(|report| report.pending_count),
                (Box::new(oldest), Type::INT8_ARRAY),
                number(|report| report.reported_ms),
            ]
        };
        self.execute(sql, params).map(drop)
    }

    /// Every client's last report in client order.
    pub fn list_client_status(&self, workspace: &WorkspaceId) -> StoreResult<Vec<ClientStatus>> {
        let sql = "SELECT * FROM auth_client_status WHERE workspace_id = $1 ORDER BY client_id";
        self.all(sql, vec![text(workspace.as_str())], status_at)
    }

    /// A page of them: those behind a client, at most `limit`.
    pub fn page_client_status(
        &self,
        workspace: &WorkspaceId,
        after: Option<ClientId>,
        limit: usize,
    ) -> StoreResult<Vec<ClientStatus>> {
        let sql = "SELECT * FROM auth_client_status
            WHERE workspace_id = $1 AND ($2::uuid IS NULL OR client_id > $2::uuid) ORDER BY client_id LIMIT $3";
        let after: Param = (Box::new(after.map(|client| client.0)), Type::UUID);
        self.all(sql, vec![text(workspace.as_str()), after, integer(int(limit as u64))], status_at)
    }

    /// Forgets clients that have not reported since `before`; returns how many.
    pub fn purge_client_status(&self, workspace: &WorkspaceId, before: TimestampMs) -> StoreResult<usize> {
        let sql = "DELETE FROM auth_client_status WHERE workspace_id = $1 AND reported_ms < $2";
        self.execute(sql, || vec![text(workspace.as_str()), ms(before)])
    }
}

fn status_at(row: &Row) -> StoreResult<ClientStatus> {
    let epoch = ms_at(row, "epoch")?;
    Ok(ClientStatus {
        workspace_id: workspace_at(row)?,
        client_id: ClientId(get(row, "client_id")?),
        device_id: DeviceId(get(row, "device_id")?),
        epoch: epoch.try_into().map_err(|_| corrupt(format!("epoch {epoch}")))?,
        cursor: ms_at(row, "cursor")?,
        pending_count: ms_at(row, "pending_count")?,
        oldest_pending_ms: optional_ms_at(row, "oldest_pending_ms")?,
        reported_ms: ms_at(row, "reported_ms")?,
    })
}

fn backlog_at(row: &Row) -> StoreResult<Backlog> {
    Ok(Backlog {
        workspace_id: workspace_at(row)?,
        clients: ms_at(row, "clients")?,
        cursor_min: ms_at(row, "cursor_min")?,
        pending: ms_at(row, "pending")?,
        oldest_ms: ms_at(row, "oldest_ms")?,
        stuck: ms_at(row, "stuck")?,
    })
}
