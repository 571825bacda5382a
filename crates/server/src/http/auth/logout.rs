//! `POST /api/auth/logout`: ends this sign-in, or every one of the caller's.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;

use crate::app::App;
use crate::http::body::Json;
use crate::http::caller::Caller;
use crate::http::problem::ApiResult;
use crate::observe::{AuthOperation, Status};

#[derive(Deserialize, Default, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = LogoutRequest)]
pub struct Request {
    /// Also every other device of the caller.
    everywhere: bool,
}

#[utoipa::path(
    post,
    path = "/api/auth/logout",
    tag = "auth",
    operation_id = "logout",
    request_body = Request,
    responses((status = 204, description = "Ended")),
    security(("bearer" = []))
)]
pub async fn logout(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(request): Json<Request>,
) -> ApiResult<StatusCode> {
    let (claims, workspace_id) = (&caller.claims, caller.workspace_id());
    if request.everywhere {
        app.auth.sign_out_everywhere(workspace_id, caller.user_id()).await?;
        app.hub.end_sign_in(workspace_id, |session| session.user_id == claims.sub);
    } else {
        app.auth.sign_out(claims).await?;
        app.hub.end_sign_in(workspace_id, |session| session.sid == claims.sid);
    }
    app.metrics.count_auth(AuthOperation::Logout, Status::Ok);
    Ok(StatusCode::NO_CONTENT)
}
