//! Devices and a real server: every test starts one on a free port, and signs in as the people of the demo. Test names
//! cite the rule they prove.

mod devices;
mod support;
