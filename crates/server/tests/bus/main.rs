//! The bus as the server sees it. One suite of cases ([`contract`]) for every kind of bus, and what happens when Redis is
//! killed, stopped or cut off ([`faults`]). Test names cite the rule they prove.
//!
//! `SYNCLINE_TEST_REDIS` and `SYNCLINE_TEST_REDIS_CLUSTER` name servers to use, as `cargo xtask test` does; without them
//! each test starts its own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops there")]

mod contract;
mod faults;
mod latency;
mod support;
