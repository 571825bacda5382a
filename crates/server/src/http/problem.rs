//! Errors as `application/problem+json` (RFC 9457), for every error there is: ours, the router's and the extractors'.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use syncline_core::protocol::{Code, Problem};
use syncline_core::storage::StoreError;

use super::request_id::RequestId;
use crate::auth::AuthError;
use crate::engine::Busy;

/// An answer that is an error. The status follows the code unless one is given.
#[derive(Debug)]
pub struct ApiError(Box<Parts>);

#[derive(Debug)]
struct Parts {
    problem: Problem,
    status: Option<StatusCode>,
    /// Members beside those of [`Problem`].
    extra: Map<String, Value>,
    headers: HeaderMap,
}

pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self::from(Problem::new(code, message))
    }
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = Some(status);
        self
    }
    pub fn with_field(mut self, field: impl Into<String>) -> Self {
        self.0.problem.field = Some(field.into());
        self
    }
    pub fn with_entity(mut self, entity: impl Into<String>) -> Self {
        self.0.problem.entity = Some(entity.into());
        self
    }
    pub fn with_member(mut self, name: &str, value: Value) -> Self {
        self.0.extra.insert(name.to_owned(), value);
        self
    }
    pub fn with_header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }
    /// Nothing the caller may see under that address: not there and not theirs alike (spec PRM-2).
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }
    pub fn status(&self) -> StatusCode {
        self.0.status.unwrap_or_else(|| status_of(self.0.problem.code))
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self(Box::new(Parts { problem, status: None, extra: Map::new(), headers: HeaderMap::new() }))
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        if let AuthError::Store(_) | AuthError::Hash(_) | AuthError::Sign(_) = &error {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(event = "auth_failed", %error, cause, "identity failed");
        }
        let api = Self::from(error.problem());
        match error {
            AuthError::DepositOnly { deposit_token } => api.with_member("deposit_token", Value::from(deposit_token)),
            AuthError::WhichWorkspace(workspaces) => api.with_member("workspaces", json!(workspaces)),
            _ => api,
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NoWorkspace(_) => Self::not_found("There is no such workspace, or it is not yours."),
            StoreError::Unavailable(_) => {
                tracing::warn!(event = "store_unavailable", %error, "the store could not be read");
                let mut problem = Problem::new(Code::Unavailable, "The store is not available. Try again in a moment.");
                problem.retry_ms = Some(crate::random::between(500, 2_000));
                Self::from(problem)
            }
            StoreError::WorkspaceExists(_)
            | StoreError::Indeterminate(_)
            | StoreError::Corrupt(_)
            | StoreError::Database(_) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(event = "store_failed", %error, cause, "the store failed");
                Self::internal()
            }
        }
    }
}

impl From<Busy> for ApiError {
    fn from(busy: Busy) -> Self {
        let mut problem = Problem::new(Code::Overloaded, "Too many writes are waiting. Try again in a moment.");
        problem.retry_ms = Some(busy.retry_ms);
        Self::from(problem)
    }
}

impl ApiError {
    /// Our bug; the log has the cause under the request id.
    pub fn internal() -> Self {
        Self::new(Code::Internal, "Something went wrong on the server. The request id finds it in the log.")
    }
}

fn status_of(code: Code) -> StatusCode {
    StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// What [`render`] makes the body of; carried from the handler to the layer that knows the request.
#[derive(Clone, Debug)]
struct Pending(Problem, Map<String, Value>);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.headers_mut().extend(self.0.headers);
        response.extensions_mut().insert(Pending(self.0.problem, self.0.extra));
        response
    }
}

/// Layer that gives every error its body, with the id of its request.
pub async fn render(request: Request, next: Next) -> Response {
    let request_id = request.extensions().get::<RequestId>().cloned();
    let mut response = next.run(request).await;
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let Pending(mut problem, extra) =
        response.extensions_mut().remove().unwrap_or_else(|| Pending(problem_of(status), Map::new()));
    problem.request_id = request_id.map(|id| id.0);
    let body = body(&problem, status, extra);
    let (mut parts, _) = response.into_parts();
    for stale in [header::CONTENT_LENGTH, header::CONTENT_TYPE, header::CONTENT_ENCODING] {
        parts.headers.remove(stale);
    }
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(retry_ms) = problem.retry_ms {
        parts.headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_ms.div_ceil(1_000)));
    }
    if status == StatusCode::UNAUTHORIZED {
        parts.headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    Response::from_parts(parts, axum::body::Body::from(body.to_string()))
}

fn body(problem: &Problem, status: StatusCode, extra: Map<String, Value>) -> Value {
    let mut body = Map::new();
    body.insert("type".to_owned(), Value::from(format!("https://syncline.dev/problems/{}", problem.code.as_str())));
    body.insert("title".to_owned(), Value::from(status.canonical_reason().unwrap_or("Error")));
    body.insert("status".to_owned(), Value::from(status.as_u16()));
    body.insert("detail".to_owned(), Value::from(problem.message.clone()));
    if let Ok(Value::Object(members)) = serde_json::to_value(problem) {
        body.extend(members);
    }
    body.extend(extra);
    Value::Object(body)
}

/// The problem of an answer that none of our handlers made.
fn problem_of(status: StatusCode) -> Problem {
    match status {
        StatusCode::NOT_FOUND => {
            Problem::new(Code::NotFound, "There is no such endpoint. `GET /health` says what runs here.")
        }
        StatusCode::METHOD_NOT_ALLOWED => Problem::new(
            Code::MethodNotAllowed,
            "This endpoint does not take that method; `Allow` lists those it takes.",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(Code::TooLarge, "The request is too large."),
        _ if status.is_server_error() => {
            Problem::new(Code::Internal, "Something went wrong on the server. The request id finds it in the log.")
        }
        _ => Problem::new(Code::Malformed, "The request does not follow the interface."),
    }
}
