//! `DELETE /api/admin/users/{id}/identities/{provider}`: ends the link of a user with an account elsewhere.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use syncline_core::id::UserId;

use super::write::{check_rank, person};
use crate::app::App;
use crate::auth::SUPABASE;
use crate::http::caller::Caller;
use crate::http::problem::{ApiError, ApiResult};

/// Who signs in with an account under the same address afterwards is linked anew.
#[utoipa::path(
    delete,
    path = "/api/admin/users/{id}/identities/{provider}",
    tag = "admin",
    operation_id = "unlink_identity",
    params(("id" = String, Path, description = "Id of the user", format = Uuid), ("provider" = String, Path, description = "`supabase`")),
    responses((status = 204, description = "The link has ended")),
    security(("bearer" = []))
)]
pub async fn unlink_identity(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((id, provider)): Path<(String, String)>,
) -> ApiResult<StatusCode> {
    caller.require_admin()?;
    let target = person(&app, &caller, &id).await?;
    check_rank(&app.schema(), &caller, target.role())?;
    let user_id = UserId(target.user.id.0);
    if provider != SUPABASE || !app.auth.unlink(caller.workspace_id(), user_id).await? {
        return Err(ApiError::not_found("This user is not linked with an account of that provider."));
    }
    let workspace_id = caller.workspace_id();
    tracing::info!(event = "identity_unlinked", %workspace_id, %user_id, by = %caller.user_id(), "a link was ended");
    Ok(StatusCode::NO_CONTENT)
}
