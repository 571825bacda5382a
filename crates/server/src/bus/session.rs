//! The session cache: small opaque values by key, each with its time to live. It may forget anything at any moment.

use std::time::{Duration, Instant};

use bytes::Bytes;
use moka::Expiry;
use moka::sync::Cache;

use super::BusError;

/// Bytes of a key. Longer: refused.
pub const SESSION_KEY_BYTES_MAX: usize = 200;
/// Bytes of a value. Longer: refused.
pub const SESSION_VALUE_BYTES_MAX: usize = 64 << 10;
/// Bytes one node keeps while it is alone; 32 MiB. Beyond: what is used least goes.
pub const SESSION_CACHE_BYTES_MAX: u64 = 32 << 20;
/// Longest life of a value; 30 days. Longer ones are cut to it.
pub const SESSION_TTL_MS_MAX: u64 = 30 * 86_400_000;

#[derive(Clone)]
struct Value {
    bytes: Bytes,
    ttl: Duration,
}

struct ByTtl;

impl Expiry<String, Value> for ByTtl {
    fn expire_after_create(&self, _key: &String, value: &Value, _now: Instant) -> Option<Duration> {
        Some(value.ttl)
    }
    fn expire_after_update(
        &self,
        _key: &String,
        value: &Value,
        _now: Instant,
        _left: Option<Duration>,
    ) -> Option<Duration> {
        Some(value.ttl)
    }
}

/// The values of one node.
pub(super) struct NodeSessions {
    cache: Cache<String, Value>,
}

impl Default for NodeSessions {
    fn default() -> Self {
        let bytes =
            |key: &String, value: &Value| u32::try_from(key.len() + value.bytes.len() + 128).unwrap_or(u32::MAX);
        Self {
            cache: Cache::builder().max_capacity(SESSION_CACHE_BYTES_MAX).weigher(bytes).expire_after(ByTtl).build(),
        }
    }
}

impl NodeSessions {
    pub fn get(&self, key: &str) -> Option<Bytes> {
        self.cache.get(key).map(|value| value.bytes)
    }
    pub fn put(&self, key: &str, bytes: Bytes, ttl_ms: u64) {
        self.cache.insert(key.to_owned(), Value { bytes, ttl: Duration::from_millis(ttl_ms) });
    }
    pub fn delete(&self, key: &str) {
        self.cache.invalidate(key);
    }
    pub fn clear(&self) {
        self.cache.invalidate_all();
    }
}

/// Refuses what is too large for the cache.
pub(super) fn check_key(key: &str) -> Result<(), BusError> {
    let size = key.len();
    let is_fine = (1..=SESSION_KEY_BYTES_MAX).contains(&size);
    if is_fine { Ok(()) } else { Err(BusError::SessionKey { size }) }
}

pub(super) fn check_value(value: &[u8]) -> Result<(), BusError> {
    let size = value.len();
    if size <= SESSION_VALUE_BYTES_MAX { Ok(()) } else { Err(BusError::SessionValue { size }) }
}
