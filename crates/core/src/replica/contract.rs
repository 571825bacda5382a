//! The suite every local store passes (invariant 11): plain functions that panic with the rule they found broken.
//!
//! | rule | says |
//! |---|---|
//! | RPL-1 | a new store has no meta and holds nothing |
//! | RPL-2 | a write is applied whole or not at all |
//! | RPL-3 | everything reads back exactly as written |
//! | RPL-4 | a put replaces the whole record; a delete of what is not there is no error |
//! | RPL-5 | scans, rows, outbox, rejected and acknowledged come in their documented order and pages |
//! | RPL-6 | `base_find` follows every write, by scalar and by set element, and needs an index |
//! | RPL-7 | dropping a scope removes its records, also from indexes, and nothing else |
//! | RPL-8 | the outbox knows which records its mutations touch, through replacement and deletion |
//! | RPL-9 | acknowledged mutations are trimmed from below, or cleared |
//! | RPL-10 | a wipe leaves nothing but meta, and the same write may fill the store anew |

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::store::{BaseRecord, Loading, Pending, Rejected, ReplicaError, ReplicaMeta, ReplicaStore};
use super::store::{ReplicaWrites, ScopeState};
use crate::change::{Mutation, Op, Outcome, OutcomeKind, Resolution};
use crate::digest::Digest;
use crate::id::{BackendId, ClientId, DeviceId, MutationId, RecordId, ScopeId, UserId, WorkspaceId};
use crate::protocol::Code;
use crate::schema::Schema;
use crate::{Fields, Seq, Value};

/// One case: panics with the rule it found broken.
pub type Case<S> = fn(&mut S);

/// Runs every case on a store of its own. `factory` opens an empty one for the given schema.
pub fn run<S: ReplicaStore>(mut factory: impl FnMut(&Arc<Schema>) -> S) {
    let schema = crate::storage::contract::schema();
    for (name, case) in cases::<S>() {
        // Said before the case runs, so that the output of a failing test ends with the case that failed.
        println!("replica contract: {name}");
        case(&mut factory(&schema));
    }
}

/// Every case with its name, for a runner that wants to treat them one by one.
pub fn cases<S: ReplicaStore>() -> Vec<(&'static str, Case<S>)> {
    macro_rules! list {
        ($($case:ident,)*) => { vec![$((stringify!($case), $case::<S> as Case<S>),)*] };
    }
    list![
        rpl_1_a_new_store_is_empty,
        rpl_2_a_refused_write_leaves_nothing,
        rpl_2_writes_apply_in_field_order,
        rpl_3_meta_and_scopes_read_back,
        rpl_3_values_read_back_exactly,
        rpl_4_puts_replace_and_deletes_forgive,
        rpl_5_scans_page_in_id_order,
        rpl_5_scope_rows_are_ordered,
        rpl_6_find_by_scalar_and_element,
        rpl_6_find_needs_an_index,
        rpl_7_dropping_a_scope_takes_only_its_records,
        rpl_8_the_outbox_pages_in_order,
        rpl_8_the_outbox_knows_what_it_touches,
        rpl_9_acknowledged_is_trimmed_and_cleared,
        rpl_9_rejected_is_kept_until_deleted,
        rpl_10_a_wipe_leaves_only_meta,
    ]
}

fn id(n: u128) -> RecordId {
    RecordId::from_u128(n)
}

/// The record of an object literal.
fn fields(value: Value) -> Fields {
    serde_json::from_value(value).expect("a case writes its fields as an object")
}

fn record(entity: &str, n: u128, rv: Seq, values: Value) -> BaseRecord {
    BaseRecord { entity: entity.into(), id: id(n), rv, scope: ScopeId::WORKSPACE, fields: fields(values) }
}

fn in_scope(scope: ScopeId, record: BaseRecord) -> BaseRecord {
    BaseRecord { scope, ..record }
}

fn team() -> ScopeId {
    ScopeId::team("00000000-0000-0000-0000-0000000000aa")
}

