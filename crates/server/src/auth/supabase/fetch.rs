//! What a Supabase project is asked over HTTP: its public keys, and whether an account's address is confirmed.

use std::time::Duration;

use jsonwebtoken::jwk::JwkSet;
use reqwest::redirect::Policy;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::config::SupabaseConfig;
use crate::outbound;

/// Largest answer that is read; bytes.
const ANSWER_BYTES_MAX: usize = 128 * 1024;

/// A project and how to reach it.
pub struct Project {
    client: reqwest::Client,
    /// Without a slash at its end; all paths begin here.
    issuer: String,
    api_key: Option<SecretString>,
}

#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Without the address, which may hold credentials.
    #[error("the project did not answer")]
    Transport(#[source] reqwest::Error),
    #[error("the project answered with status {0}")]
    Status(u16),
    #[error("the answer has more than {ANSWER_BYTES_MAX} bytes")]
    TooLarge,
    #[error("the answer is not understood")]
    Json(#[source] serde_json::Error),
}

/// What the project says of an account; the rest of it is not read.
#[derive(Deserialize)]
struct Account {
    id: String,
    email: Option<String>,
    email_confirmed_at: Option<String>,
}

impl Project {
    /// `None`: no project is configured.
    pub fn new(config: &SupabaseConfig) -> reqwest::Result<Option<Self>> {
        let Some(issuer) = config.issuer() else { return Ok(None) };
        let timeout = Duration::from_millis(config.timeout_ms);
        // Where keys come from decides who gets in: nobody redirects that.
        let client = outbound::client(|builder| builder.timeout(timeout).redirect(Policy::none()))?;
        Ok(Some(Self { client, issuer, api_key: config.api_key.clone() }))
    }

    pub async fn keys(&self) -> Result<JwkSet, FetchError> {
        get(self.client.get(format!("{}/.well-known/jwks.json", self.issuer))).await
    }

    /// The address of the account that `token` speaks for, when the project has confirmed it. `None` also without a key to
    /// ask with.
    pub async fn confirmed_email(&self, token: &str, subject: &str) -> Result<Option<String>, FetchError> {
        let Some(api_key) = &self.api_key else { return Ok(None) };
        let request = self.client.get(format!("{}/user", self.issuer)).bearer_auth(token);
        let account: Account = get(request.header("apikey", api_key.expose_secret())).await?;
        let is_confirmed = account.id == subject && account.email_confirmed_at.is_some();
        Ok(account.email.filter(|_| is_confirmed))
    }
}

async fn get<T: DeserializeOwned>(request: reqwest::RequestBuilder) -> Result<T, FetchError> {
    let failed = |error: reqwest::Error| FetchError::Transport(error.without_url());
    let mut response = request.send().await.map_err(failed)?;
    if !response.status().is_success() {
        return Err(FetchError::Status(response.status().as_u16()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(FetchError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(FetchError::Json)
}
