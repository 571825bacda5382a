//! What every write must satisfy, looked at once the mutation is drafted (spec §8).

use super::decide::{Stop, reject};
use super::draft::{Draft, Group, Target};
use super::ops::{Author, invalid};
use crate::change::CONFLICTS;
use crate::id::{RecordId, ScopeId};
use crate::protocol::{Code, limits};
use crate::record::Record;
use crate::schema::{Entity, RuleContext, ScopeRule};
use crate::storage::{StoreResult, unique_key};
use crate::{Fields, Name, TimestampMs, Value};

/// Checks every record of the draft as it would be.
pub(super) fn check_draft(author: &Author<'_>, group: &Group<'_>, draft: &Draft) -> Result<(), Stop> {
    for (record, before) in draft.iter() {
        if record.entity == CONFLICTS {
            continue;
        }
        let entity = &group.schema.entities[&record.entity];
        let old = before.filter(|before| !before.is_deleted).map(|before| &*before.fields);
        check_rules(author, entity, old, record)?;
        if record.is_deleted {
            continue;
        }
        entity.check_merged(&record.fields).map_err(invalid)?;
        check_size(entity, record)?;
        check_references(author, group, draft, entity, (old, record))?;
        check_uniqueness(group, draft, entity, (old, record))?;
    }
    Ok(())
}

fn check_rules(author: &Author<'_>, entity: &Entity, old: Option<&Fields>, record: &Record) -> Result<(), Stop> {
    let new = (!record.is_deleted).then_some(&*record.fields);
    match with_context(author, record.id, (old, new), |context| entity.check_rules(context)) {
        Ok(()) => Ok(()),
        Err(violation) => reject(Code::Rule, violation.to_string()),
    }
}

/// Asks about a record as it was and as it would be.
pub(super) fn with_context<T>(
    author: &Author<'_>,
    id: RecordId,
    (old, new): (Option<&Fields>, Option<&Fields>),
    ask: impl FnOnce(&RuleContext<'_>) -> T,
) -> T {
    let op = match (old, new) {
        (_, None) => "delete",
        (None, Some(_)) => "create",
        (Some(_), Some(_)) => "update",
    };
    let (id, user_id) = (id.to_string(), author.principal.user_id.to_string());
    let (role, rank) = (author.access.role.as_str(), author.access.rank);
    ask(&RuleContext { op, id: &id, old, new, role, rank, user_id: &user_id })
}

fn check_size(entity: &Entity, record: &Record) -> Result<(), Stop> {
    let bytes: usize = record.fields.iter().map(|(name, value)| name.len() + 4 + json_bytes(value)).sum();
    if bytes <= limits::RECORD_BYTES_MAX {
        return Ok(());
    }
    let detail =
        format!("this {} would have {bytes} bytes; at most {} are kept", entity.name, limits::RECORD_BYTES_MAX);
    reject(Code::TooLarge, detail)
}

/// About the encoded size of a value, without encoding it.
fn json_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(_) => 20,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => 2 + items.iter().map(|item| json_bytes(item) + 1).sum::<usize>(),
        Value::Object(members) => 2 + members.iter().map(|(k, v)| k.len() + 4 + json_bytes(v)).sum::<usize>(),
    }
}

/// New references must point at live records of the right entity which the author may see (spec RUL-2).
fn check_references(
    author: &Author<'_>,
    group: &Group<'_>,
    draft: &Draft,
    entity: &Entity,
    (old, record): (Option<&Fields>, &Record),
) -> Result<(), Stop> {
    let referring = entity.fields.values().filter_map(|field| Some((field, field.references.as_ref()?)));
    for (field, reference) in referring {
        let Some(value) = record.fields.get(&field.name) else { continue };
        let held = old.and_then(|old| old.get(&field.name));
        if held == Some(value) {
            continue;
        }
        for id in new_ids(value, held) {
            let target = group.target(draft, &reference.entity, id)?;
            let is_visible = |target: &Target| !target.is_deleted && author.access.grants.includes(&target.scope);
            if !target.as_ref().is_some_and(is_visible) {
                let detail =
                    format!("{}.{} names {id}, which is no {} you can see", entity.name, field.name, reference.entity);
                return reject(Code::RefMissing, detail);
            }
        }
    }
    Ok(())
}

/// Ids in a reference value that were not there before.
fn new_ids(value: &Value, held: Option<&Value>) -> Vec<RecordId> {
    let parse = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
    match value {
        Value::Array(items) => {
            let held = held.and_then(Value::as_array);
            let is_new = |item: &&Value| held.is_none_or(|held| !held.contains(item));
            items.iter().filter(is_new).filter_map(parse).collect()
        }
        other => parse(other).into_iter().collect(),
    }
}

fn check_uniqueness(
    group: &Group<'_>,
    draft: &Draft,
    entity: &Entity,
    (old, record): (Option<&Fields>, &Record),
) -> Result<(), Stop> {
    for unique in &entity.unique {
        let Some(key) = unique_key(unique, &record.fields) else { continue };
        let was_held = old.and_then(|old| unique_key(unique, old)).is_some_and(|held| held == key);
        if !was_held && group.is_taken(draft, entity, &unique.name, &key, record.id)? {
            let detail = format!("another {} has the same {}", entity.name, unique.fields.join(" and "));
            return reject(Code::Unique, detail);
        }
    }
    Ok(())
}

/// The scope a record with these fields lives in (design D6a).
pub(super) fn scope_of(group: &Group<'_>, draft: &Draft, entity: &Entity, fields: &Fields) -> StoreResult<ScopeId> {
    for rule in &entity.scope {
        let text = |field: &Name| fields.get(field).and_then(Value::as_str);
        match rule {
            ScopeRule::Workspace => return Ok(ScopeId::WORKSPACE),
            ScopeRule::Team(field) => {
                if let Some(team) = text(field) {
                    return Ok(ScopeId::team(team));
                }
            }
            ScopeRule::Owner(field) => {
                if let Some(owner) = text(field) {
                    return Ok(ScopeId::owner(owner));
                }
            }
            ScopeRule::Inherit(field) => {
                let reference = entity.field(field).and_then(|field| field.references.as_ref());
                let parent = reference.zip(text(field).and_then(|id| id.parse().ok()));
                let Some((reference, id)) = parent else { continue };
                if let Some(parent) = group.target(draft, &reference.entity, id)? {
                    return Ok(parent.scope);
                }
            }
        }
    }
    Ok(ScopeId::WORKSPACE)
}

/// Fields by which records of `entity` inherit the scope of a `parent` entity.
pub(super) fn inherits_by<'e>(entity: &'e Entity, parent: &'e str) -> impl Iterator<Item = &'e Name> {
    entity.scope.iter().filter_map(move |rule| match rule {
        ScopeRule::Inherit(field) => {
            let reference = entity.field(field).and_then(|field| field.references.as_ref());
            reference.is_some_and(|reference| reference.entity == parent).then_some(field)
        }
        ScopeRule::Workspace | ScopeRule::Team(_) | ScopeRule::Owner(_) => None,
    })
}

/// The canonical form of a moment.
pub(super) fn timestamp(ms: TimestampMs) -> Value {
    let bounded = i64::try_from(ms).unwrap_or(i64::MAX);
    let moment = jiff::Timestamp::from_millisecond(bounded).unwrap_or(jiff::Timestamp::MAX);
    Value::String(moment.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
}
