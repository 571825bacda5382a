//! What a row says, before anybody asks what is known already.

use std::collections::{BTreeSet, HashMap};

use serde_json::Map;
use syncline_core::id::{RecordId, WorkspaceId};
use syncline_core::schema::{IdRule, Schema};
use syncline_core::storage::{Read, StoreResult, unique_key};
use syncline_core::{Fields, Name, Value};

use super::columns::{CONTACT, LEAD, Mapping, Target, external_field, owner_field};
use super::dates::DateOrder;
use super::identity::{RowKey, sha256};
use super::source::{Format, Row};
use super::values::value_of;
use crate::ops::formula;

/// What turns cells into fields.
pub struct Reading {
    pub format: Format,
    pub mapping: Mapping,
    /// Order of dates by column.
    pub date_orders: Vec<Option<DateOrder>>,
    /// Cells that mean "nothing was chosen".
    pub placeholders: BTreeSet<String>,
    pub owners: Owners,
}

/// A row's values.
#[derive(Clone, PartialEq, Debug)]
pub struct Content {
    /// One per part of the mapping.
    pub fields: Vec<Fields>,
    pub status: Option<String>,
    pub key: RowKey,
    /// Hash of everything the row says.
    pub hash: [u8; 32],
    pub warning: Option<String>,
}

/// Users by folded name and e-mail address.
#[derive(Default)]
pub struct Owners(HashMap<String, RecordId>);

impl Owners {
    pub fn load(schema: &Schema, read: &dyn Read) -> StoreResult<Self> {
        let mut owners = HashMap::new();
        let mut after = None;
        while schema.entity("users").is_some() {
            let page = read.scan("users", after, 500)?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for user in &page {
                let names = ["name", "email"].into_iter().filter_map(|field| user.fields.get(field)?.as_str());
                for name in names.map(|name| name.trim().to_lowercase()).chain([user.id.to_string()]) {
                    owners.entry(name).or_insert(user.id);
                }
            }
        }
        Ok(Self(owners))
    }
    fn find(&self, text: &str) -> Option<RecordId> {
        self.0.get(&text.trim().to_lowercase()).copied()
    }
}

/// A row's values, `None` when there are none; an error is the row's, for a person.
pub type RowContent = Result<Option<Content>, String>;

impl Reading {
    pub fn content(&self, schema: &Schema, workspace: &WorkspaceId, row: &Row) -> RowContent {
        if let Some(broken) = &row.broken {
            return Err(broken.clone());
        }
        let parts = &self.mapping.parts;
        let mut fields = vec![Fields::new(); parts.0.len()];
        let mut metadata = Map::new();
        let (mut id, mut external, mut owner, mut status) = (None, None, None, None);
        for (column, cell) in &row.cells {
            let cell = match (cell, self.format) {
                (Value::String(text), Format::Csv) => &Value::from(formula::unguard(text)),
                _ => cell,
            };
            if cell.as_str().is_some_and(|text| self.placeholders.contains(text)) {
                continue;
            }
            let text = || cell.as_str().map_or_else(|| cell.to_string(), |text| text.trim().to_owned());
            match &self.mapping.targets[*column] {
                Target::Field(part, name) => {
                    let Some(field) = parts.entity(schema, *part).field(name) else { continue };
                    let order = self.date_orders.get(*column).copied().flatten();
                    if let Some(value) = value_of(field, cell, order)? {
                        fields[*part].insert(name.clone(), value);
                    }
                }
                Target::Id => id = Some(text()).filter(|text| !text.is_empty()),
                Target::ExternalId => external = Some(text()).filter(|text| !text.is_empty()),
                Target::Owner => owner = Some((self.mapping.headers[*column].clone(), text())),
                Target::Status => status = Some(text()).filter(|text| !text.is_empty()),
                Target::Metadata => {
                    metadata.insert(self.mapping.headers[*column].clone(), cell.clone());
                }
                Target::Unmapped | Target::Ignored => {}
            }
        }
        let mut warning = None;
        if let Some((header, text)) = owner {
            match self.owners.find(&text) {
                Some(user) => self.set_owner(schema, &mut fields, user),
                None if parts.entity(schema, CONTACT).field("metadata").is_some() => {
                    metadata.insert(header, Value::from(text));
                }
                None => warning = Some(format!("no user is called `{text}`: the record has no owner")),
            }
        }
        let id = match id.as_deref().map(str::parse::<RecordId>) {
            Some(Ok(id)) => Some(id),
            Some(Err(_)) if external_field(parts.entity(schema, CONTACT)).is_some() => {
                external = external.or(id);
                None
            }
            Some(Err(_)) => return Err("id: expected a UUID".to_owned()),
            None => None,
        };
        if let Some(external) = &external {
            for (part, fields) in fields.iter_mut().enumerate() {
                if let Some(field) = external_field(parts.entity(schema, part)) {
                    fields.entry(Name::new_static(field)).or_insert_with(|| Value::from(external.as_str()));
                }
            }
        }
        merge_metadata(&mut fields[CONTACT], metadata);
        if status.is_none() && fields.iter().all(Fields::is_empty) {
            return Ok(None);
        }
        let bytes = serde_json::to_vec(&(&fields, &status, &external)).unwrap_or_default();
        let hash = sha256(&bytes);
        let key = self.key(schema, workspace, &fields[CONTACT], (id, external), hash);
        Ok(Some(Content { fields, status, key, hash, warning }))
    }

