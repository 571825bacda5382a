//! `POST /api/auth/login` (spec AUT-1).

use std::sync::Arc;

use axum::extract::State;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use syncline_core::Name;
use syncline_core::id::{DeviceId, UserId, WorkspaceId};
use syncline_core::principal::DeploymentMode;

use crate::app::App;
use crate::auth::{DeviceInfo, Login, SignedIn};
use crate::http::body::Json;
use crate::http::problem::{ApiError, ApiResult};
use syncline_core::protocol::Code;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    email: String,
    password: SecretString,
    workspace: Option<WorkspaceId>,
    device: Option<DeviceRequest>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceRequest {
    device_id: DeviceId,
    name: String,
    deployment_mode: DeploymentMode,
}

/// A pair of tokens with whom they speak for.
#[derive(Serialize)]
pub struct Tokens {
    access_token: String,
    refresh_token: String,
    token_type: &'static str,
    expires_in_s: u64,
    workspace_id: WorkspaceId,
    user_id: UserId,
    device_id: DeviceId,
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

pub async fn login(State(app): State<Arc<App>>, Json(request): Json<Request>) -> ApiResult<axum::Json<Tokens>> {
    if request.email.chars().count() > EMAIL_CHARS_MAX || request.email.contains('\0') {
        return Err(
            ApiError::new(Code::Validation, "An e-mail address has at most 254 characters.").with_field("email")
        );
    }
    let device = match request.device {
        Some(device) => DeviceInfo {
            device_id: device.device_id,
            name: device_name(&device.name)?,
            deployment_mode: device.deployment_mode,
        },
        // Scripts and people at a terminal: a device of its own for every sign-in.
        None => DeviceInfo {
            device_id: DeviceId(crate::random::uuid_v7()),
            name: "API".to_owned(),
            deployment_mode: DeploymentMode::LocalInstall,
        },
    };
    let (email, password, workspace_id) = (request.email, request.password, request.workspace);
    let signed_in = app.auth.login(Login { email, password, workspace_id, device }).await?;
    Ok(axum::Json(signed_in.into()))
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
