//! What screens show: base ⊕ pending (spec VEW-1).

use std::collections::BTreeSet;

use serde::Serialize;

use super::Replica;
use super::store::{BaseRecord, Pending, ReplicaResult, ReplicaStore};
use crate::change::{CONFLICTS, Op, Resolution};
use crate::id::{RecordId, ScopeId};
use crate::merge::{compare_values, patched};
use crate::schema::Entity;
use crate::{Fields, Name, Seq, Value};

/// A record as the person sees it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Viewed {
    pub entity: Name,
    pub id: RecordId,
    /// Of the base; 0 while the record exists here only.
    pub rv: Seq,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<ScopeId>,
    pub fields: Fields,
    pub state: RecordState,
}

/// Whether what is shown is what the server has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordState {
    Synced,
    /// Part of it waits in the outbox.
    Pending,
}

/// An equality on a field: a scalar equals, a set contains.
#[derive(Clone, PartialEq, Debug)]
pub struct Filter {
    pub field: Name,
    pub value: Value,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Query {
    pub entity: Name,
    /// All must hold. Cheap when one of the fields is indexed; otherwise the entity is scanned.
    pub filters: Vec<Filter>,
    /// Field to order by, ascending; without one, by id (creation time).
    pub sort: Option<Name>,
    pub is_descending: bool,
    /// At most this many; 0: all.
    pub limit: usize,
}

/// Base records read at once by a scan.
const SCAN_PAGE: usize = 1_000;

impl<S: ReplicaStore> Replica<S> {
    /// The record as the person sees it; `None`: there is none, or its deletion is pending.
    pub fn get(&self, entity: &str, id: RecordId) -> ReplicaResult<Option<Viewed>> {
        let base = self.store.base(entity, id)?;
        let pending = self.store.pending_for(entity, id)?;
        Ok(self.overlaid(&Name::new(entity), id, base, &pending))
    }

    /// Records that match, as the person sees them.
    pub fn query(&self, query: &Query) -> ReplicaResult<Vec<Viewed>> {
        let Some(entity) = self.schema.entity(&query.entity) else { return Ok(Vec::new()) };
        let is_indexed = |filter: &&Filter| entity.field(&filter.field).is_some_and(|field| field.is_indexed);
        let mut rows = match query.filters.iter().find(is_indexed) {
            Some(filter) => self.query_indexed(query, filter)?,
            None => self.query_scan(query)?,
        };
        if let Some(sort) = &query.sort {
            let kind = entity.field(sort).map(|field| &field.kind);
            let key = |row: &Viewed| row.fields.get(sort).cloned().unwrap_or(Value::Null);
            rows.sort_by(|a, b| compare_values(kind, &key(a), &key(b)).then_with(|| a.id.cmp(&b.id)));
        }
        if query.is_descending {
            rows.reverse();
        }
        if query.limit > 0 {
            rows.truncate(query.limit);
        }
        Ok(rows)
    }

    fn query_indexed(&self, query: &Query, filter: &Filter) -> ReplicaResult<Vec<Viewed>> {
        let found = self.store.base_find(&query.entity, &filter.field, &filter.value, usize::MAX)?;
        let mut ids: BTreeSet<RecordId> = found.into_iter().collect();
        ids.extend(self.store.pending_ids(&query.entity)?);
        let mut rows = Vec::new();
        for id in ids {
            rows.extend(self.get(&query.entity, id)?.filter(|row| matches(query, row)));
        }
        Ok(rows)
    }

    fn query_scan(&self, query: &Query) -> ReplicaResult<Vec<Viewed>> {
        let pending: BTreeSet<RecordId> = self.store.pending_ids(&query.entity)?.into_iter().collect();
        let may_stop = query.sort.is_none() && !query.is_descending && query.limit > 0;
        let mut rows = Vec::new();
        for id in &pending {
            rows.extend(self.get(&query.entity, *id)?.filter(|row| matches(query, row)));
        }
        let mut after = None;
        let mut from_base = 0;
        loop {
            let page = self.store.base_scan(&query.entity, after, SCAN_PAGE)?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            let untouched = page.into_iter().filter(|record| !pending.contains(&record.id)).map(synced);
            let before = rows.len();
            rows.extend(untouched.filter(|row| matches(query, row)));
            from_base += rows.len() - before;
            // Pending rows may come anywhere in the order, so they do not count.
            if may_stop && from_base >= query.limit {
                break;
            }
        }
        rows.sort_by_key(|row| row.id);
        Ok(rows)
    }

    fn overlaid(&self, entity: &Name, id: RecordId, base: Option<BaseRecord>, pending: &[Pending]) -> Option<Viewed> {
        let Some(declared) = self.schema.entity(entity) else { return base.map(synced) };
        let mut view = base.map(synced);
        for pending in pending.iter().filter(|pending| !pending.is_in_base) {
            for op in pending.mutation.ops.iter().filter(|op| op.target() == (entity.as_str(), id)) {
                view = overlay(declared, view, op);
            }
        }
        view
    }
}

fn synced(record: BaseRecord) -> Viewed {
    let BaseRecord { entity, id, rv, scope, fields } = record;
    Viewed { entity, id, rv, scope: Some(scope), fields, state: RecordState::Synced }
}

/// One pending op over what is shown.
fn overlay(entity: &Entity, view: Option<Viewed>, op: &Op) -> Option<Viewed> {
    let fresh = |id: RecordId, fields: &Fields| {
        let mut fields = fields.clone();
        let defaults = entity.defaults_for(&fields);
        fields.extend(defaults);
        Viewed { entity: entity.name.clone(), id, rv: 0, scope: None, fields, state: RecordState::Pending }
    };
    match op {
        Op::Create { id, fields, .. } => Some(match view {
            // Another device made the same natural record, or the creation is in the base already.
            Some(view) => patch(entity, view, fields),
            None => fresh(*id, fields),
        }),
        Op::Update { fields, .. } => view.map(|view| patch(entity, view, fields)),
        Op::Delete { .. } => None,
        Op::Restore { id, fields, .. } => Some(view.unwrap_or_else(|| fresh(*id, fields))),
        Op::Resolve { resolution, .. } => {
            let resolution = match resolution {
                Resolution::UseMine => "use_mine",
                Resolution::UseTheirs => "use_theirs",
                Resolution::Custom => "custom",
            };
            let fields = [("state", "resolved"), ("resolution", resolution)];
            let fields = fields.into_iter().map(|(name, value)| (Name::new_static(name), Value::from(value))).collect();
            debug_assert_eq!(entity.name, CONFLICTS);
            view.map(|view| patch(entity, view, &fields))
        }
    }
}

fn patch(entity: &Entity, mut view: Viewed, fields: &Fields) -> Viewed {
    for (name, value) in fields {
        let Some(field) = entity.field(name) else { continue };
        let after = patched(entity, field, view.fields.get(name).unwrap_or(&Value::Null), value);
        if after.is_null() {
            view.fields.remove(name);
        } else {
            view.fields.insert(name.clone(), after);
        }
    }
    Viewed { state: RecordState::Pending, ..view }
}

fn matches(query: &Query, row: &Viewed) -> bool {
    query.filters.iter().all(|filter| match row.fields.get(&filter.field) {
        Some(Value::Array(items)) => items.contains(&filter.value),
        Some(value) => *value == filter.value,
        None => filter.value.is_null(),
    })
}
