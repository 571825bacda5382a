//! What a group is going to read, as far as its ops say: so that a distant database can be asked once (spec §4).

use super::access;
use crate::change::Op;
use crate::id::{RecordId, ScopeId, WorkspaceId};
use crate::schema::{Entity, Schema};
use crate::storage::{Wanted, unique_key};
use crate::{Fields, Name, Value};

use super::PushRequest;

/// The reads of [`super::plan_group`] for these requests that do not depend on what is stored. Cost: linear in the ops; no I/O.
pub fn wanted(schema: &Schema, workspace: &WorkspaceId, requests: &[PushRequest]) -> Wanted {
    let mut wanted = Wanted::default();
    wanted.scopes.insert(ScopeId::WORKSPACE);
    for request in requests {
        let principal = &request.principal;
        wanted.clients.insert(principal.client_id);
        if !principal.is_server {
            let user = principal.user_id;
            wanted.records.insert((Name::new_static(access::MEMBERS), access::member_id(workspace, user)));
            wanted.values.insert((Name::new_static(access::TEAMS), Name::new_static("member_ids"), user.to_string()));
            wanted.scopes.insert(ScopeId::owner(user));
        }
        for mutation in &request.mutations {
            for op in &mutation.ops {
                want_op(&mut wanted, schema, op);
                // The age of an edit is bounded by the commit of the base it saw.
                wanted.log.extend(Some(op.base_rv()).filter(|base_rv| *base_rv > 0 && mutation.age_ms > 0));
            }
        }
    }
    wanted
}

fn want_op(wanted: &mut Wanted, schema: &Schema, op: &Op) {
    let (entity, id) = op.target();
    let Some(entity) = schema.entity(entity) else { return };
    wanted.records.insert((entity.name.clone(), id));
    let (Op::Create { fields, .. } | Op::Update { fields, .. } | Op::Restore { fields, .. }) = op else { return };
    want_references(wanted, entity, fields);
    if matches!(op, Op::Create { .. }) {
        let keys = entity.unique.iter().filter_map(|unique| Some((&unique.name, unique_key(unique, fields)?)));
        wanted.unique_keys.extend(keys.map(|(unique, key)| (entity.name.clone(), unique.clone(), key)));
    }
}

fn want_references(wanted: &mut Wanted, entity: &Entity, fields: &Fields) {
    for (name, value) in fields {
        let Some(reference) = entity.field(name).and_then(|field| field.references.as_ref()) else { continue };
        let texts = match value {
            Value::Array(items) => items.as_slice(),
            other => std::slice::from_ref(other),
        };
        let ids = texts.iter().filter_map(|text| text.as_str()?.parse::<RecordId>().ok());
        wanted.records.extend(ids.map(|id| (reference.entity.clone(), id)));
    }
}
