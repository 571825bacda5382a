//! Signing in with a password (spec AUT-1).

use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use syncline_core::TimestampMs;
use syncline_core::engine::access::access_of;
use syncline_core::id::{DeviceId, UserId, WorkspaceId};
use syncline_core::principal::{Access, DeploymentMode};
use syncline_storage::sqlite::{Credential, Device, RefreshOwner, RefreshToken, TokenHash, fold_email};

use super::service::Auth;
use super::token::{TokenKind, TokenSubject};
use super::{AuthError, PASSWORD_CHARS_MAX};
use crate::audit::{AuditEvent, AuditRecord};
use crate::clock;
use crate::observe::{AuthOperation, Status};

/// Who wants in, and on what.
pub struct Login {
    pub email: String,
    pub password: SecretString,
    /// Needed only by somebody with the same password in several workspaces.
    pub workspace_id: Option<WorkspaceId>,
    pub device: DeviceInfo,
}

pub struct DeviceInfo {
    pub device_id: DeviceId,
    pub name: String,
    pub deployment_mode: DeploymentMode,
    /// Nobody described it: the user's device of that name and mode is used again, if there is one.
    pub is_unnamed: bool,
}

/// A pair of tokens and whom they speak for.
pub struct SignedIn {
    pub access_token: String,
    pub refresh_token: String,
    pub expires_in_s: u64,
    pub workspace_id: WorkspaceId,
    pub user_id: UserId,
    pub device_id: DeviceId,
    pub access: Access,
}

/// Workspaces with the same address whose passwords are tried; more need `workspace`.
const CANDIDATES_MAX: usize = 4;

impl Auth {
    /// Checks address and password, registers the device and issues the first pair of a new sign-in.
    pub async fn login(&self, login: Login) -> Result<SignedIn, AuthError> {
        let result = self.try_login(login).await;
        self.note_login("password", &result).await;
        result
    }

    /// Counts a sign-in, and logs one that went well.
    pub(super) async fn note_login(&self, method: &'static str, result: &Result<SignedIn, AuthError>) {
        let status = match &result {
            Ok(_) => Status::Ok,
            Err(AuthError::Store(_) | AuthError::Hash(_) | AuthError::Sign(_)) => Status::Failed,
            Err(_) => Status::Refused,
        };
        self.metrics.count_auth(AuthOperation::Login, status);
        if let Ok(signed_in) = &result {
            let SignedIn { workspace_id, user_id, device_id, .. } = signed_in;
            tracing::info!(event = "login", %workspace_id, %user_id, %device_id, "signed in");
            let record = AuditRecord::new(workspace_id, AuditEvent::SignIn).by(*user_id).on_device(*device_id);
            self.audit.record(record.with("method", method)).await;
        }
    }

    async fn try_login(&self, login: Login) -> Result<SignedIn, AuthError> {
        let credential = self.check_password(&login).await?;
        self.sign_in(credential.workspace_id, credential.user_id, login.device).await
    }

    /// Registers the device of somebody who has shown who they are, and issues the first pair of a new sign-in.
    pub(super) async fn sign_in(
        &self,
        workspace_id: WorkspaceId,
        user_id: UserId,
        mut device: DeviceInfo,
    ) -> Result<SignedIn, AuthError> {
        let access = self.access(&workspace_id, user_id).await?.ok_or(AuthError::NotAMember)?;
        if device.is_unnamed {
            // One device for all of a user's scripts, not one for every run: messages are kept for each device.
            let known = self.devices(&workspace_id, Some(user_id)).await?;
            let is_same = |known: &&Device| {
                known.revoked_ms.is_none()
                    && known.name == device.name
                    && known.deployment_mode == device.deployment_mode
            };
            device.device_id = known.iter().find(is_same).map_or(device.device_id, |known| known.device_id);
        }
        self.check_device(&workspace_id, device.device_id, user_id).await?;
        self.register_device(&workspace_id, user_id, &device).await?;
        let device_id = device.device_id;
        let owner = RefreshOwner { family_id: crate::random::uuid_v7(), workspace_id, user_id, device_id };
        let refresh_token = self.first_refresh_token(&owner).await?;
        self.signed_in((owner, Some(device.deployment_mode)), refresh_token, access)
    }

