//! Replica and client session driven by hand-made frames: what goes wrong on real networks, one test each.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops there")]
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use syncline_core::change::*;
use syncline_core::digest::Digest;
use syncline_core::id::*;
use syncline_core::principal::DeploymentMode;
use syncline_core::protocol::*;
use syncline_core::replica::*;
use syncline_core::schema::Schema;
use syncline_core::session::client::*;
use syncline_core::{Fields, Name};

const SCHEMA: &str = r#"
version = 1
[roles]
agent = 30
[entities.things]
tier = "normal"
scope = ["workspace"]
create = "agent"
update = "agent"
delete = "agent"
[entities.things.fields]
name = { type = "text", indexed = true }
note = { type = "text" }
price = { type = "decimal", precision = 10, scale = 2 }
"#;

struct Bed {
    r: Replica<MemoryReplica>,
    s: ClientSession,
    t: u64,
}
fn rid(n: u128) -> RecordId {
    RecordId::from_u128(n)
}
fn team(n: u128) -> ScopeId {
    ScopeId::team(uuid::Uuid::from_u128(n))
}
fn fields(v: serde_json::Value) -> Fields {
    v.as_object().unwrap().iter().map(|(k, v)| (Name::new(k), v.clone())).collect()
}
fn put(n: u128, rv: u64, scope: &ScopeId) -> WireOp {
    WireOp::Put {
        entity: Name::new("things"),
        id: rid(n),
        rv,
        scope: scope.clone(),
        fields: Arc::new(fields(json!({"name": "x"}))),
    }
}
fn digest(rows: &[(u128, u64)]) -> Digest {
    let mut d = Digest::EMPTY;
    for (n, rv) in rows {
        d.add("things", &rid(*n), *rv);
    }
    d
}
fn batch(from: u64, to: u64, ops: Vec<WireOp>, digests: Vec<(ScopeId, Digest)>) -> Batch {
    Batch { from, to, catch_up: false, more: false, changes: vec![WireChange { by: None, ops }], digests }
}
fn outcome(seq: u64, id: u128, kind: OutcomeKind, at: u64) -> Outcome {
    let code = (kind == OutcomeKind::Rejected).then_some(Code::Rule);
    Outcome {
        client_seq: seq,
        mutation_id: MutationId::from_u128(id),
        outcome: kind,
        code,
        detail: None,
        conflict_ids: vec![],
        seq: at,
    }
}
fn create(n: u128) -> Edit {
    Edit::Create { entity: Name::new("things"), id: rid(n), fields: fields(json!({"name": "mine"})) }
}

impl Bed {
    fn new() -> Self {
        let schema = Arc::new(Schema::parse(SCHEMA, "t.toml").unwrap());
        let identity = ReplicaIdentity {
            workspace_id: WorkspaceId::new("acme").unwrap(),
            user_id: UserId::from_u128(1),
            device_id: DeviceId::from_u128(2),
            client_id: ClientId::from_u128(3),
        };
        let r = Replica::open(MemoryReplica::new(schema.clone()), schema, Some(identity)).unwrap().unwrap();
        Self { r, s: ClientSession::new(DeploymentMode::LocalInstall), t: 1_000 }
    }
    fn go(&mut self, input: Input) -> Vec<Effect> {
        let now = Now { monotonic_ms: self.t, wall_ms: 1_700_000_000_000 + self.t, random: u128::MAX / 3 };
        self.s.handle(&mut self.r, input, now).unwrap()
    }
    fn frame(&mut self, f: ServerFrame) -> Vec<Effect> {
        self.go(Input::Frame(f))
    }
    fn edit(&mut self, edits: Vec<Edit>, id: u128) -> u64 {
        self.r.mutate(edits, MutationId::from_u128(id), 1_700_000_000_000 + self.t).unwrap()
    }
    fn welcome(&self, head: u64, applied: u64, epoch: u32, scopes: Vec<(ScopeId, SyncPlan)>) -> ServerFrame {
        ServerFrame::Welcome(Welcome {
            proto: 1,
            connection_id: "c".into(),
            backend_id: BackendId::from_u128(9),
            epoch,
            server_ms: 0,
            applied_client_seq: applied,
            head,
            schema: SchemaRef { version: 1, hash: "h".into() },
            heartbeat_ms: 30_000,
            window: 4,
            scopes: scopes.into_iter().map(|(id, plan)| ScopePlan { id, plan }).collect(),
            lease_until_ms: 600_000_000,
            user_id: UserId::from_u128(1),
            role: Name::new("agent"),
        })
    }
    fn live(&mut self, head: u64, scopes: Vec<(ScopeId, SyncPlan)>) -> Vec<Effect> {
        self.go(Input::Online);
        self.go(Input::Connected);
        let w = self.welcome(head, 0, 0, scopes);
        self.frame(w)
    }
    /// Live on the workspace scope at seq 10, empty.
    fn live10(&mut self) {
        self.live(10, vec![(ScopeId::WORKSPACE, SyncPlan::Resume)]);
        assert!(self.s.is_live());
        assert_eq!(self.r.meta().cursor, 10);
    }
    fn scopes(&self) -> BTreeMap<ScopeId, ScopeState> {
        self.r.store().scopes().unwrap()
    }
}
fn pushes(e: &[Effect]) -> usize {
    e.iter().filter(|e| matches!(e, Effect::Send(ClientFrame::Push { .. }))).count()
}
fn hellos(e: &[Effect]) -> usize {
    e.iter().filter(|e| matches!(e, Effect::Send(ClientFrame::Hello(_)))).count()
}
fn snap() -> SyncPlan {
    SyncPlan::Snapshot { url: "/s".into(), seq: 10, count: 5000 }
}

