//! Who may do what, as roles and grants are at commit (spec §5).

use serde_json::json;
use syncline_core::change::{Op, OutcomeKind};
use syncline_core::engine::access::{MEMBERS, access_of, member_id};
use syncline_core::id::ScopeId;
use syncline_core::principal::Grants;
use syncline_core::protocol::Code;
use syncline_core::storage::Store;

use crate::world::*;

#[test]
fn prm_1_the_role_counts_as_it_is_at_commit() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    world.contact(&mut ada, json!({"firstname": "A"}));
    let user = ada.principal.user_id;
    let member = member_id(&world.workspace, user);
    let rv = world.rv(MEMBERS, member);
    world.serve(vec![update(MEMBERS, member, rv, json!({"role": "viewer"}))]);
    let id = world.id();
    let outcome = world.push(&mut ada, vec![create("contacts", id, json!({"firstname": "B"}))]);
    assert_eq!(outcome.code, Some(Code::Forbidden));
    let rv = world.rv(MEMBERS, member);
    world.serve(vec![update(MEMBERS, member, rv, json!({"status": "revoked"}))]);
    let outcome = world.push(&mut ada, vec![create("contacts", id, json!({"firstname": "B"}))]);
    assert_eq!(outcome.code, Some(Code::Forbidden));
}

#[test]
fn prm_2_not_yours_and_not_there_answer_alike() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "own");
    let mut bob = world.member(2, "agent", "own");
    let owner = ada.principal.user_id;
    let adas = world.contact(&mut ada, json!({"firstname": "A", "assigned_to": owner}));
    let nowhere = world.id();
    let probe = |world: &mut World, bob: &mut Device, op| {
        let outcome = world.push(bob, vec![op]);
        (outcome.code, outcome.detail)
    };
    for make in [
        |id| update("contacts", id, 1, json!({"firstname": "X"})),
        |id| delete("contacts", id, 1),
        |id| Op::Restore { entity: "contacts".into(), id, base_rv: 1, fields: Default::default() },
    ] {
        let theirs = probe(&mut world, &mut bob, make(adas));
        let absent = probe(&mut world, &mut bob, make(nowhere));
        assert_eq!(theirs, absent);
        assert_eq!(theirs.0, Some(Code::Forbidden));
    }
    let lead = world.id();
    let smuggled = world.push(&mut bob, vec![create("leads", lead, json!({"contact_id": adas}))]);
    let absent = world.push(&mut bob, vec![create("leads", lead, json!({"contact_id": nowhere}))]);
    assert_eq!(smuggled.code, Some(Code::RefMissing));
    assert_eq!(
        smuggled.detail.unwrap().replace(&adas.to_string(), "_"),
        absent.detail.unwrap().replace(&nowhere.to_string(), "_")
    );
}

#[test]
fn prm_3_server_only_fields_entities_and_ranks() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let mut eve = world.member(2, "viewer", "all");
    let id = world.id();
    let cases = [
        create("contacts", id, json!({"firstname": "A", "lead_score": 99})),
        create("contacts", id, json!({"firstname": "A", "created_at": "2020-01-01T00:00:00.000Z"})),
        create("workspace_members", id, json!({"user_id": ada.principal.user_id, "role": "owner"})),
        create("conflicts", id, json!({"entity": "contacts", "record_id": id})),
    ];
    for op in cases {
        let outcome = world.push(&mut ada, vec![op.clone()]);
        assert_eq!(outcome.code, Some(Code::Forbidden), "{op:?}: {outcome:?}");
    }
    let outcome = world.push(&mut eve, vec![create("contacts", id, json!({"firstname": "A"}))]);
    assert_eq!(outcome.code, Some(Code::Forbidden));
}

#[test]
fn prm_3_an_immutable_field_is_a_rule_once_the_record_exists() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let lead = world.lead(&mut ada, json!({"utm_source": "ad"}));
    let rv = world.rv("leads", lead);
    let outcome = world.push(&mut ada, vec![update("leads", lead, rv, json!({"utm_source": "mail"}))]);
    assert_eq!(outcome.code, Some(Code::Rule));
    let outcome = world.push(&mut ada, vec![update("leads", lead, rv, json!({"utm_source": "ad"}))]);
    assert_eq!(outcome.outcome, OutcomeKind::Applied, "saying it again is no change");
}

#[test]
fn prm_4_rul_5_a_move_takes_what_inherits_along() {
    let mut world = World::new();
    let mut boss = world.member(1, "manager", "all");
    let ada = world.member(2, "agent", "own");
    let lead = world.lead(&mut boss, json!({}));
    let activity = world.id();
    let note = json!({"lead_id": lead, "activity_type": "call"});
    let outcome = world.push(&mut boss, vec![create("lead_activities", activity, note)]);
    assert_eq!(outcome.outcome, OutcomeKind::Applied, "{outcome:?}");
    let rv = world.rv("leads", lead);
    let outcome = world.push(&mut boss, vec![update("leads", lead, rv, json!({"owner_id": ada.principal.user_id}))]);
    assert_eq!(outcome.outcome, OutcomeKind::Applied, "{outcome:?}");
    let scope = ScopeId::owner(ada.principal.user_id);
    assert_eq!(world.record("leads", lead).unwrap().scope, scope);
    let activity = world.record("lead_activities", activity).unwrap();
    assert_eq!((activity.scope, activity.rv), (scope, outcome.seq));
}

#[test]
fn prm_5_read_scopes_become_grants() {
    let mut world = World::new();
    let own = world.member(1, "agent", "own");
    let team = world.member(2, "agent", "team");
    let all = world.member(3, "agent", "all");
    let admin = world.member(4, "admin", "own");
    let id = world.id();
    let members = json!([team.principal.user_id, own.principal.user_id]);
    world.serve(vec![create("teams", id, json!({"name": "North", "member_ids": members}))]);
    let grants = |device: &Device| {
        let user = device.principal.user_id;
        let access = world.store.read(&world.workspace, |read| access_of(&world.schema, &world.workspace, read, user));
        access.unwrap().unwrap().grants
    };
    let owner = |device: &Device| ScopeId::owner(device.principal.user_id);
    assert_eq!(grants(&own), Grants::Scopes([ScopeId::WORKSPACE, owner(&own)].into()));
    let teams = [ScopeId::WORKSPACE, ScopeId::team(id), owner(&own), owner(&team)];
    assert_eq!(grants(&team), Grants::Scopes(teams.into()));
    assert_eq!(grants(&all), Grants::All);
    assert_eq!(grants(&admin), Grants::All, "an admin sees everything");
}
