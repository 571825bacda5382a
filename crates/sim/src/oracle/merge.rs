//! What a mutation must have led to, from the spec's words alone (§6): final values, and exactly which conflicts.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::model::{Commit, Key, Model, Rec, items, number, rank_of, text};

/// `(entity, record, kind, fields, state)` of a conflict.
pub type Conflict = (String, String, String, BTreeSet<String>, String);

/// What must be there after a mutation.
#[derive(Debug, Default)]
pub struct Expected {
    /// Values of the fields the mutation named or its groups cover, by record.
    pub values: BTreeMap<Key, BTreeMap<String, Value>>,
    pub conflicts: BTreeSet<Conflict>,
    pub deleted: BTreeSet<Key>,
    /// A part the model does not predict: `(record, field)`.
    pub unknown: BTreeSet<(Key, String)>,
    /// Nothing is predicted of this mutation.
    pub is_unknown: bool,
    pub error: Option<String>,
}

enum Strategy {
    Last,
    Review,
    Guarded,
    Set,
    Counter,
    Max,
    Keys,
    Restrictive,
    Priority(&'static [&'static str]),
    Machine(&'static [(&'static str, &'static [&'static str])]),
}

const POSTAL: &[&str] = &["address_2", "city", "country", "st_address", "state", "zip"];
const LEAD_STATES: &[(&str, &[&str])] = &[
    ("unqualified", &["in_process", "marketing_qualified", "disqualified"]),
    ("in_process", &["marketing_qualified", "sales_qualified", "disqualified"]),
    ("marketing_qualified", &["in_process", "sales_qualified", "disqualified"]),
    ("sales_qualified", &["disqualified"]),
    ("disqualified", &["in_process"]),
];
const TASK_STATES: &[&str] = &["backlog", "todo", "in_progress", "canceled", "done"];

/// The fields of a field's group, and how the group is decided.
fn group(entity: &str, field: &str) -> (Vec<String>, Strategy) {
    let own = |strategy| (vec![field.to_owned()], strategy);
    let of = |fields: &[&str], strategy| (fields.iter().map(|field| (*field).to_owned()).collect(), strategy);
    match (entity, field) {
        ("contacts", field) if POSTAL.contains(&field) => of(POSTAL, Strategy::Last),
        ("contacts", "estimated_value") | ("leads", "contact_id") => own(Strategy::Review),
        ("leads", "estimated_value" | "currency") => of(&["currency", "estimated_value"], Strategy::Review),
        ("companies", "annual_revenue" | "currency") => of(&["annual_revenue", "currency"], Strategy::Review),
        (_, "assigned_to" | "team_id" | "owner_id") => own(Strategy::Guarded),
        (_, "tags" | "member_ids") => own(Strategy::Set),
        (_, "balance") => own(Strategy::Counter),
        (_, "last_contacted_at") => own(Strategy::Max),
        (_, "metadata") => own(Strategy::Keys),
        (_, "dnd") => own(Strategy::Restrictive),
        ("tasks", "status") => own(Strategy::Priority(TASK_STATES)),
        ("leads", "qualification_status") => own(Strategy::Machine(LEAD_STATES)),
        _ => own(Strategy::Last),
    }
}

pub struct Author<'a> {
    pub commit: &'a Commit,
    pub seq: u64,
    pub authored_ms: u64,
}

