//! Sequence, dedupe, atomicity, ids (spec §1, §3, §4, §8, §15).

use serde_json::{Value, json};
use syncline_core::change::{Mutation, Op, OutcomeKind};
use syncline_core::engine::{PushReply, PushRequest, history};
use syncline_core::id::{ClientId, RecordId};
use syncline_core::protocol::{Code, limits};
use syncline_core::storage::{CHAIN_START, Store, chain_hash};

use crate::world::*;

#[test]
fn mut_1_one_bad_op_leaves_no_trace_of_the_others() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let (good, bad) = (world.id(), world.id());
    let ops = vec![
        create("contacts", good, json!({"firstname": "Good"})),
        create("leads", bad, json!({"contact_id": RecordId::from_u128(99)})),
    ];
    let outcome = world.push(&mut ada, ops);
    assert_eq!((outcome.outcome, outcome.code), (OutcomeKind::Rejected, Some(Code::RefMissing)));
    assert!(world.record("contacts", good).is_none());
}

#[test]
fn mut_1_ops_of_one_mutation_share_one_seq() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let (contact, lead) = (world.id(), world.id());
    let ops = vec![
        create("contacts", contact, json!({"firstname": "A"})),
        create("leads", lead, json!({"contact_id": contact})),
    ];
    let outcome = world.push(&mut ada, ops);
    assert_eq!(outcome.outcome, OutcomeKind::Applied, "{outcome:?}");
    assert_eq!(world.rv("contacts", contact), outcome.seq);
    assert_eq!(world.rv("leads", lead), outcome.seq);
}

#[test]
fn mut_2_an_op_with_base_rv_0_still_finds_what_the_same_client_made() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let id = world.contact(&mut ada, json!({"firstname": "A"}));
    let outcome = world.push(&mut ada, vec![update("contacts", id, 0, json!({"firstname": "B"}))]);
    assert_eq!(outcome.outcome, OutcomeKind::Applied);
    assert_eq!(world.value("contacts", id, "firstname"), "B");
}

#[test]
fn mut_3_psh_3_a_replay_returns_the_stored_outcome_and_changes_nothing() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let id = world.id();
    let mutation = world.mutation(1, 0, vec![create("contacts", id, json!({"firstname": "A"}))]);
    let first = world.request(ada.principal.clone(), vec![mutation.clone()]);
    ada.next_seq = 2;
    world.push(&mut ada, vec![update("contacts", id, 0, json!({"firstname": "B"}))]);
    let rv = world.rv("contacts", id);
    let again = world.request(ada.principal.clone(), vec![mutation]);
    assert_eq!(first, again);
    assert_eq!(world.rv("contacts", id), rv);
    assert_eq!(world.value("contacts", id, "firstname"), "B");
}

#[test]
fn psh_3_a_replay_inside_one_group_commit_is_decided_once() {
    let mut world = World::new();
    let ada = world.member(1, "agent", "all");
    let id = world.id();
    let mutation = world.mutation(1, 0, vec![create("contacts", id, json!({"firstname": "A"}))]);
    let request = PushRequest {
        principal: ada.principal.clone(),
        mutations: vec![mutation],
        received_ms: world.now_ms,
        deposit: None,
    };
    let replies = world.group(vec![request.clone(), request]);
    assert_eq!(replies[0], replies[1]);
}

#[test]
fn psh_1_psh_2_mutations_of_a_push_build_on_one_another() {
    let mut world = World::new();
    let ada = world.member(1, "agent", "all");
    let id = world.id();
    let create = world.mutation(1, 0, vec![create("contacts", id, json!({"firstname": "A"}))]);
    let change = world.mutation(2, 0, vec![update("contacts", id, 0, json!({"lastname": "Z"}))]);
    let outcomes = world.request(ada.principal, vec![create, change]);
    assert!(outcomes.iter().all(|outcome| outcome.outcome == OutcomeKind::Applied), "{outcomes:?}");
    assert_eq!(outcomes[1].seq, outcomes[0].seq + 1);
}

#[test]
fn psh_4_a_gap_stops_the_push_and_says_where_to_go_on() {
    let mut world = World::new();
    let ada = world.member(1, "agent", "all");
    let (one, three) = (world.id(), world.id());
    let first = world.mutation(1, 0, vec![create("contacts", one, json!({"firstname": "A"}))]);
    let third = world.mutation(3, 0, vec![create("contacts", three, json!({"firstname": "C"}))]);
    let reply = world.reply(ada.principal, vec![first, third]);
    let PushReply::OutcomesThenGap { outcomes, expected } = reply else { panic!("{reply:?}") };
    assert_eq!((outcomes.len(), expected), (1, 2));
    assert!(world.record("contacts", three).is_none());
}

