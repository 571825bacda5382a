//! The server over HTTP: signing in, renewing tokens, and what is asked for record by record.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use syncline_core::Name;
use syncline_core::id::{DeviceId, RecordId, UserId, WorkspaceId};
use syncline_core::protocol::{Code, Problem};
use tokio::sync::Mutex;

use crate::clock::now_ms;
use crate::credentials::Credentials;
use crate::error::{ClientError, chain};
use crate::random;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest silence while an answer is being received.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// An access token with less than this left is renewed before it is used; milliseconds.
const RENEW_BEFORE_MS: u64 = 30_000;
/// Error bodies beyond this are not read; bytes.
const PROBLEM_BYTES_MAX: u64 = 64 * 1024;

/// The server as a device sees it, and the credentials of the person on the device.
#[derive(Debug)]
pub(crate) struct Api {
    http: reqwest::Client,
    dir: PathBuf,
    credentials: Mutex<Option<Credentials>>,
}

/// What a sign-in or a renewal answers (spec AUT-1).
#[derive(Deserialize)]
struct Tokens {
    access_token: String,
    refresh_token: String,
    expires_in_s: u64,
    workspace_id: WorkspaceId,
    user_id: UserId,
    device_id: DeviceId,
    role: Name,
}

/// An error answer: the problem with the members beside it.
#[derive(Deserialize)]
struct ProblemBody {
    #[serde(flatten)]
    problem: Problem,
    deposit_token: Option<String>,
}

pub(crate) struct LoginRequest<'a> {
    pub server: &'a str,
    pub email: &'a str,
    pub password: &'a str,
    pub workspace: Option<&'a WorkspaceId>,
    pub device_id: DeviceId,
    pub device_name: &'a str,
}

/// How to authenticate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Renew {
    IfNeeded,
    /// The server refused the present access token.
    Always,
}

impl Api {
    pub fn new(dir: PathBuf, credentials: Option<Credentials>) -> Result<Self, ClientError> {
        // Fails when a provider is installed already, which is as good.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let http = client().map_err(unreachable)?;
        Ok(Self { http, dir, credentials: Mutex::new(credentials) })
    }

    pub async fn credentials(&self) -> Option<Credentials> {
        self.credentials.lock().await.clone()
    }

    /// Signs in and keeps the credentials.
    pub async fn login(&self, request: &LoginRequest<'_>) -> Result<Credentials, ClientError> {
        let mut body = json!({
            "email": request.email,
            "password": request.password,
            "device": {"device_id": request.device_id, "name": request.device_name, "deployment_mode": "local_install"},
        });
        if let Some(workspace) = request.workspace {
            body["workspace"] = json!(workspace);
        }
        let url = format!("{}/api/auth/login", request.server);
        let response = self.http.post(url).json(&body).send().await.map_err(unreachable)?;
        let tokens = decode::<Tokens>(response).await.map_err(|failure| match failure {
            Failure::Problem(body) => ClientError::Refused(Box::new(body.problem)),
            Failure::Unreachable(text) => ClientError::Unreachable(text),
        })?;
        let blank = Credentials {
            server: request.server.to_owned(),
            email: request.email.to_owned(),
            workspace_id: tokens.workspace_id.clone(),
            user_id: tokens.user_id,
            device_id: tokens.device_id,
            role: tokens.role.clone(),
            access_token: String::new(),
            access_expires_ms: 0,
            refresh_token: String::new(),
            deposit_token: None,
        };
        Ok(with_tokens(blank, tokens))
    }

    /// Forgets who was signed in, also on disk.
    pub async fn forget(&self) -> Result<(), ClientError> {
        let mut held = self.credentials.lock().await;
        *held = None;
        Credentials::delete(&self.dir)
    }

    /// A token to speak with: the access token, renewed when it has run out; of a revoked device its deposit token.
    pub async fn bearer(&self, renew: Renew) -> Result<String, ClientError> {
        let mut held = self.credentials.lock().await;
        let nobody = || ClientError::SignInNeeded("nobody is signed in on this device".to_owned());
        let credentials = held.as_ref().ok_or_else(nobody)?;
        if renew == Renew::IfNeeded
            && let Some(token) = &credentials.deposit_token
        {
            return Ok(token.clone());
        }
        if renew == Renew::IfNeeded && credentials.access_expires_ms > now_ms() + RENEW_BEFORE_MS {
            return Ok(credentials.access_token.clone());
        }
        let renewed = self.refresh(credentials.clone()).await?;
        renewed.save(&self.dir)?;
        let token = renewed.deposit_token.as_ref().unwrap_or(&renewed.access_token).clone();
        *held = Some(renewed);
        Ok(token)
    }

