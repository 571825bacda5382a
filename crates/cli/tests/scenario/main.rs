//! Whole stories with the real binary, as people live them: several processes, real data, kills and revocations.

mod crash;
mod hostile;
mod revocation;
mod stage;
mod two_devices;
