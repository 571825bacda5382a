//! A device's copy of what it may see: base, outbox, and the rejected list (spec §11).
//!
//! [`Replica`] is the logic over a [`ReplicaStore`]; every step is one [`ReplicaWrites`], applied whole or not at all.

mod apply;
pub mod contract;
mod edit;
mod memory;
mod reconcile;
mod step;
mod store;
mod view;

use std::sync::Arc;

pub use apply::{Applied, WelcomeError};
pub use edit::{Edit, LocalError};
pub use memory::MemoryReplica;
pub use reconcile::Comparison;
pub use store::*;
pub use view::{Filter, Query, RecordState, Viewed};

use crate::TimestampMs;
use crate::id::{ClientId, DeviceId, UserId, WorkspaceId};
use crate::protocol::{HeldScope, Hello, SchemaRef, limits};
use crate::schema::Schema;

/// A replica over a local store. Owns the store; nothing else writes to it.
#[derive(Debug)]
pub struct Replica<S> {
    store: S,
    schema: Arc<Schema>,
    meta: ReplicaMeta,
}

/// Whose replica a new store becomes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReplicaIdentity {
    pub workspace_id: WorkspaceId,
    pub user_id: UserId,
    pub device_id: DeviceId,
    /// For a store that is new: minted by the caller.
    pub client_id: ClientId,
}

impl<S: ReplicaStore> Replica<S> {
    /// Opens the replica in `store`, making it when the store is new. `None` for `identity`: only if it exists.
    pub fn open(mut store: S, schema: Arc<Schema>, identity: Option<ReplicaIdentity>) -> ReplicaResult<Option<Self>> {
        let meta = match (store.meta()?, identity) {
            (Some(meta), _) => meta,
            (None, None) => return Ok(None),
            (None, Some(identity)) => {
                let meta = ReplicaMeta {
                    workspace_id: identity.workspace_id,
                    user_id: identity.user_id,
                    device_id: identity.device_id,
                    client_id: identity.client_id,
                    backend_id: None,
                    epoch: None,
                    cursor: 0,
                    next_client_seq: 1,
                    decided_upto: 0,
                    last_sync_ms: 0,
                    lease_until_ms: 0,
                    repairs: 0,
                    purged: None,
                };
                store.write(ReplicaWrites { meta: Some(meta.clone()), ..ReplicaWrites::default() })?;
                meta
            }
        };
        Ok(Some(Self { store, schema, meta }))
    }

    pub fn meta(&self) -> &ReplicaMeta {
        &self.meta
    }
    pub fn schema(&self) -> &Schema {
        &self.schema
    }
    pub fn store(&self) -> &S {
        &self.store
    }
    pub fn into_store(self) -> S {
        self.store
    }

    /// What the replica says of itself when a session opens (spec SES-2). Scopes that are being downloaded are left out:
    /// their rows are not vouched for.
    pub fn hello(&self, mode: crate::principal::DeploymentMode, now_ms: TimestampMs) -> ReplicaResult<Hello> {
        let held = self
            .store
            .scopes()?
            .into_iter()
            .filter(|(_, state)| !matches!(state.loading, Some(Loading::Snapshot { .. })));
        let scopes = held.map(|(id, state)| HeldScope { id, seq: state.seq, digest: state.digest }).collect();
        let oldest = self.store.outbox(0, 1)?.first().map_or(0, |pending| now_ms.saturating_sub(pending.authored_ms));
        Ok(Hello {
            proto: [limits::PROTO_MIN, limits::PROTO_MAX],
            client_id: self.meta.client_id,
            device_id: self.meta.device_id,
            deployment_mode: mode,
            schema: SchemaRef { version: self.schema.version, hash: self.schema.hash.clone() },
            backend_id: self.meta.backend_id,
            epoch: self.meta.epoch,
            next_client_seq: self.meta.decided_upto + 1,
            pending_count: self.store.outbox_count()?,
            oldest_pending_age_ms: oldest,
            scopes,
        })
    }

    /// Whether the copy may not be shown any more, because the server was not heard for the length of the offline lease.
    pub fn is_locked(&self, now_ms: TimestampMs) -> bool {
        self.meta.lease_until_ms > 0 && now_ms > self.meta.lease_until_ms
    }

    fn write(&mut self, writes: ReplicaWrites) -> ReplicaResult<()> {
        let meta = writes.meta.clone();
        self.store.write(writes)?;
        if let Some(meta) = meta {
            self.meta = meta;
        }
        Ok(())
    }
}
