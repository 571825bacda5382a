//! What a replica gets: plans, catch-up, live batches, verification, snapshots (spec §9–§13).

use std::collections::BTreeMap;

use serde_json::json;
use syncline_core::Seq;
use syncline_core::change::OutcomeKind;
use syncline_core::digest::Digest;
use syncline_core::id::{ClientId, DeviceId, RecordId, ScopeId, UserId};
use syncline_core::principal::{DeploymentMode, Grants};
use syncline_core::protocol::{HeldScope, Hello, Range, SchemaRef, ServerFrame, SyncPlan, WireOp, limits};
use syncline_core::session::server::{
    catch_up, compare_instead, fetch, needs_whole, plan_session, render_batch, snapshot_page, verify,
};
use syncline_core::storage::Store;

use crate::world::*;

fn hello(epoch: u32, scopes: Vec<HeldScope>) -> Hello {
    Hello {
        proto: [1, 1],
        client_id: ClientId::from_u128(1),
        device_id: DeviceId::from_u128(1),
        deployment_mode: DeploymentMode::WebApp,
        schema: SchemaRef { version: 1, hash: String::new() },
        backend_id: None,
        epoch: Some(epoch),
        next_client_seq: 1,
        pending_count: 0,
        oldest_pending_age_ms: 0,
        scopes,
    }
}

impl World {
    fn digest(&self) -> Digest {
        self.view(|read| read.scope_digest(&ScopeId::WORKSPACE).unwrap())
    }
    fn plan(&self, hello: &Hello) -> SyncPlan {
        let plan = self.view(|read| plan_session(read, &Grants::All, hello).unwrap());
        plan.scopes.into_iter().find(|scope| scope.id == ScopeId::WORKSPACE).unwrap().plan
    }
    fn catch_up_ops(&self, from: Seq, grants: &Grants, scope: ScopeId) -> Vec<WireOp> {
        let held = [(scope, from)];
        let held = (&held[..], self.head());
        let caught_up = self.view(|read| catch_up(&self.schema, read, grants, held, usize::MAX).unwrap());
        caught_up.batches.into_iter().flat_map(|batch| batch.changes).flat_map(|change| change.ops).collect()
    }
}

fn held(seq: Seq, digest: Digest) -> Vec<HeldScope> {
    vec![HeldScope { id: ScopeId::WORKSPACE, seq, digest }]
}

#[test]
fn ses_3_every_granted_scope_gets_a_plan() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    world.contact(&mut ada, json!({"firstname": "A"}));
    let (seq, digest) = (world.head(), world.digest());
    assert_eq!(world.plan(&hello(0, held(seq, digest))), SyncPlan::Resume);
    world.contact(&mut ada, json!({"firstname": "B"}));
    assert_eq!(world.plan(&hello(0, held(seq, digest))), SyncPlan::CatchUp { from: seq, to: seq + 1 });
    assert_eq!(world.plan(&hello(0, vec![])), SyncPlan::CatchUp { from: 0, to: seq + 1 });
    let other_epoch = world.plan(&hello(7, held(seq, digest)));
    assert_eq!(other_epoch, SyncPlan::Reconcile { seq: seq + 1 }, "EPO-1");
    let own: Grants = Grants::Scopes([ScopeId::WORKSPACE, ScopeId::owner(RecordId::from_u128(5))].into());
    let plan = world.view(|read| plan_session(read, &own, &hello(0, vec![])).unwrap());
    assert_eq!(plan.scopes.len(), 2, "also one that nobody has written to");
}

#[test]
fn ret_1_a_cursor_below_the_horizon_reconciles() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    world.contact(&mut ada, json!({"firstname": "A"}));
    let (seq, digest) = (world.head(), world.digest());
    for name in ["B", "C", "D"] {
        world.contact(&mut ada, json!({"firstname": name}));
    }
    world.store.compact(&world.workspace.clone(), seq + 1).unwrap();
    assert_eq!(world.plan(&hello(0, held(seq, digest))), SyncPlan::Reconcile { seq: world.head() });
}

