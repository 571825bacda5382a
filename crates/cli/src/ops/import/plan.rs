//! What a row does: pure decisions over a view of the store. Nothing here writes.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Map, json};
use syncline_core::change::Op;
use syncline_core::id::{ClientId, RecordId, WorkspaceId};
use syncline_core::record::Record;
use syncline_core::schema::{Entity, FieldType, Schema};
use syncline_core::storage::{Read, StoreResult, unique_key};
use syncline_core::{Fields, Name, Value};

use super::columns::{CONTACT, LEAD, external_field};
use super::content::{Content, Reading, RowContent};
use super::identity::{Kind, Known, RowKey, primary_lead_id, short_hash};
use super::source::Row;

/// What to do with a row whose record is there already.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum OnMatch {
    /// Leave the record alone
    #[default]
    Skip,
    /// Fill fields that have no value
    FillEmpty,
    /// Set every field the row has
    Overwrite,
    /// Make another record where only e-mail or phone agree
    Create,
}

/// How a row ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    Created,
    Updated,
    Skipped(String),
    Failed(String),
}

pub struct PlannedRow {
    pub verdict: Verdict,
    pub ops: Vec<Op>,
    pub warning: Option<String>,
}

impl PlannedRow {
    fn skipped(reason: impl Into<String>) -> Self {
        Self { verdict: Verdict::Skipped(reason.into()), ops: Vec::new(), warning: None }
    }
    pub fn failed(reason: impl Into<String>) -> Self {
        Self { verdict: Verdict::Failed(reason.into()), ops: Vec::new(), warning: None }
    }
}

/// What the rows of one commit have in common.
#[derive(Default)]
pub struct Batch {
    /// Records that rows before have made or changed.
    pub touched: HashSet<RecordId>,
    /// Status options to make first, by folded name.
    pub options: BTreeMap<String, Op>,
}

pub struct Planner<'a> {
    pub schema: &'a Schema,
    pub workspace: &'a WorkspaceId,
    pub reading: Reading,
    pub on_match: OnMatch,
    pub known: Known,
    /// The client id of this import.
    pub client_id: ClientId,
    /// Client ids of all imports: what one of them deleted was an undo and may come back.
    pub import_clients: BTreeSet<ClientId>,
    /// Of keys that rows with different contents share: the content that counts, whatever the order of the rows.
    pub winners: HashMap<u64, [u8; 32]>,
}

