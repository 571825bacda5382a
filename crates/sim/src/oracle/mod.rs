//! The judge: its own record of what was promised, and its own picture of what must follow.

mod finish;
mod frames;
mod merge;
mod model;
mod replicas;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use syncline_core::change::{LogEntry, Mutation};
use syncline_core::id::{DeviceId, MutationId, RecordId};
use syncline_core::principal::Principal;
use syncline_core::storage::{MemoryStore, Store};
use syncline_core::{Name, Seq};

pub use model::Model;
use model::{Commit, items, number, text};

use crate::counters::{Counter, Counters};
use crate::genesis;
use crate::server::Server;

/// A broken promise.
#[derive(Clone, Debug)]
pub struct Violation {
    pub check: &'static str,
    pub detail: String,
}

impl Violation {
    pub fn new(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, detail: detail.into() }
    }
}

type Checked<T = ()> = Result<T, Violation>;

fn fail<T>(check: &'static str, detail: impl Into<String>) -> Checked<T> {
    Err(Violation::new(check, detail))
}

/// What was pushed under a mutation id.
#[derive(Debug)]
struct Pushed {
    body: Value,
    user: String,
    client: String,
    client_seq: u64,
    /// `(age, received)` of every attempt.
    attempts: BTreeSet<(u64, u64)>,
}

/// A mutation a device accepted from its person.
#[derive(Debug)]
struct Accepted {
    device: usize,
    client: String,
}

#[derive(Debug)]
pub struct Oracle {
    pub model: Model,
    pushed: BTreeMap<String, Pushed>,
    accepted: BTreeMap<String, Accepted>,
    maybe: BTreeMap<String, usize>,
    /// Outcomes that were sent to a client.
    promised: BTreeMap<(String, u64), Value>,
    clients: BTreeSet<String>,
    impostors: BTreeSet<String>,
    revoked: BTreeSet<String>,
    sessions: BTreeMap<u64, frames::Told>,
    replicas: BTreeMap<usize, replicas::Watched>,
    has_restored: bool,
}

thread_local! {
    static GENESIS: (MemoryStore, Model) = first_state();
}

/// The state every world starts from, and the model of it.
pub fn genesis() -> (MemoryStore, Model) {
    GENESIS.with(Clone::clone)
}

fn first_state() -> (MemoryStore, Model) {
    let store = genesis::store(&crate::schema::first());
    let mut model = Model::new();
    let entries = store.read(&genesis::workspace(), |read| read.log(0, 1_000, 1_000)).expect("the log is there");
    for entry in entries {
        let json = serde_json::to_string(&entry).expect("an entry encodes");
        model.apply(&serde_json::to_value(&entry).expect("an entry encodes"), &json);
    }
    (store, model)
}

impl Oracle {
    pub fn new(model: Model) -> Self {
        Self {
            model,
            pushed: BTreeMap::new(),
            accepted: BTreeMap::new(),
            maybe: BTreeMap::new(),
            promised: BTreeMap::new(),
            clients: [genesis::SERVER_CLIENT.to_string()].into(),
            impostors: BTreeSet::new(),
            revoked: BTreeSet::new(),
            sessions: BTreeMap::new(),
            replicas: BTreeMap::new(),
            has_restored: false,
        }
    }

    /// A mutation on the wire: the user is the one the harness knows, whatever the server thinks.
    pub fn pushed(&mut self, principal: &Principal, mutation: &Mutation, received_ms: u64) {
        let client = principal.client_id.to_string();
        self.clients.insert(client.clone());
        let entry = self.pushed.entry(mutation.mutation_id.to_string());
        let pushed = entry.or_insert_with(|| Pushed {
            body: Value::Null,
            user: principal.user_id.to_string(),
            client: client.clone(),
            client_seq: mutation.client_seq,
            attempts: BTreeSet::new(),
        });
        if !mutation.ops.is_empty() || pushed.body.is_null() {
            pushed.body = serde_json::to_value(mutation).expect("a mutation encodes");
        }
        // A new client id numbers anew.
        if pushed.client != client {
            (pushed.client, pushed.client_seq) = (client, mutation.client_seq);
        }
        pushed.attempts.insert((mutation.age_ms, received_ms));
    }

