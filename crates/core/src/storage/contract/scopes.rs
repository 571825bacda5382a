use serde_json::json;

use super::draft::{World, fields, id, ids};
use crate::digest::Digest;
use crate::id::{RecordId, ScopeId};
use crate::record::Record;
use crate::storage::{ChangedPage, Departure, Store};
use crate::{Fields, Name, Seq};

fn team(bits: u128) -> ScopeId {
    ScopeId::team(id(bits))
}

fn changed<S: Store>(world: &World<S>, page: ChangedPage) -> Vec<Record> {
    world.read(|read| read.changed(&page))
}

/// Records `(id, rv)` of `things` in a scope.
fn page(scope: &ScopeId, after: Seq, to: Seq, limit: usize) -> ChangedPage {
    ChangedPage { scope: scope.clone(), entity: "things".into(), after, to, live_only: false, limit }
}

pub(super) fn sto_7_changed_pages_without_splitting_an_rv<S: Store>(world: &mut World<S>) {
    let scope = team(1);
    world.commit(|draft| {
        for group in [[9, 1].as_slice(), &[2], &[8, 3, 7], &[4]] {
            draft.mutation();
            group.iter().for_each(|bits| draft.put("things", id(*bits), &scope, fields(json!({"size": *bits as u64}))));
            draft.put("people", id(group[0]), &scope, Fields::new());
        }
        draft.mutation();
        draft.delete("things", id(2));
    });
    let rows = |page| changed(world, page).iter().map(|record| (record.rv, record.id)).collect::<Vec<_>>();
    let all = [(1, id(1)), (1, id(9)), (3, id(3)), (3, id(7)), (3, id(8)), (4, id(4)), (5, id(2))];
    assert_eq!(rows(page(&scope, 0, 9, 100)), all, "STO-7: every record once, in (rv, id) order");
    assert_eq!(rows(page(&scope, 0, 9, 1)), all[..2], "STO-7: a page does not split an rv");
    assert_eq!(rows(page(&scope, 0, 9, 2)), all[..2], "STO-7: nor takes more than it must");
    assert_eq!(rows(page(&scope, 0, 9, 3)), all[..5], "STO-7: a page may be longer than its limit");
    assert_eq!(rows(page(&scope, 1, 9, 1)), all[2..5], "STO-7: `after` is exclusive");
    assert_eq!(rows(page(&scope, 3, 4, 9)), all[5..6], "STO-7: `to` is inclusive");
    assert_eq!(rows(page(&scope, 4, 4, 9)), [], "STO-7: an empty range is empty");
    assert_eq!(rows(page(&scope, 0, 9, 0)), [], "STO-7: no limit, no rows");
    let live = changed(world, ChangedPage { live_only: true, ..page(&scope, 0, 9, 6) });
    assert_eq!(ids(&live), [id(1), id(9), id(3), id(7), id(8), id(4)], "STO-7: `live_only` leaves out tombstones");
    let whole = changed(world, page(&scope, 4, 9, 1));
    assert_eq!(whole.first(), world.record("things", id(2)).as_ref(), "STO-7: records come whole");
    assert_eq!(rows(page(&team(2), 0, 9, 9)), [], "STO-7: a scope nobody wrote to is empty");
}

pub(super) fn sto_7_changed_shows_the_present_scope_only<S: Store>(world: &mut World<S>) {
    world.commit(|draft| {
        draft.mutation();
        draft.put("things", id(1), &team(1), Fields::new());
    });
    world.commit(|draft| {
        draft.mutation();
        draft.put("things", id(1), &team(2), Fields::new());
    });
    assert_eq!(changed(world, page(&team(1), 0, 9, 9)), [], "STO-7: a moved record is not in its old scope");
    let moved = changed(world, page(&team(2), 0, 9, 9));
    assert_eq!(moved.first().map(|record| (record.rv, record.entered)), Some((2, 2)), "STO-7: it is in the new one");
}