/// Predicts an accepted mutation on the state before it.
pub fn predict(model: &Model, author: &Author<'_>, mutation: &Value) -> Expected {
    let mut expected = Expected::default();
    let mut draft: BTreeMap<Key, Rec> = BTreeMap::new();
    for op in mutation["ops"].as_array().into_iter().flatten() {
        let key = (text(op, "entity"), text(op, "id"));
        let rec = draft.get(&key).or_else(|| model.records.get(&key)).cloned();
        match (text(op, "op").as_str(), rec) {
            ("create", Some(rec)) if rec.is_live => update(model, author, &mut expected, (&key, &rec), op, 0),
            ("create", _) => create(author, &mut expected, &mut draft, &key, op),
            ("update", Some(rec)) if rec.is_live => {
                update(model, author, &mut expected, (&key, &rec), op, number(op, "base_rv"));
            }
            ("update", Some(_)) => {
                let fields: BTreeSet<String> =
                    op["fields"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
                // An edit of nothing leaves nothing to offer.
                if !fields.is_empty() {
                    expected.conflicts.insert((key.0, key.1, "delete_edit".to_owned(), fields, "open".to_owned()));
                }
            }
            ("update", None) => expected.error = Some(format!("an update of {key:?} was accepted, which never was")),
            ("delete", Some(rec)) => delete(model, author, &mut expected, (&key, &rec), number(op, "base_rv")),
            _ => expected.is_unknown = true,
        }
    }
    expected
}

fn create(author: &Author<'_>, expected: &mut Expected, draft: &mut BTreeMap<Key, Rec>, key: &Key, op: &Value) {
    let mut rec = Rec { is_live: true, created: (author.seq, author.authored_ms), rv: author.seq, ..Rec::default() };
    let values = expected.values.entry(key.clone()).or_default();
    for (field, value) in op["fields"].as_object().into_iter().flatten() {
        rec.fields.insert(field.clone(), value.clone());
        values.insert(field.clone(), value.clone());
    }
    draft.insert(key.clone(), rec);
}

/// Whether the author had seen the change at `seq`; `None`: the log that would tell is gone.
fn seen(model: &Model, author: &Author<'_>, base_rv: u64, seq: u64) -> Option<bool> {
    if seq <= base_rv || seq == author.seq {
        return Some(true);
    }
    if seq <= model.compacted {
        return None;
    }
    let commit = model.commits.get(&seq)?;
    Some(commit.client == author.commit.client && commit.client_seq < author.commit.client_seq)
}

fn delete(model: &Model, author: &Author<'_>, expected: &mut Expected, (key, rec): (&Key, &Rec), base_rv: u64) {
    if !rec.is_live {
        return;
    }
    expected.deleted.insert(key.clone());
    let is_stamp = |field: &str| matches!(field, "created_at" | "updated_at" | "performed_by" | "performed_at");
    let names: BTreeSet<&String> =
        rec.fields.keys().chain(rec.versions.keys()).filter(|name| !is_stamp(name)).collect();
    let mut unseen = BTreeSet::new();
    for name in names {
        match seen(model, author, base_rv, rec.version(name).0) {
            Some(true) => {}
            Some(false) => {
                unseen.insert(name.clone());
            }
            None => expected.is_unknown = true,
        }
    }
    if !unseen.is_empty() {
        expected.conflicts.insert((key.0.clone(), key.1.clone(), "delete_edit".to_owned(), unseen, "open".to_owned()));
    }
}

fn update(
    model: &Model,
    author: &Author<'_>,
    expected: &mut Expected,
    (key, rec): (&Key, &Rec),
    op: &Value,
    base_rv: u64,
) {
    let empty = Map::new();
    let patch = op["fields"].as_object().unwrap_or(&empty);
    let mut done: BTreeSet<String> = BTreeSet::new();
    for field in patch.keys() {
        if done.contains(field) {
            continue;
        }
        let (fields, strategy) = group(&key.0, field);
        done.extend(fields.iter().cloned());
        let newest = fields.iter().map(|field| rec.version(field)).max().unwrap_or(rec.created);
        // One field changed behind the author's back makes the whole group concurrent (MRG-1).
        let seen_each = fields.iter().map(|field| seen(model, author, base_rv, rec.version(field).0));
        let Some(seen_each) = seen_each.collect::<Option<Vec<bool>>>() else {
            expected.is_unknown = true;
            return;
        };
        let is_seen = seen_each.iter().all(|is_seen| *is_seen);
        // What the author had not seen decides; their own later write of another field does not hide it.
        let unseen = fields.iter().zip(&seen_each).filter(|(_, is_seen)| !**is_seen);
        let newest = unseen.map(|(field, _)| rec.version(field)).max().unwrap_or(newest);
        let case = Case { model, author, key, rec, fields: &fields, patch, base_rv, newest, is_concurrent: !is_seen };
        case.decide(&strategy, expected);
    }
}

struct Case<'a> {
    model: &'a Model,
    author: &'a Author<'a>,
    key: &'a Key,
    rec: &'a Rec,
    fields: &'a [String],
    patch: &'a Map<String, Value>,
    base_rv: u64,
    newest: (u64, u64),
    is_concurrent: bool,
}