#[test]
fn bat_5_a_catch_up_patch_holds_exactly_what_changed() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let id = world.contact(&mut ada, json!({"firstname": "A", "lastname": "Z", "job_title": "CEO"}));
    let from = world.head();
    for name in ["B", "C"] {
        let rv = world.rv("contacts", id);
        world.push(&mut ada, vec![update("contacts", id, rv, json!({"firstname": name, "job_title": null}))]);
    }
    let ops = world.catch_up_ops(from, &Grants::All, ScopeId::WORKSPACE);
    assert_eq!(ops.len(), 1, "one op per record");
    let WireOp::Patch { fields, rv, .. } = &ops[0] else { panic!("{ops:?}") };
    let names: Vec<&str> = fields.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["firstname", "job_title", "updated_at"]);
    assert_eq!((fields["firstname"].clone(), fields["job_title"].is_null()), (json!("C"), true));
    assert_eq!(*rv, world.rv("contacts", id));
}

#[test]
fn bat_4_bat_6_a_record_that_moved_leaves_one_scope_and_enters_the_other_whole() {
    let mut world = World::new();
    let mut boss = world.member(1, "manager", "all");
    let ada = world.member(2, "agent", "own");
    let scope = ScopeId::owner(ada.principal.user_id);
    let id = world.contact(&mut boss, json!({"firstname": "A"}));
    let gone = world.contact(&mut boss, json!({"firstname": "B"}));
    let from = world.head();
    let rv = world.rv("contacts", id);
    world.push(&mut boss, vec![update("contacts", id, rv, json!({"assigned_to": ada.principal.user_id}))]);
    let rv = world.rv("contacts", gone);
    world.push(&mut boss, vec![delete("contacts", gone, rv)]);
    let only_workspace = Grants::Scopes([ScopeId::WORKSPACE].into());
    let ops = world.catch_up_ops(from, &only_workspace, ScopeId::WORKSPACE);
    assert!(ops.iter().any(|op| matches!(op, WireOp::Leave { id: left, .. } if *left == id)), "{ops:?}");
    assert!(ops.iter().any(|op| matches!(op, WireOp::Del { id: deleted, .. } if *deleted == gone)), "{ops:?}");
    let own = Grants::Scopes([ScopeId::WORKSPACE, scope.clone()].into());
    let ops = world.catch_up_ops(from, &own, ScopeId::WORKSPACE);
    assert!(!ops.iter().any(|op| matches!(op, WireOp::Leave { .. })), "its present scope is granted: {ops:?}");
    let ops = world.catch_up_ops(from, &own, scope);
    assert!(matches!(&ops[0], WireOp::Put { fields, .. } if fields["firstname"] == "A"), "{ops:?}");
}

#[test]
fn bat_4_frames_stay_below_the_limit_and_share_their_end() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let notes = "x".repeat(15_000);
    for _ in 0..40 {
        world.contact(&mut ada, json!({"firstname": "A", "notes": notes}));
    }
    let held = [(ScopeId::WORKSPACE, 0)];
    let held = (&held[..], world.head());
    let frames = world.view(|read| catch_up(&world.schema, read, &Grants::All, held, usize::MAX).unwrap()).batches;
    assert!(frames.len() > 2);
    for (index, batch) in frames.iter().enumerate() {
        let bytes = serde_json::to_vec(&ServerFrame::Batch(batch.clone())).unwrap().len();
        assert!(bytes <= limits::FRAME_BYTES_MAX - 8 * 1024 + 512, "LIM-1, with room for digests: {bytes}");
        assert_eq!((batch.to, batch.more), (world.head(), index + 1 < frames.len()));
    }
    assert!(!frames.last().unwrap().digests.is_empty());
}

#[test]
fn bat_8_a_scope_of_which_too_much_has_changed_is_left_out_whole_and_compared() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let contact = |notes: usize, owner: u128| {
        let notes = "x".repeat(notes);
        json!({"firstname": "A", "notes": notes, "assigned_to": UserId::from_u128(owner)})
    };
    // Owners' scopes come before the workspace's.
    let (small, large) = (2, 3);
    for id in [small, large] {
        world.member(id, "agent", "own");
    }
    world.contact(&mut ada, contact(100, small));
    for _ in 0..40 {
        world.contact(&mut ada, contact(15_000, large));
    }
    let owned = |id: u128| ScopeId::owner(UserId::from_u128(id));
    let held = [(owned(large), 0), (owned(small), 0)];
    let catch_up = |bytes_max: usize| {
        let held = (&held[..], world.head());
        world.view(|read| catch_up(&world.schema, read, &Grants::All, held, bytes_max).unwrap())
    };
    let whole = catch_up(1_000_000);
    assert!(whole.left_out.is_empty() && whole.batches.len() > 2);
    let cut = catch_up(500_000);
    assert_eq!(cut.left_out, [owned(large)]);
    assert_eq!(cut.batches.len(), 1);
    assert_eq!(cut.batches[0].changes.iter().map(|change| change.ops.len()).sum::<usize>(), 1);
    assert_eq!(cut.batches[0].digests.iter().map(|(scope, _)| scope).collect::<Vec<_>>(), [&owned(small)]);
    let nothing = catch_up(10);
    assert!(nothing.batches.is_empty() && nothing.left_out.len() == 2);
    let mut plan = world.view(|read| plan_session(read, &Grants::All, &hello(0, Vec::new())).unwrap());
    compare_instead(&mut plan, |scope| cut.left_out.contains(scope));
    let plan_of = |id: ScopeId| plan.scopes.iter().find(|scope| scope.id == id).unwrap().plan.clone();
    assert_eq!(plan_of(owned(large)), SyncPlan::Reconcile { seq: world.head() });
    assert_eq!(plan_of(owned(small)), SyncPlan::CatchUp { from: 0, to: world.head() });
}

