//! Request bodies: bounded in size, time and depth, strict about their members.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use syncline_core::protocol::Code;

use super::problem::ApiError;
use crate::app::App;
use crate::json::{self, JsonError};

/// A JSON body of type `T`. Refused: another media type (415), more than the limit (413), too slow (408), not JSON (400),
/// missing, unknown or wrongly typed members (422).
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        check_media_type(&request)?;
        let bytes = read(request, app).await?;
        Raw(bytes).parse().map(Json)
    }
}

/// A JSON body as it came, for whoever has to look at its bytes first. Refused as [`Json`] refuses, before it is parsed.
pub struct Raw(pub Bytes);

impl Raw {
    /// The body as [`Json`] would give it.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let parsed = json::parse(&self.0);
        parsed.and_then(|body| json::check_members(&self.0).map(|()| body)).map_err(json_error)
    }
}

impl FromRequest<Arc<App>> for Raw {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        check_media_type(&request)?;
        read(request, app).await.map(Raw)
    }
}

fn check_media_type(request: &Request) -> Result<(), ApiError> {
    let given = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = given.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let is_json = essence == "application/json" || essence == "application/merge-patch+json";
    if is_json && !request.headers().contains_key(header::CONTENT_ENCODING) {
        return Ok(());
    }
    let message = "Send the body as `Content-Type: application/json`, without Content-Encoding.";
    Err(ApiError::new(Code::Malformed, message).with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE))
}

async fn read(request: Request, app: &App) -> Result<Bytes, ApiError> {
    let max = app.config.http.body_bytes_max;
    let too_large = || ApiError::new(Code::TooLarge, format!("A body may have at most {max} bytes."));
    let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if declared.and_then(|text| text.parse::<usize>().ok()).is_some_and(|declared| declared > max) {
        return Err(too_large());
    }
    let body = Limited::new(request.into_body(), max).collect();
    let limit = Duration::from_millis(app.config.http.body_timeout_ms);
    match tokio::time::timeout(limit, body).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(ApiError::new(Code::Malformed, "The body ended before it was complete.")),
        Err(_) => {
            let message = "The body did not arrive in time.";
            Err(ApiError::new(Code::Timeout, message).with_status(StatusCode::REQUEST_TIMEOUT))
        }
    }
}

/// Syntax is `malformed`, a wrong shape is `validation`.
pub fn json_error(error: JsonError) -> ApiError {
    match error {
        JsonError::TooDeep(_) | JsonError::Syntax(_) => ApiError::new(Code::Malformed, sentence(&error.to_string())),
        JsonError::Shape(text) => ApiError::new(Code::Validation, sentence(&text)),
    }
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}