#[test]
fn grt_1_a_page_in_flight_does_not_bring_a_revoked_scope_back() {
    let mut b = Bed::new();
    let a = team(1);
    b.live(10, vec![(a.clone(), snap())]);
    b.frame(ServerFrame::Grant { scope: a.clone(), action: GrantAction::Remove, reason: "".into() });
    b.go(Input::SnapshotRows { scope: a.clone(), rows: vec![put(1, 5, &a)], resume: None });
    assert!(b.r.get("things", rid(1)).unwrap().is_none(), "a record of a revoked scope is on the device");
    assert!(!b.scopes().contains_key(&a), "the revoked scope is held again");
}
#[test]
fn grt_1_staged_rows_of_a_revoked_scope_are_not_applied() {
    let mut b = Bed::new();
    let a = team(1);
    b.live(10, vec![(a.clone(), SyncPlan::CatchUp { from: 0, to: 10 })]);
    let f = |more, ops| {
        ServerFrame::Batch(Batch {
            from: 0,
            to: 10,
            catch_up: true,
            more,
            changes: vec![WireChange { by: None, ops }],
            digests: vec![],
        })
    };
    b.frame(f(true, vec![put(1, 5, &a)]));
    b.frame(ServerFrame::Grant { scope: a.clone(), action: GrantAction::Remove, reason: "".into() });
    b.frame(f(false, vec![]));
    assert!(b.r.get("things", rid(1)).unwrap().is_none());
}
#[test]
fn grt_1_a_comparison_of_a_revoked_scope_does_not_end_syncing() {
    let mut b = Bed::new();
    let a = team(1);
    b.live(10, vec![(a.clone(), SyncPlan::Reconcile { seq: 10 })]);
    b.frame(ServerFrame::Grant { scope: a.clone(), action: GrantAction::Remove, reason: "".into() });
    b.frame(ServerFrame::Error {
        problem: Problem { scope: Some(a), ..Problem::new(Code::Forbidden, "This scope is not granted to you.") },
    });
    assert!(!b.s.is_stopped(), "stopped for good by an answer to verify");
}
#[test]
fn rep_5_a_verify_answered_unavailable_is_asked_again() {
    let mut b = Bed::new();
    b.live(10, vec![(ScopeId::WORKSPACE, SyncPlan::Reconcile { seq: 10 })]);
    b.frame(ServerFrame::Error {
        problem: Problem { scope: Some(ScopeId::WORKSPACE), ..Problem::new(Code::Unavailable, "") },
    });
    let mut asked = false;
    for _ in 0..40 {
        b.t += 5_000;
        let e = b.go(Input::Tick);
        asked |= e.iter().any(|e| {
            matches!(e, Effect::Send(ClientFrame::Verify { .. } | ClientFrame::Hello(_)) | Effect::Disconnect)
        });
        b.frame(ServerFrame::HeartbeatAck { server_ms: 0 });
    }
    assert!(asked, "200 s passed and nothing was asked again");
}
#[test]
fn bat_4_a_catch_up_in_the_live_stream_is_applied() {
    let mut b = Bed::new();
    b.live10();
    let c = Batch {
        from: 10,
        to: 20,
        catch_up: true,
        more: false,
        changes: vec![WireChange { by: None, ops: vec![put(1, 15, &ScopeId::WORKSPACE)] }],
        digests: vec![],
    };
    let e = b.frame(ServerFrame::Batch(c));
    assert!(b.r.meta().cursor == 20 || hellos(&e) == 1, "ignored: cursor {}, {e:?}", b.r.meta().cursor);
}
#[test]
fn snp_3_a_finished_scope_keeps_its_seq_until_it_is_caught_up() {
    let mut b = Bed::new();
    let (x, y) = (team(1), team(2));
    b.live(10, vec![(x.clone(), snap()), (y.clone(), snap())]);
    b.go(Input::SnapshotEnd { scope: x.clone(), seq: 7 });
    b.frame(ServerFrame::Batch(batch(10, 11, vec![put(9, 11, &y)], vec![])));
    assert_eq!(b.scopes()[&x].seq, 7, "the catch-up from the snapshot's seq is skipped");
}
#[test]
fn liv_2_others_batches_do_not_hide_a_push_that_is_never_answered() {
    let mut b = Bed::new();
    b.live10();
    b.edit(vec![create(1)], 100);
    b.go(Input::LocalChange);
    let mut stuck = false;
    for seq in 10..70 {
        b.t += 10_000;
        let e = b.go(Input::Tick);
        stuck |= e.contains(&Effect::Notify(Event::Stuck));
        if stuck {
            break;
        }
        b.frame(ServerFrame::Batch(batch(seq, seq + 1, vec![], vec![])));
    }
    assert!(stuck, "ten minutes without an answer");
}
#[test]
fn liv_1_retry_ms_holds_although_the_window_comes_back_out_of_order() {
    let mut b = Bed::new();
    for n in 0..150 {
        b.edit(vec![create(n)], 1000 + n);
    }
    b.live10();
    b.frame(ServerFrame::SlowDown { retry_ms: 5_000 });
    let e = b.frame(ServerFrame::OutOfOrder { expected: 1 });
    assert_eq!(pushes(&e), 0, "pushed again at once");
}
#[test]
fn liv_1_a_download_that_always_fails_backs_off() {
    let mut b = Bed::new();
    b.live(10, vec![(team(1), snap())]);
    let mut waits = vec![];
    for _ in 0..8 {
        b.go(Input::SnapshotFailed { scope: team(1), is_lost: false });
        let at = b.s.next_wakeup_ms().unwrap();
        waits.push(at - b.t);
        b.t = at;
        b.go(Input::Tick);
        b.go(Input::Connected);
        let w = b.welcome(10, 0, 0, vec![(team(1), snap())]);
        b.frame(w);
    }
    assert!(waits[7] > waits[0], "{waits:?}");
}
#[test]
fn rep_4_repairs_that_helped_do_not_lead_to_a_reload() {
    let mut b = Bed::new();
    b.live10();
    let w = ScopeId::WORKSPACE;
    let mut reloaded = false;
    for i in 0..4u64 {
        let to = 11 + i * 2;
        // A mismatch, healed by the walk and by the hello after it.
        b.frame(ServerFrame::Batch(batch(to - 1, to, vec![], vec![(w.clone(), digest(&[(77, 1)]))])));
        reloaded |= !matches!(b.scopes()[&w].loading, Some(Loading::Reconcile { .. }));
        b.frame(ServerFrame::VerifyReply(VerifyReply { scope: w.clone(), seq: to, split: vec![], rows: vec![] }));
        let m = b.welcome(to, 0, 0, vec![(w.clone(), SyncPlan::Resume)]);
        b.frame(m);
        b.frame(ServerFrame::Batch(batch(to, to + 1, vec![], vec![(w.clone(), Digest::EMPTY)])));
        b.t += 3_600_000;
        b.frame(ServerFrame::HeartbeatAck { server_ms: 0 });
    }
    assert!(!reloaded, "loaded anew although every repair helped");
}
#[test]
fn rep_4_a_mismatch_within_the_minute_is_repaired_later() {
    let mut b = Bed::new();
    b.live10();
    let w = ScopeId::WORKSPACE;
    let bad = digest(&[(77, 1)]);
    b.frame(ServerFrame::Batch(batch(10, 11, vec![], vec![(w.clone(), bad)])));
    b.frame(ServerFrame::VerifyReply(VerifyReply { scope: w.clone(), seq: 11, split: vec![], rows: vec![] }));
    let m = b.welcome(11, 0, 0, vec![(w.clone(), SyncPlan::Resume)]);
    b.frame(m);
    b.frame(ServerFrame::Batch(batch(11, 12, vec![], vec![(w, bad)])));
    let mut asked = false;
    for _ in 0..30 {
        b.t += 10_000;
        let e = b.go(Input::Tick);
        asked |= e.iter().any(|e| matches!(e, Effect::Send(ClientFrame::Verify { .. } | ClientFrame::Hello(_))));
        b.frame(ServerFrame::HeartbeatAck { server_ms: 0 });
    }
    assert!(asked, "the replica stays different for five minutes");
}
#[test]
fn psh_7_a_number_the_server_used_otherwise_does_not_wedge_the_outbox() {
    let mut b = Bed::new();
    b.edit(vec![create(1)], 100);
    let before = b.r.meta().client_id;
    b.go(Input::Online);
    b.go(Input::Connected);
    let w = b.welcome(10, 1, 0, vec![(ScopeId::WORKSPACE, SyncPlan::Resume)]);
    let mut e = b.frame(w);
    e.extend(b.frame(ServerFrame::Outcomes { outcomes: vec![outcome(1, 999, OutcomeKind::Applied, 9)] }));
    let mut p = pushes(&e);
    for _ in 0..10 {
        b.t += 5_000;
        let e = b.go(Input::Tick);
        p += pushes(&e);
        b.frame(ServerFrame::HeartbeatAck { server_ms: 0 });
    }
    assert!(
        p > 0 || b.r.meta().client_id != before || b.r.store().outbox_count().unwrap() == 0,
        "pending forever, never sent"
    );
}
#[test]
fn d10_a_new_client_id_keeps_the_rejected_list() {
    let mut b = Bed::new();
    b.live10();
    b.edit(vec![create(1)], 100);
    b.frame(ServerFrame::Outcomes { outcomes: vec![outcome(1, 100, OutcomeKind::Rejected, 10)] });
    b.r.rekey(ClientId::from_u128(55), 0).unwrap();
    b.edit(vec![create(2)], 101);
    b.frame(ServerFrame::Outcomes { outcomes: vec![outcome(1, 101, OutcomeKind::Rejected, 10)] });
    assert_eq!(b.r.store().rejected().unwrap().len(), 2, "an older rejected write is gone");
}
#[test]
fn epo_3_a_new_client_id_keeps_decided_mutations_the_restored_server_lost() {
    let mut b = Bed::new();
    b.live10();
    b.edit(vec![create(1)], 100);
    b.frame(ServerFrame::Outcomes { outcomes: vec![outcome(1, 100, OutcomeKind::Applied, 12)] }); // effects not here yet
    b.r.rekey(ClientId::from_u128(55), 0).unwrap();
    assert_eq!(b.r.store().outbox_count().unwrap(), 1, "the write is in no list any more");
}
#[test]
fn rev_2_a_cut_while_handing_over_keeps_what_was_not_handed_over() {
    let mut b = Bed::new();
    b.live10();
    b.edit(vec![create(1)], 100);
    b.frame(ServerFrame::Purge { code: Code::DeviceRevoked, reason: "".into() });
    b.go(Input::Disconnected { code: None });
    assert_eq!(b.r.store().outbox_count().unwrap(), 1, "an undecided mutation was deleted after a network cut");
}
#[test]
fn crm_3_an_edit_that_changes_nothing_is_not_sent() {
    let mut b = Bed::new();
    b.live10();
    b.frame(ServerFrame::Batch(batch(10, 11, vec![put(1, 11, &ScopeId::WORKSPACE)], vec![])));
    let edit =
        Edit::Update { entity: Name::new("things"), id: rid(1), fields: fields(json!({"name": "x", "note": "new"})) };
    b.edit(vec![edit], 100);
    let p = b.r.store().outbox(1, 1).unwrap().remove(0);
    let Op::Update { fields, .. } = &p.mutation.ops[0] else { panic!() };
    assert!(!fields.contains_key("name"), "claims a change of `name` that was none: {fields:?}");
}
#[test]
fn vew_1_query_orders_decimals_by_number() {
    let mut b = Bed::new();
    for (n, p) in [(1, "9.00"), (2, "10.00")] {
        b.edit(
            vec![Edit::Create { entity: Name::new("things"), id: rid(n), fields: fields(json!({"price": p})) }],
            100 + n,
        );
    }
    let q = Query { entity: Name::new("things"), sort: Some(Name::new("price")), ..Query::default() };
    let ids: Vec<_> = b.r.query(&q).unwrap().into_iter().map(|v| v.id).collect();
    assert_eq!(ids, [rid(1), rid(2)]);
}
#[test]
fn ses_2_the_second_of_two_welcomes_counts() {
    let mut b = Bed::new();
    b.live10();
    let (x, y) = (team(1), team(2));
    let g = |scope: &ScopeId| ServerFrame::Grant { scope: scope.clone(), action: GrantAction::Add, reason: "".into() };
    let n = hellos(&b.frame(g(&x))) + hellos(&b.frame(g(&y)));
    let all = |s: &[&ScopeId]| s.iter().map(|s| ((*s).clone(), SyncPlan::Resume)).collect::<Vec<_>>();
    let w1 = b.welcome(10, 0, 0, all(&[&ScopeId::WORKSPACE, &x]));
    b.frame(w1);
    if n == 2 {
        let w2 = b.welcome(12, 0, 0, all(&[&ScopeId::WORKSPACE, &x, &y]));
        b.frame(w2);
        assert_eq!(b.r.meta().cursor, 12, "the answer to the last hello was ignored");
    }
}
#[test]
fn ses_3_a_scope_dropped_by_a_welcome_stays_dropped_while_its_download_runs() {
    let mut b = Bed::new();
    let a = team(1);
    b.live(10, vec![(ScopeId::WORKSPACE, SyncPlan::Resume), (a.clone(), snap())]);
    b.frame(ServerFrame::Batch(batch(12, 13, vec![], vec![]))); // a gap: hello again
    let w = b.welcome(13, 0, 0, vec![(ScopeId::WORKSPACE, SyncPlan::Resume)]);
    b.frame(w);
    b.go(Input::SnapshotRows { scope: a.clone(), rows: vec![put(1, 5, &a)], resume: None });
    assert!(b.r.get("things", rid(1)).unwrap().is_none());
}
#[test]
fn lease_a_locked_copy_cannot_be_written() {
    let mut b = Bed::new();
    b.live10();
    let late = 1_700_000_000_000 + b.t + 600_000_001;
    assert!(matches!(b.r.mutate(vec![create(5)], MutationId::from_u128(5), late), Err(LocalError::LeaseExpired)));
}
// Controls: the bed itself, and the ordinary paths beside each finding.
#[test]
fn bat_1_a_live_batch_moves_the_cursor() {
    let mut b = Bed::new();
    b.live10();
    b.frame(ServerFrame::Batch(batch(
        10,
        11,
        vec![put(1, 11, &ScopeId::WORKSPACE)],
        vec![(ScopeId::WORKSPACE, digest(&[(1, 11)]))],
    )));
    assert_eq!(b.r.meta().cursor, 11);
    assert!(b.scopes()[&ScopeId::WORKSPACE].loading.is_none());
}
#[test]
fn a_granted_page_is_stored() {
    let mut b = Bed::new();
    let a = team(1);
    b.live(10, vec![(a.clone(), snap())]);
    b.go(Input::SnapshotRows { scope: a.clone(), rows: vec![put(1, 5, &a)], resume: None });
    assert!(b.r.get("things", rid(1)).unwrap().is_some());
}
#[test]
fn a_promised_catch_up_is_applied() {
    let mut b = Bed::new();
    let a = team(1);
    b.live(10, vec![(a.clone(), SyncPlan::CatchUp { from: 0, to: 10 })]);
    b.frame(ServerFrame::Batch(Batch {
        from: 0,
        to: 10,
        catch_up: true,
        more: false,
        changes: vec![WireChange { by: None, ops: vec![put(1, 5, &a)] }],
        digests: vec![],
    }));
    assert_eq!(b.r.meta().cursor, 10);
}
#[test]
fn an_unanswered_push_alone_is_stuck() {
    let mut b = Bed::new();
    b.live10();
    b.edit(vec![create(1)], 100);
    assert_eq!(pushes(&b.go(Input::LocalChange)), 1);
    let mut stuck = false;
    for _ in 0..30 {
        b.t += 10_000;
        stuck |= b.go(Input::Tick).contains(&Effect::Notify(Event::Stuck));
        b.frame(ServerFrame::HeartbeatAck { server_ms: 0 });
    }
    assert!(stuck);
}
#[test]
fn slow_down_alone_holds_and_then_pushes() {
    let mut b = Bed::new();
    b.edit(vec![create(1)], 100);
    b.live10();
    let e = b.frame(ServerFrame::SlowDown { retry_ms: 5_000 });
    assert_eq!(pushes(&e), 0);
    b.t += 5_001;
    assert_eq!(pushes(&b.go(Input::Tick)), 1);
}
#[test]
fn psh_1_a_welcome_fills_the_window() {
    let mut b = Bed::new();
    for n in 0..150 {
        b.edit(vec![create(n)], 1000 + n);
    }
    assert_eq!(pushes(&b.live(10, vec![(ScopeId::WORKSPACE, SyncPlan::Resume)])), 2);
}
#[test]
fn an_outcome_of_ours_confirms() {
    let mut b = Bed::new();
    b.live10();
    b.edit(vec![create(1)], 100);
    b.go(Input::LocalChange);
    b.frame(ServerFrame::Outcomes { outcomes: vec![outcome(1, 100, OutcomeKind::Applied, 10)] });
    assert_eq!(b.r.store().outbox_count().unwrap(), 0);
}
#[test]
fn rep_4_first_repair_is_a_comparison_and_heals() {
    let mut b = Bed::new();
    b.live10();
    let w = ScopeId::WORKSPACE;
    b.frame(ServerFrame::Batch(batch(10, 11, vec![], vec![(w.clone(), digest(&[(77, 1)]))])));
    assert!(matches!(b.scopes()[&w].loading, Some(Loading::Reconcile { .. })));
    let e = b.frame(ServerFrame::VerifyReply(VerifyReply { scope: w.clone(), seq: 11, split: vec![], rows: vec![] }));
    assert!(b.scopes()[&w].loading.is_none(), "{e:?}");
}
#[test]
fn psh_7_nothing_is_wedged_when_ids_agree() {
    let mut b = Bed::new();
    b.edit(vec![create(1)], 100);
    b.go(Input::Online);
    b.go(Input::Connected);
    let w = b.welcome(10, 1, 0, vec![(ScopeId::WORKSPACE, SyncPlan::Resume)]);
    b.frame(w);
    b.frame(ServerFrame::Outcomes { outcomes: vec![outcome(1, 100, OutcomeKind::Applied, 9)] });
    assert_eq!(b.r.store().outbox_count().unwrap(), 0);
}

