//! Fields that the server fills from others (spec RUL-6).

use serde_json::{Value, json};
use syncline_core::change::OutcomeKind;
use syncline_core::id::RecordId;
use syncline_core::protocol::Code;
use syncline_core::schema::Schema;

use crate::world::*;

/// A pipeline with one stage of each type, and a deal in the open one.
fn deal(world: &mut World, boss: &mut Device) -> (RecordId, [RecordId; 3]) {
    let pipeline = world.id();
    world.push(boss, vec![create("pipelines", pipeline, json!({"name": "Sales"}))]);
    let stages = ["open", "won", "lost"].map(|kind| {
        let id = world.id();
        let stage = json!({"pipeline_id": pipeline, "name": kind, "type": kind});
        let outcome = world.push(boss, vec![create("pipeline_stages", id, stage)]);
        assert_eq!(outcome.outcome, OutcomeKind::Applied, "{outcome:?}");
        id
    });
    let id = world.id();
    let values = json!({"name": "Deal", "pipeline_id": pipeline, "stage_id": stages[0]});
    let outcome = world.push(boss, vec![create("opportunities", id, values)]);
    assert_eq!(outcome.outcome, OutcomeKind::Applied, "{outcome:?}");
    (id, stages)
}

fn status(world: &World, deal: RecordId) -> (Value, bool) {
    let closed = world.value("opportunities", deal, "closed_at");
    (world.value("opportunities", deal, "status"), !closed.is_null())
}

#[test]
fn rul_6_a_deal_follows_its_stage_and_is_closed_while_it_is_won() {
    let mut world = World::new();
    let mut boss = world.member(1, "admin", "all");
    let (deal, [open, won, _]) = deal(&mut world, &mut boss);
    assert_eq!(status(&world, deal), (json!("open"), false));
    let outcome = world.push(&mut boss, vec![update("opportunities", deal, 0, json!({"stage_id": won}))]);
    assert_eq!(outcome.outcome, OutcomeKind::Applied, "{outcome:?}");
    assert_eq!(status(&world, deal), (json!("won"), true));
    let closed = world.value("opportunities", deal, "closed_at");
    world.push(&mut boss, vec![update("opportunities", deal, 0, json!({"next_step": "Thank them"}))]);
    assert_eq!(world.value("opportunities", deal, "closed_at"), closed, "it stays while it is won");
    world.push(&mut boss, vec![update("opportunities", deal, 0, json!({"stage_id": open}))]);
    assert_eq!(status(&world, deal), (json!("open"), false));
}

#[test]
fn rul_6_rules_see_what_was_derived() {
    let mut world = World::new();
    let mut boss = world.member(1, "admin", "all");
    let (deal, [_, _, lost]) = deal(&mut world, &mut boss);
    let outcome = world.push(&mut boss, vec![update("opportunities", deal, 0, json!({"stage_id": lost}))]);
    assert_eq!(outcome.code, Some(Code::Rule), "a lost deal needs a reason: {outcome:?}");
    let with_reason = json!({"stage_id": lost, "lost_notes": "Too expensive"});
    world.push(&mut boss, vec![update("opportunities", deal, 0, with_reason)]);
    assert_eq!(status(&world, deal), (json!("lost"), true));
}

#[test]
fn rul_6_a_task_is_completed_once_and_nobody_but_the_server_says_when() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let mut ben = world.member(2, "agent", "all");
    let task = world.id();
    world.push(&mut ada, vec![create("tasks", task, json!({"title": "Call"}))]);
    assert!(world.value("tasks", task, "completed_at").is_null());
    world.push(&mut ada, vec![update("tasks", task, 0, json!({"status": "done"}))]);
    let completed = world.value("tasks", task, "completed_at");
    assert!(completed.is_string());
    let rv = world.rv("tasks", task);
    world.push(&mut ada, vec![update("tasks", task, rv, json!({"status": "todo"}))]);
    world.push(&mut ada, vec![update("tasks", task, 0, json!({"status": "done"}))]);
    assert_eq!(world.value("tasks", task, "completed_at"), completed, "set once");
    let forged = json!({"completed_at": "2020-01-01T00:00:00.000Z"});
    let outcome = world.push(&mut ada, vec![update("tasks", task, 0, forged)]);
    assert_eq!(outcome.code, Some(Code::Forbidden));
    let rv = world.rv("tasks", task);
    let outcome = world.push(&mut ben, vec![update("tasks", task, rv, json!({"title": "Call again"}))]);
    assert_eq!(outcome.outcome, OutcomeKind::Applied, "{outcome:?}");
}

#[test]
fn rul_6_a_created_record_has_its_derived_fields_from_the_start() {
    let mut world = World::new();
    let mut ada = world.member(1, "agent", "all");
    let task = world.id();
    world.push(&mut ada, vec![create("tasks", task, json!({"title": "Call", "status": "done"}))]);
    assert!(world.value("tasks", task, "completed_at").is_string());
}

/// What is wrong with a schema whose only entity declares `derived`.
fn mistake(derived: &str) -> String {
    let text = format!(
        r#"version = 1
[roles]
agent = 20
[entities.things]
tier = "normal"
scope = ["workspace"]
create = "agent"
update = "agent"
delete = "agent"
[entities.things.fields]
name = {{ type = "text", max_len = 10 }}
kind = {{ type = "choice", choices = ["a", "b"], server_only = true }}
at = {{ type = "timestamp", server_only = true }}
parent_id = {{ type = "uuid", references = "things", on_delete = "keep" }}
[[entities.things.derived]]
{derived}
"#
    );
    Schema::parse(&text, "crm.toml").map(drop).unwrap_err().to_string()
}

#[test]
fn rul_6_a_mistaken_derivation_is_refused_with_what_to_do() {
    for (derived, message) in [
        ("field = \"at\"\nonce = \"new.nmae == null\"", "name"),
        ("field = \"kind\"\nonce = \"new.name == null\"", "timestamp"),
        ("field = \"name\"\nfollows = \"parent_id.name\"", "server_only"),
        ("field = \"kind\"\nfollows = \"parent_id\"", "reference.field"),
        ("field = \"kind\"\nfollows = \"name.kind\"", "references"),
        ("field = \"kind\"\nfollows = \"parent_id.nothing\"", "no field `nothing`"),
        ("field = \"kind\"\nfollows = \"parent_id.name\"", "fits"),
        ("field = \"at\"", "exactly one"),
        ("field = \"att\"\nonce = \"true\"", "unknown field"),
    ] {
        let said = mistake(derived);
        assert!(said.contains(message) && said.contains("crm.toml:"), "{derived}: {said}");
    }
}
