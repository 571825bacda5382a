use serde_json::json;

use super::draft::{CLIENT, World, fields, id, workspace};
use crate::id::{BackendId, ClientId, RecordId, ScopeId, WorkspaceId};
use crate::record::{Record, Version, Versions};
use crate::storage::{ChangedPage, EPOCH_MAX, Head, RecordWas, Store, StoreError, Wanted, WriteSet, epoch_base};
use crate::{Fields, Seq};

const SCOPE: &ScopeId = &ScopeId::WORKSPACE;

fn put<S: Store>(world: &mut World<S>, bits: u128, size: u64) {
    world.commit(|draft| {
        draft.mutation();
        draft.put("things", id(bits), SCOPE, fields(json!({"size": size, "tags": ["t"], "code": bits.to_string()})));
    });
}

/// Everything of a workspace that a client or an administrator could see.
fn everything<S: Store>(world: &World<S>, workspace: &WorkspaceId) -> String {
    let read = world.store.read(workspace, |read| {
        let records: Vec<Option<Record>> =
            (0..10).map(|bits| read.record("things", id(bits))).collect::<Result<_, _>>()?;
        let found = read.find("things", "tags", &json!("t"), 100)?;
        let unique = read.find_unique("things", "code", r#"["1"]"#)?;
        let history = (read.log(0, 1 << 52, 100)?, read.outcomes_from(CLIENT, 0, 100)?, read.client(CLIENT)?);
        let scopes = read.scopes()?;
        let rows = scopes.iter().map(|(scope, _)| read.scope_rows(scope)).collect::<Result<Vec<_>, _>>()?;
        Ok(format!("{:?}", (read.head()?, records, found, unique, history, scopes, rows, read.rejected(9)?)))
    });
    read.expect("a read of the workspace")
}

pub(super) fn sto_1_a_failed_plan_leaves_nothing<S: Store>(world: &mut World<S>) {
    put(world, 1, 1);
    let before = everything(world, &workspace());
    let failed = world.store.transact(&workspace(), &Wanted::default(), |read| {
        read.head()?;
        Err::<(WriteSet, ()), _>(StoreError::Unavailable("things/2".to_owned()))
    });
    assert!(matches!(failed, Err(StoreError::Unavailable(_))), "STO-1: a plan's error comes back, got {failed:?}");
    assert_eq!(everything(world, &workspace()), before, "STO-1: a failed plan leaves nothing");
    let empty =
        world.store.transact(&workspace(), &Wanted::default(), |read| Ok((WriteSet::default(), read.head()?.seq)));
    assert_eq!(empty.ok(), Some(1), "STO-1: an empty write set is no write, whatever head it names");
}

pub(super) fn sto_1_a_refused_write_set_leaves_nothing<S: Store>(world: &mut World<S>) {
    put(world, 1, 1);
    let before = everything(world, &workspace());
    let refused = world.try_commit(&workspace(), |draft| {
        draft.mutation();
        draft.put("things", id(1), SCOPE, fields(json!({"size": 2})));
        draft.put("things", id(2), SCOPE, fields(json!({"size": 2})));
        draft.put("things", id(3), SCOPE, fields(json!({"no_such_field": 2})));
    });
    assert!(matches!(refused, Err(StoreError::Corrupt(_))), "STO-1: an unknown field is refused, got {refused:?}");
    assert_eq!(everything(world, &workspace()), before, "STO-1: what came before it in the write set is gone too");
    put(world, 1, 2);
    assert_eq!(world.head().seq, 2, "STO-1: and the store goes on");
}

pub(super) fn sto_1_a_plan_sees_the_state_it_is_applied_to<S: Store>(world: &mut World<S>) {
    for step in 1..=3_u64 {
        let mut seen = (0, None);
        world.commit(|draft| {
            seen.0 = draft.mutation();
            draft.put("things", id(1), SCOPE, fields(json!({"size": step})));
            seen.1 = Some(draft.writes.expected_head);
        });
        assert_eq!(seen, (step, Some(step - 1)), "STO-1: a plan sees everything committed before it");
    }
}

pub(super) fn sto_2_another_head_is_refused<S: Store>(world: &mut World<S>) {
    put(world, 1, 1);
    let before = everything(world, &workspace());
    for wrong in [0, 2, 99] {
        let refused = world.try_commit(&workspace(), |draft| {
            draft.mutation();
            draft.put("things", id(1), SCOPE, Fields::new());
            draft.writes.expected_head = wrong;
        });
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "STO-2: head {wrong} is refused, got {refused:?}");
        assert_eq!(everything(world, &workspace()), before, "STO-2: nothing happened");
    }
    let gap = world.try_commit(&workspace(), |draft| {
        draft.mutation();
        draft.writes.head += 1;
    });
    assert!(matches!(gap, Err(StoreError::Corrupt(_))), "STO-2: a log with a gap is refused, got {gap:?}");
    assert_eq!(everything(world, &workspace()), before, "STO-2: nothing happened");
}

