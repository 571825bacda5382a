use syncline_core::id::{UserId, WorkspaceId};
use syncline_core::storage::StoreResult;
use tokio_postgres::Row;

use super::{PostgresAuth, get, ms, ms_at, text_at, workspace_at};
use crate::postgres::values::escaped;
use crate::postgres::wire::{Param, text, uuid};
use crate::sqlite::Identity;

impl PostgresAuth {
    /// The users of an account in all workspaces, in workspace order.
    pub fn find_identities(&self, provider: &str, subject: &str) -> StoreResult<Vec<Identity>> {
        let sql = "SELECT * FROM auth_identities WHERE provider = $1 AND subject = $2 ORDER BY workspace_id";
        self.all(sql, vec![text(escaped(provider)), text(escaped(subject))], identity_at)
    }

    /// Links an account with a user, neither of whom is linked yet. False: one of them is linked otherwise.
    pub fn link_identity(&self, identity: &Identity) -> StoreResult<bool> {
        let Identity { workspace_id, provider, subject, user_id, linked_ms } = identity;
        let key = || -> Vec<Param> {
            let texts = [workspace_id.as_str().into(), escaped(provider), escaped(subject)];
            texts.map(text).into_iter().chain([uuid(user_id.0)]).collect()
        };
        self.write_in(workspace_id, |wire| {
            let sql = "INSERT INTO auth_identities (workspace_id, provider, subject, user_id, linked_ms)
                VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
            if wire.execute(sql, key().into_iter().chain([ms(*linked_ms)]).collect())? == 1 {
                return Ok(true);
            }
            let sql = "SELECT 1 FROM auth_identities WHERE workspace_id = $1 AND provider = $2 AND subject = $3
                AND user_id = $4";
            Ok(!wire.query(sql, key())?.is_empty())
        })
    }

    /// Ends the links of a user with accounts of a provider. False: there was none.
    pub fn unlink_identity(&self, workspace: &WorkspaceId, provider: &str, user_id: UserId) -> StoreResult<bool> {
        let sql = "DELETE FROM auth_identities WHERE workspace_id = $1 AND provider = $2 AND user_id = $3";
        let key = || vec![text(workspace.as_str()), text(escaped(provider)), uuid(user_id.0)];
        Ok(self.execute(sql, key)? == 1)
    }
}

fn identity_at(row: &Row) -> StoreResult<Identity> {
    Ok(Identity {
        workspace_id: workspace_at(row)?,
        provider: text_at(row, "provider")?,
        subject: text_at(row, "subject")?,
        user_id: UserId(get(row, "user_id")?),
        linked_ms: ms_at(row, "linked_ms")?,
    })
}
