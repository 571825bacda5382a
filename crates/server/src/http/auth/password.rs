//! `POST /api/auth/password`: a new password for oneself; every other sign-in ends.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use syncline_core::protocol::Code;

use crate::app::App;
use crate::auth::{PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN};
use crate::http::body::Json;
use crate::http::caller::Caller;
use crate::http::problem::{ApiError, ApiResult};

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PasswordChange)]
pub struct Request {
    #[schema(value_type = String)]
    current_password: SecretString,
    #[schema(value_type = String)]
    new_password: SecretString,
}

#[utoipa::path(
    post,
    path = "/api/auth/password",
    tag = "auth",
    operation_id = "change_password",
    request_body = Request,
    responses((status = 204, description = "Changed; every sign-in has ended")),
    security(("bearer" = []))
)]
pub async fn change_password(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(request): Json<Request>,
) -> ApiResult<StatusCode> {
    check_password(&request.new_password)?;
    app.auth.change_password(&caller.claims, request.current_password, request.new_password).await?;
    app.hub.end_sign_in(caller.workspace_id(), |session| session.user_id == caller.user_id());
    Ok(StatusCode::NO_CONTENT)
}

/// Bounds on a new password's length; its contents are the person's business.
pub fn check_password(password: &SecretString) -> ApiResult<()> {
    let chars = password.expose_secret().chars().take(PASSWORD_CHARS_MAX + 1).count();
    if (PASSWORD_CHARS_MIN..=PASSWORD_CHARS_MAX).contains(&chars) {
        return Ok(());
    }
    let message = format!("A password has {PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX} characters.");
    Err(ApiError::new(Code::Validation, message).with_field("password"))
}
