use rusqlite::{Connection, Row, params};
use syncline_core::TimestampMs;
use syncline_core::id::{DeviceId, UserId, WorkspaceId};
use syncline_core::principal::DeploymentMode;
use syncline_core::storage::StoreResult;

use super::{AuthStore, collect, execute, id_at, ms, ms_at, optional_ms_at, workspace_at};
use crate::sqlite::error::{OrFailed, corrupt};

/// An installation of one person in one workspace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Device {
    pub workspace_id: WorkspaceId,
    pub device_id: DeviceId,
    pub user_id: UserId,
    /// As the person sees it in the list of devices.
    pub name: String,
    pub deployment_mode: DeploymentMode,
    pub created_ms: TimestampMs,
    pub last_seen_ms: TimestampMs,
    pub revoked_ms: Option<TimestampMs>,
}

impl AuthStore {
    /// Inserts a device, or updates user, name, mode and last seen of a known one. A revocation stays: it only ends when
    /// the device is registered under a new id. Returns the device as stored.
    pub fn put_device(&self, device: &Device) -> StoreResult<Device> {
        let (workspace, id) = (device.workspace_id.as_str(), device.device_id.to_string());
        let sql = "INSERT INTO auth_devices
            (workspace_id, device_id, user_id, name, deployment_mode, created_ms, last_seen_ms, revoked_ms)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
            ON CONFLICT (workspace_id, device_id) DO UPDATE SET user_id = ?3, name = ?4, deployment_mode = ?5,
            last_seen_ms = max(last_seen_ms, ?7), revoked_ms = coalesce(revoked_ms, ?8) RETURNING *";
        let (user, mode) = (device.user_id.to_string(), mode_to_text(device.deployment_mode));
        let (created, seen, revoked) = (ms(device.created_ms), ms(device.last_seen_ms), device.revoked_ms.map(ms));
        let row = params![workspace, id, user, device.name, mode, created, seen, revoked];
        self.write(|conn| collect(conn, sql, row, device_at)?.pop().ok_or_else(|| corrupt("a device was not stored")))
    }

    pub fn device(&self, workspace: &WorkspaceId, device_id: DeviceId) -> StoreResult<Option<Device>> {
        let sql = "SELECT * FROM auth_devices WHERE workspace_id = ?1 AND device_id = ?2";
        let key = params![workspace.as_str(), device_id.to_string()];
        self.read(|conn| Ok(collect(conn, sql, key, device_at)?.pop()))
    }

    /// The devices of a user, or of everybody, revoked ones included, last seen first.
    pub fn list_devices(&self, workspace: &WorkspaceId, user_id: Option<UserId>) -> StoreResult<Vec<Device>> {
        let sql = "SELECT * FROM auth_devices WHERE workspace_id = ?1 AND (?2 IS NULL OR user_id = ?2)
                   ORDER BY last_seen_ms DESC, device_id";
        let user = user_id.map(|user| user.to_string());
        self.read(|conn| collect(conn, sql, params![workspace.as_str(), user], device_at))
    }

    /// A page of everybody's devices in the same order: those behind a last seen and an id, at most `limit`.
    pub fn page_devices(
        &self,
        workspace: &WorkspaceId,
        after: Option<(TimestampMs, DeviceId)>,
        limit: usize,
    ) -> StoreResult<Vec<Device>> {
        let sql = "SELECT * FROM auth_devices
            WHERE workspace_id = ?1 AND (?2 IS NULL OR last_seen_ms < ?2 OR (last_seen_ms = ?2 AND device_id > ?3))
            ORDER BY last_seen_ms DESC, device_id LIMIT ?4";
        let (seen, id) = (after.map(|(seen, _)| ms(seen)), after.map(|(_, id)| id.to_string()));
        let key = params![workspace.as_str(), seen, id, i64::try_from(limit).unwrap_or(i64::MAX)];
        self.read(|conn| collect(conn, sql, key, device_at))
    }

