//! The SQLite store through its public API: crashes, concurrency, failures, backup. What every database does is tested in `contract.rs`,
//! `auth.rs` and `evolution.rs`.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;

#[path = "store/backup.rs"]
mod backup;
#[path = "store/crash.rs"]
mod crash;
#[path = "store/failure.rs"]
mod failure;
#[path = "store/readers.rs"]
mod readers;
