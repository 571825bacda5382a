//! Changing a password, by its owner or by an administrator.

use secrecy::SecretString;
use syncline_core::id::{UserId, WorkspaceId};
use syncline_storage::sqlite::{Credential, PutCredential, fold_email};

use super::AuthError;
use super::service::Auth;
use super::token::Claims;
use crate::audit::{AuditEvent, AuditRecord};
use crate::clock;

impl Auth {
    /// Replaces the caller's password after checking the present one, and ends all their sign-ins. Failures count and lock as
    /// those of signing in.
    pub async fn change_password(
        &self,
        claims: &Claims,
        current: SecretString,
        new: SecretString,
    ) -> Result<(), AuthError> {
        let (workspace, user) = (claims.workspace_id.clone(), claims.sub);
        let stored = self.with_store(move |store| store.credential(&workspace, user)).await?;
        let folded = stored.as_ref().map_or_else(String::new, |credential| fold_email(&credential.email));
        let _turn = self.attempts.turn(&folded).await;
        // Read again: those before in the queue may have locked it.
        let (workspace, now) = (claims.workspace_id.clone(), clock::now_ms());
        let stored = self.with_store(move |store| store.credential(&workspace, user)).await?;
        let locked_until = stored.as_ref().map_or(0, |credential| credential.locked_until_ms);
        if locked_until > now {
            return Err(AuthError::Locked { retry_ms: locked_until - now });
        }
        let hash = stored.as_ref().map(|credential| credential.password_hash.clone());
        if !self.passwords.verify(current, hash).await? {
            if let Some(credential) = stored {
                self.count_failures(&[credential], &folded, now).await?;
            }
            return Err(AuthError::WrongPassword);
        }
        let workspace = claims.workspace_id.clone();
        self.with_store(move |store| store.reset_failures(&workspace, user)).await?;
        self.set_password(&claims.workspace_id, user, new).await
    }

    /// Replaces a user's password and ends all their sign-ins.
    pub async fn set_password(
        &self,
        workspace_id: &WorkspaceId,
        user: UserId,
        new: SecretString,
    ) -> Result<(), AuthError> {
        let (workspace, hash) = (workspace_id.clone(), self.passwords.hash(new).await?);
        self.with_store(move |store| store.set_password_hash(&workspace, user, &hash)).await?;
        tracing::info!(event = "password_changed", %workspace_id, user_id = %user, "a password was changed");
        self.audit.record(AuditRecord::new(workspace_id, AuditEvent::PasswordChanged).about(user)).await;
        self.sign_out_everywhere(workspace_id, user).await
    }

    /// Gives a user an address and a password to sign in with.
    pub async fn put_credential(
        &self,
        workspace_id: &WorkspaceId,
        user_id: UserId,
        email: String,
        password: SecretString,
    ) -> Result<(), AuthError> {
        let password_hash = self.passwords.hash(password).await?;
        let workspace_id = workspace_id.clone();
        let credential =
            Credential { workspace_id, user_id, email, password_hash, failed_attempts: 0, locked_until_ms: 0 };
        match self.with_store(move |store| store.put_credential(&credential)).await? {
            PutCredential::Stored => Ok(()),
            PutCredential::EmailTaken => Err(AuthError::EmailTaken),
        }
    }

    /// Takes back [`Auth::put_credential`].
    pub async fn delete_credential(&self, workspace_id: &WorkspaceId, user: UserId) -> Result<(), AuthError> {
        let workspace = workspace_id.clone();
        self.with_store(move |store| store.delete_credential(&workspace, user)).await?;
        Ok(())
    }
}