    pub fn was_pushed_by(&self, principal: &Principal, mutations: &[Mutation]) -> bool {
        let client = principal.client_id.to_string();
        mutations.iter().all(|mutation| {
            let pushed = self.pushed.get(&mutation.mutation_id.to_string());
            pushed.is_some_and(|pushed| pushed.client == client && pushed.client_seq == mutation.client_seq)
        })
    }

    /// Somebody pushes under another's client id: nothing of it may happen.
    pub fn impostor(&mut self, mutation: &Mutation) {
        self.impostors.insert(mutation.mutation_id.to_string());
    }

    pub fn device_revoked(&mut self, device: DeviceId) {
        self.revoked.insert(device.to_string());
    }

    pub fn compacted(&mut self, upto: Seq) {
        self.model.compacted = self.model.compacted.max(upto);
    }

    /// Whether two worlds ended with the same records and versions.
    pub fn ends_as(&self, other: &Self) -> bool {
        self.model.records == other.model.records
    }

    pub fn tombstones(&self) -> Vec<(Name, RecordId)> {
        let dead = self.model.records.iter().filter(|((entity, _), rec)| !rec.is_live && entity != "conflicts");
        dead.filter_map(|((entity, id), _)| Some((Name::new(entity), id.parse().ok()?))).collect()
    }

    /// Takes in what the server has committed since the last look.
    pub fn observe(&mut self, server: &Server, counters: &mut Counters) -> Checked {
        let (head, entries) = server.read(|read| {
            let head = read.head()?;
            let entries = read.log(self.model.head, head.seq, usize::MAX)?;
            Ok((head, entries))
        });
        let mut empty = self.new_outcomes(server, counters)?;
        self.without_effect(&mut empty)?;
        for entry in &entries {
            self.entry(entry, counters)?;
            self.without_effect(&mut empty)?;
        }
        if self.model.head != head.seq {
            return fail("log is gapless", format!("the head is {}, the log ends at {}", head.seq, self.model.head));
        }
        if self.model.chain != head.chain {
            return fail("hash chain", format!("the chain at {} is not that of its entries", head.seq));
        }
        Ok(())
    }

    /// Outcomes stored since the last look; returns those without effects that were accepted.
    fn new_outcomes(&mut self, server: &Server, counters: &mut Counters) -> Checked<Vec<(String, Value)>> {
        let mut empty = Vec::new();
        for client in self.clients.clone() {
            let last = self.model.last_outcome.get(&client).copied().unwrap_or(0);
            let id = client.parse().expect("a client id");
            let new = server.read(|read| read.outcomes_from(id, last + 1, usize::MAX));
            for (stored, expected) in new.into_iter().zip(last + 1..) {
                let outcome = serde_json::to_value(&stored.outcome).expect("an outcome encodes");
                if number(&outcome, "client_seq") != expected {
                    return fail("program order", format!("client {client} has no outcome {expected}, but {outcome}"));
                }
                self.model.last_outcome.insert(client.clone(), expected);
                self.model.outcomes.insert((client.clone(), expected), outcome.clone());
                self.outcome(&client, &outcome, counters, &mut empty)?;
            }
        }
        Ok(empty)
    }

    fn outcome(
        &self,
        client: &str,
        outcome: &Value,
        counters: &mut Counters,
        empty: &mut Vec<(String, Value)>,
    ) -> Checked {
        let mutation_id = text(outcome, "mutation_id");
        if self.impostors.contains(&mutation_id) {
            return fail("client ids have one owner", format!("{outcome} is of somebody else's mutation"));
        }
        if let Some(pushed) = self.pushed.get(&mutation_id)
            && pushed.client == client
            && pushed.client_seq != number(outcome, "client_seq")
        {
            return fail("program order", format!("{outcome} was pushed as {}", pushed.client_seq));
        }
        counters.add(match text(outcome, "outcome").as_str() {
            "applied" => Counter::Applied,
            "merged" => Counter::Merged,
            "superseded" => Counter::Superseded,
            "in_review" => Counter::InReview,
            _ => Counter::Rejected,
        });
        if outcome["code"] == "device_revoked" {
            counters.add(Counter::Deposited);
        }
        if outcome["outcome"] != "rejected" {
            empty.push((client.to_owned(), outcome.clone()));
        }
        Ok(())
    }