    /// Revokes a device and all its refresh tokens. False: unknown, or revoked before.
    pub fn revoke_device(&self, workspace: &WorkspaceId, device_id: DeviceId, now: TimestampMs) -> StoreResult<bool> {
        let (workspace, id) = (workspace.as_str(), device_id.to_string());
        self.write(|conn| {
            let sql = "UPDATE auth_refresh_tokens SET revoked_ms = ?3
                       WHERE workspace_id = ?1 AND device_id = ?2 AND revoked_ms IS NULL";
            execute(conn, sql, params![workspace, id, ms(now)])?;
            let sql = "UPDATE auth_devices SET revoked_ms = ?3
                       WHERE workspace_id = ?1 AND device_id = ?2 AND revoked_ms IS NULL";
            Ok(execute(conn, sql, params![workspace, id, ms(now)])? == 1)
        })
    }

    pub fn rename_device(&self, workspace: &WorkspaceId, device_id: DeviceId, name: &str) -> StoreResult<bool> {
        let sql = "UPDATE auth_devices SET name = ?3 WHERE workspace_id = ?1 AND device_id = ?2";
        self.write(|conn| Ok(execute(conn, sql, params![workspace.as_str(), device_id.to_string(), name])? == 1))
    }

    /// Forgets devices that nobody uses: not seen since `before`, never a replica, and without a refresh token that is good
    /// at `now`. Revoked ones stay. Returns how many.
    pub fn purge_unused_devices(
        &self,
        workspace: &WorkspaceId,
        before: TimestampMs,
        now: TimestampMs,
    ) -> StoreResult<usize> {
        let sql = "DELETE FROM auth_devices AS d WHERE workspace_id = ?1 AND last_seen_ms < ?2 AND revoked_ms IS NULL
            AND device_id NOT IN (SELECT device_id FROM auth_client_status WHERE workspace_id = ?1)
            AND NOT EXISTS (SELECT 1 FROM auth_refresh_tokens t
                WHERE t.workspace_id = d.workspace_id AND t.user_id = d.user_id AND t.device_id = d.device_id
                    AND t.revoked_ms IS NULL AND t.used_ms IS NULL AND t.expires_ms > ?3)";
        self.write(|conn| execute(conn, sql, params![workspace.as_str(), ms(before), ms(now)]))
    }

    /// Notes when devices were seen; collect them and call it now and then, not per request.
    pub fn touch_devices(&self, seen: &[(WorkspaceId, DeviceId, TimestampMs)]) -> StoreResult<()> {
        self.write(|conn| seen.iter().try_for_each(|(workspace, id, at)| touch(conn, workspace, *id, *at)))
    }

    pub fn touch_device(&self, workspace: &WorkspaceId, device_id: DeviceId, now: TimestampMs) -> StoreResult<()> {
        self.write(|conn| touch(conn, workspace, device_id, now))
    }
}

fn touch(conn: &Connection, workspace: &WorkspaceId, device_id: DeviceId, at: TimestampMs) -> StoreResult<()> {
    let sql = "UPDATE auth_devices SET last_seen_ms = ?3
               WHERE workspace_id = ?1 AND device_id = ?2 AND last_seen_ms < ?3";
    execute(conn, sql, params![workspace.as_str(), device_id.to_string(), ms(at)]).map(drop)
}

fn device_at(row: &Row<'_>) -> StoreResult<Device> {
    let mode: String = row.get("deployment_mode").or_failed()?;
    Ok(Device {
        workspace_id: workspace_at(row)?,
        device_id: id_at(row, "device_id")?,
        user_id: id_at(row, "user_id")?,
        name: row.get("name").or_failed()?,
        deployment_mode: mode_from_text(&mode)?,
        created_ms: ms_at(row, "created_ms")?,
        last_seen_ms: ms_at(row, "last_seen_ms")?,
        revoked_ms: optional_ms_at(row, "revoked_ms")?,
    })
}

pub(crate) fn mode_to_text(mode: DeploymentMode) -> &'static str {
    match mode {
        DeploymentMode::WebApp => "web_app",
        DeploymentMode::BrowserExtension => "browser_extension",
        DeploymentMode::LocalInstall => "local_install",
        DeploymentMode::MobileApp => "mobile_app",
    }
}

pub(crate) fn mode_from_text(text: &str) -> StoreResult<DeploymentMode> {
    use DeploymentMode::{BrowserExtension, LocalInstall, MobileApp, WebApp};
    let all = [WebApp, BrowserExtension, LocalInstall, MobileApp];
    let mode = all.into_iter().find(|mode| mode_to_text(*mode) == text);
    mode.ok_or_else(|| corrupt(format!("`{text}` is not a deployment mode")))
}