fn meta() -> ReplicaMeta {
    ReplicaMeta {
        workspace_id: WorkspaceId::new("acme").expect("a valid workspace id"),
        user_id: UserId::from_u128(1),
        device_id: DeviceId::from_u128(2),
        client_id: ClientId::from_u128(3),
        backend_id: Some(BackendId::from_u128(4)),
        epoch: Some(1),
        cursor: (1 << 53) - 1,
        next_client_seq: 8,
        decided_upto: 7,
        last_sync_ms: 1_760_000_000_000,
        lease_until_ms: 1_760_604_800_000,
        repairs: 5,
        purged: None,
    }
}

fn update(n: u128) -> Op {
    Op::Update {
        entity: "things".into(),
        id: id(n),
        base_rv: 9,
        fields: fields(json!({"tags": {"add": ["x"], "remove": []}})),
    }
}

fn pending(client_seq: u64, ops: Vec<Op>) -> Pending {
    let mutation_id = MutationId::from_u128(client_seq.into());
    let mutation = Mutation { mutation_id, client_seq, age_ms: 0, ops, depends_on: vec![] };
    Pending { mutation, authored_ms: 1_000 + client_seq, outcome: None, is_in_base: false }
}

fn outcome(client_seq: u64, outcome: OutcomeKind) -> Outcome {
    let (code, detail) = (Some(Code::Rule), Some("no".to_owned()));
    let mutation_id = MutationId::from_u128(client_seq.into());
    Outcome { client_seq, mutation_id, outcome, code, detail, conflict_ids: vec![id(70)], seq: 12 }
}

fn write<S: ReplicaStore>(store: &mut S, writes: ReplicaWrites) {
    store.write(writes).expect("the store takes a write");
}

fn put<S: ReplicaStore>(store: &mut S, records: impl IntoIterator<Item = BaseRecord>) {
    write(store, ReplicaWrites { base_put: records.into_iter().collect(), ..Default::default() });
}

fn find<S: ReplicaStore>(store: &S, field: &str, value: Value) -> Vec<RecordId> {
    store.base_find("things", field, &value, 100).expect("an indexed field can be searched")
}

fn seqs(pending: Vec<Pending>) -> Vec<u64> {
    pending.iter().map(|pending| pending.mutation.client_seq).collect()
}

/// Panics unless the store holds nothing beside meta.
fn expect_empty<S: ReplicaStore>(store: &S, rule: &str) {
    for entity in ["people", "things", "parts"] {
        assert_eq!(store.base_count(entity).unwrap_or(1), 0, "{rule}: no {entity}");
        assert!(
            store.base_scan(entity, None, 10).is_ok_and(|rows| rows.is_empty()),
            "{rule}: nothing to scan in {entity}"
        );
        assert!(store.pending_ids(entity).is_ok_and(|ids| ids.is_empty()), "{rule}: nothing pending in {entity}");
    }
    for scope in [ScopeId::WORKSPACE, team()] {
        assert!(store.base_rows(&scope).is_ok_and(|rows| rows.is_empty()), "{rule}: no rows in {scope}");
    }
    assert_eq!(find(store, "size", json!(3)), [], "{rule}: nothing to find");
    assert!(store.scopes().is_ok_and(|scopes| scopes.is_empty()), "{rule}: no scopes");
    assert_eq!(store.outbox_count().unwrap_or(1), 0, "{rule}: an empty outbox");
    assert!(store.outbox(0, 10).is_ok_and(|rows| rows.is_empty()), "{rule}: an empty outbox");
    assert!(store.rejected().is_ok_and(|rows| rows.is_empty()), "{rule}: nothing rejected");
    assert!(store.acknowledged(0).is_ok_and(|rows| rows.is_empty()), "{rule}: nothing acknowledged");
}

fn rpl_1_a_new_store_is_empty<S: ReplicaStore>(store: &mut S) {
    assert!(matches!(store.meta(), Ok(None)), "RPL-1: a new store has no meta");
    expect_empty(store, "RPL-1");
    assert!(matches!(store.base("things", id(1)), Ok(None)), "RPL-1: no record");
    assert!(store.pending_for("things", id(1)).is_ok_and(|rows| rows.is_empty()), "RPL-1: nothing pending");
    assert_eq!(store.base_count("nothing").unwrap_or(1), 0, "RPL-1: an unknown entity has no records");
}

