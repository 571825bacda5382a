//! Every strategy through the whole engine (spec §6). The policy alone is covered by `spec/vectors/merge.json`.

use serde_json::{Value, json};
use syncline_core::change::OutcomeKind::{self, Applied, InReview, Merged, Superseded};

use crate::world::*;

/// Two people change the same record from the same base; the second one's outcome and the record that results.
struct Duel {
    world: World,
    first: Device,
    second: Device,
}

impl Duel {
    fn new() -> Self {
        Self::of("agent", "agent")
    }

    fn of(first: &str, second: &str) -> Self {
        let mut world = World::new();
        let first = world.member(1, first, "all");
        let second = world.member(2, second, "all");
        Self { world, first, second }
    }

    /// `age`: of the second one's edit; the first one's has just been made.
    fn fight(
        &mut self,
        entity: &str,
        start: Value,
        first: Value,
        second: Value,
        age_ms: u64,
    ) -> (OutcomeKind, syncline_core::record::Record) {
        let id = match entity {
            "leads" => self.world.lead(&mut self.first, start),
            _ => {
                let id = self.world.id();
                let outcome = self.world.push(&mut self.first, vec![create(entity, id, start)]);
                assert_eq!(outcome.outcome, Applied, "{outcome:?}");
                id
            }
        };
        let base = self.world.rv(entity, id);
        self.world.now_ms += 3_600_000;
        let outcome = self.world.push(&mut self.first, vec![update(entity, id, base, first)]);
        assert_eq!(outcome.outcome, Applied, "{outcome:?}");
        let outcome = self.world.push_aged(&mut self.second, age_ms, vec![update(entity, id, base, second)]);
        (outcome.outcome, self.world.record(entity, id).unwrap())
    }
}

fn text(record: &syncline_core::record::Record, field: &str) -> Value {
    record.fields.get(field).cloned().unwrap_or(Value::Null)
}

#[test]
fn mrg_1_no_conflict_when_the_author_had_seen_the_change() {
    let mut duel = Duel::new();
    let id = duel.world.contact(&mut duel.first, json!({"firstname": "A"}));
    let rv = duel.world.rv("contacts", id);
    duel.world.push(&mut duel.first, vec![update("contacts", id, rv, json!({"firstname": "B"}))]);
    let rv = duel.world.rv("contacts", id);
    let outcome = duel.world.push_aged(
        &mut duel.second,
        999_999_999,
        vec![update("contacts", id, rv, json!({"firstname": "C"}))],
    );
    assert_eq!(outcome.outcome, Applied);
    assert!(outcome.conflict_ids.is_empty());
    assert_eq!(duel.world.value("contacts", id, "firstname"), "C");
}

#[test]
fn mrg_1_own_earlier_mutations_are_no_conflict_and_equal_values_neither() {
    let mut duel = Duel::new();
    let id = duel.world.contact(&mut duel.first, json!({"firstname": "A"}));
    let base = duel.world.rv("contacts", id);
    for name in ["B", "C", "D"] {
        let outcome = duel.world.push(&mut duel.first, vec![update("contacts", id, base, json!({"firstname": name}))]);
        assert_eq!((outcome.outcome, outcome.conflict_ids.len()), (Applied, 0));
    }
    let outcome = duel.world.push(&mut duel.second, vec![update("contacts", id, base, json!({"firstname": "D"}))]);
    assert_eq!(outcome.conflict_ids.len(), 0, "both want the same: {outcome:?}");
}

#[test]
fn mrg_2_different_groups_merge() {
    let (outcome, record) = Duel::new().fight(
        "contacts",
        json!({"firstname": "A"}),
        json!({"job_title": "CEO"}),
        json!({"lastname": "Z"}),
        0,
    );
    assert_eq!(outcome, Merged);
    assert_eq!((text(&record, "job_title"), text(&record, "lastname")), (json!("CEO"), json!("Z")));
}

