//! Replays the language-neutral vectors in `spec/vectors` that only need the public API; the shapes of the files are
//! explained in `spec/vectors/README.md`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops there")]

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use syncline_core::change::{LogEntry, Op, Outcome, OutcomeKind};
use syncline_core::clock::authored_at;
use syncline_core::digest::Digest;
use syncline_core::id::{RecordId, ScopeId, WorkspaceId};
use syncline_core::merge::{GroupCase, GroupPlan, SeenHistory, plan_group};
use syncline_core::protocol::{Class, ClientFrame, CloseCode, Code, ServerFrame};
use syncline_core::record::{Record, Version, Versions};
use syncline_core::schema::Schema;
use syncline_core::storage::{CHAIN_START, EPOCH_MAX, EpochError, Store, chain_hash, epoch_after, epoch_base};
use syncline_core::{Fields, Name, Seq};

// The whole file serves the engine's tests; some of it is not needed here.
#[allow(dead_code)]
#[path = "engine/world.rs"]
mod world;

use world::{Device, World};

fn vectors<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).expect("the vectors have the shape the README describes")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MergeVectors {
    entities: Value,
    groups: Vec<MergeCase>,
    records: Vec<RecordCase>,
}

fn merge_vectors() -> MergeVectors {
    vectors(include_str!("../../../spec/vectors/merge.json"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MergeCase {
    name: String,
    rule: String,
    base: Fields,
    #[serde(default = "yes")]
    base_known: bool,
    theirs: Fields,
    #[serde(default)]
    unseen: BTreeMap<Name, u64>,
    #[serde(default)]
    own: BTreeMap<Name, u64>,
    #[serde(default)]
    unseen_adds: BTreeMap<Name, Vec<String>>,
    #[serde(default)]
    own_adds: BTreeMap<Name, Vec<String>>,
    mine: Fields,
    #[serde(default = "later")]
    at: u64,
    #[serde(default)]
    ranks: Ranks,
    expect: Expected,
}

fn yes() -> bool {
    true
}

fn later() -> u64 {
    100
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ranks {
    mine: u8,
    theirs: u8,
}

impl Default for Ranks {
    fn default() -> Self {
        Self { mine: 30, theirs: 30 }
    }
}

#[derive(Deserialize, PartialEq, Debug)]
#[serde(tag = "plan", rename_all = "snake_case", deny_unknown_fields)]
enum Expected {
    Unchanged,
    Apply { fields: Fields },
    Combine { fields: Fields },
    Win { fields: Fields, mine: Fields },
    Lose { mine: Fields },
    Yield,
    Review { mine: Fields },
    Reject { field: Name },
}

impl From<GroupPlan> for Expected {
    fn from(plan: GroupPlan) -> Self {
        match plan {
            GroupPlan::Unchanged => Expected::Unchanged,
            GroupPlan::Apply(fields) => Expected::Apply { fields },
            GroupPlan::Combine(fields) => Expected::Combine { fields },
            GroupPlan::Win { fields, mine } => Expected::Win { fields, mine },
            GroupPlan::Lose { mine } => Expected::Lose { mine },
            GroupPlan::Yield => Expected::Yield,
            GroupPlan::Review { mine } => Expected::Review { mine },
            GroupPlan::Reject { field, .. } => Expected::Reject { field },
        }
    }
}

/// Seqs of the changes of a case: before the base, behind the author's back, and by an earlier mutation of the author.
const CREATED: Seq = 5;
const BASE: Seq = 10;
const UNSEEN: Seq = 20;
const OWN: Seq = 30;

struct CaseHistory<'c>(&'c MergeCase);

impl SeenHistory for CaseHistory<'_> {
    fn has_seen(&self, seq: Seq) -> bool {
        seq <= BASE || seq == OWN
    }
    fn base_values(&self, fields: &[Name]) -> Option<Fields> {
        let value = |name: &Name| self.0.base.get(name).cloned().unwrap_or(Value::Null);
        self.0.base_known.then(|| fields.iter().map(|name| (name.clone(), value(name))).collect())
    }
    fn rank_of(&self, seq: Seq) -> u8 {
        assert_eq!(seq, UNSEEN, "{}: only the rank of the other side matters", self.0.name);
        self.0.ranks.theirs
    }
}

fn plan_of(case: &MergeCase, schema: &Schema) -> Expected {
    let entity = &schema.entities["deals"];
    let mut versions = Versions::new(Version(CREATED, 0));
    versions.changed.extend(case.unseen.iter().map(|(field, at)| (field.clone(), Version(UNSEEN, *at))));
    versions.changed.extend(case.own.iter().map(|(field, at)| (field.clone(), Version(OWN, *at))));
    for (adds, seq) in [(&case.unseen_adds, UNSEEN), (&case.own_adds, OWN)] {
        for (field, items) in adds {
            let seqs = versions.elements.entry(field.clone()).or_default();
            seqs.extend(items.iter().map(|item| (item.clone(), seq)));
        }
    }
    let rv = versions.changed.values().map(Version::seq).max().unwrap_or(CREATED);
    let theirs = Record {
        entity: entity.name.clone(),
        id: RecordId::from_u128(1),
        rv,
        scope: ScopeId::WORKSPACE,
        entered: CREATED,
        is_deleted: false,
        fields: std::sync::Arc::new(case.theirs.clone()),
        versions,
    };
    let patch = entity.canonical_update(case.mine.clone()).expect("the author's patch is valid");
    let groups: BTreeSet<usize> = patch.keys().map(|name| entity.fields[name].group).collect();
    let group = &entity.groups[*groups.first().expect("the author changes something")];
    assert_eq!(groups.len(), 1, "{}: a case is about one group", case.name);
    let seen = CaseHistory(case);
    let (authored_ms, rank) = (case.at, case.ranks.mine);
    let decided =
        || plan_group(&GroupCase { entity, group, theirs: &theirs, patch: &patch, authored_ms, rank, seen: &seen });
    let plan = decided();
    assert_eq!(plan, decided(), "{}: MRG-14, the same question has the same answer", case.name);
    plan.into()
}

/// The declaration of `merge.json` as TOML, which the schema is written in.
fn schema_of(entities: &Value) -> Schema {
    let entity = &entities["deals"];
    let roles = "version = 1\nroles = { agent = 30 }\n";
    Schema::parse(&format!("{roles}entities = {{ deals = {} }}\n", toml(entity)), "merge.json").unwrap()
}

fn toml(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: Vec<String> = members.iter().map(|(key, value)| format!("{key} = {}", toml(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

#[test]
fn mrg_14_every_group_is_decided_as_in_the_vectors() {
    let vectors = merge_vectors();
    let schema = schema_of(&vectors.entities);
    assert!(vectors.groups.len() >= 40);
    let wrong: Vec<String> = vectors
        .groups
        .iter()
        .map(|case| (case, plan_of(case, &schema)))
        .filter(|(case, plan)| *plan != case.expect)
        .map(|(case, plan)| format!("{} {}:\n   want {:?}\n   got  {plan:?}", case.rule, case.name, case.expect))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_merge_rule_and_strategy_has_a_vector() {
    let vectors = merge_vectors();
    let rules = vectors.groups.iter().map(|case| &case.rule).chain(vectors.records.iter().map(|case| &case.rule));
    let rules: BTreeSet<&str> = rules.map(String::as_str).collect();
    for number in 1..=13 {
        assert!(rules.contains(format!("MRG-{number}").as_str()), "no vector shows MRG-{number}");
    }
    let schema = schema_of(&vectors.entities);
    for group in &schema.entities["deals"].groups {
        let shows =
            |case: &MergeCase| case.mine.keys().any(|name| group.fields.contains(name)) && !case.unseen.is_empty();
        assert!(vectors.groups.iter().any(shows), "no vector has a concurrent change of `{}`", group.name);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordCase {
    name: String,
    #[allow(dead_code)]
    rule: String,
    stored: Stored,
    #[serde(default)]
    seen: bool,
    op: String,
    #[serde(default)]
    fields: Fields,
    expect: ExpectedRecord,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Stored {
    None,
    Own,
    Edited,
    Deleted,
    Forgotten,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedRecord {
    outcome: OutcomeKind,
    code: Option<Code>,
    live: bool,
    conflict: Option<Value>,
}

/// Pushes the case's op on what is stored; the id of the record with the outcome.
fn push_case(case: &RecordCase, world: &mut World, author: &mut Device) -> (RecordId, Outcome) {
    let mut other = world.member(8, "agent", "all");
    let id = world.id();
    let ada = || world::fields(json!({"firstname": "Ada", "lastname": "Example"}));
    let creator = if case.stored == Stored::Own { &mut *author } else { &mut other };
    if case.stored != Stored::None {
        world.push(creator, vec![Op::Create { entity: "contacts".into(), id, fields: ada() }]);
    }
    let mut base_rv = world.rv("contacts", id);
    match case.stored {
        Stored::None | Stored::Own => {}
        Stored::Edited => {
            world.push(&mut other, vec![world::update("contacts", id, base_rv, json!({"job_title": "CEO"}))]);
        }
        Stored::Deleted | Stored::Forgotten => {
            world.push(&mut other, vec![world::delete("contacts", id, base_rv)]);
        }
    }
    if case.stored == Stored::Forgotten {
        let head = world.rv("contacts", id);
        world.store.compact(&world.workspace.clone(), head).unwrap();
    }
    if case.seen {
        base_rv = world.rv("contacts", id);
    }
    let entity = Name::new("contacts");
    let op = match case.op.as_str() {
        "create" => Op::Create { entity, id, fields: case.fields.clone() },
        "update" => Op::Update { entity, id, base_rv, fields: case.fields.clone() },
        "delete" => Op::Delete { entity, id, base_rv },
        other => panic!("{}: no op `{other}`", case.name),
    };
    (id, world.push(author, vec![op]))
}

#[test]
fn mrg_12_mrg_13_what_is_not_there_any_more_is_treated_as_in_the_vectors() {
    for case in merge_vectors().records {
        let mut world = World::new();
        let mut author = world.member(7, "agent", "all");
        let (id, outcome) = push_case(&case, &mut world, &mut author);
        let expect = &case.expect;
        assert_eq!((outcome.outcome, outcome.code), (expect.outcome, expect.code), "{}: {outcome:?}", case.name);
        let is_live = world.record("contacts", id).is_some_and(|record| !record.is_deleted);
        assert_eq!(is_live, expect.live, "{}", case.name);
        assert_eq!(outcome.conflict_ids.len(), usize::from(expect.conflict.is_some()), "{}: {outcome:?}", case.name);
        let Some(expected) = &expect.conflict else { continue };
        for (field, value) in expected.as_object().unwrap() {
            let held = world.value("conflicts", outcome.conflict_ids[0], field);
            match value {
                Value::Object(members) => {
                    for (name, value) in members {
                        assert_eq!(held.get(name), Some(value), "{}: {field}.{name} of {held}", case.name);
                    }
                }
                value => assert_eq!(&held, value, "{}: {field}", case.name),
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DigestCase {
    name: String,
    records: Vec<(String, RecordId, Seq)>,
    digest: Digest,
}

#[test]
fn dig_1_dig_2_digests_are_those_of_the_vectors() {
    let cases: Vec<DigestCase> = vectors(include_str!("../../../spec/vectors/digest.json"));
    assert!(cases.len() > 10);
    for DigestCase { name, records, digest } in cases {
        let mut sum = Digest::EMPTY;
        for (entity, id, rv) in &records {
            sum.add(entity, id, *rv);
        }
        assert_eq!(sum, digest, "{name}");
        for (entity, id, rv) in &records {
            sum.remove(entity, id, *rv);
        }
        assert_eq!(sum, Digest::EMPTY, "{name}: removing undoes adding");
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthoredCase {
    name: String,
    age_ms: u64,
    base_committed_ms: u64,
    received_ms: u64,
    authored_ms: u64,
}

#[test]
fn clk_2_edit_times_are_those_of_the_vectors() {
    let cases: Vec<AuthoredCase> = vectors(include_str!("../../../spec/vectors/authored_at.json"));
    assert!(cases.len() > 10);
    for AuthoredCase { name, age_ms, base_committed_ms, received_ms, authored_ms } in cases {
        assert_eq!(authored_at(age_ms, base_committed_ms, received_ms), authored_ms, "{name}");
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChainCase {
    entry: String,
    hash: String,
}

#[test]
fn aud_1_the_chain_is_that_of_the_vectors() {
    let cases: Vec<ChainCase> = vectors(include_str!("../../../spec/vectors/chain.json"));
    let mut previous = CHAIN_START.to_owned();
    for ChainCase { entry, hash } in cases {
        assert_eq!(chain_hash(&previous, &entry), hash, "{entry}");
        let read: LogEntry = serde_json::from_str(&entry).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), entry, "an entry is written in one way only");
        previous = hash;
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FrameCase {
    name: String,
    from: Side,
    frame: Value,
}

#[derive(Deserialize, PartialEq, Debug)]
#[serde(rename_all = "snake_case")]
enum Side {
    Client,
    Server,
}

#[test]
fn ses_2_ses_3_every_frame_reads_and_writes_as_in_the_vectors() {
    let cases: Vec<FrameCase> = vectors(include_str!("../../../spec/vectors/frames.json"));
    let mut types = BTreeSet::new();
    for FrameCase { name, from, frame } in cases {
        types.insert(format!("{from:?} {}", frame["type"].as_str().unwrap()));
        let text = frame.to_string();
        let written = match from {
            Side::Client => serde_json::from_str::<ClientFrame>(&text).map(serde_json::to_value),
            Side::Server => serde_json::from_str::<ServerFrame>(&text).map(serde_json::to_value),
        };
        let written = written.unwrap_or_else(|error| panic!("{name} does not read: {error}")).unwrap();
        // `Value` keeps members in name order: equal text is equal content.
        assert_eq!(written.to_string(), text, "{name}");
    }
    let client = [
        "auth",
        "hello",
        "push",
        "ack",
        "verify",
        "fetch",
        "sub",
        "unsub",
        "presence",
        "inbox",
        "msg",
        "msg_ack",
        "heartbeat",
    ];
    let server = [
        "welcome",
        "grant",
        "batch",
        "outcomes",
        "out_of_order",
        "verify_reply",
        "records",
        "heartbeat_ack",
        "slow_down",
        "goodbye",
        "purge",
        "msg",
        "msg_receipt",
        "subscribed",
        "unsubscribed",
        "missed",
        "presence",
        "sync_now",
        "error",
    ];
    let client = client.iter().map(|name| format!("Client {name}"));
    let all: BTreeSet<String> = client.chain(server.iter().map(|name| format!("Server {name}"))).collect();
    assert_eq!(types, all);
}

#[test]
fn err_2_an_unknown_member_of_a_frame_is_ignored() {
    let frame: ClientFrame =
        serde_json::from_value(json!({"type": "ack", "seq": 1, "outcomes_upto": 2, "new": 3})).unwrap();
    assert_eq!(frame, ClientFrame::Ack { seq: 1, outcomes_upto: 2 });
}

#[test]
fn err_1_codes_and_classes_of_a_later_version_are_read_by_their_class() {
    let problem = |code: &str, class: &str| {
        let problem = json!({"code": code, "class": class, "message": "why", "retry_ms": 7});
        let frame = json!({"type": "error", "problem": problem});
        match serde_json::from_value(frame).unwrap() {
            ServerFrame::Error { problem } => problem,
            other => panic!("{other:?}"),
        }
    };
    for (class, is) in [("later", Class::Transient), ("session", Class::Session), ("fatal", Class::Fatal)] {
        let read = problem("later", class);
        assert_eq!((read.class, read.code.class(), read.retry_ms), (is, is, Some(7)), "{class}");
    }
    // A later server may class a code otherwise: its word counts.
    assert_eq!(problem("forbidden", "transient").class, Class::Transient);
    let outcome =
        json!({"client_seq": 1, "mutation_id": RecordId::NIL, "outcome": "rejected", "code": "later", "seq": 4});
    let outcome: Outcome = serde_json::from_value(outcome).unwrap();
    assert_eq!(outcome.code.map(Code::class), Some(Class::Rejected));
}

#[test]
fn err_1_codes_md_agrees_with_the_codes() {
    let text = include_str!("../../../spec/CODES.md");
    let rows: Vec<Vec<&str>> = text.lines().filter_map(|line| line.strip_prefix("| ")).map(cells).collect();
    let written: BTreeMap<&str, (&str, &str)> = rows
        .iter()
        .filter(|row| row.len() == 5)
        .filter_map(|row| Some((row[0].strip_prefix('`')?.strip_suffix('`')?, (row[1], row[2]))))
        .collect();
    for code in Code::ALL {
        let class = match code.class() {
            Class::Transient => "transient",
            Class::Session => "session",
            Class::Protocol => "protocol",
            Class::Rejected => "rejected",
            Class::Local => "local",
            Class::Fatal => "fatal",
        };
        let status = code.http_status().to_string();
        assert_eq!(written.get(code.as_str()), Some(&(class, status.as_str())), "{}", code.as_str());
    }
    assert_eq!(written.len(), Code::ALL.len());
    let closes = [
        CloseCode::Draining,
        CloseCode::AuthTimeout,
        CloseCode::Dead,
        CloseCode::Overloaded,
        CloseCode::Replaced,
        CloseCode::Protocol,
        CloseCode::Unauthenticated,
        CloseCode::Resync,
        CloseCode::ProtoUnsupported,
        CloseCode::DeviceRevoked,
        CloseCode::BackendMismatch,
    ];
    for close in closes {
        let (number, name) = ((close as u16).to_string(), format!("`{close:?}`"));
        assert!(rows.iter().any(|row| row.len() == 3 && row[0] == number && row[1] == name), "{close:?}");
    }
}

fn cells(row: &str) -> Vec<&str> {
    row.trim_end().trim_end_matches('|').split(" | ").map(str::trim).collect()
}

#[test]
fn id_1_ids_are_lower_case_hyphenated_and_new_ones_are_version_7() {
    let id = RecordId::v7(1_763_712_000_000, [0xff; 10]);
    assert_eq!(id.to_string(), "019aa56d-6000-7fff-bfff-ffffffffffff");
    let upper: RecordId = "019AA56D-6000-7FFF-BFFF-FFFFFFFFFFFF".parse().unwrap();
    assert_eq!(serde_json::to_value(upper).unwrap(), json!(id.to_string()));
}

#[test]
fn id_4_a_scope_is_one_of_three_forms() {
    let uuid = "019aa4b0-7c00-7000-8000-0000000000f1";
    let scope = |text: &str| serde_json::from_value::<ScopeId>(json!(text)).map(|scope| scope.to_string());
    for text in ["workspace".to_owned(), format!("team:{uuid}"), format!("owner:{uuid}")] {
        assert_eq!(scope(&text).unwrap(), text);
    }
    for text in ["", "Workspace", "team:", "team:1", "role:019aa4b0-7c00-7000-8000-0000000000f1", uuid] {
        assert!(scope(text).is_err(), "{text}");
    }
}

#[test]
fn epo_2_an_epoch_is_later_than_every_one_that_is_known() {
    let table = [
        (0, None, Ok(1)),
        (7, None, Ok(8)),
        (7, Some(8), Ok(8)),
        (7, Some(20), Ok(20)),
        (7, Some(7), Err(EpochError::Used { epoch: 7, last: 7 })),
        (7, Some(0), Err(EpochError::Used { epoch: 0, last: 7 })),
        (7, Some(EPOCH_MAX), Ok(EPOCH_MAX)),
        (7, Some(EPOCH_MAX + 1), Err(EpochError::BeyondLast(EPOCH_MAX + 1))),
        (EPOCH_MAX, None, Err(EpochError::BeyondLast(EPOCH_MAX + 1))),
    ];
    for (last, wanted, expect) in table {
        assert_eq!(epoch_after(last, wanted), expect, "{wanted:?} after {last}");
    }
}

#[test]
fn epo_2_no_seq_means_two_things() {
    assert_eq!((epoch_base(0), epoch_base(1), epoch_base(2)), (0, 1 << 40, 2 << 40));
    assert!(epoch_base(EPOCH_MAX) + (1 << 40) - 1 < 1 << 53, "the last epoch ends below what JSON holds exactly");
    let (workspace, mut world) = (WorkspaceId::new("test").unwrap(), World::new());
    let mut author = world.member(7, "agent", "all");
    world.store.begin_epoch(&workspace, 1).unwrap();
    let outcome =
        world.push(&mut author, vec![world::create("contacts", RecordId::from_u128(9), json!({"firstname": "A"}))]);
    assert_eq!(outcome.seq, epoch_base(1) + 1);
}