fn rpl_2_a_refused_write_leaves_nothing<S: ReplicaStore>(store: &mut S) {
    put(store, [record("things", 1, 5, json!({"size": 1}))]);
    let writes = ReplicaWrites {
        wipe: true,
        meta: Some(meta()),
        scopes: vec![(team(), ScopeState { seq: 1, digest: Digest::EMPTY, loading: None })],
        base_put: vec![record("things", 2, 6, json!({"size": 3}))],
        outbox_put: vec![pending(1, vec![update(1)])],
        // No store and no wire holds such a number (spec ID-5).
        acknowledged_put: vec![pending(1 << 53, vec![])],
        ..Default::default()
    };
    let refused = store.write(writes);
    assert!(matches!(refused, Err(ReplicaError::Corrupt(_))), "RPL-2: client_seq 2^53 is refused, got {refused:?}");
    assert!(matches!(store.meta(), Ok(None)), "RPL-2: meta was not written");
    assert!(store.base("things", id(1)).is_ok_and(|found| found.is_some()), "RPL-2: nothing was wiped");
    assert_eq!(find(store, "size", json!(1)), [id(1)], "RPL-2: indexes stay");
    write(store, ReplicaWrites { base_delete: vec![("things".into(), id(1))], ..Default::default() });
    expect_empty(store, "RPL-2");
}

fn rpl_2_writes_apply_in_field_order<S: ReplicaStore>(store: &mut S) {
    put(store, [record("things", 1, 5, json!({"size": 1}))]);
    write(
        store,
        ReplicaWrites {
            drop_scopes: vec![ScopeId::WORKSPACE],
            scopes: vec![(ScopeId::WORKSPACE, ScopeState { seq: 9, digest: Digest::EMPTY, loading: None })],
            base_put: vec![
                record("things", 1, 6, json!({"size": 2})),
                record("things", 2, 6, json!({})),
                record("things", 1, 7, json!({"size": 3})),
            ],
            base_delete: vec![("things".into(), id(2))],
            outbox_put: vec![pending(1, vec![update(1)]), pending(2, vec![update(1)])],
            outbox_delete: vec![2],
            rejected_put: vec![],
            acknowledged_put: vec![pending(3, vec![]), pending(4, vec![])],
            acknowledged_trim: Some(4),
            ..Default::default()
        },
    );
    assert_eq!(store.base_count("things").ok(), Some(1), "RPL-2: deletes come after puts");
    assert_eq!(find(store, "size", json!(3)), [id(1)], "RPL-2: the later of two puts stays");
    assert_eq!(find(store, "size", json!(2)), [], "RPL-2: the earlier of two puts leaves no index entry");
    assert_eq!(
        store.scopes().ok().and_then(|scopes| Some(scopes.get(&ScopeId::WORKSPACE)?.seq)),
        Some(9),
        "RPL-2: scopes come after drops"
    );
    assert_eq!(seqs(store.outbox(0, 10).unwrap_or_default()), [1], "RPL-2: outbox deletes come after puts");
    assert_eq!(seqs(store.acknowledged(0).unwrap_or_default()), [4], "RPL-2: trim comes after put");
}

fn rpl_3_meta_and_scopes_read_back<S: ReplicaStore>(store: &mut S) {
    let blank = ReplicaMeta { backend_id: None, epoch: None, ..meta() };
    for meta in [blank, meta()] {
        write(store, ReplicaWrites { meta: Some(meta.clone()), ..Default::default() });
        assert_eq!(store.meta().ok().flatten(), Some(meta), "RPL-3: meta reads back whole");
    }
    let digest = Digest { count: 3, sum: u64::MAX };
    let snapshot = Loading::Snapshot {
        url: "/api/sync/snapshot?scope=workspace".to_owned(),
        seq: 4,
        resume: Some("t".to_owned()),
    };
    let states = BTreeMap::from([
        (ScopeId::WORKSPACE, ScopeState { seq: 5, digest, loading: None }),
        (team(), ScopeState { seq: 0, digest: Digest::EMPTY, loading: Some(snapshot) }),
    ]);
    write(store, ReplicaWrites { scopes: states.clone().into_iter().collect(), ..Default::default() });
    assert_eq!(store.scopes().ok(), Some(states.clone()), "RPL-3: scopes read back");
    let changed = ScopeState { seq: 6, digest, loading: Some(Loading::Reconcile { seq: 7 }) };
    write(store, ReplicaWrites { scopes: vec![(team(), changed.clone())], ..Default::default() });
    let mut expected = states;
    expected.insert(team(), changed);
    assert_eq!(store.scopes().ok(), Some(expected), "RPL-3: a scope is replaced, the others stay");
}

