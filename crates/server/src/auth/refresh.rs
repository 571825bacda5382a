//! Exchanging a refresh token for a new pair (spec AUT-2, REV-3).

use syncline_storage::sqlite::{RefreshOwner, Rotate, Rotation};

use super::AuthError;
use super::login::{SignedIn, new_refresh_token, refresh_hash};
use super::service::Auth;
use super::token::{TokenKind, TokenSubject};
use crate::audit::{AuditEvent, AuditRecord};
use crate::clock;
use crate::observe::{AuthOperation, Status};

/// How long a deposit token lives; seconds. It opens nothing but the deposit window.
const DEPOSIT_TTL_S: u64 = 3_600;
/// How long a request that says it is a retry may exchange the same token again, while its successor is unused;
/// milliseconds. Everybody else gets no grace.
const RETRY_GRACE_MS: u64 = 60_000;

pub type Refreshed = SignedIn;

impl Auth {
    /// `may_retry`: the client marks its attempts (`Idempotency-Key`), so a lost reply can be asked for again.
    pub async fn refresh(&self, refresh_token: &str, may_retry: bool) -> Result<Refreshed, AuthError> {
        let result = self.try_refresh(refresh_token, may_retry).await;
        let status = match &result {
            Ok(_) => Status::Ok,
            Err(AuthError::Store(_) | AuthError::Sign(_)) => Status::Failed,
            Err(_) => Status::Refused,
        };
        self.metrics.count_auth(AuthOperation::Refresh, status);
        result
    }

    async fn try_refresh(&self, refresh_token: &str, may_retry: bool) -> Result<Refreshed, AuthError> {
        let now = clock::now_ms();
        let (text, new_sha256) = new_refresh_token();
        let rotate = Rotate {
            old_sha256: refresh_hash(refresh_token),
            new_sha256,
            now_ms: now,
            expires_ms: now.saturating_add(self.config.refresh_ttl_s.saturating_mul(1_000)),
            grace_ms: if may_retry { RETRY_GRACE_MS } else { 0 },
        };
        let rotated = self.with_store(move |store| {
            let rotation = store.rotate_refresh(&rotate)?;
            let device = match &rotation {
                Rotation::Rotated(owner) => {
                    // A device that only refreshes is in use all the same.
                    store.touch_devices(&[(owner.workspace_id.clone(), owner.device_id, now)])?;
                    store.device(&owner.workspace_id, owner.device_id)?
                }
                Rotation::Reused(_) | Rotation::Revoked(_) | Rotation::Unknown | Rotation::Expired => None,
            };
            Ok((rotation, device.map(|device| device.deployment_mode)))
        });
        let (rotation, mode) = rotated.await?;
        match rotation {
            Rotation::Rotated(owner) => {
                let access = self.access(&owner.workspace_id, owner.user_id).await?;
                match access {
                    Some(access) => self.signed_in((owner, mode), text, access),
                    None => Err(self.deposit_only(owner)),
                }
            }
            Rotation::Reused(owner) => {
                self.end_sign_ins(&owner.workspace_id, &[owner.family_id], now).await;
                let RefreshOwner { workspace_id, user_id, device_id, .. } = owner;
                tracing::warn!(event = "refresh_reused", %workspace_id, %user_id, %device_id, "a spent refresh token was used again; the sign-in was revoked");
                let record = AuditRecord::new(&workspace_id, AuditEvent::RefreshReused);
                self.audit.record(record.by(user_id).on_device(device_id)).await;
                Err(AuthError::RefreshReused)
            }
            Rotation::Revoked(owner) => {
                let is_device = self.revocations.is_device_revoked(&owner.workspace_id, owner.device_id);
                Err(if is_device { self.deposit_only(owner) } else { AuthError::SignedOut })
            }
            Rotation::Unknown | Rotation::Expired => Err(AuthError::RefreshInvalid),
        }
    }

    /// The answer to a revoked device or member: a token that is good for the deposit only.
    fn deposit_only(&self, owner: RefreshOwner) -> AuthError {
        let RefreshOwner { family_id, workspace_id, user_id, device_id } = owner;
        let subject = TokenSubject {
            kind: TokenKind::Deposit,
            user_id,
            workspace_id,
            device_id,
            sid: family_id,
            deployment_mode: None,
        };
        match self.signer.sign(subject, DEPOSIT_TTL_S) {
            Ok(deposit_token) => AuthError::DepositOnly { deposit_token },
            Err(error) => error,
        }
    }
}
