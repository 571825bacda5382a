//! Conflicts as records, deletions against edits, resolving and undoing (spec §7, MRG-12).

use serde_json::{Value, json};
use syncline_core::change::{CONFLICTS, Op, OutcomeKind, Resolution};
use syncline_core::id::RecordId;
use syncline_core::protocol::Code;

use crate::world::*;

/// A lead whose value two agents changed; the second one's change waits in a conflict.
fn parked(world: &mut World) -> (Device, Device, RecordId, RecordId) {
    let mut ada = world.member(1, "agent", "all");
    let mut bob = world.member(2, "agent", "all");
    let lead = world.lead(&mut ada, json!({"estimated_value": "1.00", "currency": "USD"}));
    let base = world.rv("leads", lead);
    world.push(&mut ada, vec![update("leads", lead, base, json!({"estimated_value": "2.00"}))]);
    let outcome = world.push(&mut bob, vec![update("leads", lead, base, json!({"estimated_value": "3.00"}))]);
    assert_eq!(outcome.outcome, OutcomeKind::InReview);
    (ada, bob, lead, outcome.conflict_ids[0])
}

fn state(world: &World, conflict: RecordId) -> Value {
    world.value(CONFLICTS, conflict, "state")
}

#[test]
fn cnf_1_a_conflict_holds_both_sides_and_who_they_were() {
    let mut world = World::new();
    let (ada, bob, lead, conflict) = parked(&mut world);
    let record = world.record(CONFLICTS, conflict).unwrap();
    assert_eq!(record.scope, world.record("leads", lead).unwrap().scope);
    let expected = [
        ("entity", json!("leads")),
        ("record_id", json!(lead)),
        ("base", json!({"estimated_value": "1.00", "currency": "USD"})),
        ("mine", json!({"estimated_value": "3.00", "currency": "USD"})),
        ("theirs", json!({"estimated_value": "2.00", "currency": "USD"})),
        ("mine_user", json!(bob.principal.user_id)),
        ("theirs_user", json!(ada.principal.user_id)),
        ("strategy", json!("manual-review")),
        ("state", json!("open")),
    ];
    for (field, value) in expected {
        assert_eq!(record.fields.get(field), Some(&value), "{field}");
    }
}

#[test]
fn cnf_2_resolving_writes_the_chosen_side_and_closes_the_conflict() {
    let mut world = World::new();
    let (mut ada, _, lead, conflict) = parked(&mut world);
    let rv = world.rv(CONFLICTS, conflict);
    let outcome = world.push(&mut ada, vec![resolve(conflict, rv, Resolution::UseMine)]);
    assert_eq!(outcome.outcome, OutcomeKind::Applied, "{outcome:?}");
    assert_eq!(world.value("leads", lead, "estimated_value"), "3.00");
    assert_eq!(state(&world, conflict), "resolved");
}

#[test]
fn cnf_3_resolving_anew_undoes() {
    let mut world = World::new();
    let (mut ada, _, lead, conflict) = parked(&mut world);
    for (side, value) in [(Resolution::UseMine, "3.00"), (Resolution::UseTheirs, "2.00"), (Resolution::UseMine, "3.00")]
    {
        let rv = world.rv(CONFLICTS, conflict);
        world.push(&mut ada, vec![resolve(conflict, rv, side)]);
        assert_eq!(world.value("leads", lead, "estimated_value"), value);
    }
    let rv = world.rv(CONFLICTS, conflict);
    let fields = fields(json!({"estimated_value": "2.50"}));
    world.push(&mut ada, vec![Op::Resolve { id: conflict, base_rv: rv, resolution: Resolution::Custom, fields }]);
    assert_eq!(world.value("leads", lead, "estimated_value"), "2.50");
}

#[test]
fn cnf_3_an_automatic_resolution_is_recorded_and_can_be_undone() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let mut bob = world.member(2, "agent", "all");
    let id = world.contact(&mut ada, json!({"firstname": "A"}));
    let base = world.rv("contacts", id);
    world.push(&mut ada, vec![update("contacts", id, base, json!({"firstname": "B"}))]);
    let outcome = world.push(&mut bob, vec![update("contacts", id, base, json!({"firstname": "C"}))]);
    let conflict = outcome.conflict_ids[0];
    assert_eq!(state(&world, conflict), "auto_resolved");
    let rv = world.rv(CONFLICTS, conflict);
    world.push(&mut ada, vec![resolve(conflict, rv, Resolution::UseTheirs)]);
    assert_eq!(world.value("contacts", id, "firstname"), "B");
}