fn sent_pushes(effects: &[Effect]) -> Vec<&Vec<Mutation>> {
    let pushes = effects.iter().filter_map(|effect| match effect {
        Effect::Send(ClientFrame::Push { mutations }) => Some(mutations),
        _ => None,
    });
    pushes.collect()
}

#[test]
fn clk_1_the_age_is_taken_when_the_frame_is_made_and_never_negative() {
    let mut b = Bed::new();
    b.edit(vec![create(1)], 100);
    b.t += 5_000;
    let e = b.live(10, vec![(ScopeId::WORKSPACE, SyncPlan::Resume)]);
    assert_eq!(sent_pushes(&e)[0][0].age_ms, 5_000);
    let mut b = Bed::new();
    b.t += 60_000;
    b.edit(vec![create(1)], 100);
    b.t -= 60_000; // The device's clock was set back.
    let e = b.live(10, vec![(ScopeId::WORKSPACE, SyncPlan::Resume)]);
    assert_eq!(sent_pushes(&e)[0][0].age_ms, 0);
}

#[test]
fn bat_3_a_batch_is_one_write_of_base_cursor_digest_and_outbox() {
    let mut b = Bed::new();
    b.live10();
    b.edit(vec![create(1)], 100);
    b.frame(ServerFrame::Outcomes { outcomes: vec![outcome(1, 100, OutcomeKind::Applied, 11)] });
    let before = b.r.store().clone();
    let mut change =
        batch(10, 11, vec![put(1, 11, &ScopeId::WORKSPACE)], vec![(ScopeId::WORKSPACE, digest(&[(1, 11)]))]);
    change.changes[0].by = Some((b.r.meta().client_id, 1));
    b.frame(ServerFrame::Batch(change.clone()));
    assert_eq!((b.r.meta().cursor, b.r.store().outbox_count().unwrap()), (11, 0));
    assert_eq!(b.scopes()[&ScopeId::WORKSPACE].digest, digest(&[(1, 11)]));
    // A store that refuses the write leaves all of it as it was.
    let schema = Arc::new(Schema::parse(SCHEMA, "t.toml").unwrap());
    let mut full = Replica::open(Full(before), schema, None).unwrap().unwrap();
    assert!(full.apply_live(change, 0).is_err());
    assert_eq!((full.meta().cursor, full.store().outbox_count().unwrap()), (10, 1));
    assert!(full.get("things", rid(1)).unwrap().is_some(), "still shown from the outbox");
    assert!(full.store().base("things", rid(1)).unwrap().is_none());
}

