//! `GET /api/auth/validate`: whom an access token speaks for, and what they may do now.

use axum::Json;
use serde::Serialize;
use syncline_core::Name;
use syncline_core::id::{DeviceId, UserId, WorkspaceId};
use syncline_core::principal::ReadScope;

use crate::clock;
use crate::http::caller::Caller;

#[derive(Serialize)]
pub struct Valid {
    valid: bool,
    workspace_id: WorkspaceId,
    user_id: UserId,
    device_id: DeviceId,
    role: Name,
    read_scope: ReadScope,
    expires_in_s: u64,
}

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