#[test]
fn cnf_4_the_second_of_two_unseen_resolutions_is_superseded() {
    let mut world = World::new();
    let (mut ada, mut bob, lead, conflict) = parked(&mut world);
    let rv = world.rv(CONFLICTS, conflict);
    world.push(&mut ada, vec![resolve(conflict, rv, Resolution::UseMine)]);
    let outcome = world.push(&mut bob, vec![resolve(conflict, rv, Resolution::UseTheirs)]);
    assert_eq!(outcome.outcome, OutcomeKind::Superseded);
    assert_eq!(world.value("leads", lead, "estimated_value"), "3.00");
}

#[test]
fn cnf_5_an_open_conflict_outlives_further_edits_and_moves_with_its_record() {
    let mut world = World::new();
    let (mut ada, bob, lead, conflict) = parked(&mut world);
    let rv = world.rv("leads", lead);
    world.push(&mut ada, vec![update("leads", lead, rv, json!({"owner_id": bob.principal.user_id}))]);
    assert_eq!(state(&world, conflict), "open");
    let scope = world.record("leads", lead).unwrap().scope;
    assert_eq!(world.record(CONFLICTS, conflict).unwrap().scope, scope);
}

#[test]
fn mrg_12_an_edit_of_a_deleted_record_is_offered_as_restore_with_my_change() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let mut bob = world.member(2, "agent", "all");
    let id = world.contact(&mut ada, json!({"firstname": "A", "lastname": "Z"}));
    let base = world.rv("contacts", id);
    world.push(&mut ada, vec![delete("contacts", id, base)]);
    let outcome = world.push(&mut bob, vec![update("contacts", id, base, json!({"firstname": "B"}))]);
    assert_eq!(outcome.outcome, OutcomeKind::InReview, "{outcome:?}");
    assert!(world.record("contacts", id).unwrap().is_deleted, "deleted stays deleted");
    let conflict = outcome.conflict_ids[0];
    assert_eq!(world.value(CONFLICTS, conflict, "fields"), json!(["firstname"]));
    assert_eq!(world.value(CONFLICTS, conflict, "base"), json!({"firstname": "A"}));
    let rv = world.rv(CONFLICTS, conflict);
    let outcome = world.push(&mut bob, vec![resolve(conflict, rv, Resolution::UseMine)]);
    assert_eq!(outcome.outcome, OutcomeKind::Applied, "{outcome:?}");
    assert_eq!(
        (world.value("contacts", id, "firstname"), world.value("contacts", id, "lastname")),
        (json!("B"), json!("Z"))
    );
    let rv = world.rv(CONFLICTS, conflict);
    world.push(&mut bob, vec![resolve(conflict, rv, Resolution::UseTheirs)]);
    assert!(world.record("contacts", id).unwrap().is_deleted, "undone");
}

#[test]
fn mrg_12_a_deletion_that_meets_an_unseen_edit_stands_and_offers_it() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let mut bob = world.member(2, "agent", "all");
    let id = world.contact(&mut ada, json!({"firstname": "A"}));
    let base = world.rv("contacts", id);
    world.push(&mut ada, vec![update("contacts", id, base, json!({"firstname": "B"}))]);
    let outcome = world.push(&mut bob, vec![delete("contacts", id, base)]);
    assert_eq!((outcome.outcome, outcome.conflict_ids.len()), (OutcomeKind::Applied, 1));
    assert!(world.record("contacts", id).unwrap().is_deleted);
    let conflict = outcome.conflict_ids[0];
    assert_eq!(state(&world, conflict), "open");
    assert_eq!(world.value(CONFLICTS, conflict, "fields"), json!(["firstname"]));
    let rv = world.rv(CONFLICTS, conflict);
    world.push(&mut ada, vec![resolve(conflict, rv, Resolution::UseTheirs)]);
    assert_eq!(world.value("contacts", id, "firstname"), "B");
    assert!(!world.record("contacts", id).unwrap().is_deleted);
}

#[test]
fn mrg_12_an_edit_of_nothing_that_meets_a_deletion_opens_no_conflict() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let mut bob = world.member(2, "agent", "all");
    let id = world.contact(&mut ada, json!({"firstname": "A"}));
    let base = world.rv("contacts", id);
    world.push(&mut ada, vec![delete("contacts", id, base)]);
    let outcome = world.push(&mut bob, vec![update("contacts", id, base, json!({}))]);
    assert_eq!((outcome.outcome, outcome.conflict_ids.len()), (OutcomeKind::Superseded, 0), "{outcome:?}");
}

