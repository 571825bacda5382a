//! Why somebody is not let in.

use syncline_core::protocol::{Code, Problem};
use syncline_core::storage::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Unknown e-mail or wrong password: one text for both (spec AUT-1).
    #[error("The e-mail address or the password is wrong.")]
    WrongCredentials,
    #[error("The present password is wrong.")]
    WrongPassword,
    #[error("Somebody in this workspace has this e-mail address already.")]
    EmailTaken,
    #[error("Too many failed sign-ins. Try again in {} s.", .retry_ms.div_ceil(1_000))]
    Locked { retry_ms: u64 },
    /// The password is right in several workspaces.
    #[error("You are a member of several workspaces ({}). Name one as `workspace`.", .0.join(", "))]
    WhichWorkspace(Vec<String>),
    #[error("You are not an active member of this workspace. Ask its administrator to invite you again.")]
    NotAMember,
    #[error("This device id belongs to another account. Sign in with a new device id.")]
    ForeignDevice,
    #[error("This device has been revoked. Sign in with a new device id, or ask your administrator.")]
    DeviceRevoked,
    /// A revoked device that may hand over its unsent edits (spec REV-3).
    #[error("This device has been revoked. Hand over what is pending, then delete the local copy.")]
    DepositOnly { deposit_token: String },
    #[error("The access token has expired. Refresh it.")]
    TokenExpired,
    #[error("The access token is not valid. Sign in again.")]
    TokenInvalid,
    #[error("This sign-in has ended. Sign in again.")]
    SignedOut,
    #[error("The refresh token is not valid. Sign in again.")]
    RefreshInvalid,
    /// A spent token was used again: somebody has a copy (spec AUT-2).
    #[error(
        "This refresh token was used before, so everything that came from this sign-in was revoked. Sign in again."
    )]
    RefreshReused,
    #[error("This server takes no Supabase tokens. Sign in with e-mail address and password.")]
    ForeignDisabled,
    /// The reason is ours: nothing of the token is repeated.
    #[error("The Supabase token is refused: {0}. Sign in with Supabase again.")]
    ForeignTokenInvalid(&'static str),
    #[error("The Supabase token has expired. Refresh it with Supabase, then sign in with the new one.")]
    ForeignTokenExpired,
    #[error("Supabase does not answer, so its token cannot be checked. Try again in a moment.")]
    ForeignUnavailable,
    #[error("Nobody here has your e-mail address. Ask an administrator of the workspace to invite you.")]
    NotInvited,
    #[error("Supabase has not confirmed your e-mail address. Confirm it there, then sign in again.")]
    NotConfirmed,
    #[error("Your user here is linked with another Supabase account. Ask an administrator to end that link.")]
    LinkedOtherwise,
    #[error("Send an access token as `Authorization: Bearer <token>`; `POST /api/auth/login` gives you one.")]
    MissingToken,
    #[error("Checking passwords is busy. Try again in a moment.")]
    Busy,
    #[error("The store of credentials failed.")]
    Store(#[from] StoreError),
    #[error("Hashing the password failed.")]
    Hash(#[source] argon2::password_hash::Error),
    #[error("The signing key is wrong: expected {0}.")]
    Key(#[from] super::KeyError),
    #[error("Signing a token failed.")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

impl AuthError {
    /// Whether somebody was refused, rather than the server in trouble.
    pub fn is_refusal(&self) -> bool {
        !matches!(self.code(), Code::Internal | Code::Unavailable | Code::Overloaded)
    }

    pub fn code(&self) -> Code {
        match self {
            AuthError::WrongCredentials
            | AuthError::NotAMember
            | AuthError::TokenInvalid
            | AuthError::SignedOut
            | AuthError::RefreshInvalid
            | AuthError::RefreshReused
            | AuthError::ForeignTokenInvalid(_)
            | AuthError::MissingToken => Code::Unauthenticated,
            AuthError::TokenExpired | AuthError::ForeignTokenExpired => Code::TokenExpired,
            AuthError::ForeignDisabled => Code::Validation,
            AuthError::ForeignUnavailable => Code::Unavailable,
            AuthError::WrongPassword | AuthError::NotInvited | AuthError::NotConfirmed | AuthError::LinkedOtherwise => {
                Code::Forbidden
            }
            AuthError::EmailTaken => Code::Unique,
            AuthError::Locked { .. } => Code::RateLimited,
            AuthError::WhichWorkspace(_) => Code::Validation,
            AuthError::ForeignDevice => Code::Forbidden,
            AuthError::DeviceRevoked | AuthError::DepositOnly { .. } => Code::DeviceRevoked,
            AuthError::Busy => Code::Overloaded,
            AuthError::Store(StoreError::Unavailable(_)) => Code::Unavailable,
            AuthError::Store(_) | AuthError::Hash(_) | AuthError::Key(_) | AuthError::Sign(_) => Code::Internal,
        }
    }

    /// As it is answered; causes stay in the log.
    pub fn problem(&self) -> Problem {
        let mut problem = Problem::new(self.code(), self.to_string());
        problem.retry_ms = match self {
            AuthError::Locked { retry_ms } => Some(*retry_ms),
            AuthError::Busy | AuthError::ForeignUnavailable => Some(crate::random::between(500, 2_000)),
            _ => None,
        };
        if matches!(self, AuthError::WhichWorkspace(_)) {
            problem.field = Some("workspace".to_owned());
        }
        problem
    }
}
