//! Passwords: argon2id, on blocking threads, a bounded number at a time.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

use super::AuthError;

/// Shortest password; Unicode scalar values.
pub const PASSWORD_CHARS_MIN: usize = 10;
/// Longest password; Unicode scalar values. Hashing cost must not follow the sender's wishes.
pub const PASSWORD_CHARS_MAX: usize = 256;
/// Hashes that may wait for a turn; more are refused.
const WAITING_MAX: usize = 64;

/// Computes and checks password hashes with argon2's recommended parameters (19 MiB, two passes).
pub struct Passwords {
    turns: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// Hash of a password nobody has: checked for an unknown e-mail, so that the answer takes as long (spec AUT-1).
    decoy: String,
}

impl Passwords {
    /// `hashes_max`: how many are computed at a time.
    pub fn new(hashes_max: usize) -> Result<Self, AuthError> {
        let decoy = hash(&SecretString::from(crate::random::secret_text()))?;
        let turns = Arc::new(Semaphore::new(hashes_max));
        Ok(Self { turns, waiting: Arc::new(Semaphore::new(WAITING_MAX)), decoy })
    }

    /// The PHC string of a password.
    pub async fn hash(&self, password: SecretString) -> Result<String, AuthError> {
        self.off_thread(move || hash(&password)).await?
    }

    /// Whether `password` is the one `stored` was made of; without `stored` it is not, and takes as long to say so.
    pub async fn verify(&self, password: SecretString, stored: Option<String>) -> Result<bool, AuthError> {
        let is_known = stored.is_some();
        let phc = stored.unwrap_or_else(|| self.decoy.clone());
        let is_match = self.off_thread(move || verify(&password, &phc)).await?;
        Ok(is_known && is_match)
    }

    async fn off_thread<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, AuthError> {
        let waiting = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| AuthError::Busy)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| AuthError::Busy)?;
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop((turn, waiting));
            result
        });
        done.await.map_err(|_| AuthError::Busy)
    }
}

fn hash(password: &SecretString) -> Result<String, AuthError> {
    let salt: [u8; 16] = crate::random::bytes();
    let phc = Argon2::default().hash_password_with_salt(password.expose_secret().as_bytes(), &salt);
    Ok(phc.map_err(AuthError::Hash)?.to_string())
}

fn verify(password: &SecretString, phc: &str) -> bool {
    let Ok(parsed) = PasswordHash::new(phc) else { return false };
    Argon2::default().verify_password(password.expose_secret().as_bytes(), &parsed).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn auth_2_passwords_are_argon2id_and_verify() {
        let passwords = Passwords::new(1).unwrap();
        let phc = passwords.hash(SecretString::from("correct horse")).await.unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert!(passwords.verify(SecretString::from("correct horse"), Some(phc.clone())).await.unwrap());
        assert!(!passwords.verify(SecretString::from("wrong horse"), Some(phc)).await.unwrap());
        assert!(!passwords.verify(SecretString::from("anything"), None).await.unwrap());
        assert!(!passwords.verify(SecretString::from("anything"), Some("not a hash".to_owned())).await.unwrap());
    }
}
