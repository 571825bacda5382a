//! The one source of randomness of the server: the operating system's.

use std::sync::Mutex;
use std::time::Duration;

use rand::Rng as _;
use uuid::{ContextV7, Timestamp, Uuid};

/// Fills an array with random bytes from the thread's cryptographic generator, which the system seeds.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// Orders the ids of one millisecond (RFC 9562 §6.2, method 1).
static ORDER: Mutex<ContextV7> = Mutex::new(ContextV7::new());

/// Returns a fresh UUIDv7 of now, greater than all this process returned before.
pub fn uuid_v7() -> Uuid {
    let now = Duration::from_millis(crate::clock::now_ms());
    Uuid::new_v7(Timestamp::from_unix(&ORDER, now.as_secs(), now.subsec_nanos()))
}

/// Returns a random UUID of version 5, told apart from those that databases mint: see `ClientId::is_of_requests`.
pub fn uuid_v5() -> Uuid {
    uuid::Builder::from_sha1_bytes(bytes()).into_uuid()
}

/// Returns 256 random bits as 43 characters of URL-safe text: a secret nobody guesses.
pub fn secret_text() -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    bytes::<43>().iter().map(|byte| char::from(ALPHABET[usize::from(byte & 63)])).collect()
}

/// Returns a number in `min..=max`, for spreading retries.
pub fn between(min: u64, max: u64) -> u64 {
    let span = max.saturating_sub(min).saturating_add(1);
    min + u64::from_le_bytes(bytes()) % span.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_1_ids_of_one_process_grow() {
        let ids: Vec<_> = (0..10_000).map(|_| uuid_v7()).collect();
        assert!(ids.is_sorted_by(|one, next| one < next));
    }
}