impl Planner<'_> {
    /// What the row says; planning it may be tried several times.
    pub fn content(&self, row: &Row) -> RowContent {
        self.reading.content(self.schema, self.workspace, row)
    }

    pub fn plan_row(&self, read: &dyn Read, batch: &mut Batch, content: &RowContent) -> StoreResult<PlannedRow> {
        let content = match content {
            Ok(Some(content)) => content,
            Ok(None) => return Ok(PlannedRow::skipped("the row is empty")),
            Err(reason) => return Ok(PlannedRow::failed(reason)),
        };
        if self.winners.get(&content.key.hash()).is_some_and(|winner| *winner != content.hash) {
            let what = match &content.key {
                RowKey::Unique(name, _) => name.to_string(),
                RowKey::Id(_) | RowKey::External(_) | RowKey::Content(_) => "id".to_owned(),
            };
            return Ok(PlannedRow::skipped(format!("another row of this file with other values has the same {what}")));
        }
        let (id, stored) = self.stored(read, &content.key)?;
        if batch.touched.contains(&id) {
            return Ok(PlannedRow::skipped("the same row came before in this file"));
        }
        let mut planned = match stored {
            Some(record) if !record.is_deleted => self.matched(read, batch, content, (record, "the same row or id"))?,
            Some(tombstone) if self.is_undone(read, &tombstone)? => self.create(read, batch, content, (id, true))?,
            Some(_) => PlannedRow::skipped(format!("its record {id} was deleted here since; it is not brought back")),
            None => self.unknown(read, batch, content, id)?,
        };
        planned.warning = planned.warning.or_else(|| content.warning.clone());
        Ok(planned)
    }

    /// The id of the row's record and what is stored under it. Ids of forgotten tombstones cannot be used again.
    fn stored(&self, read: &dyn Read, key: &RowKey) -> StoreResult<(RecordId, Option<Record>)> {
        let entity = &self.reading.mapping.parts.0[CONTACT];
        let mut attempt = 0;
        loop {
            let id = key.record_id(self.workspace, entity, attempt);
            match read.record(entity, id)? {
                Some(record) if record.is_forgotten() && attempt < 8 => attempt += 1,
                other => return Ok((id, other)),
            }
        }
    }

    /// A row whose record was never imported: it may still be known by another name.
    fn unknown(&self, read: &dyn Read, batch: &mut Batch, content: &Content, id: RecordId) -> StoreResult<PlannedRow> {
        let entity = self.reading.mapping.parts.entity(self.schema, CONTACT);
        let strong = match &content.key {
            RowKey::External(external) => match external_field(entity) {
                Some(field) => read.find(&entity.name, field, &Value::from(external.as_str()), 1)?.first().copied(),
                None => None,
            },
            RowKey::Unique(name, key) => read.find_unique(&entity.name, name, key)?.first().copied(),
            RowKey::Id(_) | RowKey::Content(_) => None,
        };
        if let Some(record) = strong.map(|id| read.record(&entity.name, id)).transpose()?.flatten() {
            return self.matched(read, batch, content, (record, "the same id"));
        }
        let weak = if entity.name == "contacts" { self.known.find(read, &content.fields[CONTACT])? } else { None };
        let Some((record, kind)) = weak else { return self.create(read, batch, content, (id, false)) };
        let how = match kind {
            Kind::Email => "the same e-mail address",
            Kind::Phone => "the same phone number",
        };
        if self.on_match == OnMatch::Create {
            let warning = format!("may be a duplicate of contact {}: {how}", record.id);
            let planned = self.create(read, batch, content, (id, false))?;
            return Ok(PlannedRow { warning: Some(warning), ..planned });
        }
        self.matched(read, batch, content, (record, how))
    }

    fn create(
        &self,
        read: &dyn Read,
        batch: &mut Batch,
        content: &Content,
        (id, is_restore): (RecordId, bool),
    ) -> StoreResult<PlannedRow> {
        let parts = &self.reading.mapping.parts;
        let entity = parts.0[CONTACT].clone();
        let fields = content.fields[CONTACT].clone();
        let mut ops = vec![match is_restore {
            true => Op::Restore { entity, id, base_rv: 0, fields },
            false => Op::Create { entity, id, fields },
        }];
        if self.reading.is_pair() {
            let fields = self.lead_fields(read, batch, content)?;
            ops.extend(self.lead_op(read, id, fields)?);
        }
        if is_restore {
            // The lead first: a contact that comes back takes along what was deleted with it, as it was.
            ops.reverse();
        }
        batch.touched.insert(id);
        Ok(PlannedRow { verdict: Verdict::Created, ops, warning: None })
    }

    fn lead_op(&self, read: &dyn Read, contact: RecordId, fields: Fields) -> StoreResult<Option<Op>> {
        let entity = self.reading.mapping.parts.0[LEAD].clone();
        let (id, fields) = primary_lead(self.workspace, contact, fields);
        Ok(match read.record(&entity, id)? {
            None => Some(Op::Create { entity, id, fields }),
            Some(tombstone) if tombstone.is_forgotten() => None,
            Some(_) => Some(Op::Restore { entity, id, base_rv: 0, fields }),
        })
    }

    fn lead_fields(&self, read: &dyn Read, batch: &mut Batch, content: &Content) -> StoreResult<Fields> {
        let mut fields = content.fields[LEAD].clone();
        if let Some(label) = &content.status {
            let option = self.status_option(read, batch, label)?;
            fields.insert(Name::new_static("status_option_id"), Value::from(option.to_string()));
        }
        Ok(fields)
    }

    /// The status option of a label; one that is missing is made with the type its words suggest.
    fn status_option(&self, read: &dyn Read, batch: &mut Batch, label: &str) -> StoreResult<RecordId> {
        let folded = label.to_lowercase();
        let (id, fields) = new_status_option(self.workspace, label);
        if batch.options.contains_key(&folded) {
            return Ok(id);
        }
        let entity = &self.schema.entities["status_options"];
        let unique = entity.unique.iter().find(|unique| unique.name == "name");
        let key = unique.and_then(|unique| Some((&unique.name, unique_key(unique, &fields)?)));
        if let Some((name, key)) = key
            && let Some(present) = read.find_unique(&entity.name, name, &key)?.first()
        {
            return Ok(*present);
        }
        let entity = entity.name.clone();
        let op = match read.record(&entity, id)? {
            None => Op::Create { entity, id, fields },
            Some(renamed) if !renamed.is_deleted => return Ok(id),
            Some(_) => Op::Restore { entity, id, base_rv: 0, fields },
        };
        batch.options.insert(folded, op);
        Ok(id)
    }

    /// A row whose record is there already.
    fn matched(
        &self,
        read: &dyn Read,
        batch: &mut Batch,
        content: &Content,
        (record, how): (Record, &str),
    ) -> StoreResult<PlannedRow> {
        let id = record.id;
        let entity = self.reading.mapping.parts.entity(self.schema, CONTACT);
        let known = format!("{how} as {} {id}", entity.name);
        let is_overwrite = match self.on_match {
            OnMatch::Skip | OnMatch::Create => return Ok(PlannedRow::skipped(known)),
            OnMatch::FillEmpty => false,
            OnMatch::Overwrite => true,
        };
        let is_own = read.log_entry(record.rv)?.is_some_and(|entry| entry.client_id == self.client_id);
        if is_own || !batch.touched.insert(id) {
            return Ok(PlannedRow::skipped(format!("{known}, which another row of this file has met already")));
        }
        let mut ops = Vec::new();
        match patch(entity, &record, &content.fields[CONTACT], is_overwrite) {
            Ok(op) => ops.extend(op),
            Err(reason) => return Ok(PlannedRow::failed(reason)),
        }
        if self.reading.is_pair() {
            let fields = self.lead_fields(read, batch, content)?;
            let lead = read.record("leads", primary_lead_id(self.workspace, id))?;
            match lead.filter(|lead| !lead.is_deleted) {
                Some(lead) => {
                    let entity = self.reading.mapping.parts.entity(self.schema, LEAD);
                    match patch(entity, &lead, &fields, is_overwrite) {
                        Ok(op) => ops.extend(op),
                        Err(reason) => return Ok(PlannedRow::failed(reason)),
                    }
                }
                None => ops.extend(self.lead_op(read, id, fields)?),
            }
        }
        if ops.is_empty() {
            return Ok(PlannedRow::skipped(format!("{known}; nothing to change")));
        }
        Ok(PlannedRow { verdict: Verdict::Updated, ops, warning: None })
    }

    /// Whether an import's undo deleted it; what people delete stays deleted.
    fn is_undone(&self, read: &dyn Read, tombstone: &Record) -> StoreResult<bool> {
        let entry = read.log_entry(tombstone.rv)?;
        Ok(entry.is_some_and(|entry| self.import_clients.contains(&entry.client_id)))
    }
}

