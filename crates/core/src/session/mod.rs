//! Both sides of a session, without I/O.

pub mod client;
pub mod server;
