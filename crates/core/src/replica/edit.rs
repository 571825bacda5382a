//! Local edits: checked, completed with what the author saw, and durable before the screen says so (spec VEW-5).

use std::collections::BTreeSet;

use super::store::{Pending, Rejected, ReplicaError, ReplicaMeta, ReplicaStore, ReplicaWrites};
use super::{Replica, TimestampMs};
use crate::change::{CONFLICTS, Mutation, Op, Resolution};
use crate::id::{MutationId, RecordId};
use crate::protocol::limits;
use crate::schema::{Entity, FieldType};
use crate::{Fields, Name, Value};

/// What a person does to one record. The replica adds what they had seen.
#[derive(Clone, PartialEq, Debug)]
pub enum Edit {
    /// `id`: minted by the caller; ignored where the schema derives it from the values.
    Create {
        entity: Name,
        id: RecordId,
        fields: Fields,
    },
    Update {
        entity: Name,
        id: RecordId,
        fields: Fields,
    },
    Delete {
        entity: Name,
        id: RecordId,
    },
    Restore {
        entity: Name,
        id: RecordId,
        fields: Fields,
    },
    Resolve {
        conflict: RecordId,
        resolution: Resolution,
        fields: Fields,
    },
}

#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    #[error("the schema has no entity `{0}`")]
    UnknownEntity(Name),
    #[error("there is no {entity} {id} on this device")]
    NoSuchRecord { entity: Name, id: RecordId },
    #[error("the rejected list has no change number {0}")]
    NoSuchRejected(u64),
    #[error("{0}")]
    Invalid(#[from] crate::schema::Invalid),
    #[error("{} mutations wait already: sync first", limits::OUTBOX_MUTATIONS_MAX)]
    OutboxFull,
    #[error("one change may have at most {} ops and {} KiB", limits::OPS_PER_MUTATION_MAX, limits::FRAME_BYTES_MAX / 1024 - 8)]
    TooLarge,
    /// The device was not heard by the server for so long that its copy is locked.
    #[error("this device has been offline longer than it may: sync to unlock it")]
    LeaseExpired,
    /// Everything was deleted (spec REV-2): what is edited now would never leave the device.
    #[error("access of this device was withdrawn: sign in again")]
    Revoked,
    #[error(transparent)]
    Store(#[from] ReplicaError),
}

impl<S: ReplicaStore> Replica<S> {
    /// Puts one mutation into the outbox; it is visible and durable when this returns. Returns its `client_seq`.
    ///
    /// `mutation_id` is minted by the caller, `now_ms` is the device's clock. Needs no network.
    pub fn mutate(
        &mut self,
        edits: Vec<Edit>,
        mutation_id: MutationId,
        now_ms: TimestampMs,
    ) -> Result<u64, LocalError> {
        let pending = self.draft(edits, mutation_id, now_ms)?;
        let client_seq = pending.mutation.client_seq;
        let meta = ReplicaMeta { next_client_seq: client_seq + 1, ..self.meta.clone() };
        self.write(ReplicaWrites { meta: Some(meta), outbox_put: vec![pending], ..ReplicaWrites::default() })?;
        Ok(client_seq)
    }

    fn draft(&self, edits: Vec<Edit>, mutation_id: MutationId, now_ms: TimestampMs) -> Result<Pending, LocalError> {
        if self.meta.purged.is_some() {
            return Err(LocalError::Revoked);
        }
        if self.is_locked(now_ms) {
            return Err(LocalError::LeaseExpired);
        }
        if self.store.outbox_count()? >= limits::OUTBOX_MUTATIONS_MAX {
            return Err(LocalError::OutboxFull);
        }
        if edits.is_empty() || edits.len() > limits::OPS_PER_MUTATION_MAX {
            return Err(LocalError::TooLarge);
        }
        let mut created: BTreeSet<(Name, RecordId)> = BTreeSet::new();
        let mut ops = Vec::with_capacity(edits.len());
        for edit in edits {
            let op = self.op_of(edit, &created)?;
            if let Op::Create { entity, id, .. } = &op {
                created.insert((entity.clone(), *id));
            }
            ops.push(op);
        }
        let depends_on = self.dependencies(&ops)?;
        let client_seq = self.meta.next_client_seq;
        let mutation = Mutation { mutation_id, client_seq, age_ms: 0, ops, depends_on };
        let bytes = serde_json::to_vec(&mutation).map_or(usize::MAX, |bytes| bytes.len());
        if bytes > limits::FRAME_BYTES_MAX - 8 * 1024 {
            return Err(LocalError::TooLarge);
        }
        Ok(Pending { mutation, authored_ms: now_ms, outcome: None, is_in_base: false })
    }

    /// Completes an edit with the base it was made on. `created`: by earlier edits of the same mutation.
    fn op_of(&self, edit: Edit, created: &BTreeSet<(Name, RecordId)>) -> Result<Op, LocalError> {
        let base_rv =
            |entity: &Name, id| Ok::<_, LocalError>(self.store.base(entity, id)?.map_or(0, |record| record.rv));
        Ok(match edit {
            Edit::Create { entity, id, fields } => {
                let declared = self.entity(&entity)?;
                let full = declared.canonical_create(fields.clone())?;
                let id = declared.natural_id(&self.meta.workspace_id, &full).unwrap_or(id);
                // Defaults are the server's to fill: sending them would overwrite newer ones.
                let fields = full.into_iter().filter(|(name, _)| fields.contains_key(name)).collect();
                Op::Create { entity, id, fields }
            }
            Edit::Update { entity, id, fields } => {
                let declared = self.entity(&entity)?;
                let patch = declared.canonical_update(fields)?;
                let view = self.get(&entity, id)?;
                let held = match view {
                    Some(view) => view.fields,
                    None if created.contains(&(entity.clone(), id)) => Fields::new(),
                    None => return Err(LocalError::NoSuchRecord { entity, id }),
                };
                // Saying again what is there is no change, and must not meet somebody else's.
                let says_new = |(name, value): &(Name, Value)| held.get(name).unwrap_or(&Value::Null) != value;
                let patch = patch.into_iter().filter(says_new).collect();
                let base_rv = base_rv(&entity, id)?;
                Op::Update { base_rv, fields: sets_as_differences(declared, &held, patch), entity, id }
            }
            Edit::Delete { entity, id } => {
                self.entity(&entity)?;
                if self.get(&entity, id)?.is_none() {
                    return Err(LocalError::NoSuchRecord { entity, id });
                }
                Op::Delete { base_rv: base_rv(&entity, id)?, entity, id }
            }
            Edit::Restore { entity, id, fields } => {
                let fields = self.entity(&entity)?.canonical_update(fields)?;
                Op::Restore { base_rv: base_rv(&entity, id)?, entity, id, fields }
            }
            Edit::Resolve { conflict, resolution, fields } => {
                let conflicts = Name::new_static(CONFLICTS);
                let Some(record) = self.store.base(CONFLICTS, conflict)? else {
                    return Err(LocalError::NoSuchRecord { entity: conflicts, id: conflict });
                };
                let about = record.fields.get("entity").and_then(Value::as_str).unwrap_or("");
                let fields = self.entity(&Name::new(about))?.canonical_update(fields)?;
                Op::Resolve { id: conflict, base_rv: record.rv, resolution, fields }
            }
        })
    }

    fn entity(&self, name: &Name) -> Result<&Entity, LocalError> {
        self.schema.entity(name).ok_or_else(|| LocalError::UnknownEntity(name.clone()))
    }

    /// Pending mutations whose creations these ops touch or refer to (spec MUT-4).
    fn dependencies(&self, ops: &[Op]) -> Result<Vec<u64>, LocalError> {
        let mut needed = BTreeSet::new();
        let mut creators = |entity: &str, id: RecordId| -> Result<(), LocalError> {
            for pending in self.store.pending_for(entity, id)? {
                let creates = |op: &Op| matches!(op, Op::Create { .. }) && op.target() == (entity, id);
                if pending.outcome.is_none() && pending.mutation.ops.iter().any(creates) {
                    needed.insert(pending.mutation.client_seq);
                }
            }
            Ok(())
        };
        for op in ops {
            let (entity, id) = op.target();
            creators(entity, id)?;
            let fields = match op {
                Op::Create { fields, .. } | Op::Update { fields, .. } | Op::Restore { fields, .. } => fields,
                Op::Delete { .. } | Op::Resolve { .. } => continue,
            };
            let Some(declared) = self.schema.entity(entity) else { continue };
            for (name, value) in fields {
                let reference = declared.field(name).and_then(|field| field.references.as_ref());
                let Some((reference, id)) = reference.zip(value.as_str().and_then(|id| id.parse().ok())) else {
                    continue;
                };
                creators(&reference.entity, id)?;
            }
        }
        Ok(needed.into_iter().collect())
    }

    /// Forgets a rejected mutation the person has seen.
    pub fn discard_rejected(&mut self, client_seq: u64) -> Result<(), LocalError> {
        let rejected_delete = vec![self.find_rejected(client_seq)?.mutation.mutation_id];
        self.write(ReplicaWrites { rejected_delete, ..ReplicaWrites::default() })?;
        Ok(())
    }

    fn find_rejected(&self, client_seq: u64) -> Result<Rejected, LocalError> {
        let found = self.store.rejected()?.into_iter().find(|rejected| rejected.mutation.client_seq == client_seq);
        found.ok_or(LocalError::NoSuchRejected(client_seq))
    }

    /// Sends a rejected mutation again as a new one, with other values for some fields; it leaves the rejected list in the
    /// same step. Its base is what the device has now: the person looked at it again.
    pub fn resend_rejected(
        &mut self,
        client_seq: u64,
        changes: &Fields,
        mutation_id: MutationId,
        now_ms: TimestampMs,
    ) -> Result<u64, LocalError> {
        let rejected = self.find_rejected(client_seq)?;
        let rejected_id = rejected.mutation.mutation_id;
        let mut edits: Vec<Edit> = rejected.mutation.ops.into_iter().map(edit_of).collect();
        if let Some(Edit::Create { fields, .. } | Edit::Update { fields, .. }) = edits.first_mut() {
            fields.extend(changes.clone());
        }
        let pending = self.draft(edits, mutation_id, now_ms)?;
        let new_seq = pending.mutation.client_seq;
        let meta = ReplicaMeta { next_client_seq: new_seq + 1, ..self.meta.clone() };
        self.write(ReplicaWrites {
            meta: Some(meta),
            outbox_put: vec![pending],
            rejected_delete: vec![rejected_id],
            ..ReplicaWrites::default()
        })?;
        Ok(new_seq)
    }
}

fn edit_of(op: Op) -> Edit {
    match op {
        Op::Create { entity, id, fields } => Edit::Create { entity, id, fields },
        Op::Update { entity, id, fields, .. } => Edit::Update { entity, id, fields },
        Op::Delete { entity, id, .. } => Edit::Delete { entity, id },
        Op::Restore { entity, id, fields, .. } => Edit::Restore { entity, id, fields },
        Op::Resolve { id, resolution, fields, .. } => Edit::Resolve { conflict: id, resolution, fields },
    }
}

/// Whole sets become what was added and removed, as the author saw it: a concurrent add survives (spec MRG-4).
fn sets_as_differences(entity: &Entity, held: &Fields, patch: Fields) -> Fields {
    let items = |value: Option<&Value>| -> BTreeSet<String> {
        value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let convert = |(name, value): (Name, Value)| {
        let is_set = entity.field(&name).is_some_and(|field| matches!(field.kind, FieldType::Set { .. }));
        if !is_set || !(value.is_array() || value.is_null()) {
            return (name, value);
        }
        let (before, after) = (items(held.get(&name)), items(Some(&value)));
        let add: Vec<&String> = after.difference(&before).collect();
        let remove: Vec<&String> = before.difference(&after).collect();
        (name, serde_json::json!({ "add": add, "remove": remove }))
    };
    patch.into_iter().map(convert).collect()
}