#[test]
fn mrg_12_deleting_what_one_has_seen_raises_no_conflict() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let mut bob = world.member(2, "agent", "all");
    let id = world.contact(&mut ada, json!({"firstname": "A"}));
    let rv = world.rv("contacts", id);
    let outcome = world.push(&mut bob, vec![delete("contacts", id, rv)]);
    assert!(outcome.conflict_ids.is_empty(), "{outcome:?}");
    let late = world.push(&mut bob, vec![update("contacts", id, rv, json!({"firstname": "B"}))]);
    assert_eq!(late.code, Some(Code::Gone), "the author deleted it themself");
}

#[test]
fn cnf_2_a_resolution_obeys_the_rights_of_an_update() {
    let mut world = World::new();
    let (_, _, lead, conflict) = parked(&mut world);
    let mut eve = world.member(3, "viewer", "all");
    let rv = world.rv(CONFLICTS, conflict);
    let outcome = world.push(&mut eve, vec![resolve(conflict, rv, Resolution::UseMine)]);
    assert_eq!(outcome.code, Some(Code::Forbidden));
    assert_eq!(world.value("leads", lead, "estimated_value"), "2.00");
    let mut stranger = world.member(4, "agent", "own");
    let missing = world.push(&mut stranger, vec![resolve(RecordId::from_u128(5), 0, Resolution::UseMine)]);
    assert_eq!(missing.code, Some(Code::Forbidden));
}

#[test]
fn cnf_2_nobody_resolves_what_they_cannot_see() {
    let mut world = World::new();
    let (mut ada, _, lead, conflict) = parked(&mut world);
    let owner = json!({"owner_id": ada.principal.user_id});
    let moved = world.push(&mut ada, vec![update("leads", lead, world.rv("leads", lead), owner)]);
    assert_eq!(moved.outcome, OutcomeKind::Applied, "{moved:?}");
    let mut stranger = world.member(4, "agent", "own");
    let rv = world.rv(CONFLICTS, conflict);
    let hidden = world.push(&mut stranger, vec![resolve(conflict, rv, Resolution::UseMine)]);
    assert_eq!(hidden.code, Some(Code::Forbidden), "the conflict moved along with its lead");
    assert_eq!(state(&world, conflict), "open");
}

#[test]
fn conf_4_people_say_who_decides_and_by_when_and_nothing_else() {
    let mut world = World::new();
    let (mut ada, mut bob, lead, conflict) = parked(&mut world);
    let owner = json!({"owner_id": ada.principal.user_id});
    world.push(&mut ada, vec![update("leads", lead, world.rv("leads", lead), owner)]);
    let seen = world.rv(CONFLICTS, conflict);
    let asked = json!({"assigned_to": ada.principal.user_id, "due_at": "2026-12-01T12:00:00.000Z"});
    let outcome = world.push(&mut bob, vec![update(CONFLICTS, conflict, seen, asked)]);
    assert_eq!(outcome.outcome, OutcomeKind::Applied, "{outcome:?}");
    assert_eq!(world.value(CONFLICTS, conflict, "assigned_to"), json!(ada.principal.user_id));
    let scope = world.record("leads", lead).unwrap().scope;
    assert_eq!(world.record(CONFLICTS, conflict).unwrap().scope, scope, "it stays with its record");

    let forged = json!({"state": "resolved"});
    let outcome = world.push(&mut bob, vec![update(CONFLICTS, conflict, world.rv(CONFLICTS, conflict), forged)]);
    assert_eq!(outcome.outcome, OutcomeKind::Rejected, "{outcome:?}");
    let mut eve = world.member(3, "viewer", "all");
    let late = json!({"due_at": "2027-12-01T12:00:00.000Z"});
    let outcome = world.push(&mut eve, vec![update(CONFLICTS, conflict, world.rv(CONFLICTS, conflict), late)]);
    assert_eq!(outcome.code, Some(Code::Forbidden));
    let outcome = world.push(&mut ada, vec![resolve(conflict, seen, Resolution::UseMine)]);
    assert_eq!(outcome.outcome, OutcomeKind::Applied, "to have been asked is no other decision: {outcome:?}");
}
