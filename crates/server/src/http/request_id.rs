//! Request ids: taken from the caller when they look like one, made otherwise; in the answer, the log and every error.

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;
use syncline_core::principal::DeploymentMode;
use tracing::Instrument as _;

use crate::app::App;
use crate::audit::{AuditEvent, AuditRecord, RequestContext, with_request};
use crate::clock;
use crate::observe::HttpLabels;

/// The id of the request that is being answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub String);

const HEADER: &str = "x-request-id";
const LEN_MAX: usize = 64;

/// Outermost layer: gives the request its id and span, and counts and logs its answer.
///
/// A change is carried through, and noted, also when its client hangs up: what was begun must not be left half done, nor without
/// a trace. It ends in time all the same, see [`super::edge::admit`].
pub async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if !is_change(&request) {
        return answer(app, request, next).await;
    }
    match tokio::spawn(answer(app, request, next)).await {
        Ok(response) => response,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime goes away, and with it the connection.
            Err(_cancelled) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        },
    }
}

/// Whether a request may change something; what only moves frames of a session ends with its connection.
fn is_change(request: &Request) -> bool {
    !request.method().is_safe() && request.uri().path().starts_with("/api/")
}

async fn answer(app: Arc<App>, mut request: Request, next: Next) -> Response {
    let started = clock::instant();
    let given = request.headers().get(HEADER).and_then(|value| value.to_str().ok()).filter(|text| is_acceptable(text));
    let id = given.map_or_else(|| crate::random::uuid_v7().to_string(), ToOwned::to_owned);
    request.extensions_mut().insert(RequestId(id.clone()));
    let method = method_label(request.method());
    let path = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!("request", request_id = %id, method, path = %path);
    let uri_path = request.uri().path().to_owned();
    let context = RequestContext { request_id: id.clone(), ..RequestContext::default() };
    let answering = next.run(request).instrument(span.clone());
    let (mut response, context) = with_request(context, answering).await;
    let elapsed = started.elapsed();
    let status = response.status().as_u16();
    let (user_id, deployment_mode) = match context.principal.borrow().as_ref() {
        Some(principal) => (Some(principal.user_id.to_string()), principal.deployment_mode.map(DeploymentMode::as_str)),
        None => (None, None),
    };
    span.in_scope(|| {
        let elapsed_ms = elapsed.as_millis() as u64;
        tracing::debug!(
            event = "http_request",
            user_id,
            deployment_mode,
            status,
            elapsed_ms,
            "{method} {path} {status}"
        );
    });
    note_access(&app, context, Access { method, route: &path, path: &uri_path, status }).await;
    app.metrics.observe_request(HttpLabels { method, path, status }, elapsed.as_secs_f64());
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

/// A request and how it was answered.
struct Access<'a> {
    method: &'static str,
    /// Its template.
    route: &'a str,
    path: &'a str,
    status: u16,
}

/// Longest path that is noted; bytes.
const PATH_BYTES_MAX: usize = 256;

/// Puts into the audit log what was denied, and what administrators read and changed. Unless a handler has said it better.
async fn note_access(app: &App, context: RequestContext, access: Access<'_>) {
    let Some(principal) = context.principal.take() else { return };
    let Access { method, route, path, status } = access;
    let is_admin = route.starts_with("/api/admin/");
    let event = match status {
        403 => AuditEvent::AccessDenied,
        200..=299 if is_admin && method == "GET" => AuditEvent::AdminRead,
        200..=299 if is_admin => AuditEvent::AdminChange,
        _ => return,
    };
    if context.is_noted.get() {
        return;
    }
    let record = AuditRecord {
        workspace_id: Some(principal.workspace_id),
        event,
        user_id: Some(principal.user_id),
        device_id: Some(principal.device_id),
        subject: Some(format!("{method} {route}")),
        detail: serde_json::Map::new(),
    };
    let record = match event {
        AuditEvent::AdminChange if path.len() <= PATH_BYTES_MAX => record.with("path", path),
        _ => record,
    };
    let RequestContext { request_id, address, .. } = context;
    let again = RequestContext { request_id, address, ..RequestContext::default() };
    with_request(again, app.audit.record(record)).await;
}

fn is_acceptable(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=LEN_MAX).contains(&text.len()) && text.bytes().all(is_plain)
}

/// Known methods by name, so that a label's values are bounded.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::is_acceptable;

    #[test]
    fn api_5_only_plain_request_ids_are_taken_over() {
        assert!(is_acceptable("0191-a.b_C"));
        for refused in ["", "a b", "a\nb", "\u{e9}", "{\"x\":1}", &"x".repeat(65)] {
            assert!(!is_acceptable(refused), "{refused:?}");
        }
    }
}
