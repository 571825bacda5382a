use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use syncline_core::TimestampMs;
use syncline_core::id::{DeviceId, UserId, WorkspaceId};
use syncline_core::storage::StoreResult;
use uuid::Uuid;

use super::{AuthStore, execute, id_at, ms, ms_at, optional_ms_at, workspace_at};
use crate::sqlite::error::OrFailed;

/// SHA-256 of a refresh token.
pub type TokenHash = [u8; 32];

/// Whom a refresh token speaks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefreshOwner {
    /// Everything that descends from one sign-in.
    pub family_id: Uuid,
    pub workspace_id: WorkspaceId,
    pub user_id: UserId,
    pub device_id: DeviceId,
}

/// A refresh token as it is issued.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefreshToken {
    pub token_sha256: TokenHash,
    pub owner: RefreshOwner,
    pub created_ms: TimestampMs,
    pub expires_ms: TimestampMs,
}

/// Exchange of a refresh token for its successor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rotate {
    pub old_sha256: TokenHash,
    pub new_sha256: TokenHash,
    pub now_ms: TimestampMs,
    /// Of the new token.
    pub expires_ms: TimestampMs,
    /// How long after its exchange the old token may be exchanged once more, as long as its successor has not been used:
    /// the reply was lost, or two tabs asked at once. 0: never.
    pub grace_ms: u64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rotation {
    /// The new token is stored and the old one used up.
    Rotated(RefreshOwner),
    /// The old token had been used up before: somebody has a copy. The whole family is revoked now.
    Reused(RefreshOwner),
    Unknown,
    Expired,
    /// The family, or the device, was revoked.
    Revoked(RefreshOwner),
}

impl AuthStore {
    /// Stores the first token of a family, at sign-in.
    pub fn insert_refresh(&self, token: &RefreshToken) -> StoreResult<()> {
        self.write(|conn| insert(conn, token))
    }

    /// Exchanges a token; decided and stored in one transaction, so of two parallel uses one sees the other.
    pub fn rotate_refresh(&self, rotate: &Rotate) -> StoreResult<Rotation> {
        self.write(|conn| {
            let Some(old) = stored(conn, &rotate.old_sha256)? else { return Ok(Rotation::Unknown) };
            if old.is_revoked {
                return Ok(Rotation::Revoked(old.token.owner));
            }
            if old.token.expires_ms <= rotate.now_ms {
                return Ok(Rotation::Expired);
            }
            let now = ms(rotate.now_ms);
            if let Some(used_ms) = old.used_ms {
                let is_unused = |hash: TokenHash| Ok(stored(conn, &hash)?.is_some_and(|next| next.used_ms.is_none()));
                let is_retry = rotate.now_ms.saturating_sub(used_ms) < rotate.grace_ms
                    && old.successor.map_or(Ok(false), is_unused)?;
                if !is_retry {
                    revoke(conn, &old.token.owner, now)?;
                    return Ok(Rotation::Reused(old.token.owner));
                }
            } else {
                let sql = "UPDATE auth_refresh_tokens SET used_ms = ?2, successor_sha256 = ?3 WHERE token_sha256 = ?1";
                execute(conn, sql, params![rotate.old_sha256, now, rotate.new_sha256])?;
            }
            let owner = old.token.owner;
            let (token_sha256, expires_ms) = (rotate.new_sha256, rotate.expires_ms);
            insert(conn, &RefreshToken { token_sha256, owner: owner.clone(), created_ms: rotate.now_ms, expires_ms })?;
            Ok(Rotation::Rotated(owner))
        })
    }

    /// Revokes everything that descends from one sign-in; returns how many tokens that ended.
    pub fn revoke_family(&self, family_id: Uuid, now: TimestampMs) -> StoreResult<usize> {
        let sql = "UPDATE auth_refresh_tokens SET revoked_ms = ?2 WHERE family_id = ?1 AND revoked_ms IS NULL";
        self.write(|conn| execute(conn, sql, params![family_id.to_string(), ms(now)]))
    }

