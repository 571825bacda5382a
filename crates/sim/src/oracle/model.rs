//! The oracle's own picture of the workspace: rebuilt from the log's JSON, with its own digests, chain and grants. It
//! shares no code with the engine, the merge or the storage.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub type Key = (String, String);
/// Count and sum.
pub type Sum = (u64, u64);

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Rec {
    pub is_live: bool,
    pub scope: String,
    pub rv: u64,
    pub fields: BTreeMap<String, Value>,
    /// Seq and authored-at of the last change of a field; others have those of the creation.
    pub versions: BTreeMap<String, (u64, u64)>,
    pub created: (u64, u64),
    /// Seq of the last add of an element of a set, by field.
    pub elements: BTreeMap<String, BTreeMap<String, u64>>,
    pub at_creation: BTreeMap<String, Value>,
    /// `(seq, field, value)` of every change since the creation.
    pub history: Vec<(u64, String, Value)>,
    /// Where it was from which seq on.
    pub places: Vec<(u64, String)>,
}

impl Rec {
    pub fn version(&self, field: &str) -> (u64, u64) {
        self.versions.get(field).copied().unwrap_or(self.created)
    }
    /// Scope at a seq.
    pub fn scope_at(&self, seq: u64) -> &str {
        let place = self.places.iter().rev().find(|(since, _)| *since <= seq);
        place.map_or("", |(_, scope)| scope)
    }
    pub fn value(&self, field: &str) -> Value {
        self.fields.get(field).cloned().unwrap_or(Value::Null)
    }
}

/// Who committed at a seq.
#[derive(Clone, Debug)]
pub struct Commit {
    pub mutation_id: String,
    pub client: String,
    pub client_seq: u64,
    pub user: String,
    pub role: String,
    pub committed_ms: u64,
}

/// What somebody may see.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Sees {
    All,
    Only(BTreeSet<String>),
}

