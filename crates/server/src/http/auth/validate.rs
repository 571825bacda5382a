//! `GET /api/auth/validate`: whom an access token speaks for, and what they may do now.

use axum::Json;
use serde::Serialize;
use syncline_core::Name;
use syncline_core::id::{DeviceId, UserId, WorkspaceId};
use syncline_core::principal::ReadScope;

use crate::clock;
use crate::http::caller::Caller;

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Validation)]
pub struct Valid {
    valid: bool,
    #[schema(value_type = String)]
    workspace_id: WorkspaceId,
    #[schema(value_type = String, format = Uuid)]
    user_id: UserId,
    #[schema(value_type = String, format = Uuid)]
    device_id: DeviceId,
    #[schema(value_type = String)]
    role: Name,
    #[schema(value_type = crate::http::openapi::ReadScope)]
    read_scope: ReadScope,
    expires_in_s: u64,
}

#[utoipa::path(
    get,
    path = "/api/auth/validate",
    tag = "auth",
    operation_id = "validate",
    responses((status = 200, description = "The token is good", body = Valid)),
    security(("bearer" = []))
)]
pub async fn validate(caller: Caller) -> Json<Valid> {
    Json(Valid {
        valid: true,
        workspace_id: caller.workspace_id().clone(),
        user_id: caller.user_id(),
        device_id: caller.device_id(),
        expires_in_s: caller.claims.exp.saturating_sub(clock::now_ms() / 1_000),
        role: caller.access.role,
        read_scope: caller.access.read_scope,
    })
}
