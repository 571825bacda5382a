//! What works without a network: reading, editing, conflicts and the rejected list.

use serde_json::Value;
use syncline_core::change::{CONFLICTS, Resolution};
use syncline_core::id::RecordId;
use syncline_core::replica::{
    Edit, Filter, LocalError, Query, Rejected, Replica, ReplicaResult, ReplicaStore as _, Viewed,
};
use syncline_core::{Fields, Name};
use syncline_storage::SqliteReplica;

use crate::client::Client;
use crate::clock::now_ms;
use crate::error::ClientError;
use crate::owner::Owned;
use crate::random::mutation_id;

impl Client {
    /// Applies the edits as one mutation: visible and on disk when this returns. Returns its `client_seq`.
    pub async fn mutate(&self, edits: Vec<Edit>) -> Result<u64, ClientError> {
        let work = |owned: &mut Owned| owned.replica.mutate(edits, mutation_id(), now_ms());
        let client_seq = self.inner.owner.call(work).await??;
        self.inner.changed.notify_one();
        Ok(client_seq)
    }

    /// The record as the person sees it, with what is pending.
    pub async fn get(&self, entity: &str, id: RecordId) -> Result<Option<Viewed>, ClientError> {
        let entity = entity.to_owned();
        self.read(move |replica| replica.get(&entity, id)).await
    }

    /// Records that match, with what is pending.
    pub async fn list(&self, query: Query) -> Result<Vec<Viewed>, ClientError> {
        self.read(move |replica| replica.query(&query)).await
    }

    /// Nothing is shown while the copy is locked, because the server was not heard for the length of the offline lease.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Replica<SqliteReplica>) -> ReplicaResult<T> + Send + 'static,
    ) -> Result<T, ClientError> {
        let work = |owned: &mut Owned| match owned.replica.is_locked(now_ms()) {
            true => Err(LocalError::LeaseExpired),
            false => Ok(read(&owned.replica)?),
        };
        Ok(self.inner.owner.call(work).await??)
    }

    /// Conflicts that wait for a person; `with_decided`: also those that were decided, by people or by a rule.
    pub async fn conflicts(&self, with_decided: bool) -> Result<Vec<Viewed>, ClientError> {
        let open = Filter { field: Name::new_static("state"), value: Value::from("open") };
        let filters = if with_decided { Vec::new() } else { vec![open] };
        self.list(Query { entity: Name::new_static(CONFLICTS), filters, ..Query::default() }).await
    }

    /// Decides a conflict, or decides it anew. `fields`: the values of a [`Resolution::Custom`].
    pub async fn resolve(
        &self,
        conflict: RecordId,
        resolution: Resolution,
        fields: Fields,
    ) -> Result<u64, ClientError> {
        self.mutate(vec![Edit::Resolve { conflict, resolution, fields }]).await
    }

    /// Takes back how a conflict was decided, by a person or by a rule: the other side is put in place (spec CNF-3).
    /// Returns what it is decided as now.
    pub async fn undo(&self, conflict: RecordId) -> Result<Resolution, ClientError> {
        let found = self.get(CONFLICTS, conflict).await?.ok_or(ClientError::NoSuchConflict(conflict))?;
        let text = |name: &str| found.fields.get(name).and_then(Value::as_str);
        let has_mine = match text("resolution") {
            Some(resolution) => resolution != "use_theirs",
            None => found.fields.get("result") == found.fields.get("mine"),
        };
        let resolution = if has_mine { Resolution::UseTheirs } else { Resolution::UseMine };
        self.resolve(conflict, resolution, Fields::new()).await?;
        Ok(resolution)
    }

    /// Mutations the server refused, oldest first.
    pub async fn rejected(&self) -> Result<Vec<Rejected>, ClientError> {
        Ok(self.inner.owner.call(|owned| owned.replica.store().rejected()).await??)
    }

    pub async fn discard_rejected(&self, client_seq: u64) -> Result<(), ClientError> {
        Ok(self.inner.owner.call(move |owned| owned.replica.discard_rejected(client_seq)).await??)
    }

    /// Sends a rejected mutation again, with other values for some fields of its first op. Returns its new `client_seq`.
    pub async fn resend_rejected(&self, client_seq: u64, changes: Fields) -> Result<u64, ClientError> {
        let work =
            move |owned: &mut Owned| owned.replica.resend_rejected(client_seq, &changes, mutation_id(), now_ms());
        let new_seq = self.inner.owner.call(work).await??;
        self.inner.changed.notify_one();
        Ok(new_seq)
    }

    /// What happened to a record, newest first: `{"items": [..]}`. The one read that needs the server.
    pub async fn history(&self, entity: &str, id: RecordId, limit: usize) -> Result<Value, ClientError> {
        self.inner.api.history(entity, id, limit).await
    }
}