pub(super) fn sto_8_departures_are_the_latest_in_range<S: Store>(world: &mut World<S>) {
    let (home, away) = (team(1), team(2));
    for scope in [&home, &away, &home, &away] {
        world.commit(|draft| {
            draft.mutation();
            draft.put("things", id(1), scope, Fields::new());
        });
    }
    world.commit(|draft| {
        draft.mutation();
        draft.put("things", id(3), &home, Fields::new());
        draft.put("people", id(3), &home, Fields::new());
        draft.put("things", id(2), &home, Fields::new());
    });
    world.commit(|draft| {
        draft.mutation();
        draft.put("things", id(3), &away, Fields::new());
        draft.put("things", id(2), &away, Fields::new());
        draft.put("people", id(3), &away, Fields::new());
    });
    let departures = |scope: &ScopeId, after, to| world.read(|read| read.departures(scope, after, to));
    let of = |seq, entity: &str, bits| Departure { seq, entity: entity.into(), id: id(bits) };
    let last = [of(6, "people", 3), of(6, "things", 2), of(6, "things", 3)];
    let all = [vec![of(4, "things", 1)], last.to_vec()].concat();
    assert_eq!(departures(&home, 0, 9), all, "STO-8: the latest of each record, in (seq, entity, id) order");
    assert_eq!(departures(&home, 0, 3), [of(2, "things", 1)], "STO-8: the latest up to `to`");
    assert_eq!(departures(&home, 2, 3), [], "STO-8: `after` is exclusive");
    assert_eq!(departures(&home, 3, 4), [of(4, "things", 1)], "STO-8: `to` is inclusive");
    assert_eq!(departures(&away, 0, 9), [of(3, "things", 1)], "STO-8: every scope has its own");
    assert_eq!(departures(&team(9), 0, 9), [], "STO-8: an unknown scope has none");
}

pub(super) fn sto_9_digests_and_scopes<S: Store>(world: &mut World<S>) {
    assert_eq!(world.read(|read| read.scopes()), [], "STO-9: a new workspace has no scopes");
    world.commit(|draft| {
        draft.mutation();
        draft.put("things", id(1), &team(2), Fields::new());
        draft.put("things", id(2), &ScopeId::WORKSPACE, Fields::new());
        draft.put("people", id(1), &ScopeId::WORKSPACE, Fields::new());
        draft.put("things", id(3), &ScopeId::owner(id(1)), Fields::new());
    });
    world.commit(|draft| {
        draft.mutation();
        draft.put("things", id(1), &team(1), Fields::new());
        draft.delete("things", id(3));
    });
    let digest = |rows: &[(&str, RecordId, Seq)]| {
        let mut digest = Digest::EMPTY;
        rows.iter().for_each(|(entity, id, rv)| digest.add(entity, id, *rv));
        digest
    };
    let workspace = digest(&[("things", id(2), 1), ("people", id(1), 1)]);
    let want = [
        (ScopeId::owner(id(1)), Digest::EMPTY),
        (team(1), digest(&[("things", id(1), 2)])),
        (team(2), Digest::EMPTY),
        (ScopeId::WORKSPACE, workspace),
    ];
    assert_eq!(world.read(|read| read.scopes()), want, "STO-9: scopes with a record, tombstone or departure, in order");
    for (scope, digest) in want {
        assert_eq!(world.read(|read| read.scope_digest(&scope)), digest, "STO-9: digest of {scope}");
    }
    assert_eq!(world.read(|read| read.scope_digest(&team(9))), Digest::EMPTY, "STO-9: an unknown scope is empty");
    world.commit(|draft| {
        draft.mutation();
        draft.writes.digests.insert(team(2), Digest { count: 1, sum: u64::MAX });
    });
    let odd = world.read(|read| read.scope_digest(&team(2)));
    assert_eq!(odd, Digest { count: 1, sum: u64::MAX }, "STO-9: a sum uses all 64 bits");
}

pub(super) fn sto_10_scope_rows_are_ordered_by_id<S: Store>(world: &mut World<S>) {
    world.commit(|draft| {
        draft.mutation();
        draft.put("things", id(3), &team(1), Fields::new());
        draft.put("people", id(3), &team(1), Fields::new());
        draft.put("things", id(1), &team(2), Fields::new());
        draft.mutation();
        draft.put("people", id(2), &team(1), Fields::new());
        draft.put("things", id(4), &team(1), Fields::new());
    });
    world.commit(|draft| {
        draft.mutation();
        draft.delete("things", id(4));
    });
    let rows = |scope: &ScopeId| world.read(|read| read.scope_rows(scope));
    let row = |entity: &str, bits, rv| (Name::new(entity), id(bits), rv);
    let want = [row("people", 2, 2), row("people", 3, 1), row("things", 3, 1)];
    assert_eq!(rows(&team(1)), want, "STO-10: live records in (id, entity) order");
    assert_eq!(rows(&team(2)), [row("things", 1, 1)], "STO-10: of that scope only");
    assert_eq!(rows(&team(9)), [], "STO-10: an unknown scope has none");
}