impl Case<'_> {
    fn decide(&self, strategy: &Strategy, expected: &mut Expected) {
        let field = &self.fields[0];
        let theirs = self.rec.value(field);
        let given = self.patch.get(field).cloned().unwrap_or(Value::Null);
        match strategy {
            Strategy::Set => self.set(field, &theirs, &given, expected),
            Strategy::Counter => {
                let sum = theirs.as_i64().unwrap_or(0) + given.get("inc").and_then(Value::as_i64).unwrap_or(0);
                self.stands(expected, field, Value::from(sum));
            }
            Strategy::Max => {
                let is_ahead = theirs.is_null() || (given.is_string() && given.as_str() > theirs.as_str());
                self.stands(expected, field, if is_ahead { given } else { theirs });
            }
            Strategy::Keys if self.is_concurrent => {
                expected.unknown.insert((self.key.clone(), field.clone()));
            }
            Strategy::Keys => self.stands(expected, field, overlay(&theirs, &given)),
            Strategy::Restrictive => self.restrictive(field, &theirs, &given, expected),
            Strategy::Machine(ways) => {
                let from = theirs.as_str().unwrap_or("");
                let to = given.as_str().unwrap_or("");
                let is_legal = from.is_empty() || ways.iter().any(|(state, next)| *state == from && next.contains(&to));
                match (given == theirs || is_legal, self.is_concurrent) {
                    (true, _) => self.stands(expected, field, given),
                    (false, true) => self.conflict(expected, "open", [field.clone()].into()),
                    (false, false) => {
                        expected.error = Some(format!("{from} to {to} was accepted from somebody who saw {from}"));
                    }
                }
            }
            Strategy::Last | Strategy::Review | Strategy::Guarded | Strategy::Priority(_) => {
                self.contest(strategy, expected);
            }
        }
    }

    fn stands(&self, expected: &mut Expected, field: &str, value: Value) {
        expected.values.entry(self.key.clone()).or_default().insert(field.to_owned(), value);
    }

    fn conflict(&self, expected: &mut Expected, state: &str, fields: BTreeSet<String>) {
        let (entity, id) = self.key.clone();
        expected.conflicts.insert((entity, id, "field".to_owned(), fields, state.to_owned()));
    }

    fn set(&self, field: &str, theirs: &Value, given: &Value, expected: &mut Expected) {
        let mut after = items(theirs);
        let empty = BTreeMap::new();
        let elements = self.rec.elements.get(field).unwrap_or(&empty);
        for element in items(&given["remove"]) {
            let added = elements.get(&element).copied().unwrap_or(self.rec.created.0);
            match seen(self.model, self.author, self.base_rv, added) {
                Some(true) => {
                    after.remove(&element);
                }
                Some(false) => {}
                None => {
                    expected.unknown.insert((self.key.clone(), field.to_owned()));
                    return;
                }
            }
        }
        after.extend(items(&given["add"]));
        let after = if after.is_empty() { Value::Null } else { Value::from_iter(after) };
        self.stands(expected, field, after);
    }

    fn restrictive(&self, field: &str, theirs: &Value, given: &Value, expected: &mut Expected) {
        let wanted = overlay(theirs, given);
        let mut after = wanted.clone();
        if self.is_concurrent {
            for (key, value) in theirs.as_object().into_iter().flatten().filter(|(_, value)| **value == true) {
                after[key.as_str()] = value.clone();
            }
        }
        if after != wanted {
            self.conflict(expected, "auto_resolved", [field.to_owned()].into());
        }
        self.stands(expected, field, after);
    }

    /// Whole groups: one side's values, never a mixture.
    fn contest(&self, strategy: &Strategy, expected: &mut Expected) {
        let is_covered = self.fields.iter().all(|field| self.patch.contains_key(field));
        let has_lost_history =
            self.rec.history.iter().any(|(seq, _, _)| *seq > self.base_rv && *seq <= self.model.compacted);
        if self.is_concurrent && !is_covered && has_lost_history {
            // What the author started from cannot be known any more.
            expected.is_unknown = true;
            return;
        }
        let theirs: BTreeMap<String, Value> =
            self.fields.iter().map(|field| (field.clone(), self.rec.value(field))).collect();
        let mut mine = theirs.clone();
        for (field, value) in &mut mine {
            *value = match self.patch.get(field) {
                Some(given) => given.clone(),
                None if self.is_concurrent => self.base_value(field),
                None => value.clone(),
            };
        }
        let all: BTreeSet<String> = self.fields.iter().cloned().collect();
        if !self.is_concurrent || mine == theirs {
            mine.into_iter().for_each(|(field, value)| self.stands(expected, &field, value));
            return;
        }
        let field = &self.fields[0];
        let place = |order: &[&str], value: &Value| order.iter().position(|state| value == *state);
        let wins = match strategy {
            Strategy::Last => Some(self.author.authored_ms >= self.newest.1),
            Strategy::Priority(order) => Some(place(order, &mine[field]) >= place(order, &theirs[field])),
            Strategy::Guarded => {
                let other = self.model.commits.get(&self.newest.0);
                let their_rank = other.map_or(0, |other| self.model.rank(&other.user, &other.role));
                let my_rank = rank_of(&self.author.commit.role);
                (my_rank != their_rank).then_some(my_rank > their_rank)
            }
            _ => None,
        };
        self.conflict(expected, if wins.is_some() { "auto_resolved" } else { "open" }, all);
        let standing = if wins == Some(true) { mine } else { theirs };
        standing.into_iter().for_each(|(field, value)| self.stands(expected, &field, value));
    }

    /// The last value of a field the author had seen.
    fn base_value(&self, field: &str) -> Value {
        let changes = self.rec.history.iter().rev().filter(|(_, name, _)| name == field);
        for (seq, _, value) in changes {
            if seen(self.model, self.author, self.base_rv, *seq) == Some(true) {
                return value.clone();
            }
        }
        // As it was created, if that was seen.
        let first = self.rec.history.iter().any(|(_, name, _)| name == field);
        if first || seen(self.model, self.author, self.base_rv, self.rec.created.0) != Some(true) {
            return self.created_value(field);
        }
        self.rec.value(field)
    }

    fn created_value(&self, field: &str) -> Value {
        if seen(self.model, self.author, self.base_rv, self.rec.created.0) != Some(true) {
            return Value::Null;
        }
        self.rec.first(field)
    }
}

impl Rec {
    /// Value of a field at the creation: known only where it was not changed since, or was empty then.
    fn first(&self, field: &str) -> Value {
        let is_changed = self.history.iter().any(|(_, name, _)| name == field);
        if is_changed { self.at_creation.get(field).cloned().unwrap_or(Value::Null) } else { self.value(field) }
    }
}

/// JSON objects: the patch's members replace, `null` removes.
fn overlay(held: &Value, patch: &Value) -> Value {
    let Some(members) = patch.as_object() else { return patch.clone() };
    let mut after = held.as_object().cloned().unwrap_or_default();
    for (key, value) in members {
        if value.is_null() {
            after.remove(key);
        } else {
            after.insert(key.clone(), value.clone());
        }
    }
    Value::Object(after)
}