/// A store that can be read and whose disk is full.
struct Full(MemoryReplica);

impl ReplicaStore for Full {
    fn meta(&self) -> ReplicaResult<Option<ReplicaMeta>> {
        self.0.meta()
    }
    fn base(&self, entity: &str, id: RecordId) -> ReplicaResult<Option<BaseRecord>> {
        self.0.base(entity, id)
    }
    fn base_find(
        &self,
        entity: &str,
        field: &str,
        value: &syncline_core::Value,
        limit: usize,
    ) -> ReplicaResult<Vec<RecordId>> {
        self.0.base_find(entity, field, value, limit)
    }
    fn base_scan(&self, entity: &str, after: Option<RecordId>, limit: usize) -> ReplicaResult<Vec<BaseRecord>> {
        self.0.base_scan(entity, after, limit)
    }
    fn base_count(&self, entity: &str) -> ReplicaResult<u64> {
        self.0.base_count(entity)
    }
    fn base_rows(&self, scope: &ScopeId) -> ReplicaResult<Vec<(RecordId, Name, u64)>> {
        self.0.base_rows(scope)
    }
    fn scopes(&self) -> ReplicaResult<BTreeMap<ScopeId, ScopeState>> {
        self.0.scopes()
    }
    fn outbox(&self, first: u64, limit: usize) -> ReplicaResult<Vec<Pending>> {
        self.0.outbox(first, limit)
    }
    fn outbox_count(&self) -> ReplicaResult<u64> {
        self.0.outbox_count()
    }
    fn pending_for(&self, entity: &str, id: RecordId) -> ReplicaResult<Vec<Pending>> {
        self.0.pending_for(entity, id)
    }
    fn pending_ids(&self, entity: &str) -> ReplicaResult<Vec<RecordId>> {
        self.0.pending_ids(entity)
    }
    fn rejected(&self) -> ReplicaResult<Vec<Rejected>> {
        self.0.rejected()
    }
    fn acknowledged(&self, first: u64) -> ReplicaResult<Vec<Pending>> {
        self.0.acknowledged(first)
    }
    fn write(&mut self, _writes: ReplicaWrites) -> ReplicaResult<()> {
        Err(ReplicaError::Full)
    }
}