fn records<S: Store>(world: &World<S>, after: Seq) -> Vec<RecordId> {
    let (scope, entity) = (SCOPE.clone(), "things".into());
    let page = ChangedPage { scope, entity, after, to: 1 << 52, live_only: false, limit: 100 };
    super::draft::ids(&world.read(|read| read.changed(&page)))
}

pub(super) fn sto_14_compact_forgets_the_old<S: Store>(world: &mut World<S>) {
    (1..=3).for_each(|bits| put(world, bits, 1)); // seqs 1 to 3
    for bits in [1, 2] {
        world.commit(|draft| {
            draft.mutation(); // seqs 4 and 5
            draft.delete("things", id(bits));
        });
    }
    let chain = world.head().chain;
    world.store.acknowledge(&workspace(), &[(CLIENT, 5)]).expect("STO-14: acknowledge");
    world.store.compact(&workspace(), 4).expect("STO-14: compact");
    let Head { seq, min_seq, chain: chain_now, epoch, .. } = world.head();
    assert_eq!((seq, min_seq, epoch), (5, 4, 0), "STO-14: min_seq is raised, the head stays");
    assert_eq!(chain_now, chain, "STO-14: the chain stays");
    let log: Vec<Seq> = world.read(|read| read.log(0, 9, 9)).iter().map(|entry| entry.seq).collect();
    assert_eq!(log, [5], "STO-14: old entries are gone");
    let gone = world.record("things", id(1)).expect("STO-14: a forgotten id stays known");
    let versions = Versions::new(Version(4, 0));
    assert!(gone.is_forgotten() && gone.fields.is_empty(), "STO-14: an old tombstone is forgotten, got {gone:?}");
    assert_eq!((gone.rv, &gone.scope, &gone.versions), (4, SCOPE, &versions), "STO-14: of it only the id is known");
    let fresh = world.record("things", id(2)).expect("STO-14: a fresh tombstone stays");
    assert!(!fresh.is_forgotten() && !fresh.fields.is_empty(), "STO-14: a fresh tombstone stays whole");
    assert!(world.record("things", id(3)).is_some_and(|record| record.rv == 3), "STO-14: old live records stay");
    assert_eq!(records(world, 0), [id(3), id(2)], "STO-14: a forgotten tombstone is not a change any more");
    let left: Vec<u64> =
        world.read(|read| read.outcomes_from(CLIENT, 0, 9)).iter().map(|o| o.outcome.client_seq).collect();
    assert_eq!(left, [5], "STO-14: old acknowledged outcomes are gone");
    let known = world.read(|read| read.client(CLIENT)).map(|state| state.last_client_seq);
    assert_eq!(known, Some(5), "STO-14: the high-water mark stays");
    world.store.compact(&workspace(), 2).expect("STO-14: compacting less is nothing");
    assert_eq!(world.head().min_seq, 4, "STO-14: min_seq never falls");
    world.store.compact(&workspace(), 1 << 50).expect("STO-14: compact beyond the head");
    assert_eq!((world.head().seq, world.head().min_seq), (5, 5), "STO-14: min_seq never passes the head");
    put(world, 4, 1);
    assert_eq!(world.read(|read| read.log(0, 9, 9)).len(), 1, "STO-14: the log goes on after a full compaction");
}

pub(super) fn sto_14_compact_keeps_what_is_not_acknowledged<S: Store>(world: &mut World<S>) {
    let (home, away) = (ScopeId::team(id(1)), ScopeId::team(id(2)));
    for scope in [&home, &away, &home, &away] {
        world.commit(|draft| {
            draft.mutation();
            draft.put("things", id(1), scope, Fields::new());
        });
    }
    world.commit(|draft| draft.rejection(ClientId::from_u128(7)));
    let unknown = ClientId::from_u128(99);
    let acks = [(CLIENT, 3), (CLIENT, 2), (unknown, 9)];
    world.store.acknowledge(&workspace(), &acks).expect("STO-14: acknowledge");
    world.store.compact(&workspace(), 2).expect("STO-14: compact");
    let outcomes = |world: &World<S>| {
        let all = world.read(|read| read.outcomes_from(CLIENT, 0, 9));
        all.iter().map(|stored| stored.outcome.client_seq).collect::<Vec<_>>()
    };
    assert_eq!(outcomes(world), [3, 4], "STO-14: an acknowledged outcome stays while it is young");
    let departures = |to| world.read(|read| read.departures(&home, 0, to)).len();
    assert_eq!((departures(3), departures(9)), (0, 1), "STO-14: old departures are forgotten, young ones stay");
    world.store.compact(&workspace(), 4).expect("STO-14: compact");
    assert_eq!(outcomes(world), [4], "STO-14: an old outcome stays until it is acknowledged");
    assert_eq!(world.read(|read| read.rejected(9)).len(), 1, "STO-14: and so does a rejected one");
    let scopes: Vec<ScopeId> = world.read(|read| read.scopes()).into_iter().map(|(scope, _)| scope).collect();
    assert_eq!(scopes, [away], "STO-14: a scope with nothing left in it is not listed");
    assert_eq!(world.read(|read| read.client(unknown)), None, "STO-14: acknowledging does not make a client");
}

