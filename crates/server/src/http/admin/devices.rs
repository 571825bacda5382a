//! `GET /api/admin/devices`: every device of the workspace, last seen first.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::app::App;
use crate::http::auth::{DeviceView, Devices};
use crate::http::caller::Caller;
use crate::http::problem::ApiResult;

#[utoipa::path(
    get,
    path = "/api/admin/devices",
    tag = "admin",
    operation_id = "admin_devices",
    responses((status = 200, description = "Last seen first", body = Devices)),
    security(("bearer" = []))
)]
pub async fn devices(State(app): State<Arc<App>>, caller: Caller) -> ApiResult<Json<Devices>> {
    caller.require_admin()?;
    let devices = app.auth.devices(caller.workspace_id(), None).await?;
    Ok(Json(DeviceView::list(devices, caller.device_id())))
}
