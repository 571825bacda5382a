//! Signing in with a Supabase token: from the account there to the user here.

use secrecy::{ExposeSecret as _, SecretString};
use syncline_core::id::{UserId, WorkspaceId};
use syncline_storage::sqlite::Identity;

use super::AuthError;
use super::login::{DeviceInfo, SignedIn};
use super::service::Auth;
use super::supabase::{Account, SUPABASE};
use crate::audit::{AuditEvent, AuditRecord};
use crate::clock;

/// Who wants in with a token of somebody else's, and on what.
pub struct ForeignLogin {
    pub token: SecretString,
    /// Needed only by somebody who is in several workspaces.
    pub workspace_id: Option<WorkspaceId>,
    pub device: DeviceInfo,
}

/// A user, and where.
pub type Place = (WorkspaceId, UserId);

/// Whom a genuine token stands for.
pub enum Caller {
    Known(Place),
    /// Nobody here has the account or its address.
    Stranger {
        account: Account,
        /// Confirmed by the project.
        email: Option<String>,
    },
}

/// Workspaces of one account or address that are looked at.
const PLACES_MAX: usize = 32;

impl Auth {
    /// Whether somebody can sign in with a Supabase token.
    pub fn takes_supabase(&self) -> bool {
        self.supabase.is_some()
    }

    /// Whom a token stands for. Who comes for the first time is linked with the one user who was invited under the account's
    /// confirmed address.
    pub async fn identify(&self, login: &ForeignLogin) -> Result<Caller, AuthError> {
        let supabase = self.supabase.as_ref().ok_or(AuthError::ForeignDisabled)?;
        let token = login.token.expose_secret();
        let account = supabase.verify(token).await?;
        let subject = account.subject.clone();
        let linked = self.with_store(move |store| store.find_identities(SUPABASE, &subject)).await?;
        let places = linked.into_iter().map(|identity| (identity.workspace_id, identity.user_id));
        if let Some(place) = self.one_of(places.collect(), login).await? {
            return Ok(Caller::Known(place));
        }
        let Some(email) = supabase.confirmed_email(token, &account).await? else {
            return Ok(Caller::Stranger { account, email: None });
        };
        let address = email.clone();
        let invited = self.with_store(move |store| store.find_credential_by_email(&address)).await?;
        let places = invited.into_iter().map(|credential| (credential.workspace_id, credential.user_id));
        match self.one_of(places.collect(), login).await? {
            None => Ok(Caller::Stranger { account, email: Some(email) }),
            Some(place) => {
                self.link(&account, &place).await?;
                Ok(Caller::Known(place))
            }
        }
    }

    /// Links an account with a user for good.
    pub async fn link(&self, account: &Account, (workspace_id, user_id): &Place) -> Result<(), AuthError> {
        let identity = Identity {
            workspace_id: workspace_id.clone(),
            provider: SUPABASE.to_owned(),
            subject: account.subject.clone(),
            user_id: *user_id,
            linked_ms: clock::now_ms(),
        };
        if !self.with_store(move |store| store.link_identity(&identity)).await? {
            return Err(AuthError::LinkedOtherwise);
        }
        tracing::info!(event = "identity_linked", %workspace_id, %user_id, provider = SUPABASE, "an account was linked with a user");
        Ok(())
    }

    /// Ends the link of a user with their account. False: there was none.
    pub async fn unlink(&self, workspace_id: &WorkspaceId, user_id: UserId) -> Result<bool, AuthError> {
        let workspace = workspace_id.clone();
        Ok(self.with_store(move |store| store.unlink_identity(&workspace, SUPABASE, user_id)).await?)
    }

    /// Signs in whom a token stood for, and counts it like a sign-in with a password.
    pub async fn enter(&self, place: Result<Place, AuthError>, device: DeviceInfo) -> Result<SignedIn, AuthError> {
        let entered = match place {
            Ok((workspace_id, user_id)) => self.sign_in(workspace_id, user_id, device).await,
            Err(error) => Err(error),
        };
        if matches!(&entered, Err(error) if error.is_refusal()) {
            self.audit.record(AuditRecord::of_server(AuditEvent::SignInFailed).with("reason", SUPABASE)).await;
        }
        self.note_login(SUPABASE, &entered).await;
        entered
    }

    /// The one place that was asked for and where the user is an active member; where they are a member nowhere, that is
    /// the answer.
    async fn one_of(&self, mut places: Vec<Place>, login: &ForeignLogin) -> Result<Option<Place>, AuthError> {
        places.retain(|(workspace_id, _)| login.workspace_id.as_ref().is_none_or(|wanted| wanted == workspace_id));
        places.truncate(PLACES_MAX);
        let is_nowhere = places.is_empty();
        let mut active = Vec::new();
        for place in places {
            if self.access(&place.0, place.1).await?.is_some() {
                active.push(place);
            }
        }
        match active.len() {
            0 if is_nowhere => Ok(None),
            0 => Err(AuthError::NotAMember),
            1 => Ok(active.pop()),
            _ => {
                Err(AuthError::WhichWorkspace(active.into_iter().map(|(workspace, _)| workspace.to_string()).collect()))
            }
        }
    }
}
