//! What mutations of one group commit, and ops of one mutation, see of one another before anything is stored.

use std::collections::BTreeMap;

use serde_json::json;
use syncline_core::change::{Mutation, Op, Outcome, OutcomeKind};
use syncline_core::digest::Digest;
use syncline_core::engine::{PushReply, PushRequest, access};
use syncline_core::id::{RecordId, ScopeId, UserId};
use syncline_core::protocol::Code;
use syncline_core::storage::Store;

use crate::world::*;

impl World {
    fn next(&mut self, device: &mut Device, ops: Vec<Op>) -> Mutation {
        let mutation = self.mutation(device.next_seq, 0, ops);
        device.next_seq += 1;
        mutation
    }

    /// Each device's mutations as one request, all requests in one group commit.
    fn together(&mut self, pushes: Vec<(&Device, Vec<Mutation>)>) -> Vec<Vec<Outcome>> {
        let received_ms = self.now_ms;
        let request = |(device, mutations): (&Device, Vec<Mutation>)| PushRequest {
            principal: device.principal.clone(),
            mutations,
            received_ms,
            deposit: None,
        };
        let replies = self.group(pushes.into_iter().map(request).collect());
        let outcomes = |reply| match reply {
            PushReply::Outcomes(outcomes) => outcomes,
            other => panic!("expected outcomes, got {other:?}"),
        };
        replies.into_iter().map(outcomes).collect()
    }

    fn team(&mut self, boss: &mut Device, name: &str) -> RecordId {
        let id = self.id();
        let outcome = self.push(boss, vec![create("teams", id, json!({"name": name}))]);
        assert_eq!(outcome.outcome, OutcomeKind::Applied, "{outcome:?}");
        id
    }

    /// Every scope's digest is that of the live records in it.
    fn check_digests(&self) {
        let (stored, counted) = self
            .store
            .read(&self.workspace, |read| {
                let mut counted: BTreeMap<ScopeId, Digest> = BTreeMap::new();
                for entity in self.schema.entities.keys() {
                    for record in read.scan(entity, None, usize::MAX)?.iter().filter(|record| !record.is_deleted) {
                        counted.entry(record.scope.clone()).or_default().add(&record.entity, &record.id, record.rv);
                    }
                }
                Ok((read.scopes()?, counted))
            })
            .unwrap();
        let stored: BTreeMap<_, _> = stored.into_iter().filter(|(_, digest)| *digest != Digest::default()).collect();
        assert_eq!(stored, counted);
    }
}

#[test]
fn mut_1_an_edit_that_changes_nothing_bumps_nothing() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let id = world.contact(&mut ada, json!({"firstname": "A", "tags": ["x", "y"]}));
    let (rv, head) = (world.rv("contacts", id), world.head());
    let same = json!({"firstname": "A", "tags": {"add": ["x"], "remove": ["z"]}});
    let outcome = world.push(&mut ada, vec![update("contacts", id, rv, same)]);
    assert_eq!((outcome.outcome, outcome.seq), (OutcomeKind::Applied, head));
    assert_eq!((world.rv("contacts", id), world.head()), (rv, head));
}

#[test]
fn rul_3_a_key_moves_within_one_mutation() {
    let mut world = World::new();
    let mut boss = world.member(1, "admin", "all");
    let north = world.team(&mut boss, "North");
    let rv = world.rv("teams", north);
    let heir = world.id();
    let handed_over =
        vec![update("teams", north, rv, json!({"name": "South"})), create("teams", heir, json!({"name": "North"}))];
    let outcome = world.push(&mut boss, handed_over);
    assert_eq!(outcome.outcome, OutcomeKind::Applied, "{outcome:?}");
    let twins = ["West", "West"].map(|name| {
        let id = world.id();
        create("teams", id, json!({"name": name}))
    });
    assert_eq!(world.push(&mut boss, twins.to_vec()).code, Some(Code::Unique), "two of one mutation");
    let (gone, next) = (world.id(), world.id());
    let left = vec![
        create("teams", gone, json!({"name": "East"})),
        delete("teams", gone, 0),
        create("teams", next, json!({"name": "East"})),
    ];
    assert_eq!(world.push(&mut boss, left).outcome, OutcomeKind::Applied, "a deleted one of the same mutation");
}

