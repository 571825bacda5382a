//! The writer: one thread that takes every waiting push, plans it with `core`'s engine, and commits it as one group.

mod group;
mod job;
#[cfg(test)]
mod tests;
mod writer;

pub use job::{Busy, Committed, Decision, Precondition, PushJob};
pub use writer::{Writer, WriterParts};
