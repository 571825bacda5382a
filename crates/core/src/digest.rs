//! Order-independent digests: equal sets of `(entity, id, rv)` give equal digests on every implementation.

use serde::{Deserialize, Serialize};

use crate::Seq;
use crate::id::RecordId;

/// Count and sum of the hashes of a set of live records (spec DIG-1). Adding and removing are O(1) and commute.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Digest {
    pub count: u64,
    /// Sum of [`record_hash`] modulo 2^64.
    pub sum: u64,
}

impl Digest {
    pub const EMPTY: Self = Self { count: 0, sum: 0 };

    pub fn add(&mut self, entity: &str, id: &RecordId, rv: Seq) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(record_hash(entity, id, rv));
    }
    /// Removes a record that was added before with the same `rv`.
    pub fn remove(&mut self, entity: &str, id: &RecordId, rv: Seq) {
        self.count = self.count.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(record_hash(entity, id, rv));
    }
}

/// The 64-bit hash of one live record (spec DIG-2): FNV-1a over `entity ‖ 0x00 ‖ id (16 bytes) ‖ rv (8 bytes, big
/// endian)`, then MurmurHash3's 64-bit finaliser, because plain FNV spreads the last byte poorly. Small enough to write
/// in any language; not a defence against somebody who can choose record ids.
pub fn record_hash(entity: &str, id: &RecordId, rv: Seq) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let bytes = entity.as_bytes().iter().chain(&[0]).chain(id.as_bytes()).copied().chain(rv.to_be_bytes());
    let mut hash = bytes.fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// On the wire: `{"count": 3, "sum": "00f1e2d3c4b5a697"}`, the sum as 16 hex digits because it exceeds 2^53.
#[derive(Serialize, Deserialize)]
struct WireDigest {
    count: u64,
    sum: String,
}
impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        WireDigest { count: self.count, sum: format!("{:016x}", self.sum) }.serialize(serializer)
    }
}
impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = WireDigest::deserialize(deserializer)?;
        let is_hex = wire.sum.len() == 16 && wire.sum.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_hex {
            return Err(serde::de::Error::custom("a digest's sum is 16 hex digits"));
        }
        let sum = u64::from_str_radix(&wire.sum, 16).map_err(serde::de::Error::custom)?;
        Ok(Self { count: wire.count, sum })
    }
}
