//! Whole stories with the real binary, as people live them: several processes, real data, kills and revocations.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops there")]

mod crash;
#[allow(dead_code, reason = "the server's own tests use more of it")]
#[path = "../../../server/tests/server/support/database.rs"]
mod database;
mod hostile;
mod messages;
mod restores;
mod revocation;
mod stage;
mod two_devices;
