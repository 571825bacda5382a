//! The wire: frames, codes and limits (spec/PROTOCOL.md). JSON, one frame per message, unknown members ignored.

mod codes;
mod frames;
pub mod limits;

pub use codes::{Class, CloseCode, Code, Problem};
pub use frames::*;
