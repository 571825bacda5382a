//! Which column goes where: guessed from the headers, overridden by a mapping file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use syncline_core::schema::{Entity, FieldType, Schema};
use syncline_core::{Name, Value};

use super::dates::DateOrder;
use super::synonyms;

/// The records one row makes: `leads` makes a contact and its lead, everything else one record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parts(pub Vec<Name>);

pub const CONTACT: usize = 0;
pub const LEAD: usize = 1;

impl Parts {
    pub fn pair() -> Self {
        Self(vec![Name::new_static("contacts"), Name::new_static("leads")])
    }
    pub fn is_pair(&self) -> bool {
        self.0.len() == 2
    }
    pub fn entity<'s>(&self, schema: &'s Schema, part: usize) -> &'s Entity {
        &schema.entities[&self.0[part]]
    }
}

/// Where a column's cells go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// Field of one of the [`Parts`].
    Field(usize, Name),
    /// The record's id here: files this program exported.
    Id,
    /// The record's id in the system the file comes from.
    ExternalId,
    /// A person by name or e-mail address.
    Owner,
    /// A lead's status by its label.
    Status,
    /// Kept under its header beside the fields.
    Metadata,
    /// Nowhere: the entity has no place for it.
    Unmapped,
    /// Nowhere, because the mapping file says so or because the server writes it itself.
    Ignored,
}

impl Target {
    pub fn label(&self, parts: &Parts) -> String {
        match self {
            Target::Field(CONTACT, field) if parts.is_pair() => format!("contact.{field}"),
            Target::Field(LEAD, field) if parts.is_pair() => format!("lead.{field}"),
            Target::Field(_, field) => field.to_string(),
            Target::Id => "id".to_owned(),
            Target::ExternalId => "external_id".to_owned(),
            Target::Owner => "owner".to_owned(),
            Target::Status => "status".to_owned(),
            Target::Metadata => "metadata".to_owned(),
            Target::Unmapped => "unmapped".to_owned(),
            Target::Ignored => "ignore".to_owned(),
        }
    }
}

/// A mapping file, TOML or JSON.
#[derive(Clone, Default, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MappingFile {
    /// Target by header: `contact.firstname`, `lead.lead_source`, a field, or `external_id`, `owner`, `status`, `id`,
    /// `metadata`, `ignore`.
    pub columns: BTreeMap<String, String>,
    /// Cells that mean "nothing was chosen"; default `["Select"]`.
    pub placeholders: Option<Vec<String>>,
    pub date_order: Option<DateOrder>,
}

impl MappingFile {
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {} failed", path.display()))?;
        let is_json = path.extension().is_some_and(|extension| extension == "json");
        let read = if is_json { serde_json::from_str(&text)? } else { toml::from_str(&text)? };
        Ok(read)
    }
}

/// The targets of all columns, in column order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mapping {
    pub parts: Parts,
    pub headers: Vec<String>,
    pub targets: Vec<Target>,
}

impl Mapping {
    pub fn new(schema: &Schema, entity: &str, headers: &[String], file: &MappingFile) -> anyhow::Result<Self> {
        let Some(declared) = schema.entity(entity) else { bail!("the schema has no entity `{entity}`") };
        let folded: Vec<String> = headers.iter().map(|header| synonyms::fold(header)).collect();
        let is_own_lead =
            folded.iter().any(|header| header == "contactid") && folded.iter().any(|header| header == "id");
        let is_pair = entity == "leads" && !is_own_lead && schema.entity("contacts").is_some();
        let parts = if is_pair { Parts::pair() } else { Parts(vec![declared.name.clone()]) };
        if let Some(header) = file.columns.keys().find(|header| !headers.contains(header)) {
            bail!("the mapping names a column `{header}` that the file does not have");
        }
        let mut targets: Vec<Option<Target>> = vec![None; headers.len()];
        for (index, header) in headers.iter().enumerate() {
            if let Some(text) = file.columns.get(header) {
                targets[index] = Some(named(schema, &parts, text).with_context(|| format!("column `{header}`"))?);
            }
        }
        let mut taken: BTreeSet<String> = targets.iter().flatten().map(|target| target.label(&parts)).collect();
        let rest = if has_metadata(schema, &parts) { Target::Metadata } else { Target::Unmapped };
        for (target, folded) in targets.iter_mut().zip(&folded).filter(|(target, _)| target.is_none()) {
            let guesses = guesses(schema, &parts, folded);
            let is_free = |guess: &Target| *guess == Target::Ignored || !taken.contains(&guess.label(&parts));
            let guess = guesses.into_iter().find(is_free).unwrap_or_else(|| rest.clone());
            taken.insert(guess.label(&parts));
            *target = Some(guess);
        }
        let targets = targets.into_iter().map(|target| target.unwrap_or(Target::Unmapped)).collect();
        Ok(Self { parts, headers: headers.to_vec(), targets })
    }

