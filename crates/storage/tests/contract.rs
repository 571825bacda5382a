//! SQLite passes the storage contract (invariant 11).

use syncline_core::storage::contract;
use syncline_storage::{SqliteOptions, SqliteStore};

#[test]
fn inv_11_sqlite_passes_the_contract() {
    let mut folders = Vec::new();
    contract::run(|schema| {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("data.sqlite"), schema.clone(), SqliteOptions::default());
        folders.push(folder);
        store.unwrap()
    });
}