fn rpl_3_values_read_back_exactly<S: ReplicaStore>(store: &mut S) {
    let values = json!({
        "code": "Ünïcode \" \\ \u{1F600} \n\u{1}", "kind": "a", "size": -9_007_199_254_740_991_i64, "price": "12.50",
        "is_hot": false, "extra": {"a": [1, 2.5, null, {"b": 1e-7}], "z": 0.1}, "tags": ["a", "b"], "visits": 0,
    });
    let written = in_scope(team(), record("things", 1, (1 << 53) - 1, values));
    put(store, [written.clone()]);
    assert_eq!(store.base("things", id(1)).ok().flatten(), Some(written), "RPL-3: a record reads back exactly");
    let pending = Pending {
        outcome: Some(outcome(4, OutcomeKind::InReview)),
        is_in_base: true,
        ..pending(
            4,
            vec![
                Op::Create { entity: "things".into(), id: id(1), fields: fields(json!({"code": "x"})) },
                update(2),
                Op::Delete { entity: "things".into(), id: id(3), base_rv: 8 },
                Op::Restore { entity: "things".into(), id: id(4), base_rv: 8, fields: Fields::new() },
                Op::Resolve {
                    id: id(5),
                    base_rv: 8,
                    resolution: Resolution::Custom,
                    fields: fields(json!({"size": 1})),
                },
            ],
        )
    };
    let rejected =
        Rejected { mutation: pending.mutation.clone(), authored_ms: 5, outcome: outcome(4, OutcomeKind::Rejected) };
    write(
        store,
        ReplicaWrites {
            outbox_put: vec![pending.clone()],
            rejected_put: vec![rejected.clone()],
            acknowledged_put: vec![pending.clone()],
            ..Default::default()
        },
    );
    assert_eq!(store.outbox(0, 1).ok(), Some(vec![pending.clone()]), "RPL-3: a mutation reads back exactly");
    assert_eq!(store.acknowledged(0).ok(), Some(vec![pending]), "RPL-3: an acknowledged mutation reads back exactly");
    assert_eq!(store.rejected().ok(), Some(vec![rejected]), "RPL-3: a rejected mutation reads back exactly");
}

fn rpl_4_puts_replace_and_deletes_forgive<S: ReplicaStore>(store: &mut S) {
    put(store, [record("things", 1, 5, json!({"code": "a", "size": 3})), record("people", 1, 5, json!({"name": "A"}))]);
    let replaced = in_scope(team(), record("things", 1, 6, json!({"size": 4})));
    put(store, [replaced.clone()]);
    assert_eq!(
        store.base("things", id(1)).ok().flatten(),
        Some(replaced),
        "RPL-4: a put replaces every field, rv and scope"
    );
    assert_eq!(
        store.base_rows(&ScopeId::WORKSPACE).ok(),
        Some(vec![(id(1), "people".into(), 5)]),
        "RPL-4: it left its former scope"
    );
    let base_delete = vec![("things".into(), id(1)), ("things".into(), id(9)), ("people".into(), id(9))];
    write(
        store,
        ReplicaWrites {
            base_delete,
            outbox_delete: vec![9],
            rejected_delete: vec![MutationId::from_u128(9)],
            ..Default::default()
        },
    );
    assert!(matches!(store.base("things", id(1)), Ok(None)), "RPL-4: a delete deletes");
    assert!(store.base("people", id(1)).is_ok_and(|found| found.is_some()), "RPL-4: entities do not share ids");
}

