//! `POST /api/auth/login` (spec AUT-1).

use std::sync::Arc;

use axum::extract::State;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use syncline_core::Name;
use syncline_core::id::{DeviceId, UserId, WorkspaceId};
use syncline_core::principal::DeploymentMode;

use crate::app::App;
use crate::auth::{DeviceInfo, ForeignLogin, Login, SignedIn};
use crate::http::body::Json;
use crate::http::problem::{ApiError, ApiResult};
use syncline_core::protocol::Code;

/// Address and password at the top or in `credentials`, or a token of somebody else's there.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LoginRequest)]
pub struct Request {
    email: Option<String>,
    #[schema(value_type = Option<String>)]
    password: Option<SecretString>,
    credentials: Option<Credentials>,
    #[schema(value_type = Option<String>)]
    workspace: Option<WorkspaceId>,
    /// What a device is that `device` does not describe.
    #[schema(value_type = Option<crate::http::openapi::DeploymentMode>)]
    deployment_mode: Option<DeploymentMode>,
    device: Option<DeviceRequest>,
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LoginCredentials)]
struct Credentials {
    email: Option<String>,
    #[schema(value_type = Option<String>)]
    password: Option<SecretString>,
    #[schema(value_type = Option<String>)]
    supabase_token: Option<SecretString>,
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LoginDevice)]
struct DeviceRequest {
    #[schema(value_type = String, format = Uuid)]
    device_id: DeviceId,
    name: String,
    #[schema(value_type = crate::http::openapi::DeploymentMode)]
    deployment_mode: DeploymentMode,
}

/// The one credential of a request.
enum Given {
    Password { email: String, password: SecretString },
    Supabase(SecretString),
}

/// A pair of tokens with whom they speak for.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Tokens {
    access_token: String,
    refresh_token: String,
    token_type: &'static str,
    expires_in_s: u64,
    #[schema(value_type = String)]
    workspace_id: WorkspaceId,
    #[schema(value_type = String, format = Uuid)]
    user_id: UserId,
    #[schema(value_type = String, format = Uuid)]
    device_id: DeviceId,
    #[schema(value_type = String)]
    role: Name,
}

impl From<SignedIn> for Tokens {
    fn from(signed_in: SignedIn) -> Self {
        Self {
            access_token: signed_in.access_token,
            refresh_token: signed_in.refresh_token,
            token_type: "Bearer",
            expires_in_s: signed_in.expires_in_s,
            workspace_id: signed_in.workspace_id,
            user_id: signed_in.user_id,
            device_id: signed_in.device_id,
            role: signed_in.access.role,
        }
    }
}

/// Longest e-mail address; characters (RFC 5321).
const EMAIL_CHARS_MAX: usize = 254;
/// Longest name of a device; characters.
const DEVICE_NAME_CHARS_MAX: usize = 100;

#[utoipa::path(
    post,
    path = "/api/auth/login",
    tag = "auth",
    operation_id = "login",
    request_body = Request,
    responses((status = 200, description = "Signed in", body = Tokens))
)]
pub async fn login(State(app): State<Arc<App>>, Json(request): Json<Request>) -> ApiResult<axum::Json<Tokens>> {
    let device = device(request.device, request.deployment_mode)?;
    let workspace_id = request.workspace;
    let signed_in = match given(request.email, request.password, request.credentials)? {
        Given::Password { email, password } => app.auth.login(Login { email, password, workspace_id, device }).await?,
        Given::Supabase(token) => app.login_with_supabase(ForeignLogin { token, workspace_id, device }).await?,
    };
    Ok(axum::Json(signed_in.into()))
}

fn given(email: Option<String>, password: Option<SecretString>, credentials: Option<Credentials>) -> ApiResult<Given> {
    let at_top = Credentials { email, password, supabase_token: None };
    let given = match credentials {
        Some(_) if at_top.email.is_some() || at_top.password.is_some() => return Err(one_credential()),
        Some(credentials) => credentials,
        None => at_top,
    };
    match given {
        Credentials { email: Some(email), password: Some(password), supabase_token: None } => {
            if email.chars().count() > EMAIL_CHARS_MAX || email.contains('\0') {
                let message = "An e-mail address has at most 254 characters.";
                return Err(ApiError::new(Code::Validation, message).with_field("email"));
            }
            Ok(Given::Password { email, password })
        }
        Credentials { email: None, password: None, supabase_token: Some(token) } => Ok(Given::Supabase(token)),
        Credentials { .. } => Err(one_credential()),
    }
}

fn one_credential() -> ApiError {
    let message =
        "Send either `email` and `password`, at the top or in `credentials`, or `credentials.supabase_token`.";
    ApiError::new(Code::Validation, message).with_field("credentials")
}

/// The device that signs in. Scripts and people at a terminal describe none: they share one per user and mode.
fn device(described: Option<DeviceRequest>, mode: Option<DeploymentMode>) -> ApiResult<DeviceInfo> {
    let Some(device) = described else {
        let (device_id, name) = (DeviceId(crate::random::uuid_v7()), "API".to_owned());
        let deployment_mode = mode.unwrap_or(DeploymentMode::LocalInstall);
        return Ok(DeviceInfo { device_id, name, deployment_mode, is_unnamed: true });
    };
    if mode.is_some_and(|mode| mode != device.deployment_mode) {
        let message = "`deployment_mode` and `device.deployment_mode` differ. Send one of them.";
        return Err(ApiError::new(Code::Validation, message).with_field("deployment_mode"));
    }
    let (device_id, deployment_mode) = (device.device_id, device.deployment_mode);
    Ok(DeviceInfo { device_id, name: device_name(&device.name)?, deployment_mode, is_unnamed: false })
}

/// A name without control characters, trimmed, 1 to 100 characters.
pub(super) fn device_name(text: &str) -> ApiResult<String> {
    let name = text.trim();
    let is_valid = (1..=DEVICE_NAME_CHARS_MAX).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if is_valid {
        return Ok(name.to_owned());
    }
    let message = "A device's name has 1 to 100 characters and no control characters.";
    Err(ApiError::new(Code::Validation, message).with_field("name"))
}
