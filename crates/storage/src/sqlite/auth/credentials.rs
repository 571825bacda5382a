use rusqlite::{Row, params};
use syncline_core::TimestampMs;
use syncline_core::id::{UserId, WorkspaceId};
use syncline_core::storage::StoreResult;

use super::{AuthStore, collect, execute, id_at, ms, ms_at, workspace_at};
use crate::sqlite::error::OrFailed;

/// A person's password in one workspace.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    pub workspace_id: WorkspaceId,
    pub user_id: UserId,
    /// As written; compared folded.
    pub email: String,
    /// PHC string.
    pub password_hash: String,
    /// Wrong passwords since the last right one.
    pub failed_attempts: u32,
    /// 0: not locked.
    pub locked_until_ms: TimestampMs,
}

/// Without e-mail and hash, so that neither reaches a log.
impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { workspace_id, user_id, failed_attempts, locked_until_ms, .. } = self;
        write!(f, "Credential({workspace_id}/{user_id}, {failed_attempts} failures, locked until {locked_until_ms})")
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PutCredential {
    Stored,
    /// Somebody else in the workspace has this e-mail; nothing was written.
    EmailTaken,
}

/// The form in which e-mail addresses are compared: trimmed, lower case.
pub fn fold_email(email: &str) -> String {
    email.trim().to_lowercase()
}

impl AuthStore {
    /// The credentials with this e-mail in all workspaces, in workspace order.
    pub fn find_credential_by_email(&self, email: &str) -> StoreResult<Vec<Credential>> {
        let sql = "SELECT * FROM auth_credentials WHERE email_folded = ?1 ORDER BY workspace_id";
        self.read(|conn| collect(conn, sql, [fold_email(email)], credential_at))
    }

    pub fn credential(&self, workspace: &WorkspaceId, user_id: UserId) -> StoreResult<Option<Credential>> {
        let sql = "SELECT * FROM auth_credentials WHERE workspace_id = ?1 AND user_id = ?2";
        let key = params![workspace.as_str(), user_id.to_string()];
        self.read(|conn| Ok(collect(conn, sql, key, credential_at)?.pop()))
    }

    /// Inserts or replaces the credential of `(workspace, user)`, failures and lock included.
    pub fn put_credential(&self, credential: &Credential) -> StoreResult<PutCredential> {
        let (workspace, user) = (credential.workspace_id.as_str(), credential.user_id.to_string());
        let folded = fold_email(&credential.email);
        self.write(|conn| {
            let sql = "SELECT 1 FROM auth_credentials WHERE email_folded = ?1 AND workspace_id = ?2 AND user_id <> ?3";
            let mut taken = conn.prepare_cached(sql).or_failed()?;
            if taken.exists(params![folded, workspace, user]).or_failed()? {
                return Ok(PutCredential::EmailTaken);
            }
            let sql = "INSERT INTO auth_credentials
                (workspace_id, user_id, email, email_folded, password_hash, failed_attempts, locked_until_ms)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                ON CONFLICT (workspace_id, user_id) DO UPDATE SET email = ?3, email_folded = ?4, password_hash = ?5,
                failed_attempts = ?6, locked_until_ms = ?7";
            let (email, hash) = (&credential.email, &credential.password_hash);
            let (failures, locked) = (credential.failed_attempts, ms(credential.locked_until_ms));
            execute(conn, sql, params![workspace, user, email, folded, hash, failures, locked])?;
            Ok(PutCredential::Stored)
        })
    }

    /// Replaces the password, which also ends a lock. False: no such credential.
    pub fn set_password_hash(&self, workspace: &WorkspaceId, user_id: UserId, hash: &str) -> StoreResult<bool> {
        let sql = "UPDATE auth_credentials SET password_hash = ?3, failed_attempts = 0, locked_until_ms = 0
                   WHERE workspace_id = ?1 AND user_id = ?2";
        self.write(|conn| Ok(execute(conn, sql, params![workspace.as_str(), user_id.to_string(), hash])? == 1))
    }

    pub fn delete_credential(&self, workspace: &WorkspaceId, user_id: UserId) -> StoreResult<bool> {
        let sql = "DELETE FROM auth_credentials WHERE workspace_id = ?1 AND user_id = ?2";
        self.write(|conn| Ok(execute(conn, sql, params![workspace.as_str(), user_id.to_string()])? == 1))
    }

    /// Counts a wrong password; `lock` says until when the credential is locked after that many failures (0: not).
    /// Returns the failures so far; 0 when there is no such credential.
    pub fn record_failure(
        &self,
        workspace: &WorkspaceId,
        user_id: UserId,
        lock: impl FnOnce(u32) -> TimestampMs,
    ) -> StoreResult<u32> {
        let (workspace, user) = (workspace.as_str(), user_id.to_string());
        self.write(|conn| {
            let sql = "UPDATE auth_credentials SET failed_attempts = failed_attempts + 1
                       WHERE workspace_id = ?1 AND user_id = ?2 RETURNING failed_attempts";
            let counted = collect(conn, sql, params![workspace, user], |row| row.get::<_, u32>(0).or_failed())?;
            let Some(&failures) = counted.first() else { return Ok(0) };
            let sql = "UPDATE auth_credentials SET locked_until_ms = max(locked_until_ms, ?3)
                       WHERE workspace_id = ?1 AND user_id = ?2";
            execute(conn, sql, params![workspace, user, ms(lock(failures))])?;
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
                   WHERE workspace_id = ?1 AND user_id = ?2";
        self.write(|conn| execute(conn, sql, params![workspace.as_str(), user_id.to_string()]).map(drop))
    }
}

fn credential_at(row: &Row<'_>) -> StoreResult<Credential> {
    Ok(Credential {
        workspace_id: workspace_at(row)?,
        user_id: id_at(row, "user_id")?,
        email: row.get("email").or_failed()?,
        password_hash: row.get("password_hash").or_failed()?,
        failed_attempts: row.get("failed_attempts").or_failed()?,
        locked_until_ms: ms_at(row, "locked_until_ms")?,
    })
}
