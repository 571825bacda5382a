//! Hostile peers against the real binary, beside an honest client (issue "Done when", reliability "Attacks").
//!
//! During each attack the honest client signs in, reads and writes over REST, and opens sockets that say hello and push. It
//! must be answered every time; how fast is printed: `cargo nextest run -p syncline-cli --test hostile --no-capture`. The
//! memory of the server must stay within [`stage::BYTES_PER_SOCKET_MAX`] for each hostile socket. Single malformed frames
//! and their answers are tested in the server's own `hostile.rs`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops there")]

mod crowd;
mod floods;
mod honest;
#[allow(dead_code, reason = "the nodes' tests use more of it")]
#[path = "../nodes/support/proxy.rs"]
mod proxy;
mod raw;
mod slow;
mod stage;
