//! `GET /ws/{deployment_mode}/{client_id}`: from HTTP to a session (spec SES-1, HUB-1, HUB-4).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use syncline_core::id::ClientId;
use syncline_core::principal::DeploymentMode;
use syncline_core::protocol::{Code, Problem};
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use super::channels::Owner;
use super::deflate::agree;
use super::session::{Opened, run};
use super::socket::Socket;
use super::tally::Transport;
use crate::app::App;
use crate::auth::{AuthError, Verified};
use crate::clock;
use crate::http::{ApiError, Slot, bearer, check_origin};
use crate::hub::{Full, Packing};

pub async fn upgrade(
    State(app): State<Arc<App>>,
    Path((mode, client_id)): Path<(String, String)>,
    mut request: Request,
) -> Result<Response, ApiError> {
    let asked = Asked::read(&app, (&mode, &client_id), request.headers())?;
    let mut response = create_response_with_body(&request, Body::empty).map_err(|error| {
        let message = format!("This address speaks WebSocket: {error}.");
        let error = ApiError::new(Code::Malformed, message).with_status(StatusCode::UPGRADE_REQUIRED);
        error.with_header(header::UPGRADE, HeaderValue::from_static("websocket"))
    })?;
    let opened = asked.admit(&app, Transport::WebSocket)?;
    let agreed = app.config.sockets.is_deflated.then(|| agree(request.headers())).flatten();
    let packing = if agreed.is_some() { Packing::Deflated } else { Packing::Plain };
    if let Some(agreed) = agreed {
        response.headers_mut().insert(header::SEC_WEBSOCKET_EXTENSIONS, agreed);
    }
    // Over TLS the connection outlives the session by its goodbye.
    let slot = request.extensions().get::<Slot>().cloned();
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        // Fails only when the connection ends before the answer is out.
        let Ok(upgraded) = upgraded.await else { return };
        let write_timeout_ms = app.config.sockets.write_timeout_ms;
        if let Ok(socket) = Socket::upgraded(upgraded, slot.clone(), packing, write_timeout_ms).await {
            run(app, socket, opened).await;
        }
        drop(slot);
    });
    Ok(response)
}

/// What a request that opens a session asks for, whatever will carry it.
pub struct Asked {
    mode: DeploymentMode,
    client_id: ClientId,
    verified: Option<Verified>,
}

impl Asked {
    /// Reads deployment mode and client id from the path and the credential, if there is one, from the headers; refuses
    /// pages of other origins (AUTH-7).
    pub fn read(app: &App, (mode, client_id): (&str, &str), headers: &HeaderMap) -> Result<Self, ApiError> {
        let mode = parse_mode(mode).ok_or_else(|| {
            let shown: String = mode.chars().take(64).collect();
            ApiError::new(Code::Malformed, format!("`{shown}` is not a deployment mode: use {MODES}."))
        })?;
        let client_id: ClientId = client_id.parse().map_err(|_| {
            ApiError::new(Code::Malformed, "The client id in the path is not a UUID: mint one per local database.")
        })?;
        check_origin(&app.config.edge, headers)?;
        let verified = match bearer(headers) {
            Some(token) => Some(app.auth.verify_for_socket(token)?),
            None if headers.contains_key(header::AUTHORIZATION) => return Err(AuthError::MissingToken.into()),
            None => None,
        };
        Ok(Self { mode, client_id, verified })
    }

    /// Takes a place among the connections of its deployment mode, or without a credential among those that have not
    /// authenticated (HUB-4).
    pub fn admit(self, app: &App, transport: Transport) -> Result<Opened, ApiError> {
        if app.hub.is_draining() {
            return Err(busy(Code::Unavailable, "This node is going away. Connect again in a moment."));
        }
        let connections = &app.hub.connections;
        let admission = match self.verified {
            Some(_) => connections.admit(self.mode),
            None => connections.admit_unauthenticated(self.mode, clock::instant()),
        };
        let admission = admission.map_err(|full: Full| busy(Code::Overloaded, full.message()))?;
        let Self { mode, client_id, verified } = self;
        let owner = Owner::default();
        if let Some(verified) = &verified {
            let _ = owner.set((verified.claims.workspace_id.clone(), verified.claims.sub));
        }
        Ok(Opened { mode, transport, client_id, verified, admission, owner })
    }
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
