use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use syncline_core::TimestampMs;
use syncline_core::id::{DeviceId, UserId, WorkspaceId};
use syncline_core::storage::StoreResult;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{PostgresAuth, get, ms, ms_at, workspace_at};
use crate::analytics::{
    AnalyticsBatch, CallCounts, ConnectionRow, ConnectionsPage, Day, DeviceCounts, UsageBy, UsageKey, UsagePage,
    UsageRow, day_of, kept_operation,
};
use crate::postgres::apply::Trouble;
use crate::postgres::error::corrupt;
use crate::postgres::values::int;
use crate::postgres::wire::{Param, Wire, integer, integers, text, texts, uuid, uuids};
use crate::sqlite::{mode_from_text, mode_to_text};

/// Rows of one statement.
const ROWS_PER_STATEMENT: usize = 1_000;

impl PostgresAuth {
    /// Adds what has been counted to what is stored, all or nothing. A connection that is there already stays.
    pub fn add_analytics(&self, batch: &AnalyticsBatch) -> StoreResult<()> {
        self.write(|wire| {
            for rows in batch.connections.chunks(ROWS_PER_STATEMENT) {
                wire.execute(PUT_CONNECTIONS, connection_params(rows))?;
            }
            // In one order everywhere, so that two nodes never wait for each other.
            let devices: Vec<_> = batch.devices.iter().collect();
            for rows in devices.chunks(ROWS_PER_STATEMENT) {
                wire.execute(ADD_DEVICES, device_params(rows))?;
            }
            add_calls(wire, &batch.calls)
        })
    }

    /// A page of a workspace's connections that have ended, last closed first.
    pub fn connections_page(&self, workspace: &WorkspaceId, page: &ConnectionsPage) -> StoreResult<Vec<ConnectionRow>> {
        let user = if page.user_id.is_some() { "AND user_id = $2" } else { "" };
        let device = if page.device_id.is_some() { "AND device_id = $3" } else { "" };
        let sql = format!(
            "SELECT * FROM analytics_connections WHERE workspace_id = $1 {user} {device}
             AND (closed_ms, connection_id) < ($4, $5) ORDER BY closed_ms DESC, connection_id DESC LIMIT $6"
        );
        let (closed_ms, id) = page.after.unwrap_or((u64::MAX, Uuid::max()));
        let params = vec![
            text(workspace.as_str()),
            uuid(page.user_id.unwrap_or(UserId::NIL).0),
            uuid(page.device_id.unwrap_or(DeviceId::NIL).0),
            ms(closed_ms),
            uuid(id),
            integer(i64::try_from(page.limit).unwrap_or(i64::MAX)),
        ];
        self.all(&sql, params, connection_at)
    }

    /// A page of sums over the days from one on, in the order of their keys.
    pub fn usage_page(&self, workspace: &WorkspaceId, page: &UsagePage) -> StoreResult<Vec<UsageRow>> {
        let user = if page.user_id.is_some() { "AND user_id = $3" } else { "" };
        let device = if page.device_id.is_some() { "AND device_id = $4" } else { "" };
        let after = page.after.filter(|after| after.by() == page.by);
        let column = match page.by {
            UsageBy::Day => "day",
            UsageBy::User => "user_id",
            UsageBy::Device => "device_id",
        };
        let further = if after.is_some() { format!("AND {column} > $5") } else { String::new() };
        let sql = format!(
            "SELECT {column} AS key, count(DISTINCT user_id) AS users, count(DISTINCT device_id) AS devices,
             sum(connections)::bigint AS connections, sum(connected_ms)::bigint AS connected_ms,
             sum(bytes_in)::bigint AS bytes_in, sum(bytes_out)::bigint AS bytes_out,
             sum(mutations)::bigint AS mutations, sum(sync_ok)::bigint AS sync_ok,
             sum(sync_failed)::bigint AS sync_failed
             FROM analytics_devices WHERE workspace_id = $1 AND day >= $2 {user} {device} {further}
             GROUP BY {column} ORDER BY {column} LIMIT $6"
        );
        let params = vec![
            text(workspace.as_str()),
            integer(int(page.from_day)),
            uuid(page.user_id.unwrap_or(UserId::NIL).0),
            uuid(page.device_id.unwrap_or(DeviceId::NIL).0),
            match after {
                Some(UsageKey::User(id)) => uuid(id.0),
                Some(UsageKey::Device(id)) => uuid(id.0),
                Some(UsageKey::Day(day)) => integer(int(day)),
                None => integer(0),
            },
            integer(i64::try_from(page.limit).unwrap_or(i64::MAX)),
        ];
        self.all(&sql, params, |row| usage_at(row, page.by))
    }