    /// The one credential that address and password fit, with failures counted and locks respected.
    async fn check_password(&self, login: &Login) -> Result<Credential, AuthError> {
        let folded = fold_email(&login.email);
        let _turn = self.attempts.turn(&folded).await;
        let now = clock::now_ms();
        let email = login.email.clone();
        let mut found = self.with_store(move |store| store.find_credential_by_email(&email)).await?;
        found.retain(|credential| login.workspace_id.as_ref().is_none_or(|id| *id == credential.workspace_id));
        found.truncate(CANDIDATES_MAX);
        let known_lock = found.iter().map(|credential| credential.locked_until_ms).max();
        let locked_until = known_lock.unwrap_or_else(|| self.unknown.locked_until(&folded));
        if locked_until > now {
            for credential in &found {
                self.note_failure(credential, AuditEvent::LockedOut, credential.failed_attempts).await;
            }
            return Err(AuthError::Locked { retry_ms: locked_until - now });
        }
        let is_checkable = login_password_len(login) <= PASSWORD_CHARS_MAX;
        let mut matching = Vec::new();
        for credential in &found {
            let stored = is_checkable.then(|| credential.password_hash.clone());
            if self.passwords.verify(login.password.clone(), stored).await? {
                matching.push(credential.clone());
            }
        }
        if found.is_empty() {
            self.passwords.verify(SecretString::default(), None).await?;
        }
        match matching.len() {
            0 => {
                self.count_failures(&found, &folded, now).await?;
                Err(AuthError::WrongCredentials)
            }
            1 => {
                let credential = matching.remove(0);
                let (workspace_id, user_id) = (credential.workspace_id.clone(), credential.user_id);
                self.with_store(move |store| store.reset_failures(&workspace_id, user_id)).await?;
                Ok(credential)
            }
            _ => {
                let workspaces = matching.into_iter().map(|credential| credential.workspace_id.to_string());
                Err(AuthError::WhichWorkspace(workspaces.collect()))
            }
        }
    }

    pub(super) async fn count_failures(
        &self,
        found: &[Credential],
        folded: &str,
        now: TimestampMs,
    ) -> Result<(), AuthError> {
        if found.is_empty() {
            self.unknown.record_failure(folded, &self.policy, now);
            self.audit.record(AuditRecord::of_server(AuditEvent::SignInFailed).with("reason", "unknown_address")).await;
        }
        for credential in found {
            let (workspace_id, user_id, policy) = (credential.workspace_id.clone(), credential.user_id, self.policy);
            let lock = move |failures| policy.locked_until(failures, now);
            let failures = self.with_store(move |store| store.record_failure(&workspace_id, user_id, lock)).await?;
            let (workspace_id, user_id) = (&credential.workspace_id, credential.user_id);
            tracing::info!(event = "login_failed", %workspace_id, %user_id, failures, "wrong password");
            self.note_failure(credential, AuditEvent::SignInFailed, failures).await;
            if policy.locked_until(failures, now) > now {
                self.note_failure(credential, AuditEvent::LockedOut, failures).await;
            }
        }
        Ok(())
    }

    async fn note_failure(&self, credential: &Credential, event: AuditEvent, failures: u32) {
        let record = AuditRecord::new(&credential.workspace_id, event).by(credential.user_id);
        self.audit.record(record.with("failures", failures)).await;
    }

    /// What a user may do now; `None`: not an active member.
    pub async fn access(&self, workspace_id: &WorkspaceId, user: UserId) -> Result<Option<Access>, AuthError> {
        let (schema, workspace) = (self.db.schema(), workspace_id.clone());
        Ok(self.db.read(workspace_id, move |read| access_of(&schema, &workspace, read, user)).await?)
    }

    async fn register_device(
        &self,
        workspace_id: &WorkspaceId,
        user_id: UserId,
        info: &DeviceInfo,
    ) -> Result<(), AuthError> {
        let now = clock::now_ms();
        let device = Device {
            workspace_id: workspace_id.clone(),
            device_id: info.device_id,
            user_id,
            name: info.name.clone(),
            deployment_mode: info.deployment_mode,
            created_ms: now,
            last_seen_ms: now,
            revoked_ms: None,
        };
        self.with_store(move |store| store.put_device(&device)).await?;
        Ok(())
    }

    async fn first_refresh_token(&self, owner: &RefreshOwner) -> Result<String, AuthError> {
        let (text, hash) = new_refresh_token();
        let now = clock::now_ms();
        let expires_ms = now.saturating_add(self.config.refresh_ttl_s.saturating_mul(1_000));
        let token = RefreshToken { token_sha256: hash, owner: owner.clone(), created_ms: now, expires_ms };
        self.with_store(move |store| store.insert_refresh(&token)).await?;
        Ok(text)
    }

    pub(super) fn signed_in(
        &self,
        (owner, deployment_mode): (RefreshOwner, Option<DeploymentMode>),
        refresh_token: String,
        access: Access,
    ) -> Result<SignedIn, AuthError> {
        let RefreshOwner { family_id, workspace_id, user_id, device_id } = owner;
        let access_token = self.access_token(TokenSubject {
            kind: TokenKind::Access,
            user_id,
            workspace_id: workspace_id.clone(),
            device_id,
            sid: family_id,
            deployment_mode,
        })?;
        let expires_in_s = self.config.access_ttl_s;
        Ok(SignedIn { access_token, refresh_token, expires_in_s, workspace_id, user_id, device_id, access })
    }
}

fn login_password_len(login: &Login) -> usize {
    use secrecy::ExposeSecret as _;
    login.password.expose_secret().chars().take(PASSWORD_CHARS_MAX + 1).count()
}

/// A refresh token and what is stored of it. The prefix lets secret scanners recognise it.
pub(super) fn new_refresh_token() -> (String, TokenHash) {
    let text = format!("slr_{}", crate::random::secret_text());
    let hash = refresh_hash(&text);
    (text, hash)
}

pub(super) fn refresh_hash(text: &str) -> TokenHash {
    Sha256::digest(text.as_bytes()).into()
}