impl Sees {
    pub fn includes(&self, scope: &str) -> bool {
        match self {
            Sees::All => true,
            Sees::Only(scopes) => scopes.contains(scope),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Model {
    pub head: u64,
    pub chain: String,
    /// Log entries up to here may be gone.
    pub compacted: u64,
    pub records: BTreeMap<Key, Rec>,
    pub commits: BTreeMap<u64, Commit>,
    pub by_mutation: BTreeMap<String, u64>,
    pub outcomes: BTreeMap<(String, u64), Value>,
    pub last_outcome: BTreeMap<String, u64>,
    pub sums: BTreeMap<String, Sum>,
    /// Digests of every scope after every seq.
    pub history: BTreeMap<u64, BTreeMap<String, Sum>>,
}

pub fn text(value: &Value, member: &str) -> String {
    value.get(member).and_then(Value::as_str).unwrap_or("").to_owned()
}

pub fn number(value: &Value, member: &str) -> u64 {
    value.get(member).and_then(Value::as_u64).unwrap_or(0)
}

/// Spec DIG-2, written down once more.
pub fn row_hash(entity: &str, id: &str, rv: u64) -> u64 {
    let mut bytes: Vec<u8> = entity.bytes().collect();
    bytes.push(0);
    let hex: Vec<u8> = id.bytes().filter(|byte| *byte != b'-').collect();
    for pair in hex.chunks(2) {
        let digits = std::str::from_utf8(pair).unwrap_or("0");
        bytes.push(u8::from_str_radix(digits, 16).unwrap_or(0));
    }
    bytes.extend(rv.to_be_bytes());
    let mut hash: u64 = 14_695_981_039_346_656_037;
    for byte in bytes {
        hash ^= u64::from(byte);
        hash = hash.wrapping_mul(1_099_511_628_211);
    }
    for factor in [0xff51_afd7_ed55_8ccd_u64, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
    }
    hash ^ (hash >> 33)
}

fn next_hash(previous: &str, entry: &str) -> String {
    let hash = Sha256::digest(format!("{previous}{entry}").as_bytes());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Model {
    pub fn new() -> Self {
        Self { chain: "0".repeat(64), ..Self::default() }
    }

    /// Takes in one entry of the log as it is. `json`: as it is hashed.
    pub fn apply(&mut self, entry: &Value, json: &str) {
        let seq = number(entry, "seq");
        let authored = number(entry, "authored_ms");
        let commit = Commit {
            mutation_id: text(entry, "mutation_id"),
            client: text(entry, "client_id"),
            client_seq: number(entry, "client_seq"),
            user: text(entry, "user_id"),
            role: text(entry, "role"),
            committed_ms: number(entry, "committed_ms"),
        };
        self.by_mutation.insert(commit.mutation_id.clone(), seq);
        self.commits.insert(seq, commit);
        for change in entry["changes"].as_array().into_iter().flatten() {
            self.change(change, seq, authored);
        }
        self.head = seq;
        self.chain = next_hash(&self.chain, json);
        self.history.insert(seq, self.sums.clone());
    }

    fn change(&mut self, change: &Value, seq: u64, authored: u64) {
        let key = (text(change, "entity"), text(change, "id"));
        let kind = text(change, "kind");
        let scope = text(change, "scope");
        let mut rec = self.records.remove(&key).unwrap_or_default();
        if rec.is_live {
            self.add(&rec.scope.clone(), row_hash(&key.0, &key.1, rec.rv), false);
        }
        rec.rv = seq;
        rec.scope.clone_from(&scope);
        rec.places.push((seq, scope.clone()));
        match kind.as_str() {
            "del" => rec.is_live = false,
            "put" => {
                rec = Rec {
                    places: rec.places,
                    rv: seq,
                    scope: scope.clone(),
                    created: (seq, authored),
                    ..Rec::default()
                };
                rec.is_live = true;
                for (field, value) in change["fields"].as_object().into_iter().flatten() {
                    rec.fields.insert(field.clone(), value.clone());
                }
                rec.at_creation.clone_from(&rec.fields);
            }
            _ => {
                for (field, value) in change["fields"].as_object().into_iter().flatten() {
                    let before: BTreeSet<String> = items(&rec.value(field));
                    let after = items(value);
                    if value.is_array() || rec.value(field).is_array() {
                        let elements = rec.elements.entry(field.clone()).or_default();
                        elements.retain(|element, _| after.contains(element));
                        elements.extend(after.difference(&before).map(|element| (element.clone(), seq)));
                    }
                    rec.versions.insert(field.clone(), (seq, authored));
                    rec.history.push((seq, field.clone(), value.clone()));
                    if value.is_null() {
                        rec.fields.remove(field);
                    } else {
                        rec.fields.insert(field.clone(), value.clone());
                    }
                }
            }
        }
        if rec.is_live {
            self.add(&scope, row_hash(&key.0, &key.1, seq), true);
        }
        self.records.insert(key, rec);
    }

    fn add(&mut self, scope: &str, hash: u64, is_plus: bool) {
        let sum = self.sums.entry(scope.to_owned()).or_default();
        if is_plus {
            *sum = (sum.0 + 1, sum.1.wrapping_add(hash));
        } else {
            *sum = (sum.0.wrapping_sub(1), sum.1.wrapping_sub(hash));
        }
    }

    fn member(&self, user: &str) -> Option<&Rec> {
        let mut members = self.records.iter().filter(|((entity, _), _)| entity == "workspace_members");
        let found = members.find(|(_, rec)| rec.fields.get("user_id").and_then(Value::as_str) == Some(user));
        found.map(|(_, rec)| rec).filter(|rec| rec.is_live && rec.value("status") == "active")
    }

    /// Spec PRM-5. `None`: not a member.
    pub fn sees(&self, user: &str) -> Option<Sees> {
        let member = self.member(user)?;
        let role = member.value("role");
        let read_scope = member.value("read_scope");
        if role == "owner" || role == "admin" || read_scope == "all" {
            return Some(Sees::All);
        }
        let mut scopes: BTreeSet<String> = ["workspace".to_owned(), format!("owner:{user}")].into();
        if read_scope == "team" {
            for ((entity, id), rec) in &self.records {
                let members = items(&rec.value("member_ids"));
                if entity == "teams" && rec.is_live && members.contains(user) {
                    scopes.insert(format!("team:{id}"));
                    scopes.extend(members.iter().map(|member| format!("owner:{member}")));
                }
            }
        }
        Some(Sees::Only(scopes))
    }

    pub fn role(&self, user: &str) -> String {
        self.member(user).and_then(|rec| rec.value("role").as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Spec MRG-9: the rank of a writer as ranks are now.
    pub fn rank(&self, user: &str, role_then: &str) -> u64 {
        match role_then {
            "server" => 255,
            _ => rank_of(&self.role(user)),
        }
    }
}

pub fn rank_of(role: &str) -> u64 {
    match role {
        "server" => 255,
        "owner" => 60,
        "admin" => 50,
        "manager" => 40,
        "agent" => 30,
        "integration" => 20,
        "viewer" => 10,
        _ => 0,
    }
}

pub fn items(value: &Value) -> BTreeSet<String> {
    let texts = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}
