//! The service behind every door: verifies tokens, and does what the endpoints of `/api/auth` ask.

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use syncline_core::TimestampMs;
use syncline_core::id::{DeviceId, UserId, WorkspaceId};
use syncline_core::storage::{StoreError, StoreResult};
use syncline_storage::DatabaseAuth;
use tokio::sync::Semaphore;

use super::between::NodeKey;
use super::keys::SigningKey;
use super::lockout::{Attempts, LockPolicy, UnknownAddresses};
use super::token::{Claims, TokenKind, TokenSigner, TokenSubject};
use super::{AuthError, Passwords, Revocations, Supabase};
use crate::audit::{Audit, AuditEvent, AuditRecord};
use crate::bus::{Bus, Revocation};
use crate::clock;
use crate::config::TokensConfig;
use crate::db::Db;
use crate::node_notes::key_fingerprint;
use crate::observe::Metrics;

/// What the service is made of.
pub struct AuthParts {
    pub config: TokensConfig,
    pub store: DatabaseAuth,
    pub db: Db,
    pub revocations: Arc<Revocations>,
    /// Revocations reach the other nodes by it.
    pub bus: Bus,
    /// Who came in and who did not.
    pub audit: Audit,
    pub metrics: Arc<Metrics>,
    /// `None`: no Supabase project is configured.
    pub supabase: Option<Supabase>,
}

/// Identity for the whole server. Share it behind an `Arc`.
pub struct Auth {
    pub(super) config: TokensConfig,
    pub(super) policy: LockPolicy,
    pub(super) store: DatabaseAuth,
    pub(super) db: Db,
    pub(super) signer: TokenSigner,
    /// Tells whether another node signs with the same key.
    pub key_fingerprint: String,
    /// Signs what nodes pass on to one another.
    pub node_key: NodeKey,
    /// Of work on the credential store.
    turns: Arc<Semaphore>,
    pub(super) unknown: UnknownAddresses,
    pub(super) attempts: Attempts,
    pub(super) metrics: Arc<Metrics>,
    pub(super) bus: Bus,
    pub(super) audit: Audit,
    pub(super) supabase: Option<Supabase>,
    pub passwords: Passwords,
    pub revocations: Arc<Revocations>,
}

/// A token that is ours, alive and not revoked.
#[derive(Clone, Debug)]
pub struct Verified {
    pub claims: Claims,
    /// The device or member was revoked, or the token is good for that only: decide everything as rejected.
    pub is_deposit: bool,
}

impl Verified {
    /// When the token stops being accepted; milliseconds since the Unix epoch.
    pub fn expires_ms(&self) -> TimestampMs {
        self.claims.exp.saturating_mul(1_000)
    }
}

/// Work on the credential store at a time; its writes take turns of their own.
const TURNS: usize = 64;
/// Time such work waits for its turn.
const TURN_WAIT: Duration = Duration::from_secs(10);
/// Sign-ins in one message to other nodes.
const SIGN_INS_MAX: usize = 1_000;
/// Key of the generated signing key in the store.
const SIGNING_KEY: &str = "access-token-key";

impl Auth {
    /// Takes the signing key from the configuration, or from the store, where the first start puts one. Blocks.
    pub fn new(parts: AuthParts) -> Result<Self, AuthError> {
        let secret = match &parts.config.secret_key {
            Some(secret) => secret.clone(),
            None => generated_key(&parts.store)?,
        };
        let current = SigningKey::read(parts.config.algorithm, &secret)?;
        let other = parts.config.secret_key_other.as_ref();
        let signer = TokenSigner::new(current, other.map(SigningKey::recognize).transpose()?)?;
        let other = other.map(|other| other.expose_secret().as_bytes());
        Ok(Self {
            policy: LockPolicy::new(&parts.config),
            signer,
            node_key: NodeKey::derive(secret.expose_secret().as_bytes(), other),
            key_fingerprint: key_fingerprint(secret.expose_secret().as_bytes()),
            passwords: Passwords::new(parts.config.hashes_max)?,
            turns: Arc::new(Semaphore::new(TURNS)),
            unknown: UnknownAddresses::default(),
            attempts: Attempts::default(),
            config: parts.config,
            store: parts.store,
            db: parts.db,
            revocations: parts.revocations,
            bus: parts.bus,
            audit: parts.audit,
            metrics: parts.metrics,
            supabase: parts.supabase,
        })
    }

    /// What other programs verify our access tokens with: a JSON Web Key Set, empty for shared secrets.
    pub fn public_keys(&self) -> &jsonwebtoken::jwk::JwkSet {
        self.signer.public_keys()
    }

