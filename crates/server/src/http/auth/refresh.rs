//! `POST /api/auth/refresh` (spec AUT-2).

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use serde::Deserialize;

use super::login::Tokens;
use crate::app::App;
use crate::http::body::Json;
use crate::http::problem::ApiResult;

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RefreshRequest)]
pub struct Request {
    refresh_token: String,
}

/// With an `Idempotency-Key` a lost reply may be asked for again for a minute, as long as what it brought is unused.
#[utoipa::path(
    post,
    path = "/api/auth/refresh",
    tag = "auth",
    operation_id = "refresh",
    request_body = Request,
    responses((status = 200, description = "A new pair", body = Tokens))
)]
pub async fn refresh(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Json(request): Json<Request>,
) -> ApiResult<axum::Json<Tokens>> {
    let may_retry = headers.contains_key("idempotency-key");
    let refreshed = app.auth.refresh(&request.refresh_token, may_retry).await?;
    Ok(axum::Json(refreshed.into()))
}