/// The update that brings a row's values into a record; `None`: there is nothing to change.
fn patch(entity: &Entity, record: &Record, fields: &Fields, is_overwrite: bool) -> Result<Option<Op>, String> {
    let canonical = entity.canonical_create_partial(fields)?;
    let mut changes = Fields::new();
    for (name, value) in canonical {
        let held = record.fields.get(&name);
        let Some(field) = entity.field(&name) else { continue };
        let change = match (&field.kind, held) {
            (_, None) => Some(value),
            (_, Some(held)) if *held == value || field.is_immutable => None,
            (FieldType::Set { .. }, Some(held)) if is_overwrite => {
                let held = held.as_array().map(Vec::as_slice).unwrap_or_default();
                let added: Vec<&Value> =
                    value.as_array().into_iter().flatten().filter(|item| !held.contains(item)).collect();
                (!added.is_empty()).then(|| json!({ "add": added, "remove": [] }))
            }
            (FieldType::Json { .. }, Some(Value::Object(held))) if name == "metadata" => {
                let changed = |(key, new): &(&String, &Value)| match held.get(*key) {
                    None => true,
                    Some(old) => is_overwrite && old != *new,
                };
                let members: Map<String, Value> = value
                    .as_object()
                    .into_iter()
                    .flatten()
                    .filter(changed)
                    .map(|(key, new)| (key.clone(), new.clone()))
                    .collect();
                (!members.is_empty()).then_some(Value::Object(members))
            }
            (_, Some(_)) => is_overwrite.then_some(value),
        };
        changes.extend(change.map(|value| (name, value)));
    }
    if changes.is_empty() {
        return Ok(None);
    }
    Ok(Some(Op::Update { entity: entity.name.clone(), id: record.id, base_rv: record.rv, fields: changes }))
}

