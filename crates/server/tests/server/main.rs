//! The server as its clients see it: a real one on a free port, spoken to over HTTP and WebSockets. Test names cite the
//! rule they prove.

mod auth;
mod drain;
mod grants;
mod hostile;
mod live;
mod problems;
mod rest;
mod revocation;
mod session;
mod snapshot;
mod support;
mod tenants;