fn rpl_5_scans_page_in_id_order<S: ReplicaStore>(store: &mut S) {
    put(store, [3, 1, u128::MAX, 2].map(|n| record("things", n, 5, json!({}))));
    put(store, [record("people", 4, 5, json!({}))]);
    let page = |after, limit| {
        let rows = store.base_scan("things", after, limit).expect("a scan of a declared entity");
        rows.iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 2), [id(1), id(2)], "RPL-5: the first page");
    assert_eq!(page(Some(id(2)), 2), [id(3), id(u128::MAX)], "RPL-5: the page after an id");
    assert_eq!(page(Some(id(u128::MAX)), 2), [], "RPL-5: nothing after the last id");
    assert_eq!(store.base_count("things").ok(), Some(4), "RPL-5: the count is by entity");
}

fn rpl_5_scope_rows_are_ordered<S: ReplicaStore>(store: &mut S) {
    put(
        store,
        [record("things", 2, 5, json!({})), record("things", 1, 6, json!({})), record("people", 2, 7, json!({}))],
    );
    put(store, [in_scope(team(), record("things", 3, 8, json!({})))]);
    let rows = vec![(id(1), "things".into(), 6), (id(2), "people".into(), 7), (id(2), "things".into(), 5)];
    assert_eq!(store.base_rows(&ScopeId::WORKSPACE).ok(), Some(rows), "RPL-5: rows by id, then entity");
    assert_eq!(store.base_rows(&team()).ok(), Some(vec![(id(3), "things".into(), 8)]), "RPL-5: rows are by scope");
}

fn rpl_6_find_by_scalar_and_element<S: ReplicaStore>(store: &mut S) {
    put(
        store,
        [
            record("things", 3, 5, json!({"size": 3, "code": "3", "is_hot": true, "tags": ["a", "b"]})),
            record("things", 1, 5, json!({"size": 3, "code": null, "tags": ["b"]})),
            record("things", 2, 5, json!({"size": 4, "tags": []})),
        ],
    );
    assert_eq!(find(store, "size", json!(3)), [id(1), id(3)], "RPL-6: by number, in id order");
    assert_eq!(store.base_find("things", "size", &json!(3), 1).ok(), Some(vec![id(1)]), "RPL-6: at most `limit`");
    assert_eq!(find(store, "code", json!("3")), [id(3)], "RPL-6: by text");
    assert_eq!(find(store, "code", json!(3)), [], "RPL-6: a number is not its text");
    assert_eq!(find(store, "is_hot", json!(true)), [id(3)], "RPL-6: by flag");
    assert_eq!(find(store, "code", Value::Null), [], "RPL-6: no value is never found");
    assert_eq!(find(store, "tags", json!("b")), [id(1), id(3)], "RPL-6: by element");
    assert_eq!(find(store, "tags", json!("a")), [id(3)], "RPL-6: by element");
    put(store, [record("things", 3, 6, json!({"size": 4, "tags": ["b", "c"]}))]);
    assert_eq!(find(store, "size", json!(3)), [id(1)], "RPL-6: an old value is not found");
    assert_eq!(find(store, "size", json!(4)), [id(2), id(3)], "RPL-6: a new value is");
    assert_eq!(find(store, "tags", json!("a")), [], "RPL-6: a removed element is not found");
    assert_eq!(find(store, "tags", json!("c")), [id(3)], "RPL-6: an added element is");
    write(store, ReplicaWrites { base_delete: vec![("things".into(), id(3))], ..Default::default() });
    assert_eq!(find(store, "tags", json!("b")), [id(1)], "RPL-6: a deleted record is not found");
    assert_eq!(find(store, "size", json!(4)), [id(2)], "RPL-6: a deleted record is not found");
}

fn rpl_6_find_needs_an_index<S: ReplicaStore>(store: &mut S) {
    for (entity, field) in [("things", "note"), ("things", "words"), ("things", "nothing"), ("nothing", "code")] {
        let found = store.base_find(entity, field, &json!("x"), 1);
        assert!(matches!(found, Err(ReplicaError::Corrupt(_))), "RPL-6: {entity}.{field} has no index, got {found:?}");
    }
}

