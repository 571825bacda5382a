use rusqlite::{Row, params};
use syncline_core::TimestampMs;
use syncline_core::id::{UserId, WorkspaceId};
use syncline_core::storage::StoreResult;

use super::{AuthStore, collect, execute, id_at, ms, ms_at, workspace_at};
use crate::sqlite::error::OrFailed;

/// A user here whom an account elsewhere signs in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    pub workspace_id: WorkspaceId,
    /// Whose account, for instance `supabase`.
    pub provider: String,
    /// The account's id there.
    pub subject: String,
    pub user_id: UserId,
    pub linked_ms: TimestampMs,
}

impl AuthStore {
    /// The users of an account in all workspaces, in workspace order.
    pub fn find_identities(&self, provider: &str, subject: &str) -> StoreResult<Vec<Identity>> {
        let sql = "SELECT * FROM auth_identities WHERE provider = ?1 AND subject = ?2 ORDER BY workspace_id";
        self.read(|conn| collect(conn, sql, [provider, subject], identity_at))
    }

    /// Links an account with a user, neither of whom is linked yet. False: one of them is linked otherwise.
    pub fn link_identity(&self, identity: &Identity) -> StoreResult<bool> {
        let Identity { workspace_id, provider, subject, user_id, linked_ms } = identity;
        let row = params![workspace_id.as_str(), provider, subject, user_id.to_string(), ms(*linked_ms)];
        self.write(|conn| {
            let sql = "INSERT INTO auth_identities (workspace_id, provider, subject, user_id, linked_ms)
                VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
            if execute(conn, sql, row)? == 1 {
                return Ok(true);
            }
            let sql = "SELECT 1 FROM auth_identities WHERE workspace_id = ?1 AND provider = ?2 AND subject = ?3
                AND user_id = ?4";
            let mut linked = conn.prepare_cached(sql).or_failed()?;
            linked.exists(params![workspace_id.as_str(), provider, subject, user_id.to_string()]).or_failed()
        })
    }

    /// Ends the links of a user with accounts of a provider. False: there was none.
    pub fn unlink_identity(&self, workspace: &WorkspaceId, provider: &str, user_id: UserId) -> StoreResult<bool> {
        let sql = "DELETE FROM auth_identities WHERE workspace_id = ?1 AND provider = ?2 AND user_id = ?3";
        let key = params![workspace.as_str(), provider, user_id.to_string()];
        self.write(|conn| Ok(execute(conn, sql, key)? == 1))
    }
}

fn identity_at(row: &Row<'_>) -> StoreResult<Identity> {
    Ok(Identity {
        workspace_id: workspace_at(row)?,
        provider: row.get("provider").or_failed()?,
        subject: row.get("subject").or_failed()?,
        user_id: id_at(row, "user_id")?,
        linked_ms: ms_at(row, "linked_ms")?,
    })
}