#[test]
fn psh_6_a_rejected_mutation_blocks_only_what_builds_on_it() {
    let mut world = World::new();
    let ada = world.member(1, "agent", "all");
    let (bad, lead, other) = (world.id(), world.id(), world.id());
    let refused = world.mutation(1, 0, vec![create("contacts", bad, json!({"no_such_field": 1}))]);
    let mut dependant = world.mutation(2, 0, vec![create("leads", lead, json!({"contact_id": bad}))]);
    dependant.depends_on = vec![1];
    let free = world.mutation(3, 0, vec![create("contacts", other, json!({"firstname": "C"}))]);
    let outcomes = world.request(ada.principal, vec![refused, dependant, free]);
    let codes: Vec<_> = outcomes.iter().map(|outcome| outcome.code).collect();
    assert_eq!(codes, [Some(Code::Validation), Some(Code::DependencyFailed), None], "MUT-4");
}

#[test]
fn mut_4_a_dependency_that_was_accepted_does_not_block() {
    let mut world = World::new();
    let ada = world.member(1, "agent", "all");
    let (contact, lead) = (world.id(), world.id());
    let first = world.mutation(1, 0, vec![create("contacts", contact, json!({"firstname": "A"}))]);
    let mut second = world.mutation(2, 0, vec![create("leads", lead, json!({"contact_id": contact}))]);
    second.depends_on = vec![1];
    assert_eq!(world.request(ada.principal, vec![first, second])[1].outcome, OutcomeKind::Applied);
}

#[test]
fn psh_7_another_mutation_under_a_decided_number_is_refused() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    world.contact(&mut ada, json!({"firstname": "A"}));
    let id = world.id();
    let other = world.mutation(1, 0, vec![create("contacts", id, json!({"firstname": "X"}))]);
    let reply = world.reply(ada.principal, vec![other]);
    let PushReply::Refused(problem) = reply else { panic!("{reply:?}") };
    assert_eq!(problem.code, Code::BackendMismatch);
}

#[test]
fn id_2_a_client_id_of_somebody_else_is_refused() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let mut bob = world.member(2, "agent", "all");
    world.contact(&mut ada, json!({"firstname": "A"}));
    bob.principal.client_id = ada.principal.client_id;
    let id = world.id();
    let mutation = world.mutation(2, 0, vec![create("contacts", id, json!({"firstname": "B"}))]);
    let reply = world.reply(bob.principal, vec![mutation]);
    let PushReply::Refused(problem) = reply else { panic!("{reply:?}") };
    assert_eq!(problem.code, Code::Forbidden);
}

#[test]
fn mut_5_no_ops_and_too_many_ops_are_refused() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    assert_eq!(world.push(&mut ada, vec![]).code, Some(Code::Validation));
    let id = world.id();
    let many = vec![delete("contacts", id, 0); limits::OPS_PER_MUTATION_MAX + 1];
    assert_eq!(world.push(&mut ada, many).code, Some(Code::TooLarge));
}

#[test]
fn id_3_a_natural_id_must_be_the_derived_one_and_merges_two_creations() {
    let mut world = World::new();
    let mut ada = world.member(1, "manager", "all");
    let mut bob = world.member(2, "manager", "all");
    let values = json!({"scope": "workspace", "key": "theme", "value": {"dark": true}});
    let wrong = world.id();
    assert_eq!(world.push(&mut ada, vec![create("settings", wrong, values.clone())]).code, Some(Code::Validation));
    let id = RecordId::natural(&world.workspace, "settings", "workspace\u{0}\u{0}theme");
    assert_eq!(world.push(&mut ada, vec![create("settings", id, values)]).outcome, OutcomeKind::Applied);
    let other = json!({"scope": "workspace", "key": "theme", "value": {"dark": false}});
    let outcome = world.push(&mut bob, vec![create("settings", id, other)]);
    assert_ne!(outcome.outcome, OutcomeKind::Rejected, "two devices converge on one row: {outcome:?}");
}