    /// Accepted outcomes at the present head that left no entry: nothing may have been due.
    fn without_effect(&mut self, outcomes: &mut Vec<(String, Value)>) -> Checked {
        let head = self.model.head;
        let (due, later): (Vec<_>, Vec<_>) =
            outcomes.drain(..).partition(|(_, outcome)| number(outcome, "seq") <= head);
        *outcomes = later;
        for (client, outcome) in due {
            let mutation_id = text(&outcome, "mutation_id");
            let has_entry = self.model.by_mutation.contains_key(&mutation_id);
            let Some(pushed) = self.pushed.get(&mutation_id).filter(|_| !has_entry) else { continue };
            let commit = Commit {
                mutation_id,
                client,
                client_seq: number(&outcome, "client_seq"),
                user: pushed.user.clone(),
                role: self.model.role(&pushed.user),
                committed_ms: 0,
            };
            let author = merge::Author { commit: &commit, seq: u64::MAX, authored_ms: u64::MAX };
            let expected = merge::predict(&self.model, &author, &pushed.body);
            if expected.is_unknown || !expected.unknown.is_empty() {
                continue;
            }
            let is_there = |(key, values): (&model::Key, &BTreeMap<String, Value>)| {
                let rec = self.model.records.get(key);
                rec.is_some_and(|rec| {
                    values.iter().all(|(field, value)| {
                        let held = rec.value(field);
                        held == *value || (held.is_array() && items(&held) == items(value))
                    })
                })
            };
            let is_due = !expected.values.iter().all(is_there) || !expected.deleted.is_empty();
            if is_due || expected.conflicts.iter().any(|conflict| conflict.4 == "open") {
                let detail =
                    format!("{outcome} left nothing in the log, the model expects {expected:?}; {}", pushed.body);
                return fail("acknowledged edits take effect", detail);
            }
        }
        Ok(())
    }

    fn entry(&mut self, entry: &LogEntry, counters: &mut Counters) -> Checked {
        let json = serde_json::to_string(entry).expect("an entry encodes");
        let value: Value = serde_json::from_str(&json).expect("what was written decodes");
        let seq = number(&value, "seq");
        let is_next = seq == self.model.head + 1;
        if !is_next {
            return fail("log is gapless", format!("{seq} follows {}", self.model.head));
        }
        let mutation_id = text(&value, "mutation_id");
        if let Some(before) = self.model.by_mutation.get(&mutation_id) {
            return fail("takes effect once", format!("mutation {mutation_id} is in the log at {before} and {seq}"));
        }
        self.authorship(&value)?;
        self.predicted(&value, counters)?;
        for change in value["changes"].as_array().into_iter().flatten() {
            self.conflict_stays(change, &value)?;
            if change["left"].is_string() {
                counters.add(Counter::Left);
            }
        }
        self.model.apply(&value, &json);
        Ok(())
    }