fn rpl_7_dropping_a_scope_takes_only_its_records<S: ReplicaStore>(store: &mut S) {
    let state = ScopeState { seq: 5, digest: Digest::EMPTY, loading: None };
    write(
        store,
        ReplicaWrites {
            scopes: vec![(ScopeId::WORKSPACE, state.clone()), (team(), state)],
            base_put: vec![
                in_scope(team(), record("things", 1, 5, json!({"size": 3, "tags": ["a"]}))),
                in_scope(team(), record("people", 2, 5, json!({}))),
                record("things", 3, 5, json!({"size": 3, "tags": ["a"]})),
            ],
            outbox_put: vec![pending(1, vec![update(1)])],
            ..Default::default()
        },
    );
    let never_held = ScopeId::team("00000000-0000-0000-0000-0000000000bb");
    write(store, ReplicaWrites { drop_scopes: vec![team(), never_held], ..Default::default() });
    assert!(matches!(store.base("things", id(1)), Ok(None)), "RPL-7: its records are gone");
    assert!(matches!(store.base("people", id(2)), Ok(None)), "RPL-7: of every entity");
    assert_eq!(find(store, "size", json!(3)), [id(3)], "RPL-7: also from scalar indexes");
    assert_eq!(find(store, "tags", json!("a")), [id(3)], "RPL-7: also from set indexes");
    assert!(store.base_rows(&team()).is_ok_and(|rows| rows.is_empty()), "RPL-7: it has no rows");
    let held = store.scopes().map(|scopes| scopes.into_keys().collect::<Vec<_>>());
    assert_eq!(held.ok(), Some(vec![ScopeId::WORKSPACE]), "RPL-7: the scope is forgotten, others are not");
    assert_eq!(store.outbox_count().ok(), Some(1), "RPL-7: the outbox is never touched");
}

fn rpl_8_the_outbox_pages_in_order<S: ReplicaStore>(store: &mut S) {
    let outbox_put = [10, 2, 9, 100].map(|client_seq| pending(client_seq, vec![update(1)])).into();
    write(store, ReplicaWrites { outbox_put, ..Default::default() });
    let page = |first, limit| store.outbox(first, limit).map(seqs).expect("the outbox reads");
    assert_eq!(page(0, 10), [2, 9, 10, 100], "RPL-8: in client_seq order");
    assert_eq!(page(9, 2), [9, 10], "RPL-8: from `first` on, at most `limit`");
    assert_eq!(page(101, 2), [0; 0], "RPL-8: nothing after the last");
    assert_eq!(store.outbox_count().ok(), Some(4), "RPL-8: the count");
    let decided = Pending { outcome: Some(outcome(9, OutcomeKind::Applied)), ..pending(9, vec![update(1)]) };
    write(store, ReplicaWrites { outbox_put: vec![decided.clone()], ..Default::default() });
    assert_eq!(store.outbox(9, 1).ok(), Some(vec![decided]), "RPL-8: a put replaces by client_seq");
    assert_eq!(store.outbox_count().ok(), Some(4), "RPL-8: and adds nothing");
}

fn rpl_8_the_outbox_knows_what_it_touches<S: ReplicaStore>(store: &mut S) {
    let resolve = Op::Resolve { id: id(5), base_rv: 1, resolution: Resolution::UseMine, fields: Fields::new() };
    let create = Op::Create { entity: "people".into(), id: id(1), fields: Fields::new() };
    let outbox_put = vec![
        pending(1, vec![update(1), update(2), update(1)]),
        pending(10, vec![update(1), create]),
        pending(2, vec![update(1), resolve]),
    ];
    write(store, ReplicaWrites { outbox_put, ..Default::default() });
    let touching = |store: &S, entity: &str, n| store.pending_for(entity, id(n)).map(seqs).expect("pending reads");
    let ids = |store: &S, entity: &str| store.pending_ids(entity).expect("pending ids read");
    assert_eq!(touching(store, "things", 1), [1, 2, 10], "RPL-8: in order, each once");
    assert_eq!(touching(store, "things", 2), [1], "RPL-8: by record");
    assert_eq!(touching(store, "people", 1), [10], "RPL-8: by entity");
    assert_eq!(touching(store, "conflicts", 5), [2], "RPL-8: a resolution touches its conflict");
    assert_eq!(ids(store, "things"), [id(1), id(2)], "RPL-8: ids, each once, in order");
    assert_eq!(ids(store, "people"), [id(1)], "RPL-8: ids by entity");
    write(store, ReplicaWrites { outbox_put: vec![pending(1, vec![update(3)])], ..Default::default() });
    assert_eq!(touching(store, "things", 1), [2, 10], "RPL-8: a replaced mutation touches what its ops name now");
    assert_eq!(ids(store, "things"), [id(1), id(3)], "RPL-8: also by id");
    write(store, ReplicaWrites { outbox_delete: vec![2, 10], ..Default::default() });
    assert_eq!(touching(store, "things", 1), [0; 0], "RPL-8: a deleted mutation touches nothing");
    assert_eq!(ids(store, "things"), [id(3)], "RPL-8: also by id");
    assert_eq!(ids(store, "people"), [], "RPL-8: also by id");
}