#[test]
fn mrg_13_creating_what_exists() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let mut bob = world.member(2, "agent", "all");
    let id = world.contact(&mut ada, json!({"firstname": "A"}));
    let same = vec![create("contacts", id, json!({"firstname": "A"}))];
    assert_eq!(world.push(&mut ada, same.clone()).outcome, OutcomeKind::Applied, "the creator said it twice");
    assert_eq!(world.push(&mut bob, same).code, Some(Code::AlreadyExists));
    let rv = world.rv("contacts", id);
    world.push(&mut ada, vec![delete("contacts", id, rv)]);
    let outcome = world.push(&mut ada, vec![create("contacts", id, json!({"firstname": "A"}))]);
    assert_eq!(outcome.code, Some(Code::Gone), "a create never resurrects");
}

#[test]
fn ret_2_mrg_13_a_late_edit_of_a_forgotten_record_is_gone() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let id = world.contact(&mut ada, json!({"firstname": "A"}));
    let rv = world.rv("contacts", id);
    world.push(&mut ada, vec![delete("contacts", id, rv)]);
    let head = world.rv("contacts", id);
    world.store.compact(&world.workspace.clone(), head).unwrap();
    let outcome = world.push(&mut ada, vec![update("contacts", id, rv, json!({"firstname": "B"}))]);
    assert_eq!(outcome.code, Some(Code::Gone));
    let outcome = world.push(&mut ada, vec![create("contacts", id, json!({"firstname": "B"}))]);
    assert_eq!(outcome.code, Some(Code::Gone));
}

#[test]
fn id_5_seq_is_gapless_and_aud_1_chained() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    for name in ["A", "B", "C"] {
        world.contact(&mut ada, json!({"firstname": name}));
        world.push(&mut ada, vec![]); // rejected: takes no seq
    }
    let (entries, head) =
        world.store.read(&world.workspace, |read| Ok((read.log(0, u64::MAX, 1_000)?, read.head()?))).unwrap();
    let seqs: Vec<u64> = entries.iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, (1..=entries.len() as u64).collect::<Vec<_>>());
    let chain = entries
        .iter()
        .fold(CHAIN_START.to_owned(), |chain, entry| chain_hash(&chain, &serde_json::to_string(entry).unwrap()));
    assert_eq!(chain, head.chain);
}

#[test]
fn out_1_out_2_a_rejection_names_the_head_it_was_decided_at_and_keeps_the_mutation() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let id = world.contact(&mut ada, json!({"firstname": "A"}));
    let outcome = world.push(&mut ada, vec![update("contacts", id, 0, json!({"nope": 1}))]);
    assert_eq!(outcome.seq, world.rv("contacts", id));
    let inbox = world.store.read(&world.workspace, |read| read.rejected(10)).unwrap();
    assert_eq!(inbox[0].rejected.as_ref().map(|mutation| mutation.mutation_id), Some(outcome.mutation_id), "OUT-3");
}

#[test]
fn rev_2_deposits_are_stored_and_not_applied() {
    let mut world = World::new();
    let ada = world.member(1, "agent", "all");
    let id = world.id();
    let mutation = world.mutation(1, 0, vec![create("contacts", id, json!({"firstname": "A"}))]);
    let request = PushRequest {
        principal: ada.principal,
        mutations: vec![mutation],
        received_ms: world.now_ms,
        deposit: Some(Code::DeviceRevoked),
    };
    let PushReply::Outcomes(outcomes) = world.group(vec![request]).remove(0) else { panic!("outcomes") };
    assert_eq!(outcomes[0].code, Some(Code::DeviceRevoked));
    assert!(world.record("contacts", id).is_none());
    assert_eq!(world.store.read(&world.workspace, |read| read.rejected(10)).unwrap().len(), 1);
}

#[test]
fn rul_1_rules_and_required_fields_hold_after_the_merge() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let lead = world.lead(&mut ada, json!({"estimated_value": "10.00", "currency": "USD"}));
    let rv = world.rv("leads", lead);
    let outcome = world.push(&mut ada, vec![update("leads", lead, rv, json!({"estimated_value": "-1.00"}))]);
    assert_eq!(outcome.code, Some(Code::Rule), "{outcome:?}");
    let outcome = world.push(&mut ada, vec![update("leads", lead, rv, json!({"contact_id": null}))]);
    assert_eq!(outcome.code, Some(Code::Validation), "{outcome:?}");
}

#[test]
fn rul_2_a_reference_may_be_made_in_the_same_mutation_and_must_be_live() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let contact = world.contact(&mut ada, json!({"firstname": "A"}));
    let rv = world.rv("contacts", contact);
    world.push(&mut ada, vec![delete("contacts", contact, rv)]);
    let lead = world.id();
    let outcome = world.push(&mut ada, vec![create("leads", lead, json!({"contact_id": contact}))]);
    assert_eq!(outcome.code, Some(Code::RefMissing));
}

