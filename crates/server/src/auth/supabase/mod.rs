//! Tokens of a Supabase project: whether one is genuine, and whose it is.
//!
//! A token signed with HS256 is checked with the shared secret, any other with the public key it names, for the algorithm
//! that key is for. What a token says about itself (`alg`, `jku`, `jwk`, `x5u`) chooses nothing else. `user_metadata` is the
//! person's to write and is not read.

mod fetch;
mod keys;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use self::fetch::Project;
use self::keys::{Key, Keys, NoKey};
use super::AuthError;
use crate::clock;
use crate::config::SupabaseConfig;

/// The provider's name in stored identities.
pub const SUPABASE: &str = "supabase";
/// Longest token that is looked at; bytes.
const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// By how much clocks may differ; seconds.
const SKEW_S: u64 = 30;
/// Longest subject; bytes. Supabase's are UUIDs.
const SUBJECT_BYTES_MAX: usize = 128;
/// Longest key id; bytes.
const KID_BYTES_MAX: usize = 200;

/// Checks the tokens of one project.
pub struct Supabase {
    project: Option<Project>,
    keys: Keys,
    secret: Option<DecodingKey>,
    issuer: Option<String>,
    audience: String,
    is_email_trusted: bool,
}

/// The account that a genuine token speaks for.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    pub subject: String,
    /// As the token has it; whether it is confirmed is another question.
    email: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    email: Option<String>,
    iat: Option<u64>,
    role: Option<String>,
    #[serde(default)]
    is_anonymous: bool,
}

impl Supabase {
    /// `None`: neither project nor secret is configured.
    pub fn new(config: &SupabaseConfig) -> reqwest::Result<Option<Self>> {
        let project = Project::new(config)?;
        let secret = config.jwt_secret.as_ref();
        if project.is_none() && secret.is_none() {
            return Ok(None);
        }
        Ok(Some(Self {
            project,
            keys: Keys::default(),
            secret: secret.map(|secret| DecodingKey::from_secret(secret.expose_secret().as_bytes())),
            issuer: config.issuer(),
            audience: config.audience.clone(),
            is_email_trusted: config.is_email_trusted,
        }))
    }

    /// The account behind a token that the project signed, for us, and that is alive.
    pub async fn verify(&self, token: &str) -> Result<Account, AuthError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(AuthError::ForeignTokenInvalid("it is too long"));
        }
        let key = self.key(token).await?;
        let decoded = jsonwebtoken::decode::<Claims>(token, &key.decoding, &self.validation(key.algorithm));
        let claims = decoded.map_err(refusal)?.claims;
        let is_subject = (1..=SUBJECT_BYTES_MAX).contains(&claims.sub.len()) && claims.sub.is_ascii();
        let is_person = !claims.is_anonymous && claims.role.as_deref().is_none_or(|role| role == "authenticated");
        if !is_subject || !is_person {
            return Err(AuthError::ForeignTokenInvalid("it speaks for no signed-in person"));
        }
        if claims.iat.is_some_and(|iat| iat > clock::now_ms() / 1_000 + SKEW_S) {
            return Err(AuthError::ForeignTokenInvalid("it is from the future"));
        }
        Ok(Account { subject: claims.sub, email: claims.email })
    }

    /// The account's address, when it is known to be theirs.
    pub async fn confirmed_email(&self, token: &str, account: &Account) -> Result<Option<String>, AuthError> {
        if self.is_email_trusted {
            return Ok(account.email.clone());
        }
        let Some(project) = &self.project else { return Ok(None) };
        project.confirmed_email(token, &account.subject).await.map_err(|error| {
            tracing::warn!(event = "supabase_unavailable", %error, "the Supabase project could not be asked about an account");
            AuthError::ForeignUnavailable
        })
    }

    async fn key(&self, token: &str) -> Result<Key, AuthError> {
        let header = jsonwebtoken::decode_header(token);
        let header = header.map_err(|_| AuthError::ForeignTokenInvalid("it is no JWT of a known algorithm"))?;
        if header.alg == Algorithm::HS256 {
            let secret = self.secret.clone();
            let secret =
                secret.ok_or(AuthError::ForeignTokenInvalid("it is signed with HS256, which is not set up"))?;
            return Ok(Key { algorithm: Algorithm::HS256, decoding: secret });
        }
        let project = self.project.as_ref();
        let project = project.ok_or(AuthError::ForeignTokenInvalid("it is not signed with the project's secret"))?;
        let kid = header.kid.filter(|kid| (1..=KID_BYTES_MAX).contains(&kid.len()));
        let kid = kid.ok_or(AuthError::ForeignTokenInvalid("it names no key"))?;
        self.keys.find(project, &kid).await.map_err(|reason| match reason {
            NoKey::Unknown => AuthError::ForeignTokenInvalid("its key is not one of the project's"),
            NoKey::Unavailable => AuthError::ForeignUnavailable,
        })
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = SKEW_S;
        validation.validate_nbf = true;
        validation.set_audience(&[&self.audience]);
        match &self.issuer {
            Some(issuer) => {
                validation.set_issuer(&[issuer]);
                validation.set_required_spec_claims(&["exp", "aud", "sub", "iss"]);
            }
            None => validation.set_required_spec_claims(&["exp", "aud", "sub"]),
        }
        validation
    }
}

fn refusal(error: jsonwebtoken::errors::Error) -> AuthError {
    match error.kind() {
        ErrorKind::ExpiredSignature => AuthError::ForeignTokenExpired,
        ErrorKind::InvalidAudience => AuthError::ForeignTokenInvalid("it is for another audience"),
        ErrorKind::InvalidIssuer => AuthError::ForeignTokenInvalid("it is of another issuer"),
        ErrorKind::ImmatureSignature => AuthError::ForeignTokenInvalid("it is not valid yet"),
        ErrorKind::MissingRequiredClaim(_) => AuthError::ForeignTokenInvalid("a claim is missing"),
        _ => AuthError::ForeignTokenInvalid("its signature or its contents are wrong"),
    }
}