#[test]
fn mrg_3_the_later_edit_wins_not_the_later_arrival() {
    for (age_ms, winner, expected) in [(0, "second", Merged), (1_800_000, "first", Superseded)] {
        let (outcome, record) = Duel::new().fight(
            "contacts",
            json!({"firstname": "A"}),
            json!({"firstname": "first"}),
            json!({"firstname": "second"}),
            age_ms,
        );
        assert_eq!((outcome, text(&record, "firstname")), (expected, json!(winner)));
    }
}

#[test]
fn clk_2_an_absurd_clock_wins_nothing() {
    // Two days "behind": the age is clamped to the base's commit, an hour before the other edit.
    let (outcome, record) = Duel::new().fight(
        "contacts",
        json!({"firstname": "A"}),
        json!({"firstname": "first"}),
        json!({"firstname": "second"}),
        2 * 86_400_000,
    );
    assert_eq!((outcome, text(&record, "firstname")), (Superseded, json!("first")));
}

#[test]
fn mrg_3_a_group_never_mixes() {
    for (age_ms, city, zip) in [(0, json!("Turin"), json!("10115")), (1_800_000, json!("Paris"), json!("75001"))] {
        let (_, record) = Duel::new().fight(
            "contacts",
            json!({"firstname": "A", "city": "Berlin", "zip": "10115"}),
            json!({"city": "Paris", "zip": "75001"}),
            json!({"city": "Turin"}),
            age_ms,
        );
        assert_eq!((text(&record, "city"), text(&record, "zip")), (city, zip), "the winner's whole group stands");
    }
}

#[test]
fn mrg_4_a_tag_added_on_both_sides_stays_and_an_add_beats_a_remove() {
    let (outcome, record) = Duel::new().fight(
        "contacts",
        json!({"firstname": "A", "tags": ["old", "vip"]}),
        json!({"tags": {"add": ["north"], "remove": ["old"]}}),
        json!({"tags": {"add": ["south"]}}),
        0,
    );
    assert_eq!((outcome, text(&record, "tags")), (Merged, json!(["north", "south", "vip"])));
    let (_, record) = Duel::new().fight(
        "contacts",
        json!({"firstname": "A"}),
        json!({"tags": {"add": ["hot"]}}),
        json!({"tags": {"remove": ["hot"]}}),
        0,
    );
    assert_eq!(text(&record, "tags"), json!(["hot"]), "a remove takes out only what its author saw");
}

#[test]
fn mrg_5_the_larger_moment_stays() {
    let (outcome, record) = Duel::new().fight(
        "contacts",
        json!({"firstname": "A"}),
        json!({"last_contacted_at": "2026-01-02T00:00:00.000Z"}),
        json!({"last_contacted_at": "2026-01-01T00:00:00.000Z"}),
        0,
    );
    assert_eq!((outcome, text(&record, "last_contacted_at")), (Superseded, json!("2026-01-02T00:00:00.000Z")));
}

#[test]
fn mrg_7_done_wins_over_any_other_state() {
    for (first, second, expected) in [("done", "todo", "done"), ("in_progress", "done", "done")] {
        let (_, record) =
            Duel::new().fight("tasks", json!({"title": "T"}), json!({"status": first}), json!({"status": second}), 0);
        assert_eq!(text(&record, "status"), expected);
    }
}

#[test]
fn mrg_8_keys_merge_one_by_one_and_restrictions_stay() {
    let (_, record) = Duel::new().fight(
        "contacts",
        json!({"firstname": "A", "metadata": {"a": 1}}),
        json!({"metadata": {"b": 2}}),
        json!({"metadata": {"c": 3, "a": null}}),
        0,
    );
    assert_eq!(text(&record, "metadata"), json!({"b": 2, "c": 3}));
    let (_, record) = Duel::new().fight(
        "contacts",
        json!({"firstname": "A", "dnd": {"email": false}}),
        json!({"dnd": {"email": true}}),
        json!({"dnd": {"sms": true, "email": false}}),
        0,
    );
    assert_eq!(text(&record, "dnd"), json!({"email": true, "sms": true}));
}