#[test]
fn bat_7_a_scope_that_nobody_announced_starts_where_the_batch_ends() {
    let mut b = Bed::new();
    b.live10();
    let new = team(4);
    b.frame(ServerFrame::Batch(batch(10, 11, vec![put(1, 11, &new)], vec![(new.clone(), digest(&[(1, 11)]))])));
    assert_eq!(b.scopes()[&new].seq, 11);
    assert!(b.s.is_live());
}

#[test]
fn vew_4_uploads_and_downloads_do_not_wait_for_one_another() {
    let mut b = Bed::new();
    b.edit(vec![create(1)], 100);
    let e = b.live(10, vec![(ScopeId::WORKSPACE, SyncPlan::CatchUp { from: 0, to: 10 })]);
    assert_eq!(pushes(&e), 1, "pushed although the catch-up has not come");
    let mut b = Bed::new();
    b.live10();
    b.edit(vec![create(1)], 100);
    assert_eq!(pushes(&b.go(Input::LocalChange)), 1);
    b.frame(ServerFrame::Batch(batch(10, 11, vec![put(2, 11, &ScopeId::WORKSPACE)], vec![])));
    assert_eq!(b.r.meta().cursor, 11, "applied although the push is not answered");
}

#[test]
fn vew_6_whoever_is_online_with_something_pending_has_a_timer() {
    let mut b = Bed::new();
    b.edit(vec![create(1)], 100);
    assert_eq!(b.s.next_wakeup_ms(), None, "not online: nothing is due");
    let check = |b: &Bed, when: &str| assert!(b.s.next_wakeup_ms().is_some(), "{when}");
    b.go(Input::Online);
    check(&b, "connecting");
    b.go(Input::Disconnected { code: None });
    check(&b, "waiting to connect again");
    b.go(Input::Online);
    b.go(Input::Connected);
    check(&b, "greeting");
    let w = b.welcome(10, 0, 0, vec![(ScopeId::WORKSPACE, SyncPlan::Resume)]);
    b.frame(w);
    check(&b, "a push in flight");
    b.frame(ServerFrame::SlowDown { retry_ms: 9_000 });
    check(&b, "asked to slow down");
    b.frame(ServerFrame::Goodbye { retry_ms: 500, reason: String::new() });
    check(&b, "sent away");
}

