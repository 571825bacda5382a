use std::collections::{BTreeMap, BTreeSet};

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params};
use syncline_core::TimestampMs;
use syncline_core::id::WorkspaceId;
use syncline_core::storage::StoreResult;
use uuid::Uuid;

use super::{AuthStore, collect, execute, id_at, mode_from_text, mode_to_text, ms, ms_at, workspace_at};
use crate::analytics::{
    AnalyticsBatch, CallCounts, ConnectionRow, ConnectionsPage, Day, DeviceCounts, UsageBy, UsageKey, UsagePage,
    UsageRow, day_of, kept_operation,
};
use crate::sqlite::error::{OrFailed, corrupt};

impl AuthStore {
    /// Adds what has been counted to what is stored, all or nothing. A connection that is there already stays.
    pub fn add_analytics(&self, batch: &AnalyticsBatch) -> StoreResult<()> {
        self.write(|conn| {
            batch.connections.iter().try_for_each(|row| put_connection(conn, row))?;
            for ((workspace, day, device), (user, counts)) in &batch.devices {
                let key = params![
                    workspace.as_str(),
                    ms(*day),
                    device.to_string(),
                    user.to_string(),
                    ms(counts.connections),
                    ms(counts.connected_ms),
                    ms(counts.bytes_in),
                    ms(counts.bytes_out),
                    ms(counts.mutations),
                    ms(counts.sync_ok),
                    ms(counts.sync_failed),
                ];
                execute(conn, ADD_DEVICE, key)?;
            }
            let mut known: BTreeMap<(&WorkspaceId, Day), BTreeSet<String>> = BTreeMap::new();
            for ((workspace, day, operation), counts) in &batch.calls {
                let known = match known.entry((workspace, *day)) {
                    std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
                    std::collections::btree_map::Entry::Vacant(place) => {
                        place.insert(operations(conn, workspace, *day)?)
                    }
                };
                add_calls(conn, (workspace, *day, kept_operation(known, operation)), counts)?;
            }
            Ok(())
        })
    }

    /// A page of a workspace's connections that have ended, last closed first.
    pub fn connections_page(&self, workspace: &WorkspaceId, page: &ConnectionsPage) -> StoreResult<Vec<ConnectionRow>> {
        let user = if page.user_id.is_some() { "AND user_id = ?2" } else { "" };
        let device = if page.device_id.is_some() { "AND device_id = ?3" } else { "" };
        let sql = format!(
            "SELECT * FROM analytics_connections WHERE workspace_id = ?1 {user} {device}
             AND (closed_ms, connection_id) < (?4, ?5) ORDER BY closed_ms DESC, connection_id DESC LIMIT ?6"
        );
        let (closed, id) = page.after.map_or((i64::MAX, Uuid::max()), |(closed_ms, id)| (ms(closed_ms), id));
        let key = params![
            workspace.as_str(),
            page.user_id.map(|id| id.to_string()),
            page.device_id.map(|id| id.to_string()),
            closed,
            id.to_string(),
            i64::try_from(page.limit).unwrap_or(i64::MAX),
        ];
        self.read(|conn| collect(conn, &sql, key, connection_at))
    }

