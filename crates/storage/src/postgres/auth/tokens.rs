use std::collections::BTreeSet;

use syncline_core::TimestampMs;
use syncline_core::id::{DeviceId, UserId, WorkspaceId};
use syncline_core::storage::StoreResult;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{PostgresAuth, bytes, get, ms, ms_at, optional_ms_at, workspace_at};
use crate::postgres::apply::Trouble;
use crate::postgres::error::corrupt;
use crate::postgres::wire::{Wire, text, uuid};
use crate::sqlite::{RefreshOwner, RefreshToken, Rotate, Rotation, TokenHash};

impl PostgresAuth {
    /// Stores the first token of a family, at sign-in.
    pub fn insert_refresh(&self, token: &RefreshToken) -> StoreResult<()> {
        self.write_in(&token.owner.workspace_id, |wire| insert(wire, token))
    }

    /// Exchanges a token; decided and stored in one transaction, so of two parallel uses one sees the other.
    pub fn rotate_refresh(&self, rotate: &Rotate) -> StoreResult<Rotation> {
        let sql = "SELECT workspace_id FROM auth_refresh_tokens WHERE token_sha256 = $1";
        let workspace = self.one(sql, vec![bytes(&rotate.old_sha256)], workspace_at)?;
        let Some(workspace) = workspace else { return Ok(Rotation::Unknown) };
        self.write_in(&workspace, |wire| decide(wire, rotate))
    }

    /// Ends everything that descends from one sign-in; returns how many tokens that ended.
    pub fn revoke_family(&self, family_id: Uuid, now: TimestampMs) -> StoreResult<usize> {
        let sql = "SELECT workspace_id FROM auth_refresh_tokens WHERE family_id = $1 LIMIT 1";
        let Some(workspace) = self.one(sql, vec![uuid(family_id)], workspace_at)? else { return Ok(0) };
        self.write_in(&workspace, |wire| revoke(wire, family_id, now))
    }

    /// Ends every sign-in of a user in a workspace; returns the families that ended, in order.
    pub fn revoke_user_tokens(
        &self,
        workspace: &WorkspaceId,
        user_id: UserId,
        now: TimestampMs,
    ) -> StoreResult<Vec<Uuid>> {
        let families: BTreeSet<Uuid> = self.write_in(workspace, |wire| {
            let sql = "UPDATE auth_refresh_tokens SET revoked_ms = $3
                WHERE workspace_id = $1 AND user_id = $2 AND revoked_ms IS NULL";
            let params = || vec![text(workspace.as_str()), uuid(user_id.0), ms(now)];
            wire.execute(sql, params())?;
            // Not what this try has changed: after a lost answer to COMMIT, the first try did it.
            let sql = "SELECT DISTINCT family_id FROM auth_refresh_tokens
                WHERE workspace_id = $1 AND user_id = $2 AND revoked_ms = $3";
            let rows = wire.query(sql, params())?;
            Ok(rows.iter().map(|row| get(row, "family_id")).collect::<StoreResult<_>>()?)
        })?;
        Ok(families.into_iter().collect())
    }

    /// Families that were revoked at or after `since`, by the clock of who did it, each with the moment when its last
    /// token expires. O(their tokens).
    pub fn ended_sign_ins(&self, since: TimestampMs) -> StoreResult<Vec<(Uuid, TimestampMs)>> {
        let sql = "SELECT family_id, max(expires_ms) AS expires_ms FROM auth_refresh_tokens
            WHERE revoked_ms >= $1 GROUP BY family_id";
        self.all(sql, vec![ms(since)], |row| Ok((get(row, "family_id")?, ms_at(row, "expires_ms")?)))
    }

    /// Deletes tokens that expired before `before`; returns how many.
    pub fn purge_expired_refresh(&self, before: TimestampMs) -> StoreResult<usize> {
        self.execute("DELETE FROM auth_refresh_tokens WHERE expires_ms < $1", || vec![ms(before)])
    }
}