#[test]
fn mrg_9_the_higher_role_wins_and_equal_ranks_go_to_review() {
    for (first, second, expected) in
        [("manager", "agent", Superseded), ("agent", "manager", Merged), ("agent", "agent", InReview)]
    {
        let mut duel = Duel::of(first, second);
        let (x, y) = (duel.first.principal.user_id, duel.second.principal.user_id);
        let (outcome, record) = duel.fight("leads", json!({}), json!({"owner_id": x}), json!({"owner_id": y}), 0);
        let winner = if expected == Merged { y } else { x };
        assert_eq!((outcome, text(&record, "owner_id")), (expected, json!(winner)), "{first} against {second}");
    }
}

#[test]
fn mrg_10_money_goes_to_review_and_theirs_stays_live() {
    let mut duel = Duel::new();
    let start = json!({"estimated_value": "100.00", "currency": "USD"});
    let (outcome, record) = duel.fight(
        "leads",
        start,
        json!({"estimated_value": "200.00"}),
        json!({"estimated_value": "300.00", "currency": "EUR"}),
        0,
    );
    assert_eq!(outcome, InReview);
    assert_eq!((text(&record, "estimated_value"), text(&record, "currency")), (json!("200.00"), json!("USD")));
}

#[test]
fn mrg_11_transitions_start_from_the_current_state() {
    let mut duel = Duel::new();
    let (outcome, record) = duel.fight(
        "leads",
        json!({}),
        json!({"qualification_status": "marketing_qualified"}),
        json!({"qualification_status": "in_process"}),
        0,
    );
    assert_eq!(
        (outcome, text(&record, "qualification_status")),
        (Merged, json!("in_process")),
        "legal from the new state"
    );
    let (outcome, record) = duel.fight(
        "leads",
        json!({"qualification_status": "in_process"}),
        json!({"qualification_status": "sales_qualified"}),
        json!({"qualification_status": "marketing_qualified"}),
        0,
    );
    assert_eq!(
        (outcome, text(&record, "qualification_status")),
        (InReview, json!("sales_qualified")),
        "not seen: review"
    );
    let id = record.id;
    let step = vec![update("leads", id, record.rv + 1, json!({"qualification_status": "unqualified"}))];
    let outcome = duel.world.push(&mut duel.first, step);
    assert_eq!(outcome.code, Some(syncline_core::protocol::Code::Rule), "seen: rejected; {outcome:?}");
}

#[test]
fn mrg_6_a_monotone_field_never_goes_back() {
    let mut duel = Duel::new();
    let contact = duel.world.contact(&mut duel.first, json!({"firstname": "A"}));
    let id = duel.world.id();
    let message = json!({"contact_id": contact, "direction": "outbound", "channel": "sms", "body": "hi"});
    duel.world.serve(vec![create("messages", id, message)]);
    for (status, expected) in [("sent", "sent"), ("delivered", "delivered"), ("queued", "delivered")] {
        let rv = duel.world.rv("messages", id);
        duel.world.serve(vec![update("messages", id, rv, json!({"status": status}))]);
        assert_eq!(duel.world.value("messages", id, "status"), expected);
    }
}

#[test]
fn mrg_14_planning_twice_gives_the_same_result() {
    let run = || {
        let mut duel = Duel::new();
        let (_, record) =
            duel.fight("contacts", json!({"firstname": "A"}), json!({"firstname": "B"}), json!({"firstname": "C"}), 5);
        let head =
            syncline_core::storage::Store::read(&duel.world.store, &duel.world.workspace, |read| read.head()).unwrap();
        (record, head.chain)
    };
    assert_eq!(run(), run());
}