#[test]
fn bat_1_bat_2_a_live_batch_shows_only_what_is_granted() {
    let mut world = World::new();
    let mut boss = world.member(1, "manager", "all");
    let ada = world.member(2, "agent", "own");
    let id = world.contact(&mut boss, json!({"firstname": "A"}));
    let from = world.head();
    let rv = world.rv("contacts", id);
    world.push(&mut boss, vec![update("contacts", id, rv, json!({"assigned_to": ada.principal.user_id}))]);
    let entries: Vec<_> =
        world.view(|read| read.log(from, world.head(), 10).unwrap()).into_iter().map(std::sync::Arc::new).collect();
    let digests = BTreeMap::from([(ScopeId::WORKSPACE, world.digest())]);
    let span = (from, world.head());
    let everything = render_batch(&entries, &digests, &Grants::All, span);
    assert!(matches!(&everything.changes[0].ops[0], WireOp::Patch { scope: Some(_), .. }));
    assert_eq!(everything.changes[0].by, Some((boss.principal.client_id, boss.next_seq - 1)));
    let workspace = Grants::Scopes([ScopeId::WORKSPACE].into());
    let left = render_batch(&entries, &digests, &workspace, span);
    assert!(matches!(&left.changes[0].ops[0], WireOp::Leave { .. }));
    let own = Grants::Scopes([ScopeId::owner(ada.principal.user_id)].into());
    assert!(needs_whole(&entries, &own), "a patch is not enough for who did not have the record");
    assert!(!needs_whole(&entries, &Grants::All));
    let stranger = Grants::Scopes([ScopeId::team(RecordId::from_u128(9))].into());
    let nothing = render_batch(&entries, &digests, &stranger, span);
    assert!(nothing.changes.is_empty() && nothing.digests.is_empty());
}

#[test]
fn rep_1_verification_narrows_down_and_lists_small_ranges() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    for _ in 0..400 {
        world.contact(&mut ada, json!({"firstname": "A"}));
    }
    let whole = |digest| Range { lo: RecordId::NIL, hi: RecordId::MAX, digest };
    let reply = world.view(|read| verify(read, &ScopeId::WORKSPACE, &[whole(world.digest())]).unwrap());
    assert!(reply.split.is_empty() && reply.rows.is_empty(), "equal ranges are not mentioned");
    let reply = world.view(|read| verify(read, &ScopeId::WORKSPACE, &[whole(Digest::EMPTY)]).unwrap());
    assert_eq!(reply.split.len(), limits::VERIFY_FANOUT);
    let counts: u64 = reply.split.iter().map(|range| range.digest.count).sum();
    assert_eq!(counts, world.digest().count, "the sub-ranges cover everything");
    for pair in reply.split.windows(2) {
        assert_eq!(pair[0].hi.0.as_u128() + 1, pair[1].lo.0.as_u128());
    }
    let wrong = Range { digest: Digest::EMPTY, ..reply.split[3].clone() };
    let rows = world.view(|read| verify(read, &ScopeId::WORKSPACE, &[wrong]).unwrap()).rows;
    assert_eq!(rows[0].rows.len() as u64, reply.split[3].digest.count);
}