#[test]
fn rul_3_a_key_moves_within_one_group() {
    let mut world = World::new();
    let mut boss = world.member(1, "admin", "all");
    let north = world.team(&mut boss, "North");
    let rv = world.rv("teams", north);
    let (second, third, fourth) = (world.id(), world.id(), world.id());
    let pushes = [
        vec![update("teams", north, rv, json!({"name": "South"}))],
        vec![create("teams", second, json!({"name": "North"}))],
        vec![create("teams", third, json!({"name": "South"}))],
        vec![update("teams", north, 0, json!({"name": "South "})), update("teams", north, 0, json!({"name": "SOUTH"}))],
        vec![delete("teams", second, 0)],
        vec![create("teams", fourth, json!({"name": "North"}))],
        vec![update("teams", fourth, 0, json!({"name": "East"})), create("teams", third, json!({"name": "North"}))],
    ];
    let mutations = pushes.map(|ops| world.next(&mut boss, ops)).to_vec();
    let outcomes = world.together(vec![(&boss, mutations)]).remove(0);
    let codes: Vec<_> = outcomes.iter().map(|outcome| outcome.code).collect();
    assert_eq!(codes, [None, None, Some(Code::Unique), None, None, None, None], "{outcomes:?}");
}

#[test]
fn rul_4_a_deletion_takes_what_the_group_and_the_mutation_put_under_it_and_leaves_what_they_moved_away() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let contacts = ["A", "B"].map(|name| world.contact(&mut ada, json!({"firstname": name})));
    let stored = ["stays", "moves", "moves at once", "goes"].map(|_| {
        let id = world.id();
        world.push(&mut ada, vec![create("leads", id, json!({"contact_id": contacts[0]}))]);
        id
    });
    let [of_group, of_mutation] = [world.id(), world.id()];
    let [stays, moves, moves_at_once, goes] = stored;
    let rv = world.head();
    let pushes = [
        vec![create("leads", of_group, json!({"contact_id": contacts[0]}))],
        vec![update("leads", moves, rv, json!({"contact_id": contacts[1]}))],
        vec![delete("leads", goes, rv)],
        vec![
            create("leads", of_mutation, json!({"contact_id": contacts[0]})),
            update("leads", moves_at_once, rv, json!({"contact_id": contacts[1]})),
            delete("contacts", contacts[0], rv),
        ],
    ];
    let mutations = pushes.map(|ops| world.next(&mut ada, ops)).to_vec();
    let outcomes = world.together(vec![(&ada, mutations)]).remove(0);
    assert!(outcomes.iter().all(|outcome| outcome.outcome == OutcomeKind::Applied), "{outcomes:?}");
    let is_deleted = |id| world.record("leads", id).is_none_or(|lead| lead.is_deleted);
    assert_eq!([of_group, of_mutation, stays, goes].map(is_deleted), [true; 4]);
    assert_eq!([moves, moves_at_once].map(is_deleted), [false; 2]);
    assert_eq!(world.rv("leads", goes), outcomes[2].seq, "it was deleted once");
}

#[test]
fn prm_1_a_team_counts_for_the_next_mutation_of_the_group() {
    let mut world = World::new();
    let mut boss = world.member(1, "admin", "all");
    let mut ada = world.member(2, "agent", "team");
    let mut ben = world.member(3, "agent", "team");
    let of_ben = world.contact(&mut ben, json!({"firstname": "Of Ben", "assigned_to": UserId::from_u128(3)}));
    let team = world.team(&mut boss, "North");
    let both = json!({"member_ids": {"add": [UserId::from_u128(2), UserId::from_u128(3)]}});
    let edits = ["first", "second", "third"].map(|name| {
        let edit = update("contacts", of_ben, 0, json!({"lastname": name}));
        world.next(&mut ada, vec![edit])
    });
    let joined = world.next(&mut boss, vec![update("teams", team, 0, both)]);
    let alone = json!({"member_ids": {"remove": [UserId::from_u128(2)]}});
    let left = world.next(&mut boss, vec![update("teams", team, 0, alone)]);
    let [first, second, third] = edits.map(|edit| vec![edit]);
    let outcomes =
        world.together(vec![(&ada, first), (&boss, vec![joined]), (&ada, second), (&boss, vec![left]), (&ada, third)]);
    let of_ada = [0, 2, 4].map(|index: usize| outcomes[index][0].code);
    assert_eq!(of_ada, [Some(Code::Forbidden), None, Some(Code::Forbidden)], "{outcomes:?}");
}

