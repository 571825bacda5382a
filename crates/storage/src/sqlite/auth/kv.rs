use rusqlite::params;
use syncline_core::id::WorkspaceId;
use syncline_core::storage::StoreResult;

use super::{AuthStore, collect, execute};
use crate::sqlite::error::{OrFailed, corrupt};

/// Values of a workspace or, with `None`, of the server itself: signing keys, the backend id, the stage of a job.
impl AuthStore {
    pub fn kv_get(&self, workspace: Option<&WorkspaceId>, key: &str) -> StoreResult<Option<Vec<u8>>> {
        let sql = "SELECT value FROM auth_kv WHERE workspace_id = ?1 AND key = ?2";
        let values = self.read(|conn| collect(conn, sql, params![owner(workspace), key], |row| row.get(0).or_failed()));
        Ok(values?.pop())
    }

    pub fn kv_put(&self, workspace: Option<&WorkspaceId>, key: &str, value: &[u8]) -> StoreResult<()> {
        let sql = "INSERT INTO auth_kv (workspace_id, key, value) VALUES (?1, ?2, ?3)
                   ON CONFLICT (workspace_id, key) DO UPDATE SET value = ?3";
        self.write(|conn| execute(conn, sql, params![owner(workspace), key, value]).map(drop))
    }

    /// Stores `value` unless there is one, and returns what is stored then: for secrets made at the first start.
    pub fn kv_get_or_put(&self, workspace: Option<&WorkspaceId>, key: &str, value: &[u8]) -> StoreResult<Vec<u8>> {
        if let Some(stored) = self.kv_get(workspace, key)? {
            return Ok(stored);
        }
        let sql = "INSERT INTO auth_kv (workspace_id, key, value) VALUES (?1, ?2, ?3)
                   ON CONFLICT (workspace_id, key) DO UPDATE SET value = value RETURNING value";
        let row = params![owner(workspace), key, value];
        let stored = self.write(|conn| collect(conn, sql, row, |row| row.get(0).or_failed()));
        stored?.pop().ok_or_else(|| corrupt("a value was not stored"))
    }

    pub fn kv_delete(&self, workspace: Option<&WorkspaceId>, key: &str) -> StoreResult<bool> {
        let sql = "DELETE FROM auth_kv WHERE workspace_id = ?1 AND key = ?2";
        self.write(|conn| Ok(execute(conn, sql, params![owner(workspace), key])? == 1))
    }

    /// Keys that start with `prefix`, in order.
    pub fn kv_list(&self, workspace: Option<&WorkspaceId>, prefix: &str) -> StoreResult<Vec<String>> {
        let sql = "SELECT key FROM auth_kv WHERE workspace_id = ?1 AND substr(key, 1, length(?2)) = ?2 ORDER BY key";
        self.read(|conn| collect(conn, sql, params![owner(workspace), prefix], |row| row.get(0).or_failed()))
    }
}

fn owner(workspace: Option<&WorkspaceId>) -> &str {
    workspace.map_or("", WorkspaceId::as_str)
}
