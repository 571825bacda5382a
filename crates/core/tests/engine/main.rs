//! The engine against its spec, through the public API alone.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops there")]

mod conflicts;
mod derived;
mod grouping;
mod merging;
mod permission;
mod pushing;
mod sessions;
mod world;