    /// A page of sums over the days from one on, in the order of their keys.
    pub fn usage_page(&self, workspace: &WorkspaceId, page: &UsagePage) -> StoreResult<Vec<UsageRow>> {
        let user = if page.user_id.is_some() { "AND user_id = ?3" } else { "" };
        let device = if page.device_id.is_some() { "AND device_id = ?4" } else { "" };
        let after = page.after.filter(|after| after.by() == page.by);
        let column = match page.by {
            UsageBy::Day => "day",
            UsageBy::User => "user_id",
            UsageBy::Device => "device_id",
        };
        let further = if after.is_some() { format!("AND {column} > ?5") } else { String::new() };
        let sql = format!(
            "SELECT {column} AS key, count(DISTINCT user_id) AS users, count(DISTINCT device_id) AS devices,
             sum(connections) AS connections, sum(connected_ms) AS connected_ms, sum(bytes_in) AS bytes_in,
             sum(bytes_out) AS bytes_out, sum(mutations) AS mutations, sum(sync_ok) AS sync_ok,
             sum(sync_failed) AS sync_failed
             FROM analytics_devices WHERE workspace_id = ?1 AND day >= ?2 {user} {device} {further}
             GROUP BY {column} ORDER BY {column} LIMIT ?6"
        );
        let after = after.map(|after| match after {
            UsageKey::Day(day) => Value::Integer(ms(day)),
            UsageKey::User(id) => Value::Text(id.to_string()),
            UsageKey::Device(id) => Value::Text(id.to_string()),
        });
        let key = params![
            workspace.as_str(),
            ms(page.from_day),
            page.user_id.map(|id| id.to_string()),
            page.device_id.map(|id| id.to_string()),
            after,
            i64::try_from(page.limit).unwrap_or(i64::MAX),
        ];
        self.read(|conn| collect(conn, &sql, key, |row| usage_at(row, page.by)))
    }

    /// How long calls took over the days from one on, by operation.
    pub fn call_counts(&self, workspace: &WorkspaceId, from_day: Day) -> StoreResult<BTreeMap<String, CallCounts>> {
        let sql = "SELECT * FROM analytics_calls WHERE workspace_id = ?1 AND day >= ?2";
        let key = params![workspace.as_str(), ms(from_day)];
        let mut sums: BTreeMap<String, CallCounts> = BTreeMap::new();
        for (operation, counts) in self.read(|conn| collect(conn, sql, key, calls_at))? {
            sums.entry(operation).or_default().add(&counts);
        }
        Ok(sums)
    }

    /// Forgets sums of days before that of `before`, and connections closed before it, of which at most `rows_max`; returns
    /// how many connections.
    pub fn prune_analytics(&self, workspace: &WorkspaceId, before: TimestampMs, rows_max: usize) -> StoreResult<usize> {
        let limit = i64::try_from(rows_max).unwrap_or(i64::MAX);
        self.write(|conn| {
            for table in ["analytics_devices", "analytics_calls"] {
                let sql = format!("DELETE FROM {table} WHERE workspace_id = ?1 AND day < ?2");
                execute(conn, &sql, params![workspace.as_str(), ms(day_of(before))])?;
            }
            let sql = "DELETE FROM analytics_connections WHERE workspace_id = ?1 AND connection_id IN
                (SELECT connection_id FROM analytics_connections WHERE workspace_id = ?1 AND closed_ms < ?2
                 ORDER BY closed_ms LIMIT ?3)";
            execute(conn, sql, params![workspace.as_str(), ms(before), limit])
        })
    }
}

const ADD_DEVICE: &str = "INSERT INTO analytics_devices AS d (workspace_id, day, device_id, user_id, connections,
    connected_ms, bytes_in, bytes_out, mutations, sync_ok, sync_failed)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
    ON CONFLICT (workspace_id, day, device_id) DO UPDATE SET user_id = ?4, connections = d.connections + ?5,
    connected_ms = d.connected_ms + ?6, bytes_in = d.bytes_in + ?7, bytes_out = d.bytes_out + ?8,
    mutations = d.mutations + ?9, sync_ok = d.sync_ok + ?10, sync_failed = d.sync_failed + ?11";

fn put_connection(conn: &Connection, row: &ConnectionRow) -> StoreResult<()> {
    let sql = "INSERT INTO analytics_connections (workspace_id, connection_id, user_id, device_id, deployment_mode,
        opened_ms, closed_ms, reason, bytes_in, bytes_out, mutations, transport, close_code, frames_in)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) ON CONFLICT DO NOTHING";
    let values = params![
        row.workspace_id.as_str(),
        row.connection_id.to_string(),
        row.user_id.to_string(),
        row.device_id.to_string(),
        mode_to_text(row.deployment_mode),
        ms(row.opened_ms),
        ms(row.closed_ms),
        row.reason,
        ms(row.bytes_in),
        ms(row.bytes_out),
        ms(row.mutations),
        row.transport,
        row.close_code,
        ms(row.frames_in),
    ];
    execute(conn, sql, values).map(drop)
}