    /// How long calls took over the days from one on, by operation.
    pub fn call_counts(&self, workspace: &WorkspaceId, from_day: Day) -> StoreResult<BTreeMap<String, CallCounts>> {
        let sql = "SELECT * FROM analytics_calls WHERE workspace_id = $1 AND day >= $2";
        let params = vec![text(workspace.as_str()), integer(int(from_day))];
        let mut sums: BTreeMap<String, CallCounts> = BTreeMap::new();
        for (operation, counts) in self.all(sql, params, calls_at)? {
            sums.entry(operation).or_default().add(&counts);
        }
        Ok(sums)
    }

    /// Forgets sums of days before that of `before`, and connections closed before it, of which at most `rows_max`; returns
    /// how many connections.
    pub fn prune_analytics(&self, workspace: &WorkspaceId, before: TimestampMs, rows_max: usize) -> StoreResult<usize> {
        let limit = i64::try_from(rows_max).unwrap_or(i64::MAX);
        self.write(|wire| {
            for table in ["analytics_devices", "analytics_calls"] {
                let sql = format!("DELETE FROM {table} WHERE workspace_id = $1 AND day < $2");
                wire.execute(&sql, vec![text(workspace.as_str()), integer(int(day_of(before)))])?;
            }
            let sql = "DELETE FROM analytics_connections WHERE workspace_id = $1 AND connection_id IN
                (SELECT connection_id FROM analytics_connections WHERE workspace_id = $1 AND closed_ms < $2
                 ORDER BY closed_ms LIMIT $3)";
            let deleted = wire.execute(sql, vec![text(workspace.as_str()), ms(before), integer(limit)])?;
            Ok(usize::try_from(deleted).unwrap_or(usize::MAX))
        })
    }
}

const PUT_CONNECTIONS: &str = "INSERT INTO analytics_connections (workspace_id, connection_id, user_id, device_id,
    deployment_mode, transport, reason, opened_ms, closed_ms, close_code, bytes_in, bytes_out, frames_in, mutations)
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[],
        $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[])
    ON CONFLICT DO NOTHING";

fn connection_params(rows: &[ConnectionRow]) -> Vec<Param> {
    let all_texts = |of: fn(&ConnectionRow) -> &str| texts(rows.iter().map(|row| of(row).to_owned()).collect());
    let ids = |of: fn(&ConnectionRow) -> Uuid| uuids(rows.iter().map(of).collect());
    let numbers = |of: fn(&ConnectionRow) -> u64| integers(rows.iter().map(|row| int(of(row))).collect());
    vec![
        all_texts(|row| row.workspace_id.as_str()),
        ids(|row| row.connection_id),
        ids(|row| row.user_id.0),
        ids(|row| row.device_id.0),
        all_texts(|row| mode_to_text(row.deployment_mode)),
        all_texts(|row| &row.transport),
        all_texts(|row| &row.reason),
        numbers(|row| row.opened_ms),
        numbers(|row| row.closed_ms),
        numbers(|row| row.close_code.into()),
        numbers(|row| row.bytes_in),
        numbers(|row| row.bytes_out),
        numbers(|row| row.frames_in),
        numbers(|row| row.mutations),
    ]
}

const ADD_DEVICES: &str = "INSERT INTO analytics_devices AS d (workspace_id, day, device_id, user_id, connections,
    connected_ms, bytes_in, bytes_out, mutations, sync_ok, sync_failed)
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::uuid[], $4::uuid[], $5::bigint[], $6::bigint[], $7::bigint[],
        $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[])
    ON CONFLICT (workspace_id, day, device_id) DO UPDATE SET user_id = excluded.user_id,
    connections = d.connections + excluded.connections, connected_ms = d.connected_ms + excluded.connected_ms,
    bytes_in = d.bytes_in + excluded.bytes_in, bytes_out = d.bytes_out + excluded.bytes_out,
    mutations = d.mutations + excluded.mutations, sync_ok = d.sync_ok + excluded.sync_ok,
    sync_failed = d.sync_failed + excluded.sync_failed";

type DeviceRow<'a> = (&'a (WorkspaceId, Day, DeviceId), &'a (UserId, DeviceCounts));

