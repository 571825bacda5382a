//! Several nodes on one PostgreSQL and one Redis, as real processes that are killed, frozen and cut off from one another while
//! eight clients write.
//!
//! After every fault all that was acknowledged is there exactly once, every outbox drains, all replicas and a new one agree,
//! and every node is ready. Each test prints how long recovering took: `cargo nextest run -p syncline-cli --test nodes
//! --no-capture`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops there")]

mod dashboard;
mod freezes;
mod importing;
mod kills;
mod live;
mod messages;
mod network;
mod outage;
mod people;
mod proxied;
mod revocation;
mod rolling;
mod starting;
mod support;
mod transports;
