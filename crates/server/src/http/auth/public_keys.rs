//! `GET /.well-known/jwks.json`: what other programs verify our access tokens with.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use jsonwebtoken::jwk::JwkSet;

use crate::app::App;

/// How long others may keep the answer. A key is told of before it signs, so that nobody needs it sooner.
const CACHED: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// The public keys of `JWT_ALGORITHM` RS256, ES256 or EdDSA, and of the key beside it while keys are changed (RFC 7517). Empty
/// for HS256, whose secret is nobody else's.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    tag = "auth",
    operation_id = "public_keys",
    responses((status = 200, description = "A JSON Web Key Set", body = Object))
)]
pub async fn public_keys(State(app): State<Arc<App>>) -> ([(HeaderName, HeaderValue); 1], Json<JwkSet>) {
    ([(header::CACHE_CONTROL, CACHED)], Json(app.auth.public_keys().clone()))
}
