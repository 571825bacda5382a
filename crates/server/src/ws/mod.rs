//! Sessions: one task per connection, everything it holds bounded.
//!
//! `/ws/{deployment_mode}/{client_id}` → [`upgrade`] → [`session`]: authenticate, `hello`, then pushes up and the
//! audience's ring down, in one loop. Where no WebSocket gets through, [`channels`] carry the same frames.

mod channels;
mod deflate;
mod deposit;
mod frames;
mod hello;
mod live;
mod messages;
mod pushes;
mod session;
mod socket;
mod tally;
mod topics;
mod upgrade;

pub use channels::{Channels, events, poll, post};
pub use topics::may_follow;
pub use upgrade::upgrade;