#[test]
fn rep_1_ranges_never_separate_records_that_share_an_id() {
    for alone in 0..2 {
        let mut world = World::new();
        let mut ada = world.member(1, "agent", "all");
        for _ in 0..alone {
            world.contact(&mut ada, json!({"firstname": "A"}));
        }
        for _ in 0..300 {
            let id = world.contact(&mut ada, json!({"firstname": "A"}));
            world.push(&mut ada, vec![create("companies", id, json!({"name": "B"}))]);
        }
        let whole = Range { lo: RecordId::NIL, hi: RecordId::MAX, digest: Digest::EMPTY };
        let reply = world.view(|read| verify(read, &ScopeId::WORKSPACE, &[whole]).unwrap());
        let counts: u64 = reply.split.iter().map(|range| range.digest.count).sum();
        assert_eq!(counts, world.digest().count);
        let again = world.view(|read| verify(read, &ScopeId::WORKSPACE, &reply.split).unwrap());
        assert!(again.split.is_empty() && again.rows.is_empty(), "every range has the digest it was given");
    }
}

#[test]
fn rep_3_fetch_answers_only_live_records_of_the_scope() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let id = world.contact(&mut ada, json!({"firstname": "A"}));
    let wanted = [("contacts".into(), id), ("contacts".into(), RecordId::from_u128(1))];
    let frame = world.view(|read| fetch(read, &ScopeId::WORKSPACE, &wanted).unwrap());
    let ServerFrame::Records { records, answered, .. } = frame else { panic!("{frame:?}") };
    assert_eq!((records.len(), answered), (1, 2));
    let other = ScopeId::owner(RecordId::from_u128(3));
    let ServerFrame::Records { records, .. } = world.view(|read| fetch(read, &other, &wanted).unwrap()) else {
        panic!()
    };
    assert!(records.is_empty());
}

#[test]
fn snp_2_pages_resume_and_end_and_hold_no_tombstones() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let id = world.contact(&mut ada, json!({"firstname": "A"}));
    let gone = world.contact(&mut ada, json!({"firstname": "B"}));
    let rv = world.rv("contacts", gone);
    world.push(&mut ada, vec![delete("contacts", gone, rv)]);
    let seq = world.head();
    let page = world
        .view(|read| snapshot_page(&world.schema, read, (&ScopeId::WORKSPACE, seq), None).unwrap())
        .expect("no token, no refusal");
    assert!(page.resume.is_none());
    let ids: Vec<RecordId> = page
        .rows
        .iter()
        .filter_map(|op| match op {
            WireOp::Put { id, .. } => Some(*id),
            _ => None,
        })
        .collect();
    assert!(ids.contains(&id) && !ids.contains(&gone));
    let bad = world.view(|read| snapshot_page(&world.schema, read, (&ScopeId::WORKSPACE, seq), Some("x.y")).unwrap());
    assert!(bad.is_none(), "a foreign token is refused");
    let after = world.view(|read| snapshot_page(&world.schema, read, (&ScopeId::WORKSPACE, 0), None).unwrap()).unwrap();
    assert_eq!(after.rows, page.rows, "what changed after the seq comes whole too: the catch-up from there patches it");
}

#[test]
fn snp_1_snp_2_a_large_scope_is_downloaded_in_pages_that_miss_nothing() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let count = limits::SNAPSHOT_PAGE_ROWS.max(limits::SNAPSHOT_THRESHOLD as usize) + 10;
    for first in (0..count).step_by(100) {
        let ops = (first..(first + 100).min(count)).map(|_| {
            let id = world.id();
            create("contacts", id, json!({"firstname": "A"}))
        });
        let ops = ops.collect();
        assert_eq!(world.push(&mut ada, ops).outcome, OutcomeKind::Applied);
    }
    let seq = world.head();
    let plan = world.plan(&hello(0, vec![]));
    assert!(matches!(plan, SyncPlan::Snapshot { seq: at, count, .. } if at == seq && count == world.digest().count));
    let (mut resume, mut digest, mut pages) = (None, Digest::EMPTY, 0);
    loop {
        let page = world.view(|read| {
            snapshot_page(&world.schema, read, (&ScopeId::WORKSPACE, seq), resume.as_deref()).unwrap().unwrap()
        });
        pages += 1;
        for row in &page.rows {
            let WireOp::Put { entity, id, rv, .. } = row else { panic!("{row:?}") };
            digest.add(entity, id, *rv);
        }
        assert!(page.rows.len() <= limits::SNAPSHOT_PAGE_ROWS);
        resume = page.resume;
        if resume.is_none() {
            break;
        }
    }
    assert_eq!(digest, world.digest());
    assert!(pages > 1);
}
