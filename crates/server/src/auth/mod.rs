//! Identity: passwords, access tokens, refresh tokens, devices and what has been revoked.

mod between;
mod change;
mod devices;
mod error;
mod foreign;
mod keys;
mod lockout;
mod login;
mod password;
mod refresh;
mod revocations;
mod service;
mod supabase;
mod token;

pub use between::{FORWARDED, Forwarded, NodeKey};
pub use error::AuthError;
pub use foreign::{Caller as ForeignCaller, ForeignLogin, Place};
pub use keys::{KeyError, SigningAlgorithm, SigningKey};
pub use login::{DeviceInfo, Login, SignedIn};
pub use password::{PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN, Passwords};
pub use refresh::Refreshed;
pub use revocations::Revocations;
pub use service::{Auth, AuthParts, Verified};
pub use supabase::{Account, SUPABASE, Supabase};
pub use token::{Claims, TokenKind, TokenSigner};
