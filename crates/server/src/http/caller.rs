//! Who is calling a REST endpoint, and what they may do at this moment.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use syncline_core::id::{DeviceId, UserId, WorkspaceId};
use syncline_core::principal::Access;
use syncline_core::protocol::Code;

use super::problem::ApiError;
use crate::app::App;
use crate::audit::{RequestPrincipal, current_request};
use crate::auth::{AuthError, Claims, Verified};

/// An authenticated, active member with the access they have now.
#[derive(Clone, Debug)]
pub struct Caller {
    pub claims: Claims,
    pub access: Access,
}

impl Caller {
    pub fn workspace_id(&self) -> &WorkspaceId {
        &self.claims.workspace_id
    }
    pub fn user_id(&self) -> UserId {
        self.claims.sub
    }
    pub fn device_id(&self) -> DeviceId {
        self.claims.device_id
    }

    /// Refuses everybody below admin.
    pub fn require_admin(&self) -> Result<(), ApiError> {
        if self.is_admin() {
            return Ok(());
        }
        Err(ApiError::new(Code::Forbidden, "Only an owner or admin of the workspace may do this."))
    }

    pub fn is_admin(&self) -> bool {
        matches!(self.access.role.as_str(), "owner" | "admin")
    }
}

/// The token of an `Authorization: Bearer` header.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case("bearer") && values.next().is_none();
    is_bearer.then_some(token.trim())
}

/// For what is noted about this request.
fn note_principal(claims: &Claims) {
    let principal = RequestPrincipal {
        workspace_id: claims.workspace_id.clone(),
        user_id: claims.sub,
        device_id: claims.device_id,
        deployment_mode: claims.deployment_mode,
    };
    current_request(|request| request.principal.replace(Some(principal)));
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let claims = match parts.extensions.remove::<Verified>() {
            Some(verified) => verified.claims,
            None => app.auth.verify(bearer(&parts.headers).ok_or(AuthError::MissingToken)?)?.claims,
        };
        let access = app.auth.access(&claims.workspace_id, claims.sub).await?.ok_or(AuthError::NotAMember)?;
        note_principal(&claims);
        Ok(Caller { claims, access })
    }
}
