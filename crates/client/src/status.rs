//! Where a device stands.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use syncline_core::change::CONFLICTS;
use syncline_core::digest::Digest;
use syncline_core::id::{ClientId, DeviceId, ScopeId, UserId, WorkspaceId};
use syncline_core::replica::{Filter, Loading, Query, ReplicaResult, ReplicaStore as _};
use syncline_core::{Name, Seq, TimestampMs};

use crate::client::Client;
use crate::clock::now_ms;
use crate::error::ClientError;
use crate::owner::Owned;

/// A device at one moment, all of it read in one go.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Status {
    /// Absent when nobody is signed in.
    pub server: Option<String>,
    pub email: Option<String>,
    pub role: Option<Name>,
    /// The server withdrew this device's access; once it was told, everything here was deleted.
    pub is_revoked: bool,
    pub workspace_id: WorkspaceId,
    pub user_id: UserId,
    pub device_id: DeviceId,
    pub client_id: ClientId,
    pub epoch: Option<u32>,
    pub cursor: Seq,
    pub pending: u64,
    /// Age of the oldest mutation that waits; milliseconds.
    pub oldest_pending_age_ms: u64,
    pub rejected: u64,
    pub open_conflicts: u64,
    /// Device time of the last completed sync; 0: never.
    pub last_sync_ms: TimestampMs,
    /// Device time after which the copy is locked; 0: no lease yet.
    pub lease_until_ms: TimestampMs,
    pub is_locked: bool,
    pub repairs: u64,
    /// Size of the database; bytes.
    pub database_bytes: u64,
    /// Base records by entity, those with any.
    pub records: BTreeMap<Name, u64>,
    pub scopes: Vec<ScopeStatus>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ScopeStatus {
    pub id: ScopeId,
    pub seq: Seq,
    pub digest: Digest,
    /// `snapshot` or `reconcile` while it is being loaded or compared.
    pub loading: Option<&'static str>,
}

impl Client {
    pub async fn status(&self) -> Result<Status, ClientError> {
        let status = self.inner.owner.call(read).await??;
        let Some(credentials) = self.inner.api.credentials().await else { return Ok(status) };
        Ok(Status {
            is_revoked: status.is_revoked || credentials.deposit_token.is_some(),
            server: Some(credentials.server),
            email: Some(credentials.email),
            role: Some(credentials.role),
            ..status
        })
    }
}

fn read(owned: &mut Owned) -> ReplicaResult<Status> {
    let (replica, now_ms) = (&owned.replica, now_ms());
    let (meta, store) = (replica.meta().clone(), replica.store());
    let open = Filter { field: Name::new_static("state"), value: Value::from("open") };
    let conflicts = Query { entity: Name::new_static(CONFLICTS), filters: vec![open], ..Query::default() };
    let mut records = BTreeMap::new();
    for entity in replica.schema().entities.keys() {
        let count = store.base_count(entity)?;
        if count > 0 {
            records.insert(entity.clone(), count);
        }
    }
    let scopes = store.scopes()?.into_iter().map(|(id, state)| {
        let loading = state.loading.map(|loading| match loading {
            Loading::Snapshot { .. } => "snapshot",
            Loading::Reconcile { .. } => "reconcile",
        });
        ScopeStatus { id, seq: state.seq, digest: state.digest, loading }
    });
    let oldest = store.outbox(0, 1)?.first().map_or(0, |pending| now_ms.saturating_sub(pending.authored_ms));
    Ok(Status {
        server: None,
        email: None,
        role: None,
        is_revoked: meta.purged.is_some(),
        workspace_id: meta.workspace_id,
        user_id: meta.user_id,
        device_id: meta.device_id,
        client_id: meta.client_id,
        epoch: meta.epoch,
        cursor: meta.cursor,
        pending: store.outbox_count()?,
        oldest_pending_age_ms: oldest,
        rejected: store.rejected()?.len() as u64,
        open_conflicts: replica.query(&conflicts)?.len() as u64,
        last_sync_ms: meta.last_sync_ms,
        lease_until_ms: meta.lease_until_ms,
        is_locked: replica.is_locked(now_ms),
        repairs: meta.repairs,
        database_bytes: store.bytes(),
        records,
        scopes: scopes.collect(),
    })
}
