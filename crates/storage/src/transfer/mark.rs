//! The mark of a database that a copy into it has not finished.

use serde_json::json;
use syncline_core::storage::StoreResult;

use super::Transfer;
use crate::database_auth::DatabaseAuth;
use crate::sqlite::refused;

/// Key of the mark among the server's own values.
pub(super) const KEY: &str = "incomplete_copy";

pub(super) fn is_set(auth: &DatabaseAuth) -> StoreResult<bool> {
    Ok(auth.kv_get(None, KEY)?.is_some())
}

pub(super) fn set(auth: &DatabaseAuth, request: &Transfer<'_>) -> StoreResult<()> {
    auth.kv_put(None, KEY, json!({ "from": request.from.to_string() }).to_string().as_bytes())
}

pub(super) fn unset(auth: &DatabaseAuth) -> StoreResult<()> {
    auth.kv_delete(None, KEY).map(drop)
}

/// Refuses a database with the mark: what is in it is a part of something.
pub(crate) fn refuse_incomplete(auth: &DatabaseAuth) -> StoreResult<()> {
    if !is_set(auth)? {
        return Ok(());
    }
    Err(refused(
        "a copy into this database was not finished: run the same `syncline migrate-storage` again, which begins anew",
    ))
}
