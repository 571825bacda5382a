//! `If-Match` and `Idempotency-Key`: what makes a write conditional or repeatable.

use axum::http::{HeaderMap, header};
use sha2::{Digest as _, Sha256};
use syncline_core::Seq;
use syncline_core::id::{ClientId, RecordId};
use syncline_core::protocol::Code;
use uuid::Uuid;

use crate::http::caller::Caller;
use crate::http::outcome::precondition_failed;
use crate::http::problem::{ApiError, ApiResult};
use crate::push::Idempotency;

/// Namespace of ids derived from idempotency keys: the UUIDv5 of the DNS name `idempotency.syncline.dev`.
const NAMESPACE: Uuid = Uuid::from_u128(0x8f0d_4b35_93c1_5b0e_9d3a_6c6c_1f1e_7a52);
const KEY_BYTES_MAX: usize = 200;

/// The rv of `If-Match: "<rv>"`; `None` without the header or with `*`.
pub fn if_match(headers: &HeaderMap) -> ApiResult<Option<Seq>> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let tag = text.trim_start_matches("W/").strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let tag = tag.filter(|tag| !tag.contains('"')).ok_or_else(|| {
        let message = "If-Match takes one ETag as an answer gave it, such as \"536\", or *.";
        ApiError::new(Code::Validation, message).with_field("If-Match")
    })?;
    // What is weak, or not ours, matches nothing.
    let rv = tag.parse().ok().filter(|_| !text.starts_with("W/"));
    rv.map(Some).ok_or_else(precondition_failed)
}

/// The identity of a request with an `Idempotency-Key`. The key belongs to the caller's device; the same key with another
/// `request` (its text: method, path, body) is noticed.
pub fn idempotency(headers: &HeaderMap, caller: &Caller, request: &[u8]) -> ApiResult<Option<Idempotency>> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.as_bytes();
    let is_valid = (1..=KEY_BYTES_MAX).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic);
    if !is_valid {
        let message = "An Idempotency-Key has 1 to 200 visible ASCII characters.";
        return Err(ApiError::new(Code::Validation, message).with_field("Idempotency-Key"));
    }
    let (workspace, user, device) = (caller.workspace_id(), caller.user_id(), caller.device_id());
    let scope = format!("{workspace}\u{0}{user}\u{0}{device}\u{0}");
    let client_id = Uuid::new_v5(&NAMESPACE, &[scope.as_bytes(), key].concat());
    let request_id = Uuid::new_v5(&client_id, &Sha256::digest(request));
    Ok(Some(Idempotency { client_id: ClientId(client_id), request_id }))
}

/// Id of a record that a repeatable request creates: the same for every attempt.
pub fn derived_record_id(idempotency: &Idempotency, index: u64) -> RecordId {
    RecordId(Uuid::new_v5(&idempotency.request_id, &[b"record".as_slice(), &index.to_be_bytes()].concat()))
}