    /// Verifies an access token for REST. In memory, without I/O; membership is checked where the work is done.
    pub fn verify(&self, token: &str) -> Result<Verified, AuthError> {
        let claims = self.signer.verify(token, TokenKind::Access)?;
        if self.revocations.is_device_revoked(&claims.workspace_id, claims.device_id) {
            return Err(AuthError::DeviceRevoked);
        }
        if self.revocations.is_signed_out(&claims) {
            return Err(AuthError::SignedOut);
        }
        Ok(Verified { claims, is_deposit: false })
    }

    /// Verifies a token for a socket: a deposit token, or the access token of a revoked device, opens it for handing over
    /// unsent edits (spec REV-2).
    pub fn verify_for_socket(&self, token: &str) -> Result<Verified, AuthError> {
        let claims = self.signer.verify_any(token)?;
        let is_revoked = self.revocations.is_device_revoked(&claims.workspace_id, claims.device_id);
        let is_deposit = is_revoked || claims.typ == TokenKind::Deposit;
        if !is_deposit && self.revocations.is_signed_out(&claims) {
            return Err(AuthError::SignedOut);
        }
        Ok(Verified { claims, is_deposit })
    }

    pub(super) fn access_token(&self, subject: TokenSubject) -> Result<String, AuthError> {
        self.signer.sign(subject, self.config.access_ttl_s)
    }

    /// Runs work on the credential store off the async threads. Err: so much of it waits that its turn did not come.
    pub async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&DatabaseAuth) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let store = self.store.clone();
        // The threads are everybody's: while the database is slow, those who need it more must get some.
        let turn = tokio::time::timeout(TURN_WAIT, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(StoreError::Unavailable("too much work on the credential store is waiting".to_owned()));
        };
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&store);
            drop(turn);
            done
        });
        let done = done.await;
        done.unwrap_or_else(|_| Err(StoreError::Unavailable("work on the credential store was cut off".to_owned())))
    }

    /// Ends a sign-in: its refresh tokens and its access tokens.
    pub async fn sign_out(&self, claims: &Claims) -> Result<(), AuthError> {
        let (now, sid) = (clock::now_ms(), claims.sid);
        self.with_store(move |store| store.revoke_family(sid, now)).await?;
        self.end_sign_ins(&claims.workspace_id, &[sid], now).await;
        let record = AuditRecord::new(&claims.workspace_id, AuditEvent::SignOut);
        self.audit.record(record.by(claims.sub).on_device(claims.device_id)).await;
        Ok(())
    }

    /// Ends every sign-in of a user in a workspace.
    pub async fn sign_out_everywhere(&self, workspace_id: &WorkspaceId, user: UserId) -> Result<(), AuthError> {
        let (now, workspace) = (clock::now_ms(), workspace_id.clone());
        let sids = self.with_store(move |store| store.revoke_user_tokens(&workspace, user, now)).await?;
        self.end_sign_ins(workspace_id, &sids, now).await;
        self.audit.record(AuditRecord::new(workspace_id, AuditEvent::SignOutEverywhere).about(user)).await;
        Ok(())
    }

    /// Tells this node and all others of sign-ins that have ended in the store.
    pub(super) async fn end_sign_ins(&self, workspace_id: &WorkspaceId, sids: &[uuid::Uuid], now: TimestampMs) {
        let until_ms = now.saturating_add(self.config.refresh_ttl_s.saturating_mul(1_000));
        self.revocations.add_sign_ins(sids, until_ms);
        for sids in sids.chunks(SIGN_INS_MAX) {
            self.bus.revoke(workspace_id, Revocation::SignIns { sids: sids.to_vec(), until_ms }).await;
        }
    }

    /// Whether a device may be used by a user: unknown, or theirs and not revoked.
    pub(super) async fn check_device(
        &self,
        workspace_id: &WorkspaceId,
        device_id: DeviceId,
        user: UserId,
    ) -> Result<(), AuthError> {
        let workspace = workspace_id.clone();
        match self.with_store(move |store| store.device(&workspace, device_id)).await? {
            Some(device) if device.user_id != user => Err(AuthError::ForeignDevice),
            Some(device) if device.revoked_ms.is_some() => Err(AuthError::DeviceRevoked),
            Some(_) | None => Ok(()),
        }
    }
}

fn generated_key(store: &DatabaseAuth) -> Result<SecretString, AuthError> {
    let fresh = crate::random::secret_text();
    let stored = store.kv_get_or_put(None, SIGNING_KEY, fresh.as_bytes())?;
    let text = String::from_utf8(stored).map_err(|_| StoreError::Corrupt(format!("{SIGNING_KEY} is not text")))?;
    Ok(SecretString::from(text))
}
