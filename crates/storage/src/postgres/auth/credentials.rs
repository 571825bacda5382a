use syncline_core::TimestampMs;
use syncline_core::id::{UserId, WorkspaceId};
use syncline_core::storage::StoreResult;
use tokio_postgres::Row;

use super::{PostgresAuth, get, ms, ms_at, text_at, workspace_at};
use crate::postgres::error::corrupt;
use crate::postgres::values::escaped;
use crate::postgres::wire::{Param, integer, text, uuid};
use crate::sqlite::{Credential, PutCredential, fold_email};

impl PostgresAuth {
    /// The credentials with this e-mail in all workspaces, in workspace order.
    pub fn find_credential_by_email(&self, email: &str) -> StoreResult<Vec<Credential>> {
        let sql = "SELECT * FROM auth_credentials WHERE email_folded = $1 ORDER BY workspace_id";
        self.all(sql, vec![text(escaped(&fold_email(email)))], credential_at)
    }

    pub fn credential(&self, workspace: &WorkspaceId, user_id: UserId) -> StoreResult<Option<Credential>> {
        let sql = "SELECT * FROM auth_credentials WHERE workspace_id = $1 AND user_id = $2";
        self.one(sql, key(workspace, user_id), credential_at)
    }

    /// Inserts or replaces the credential of `(workspace, user)`, failures and lock included.
    pub fn put_credential(&self, credential: &Credential) -> StoreResult<PutCredential> {
        let Credential { workspace_id, user_id, email, password_hash, failed_attempts, locked_until_ms } = credential;
        let folded = fold_email(email);
        self.write_in(workspace_id, |wire| {
            let sql = "SELECT 1 FROM auth_credentials WHERE email_folded = $3 AND workspace_id = $1 AND user_id <> $2";
            let mut params = key(workspace_id, *user_id);
            params.push(text(escaped(&folded)));
            if !wire.query(sql, params)?.is_empty() {
                return Ok(PutCredential::EmailTaken);
            }
            let sql = "INSERT INTO auth_credentials
                (workspace_id, user_id, email, email_folded, password_hash, failed_attempts, locked_until_ms)
                VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (workspace_id, user_id) DO UPDATE SET email = $3,
                email_folded = $4, password_hash = $5, failed_attempts = $6, locked_until_ms = $7";
            let mut params = key(workspace_id, *user_id);
            params.extend([email, &folded, password_hash].map(|part| text(escaped(part))));
            params.extend([integer((*failed_attempts).into()), ms(*locked_until_ms)]);
            wire.execute(sql, params)?;
            Ok(PutCredential::Stored)
        })
    }

    /// Replaces the password, which also ends a lock. False: no such credential.
    pub fn set_password_hash(&self, workspace: &WorkspaceId, user_id: UserId, hash: &str) -> StoreResult<bool> {
        let sql = "UPDATE auth_credentials SET password_hash = $3, failed_attempts = 0, locked_until_ms = 0
            WHERE workspace_id = $1 AND user_id = $2";
        let params = || key(workspace, user_id).into_iter().chain([text(escaped(hash))]).collect();
        Ok(self.execute(sql, params)? == 1)
    }

    pub fn delete_credential(&self, workspace: &WorkspaceId, user_id: UserId) -> StoreResult<bool> {
        let sql = "DELETE FROM auth_credentials WHERE workspace_id = $1 AND user_id = $2";
        Ok(self.execute(sql, || key(workspace, user_id))? == 1)
    }

    /// Counts a wrong password; `lock` says until when the credential is locked after that many failures (0: not).
    /// Returns the failures so far; 0 when there is no such credential.
    pub fn record_failure(
        &self,
        workspace: &WorkspaceId,
        user_id: UserId,
        lock: impl Fn(u32) -> TimestampMs,
    ) -> StoreResult<u32> {
        self.write(|wire| {
            let sql = "UPDATE auth_credentials SET failed_attempts = failed_attempts + 1
                WHERE workspace_id = $1 AND user_id = $2 RETURNING failed_attempts";
            let rows = wire.query(sql, key(workspace, user_id))?;
            let Some(row) = rows.first() else { return Ok(0) };
            let failures = failures_at(row)?;
            let sql = "UPDATE auth_credentials SET locked_until_ms = greatest(locked_until_ms, $3)
                WHERE workspace_id = $1 AND user_id = $2";
            let params = key(workspace, user_id).into_iter().chain([ms(lock(failures))]);
            wire.execute(sql, params.collect())?;
            Ok(failures)
        })
    }

    /// Forgets failures and lock. Writes nothing when there are none.
    pub fn reset_failures(&self, workspace: &WorkspaceId, user_id: UserId) -> StoreResult<()> {
        let is_clean = |credential: Credential| credential.failed_attempts == 0 && credential.locked_until_ms == 0;
        if self.credential(workspace, user_id)?.is_none_or(is_clean) {
            return Ok(());
        }
        let sql = "UPDATE auth_credentials SET failed_attempts = 0, locked_until_ms = 0
            WHERE workspace_id = $1 AND user_id = $2";
        self.execute(sql, || key(workspace, user_id)).map(drop)
    }
}

fn key(workspace: &WorkspaceId, user_id: UserId) -> Vec<Param> {
    vec![text(workspace.as_str()), uuid(user_id.0)]
}

fn failures_at(row: &Row) -> StoreResult<u32> {
    let failures: i64 = get(row, "failed_attempts")?;
    failures.try_into().map_err(|_| corrupt(format!("{failures} failed attempts")))
}

fn credential_at(row: &Row) -> StoreResult<Credential> {
    Ok(Credential {
        workspace_id: workspace_at(row)?,
        user_id: UserId(get(row, "user_id")?),
        email: text_at(row, "email")?,
        password_hash: text_at(row, "password_hash")?,
        failed_attempts: failures_at(row)?,
        locked_until_ms: ms_at(row, "locked_until_ms")?,
    })
}
