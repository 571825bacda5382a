use syncline_core::TimestampMs;
use syncline_core::id::{DeviceId, UserId, WorkspaceId};
use syncline_core::storage::StoreResult;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::{PostgresAuth, get, ms, ms_at, optional_ms, optional_ms_at, text_at, workspace_at};
use crate::postgres::error::corrupt;
use crate::postgres::values::{escaped, int};
use crate::postgres::wire::{Param, Request, integer, integers, text, texts, uuid, uuids};
use crate::sqlite::{Device, mode_from_text, mode_to_text};

impl PostgresAuth {
    /// Inserts a device, or updates user, name, mode and last seen of a known one. A revocation stays: it only ends when
    /// the device is registered under a new id. Returns the device as stored.
    pub fn put_device(&self, device: &Device) -> StoreResult<Device> {
        let sql = "INSERT INTO auth_devices AS d
            (workspace_id, device_id, user_id, name, deployment_mode, created_ms, last_seen_ms, revoked_ms)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            ON CONFLICT (workspace_id, device_id) DO UPDATE SET user_id = $3, name = $4, deployment_mode = $5,
            last_seen_ms = greatest(d.last_seen_ms, $7), revoked_ms = coalesce(d.revoked_ms, $8) RETURNING *";
        self.write(|wire| {
            let mut params = key(&device.workspace_id, device.device_id);
            params.extend([
                uuid(device.user_id.0),
                text(escaped(&device.name)),
                text(mode_to_text(device.deployment_mode)),
                ms(device.created_ms),
                ms(device.last_seen_ms),
                optional_ms(device.revoked_ms),
            ]);
            let rows = wire.query(sql, params)?;
            let row = rows.first().ok_or_else(|| corrupt("a device was not stored"))?;
            Ok(device_at(row)?)
        })
    }

    pub fn device(&self, workspace: &WorkspaceId, device_id: DeviceId) -> StoreResult<Option<Device>> {
        let sql = "SELECT * FROM auth_devices WHERE workspace_id = $1 AND device_id = $2";
        self.one(sql, key(workspace, device_id), device_at)
    }

    /// The devices of a user, or of everybody, revoked ones included, last seen first.
    pub fn list_devices(&self, workspace: &WorkspaceId, user_id: Option<UserId>) -> StoreResult<Vec<Device>> {
        let sql = "SELECT * FROM auth_devices WHERE workspace_id = $1 AND ($2::uuid IS NULL OR user_id = $2::uuid)
            ORDER BY last_seen_ms DESC, device_id";
        let user: Param = (Box::new(user_id.map(|user| user.0)), Type::UUID);
        self.all(sql, vec![text(workspace.as_str()), user], device_at)
    }

