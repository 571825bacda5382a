//! Devices: listing, naming and revoking them (spec AUT-3, REV-1).

use syncline_core::id::{DeviceId, UserId, WorkspaceId};
use syncline_storage::sqlite::Device;

use super::AuthError;
use super::service::Auth;
use crate::audit::{AuditEvent, AuditRecord};
use crate::bus::Revocation;
use crate::clock;
use crate::observe::{AuthOperation, Status};

impl Auth {
    /// The devices of a user, or of everybody, last seen first.
    pub async fn devices(&self, workspace_id: &WorkspaceId, user: Option<UserId>) -> Result<Vec<Device>, AuthError> {
        let workspace = workspace_id.clone();
        Ok(self.with_store(move |store| store.list_devices(&workspace, user)).await?)
    }

    pub async fn device(&self, workspace_id: &WorkspaceId, id: DeviceId) -> Result<Option<Device>, AuthError> {
        let workspace = workspace_id.clone();
        Ok(self.with_store(move |store| store.device(&workspace, id)).await?)
    }

    pub async fn rename_device(&self, workspace_id: &WorkspaceId, id: DeviceId, name: String) -> Result<(), AuthError> {
        let workspace = workspace_id.clone();
        self.with_store(move |store| store.rename_device(&workspace, id, &name)).await?;
        Ok(())
    }

    /// Revokes a device: its refresh tokens in the store, its access tokens from this moment. Its open sockets are the
    /// hub's to cut off. False: it was revoked before.
    pub async fn revoke_device(&self, workspace_id: &WorkspaceId, id: DeviceId) -> Result<bool, AuthError> {
        let (workspace, now) = (workspace_id.clone(), clock::now_ms());
        let is_new = self.with_store(move |store| store.revoke_device(&workspace, id, now)).await?;
        self.revocations.add_device(workspace_id.clone(), id);
        self.bus.revoke(workspace_id, Revocation::Device { device_id: id }).await;
        self.metrics.count_auth(AuthOperation::RevokeDevice, Status::Ok);
        tracing::info!(event = "device_revoked", %workspace_id, device_id = %id, "a device was revoked");
        self.audit.record(AuditRecord::new(workspace_id, AuditEvent::DeviceRevoked).about(id)).await;
        Ok(is_new)
    }
}
