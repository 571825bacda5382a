//! Signing in with a token of somebody else's, and making a user of who was not invited, where that is configured.

use secrecy::SecretString;
use serde_json::json;
use syncline_core::engine::access::{MEMBERS, member_id};
use syncline_core::id::{RecordId, UserId, WorkspaceId};

use crate::app::App;
use crate::audit::{AuditEvent, AuditRecord};
use crate::auth::{Account, AuthError, ForeignCaller, ForeignLogin, Place, SignedIn};
use crate::bootstrap::{create, fields};

impl App {
    /// Signs in whom a Supabase token speaks for.
    pub async fn login_with_supabase(&self, login: ForeignLogin) -> Result<SignedIn, AuthError> {
        let place = match self.auth.identify(&login).await {
            Ok(ForeignCaller::Known(place)) => Ok(place),
            Ok(ForeignCaller::Stranger { account, email }) => self.admit_stranger(&account, email, &login).await,
            Err(error) => Err(error),
        };
        self.auth.enter(place, login.device).await
    }

    /// Makes a user of a stranger whose address is confirmed, in the workspace that is configured for it.
    async fn admit_stranger(
        &self,
        account: &Account,
        email: Option<String>,
        login: &ForeignLogin,
    ) -> Result<Place, AuthError> {
        let config = &self.config.supabase;
        let Some(email) = email else { return Err(AuthError::NotConfirmed) };
        let (Some(role), Some(workspace)) = (&config.provision_role, &config.provision_workspace) else {
            return Err(AuthError::NotInvited);
        };
        if login.workspace_id.as_ref().is_some_and(|wanted| wanted.as_str() != workspace) {
            return Err(AuthError::NotInvited);
        }
        let workspace_id = WorkspaceId::new(workspace.as_str()).map_err(|_| AuthError::NotInvited)?;
        let user_id = UserId(crate::random::uuid_v7());
        // A password that nobody knows: an administrator can give them another.
        let password = SecretString::from(crate::random::secret_text());
        self.auth.put_credential(&workspace_id, user_id, email.clone(), password).await?;
        let place = (workspace_id, user_id);
        let made = self.make_member(&place, &email, role).await;
        let made = match made {
            Ok(()) => self.auth.link(account, &place).await,
            Err(error) => Err(error),
        };
        if let Err(error) = made {
            self.auth.delete_credential(&place.0, user_id).await?;
            return Err(error);
        }
        let record = AuditRecord::new(&place.0, AuditEvent::MemberCreated).about(user_id);
        self.audit.record(record.with("method", "supabase")).await;
        tracing::info!(event = "user_provisioned", workspace_id = %place.0, %user_id, role, "a user was made of a Supabase account");
        Ok(place)
    }

    async fn make_member(&self, (workspace_id, user): &Place, email: &str, role: &str) -> Result<(), AuthError> {
        // What people see of each other; until the person changes it, the part before the @.
        let name = email.split('@').next().unwrap_or(email);
        let profile = fields([("email", json!(email)), ("name", json!(name))]);
        let membership = fields([("user_id", json!(user)), ("role", json!(role)), ("read_scope", json!("own"))]);
        let ops = vec![
            create("users", RecordId(user.0), profile),
            create(MEMBERS, member_id(workspace_id, *user), membership),
        ];
        self.write_all(workspace_id, vec![ops]).await.map_err(|error| {
            tracing::warn!(event = "provision_failed", %workspace_id, %error, "a user could not be made of a Supabase account; look at supabase.provision_role");
            AuthError::NotInvited
        })
    }
}
