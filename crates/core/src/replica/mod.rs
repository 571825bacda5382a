//! A device's copy of what it may see: base, outbox, and the rejected list.

pub mod contract;
mod memory;
mod store;

pub use memory::MemoryReplica;
pub use store::*;