fn decide(wire: &Wire<'_>, rotate: &Rotate) -> Result<Rotation, Trouble> {
    let Some(old) = stored(wire, rotate.old_sha256)? else { return Ok(Rotation::Unknown) };
    if old.is_revoked {
        return Ok(Rotation::Revoked(old.token.owner));
    }
    if old.token.expires_ms <= rotate.now_ms {
        return Ok(Rotation::Expired);
    }
    // After a lost answer to COMMIT: the first try did it. Nobody else can know the new token.
    if stored(wire, rotate.new_sha256)?.is_some_and(|new| new.token.owner == old.token.owner) {
        return Ok(Rotation::Rotated(old.token.owner));
    }
    if let Some(used_ms) = old.used_ms {
        let is_recent = rotate.now_ms.saturating_sub(used_ms) < rotate.grace_ms;
        let successor = old.successor.filter(|_| is_recent).map(|hash| stored(wire, hash)).transpose()?.flatten();
        if successor.is_none_or(|next| next.used_ms.is_some()) {
            revoke(wire, old.token.owner.family_id, rotate.now_ms)?;
            return Ok(Rotation::Reused(old.token.owner));
        }
    } else {
        let sql = "UPDATE auth_refresh_tokens SET used_ms = $2, successor_sha256 = $3 WHERE token_sha256 = $1";
        wire.execute(sql, vec![bytes(&rotate.old_sha256), ms(rotate.now_ms), bytes(&rotate.new_sha256)])?;
    }
    let owner = old.token.owner;
    let (token_sha256, expires_ms) = (rotate.new_sha256, rotate.expires_ms);
    insert(wire, &RefreshToken { token_sha256, owner: owner.clone(), created_ms: rotate.now_ms, expires_ms })?;
    Ok(Rotation::Rotated(owner))
}

struct Stored {
    token: RefreshToken,
    used_ms: Option<TimestampMs>,
    successor: Option<TokenHash>,
    /// It or its device.
    is_revoked: bool,
}

fn stored(wire: &Wire<'_>, hash: TokenHash) -> Result<Option<Stored>, Trouble> {
    let sql = "SELECT t.*, coalesce(t.revoked_ms, d.revoked_ms) IS NOT NULL AS is_revoked FROM auth_refresh_tokens t
        LEFT JOIN auth_devices d ON d.workspace_id = t.workspace_id AND d.device_id = t.device_id
        WHERE t.token_sha256 = $1";
    let rows = wire.query(sql, vec![bytes(&hash)])?;
    Ok(rows.first().map(|row| stored_at(row, hash)).transpose()?)
}

fn stored_at(row: &Row, token_sha256: TokenHash) -> StoreResult<Stored> {
    let owner = RefreshOwner {
        family_id: get(row, "family_id")?,
        workspace_id: workspace_at(row)?,
        user_id: UserId(get(row, "user_id")?),
        device_id: DeviceId(get(row, "device_id")?),
    };
    let (created_ms, expires_ms) = (ms_at(row, "created_ms")?, ms_at(row, "expires_ms")?);
    let successor: Option<&[u8]> = get(row, "successor_sha256")?;
    let successor = successor.map(TokenHash::try_from).transpose();
    Ok(Stored {
        token: RefreshToken { token_sha256, owner, created_ms, expires_ms },
        used_ms: optional_ms_at(row, "used_ms")?,
        successor: successor.map_err(|_| corrupt("a token's hash is not 32 bytes"))?,
        is_revoked: get(row, "is_revoked")?,
    })
}

/// Again after a lost answer it is nothing.
fn insert(wire: &Wire<'_>, token: &RefreshToken) -> Result<(), Trouble> {
    let RefreshOwner { family_id, workspace_id, user_id, device_id } = &token.owner;
    let sql = "INSERT INTO auth_refresh_tokens
        (workspace_id, token_sha256, family_id, user_id, device_id, created_ms, expires_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (workspace_id, token_sha256) DO NOTHING";
    let ids = [uuid(*family_id), uuid(user_id.0), uuid(device_id.0)];
    let mut params = vec![text(workspace_id.as_str()), bytes(&token.token_sha256)];
    params.extend(ids);
    params.extend([ms(token.created_ms), ms(token.expires_ms)]);
    wire.execute(sql, params)?;
    Ok(())
}

fn revoke(wire: &Wire<'_>, family_id: Uuid, now: TimestampMs) -> Result<usize, Trouble> {
    let sql = "UPDATE auth_refresh_tokens SET revoked_ms = $2 WHERE family_id = $1 AND revoked_ms IS NULL";
    touched(wire.execute(sql, vec![uuid(family_id), ms(now)])?)
}

fn touched(rows: u64) -> Result<usize, Trouble> {
    Ok(usize::try_from(rows).unwrap_or(usize::MAX))
}