#[test]
fn rul_3_uniqueness_holds_among_live_records_and_within_one_group() {
    let mut world = World::new();
    let mut boss = world.member(1, "admin", "all");
    let (one, two) = (world.id(), world.id());
    assert_eq!(
        world.push(&mut boss, vec![create("teams", one, json!({"name": "North"}))]).outcome,
        OutcomeKind::Applied
    );
    let twin = vec![create("teams", two, json!({"name": "NORTH"}))];
    assert_eq!(world.push(&mut boss, twin.clone()).code, Some(Code::Unique), "case is folded");
    let rv = world.rv("teams", one);
    assert_eq!(world.push(&mut boss, vec![delete("teams", one, rv)]).outcome, OutcomeKind::Applied);
    assert_eq!(world.push(&mut boss, twin).outcome, OutcomeKind::Applied, "a tombstone holds no key");

    let names = ["East", "East"].map(|name| {
        let id = world.id();
        let seq = boss.next_seq;
        boss.next_seq += 1;
        world.mutation(seq, 0, vec![create("teams", id, json!({"name": name}))])
    });
    let outcomes = world.request(boss.principal.clone(), names.to_vec());
    assert_eq!(outcomes[1].code, Some(Code::Unique), "the first of the same push holds it");
}

#[test]
fn rul_4_deleting_cascades_and_a_restore_brings_the_children_back() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let contact = world.contact(&mut ada, json!({"firstname": "A"}));
    let lead = world.id();
    world.push(&mut ada, vec![create("leads", lead, json!({"contact_id": contact}))]);
    let rv = world.rv("contacts", contact);
    let outcome = world.push(&mut ada, vec![delete("contacts", contact, rv)]);
    assert_eq!(outcome.outcome, OutcomeKind::Applied, "{outcome:?}");
    assert!(world.record("leads", lead).unwrap().is_deleted);
    let rv = world.rv("contacts", contact);
    let restore = Op::Restore { entity: "contacts".into(), id: contact, base_rv: rv, fields: Default::default() };
    let outcome = world.push(&mut ada, vec![restore]);
    assert_eq!(outcome.outcome, OutcomeKind::Applied, "{outcome:?}");
    assert!(!world.record("leads", lead).unwrap().is_deleted);
    assert_eq!(world.value("contacts", contact, "firstname"), "A");
}

#[test]
fn rul_4_a_cleared_reference_is_part_of_the_same_mutation() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let company = world.id();
    world.push(&mut ada, vec![create("companies", company, json!({"name": "Acme"}))]);
    let contact = world.contact(&mut ada, json!({"firstname": "A", "company_id": company}));
    let rv = world.rv("companies", company);
    let outcome = world.push(&mut ada, vec![delete("companies", company, rv)]);
    assert_eq!(outcome.outcome, OutcomeKind::Applied, "{outcome:?}");
    assert!(world.value("contacts", contact, "company_id").is_null());
    assert_eq!(world.rv("contacts", contact), outcome.seq);
}

#[test]
fn unknown_entity_is_named() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let id = world.id();
    assert_eq!(world.push(&mut ada, vec![create("spaceships", id, json!({}))]).code, Some(Code::UnknownEntity));
}

#[test]
fn history_shows_every_step_with_its_device() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let id = world.contact(&mut ada, json!({"firstname": "A"}));
    for name in ["B", "C"] {
        let rv = world.rv("contacts", id);
        world.push(&mut ada, vec![update("contacts", id, rv, json!({"firstname": name}))]);
    }
    let items = world.store.read(&world.workspace, |read| history(read, "contacts", id, 10)).unwrap();
    let names: Vec<_> = items.iter().map(|item| item.fields["firstname"].clone()).collect();
    assert_eq!(names, ["C", "B", "A"]);
    assert_eq!(items[0].before["firstname"], "B");
    let newest = world.store.read(&world.workspace, |read| history(read, "contacts", id, 2)).unwrap();
    assert_eq!(newest, items[..2]);
    assert!(items.iter().all(|item| item.client_id == ClientId::from_u128(201)));
    assert_eq!(items.iter().map(|item| item.client_seq).collect::<Vec<_>>(), [3, 2, 1]);
}

