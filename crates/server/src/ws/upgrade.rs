//! `GET /ws/{deployment_mode}/{client_id}`: from HTTP to a session (spec SES-1, HUB-1, HUB-4).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use syncline_core::id::ClientId;
use syncline_core::principal::DeploymentMode;
use syncline_core::protocol::{Code, Problem};
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use super::session::{Opened, run};
use crate::app::App;
use crate::http::{ApiError, bearer, check_origin};

pub async fn upgrade(
    State(app): State<Arc<App>>,
    Path((mode, client_id)): Path<(String, String)>,
    mut request: Request,
) -> Result<Response, ApiError> {
    let mode = parse_mode(&mode)
        .ok_or_else(|| ApiError::new(Code::Malformed, format!("`{mode}` is not a deployment mode: use {MODES}.")))?;
    let client_id: ClientId = client_id.parse().map_err(|_| {
        ApiError::new(Code::Malformed, "The client id in the path is not a UUID: mint one per local database.")
    })?;
    let headers = request.headers();
    check_origin(&app.config.edge, headers)?;
    let verified = match bearer(headers) {
        Some(token) => Some(app.auth.verify_for_socket(token)?),
        None if headers.contains_key(header::AUTHORIZATION) => return Err(crate::auth::AuthError::MissingToken.into()),
        None => None,
    };
    let response = create_response_with_body(&request, Body::empty).map_err(|error| {
        let message = format!("This address speaks WebSocket: {error}.");
        let error = ApiError::new(Code::Malformed, message).with_status(StatusCode::UPGRADE_REQUIRED);
        error.with_header(header::UPGRADE, HeaderValue::from_static("websocket"))
    })?;
    if app.hub.is_draining() {
        return Err(busy(Code::Unavailable, "This node is going away. Connect again in a moment."));
    }
    let admission = app.hub.connections.admit(mode).ok_or_else(|| {
        busy(Code::Overloaded, "As many connections of this deployment mode are open as may be. Try again later.")
    })?;
    let upgraded = hyper::upgrade::on(&mut request);
    let opened = Opened { mode, client_id, verified, admission };
    tokio::spawn(async move {
        // Fails only when the connection ends before the answer is out.
        if let Ok(upgraded) = upgraded.await {
            run(app, upgraded, opened).await;
        }
    });
    Ok(response)
}

const MODES: &str = "web_app, browser_extension, local_install or mobile_app";

/// A deployment mode as it stands in a path.
fn parse_mode(text: &str) -> Option<DeploymentMode> {
    match text {
        "web_app" => Some(DeploymentMode::WebApp),
        "browser_extension" => Some(DeploymentMode::BrowserExtension),
        "local_install" => Some(DeploymentMode::LocalInstall),
        "mobile_app" => Some(DeploymentMode::MobileApp),
        _ => None,
    }
}

fn busy(code: Code, message: &str) -> ApiError {
    let mut problem = Problem::new(code, message);
    problem.retry_ms = Some(crate::random::between(1_000, 10_000));
    ApiError::from(problem)
}
