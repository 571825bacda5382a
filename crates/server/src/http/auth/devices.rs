//! `/api/auth/devices`: one's own devices; any device of the workspace for admins (spec AUT-3).

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use syncline_core::TimestampMs;
use syncline_core::id::{DeviceId, UserId};
use syncline_core::principal::DeploymentMode;
use syncline_storage::sqlite::Device;

use super::login::device_name;
use crate::app::App;
use crate::http::body::Json;
use crate::http::caller::Caller;
use crate::http::problem::{ApiError, ApiResult};

/// A device as its owner and admins see it.
#[derive(Serialize, utoipa::ToSchema)]
pub struct DeviceView {
    #[schema(value_type = String, format = Uuid)]
    device_id: DeviceId,
    #[schema(value_type = String, format = Uuid)]
    user_id: UserId,
    name: String,
    #[schema(value_type = crate::http::openapi::DeploymentMode)]
    deployment_mode: DeploymentMode,
    #[schema(value_type = u64)]
    created_ms: TimestampMs,
    #[schema(value_type = u64)]
    last_seen_ms: TimestampMs,
    #[schema(value_type = Option<u64>)]
    revoked_ms: Option<TimestampMs>,
    /// The device this request comes from.
    is_current: bool,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct Devices {
    pub items: Vec<DeviceView>,
    /// `after` of the next page; absent at the end, and where there are no pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl DeviceView {
    pub fn list(devices: Vec<Device>, current: DeviceId) -> Devices {
        let view = |device: Device| DeviceView {
            is_current: device.device_id == current,
            device_id: device.device_id,
            user_id: device.user_id,
            name: device.name,
            deployment_mode: device.deployment_mode,
            created_ms: device.created_ms,
            last_seen_ms: device.last_seen_ms,
            revoked_ms: device.revoked_ms,
        };
        Devices { items: devices.into_iter().map(view).collect(), next: None }
    }
}

/// `GET /api/auth/devices`: the caller's.
#[utoipa::path(
    get,
    path = "/api/auth/devices",
    tag = "auth",
    operation_id = "list_devices",
    responses((status = 200, description = "Last seen first", body = Devices)),
    security(("bearer" = []))
)]
pub async fn list_devices(State(app): State<Arc<App>>, caller: Caller) -> ApiResult<axum::Json<Devices>> {
    let devices = app.auth.devices(caller.workspace_id(), Some(caller.user_id())).await?;
    Ok(axum::Json(DeviceView::list(devices, caller.device_id())))
}

/// `DELETE /api/auth/devices/{id}`: cuts the device off, also where it is connected now.
#[utoipa::path(
    delete,
    path = "/api/auth/devices/{id}",
    tag = "auth",
    operation_id = "revoke_device",
    params(("id" = String, Path, description = "Id of the device", format = Uuid)),
    responses((status = 204, description = "Revoked")),
    security(("bearer" = []))
)]
pub async fn revoke_device(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    let device = find(&app, &caller, &id).await?;
    app.auth.revoke_device(caller.workspace_id(), device.device_id).await?;
    app.hub.revoke_device(caller.workspace_id(), device.device_id);
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DeviceRename)]
pub struct Rename {
    name: String,
}

/// `PATCH /api/auth/devices/{id}`.
#[utoipa::path(
    patch,
    path = "/api/auth/devices/{id}",
    tag = "auth",
    operation_id = "rename_device",
    params(("id" = String, Path, description = "Id of the device", format = Uuid)),
    request_body = Rename,
    responses((status = 204, description = "Renamed")),
    security(("bearer" = []))
)]
pub async fn rename_device(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(rename): Json<Rename>,
) -> ApiResult<StatusCode> {
    let device = find(&app, &caller, &id).await?;
    app.auth.rename_device(caller.workspace_id(), device.device_id, device_name(&rename.name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The device, when it is the caller's or the caller is an admin; otherwise it does not exist.
async fn find(app: &App, caller: &Caller, id: &str) -> ApiResult<Device> {
    let missing = || ApiError::not_found("There is no such device.");
    let id: DeviceId = id.parse().map_err(|_| missing())?;
    let device = app.auth.device(caller.workspace_id(), id).await?.ok_or_else(missing)?;
    let may = device.user_id == caller.user_id() || caller.is_admin();
    if may { Ok(device) } else { Err(missing()) }
}
