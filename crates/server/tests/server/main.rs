//! The server as its clients see it: a real one on a free port, spoken to over HTTP and WebSockets. Test names cite the
//! rule they prove.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops there")]

mod alerts;
mod analytics;
mod audit;
mod auth;
mod calls;
mod console;
mod deflate;
mod doors;
mod drain;
mod edge;
mod first_start;
mod frames;
mod grants;
mod hostile;
mod live;
mod messages;
mod operators;
mod presence;
mod problems;
mod rates;
mod rest;
mod revocation;
mod session;
mod snapshot;
mod supabase;
mod support;
mod tenants;
mod tls;
mod topics;
mod transports;
mod webhooks;