#[test]
fn ses_9_whoever_is_asked_to_sync_now_says_hello_again() {
    let is_hello = |effect: &Effect| matches!(effect, Effect::Send(ClientFrame::Hello(_)));
    let mut b = Bed::new();
    b.live10();
    let e = b.frame(ServerFrame::SyncNow { entities: vec![Name::new("things")] });
    assert_eq!(e.iter().filter(|effect| is_hello(effect)).count(), 1);
    let again = b.frame(ServerFrame::SyncNow { entities: vec![] });
    assert!(!again.iter().any(is_hello), "it is at it already");
}

#[test]
fn rep_2_rows_decide_what_is_fetched_and_what_is_removed() {
    let mut b = Bed::new();
    b.live10();
    let w = ScopeId::WORKSPACE;
    let rows = vec![put(1, 5, &w), put(2, 6, &w), put(3, 30, &w)];
    b.frame(ServerFrame::Batch(batch(10, 11, rows, vec![(w.clone(), digest(&[(9, 9)]))])));
    // The server has 1 as here, 2 with another rv, 4 which is missing here, and not 3, which is newer than its reply.
    let listed = [(1, 5), (2, 8), (4, 7)].map(|(n, rv)| (Name::new("things"), rid(n), rv));
    let range = RangeRows { lo: RecordId::NIL, hi: RecordId::MAX, rows: listed.to_vec() };
    let reply = VerifyReply { scope: w.clone(), seq: 20, split: vec![], rows: vec![range] };
    let e = b.frame(ServerFrame::VerifyReply(reply));
    let fetched: Vec<_> = e
        .iter()
        .filter_map(|effect| match effect {
            Effect::Send(ClientFrame::Fetch { records, .. }) => Some(records.clone()),
            _ => None,
        })
        .flatten()
        .map(|(_, id)| id)
        .collect();
    assert_eq!(fetched, [rid(2), rid(4)]);
    assert!(b.r.get("things", rid(3)).unwrap().is_some(), "newer than what was compared");
    let range = RangeRows { lo: RecordId::NIL, hi: RecordId::MAX, rows: vec![] };
    b.r.compare(&VerifyReply { scope: w, seq: 40, split: vec![], rows: vec![range] }).unwrap();
    assert!(b.r.get("things", rid(3)).unwrap().is_none(), "not listed: removed");
}

#[test]
fn liv_1_a_close_code_means_what_its_range_says() {
    let waits = [None, Some(1006), Some(4400), Some(4499), Some(4500), Some(4599)];
    let stops = [4600, 4602, 4650, 4699].map(Some);
    for (code, is_final) in waits.map(|code| (code, false)).into_iter().chain(stops.map(|code| (code, true))) {
        let mut b = Bed::new();
        b.live10();
        b.go(Input::Disconnected { code });
        assert_eq!(b.s.is_stopped(), is_final, "{code:?}");
        assert_eq!(b.s.next_wakeup_ms().is_none(), is_final, "{code:?}");
    }
}
