//! Statements that are prepared once for each connection, with their rows decoded.

use rusqlite::{Connection, Params, Row};
use syncline_core::storage::StoreResult;

use super::error::OrFailed as _;

/// All rows of a query, each decoded. The query bounds how many there are.
pub(super) fn collect<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    decode: impl Fn(&Row<'_>) -> StoreResult<T>,
) -> StoreResult<Vec<T>> {
    let mut statement = conn.prepare_cached(sql).or_failed()?;
    let mut rows = statement.query(params).or_failed()?;
    let mut all = Vec::new();
    while let Some(row) = rows.next().or_failed()? {
        all.push(decode(row)?);
    }
    Ok(all)
}

/// Runs a statement; how many rows it changed.
pub(super) fn execute(conn: &Connection, sql: &str, params: impl Params) -> StoreResult<usize> {
    conn.prepare_cached(sql).or_failed()?.execute(params).or_failed()
}