    /// The author is who pushed it, with the role and the permission they have now (spec PRM-1 to PRM-3).
    fn authorship(&self, entry: &Value) -> Checked {
        let mutation_id = text(entry, "mutation_id");
        let Some(pushed) = self.pushed.get(&mutation_id) else {
            return fail("authorship", format!("nobody pushed {mutation_id}"));
        };
        let (user, role) = (text(entry, "user_id"), text(entry, "role"));
        if user != pushed.user {
            return fail("authorship", format!("{mutation_id} is of {}, the log says {user}", pushed.user));
        }
        let is_server = user == syncline_core::id::UserId::NIL.to_string();
        let role_now = if is_server { "server".to_owned() } else { self.model.role(&user) };
        if role != role_now {
            return fail(
                "permission on push",
                format!("{mutation_id} was committed as {role}, its author is `{role_now}`"),
            );
        }
        if is_server {
            return Ok(());
        }
        let Some(sees) = self.model.sees(&user) else {
            return fail("permission on push", format!("{user} is not a member, but {mutation_id} was accepted"));
        };
        let rank = model::rank_of(&role);
        for op in pushed.body["ops"].as_array().into_iter().flatten() {
            let (entity, id) = (text(op, "entity"), text(op, "id"));
            let kind = text(op, "op");
            let least = match (entity.as_str(), kind.as_str()) {
                ("workspace_members", _) | ("sim_accounts", "create" | "delete") => 256,
                ("teams", _) if !op["fields"]["member_ids"].is_null() => 50,
                ("teams", _) => 40,
                ("opportunities" | "proposals" | "settings", _) | (_, "delete" | "restore") => 30,
                (_, "resolve") => 0,
                _ => 20,
            };
            if rank < least || !op["fields"]["lead_score"].is_null() {
                return fail("permission on push", format!("{kind} of {entity} by {role} was accepted"));
            }
            let held = self.model.records.get(&(entity.clone(), id.clone()));
            if kind != "create" && held.is_some_and(|rec| !sees.includes(&rec.scope)) {
                return fail("permission on push", format!("{kind} of {entity} {id}, which {user} may not see"));
            }
        }
        Ok(())
    }

    /// The edit time is the one the spec says, for one of the times the mutation was pushed (CLK-2).
    fn authored(&self, entry: &Value, pushed: &Pushed) -> Checked<u64> {
        let (authored, received) = (number(entry, "authored_ms"), number(entry, "committed_ms"));
        let ops = pushed.body["ops"].as_array();
        let base_rv = ops.into_iter().flatten().map(|op| number(op, "base_rv")).max().unwrap_or(0);
        let known = self.model.commits.get(&base_rv).filter(|_| base_rv > self.model.compacted);
        let base = known.map_or(0, |commit| commit.committed_ms);
        let clamp = |age: u64| received.saturating_sub(age).max(base.min(received));
        let attempts = pushed.attempts.iter().filter(|(_, at)| *at == received);
        let possible: Vec<u64> = attempts.map(|(age, _)| clamp(*age)).collect();
        if !possible.contains(&authored) {
            return fail("edit order", format!("authored at {authored}, the spec says one of {possible:?}"));
        }
        Ok(authored)
    }

    fn predicted(&self, entry: &Value, counters: &mut Counters) -> Checked {
        let mutation_id = text(entry, "mutation_id");
        let Some(pushed) = self.pushed.get(&mutation_id) else { return Ok(()) };
        let authored_ms = self.authored(entry, pushed)?;
        let commit = Commit {
            mutation_id,
            client: text(entry, "client_id"),
            client_seq: number(entry, "client_seq"),
            user: text(entry, "user_id"),
            role: text(entry, "role"),
            committed_ms: number(entry, "committed_ms"),
        };
        let author = merge::Author { commit: &commit, seq: number(entry, "seq"), authored_ms };
        let expected = merge::predict(&self.model, &author, &pushed.body);
        if let Some(error) = &expected.error {
            return fail("merge", error.clone());
        }
        if expected.is_unknown {
            return Ok(());
        }
        counters.add(Counter::Predicted);
        let mut after = self.model.clone();
        after.apply(entry, "");
        for (key, values) in &expected.values {
            let Some(rec) = after.records.get(key) else {
                return fail("merge", format!("{key:?} should be there after {}", pushed.body));
            };
            for (field, value) in values {
                let is_known = !expected.unknown.contains(&(key.clone(), field.clone()));
                let held = rec.value(field);
                let is_equal = held == *value || (held.is_array() && items(&held) == items(value));
                if is_known && !is_equal {
                    let detail = format!("{key:?}.{field} is {held}, the model says {value}; {}", pushed.body);
                    return fail("merge", detail);
                }
            }
        }
        if let Some(key) = expected.deleted.iter().find(|key| after.records.get(*key).is_some_and(|rec| rec.is_live)) {
            return fail("merge", format!("{key:?} should be deleted"));
        }
        let unknown: BTreeSet<(&String, &String)> =
            expected.unknown.iter().map(|((_, id), field)| (id, field)).collect();
        let mut found: BTreeSet<merge::Conflict> = BTreeSet::new();
        for change in entry["changes"].as_array().into_iter().flatten() {
            if change["entity"] == "conflicts" && change["kind"] == "put" {
                let fields = &change["fields"];
                let conflict = (
                    text(fields, "entity"),
                    text(fields, "record_id"),
                    text(fields, "kind"),
                    items(&fields["fields"]),
                    text(fields, "state"),
                );
                counters.add(if conflict.4 == "open" { Counter::ConflictOpen } else { Counter::ConflictAuto });
                if conflict.3.is_empty() || !conflict.3.iter().all(|field| unknown.contains(&(&conflict.1, field))) {
                    found.insert(conflict);
                }
            }
        }
        if found != expected.conflicts {
            let detail = format!("found {found:?}, the model says {:?}; {}", expected.conflicts, pushed.body);
            let about: BTreeSet<&String> = found.symmetric_difference(&expected.conflicts).map(|of| &of.1).collect();
            let held = self.model.records.iter().filter(|((_, id), _)| about.contains(id));
            let held: Vec<_> = held.collect();
            let detail = format!("{detail}; before: {held:?}; entry {entry}");
            return fail("conflict list", detail);
        }
        Ok(())
    }