fn device_params(rows: &[DeviceRow<'_>]) -> Vec<Param> {
    let numbers =
        |of: fn(&DeviceCounts) -> u64| integers(rows.iter().map(|(_, (_, counts))| int(of(counts))).collect());
    vec![
        texts(rows.iter().map(|((workspace, _, _), _)| workspace.as_str().to_owned()).collect()),
        integers(rows.iter().map(|((_, day, _), _)| int(*day)).collect()),
        uuids(rows.iter().map(|((_, _, device), _)| device.0).collect()),
        uuids(rows.iter().map(|(_, (user, _))| user.0).collect()),
        numbers(|counts| counts.connections),
        numbers(|counts| counts.connected_ms),
        numbers(|counts| counts.bytes_in),
        numbers(|counts| counts.bytes_out),
        numbers(|counts| counts.mutations),
        numbers(|counts| counts.sync_ok),
        numbers(|counts| counts.sync_failed),
    ]
}

/// Adds bucket by bucket where the row is, so that two nodes that add at a time both count.
const ADD_CALLS: &str =
    "INSERT INTO analytics_calls AS c (workspace_id, day, operation, calls, failures, total_ms, buckets)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (workspace_id, day, operation) DO UPDATE SET calls = c.calls + excluded.calls,
    failures = c.failures + excluded.failures, total_ms = c.total_ms + excluded.total_ms,
    buckets = (SELECT json_agg(coalesce(a.n::bigint, 0) + coalesce(b.n::bigint, 0) ORDER BY i)::text
        FROM json_array_elements_text(c.buckets::json) WITH ORDINALITY AS a (n, i)
        FULL JOIN json_array_elements_text(excluded.buckets::json) WITH ORDINALITY AS b (n, i) USING (i))";

fn add_calls(wire: &Wire<'_>, calls: &BTreeMap<(WorkspaceId, Day, String), CallCounts>) -> Result<(), Trouble> {
    let mut known: BTreeMap<(&WorkspaceId, Day), BTreeSet<String>> = BTreeMap::new();
    // What falls together under one name is one row of the statement.
    let mut kept: BTreeMap<(&WorkspaceId, Day, &str), CallCounts> = BTreeMap::new();
    for ((workspace, day, operation), counts) in calls {
        let known = match known.entry((workspace, *day)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unread) => {
                let sql = "SELECT operation FROM analytics_calls
                    WHERE workspace_id = $1 AND day = $2 AND NOT starts_with(operation, 'sync/')";
                let rows = wire.query(sql, vec![text(workspace.as_str()), integer(int(*day))])?;
                unread.insert(rows.iter().map(|row| get(row, "operation")).collect::<StoreResult<_>>()?)
            }
        };
        let operation = kept_operation(known, operation);
        kept.entry((workspace, *day, operation)).or_default().add(counts);
    }
    for ((workspace, day, operation), counts) in kept {
        let row = vec![
            text(workspace.as_str()),
            integer(int(day)),
            text(operation),
            integer(int(counts.calls)),
            integer(int(counts.failures)),
            integer(int(counts.total_ms)),
            text(counts.buckets_to_text()),
        ];
        wire.execute(ADD_CALLS, row)?;
    }
    Ok(())
}

fn connection_at(row: &Row) -> StoreResult<ConnectionRow> {
    let code = ms_at(row, "close_code")?;
    Ok(ConnectionRow {
        workspace_id: workspace_at(row)?,
        connection_id: get(row, "connection_id")?,
        user_id: UserId(get(row, "user_id")?),
        device_id: DeviceId(get(row, "device_id")?),
        deployment_mode: mode_from_text(get(row, "deployment_mode")?)?,
        transport: get(row, "transport")?,
        opened_ms: ms_at(row, "opened_ms")?,
        closed_ms: ms_at(row, "closed_ms")?,
        close_code: code.try_into().map_err(|_| corrupt(format!("{code} is no close code")))?,
        reason: get(row, "reason")?,
        bytes_in: ms_at(row, "bytes_in")?,
        bytes_out: ms_at(row, "bytes_out")?,
        frames_in: ms_at(row, "frames_in")?,
        mutations: ms_at(row, "mutations")?,
    })
}

fn usage_at(row: &Row, by: UsageBy) -> StoreResult<UsageRow> {
    Ok(UsageRow {
        key: match by {
            UsageBy::Day => UsageKey::Day(ms_at(row, "key")?),
            UsageBy::User => UsageKey::User(UserId(get(row, "key")?)),
            UsageBy::Device => UsageKey::Device(DeviceId(get(row, "key")?)),
        },
        users: ms_at(row, "users")?,
        devices: ms_at(row, "devices")?,
        counts: DeviceCounts {
            connections: ms_at(row, "connections")?,
            connected_ms: ms_at(row, "connected_ms")?,
            bytes_in: ms_at(row, "bytes_in")?,
            bytes_out: ms_at(row, "bytes_out")?,
            mutations: ms_at(row, "mutations")?,
            sync_ok: ms_at(row, "sync_ok")?,
            sync_failed: ms_at(row, "sync_failed")?,
        },
    })
}

fn calls_at(row: &Row) -> StoreResult<(String, CallCounts)> {
    let counts = CallCounts {
        calls: ms_at(row, "calls")?,
        failures: ms_at(row, "failures")?,
        total_ms: ms_at(row, "total_ms")?,
        buckets: CallCounts::buckets_from_text(get(row, "buckets")?)?,
    };
    Ok((get(row, "operation")?, counts))
}