pub(super) fn sto_14_compact_forgets_what_single_requests_were_told<S: Store>(world: &mut World<S>) {
    let of_request = ClientId("8f0d4b35-93c1-5b0e-9d3a-6c6c1f1e7a52".parse().expect("a UUIDv5"));
    let of_database = ClientId("01920000-0000-7000-8000-000000000001".parse().expect("a UUIDv7"));
    for _ in 0..2 {
        world.commit(|draft| {
            draft.mutation();
            draft.rejection(of_request);
            draft.rejection(of_database);
        });
    }
    world.store.compact(&workspace(), 1).expect("STO-14: compact");
    let outcomes = |world: &World<S>, client| {
        let all = world.read(|read| read.outcomes_from(client, 0, 9));
        all.iter().map(|stored| stored.outcome.client_seq).collect::<Vec<_>>()
    };
    assert_eq!(outcomes(world, of_request), [2], "STO-14: what is young stays");
    assert_eq!(outcomes(world, of_database), [1, 2], "STO-14: a database has not acknowledged its outcomes");
    world.store.compact(&workspace(), 9).expect("STO-14: compact");
    assert!(outcomes(world, of_request).is_empty(), "STO-14: nobody asks for the outcome of a request again");
    assert_eq!(outcomes(world, of_database), [1, 2]);
}

pub(super) fn sto_14_a_forgotten_record_stays_gone_and_may_be_found_by_id<S: Store>(world: &mut World<S>) {
    put(world, 1, 1);
    world.commit(|draft| {
        draft.mutation();
        draft.delete("things", id(1));
    });
    for epoch in 1..=2 {
        world.store.compact(&workspace(), 2).expect("STO-14: compact");
        let gone = world.record("things", id(1));
        assert!(gone.is_some_and(|record| record.is_forgotten()), "STO-14: gone stays gone, however often");
        world.store.begin_epoch(&workspace(), epoch).expect("STO-15: a new epoch");
    }
    put(world, 1, 5);
    let back = world.record("things", id(1)).expect("STO-14: the store itself lets it be written again");
    assert_eq!((back.is_deleted, back.entered), (false, epoch_base(2) + 1), "STO-14: as a live record");
    assert_eq!(records(world, epoch_base(2)), [id(1)], "STO-14: which is a change");
    assert_eq!(world.read(|read| read.scope_digest(SCOPE)).count, 1, "STO-14: with a digest");
}

pub(super) fn sto_15_an_epoch_moves_only_the_head<S: Store>(world: &mut World<S>) {
    (1..=3).for_each(|bits| put(world, bits, 1));
    world.commit(|draft| draft.rejection(CLIENT));
    let head = world.head();
    let before = everything(world, &workspace());
    world.store.begin_epoch(&workspace(), 1).expect("STO-15: a new epoch");
    let base = epoch_base(1);
    let want = Head { epoch: 1, seq: base, min_seq: base, ..head.clone() };
    assert_eq!(world.head(), want, "STO-15: head and min_seq start at the epoch's base");
    let after = everything(world, &workspace());
    let unmoved = after.replace(&format!("{want:?}"), &format!("{head:?}"));
    assert_eq!(unmoved, before, "STO-15: records, log, outcomes, clients and digests stay");
    put(world, 1, 2);
    assert_eq!(world.record("things", id(1)).map(|record| record.rv), Some(base + 1), "STO-15: seqs go on from there");
    let seqs: Vec<Seq> = world.read(|read| read.log(0, 1 << 52, 9)).iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, [1, 2, 3, base + 1], "STO-15: the log keeps both lives");
    world.store.begin_epoch(&workspace(), 3).expect("STO-15: epochs may be left out");
    assert_eq!((world.head().epoch, world.head().seq), (3, epoch_base(3)), "STO-15: the wanted epoch begins");
    for unfit in [0, 2, 3, EPOCH_MAX + 1] {
        let refused = world.store.begin_epoch(&workspace(), unfit);
        assert!(matches!(refused, Err(StoreError::Database(_))), "STO-15: epoch {unfit} after 3, got {refused:?}");
    }
    assert_eq!(world.head().epoch, 3, "STO-15: a refusal changes nothing");
}