    /// A conflict leaves `open` only by a resolution (spec CNF-5).
    fn conflict_stays(&self, change: &Value, entry: &Value) -> Checked {
        if change["entity"] != "conflicts" || change["kind"] == "put" {
            return Ok(());
        }
        let key = ("conflicts".to_owned(), text(change, "id"));
        let was_open = self.model.records.get(&key).is_some_and(|rec| rec.is_live && rec.value("state") == "open");
        let is_closed = change["kind"] == "del" || change["fields"].get("state").is_some();
        let body = self.pushed.get(&text(entry, "mutation_id")).map(|pushed| &pushed.body["ops"]);
        let ops = body.and_then(Value::as_array).into_iter().flatten();
        let is_resolved = ops.into_iter().any(|op| op["op"] == "resolve");
        if was_open && is_closed && !is_resolved {
            return fail("conflicts stay", format!("an open conflict was closed by {}", text(entry, "mutation_id")));
        }
        Ok(())
    }

    /// After a crash: everything promised is there, and what was on disk without having been promised is taken in.
    pub fn recovered(&mut self, server: &Server, counters: &mut Counters) -> Checked {
        let head = server.head();
        if head < self.model.head {
            return fail("acked write lost", format!("the head went from {} back to {head}", self.model.head));
        }
        for ((client, seq), outcome) in &self.promised {
            let id = client.parse().expect("a client id");
            let (known, stored) = server.read(|read| Ok((read.client(id)?, read.outcome(id, *seq)?)));
            let stored = stored.map(|stored| serde_json::to_value(stored.outcome).expect("an outcome encodes"));
            if known.is_none_or(|known| known.last_client_seq < *seq) || stored.is_some_and(|stored| stored != *outcome)
            {
                return fail("acked write lost", format!("{outcome} was sent to {client} and is gone"));
            }
        }
        self.observe(server, counters)
    }

    /// The workspace is as it was in a backup; what came later may be offered again.
    pub fn restored(&mut self, model: Model, server: &Server) -> Checked {
        let lost_from: BTreeMap<String, u64> = model.last_outcome.clone();
        self.promised.retain(|(client, seq), _| lost_from.get(client).is_some_and(|last| seq <= last));
        self.has_restored = true;
        let former = std::mem::replace(&mut self.model, model);
        let head = server.read(|read| read.head());
        if head.seq <= former.head {
            return fail("restore is a new epoch", format!("the head went from {} to {}", former.head, head.seq));
        }
        let sums = self.model.sums.clone();
        self.model.head = head.seq;
        self.model.history.insert(head.seq, sums);
        Ok(())
    }

    pub fn maybe_accepted(&mut self, device: usize, mutation_id: MutationId) {
        self.maybe.insert(mutation_id.to_string(), device);
    }
}
