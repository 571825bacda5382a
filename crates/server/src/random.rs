//! The one source of randomness of the server: the operating system's.

use rand::Rng as _;
use uuid::Uuid;

/// Fills an array with random bytes from the thread's cryptographic generator, which the system seeds.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// Returns a fresh UUIDv7 of now.
pub fn uuid_v7() -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(crate::clock::now_ms(), &bytes()).into_uuid()
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
