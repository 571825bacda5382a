//! `GET /api/admin/clients`: every client's lag and outbox, as it last reported.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::app::App;
use crate::http::caller::Caller;
use crate::http::problem::ApiResult;
use crate::http::sync::{ClientView, client_views};

#[derive(Serialize, utoipa::ToSchema)]
pub struct Clients {
    items: Vec<ClientView>,
}

#[utoipa::path(
    get,
    path = "/api/admin/clients",
    tag = "admin",
    operation_id = "admin_clients",
    responses((status = 200, description = "As they last reported", body = Clients)),
    security(("bearer" = []))
)]
pub async fn clients(State(app): State<Arc<App>>, caller: Caller) -> ApiResult<Json<Clients>> {
    caller.require_admin()?;
    let head = app.db.read(caller.workspace_id(), |read| read.head()).await?;
    Ok(Json(Clients { items: client_views(&app, &caller, head.seq).await? }))
}