    /// A page of everybody's devices in the same order: those behind a last seen and an id, at most `limit`.
    pub fn page_devices(
        &self,
        workspace: &WorkspaceId,
        after: Option<(TimestampMs, DeviceId)>,
        limit: usize,
    ) -> StoreResult<Vec<Device>> {
        let sql = "SELECT * FROM auth_devices WHERE workspace_id = $1 AND ($2::bigint IS NULL
                OR last_seen_ms < $2::bigint OR (last_seen_ms = $2::bigint AND device_id > $3::uuid))
            ORDER BY last_seen_ms DESC, device_id LIMIT $4";
        let seen: Param = (Box::new(after.map(|(seen, _)| int(seen))), Type::INT8);
        let id: Param = (Box::new(after.map(|(_, id)| id.0)), Type::UUID);
        self.all(sql, vec![text(workspace.as_str()), seen, id, integer(int(limit as u64))], device_at)
    }

    /// Revokes a device and all its refresh tokens. False: unknown, or revoked before.
    pub fn revoke_device(&self, workspace: &WorkspaceId, device_id: DeviceId, now: TimestampMs) -> StoreResult<bool> {
        self.write_in(workspace, |wire| {
            let params = || key(workspace, device_id).into_iter().chain([ms(now)]).collect();
            let tokens = "UPDATE auth_refresh_tokens SET revoked_ms = $3
                WHERE workspace_id = $1 AND device_id = $2 AND revoked_ms IS NULL";
            let device = "UPDATE auth_devices SET revoked_ms = $3
                WHERE workspace_id = $1 AND device_id = $2 AND revoked_ms IS NULL";
            let replies = wire.flight(&[Request::execute(tokens, params()), Request::execute(device, params())])?;
            Ok(replies[1].touched == 1)
        })
    }

    pub fn rename_device(&self, workspace: &WorkspaceId, device_id: DeviceId, name: &str) -> StoreResult<bool> {
        let sql = "UPDATE auth_devices SET name = $3 WHERE workspace_id = $1 AND device_id = $2";
        let params = || key(workspace, device_id).into_iter().chain([text(escaped(name))]).collect();
        Ok(self.execute(sql, params)? == 1)
    }

    /// Forgets devices that nobody uses: not seen since `before`, never a replica, and without a refresh token that is good
    /// at `now`. Revoked ones stay. Returns how many.
    pub fn purge_unused_devices(
        &self,
        workspace: &WorkspaceId,
        before: TimestampMs,
        now: TimestampMs,
    ) -> StoreResult<usize> {
        let sql = "DELETE FROM auth_devices d
            WHERE d.workspace_id = $1 AND d.last_seen_ms < $2 AND d.revoked_ms IS NULL
            AND d.device_id NOT IN (SELECT s.device_id FROM auth_client_status s WHERE s.workspace_id = $1)
            AND NOT EXISTS (SELECT 1 FROM auth_refresh_tokens t
                WHERE t.workspace_id = d.workspace_id AND t.user_id = d.user_id AND t.device_id = d.device_id
                    AND t.revoked_ms IS NULL AND t.used_ms IS NULL AND t.expires_ms > $3)";
        let purged = self.execute(sql, || vec![text(workspace.as_str()), ms(before), ms(now)])?;
        Ok(purged)
    }

    /// Notes when devices were seen; collect them and call it now and then, not per request.
    pub fn touch_devices(&self, seen: &[(WorkspaceId, DeviceId, TimestampMs)]) -> StoreResult<()> {
        // In one order everywhere, so that two nodes do not wait for one another.
        let sql = "UPDATE auth_devices d SET last_seen_ms = u.at FROM (
                SELECT k.workspace_id, k.device_id, max(s.at) AS at FROM auth_devices k
                JOIN unnest($1::text[], $2::uuid[], $3::bigint[]) AS s (workspace, device, at)
                ON k.workspace_id = s.workspace AND k.device_id = s.device
                GROUP BY k.workspace_id, k.device_id ORDER BY k.workspace_id, k.device_id) u
            WHERE d.workspace_id = u.workspace_id AND d.device_id = u.device_id AND d.last_seen_ms < u.at";
        let params = || {
            let workspaces = seen.iter().map(|(workspace, _, _)| workspace.as_str().to_owned()).collect();
            let devices = seen.iter().map(|(_, device, _)| device.0).collect();
            vec![texts(workspaces), uuids(devices), integers(seen.iter().map(|(_, _, at)| int(*at)).collect())]
        };
        self.execute(sql, params).map(drop)
    }

    pub fn touch_device(&self, workspace: &WorkspaceId, device_id: DeviceId, now: TimestampMs) -> StoreResult<()> {
        self.touch_devices(&[(workspace.clone(), device_id, now)])
    }
}

fn key(workspace: &WorkspaceId, device_id: DeviceId) -> Vec<Param> {
    vec![text(workspace.as_str()), uuid(device_id.0)]
}

fn device_at(row: &Row) -> StoreResult<Device> {
    Ok(Device {
        workspace_id: workspace_at(row)?,
        device_id: DeviceId(get(row, "device_id")?),
        user_id: UserId(get(row, "user_id")?),
        name: text_at(row, "name")?,
        deployment_mode: mode_from_text(get(row, "deployment_mode")?)?,
        created_ms: ms_at(row, "created_ms")?,
        last_seen_ms: ms_at(row, "last_seen_ms")?,
        revoked_ms: optional_ms_at(row, "revoked_ms")?,
    })
}
