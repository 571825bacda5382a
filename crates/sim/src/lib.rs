//! A deterministic simulator: a server, a few devices, disks, clocks and a network in virtual time, driven by one seed.
//!
//! The shells and adapters here are its own; the engine, the sessions and the replicas are the product's. An oracle that
//! shares no code with them says after every step what must hold, and planted bugs prove that it notices.

pub mod counters;
pub mod device;
mod disk;
mod faults;
mod genesis;
mod lens;
mod network;
pub mod oracle;
pub mod plant;
mod rng;
pub mod run;
mod schema;
mod server;
pub mod swarm;
mod tamper;
mod trace;
mod workload;
pub mod world;
