//! The engine against its spec, through the public API alone.

mod conflicts;
mod merging;
mod permission;
mod pushing;
mod sessions;
mod world;