    /// Whether a column's cells are read as dates.
    pub fn is_date(&self, schema: &Schema, column: usize) -> bool {
        let Some(Target::Field(part, name)) = self.targets.get(column) else { return false };
        let field = self.parts.entity(schema, *part).field(name);
        field.is_some_and(|field| matches!(field.kind, FieldType::Date | FieldType::Timestamp))
    }

    /// For the import's record: target by header.
    pub fn to_json(&self) -> Value {
        let pairs = self.headers.iter().zip(&self.targets);
        Value::Object(pairs.map(|(header, target)| (header.clone(), target.label(&self.parts).into())).collect())
    }
}

fn has_metadata(schema: &Schema, parts: &Parts) -> bool {
    parts.entity(schema, CONTACT).field("metadata").is_some()
}

/// A target as a mapping file writes it.
fn named(schema: &Schema, parts: &Parts, text: &str) -> anyhow::Result<Target> {
    let (part, name) = match text.split_once('.') {
        Some(("contact", name)) if parts.is_pair() => (Some(CONTACT), name),
        Some(("lead", name)) if parts.is_pair() => (Some(LEAD), name),
        Some(_) => bail!("`{text}` is no target: write contact.<field> or lead.<field>"),
        None => (None, text),
    };
    let target = match (part, name) {
        (None, "id") => Some(Target::Id),
        (None, "external_id") => Some(Target::ExternalId),
        (None, "owner") => Some(Target::Owner),
        (None, "status") if parts.is_pair() => Some(Target::Status),
        (None, "metadata") if has_metadata(schema, parts) => Some(Target::Metadata),
        (None, "ignore") => Some(Target::Ignored),
        _ => None,
    };
    if let Some(target) = target {
        return Ok(target);
    }
    let candidates = part.map_or_else(|| (0..parts.0.len()).collect(), |part| vec![part]);
    let found = candidates.into_iter().find(|part| parts.entity(schema, *part).field(name).is_some());
    match found {
        Some(part) => Ok(Target::Field(part, Name::new(name))),
        None => bail!("`{text}` is no field of {}", parts.0.join(" or ")),
    }
}

/// What a header may mean, best first.
fn guesses(schema: &Schema, parts: &Parts, folded: &str) -> Vec<Target> {
    let mut guesses = Vec::new();
    if folded == "id" {
        guesses.push(Target::Id);
    }
    if super::errors::HEADERS.iter().any(|header| synonyms::fold(header) == folded) {
        guesses.push(Target::Ignored);
    }
    if synonyms::EXTERNAL_ID.contains(&folded) {
        guesses.push(Target::ExternalId);
    }
    if parts.is_pair() && synonyms::STATUS.contains(&folded) {
        guesses.push(Target::Status);
    }
    if synonyms::OWNER.contains(&folded) && owner_field(parts.entity(schema, CONTACT)).is_some() {
        guesses.push(Target::Owner);
    }
    let order: &[usize] = if parts.is_pair() { &[LEAD, CONTACT] } else { &[CONTACT] };
    let is_lead_field = |name: &str| parts.is_pair() && synonyms::LEAD_FIRST.contains(&name);
    for part in order {
        let entity = parts.entity(schema, *part);
        let fields = entity.fields.values();
        for field in fields.filter(|field| synonyms::fold(&field.name) == folded) {
            let is_other = parts.is_pair() && (*part == LEAD) != is_lead_field(&field.name);
            let is_other = is_other && parts.entity(schema, 1 - *part).field(&field.name).is_some();
            match field.is_filled() {
                true => guesses.push(Target::Ignored),
                false if is_other || field.references.is_some() && parts.is_pair() => {}
                false => guesses.push(Target::Field(*part, field.name.clone())),
            }
        }
        for name in synonyms::fields(&entity.name, folded).filter(|name| entity.field(name).is_some()) {
            if !parts.is_pair() || (*part == LEAD) == is_lead_field(name) {
                guesses.push(Target::Field(*part, Name::new_static(name)));
            }
        }
    }
    guesses
}

/// The field that says whose record it is.
pub fn owner_field(entity: &Entity) -> Option<&'static str> {
    ["assigned_to", "owner_id"].into_iter().find(|name| entity.field(name).is_some())
}

/// The field for the id in another system.
pub fn external_field(entity: &Entity) -> Option<&'static str> {
    ["crm_id", "external_id"].into_iter().find(|name| entity.field(name).is_some())
}