#[test]
fn prm_1_a_role_counts_for_the_next_mutation_of_the_group() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let boss = world.member(2, "admin", "all");
    let id = world.contact(&mut ada, json!({"firstname": "A"}));
    let edits =
        ["B", "C"].map(|name| world.next(&mut ada, vec![update("contacts", id, 0, json!({"firstname": name}))]));
    let member = access::member_id(&world.workspace, UserId::from_u128(1));
    let demotion = world.mutation(1, 0, vec![update(access::MEMBERS, member, 0, json!({"role": "viewer"}))]);
    let mut server = boss.clone();
    server.principal.is_server = true;
    let [first, second] = edits.map(|edit| vec![edit]);
    let outcomes = world.together(vec![(&ada, first), (&server, vec![demotion]), (&ada, second)]);
    assert_eq!((outcomes[0][0].code, outcomes[2][0].code), (None, Some(Code::Forbidden)), "{outcomes:?}");
}

#[test]
fn mrg_1_what_one_wrote_before_in_the_same_group_is_no_conflict() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let mut ben = world.member(2, "agent", "all");
    let stranger = world.contact(&mut ben, json!({"firstname": "Z"}));
    let ids = [world.id(), world.id(), world.id()];
    let mut of_ada = Vec::new();
    for id in ids {
        of_ada.push(world.next(&mut ada, vec![create("contacts", id, json!({"firstname": "A"}))]));
    }
    let own = world.next(&mut ada, vec![update("contacts", ids[1], 0, json!({"firstname": "B"}))]);
    let foreign = world.next(&mut ben, vec![update("contacts", ids[1], 0, json!({"lastname": "C"}))]);
    let late = world.next(&mut ada, vec![update("contacts", stranger, 0, json!({"lastname": "D"}))]);
    let outcomes = world.together(vec![(&ada, of_ada), (&ada, vec![own]), (&ben, vec![foreign]), (&ada, vec![late])]);
    let kinds: Vec<_> = outcomes[1..].iter().map(|of| of[0].outcome).collect();
    assert_eq!(kinds, [OutcomeKind::Applied, OutcomeKind::Merged, OutcomeKind::Merged], "{outcomes:?}");
}

#[test]
fn dig_1_digests_follow_creation_edit_move_deletion_and_restore() {
    let mut world = World::new();
    let mut boss = world.member(1, "admin", "all");
    let ben = world.member(2, "agent", "own");
    world.check_digests();
    let lead = world.lead(&mut boss, json!({}));
    let contact = world.record("leads", lead).unwrap().fields["contact_id"].as_str().unwrap().parse().unwrap();
    world.check_digests();
    let to_ben = json!({"owner_id": ben.principal.user_id});
    let steps = [
        update("leads", lead, u64::MAX >> 12, to_ben),
        update("contacts", contact, u64::MAX >> 12, json!({"lastname": "Other"})),
        delete("contacts", contact, u64::MAX >> 12),
        Op::Restore { entity: "contacts".into(), id: contact, base_rv: u64::MAX >> 12, fields: fields(json!({})) },
        delete("leads", lead, u64::MAX >> 12),
    ];
    for step in steps {
        let outcome = world.push(&mut boss, vec![step]);
        assert_eq!(outcome.outcome, OutcomeKind::Applied, "{outcome:?}");
        world.check_digests();
    }
}