pub(super) fn sto_16_workspaces_are_apart<S: Store>(world: &mut World<S>) {
    let other = WorkspaceId::new("acme-2").expect("a well-formed id");
    world.store.create_workspace(&other, BackendId::from_u128(0xb)).expect("STO-16: a second workspace");
    let empty = everything(world, &other);
    (1..=3).for_each(|bits| put(world, bits, 1));
    assert_eq!(everything(world, &other), empty, "STO-16: a write in one workspace shows in no other");
    let first = everything(world, &workspace());
    world.commit_in(&other, |draft| {
        draft.mutation();
        draft.put("things", id(1), SCOPE, fields(json!({"size": 9, "code": "other", "tags": ["u"]})));
    });
    world.commit_in(&other, |draft| {
        draft.mutation();
        draft.delete("things", id(1));
        draft.rejection(CLIENT);
    });
    world.store.acknowledge(&other, &[(CLIENT, 9)]).expect("STO-16: acknowledge in one");
    world.store.compact(&other, 9).expect("STO-16: compact in one");
    world.store.begin_epoch(&other, 1).expect("STO-16: an epoch of one");
    assert_eq!(everything(world, &workspace()), first, "STO-16: the same ids elsewhere change nothing here");
    world.store.compact(&workspace(), 1).expect("STO-16: compact the first");
    let outcomes = world.read(|read| read.outcomes_from(CLIENT, 0, 9)).len();
    assert_eq!(outcomes, 3, "STO-16: an acknowledgement elsewhere does not count here");
    let names = world.store.workspaces().expect("STO-16: the list of workspaces");
    assert_eq!(names, [workspace(), other], "STO-16: workspaces are listed in order");
}

pub(super) fn sto_18_workspaces_exist_once<S: Store>(world: &mut World<S>) {
    put(world, 1, 1);
    let before = everything(world, &workspace());
    let again = world.store.create_workspace(&workspace(), BackendId::from_u128(0xff));
    assert!(matches!(again, Err(StoreError::WorkspaceExists(_))), "STO-18: it exists, got {again:?}");
    assert_eq!(everything(world, &workspace()), before, "STO-18: and is left alone");
    let none = WorkspaceId::new("none").expect("a well-formed id");
    let read = world.store.read(&none, |read| read.head());
    assert!(matches!(read, Err(StoreError::NoWorkspace(_))), "STO-18: no such workspace to read, got {read:?}");
    let write = world.try_commit(&none, |draft| _ = draft.mutation());
    assert!(matches!(write, Err(StoreError::NoWorkspace(_))), "STO-18: nor to write, got {write:?}");
    let others = [
        world.store.acknowledge(&none, &[(CLIENT, 1)]),
        world.store.compact(&none, 1),
        world.store.begin_epoch(&none, 1),
    ];
    for result in others {
        assert!(matches!(result, Err(StoreError::NoWorkspace(_))), "STO-18: nor to maintain, got {result:?}");
    }
}

pub(super) fn sto_19_contradictions_are_refused<S: Store>(world: &mut World<S>) {
    put(world, 1, 1);
    let before = everything(world, &workspace());
    let was = |rv, is_deleted, scope: ScopeId| Some(RecordWas { rv, is_deleted, scope });
    let contradictions = [
        (1, None),
        (1, was(7, false, SCOPE.clone())),
        (1, was(1, true, SCOPE.clone())),
        (1, was(1, false, ScopeId::team(id(1)))),
        (2, was(1, false, SCOPE.clone())),
    ];
    for (bits, was) in contradictions {
        let said = format!("{was:?}");
        let refused = world.try_commit(&workspace(), |draft| {
            draft.mutation();
            draft.put("things", id(bits), SCOPE, Fields::new());
            draft.flush();
            draft.writes.records[0].was = was.clone();
        });
        assert!(matches!(refused, Err(StoreError::Corrupt(_))), "STO-19: {bits} was not {said}, got {refused:?}");
        assert_eq!(everything(world, &workspace()), before, "STO-19: nothing happened");
    }
    let unknown = world.try_commit(&workspace(), |draft| {
        draft.mutation();
        draft.put("nothing", id(1), SCOPE, Fields::new());
    });
    assert!(matches!(unknown, Err(StoreError::Corrupt(_))), "STO-19: an unknown entity is refused, got {unknown:?}");
    assert_eq!(everything(world, &workspace()), before, "STO-19: nothing happened");
}