/// The longest body, in bytes, with which a proposal of these values is kept.
fn longest_body(world: &mut World, boss: &mut Device, values: &Value) -> usize {
    let (mut kept, mut refused) = (0, 2 * limits::RECORD_BYTES_MAX);
    while refused - kept > 1 {
        let middle = usize::midpoint(kept, refused);
        let mut values = values.clone();
        // Two bytes a character, so that the limit of characters is not met before.
        values["body"] = json!("é".repeat(middle / 2) + if middle % 2 == 1 { "e" } else { "" });
        let id = world.id();
        let outcome = world.push(boss, vec![create("proposals", id, values)]);
        match outcome.code {
            None => kept = middle,
            Some(Code::TooLarge) => refused = middle,
            Some(_) => panic!("{outcome:?}"),
        }
    }
    kept
}

#[test]
fn lim_1_a_record_is_refused_exactly_where_its_fields_grow_too_large() {
    let mut world = World::new();
    let mut boss = world.member(1, "admin", "all");
    let plain = longest_body(&mut world, &mut boss, &json!({"lines": []}));
    assert!((limits::RECORD_BYTES_MAX - 1_000..limits::RECORD_BYTES_MAX).contains(&plain), "{plain}");
    for (values, bytes) in [
        (json!({"lines": [], "title": "xyz"}), "title".len() + 4 + 5),
        (json!({"lines": ["abcd"]}), 7),
        (json!({"lines": [true, null]}), 12),
        (json!({"lines": [{"qty": 1}]}), 2 + 3 + 4 + 20 + 1),
    ] {
        assert_eq!(plain - longest_body(&mut world, &mut boss, &values), bytes, "{values}");
    }
}

#[test]
fn mrg_4_only_sets_have_versions_of_their_elements() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let id = world.id();
    world.push(&mut ada, vec![create("proposals", id, json!({"title": "A", "lines": ["a"]}))]);
    world.push(&mut ada, vec![update("proposals", id, 0, json!({"lines": ["a", "b"]}))]);
    assert!(world.record("proposals", id).unwrap().versions.elements.is_empty());
}

#[test]
fn val_2_what_is_stamped_at_the_creation_stays() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let mut ben = world.member(2, "agent", "all");
    let contact = world.contact(&mut ada, json!({"firstname": "A"}));
    let appointment = world.id();
    let values = json!({"contact_id": contact, "title": "Call", "start_at": "2026-01-01T10:00:00.000Z"});
    let made = world.push(&mut ada, vec![create("appointments", appointment, values)]);
    assert_eq!(made.outcome, OutcomeKind::Applied, "{made:?}");
    let before = (world.value("contacts", contact, "created_at"), world.value("appointments", appointment, "set_by"));
    assert_eq!(before.1, json!(ada.principal.user_id));
    let rv = world.rv("contacts", contact);
    world.push(&mut ben, vec![update("contacts", contact, rv, json!({"firstname": "B"}))]);
    let rv = world.rv("appointments", appointment);
    let changed = world.push(&mut ben, vec![update("appointments", appointment, rv, json!({"title": "Meet"}))]);
    assert_eq!(changed.outcome, OutcomeKind::Applied, "{changed:?}");
    let after = (world.value("contacts", contact, "created_at"), world.value("appointments", appointment, "set_by"));
    assert_eq!(before, after);
    assert_ne!(world.value("contacts", contact, "updated_at"), before.0);
}

#[test]
fn clk_2_the_base_of_an_aged_edit_is_read_ahead() {
    let world = World::new();
    let ada = world.device_of(syncline_core::id::UserId::from_u128(1), 1);
    let reads = |age_ms, base_rv| {
        let op = update("contacts", RecordId::from_u128(7), base_rv, json!({"firstname": "B"}));
        let mutation_id = syncline_core::id::MutationId::from_u128(1);
        let mutation = Mutation { mutation_id, client_seq: 1, age_ms, ops: vec![op], depends_on: Vec::new() };
        let principal = ada.principal.clone();
        let request = PushRequest { principal, mutations: vec![mutation], received_ms: 0, deposit: None };
        let wanted = syncline_core::engine::wanted(&world.schema, &world.workspace, &[request]);
        assert!(wanted.records.contains(&("contacts".into(), RecordId::from_u128(7))));
        wanted.log.into_iter().collect::<Vec<_>>()
    };
    assert_eq!([reads(5, 3), reads(0, 3), reads(5, 0)], [vec![3], vec![], vec![]]);
}
