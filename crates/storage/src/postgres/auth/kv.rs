use syncline_core::id::WorkspaceId;
use syncline_core::storage::StoreResult;

use super::{PostgresAuth, bytes, get, text_at};
use crate::postgres::error::corrupt;
use crate::postgres::values::escaped;
use crate::postgres::wire::{Param, text};

/// Values of a workspace or, with `None`, of the server itself: signing keys, the backend id, the stage of a job.
impl PostgresAuth {
    pub fn kv_get(&self, workspace: Option<&WorkspaceId>, key: &str) -> StoreResult<Option<Vec<u8>>> {
        let sql = "SELECT value FROM auth_kv WHERE workspace_id = $1 AND key = $2";
        self.one(sql, owned(workspace, key), |row| get(row, "value"))
    }

    pub fn kv_put(&self, workspace: Option<&WorkspaceId>, key: &str, value: &[u8]) -> StoreResult<()> {
        let sql = "INSERT INTO auth_kv (workspace_id, key, value) VALUES ($1, $2, $3)
            ON CONFLICT (workspace_id, key) DO UPDATE SET value = $3";
        self.execute(sql, || owned(workspace, key).into_iter().chain([bytes(value)]).collect()).map(drop)
    }

    /// Stores `value` unless there is one, and returns what is stored then: for secrets made at the first start.
    pub fn kv_get_or_put(&self, workspace: Option<&WorkspaceId>, key: &str, value: &[u8]) -> StoreResult<Vec<u8>> {
        if let Some(stored) = self.kv_get(workspace, key)? {
            return Ok(stored);
        }
        let sql = "INSERT INTO auth_kv AS a (workspace_id, key, value) VALUES ($1, $2, $3)
            ON CONFLICT (workspace_id, key) DO UPDATE SET value = a.value RETURNING value";
        self.write(|wire| {
            let rows = wire.query(sql, owned(workspace, key).into_iter().chain([bytes(value)]).collect())?;
            let row = rows.first().ok_or_else(|| corrupt("a value was not stored"))?;
            Ok(get(row, "value")?)
        })
    }

    pub fn kv_delete(&self, workspace: Option<&WorkspaceId>, key: &str) -> StoreResult<bool> {
        let sql = "DELETE FROM auth_kv WHERE workspace_id = $1 AND key = $2";
        Ok(self.execute(sql, || owned(workspace, key))? == 1)
    }

    /// Keys that start with `prefix`, in order.
    pub fn kv_list(&self, workspace: Option<&WorkspaceId>, prefix: &str) -> StoreResult<Vec<String>> {
        let sql = "SELECT key FROM auth_kv WHERE workspace_id = $1 AND starts_with(key, $2) ORDER BY key";
        self.all(sql, owned(workspace, prefix), |row| text_at(row, "key"))
    }
}

fn owned(workspace: Option<&WorkspaceId>, key: &str) -> Vec<Param> {
    vec![text(workspace.map_or("", WorkspaceId::as_str)), text(escaped(key))]
}
