//! The one source of randomness of the client: the operating system's.

use rand::Rng as _;
use syncline_core::id::{ClientId, DeviceId, MutationId, RecordId};

use crate::clock::now_ms;

pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

pub(crate) fn bits() -> u128 {
    u128::from_be_bytes(bytes())
}

/// Mints the id of a new record.
pub fn record_id() -> RecordId {
    RecordId::v7(now_ms(), bytes())
}

/// Mints the id of a new mutation.
pub fn mutation_id() -> MutationId {
    MutationId::v7(now_ms(), bytes())
}

pub(crate) fn client_id() -> ClientId {
    ClientId::v7(now_ms(), bytes())
}

pub(crate) fn device_id() -> DeviceId {
    DeviceId::v7(now_ms(), bytes())
}