    /// Signs a user out everywhere in a workspace; returns the families that ended, in order.
    pub fn revoke_user_tokens(
        &self,
        workspace: &WorkspaceId,
        user_id: UserId,
        now: TimestampMs,
    ) -> StoreResult<Vec<Uuid>> {
        let sql = "UPDATE auth_refresh_tokens SET revoked_ms = ?3
                   WHERE workspace_id = ?1 AND user_id = ?2 AND revoked_ms IS NULL RETURNING family_id";
        let params = params![workspace.as_str(), user_id.to_string(), ms(now)];
        let families: BTreeSet<Uuid> = self.write(|conn| {
            let mut statement = conn.prepare_cached(sql).or_failed()?;
            let rows = statement.query_map(params, |row| Ok(id_at(row, "family_id"))).or_failed()?;
            rows.map(|row| row.or_failed()?).collect()
        })?;
        Ok(families.into_iter().collect())
    }

    /// Families that were revoked at or after `since`, by the clock of who did it, each with the moment when its last
    /// token expires. O(their tokens).
    pub fn ended_sign_ins(&self, since: TimestampMs) -> StoreResult<Vec<(Uuid, TimestampMs)>> {
        let sql = "SELECT family_id, max(expires_ms) AS expires_ms FROM auth_refresh_tokens
                   WHERE revoked_ms >= ?1 GROUP BY family_id";
        self.read(|conn| {
            let mut statement = conn.prepare_cached(sql).or_failed()?;
            let pair = |row: &Row<'_>| Ok((id_at(row, "family_id")?, ms_at(row, "expires_ms")?));
            let rows = statement.query_map([ms(since)], |row| Ok(pair(row))).or_failed()?;
            rows.map(|row| row.or_failed()?).collect()
        })
    }

    /// Deletes tokens that expired before `before`; returns how many.
    pub fn purge_expired_refresh(&self, before: TimestampMs) -> StoreResult<usize> {
        let sql = "DELETE FROM auth_refresh_tokens WHERE expires_ms < ?1";
        self.write(|conn| execute(conn, sql, [ms(before)]))
    }
}

struct Stored {
    token: RefreshToken,
    used_ms: Option<TimestampMs>,
    successor: Option<TokenHash>,
    /// It or its device.
    is_revoked: bool,
}

fn stored(conn: &Connection, hash: &TokenHash) -> StoreResult<Option<Stored>> {
    let sql = "SELECT t.*, coalesce(t.revoked_ms, d.revoked_ms) IS NOT NULL AS is_revoked FROM auth_refresh_tokens t
               LEFT JOIN auth_devices d ON d.workspace_id = t.workspace_id AND d.device_id = t.device_id
               WHERE t.token_sha256 = ?1";
    let mut statement = conn.prepare_cached(sql).or_failed()?;
    let found = statement.query_row([hash], |row| Ok(stored_at(row, *hash))).optional().or_failed()?;
    found.transpose()
}

fn stored_at(row: &Row<'_>, token_sha256: TokenHash) -> StoreResult<Stored> {
    let owner = RefreshOwner {
        family_id: id_at(row, "family_id")?,
        workspace_id: workspace_at(row)?,
        user_id: id_at(row, "user_id")?,
        device_id: id_at(row, "device_id")?,
    };
    let (created_ms, expires_ms) = (ms_at(row, "created_ms")?, ms_at(row, "expires_ms")?);
    Ok(Stored {
        token: RefreshToken { token_sha256, owner, created_ms, expires_ms },
        used_ms: optional_ms_at(row, "used_ms")?,
        successor: row.get("successor_sha256").or_failed()?,
        is_revoked: row.get("is_revoked").or_failed()?,
    })
}

fn insert(conn: &Connection, token: &RefreshToken) -> StoreResult<()> {
    let RefreshOwner { family_id, workspace_id, user_id, device_id } = &token.owner;
    let sql = "INSERT INTO auth_refresh_tokens
        (token_sha256, family_id, workspace_id, user_id, device_id, created_ms, expires_ms)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let (family, user, device) = (family_id.to_string(), user_id.to_string(), device_id.to_string());
    let (created, expires) = (ms(token.created_ms), ms(token.expires_ms));
    let row = params![token.token_sha256, family, workspace_id.as_str(), user, device, created, expires];
    execute(conn, sql, row).map(drop)
}

fn revoke(conn: &Connection, owner: &RefreshOwner, now: i64) -> StoreResult<()> {
    let sql = "UPDATE auth_refresh_tokens SET revoked_ms = ?2 WHERE family_id = ?1 AND revoked_ms IS NULL";
    execute(conn, sql, params![owner.family_id.to_string(), now]).map(drop)
}
