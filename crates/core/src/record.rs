//! A record as the server stores it: values beside the versions that make conflict detection exact (design D2).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{RecordId, ScopeId};
use crate::{Name, Seq, SharedFields, TimestampMs};

/// A live record or its tombstone.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Record {
    pub entity: Name,
    pub id: RecordId,
    /// Seq of the last change.
    pub rv: Seq,
    pub scope: ScopeId,
    /// Seq since when it has been in `scope`: a cursor before it needs the whole record, not a patch.
    pub entered: Seq,
    pub is_deleted: bool,
    /// Values; of a tombstone the last ones, kept for a restore. No nulls.
    pub fields: SharedFields,
    pub versions: Versions,
}

impl Record {
    /// A tombstone past the retention horizon: only its id is still known, so that a late edit is answered `gone` and
    /// nothing resurrects. `entered` is 0 and there are no fields.
    pub fn is_forgotten(&self) -> bool {
        self.is_deleted && self.entered == 0
    }
}

/// When something last changed: seq of the change and its authored-at (spec CLK-2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Version(pub Seq, pub TimestampMs);

impl Version {
    pub fn seq(&self) -> Seq {
        self.0
    }
    pub fn authored_ms(&self) -> TimestampMs {
        self.1
    }
}

/// Field versions, stored sparsely: a field without an entry has the version of the creation, whether it has a value
/// or not.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Versions {
    #[serde(rename = "c")]
    pub created: Version,
    #[serde(rename = "f", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub changed: BTreeMap<Name, Version>,
    /// Set fields: seq of the last add of an element that was added after the creation.
    #[serde(rename = "e", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub elements: BTreeMap<Name, BTreeMap<String, Seq>>,
}

impl Versions {
    pub fn new(created: Version) -> Self {
        Self { created, changed: BTreeMap::new(), elements: BTreeMap::new() }
    }
    pub fn of(&self, field: &str) -> Version {
        self.changed.get(field).copied().unwrap_or(self.created)
    }
    /// Seq of the last add of a set's element.
    pub fn of_element(&self, field: &str, element: &str) -> Seq {
        self.elements.get(field).and_then(|seqs| seqs.get(element)).copied().unwrap_or(self.created.seq())
    }
}