    fn set_owner(&self, schema: &Schema, fields: &mut [Fields], user: RecordId) {
        for (part, fields) in fields.iter_mut().enumerate() {
            if let Some(field) = owner_field(self.mapping.parts.entity(schema, part)) {
                fields.entry(Name::new_static(field)).or_insert_with(|| Value::from(user.to_string()));
            }
        }
    }

    fn key(
        &self,
        schema: &Schema,
        workspace: &WorkspaceId,
        fields: &Fields,
        (id, external): (Option<RecordId>, Option<String>),
        hash: [u8; 32],
    ) -> RowKey {
        let entity = self.mapping.parts.entity(schema, CONTACT);
        let is_unique = !entity.unique.is_empty() || matches!(entity.id, IdRule::Natural(_));
        if let Some(id) = id.filter(|_| !matches!(entity.id, IdRule::Natural(_))) {
            return RowKey::Id(id);
        }
        if let Some(external) = external {
            return RowKey::External(external);
        }
        if is_unique && let Ok(canonical) = entity.canonical_create(fields.clone()) {
            if let Some(id) = entity.natural_id(workspace, &canonical) {
                return RowKey::Id(id);
            }
            let mut uniques = entity.unique.iter();
            if let Some((name, key)) = uniques.find_map(|unique| Some((&unique.name, unique_key(unique, &canonical)?)))
            {
                return RowKey::Unique(name.clone(), key);
            }
        }
        RowKey::Content(hash)
    }

    /// Whether rows may share a key other than by saying the same.
    pub fn has_keys(&self, schema: &Schema) -> bool {
        let entity = self.mapping.parts.entity(schema, CONTACT);
        let is_keyed = |target: &Target| matches!(target, Target::Id | Target::ExternalId);
        self.mapping.targets.iter().any(is_keyed)
            || !entity.unique.is_empty()
            || matches!(entity.id, IdRule::Natural(_))
    }

    pub fn is_pair(&self) -> bool {
        self.mapping.parts.0.len() > LEAD
    }
}

/// Puts what has no field beside what the column `metadata` may have brought.
fn merge_metadata(fields: &mut Fields, metadata: Map<String, Value>) {
    if metadata.is_empty() {
        return;
    }
    match fields.get_mut("metadata") {
        Some(Value::Object(present)) => present.extend(metadata),
        _ => {
            fields.insert(Name::new_static("metadata"), Value::Object(metadata));
        }
    }
}
