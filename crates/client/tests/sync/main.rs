//! Devices and a real server: every test starts one on a free port, and signs in as the people of the demo. Test names
//! cite the rule they prove.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops there")]

mod devices;
mod support;