fn rpl_9_acknowledged_is_trimmed_and_cleared<S: ReplicaStore>(store: &mut S) {
    let acknowledged_put = [3, 10, 1, 2].map(|client_seq| pending(client_seq, vec![update(1)])).into();
    write(store, ReplicaWrites { acknowledged_put, ..Default::default() });
    let kept = |store: &S, first| store.acknowledged(first).map(seqs).expect("acknowledged reads");
    assert_eq!(kept(store, 0), [1, 2, 3, 10], "RPL-9: in order");
    assert_eq!(kept(store, 3), [3, 10], "RPL-9: from `first` on");
    assert!(store.pending_ids("things").is_ok_and(|ids| ids.is_empty()), "RPL-9: acknowledged is not pending");
    write(store, ReplicaWrites { acknowledged_trim: Some(3), ..Default::default() });
    assert_eq!(kept(store, 0), [3, 10], "RPL-9: trimmed below");
    write(store, ReplicaWrites { acknowledged_clear: true, ..Default::default() });
    assert_eq!(kept(store, 0), [0; 0], "RPL-9: cleared");
}

fn rpl_9_rejected_is_kept_until_deleted<S: ReplicaStore>(store: &mut S) {
    let rejected = |client_seq| Rejected {
        mutation: pending(client_seq, vec![update(1)]).mutation,
        authored_ms: 1,
        outcome: outcome(client_seq, OutcomeKind::Rejected),
    };
    write(store, ReplicaWrites { rejected_put: vec![rejected(9), rejected(10), rejected(2)], ..Default::default() });
    write(store, ReplicaWrites { rejected_delete: vec![MutationId::from_u128(9)], ..Default::default() });
    let left = store.rejected().expect("rejected reads");
    assert_eq!(left, [rejected(2), rejected(10)], "RPL-9: in client_seq order, without the deleted one");
    let mut other = rejected(2);
    other.mutation.mutation_id = MutationId::from_u128(1_000);
    write(store, ReplicaWrites { rejected_put: vec![other.clone()], ..Default::default() });
    let left = store.rejected().expect("rejected reads");
    assert_eq!(left, [rejected(2), other, rejected(10)], "RPL-9: numbers start over with a new client id");
}

fn rpl_10_a_wipe_leaves_only_meta<S: ReplicaStore>(store: &mut S) {
    let full = |n: u128| ReplicaWrites {
        meta: Some(meta()),
        scopes: vec![(team(), ScopeState { seq: 1, digest: Digest::EMPTY, loading: None })],
        base_put: vec![in_scope(team(), record("things", n, 5, json!({"size": 3, "tags": ["a"]})))],
        outbox_put: vec![pending(1, vec![update(n)])],
        rejected_put: vec![Rejected {
            mutation: pending(2, vec![]).mutation,
            authored_ms: 1,
            outcome: outcome(2, OutcomeKind::Rejected),
        }],
        acknowledged_put: vec![pending(3, vec![])],
        ..Default::default()
    };
    write(store, full(1));
    write(store, ReplicaWrites { wipe: true, ..Default::default() });
    expect_empty(store, "RPL-10");
    assert_eq!(store.meta().ok().flatten(), Some(meta()), "RPL-10: meta stays");
    write(store, full(1));
    write(store, ReplicaWrites { wipe: true, ..full(2) });
    assert_eq!(find(store, "size", json!(3)), [id(2)], "RPL-10: what the same write brings is there");
    assert!(store.pending_ids("things").is_ok_and(|ids| ids == [id(2)]), "RPL-10: and nothing older");
}
