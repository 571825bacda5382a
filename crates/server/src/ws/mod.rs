//! WebSocket sessions: one task per socket, everything it holds bounded.
//!
//! `/ws/{deployment_mode}/{client_id}` → [`upgrade`] → [`session`]: authenticate, `hello`, then pushes up and the
//! audience's ring down, in one loop.

mod deposit;
mod frames;
mod hello;
mod live;
mod pushes;
mod session;
mod socket;
mod topics;
mod upgrade;

pub use upgrade::upgrade;