/// The operations of a day that count against its limit.
fn operations(conn: &Connection, workspace: &WorkspaceId, day: Day) -> StoreResult<BTreeSet<String>> {
    let sql = "SELECT operation FROM analytics_calls
        WHERE workspace_id = ?1 AND day = ?2 AND substr(operation, 1, 5) <> 'sync/'";
    let all = collect(conn, sql, params![workspace.as_str(), ms(day)], |row| row.get(0).or_failed())?;
    Ok(all.into_iter().collect())
}

fn add_calls(
    conn: &Connection,
    (workspace, day, operation): (&WorkspaceId, Day, &str),
    counts: &CallCounts,
) -> StoreResult<()> {
    let sql = "SELECT * FROM analytics_calls WHERE workspace_id = ?1 AND day = ?2 AND operation = ?3";
    let known = collect(conn, sql, params![workspace.as_str(), ms(day), operation], calls_at)?.pop();
    let mut sum = counts.clone();
    if let Some((_, known)) = known {
        sum.add(&known);
    }
    let sql = "INSERT INTO analytics_calls (workspace_id, day, operation, calls, failures, total_ms, buckets)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
        ON CONFLICT (workspace_id, day, operation) DO UPDATE SET calls = ?4, failures = ?5, total_ms = ?6, buckets = ?7";
    let (workspace, buckets) = (workspace.as_str(), sum.buckets_to_text());
    let values = params![workspace, ms(day), operation, ms(sum.calls), ms(sum.failures), ms(sum.total_ms), buckets];
    execute(conn, sql, values).map(drop)
}

fn connection_at(row: &Row<'_>) -> StoreResult<ConnectionRow> {
    let text = |column: &str| row.get::<_, String>(column).or_failed();
    let code = ms_at(row, "close_code")?;
    Ok(ConnectionRow {
        workspace_id: workspace_at(row)?,
        connection_id: id_at(row, "connection_id")?,
        user_id: id_at(row, "user_id")?,
        device_id: id_at(row, "device_id")?,
        deployment_mode: mode_from_text(&text("deployment_mode")?)?,
        transport: text("transport")?,
        opened_ms: ms_at(row, "opened_ms")?,
        closed_ms: ms_at(row, "closed_ms")?,
        close_code: code.try_into().map_err(|_| corrupt(format!("{code} is no close code")))?,
        reason: text("reason")?,
        bytes_in: ms_at(row, "bytes_in")?,
        bytes_out: ms_at(row, "bytes_out")?,
        frames_in: ms_at(row, "frames_in")?,
        mutations: ms_at(row, "mutations")?,
    })
}

fn usage_at(row: &Row<'_>, by: UsageBy) -> StoreResult<UsageRow> {
    Ok(UsageRow {
        key: match by {
            UsageBy::Day => UsageKey::Day(ms_at(row, "key")?),
            UsageBy::User => UsageKey::User(id_at(row, "key")?),
            UsageBy::Device => UsageKey::Device(id_at(row, "key")?),
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

fn calls_at(row: &Row<'_>) -> StoreResult<(String, CallCounts)> {
    let buckets: String = row.get("buckets").or_failed()?;
    let counts = CallCounts {
        calls: ms_at(row, "calls")?,
        failures: ms_at(row, "failures")?,
        total_ms: ms_at(row, "total_ms")?,
        buckets: CallCounts::buckets_from_text(&buckets)?,
    };
    Ok((row.get("operation").or_failed()?, counts))
}
