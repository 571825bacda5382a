//! The SQLite store through its public API: the contract, crashes, schema changes, concurrency, failures, backup.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;

#[path = "store/backup.rs"]
mod backup;
#[path = "store/crash.rs"]
mod crash;
#[path = "store/evolution.rs"]
mod evolution;
#[path = "store/failure.rs"]
mod failure;
#[path = "store/readers.rs"]
mod readers;

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