trait CanonicalPartial {
    fn canonical_create_partial(&self, fields: &Fields) -> Result<Fields, String>;
}

impl CanonicalPartial for Entity {
    /// Canonical values of some fields, without defaults and whatever is required.
    fn canonical_create_partial(&self, fields: &Fields) -> Result<Fields, String> {
        let canonical = fields.iter().map(|(name, value)| {
            let field = self.field(name).ok_or_else(|| format!("{name}: unknown field"))?;
            let value = field.kind.canonical(value.clone()).map_err(|error| format!("{name}: {error}"))?;
            Ok((name.clone(), value))
        });
        canonical.collect()
    }
}

/// Id and fields of a contact's primary lead.
pub(super) fn primary_lead(workspace: &WorkspaceId, contact: RecordId, mut fields: Fields) -> (RecordId, Fields) {
    fields.insert(Name::new_static("contact_id"), Value::from(contact.to_string()));
    fields.insert(Name::new_static("is_primary"), Value::Bool(true));
    (primary_lead_id(workspace, contact), fields)
}

/// Id and fields of the status option that a label becomes when there is none of that name.
pub(super) fn new_status_option(workspace: &WorkspaceId, label: &str) -> (RecordId, Fields) {
    let folded = label.to_lowercase();
    let id = RecordId::natural(workspace, "status_options", &format!("import\u{0}lead\u{0}{folded}"));
    let fields = Fields::from([
        (Name::new_static("category"), json!("lead")),
        (Name::new_static("name"), json!(label)),
        (Name::new_static("type"), json!(status_type(&folded))),
    ]);
    (id, fields)
}

/// What a status label most likely means to reports.
fn status_type(folded: &str) -> &'static str {
    let has = |words: &[&str]| words.iter().any(|word| folded.contains(word));
    if has(&["lost", "disqualified", "rejected"]) {
        "lost"
    } else if has(&["won", "closed"]) {
        "won"
    } else if has(&["hold", "paused"]) {
        "on_hold"
    } else if has(&["contacted", "qualified", "proposal", "negotiation", "engag", "progress", "demo"]) {
        "ongoing"
    } else {
        "open"
    }
}

/// Notes a row's key and content for [`Planner::winners`]: of contents under one key the smallest hash counts.
#[derive(Default)]
pub struct Winners {
    first: HashMap<u64, [u8; 32]>,
    shared: HashMap<u64, [u8; 32]>,
}

impl Winners {
    pub fn note(&mut self, content: &Content) {
        let key = content.key.hash();
        match self.first.get_mut(&key) {
            None => {
                self.first.insert(key, content.hash);
            }
            Some(held) if *held == content.hash => {}
            Some(held) => {
                *held = (*held).min(content.hash);
                self.shared.insert(key, *held);
            }
        }
    }
    pub fn into_shared(self) -> HashMap<u64, [u8; 32]> {
        self.shared
    }
}

/// The client id of an import: every change it makes carries it.
pub fn client_of(import: RecordId) -> ClientId {
    ClientId(syncline_uuid(import))
}

fn syncline_uuid(import: RecordId) -> uuid::Uuid {
    uuid::Uuid::new_v5(&import.0, &short_hash("import").to_be_bytes())
}