    /// Exchanges the refresh token. A lost answer may be asked for again for a minute (`Idempotency-Key`).
    async fn refresh(&self, credentials: Credentials) -> Result<Credentials, ClientError> {
        let url = format!("{}/api/auth/refresh", credentials.server);
        let key = format!("{:032x}", random::bits());
        let request = self.http.post(url).header("idempotency-key", key);
        let request = request.json(&json!({"refresh_token": credentials.refresh_token}));
        match decode::<Tokens>(request.send().await.map_err(unreachable)?).await {
            Ok(tokens) => Ok(with_tokens(credentials, tokens)),
            Err(Failure::Problem(body)) => match body.deposit_token {
                Some(token) => Ok(Credentials { deposit_token: Some(token), ..credentials }),
                None => Err(refused(body.problem)),
            },
            Err(failure @ Failure::Unreachable(_)) => Err(failure.into_error()),
        }
    }

    /// The history of a record, newest first, as the server answers it: `{"items": [..]}`.
    pub async fn history(&self, entity: &str, id: RecordId, limit: usize) -> Result<Value, ClientError> {
        let path = format!("/api/sync/history/{entity}/{id}?limit={limit}");
        let response = self.get(&path).await?;
        response.json().await.map_err(unreachable)
    }

    /// An authenticated GET of a path of the server, renewing the token once when it is refused.
    pub async fn get(&self, path: &str) -> Result<Response, ClientError> {
        let mut renew = Renew::IfNeeded;
        loop {
            let token = self.bearer(renew).await?;
            let request = self.request(Method::GET, path).await?.bearer_auth(token);
            let response = request.send().await.map_err(unreachable)?;
            if response.status().is_success() {
                return Ok(response);
            }
            if response.status().as_u16() != 401 || renew == Renew::Always {
                return Err(problem(response).await.into_error());
            }
            renew = Renew::Always;
        }
    }

    async fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, ClientError> {
        let server = self.credentials().await.map(|credentials| credentials.server).unwrap_or_default();
        Ok(self.http.request(method, format!("{server}{path}")))
    }
}

/// The address of a server without a slash at the end.
pub(crate) fn server_address(text: &str) -> Result<String, ClientError> {
    let bad = || ClientError::BadServer(text.to_owned());
    let url = Url::parse(text.trim()).map_err(|_| bad())?;
    let is_server = matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none();
    if !is_server {
        return Err(bad());
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn with_tokens(credentials: Credentials, tokens: Tokens) -> Credentials {
    Credentials {
        access_token: tokens.access_token,
        access_expires_ms: now_ms().saturating_add(tokens.expires_in_s.saturating_mul(1_000)),
        refresh_token: tokens.refresh_token,
        role: tokens.role,
        ..credentials
    }
}

enum Failure {
    Problem(Box<ProblemBody>),
    Unreachable(String),
}

impl Failure {
    fn into_error(self) -> ClientError {
        match self {
            Failure::Problem(body) => refused(body.problem),
            Failure::Unreachable(text) => ClientError::Unreachable(text),
        }
    }
}

async fn decode<T: DeserializeOwned>(response: Response) -> Result<T, Failure> {
    if !response.status().is_success() {
        return Err(problem(response).await);
    }
    response.json().await.map_err(|error| Failure::Unreachable(chain(&error)))
}

/// The error an answer carries, or why it carries none of ours.
async fn problem(response: Response) -> Failure {
    let status = response.status();
    if response.content_length().is_some_and(|bytes| bytes > PROBLEM_BYTES_MAX) {
        return Failure::Unreachable(format!("status {status}"));
    }
    match response.json::<ProblemBody>().await {
        Ok(body) => Failure::Problem(Box::new(body)),
        Err(_) => Failure::Unreachable(format!("status {status}, which is not an answer of Syncline")),
    }
}

/// A refusal by its class (spec ERR-1).
pub(crate) fn refused(problem: Problem) -> ClientError {
    match problem.code {
        Code::Unauthenticated | Code::MfaRequired => ClientError::SignInNeeded(problem.message),
        _ => ClientError::Refused(Box::new(problem)),
    }
}

/// Trusts whom the machine trusts, and where it has no list of authorities, those of this build.
fn client() -> reqwest::Result<reqwest::Client> {
    let builder = || reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT);
    builder().build().or_else(|_without_authorities| {
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        builder().tls_backend_preconfigured(config).build()
    })
}

fn unreachable(error: reqwest::Error) -> ClientError {
    ClientError::Unreachable(chain(&error.without_url()))
}

#[cfg(test)]
mod tests {
    use super::server_address;

    #[test]
    fn aut_1_a_server_is_an_http_address() {
        assert_eq!(server_address("https://crm.example.com/").unwrap(), "https://crm.example.com");
        assert_eq!(server_address(" http://127.0.0.1:8080 ").unwrap(), "http://127.0.0.1:8080");
        assert_eq!(server_address("https://example.com/crm/").unwrap(), "https://example.com/crm");
        for text in ["", "crm.example.com", "ftp://example.com", "https://example.com/?a=b", "http://"] {
            assert!(server_address(text).is_err(), "{text}");
        }
    }
}
