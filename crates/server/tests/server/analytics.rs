//! Analytics: what was counted, and who may see it (OPS-5, CONF-7).

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Socket, User, World, create_contact, eventually, text, uuid_v7};

/// The only connection of a person that has ended, once it has.
async fn ended(asker: &User, user: &User) -> Value {
    let path = format!("/api/analytics/connections?user_id={}", user.user_id);
    eventually(|| async {
        let items = asker.get(&path).await.expect(200)["items"].clone();
        (items.as_array().unwrap().len() == 1).then(|| items[0].clone())
    })
    .await
}

fn number(value: &Value, member: &str) -> u64 {
    value[member].as_u64().unwrap_or_else(|| panic!("no {member} in {value}"))
}

#[tokio::test]
async fn ops_5_a_session_is_archived_with_what_it_did() {
    let world = World::start().await;
    let (owner, ann, bob) = (world.user("owner").await, world.user("ann").await, world.user("bob").await);
    let mut socket = Socket::open(&ann).await;
    socket.hello().await;
    for name in ["Eve", "Max"] {
        assert_eq!(socket.push(create_contact(&uuid_v7(), name)).await["outcome"], "applied");
    }
    socket.send_message(Message::Close(None)).await.unwrap();
    let row = ended(&owner, &ann).await;
    assert_eq!((text(&row, "user_id"), text(&row, "device_id")), (&*ann.user_id, &*ann.device_id));
    assert_eq!((text(&row, "deployment_mode"), text(&row, "transport")), ("local_install", "websocket"));
    assert_eq!((number(&row, "close_code"), number(&row, "mutations"), number(&row, "frames_in")), (1_000, 2, 3));
    assert!(number(&row, "closed_ms") >= number(&row, "opened_ms"));
    // A hello and two pushes came in, a welcome, a catch-up and outcomes went out.
    assert!(number(&row, "bytes_in") > 500 && number(&row, "bytes_out") > 1_000, "{row}");

    let usage = ann.get("/api/analytics/usage?by=device").await.expect(200);
    let of_device = &usage["items"][0];
    assert_eq!((text(of_device, "device_id"), number(of_device, "connections")), (&*ann.device_id, 1));
    for member in ["mutations", "bytes_in", "bytes_out"] {
        assert_eq!(of_device[member], row[member], "the sums are those of the only connection");
    }
    assert_eq!(bob.get("/api/analytics/usage?by=day").await.expect(200)["items"], json!([]), "not Bob's");
    let by_user = owner.get("/api/analytics/usage?by=user&days=1").await.expect(200);
    assert_eq!((by_user["items"].as_array().unwrap().len(), text(&by_user["items"][0], "user_id")), (1, &*ann.user_id));

    let sync = owner.get("/api/analytics/sync").await.expect(200);
    // Hello, its catch-up, two pushes.
    assert_eq!((number(&sync["total"], "succeeded"), number(&sync["total"], "failed")), (4, 0), "{sync}");
    assert_eq!(sync["total"]["success_rate"], 1.0);
    let operations: Vec<_> = sync["latency"].as_array().unwrap().iter().map(|item| text(item, "operation")).collect();
    assert_eq!(operations, ["catch_up", "hello", "push"]);
    assert!(number(&sync["latency"][2], "calls") == 2 && number(&sync["latency"][2], "p95_ms") >= 1, "{sync}");
    let own = ann.get("/api/analytics/sync?by=device").await.expect(200);
    assert_eq!((number(&own["items"][0], "succeeded"), own.get("latency")), (4, None), "the workspace's is not hers");
    let metrics = world.http().get("/metrics").await.text;
    assert!(metrics.contains("sync_operation_duration_seconds_count{operation=\"push\"} 2"), "{metrics}");
}

#[tokio::test]
async fn ops_5_history_survives_a_restart_and_is_read_in_pages_by_whom_it_is_about() {
    let world = World::start().await;
    let (ann, bob) = (world.user("ann").await, world.user("bob").await);
    let (mut first, mut second) = (Socket::open(&ann).await, Socket::open(&bob).await);
    first.hello().await;
    second.hello().await;
    let polled = ann.post(&format!("/poll/web_app/{}", uuid_v7()), &json!({})).await;
    polled.expect(201);
    // Stopping in good order ends them all, and writes what was counted.
    let world = world.restart().await;
    let again = |user: User| User { http: world.http(), ..user };
    let (ann, bob, owner) = (again(ann), again(bob), world.user("owner").await);
    let items = |answer: Value| answer["items"].as_array().unwrap().clone();
    let of_ann = items(ann.get("/api/analytics/connections").await.expect(200));
    let mut transports: Vec<_> = of_ann.iter().map(|row| text(row, "transport")).collect();
    transports.sort_unstable();
    assert_eq!(transports, ["long_poll", "websocket"]);
    assert!(of_ann.iter().all(|row| row["close_code"] == 4_400 && row["user_id"] == *ann.user_id), "{of_ann:?}");
    let path = format!("/api/analytics/connections?user_id={}", ann.user_id);
    bob.get(&path).await.expect_problem(403, "forbidden");

    let (mut seen, mut next) = (Vec::new(), String::new());
    loop {
        let page = owner.get(&format!("/api/analytics/connections?limit=1{next}")).await.expect(200);
        seen.extend(items(page.clone()).iter().map(|row| text(row, "connection_id").to_owned()));
        let Some(after) = page["next"].as_str() else { break };
        next = format!("&after={after}");
    }
    assert_eq!(seen.len(), 3);
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 3, "each of them once");
    let of_device = format!("/api/analytics/connections?device_id={}", bob.device_id);
    assert_eq!(items(owner.get(&of_device).await.expect(200)).len(), 1);
    assert_eq!(items(ann.get(&of_device).await.expect(200)).len(), 0, "another's device is none of hers");
    owner.get("/api/analytics/connections?after=nonsense").await.expect_problem(422, "validation");

    // What an administrator reads of others is noted, what they read of themselves is not.
    let audit = |owner: User| async move { owner.get("/api/admin/audit?event=admin_read").await.expect(200) };
    let subject = "GET /api/analytics/connections";
    eventually(|| async {
        let noted = audit(owner.clone()).await;
        noted["items"].as_array().unwrap().iter().any(|item| item["subject"] == subject).then_some(())
    })
    .await;
    let manager = world.user("manager").await;
    manager.get("/api/analytics/connections").await.expect(200);
    let noted = audit(owner).await;
    assert!(!noted["items"].as_array().unwrap().iter().any(|item| item["user_id"] == *manager.user_id), "{noted}");
}

#[tokio::test]
async fn ops_5_clients_report_how_the_api_did_for_them() {
    let world = World::start().await;
    world.populate("rival").await;
    let (owner, ann) = (world.user("owner").await, world.user("ann").await);
    let call = |operation: &str, milliseconds: u64, ok: bool| json!({"operation": operation, "milliseconds": milliseconds, "ok": ok});
    let report = |calls: Vec<Value>| json!({"calls": calls});
    let path = "/api/analytics/calls";
    let many = (0..99).map(|_| call("leads.list", 30, true)).chain([call("leads.list", 3_000, false)]).collect();
    ann.post(path, &report(many)).await.expect(204);
    ann.post(path, &report(vec![call("leads.get", 5, true)])).await.expect(204);
    let figures = owner.get(path).await.expect(200);
    let [get, list] = &figures["items"].as_array().unwrap()[..] else { panic!("{figures}") };
    assert_eq!((text(get, "operation"), number(get, "calls"), number(get, "p99_ms")), ("leads.get", 1, 8));
    assert_eq!((number(list, "calls"), number(list, "failures"), number(list, "mean_ms")), (100, 1, 59));
    assert_eq!((number(list, "p50_ms"), number(list, "p99_ms")), (32, 32), "bounds, at most twice too high");
    for (wrong, field) in [
        (report(Vec::new()), "calls"),
        (report(vec![call("leads.list", 1, true); 201]), "calls"),
        (report(vec![call("/api/leads/7", 1, true)]), "operation"),
        (report(vec![call("sync/push", 1, true)]), "operation"),
        (report(vec![call("leads.list", 3_600_001, true)]), "milliseconds"),
    ] {
        assert_eq!(ann.post(path, &wrong).await.expect_problem(422, "validation")["field"], field);
    }
    ann.get(path).await.expect_problem(403, "forbidden");
    let rival = world.user_in("rival", "owner").await;
    assert_eq!(rival.get(path).await.expect(200)["items"], json!([]), "another workspace's are its own");
}

/// Writes a field of a record as somebody who last saw it at `base_rv`.
async fn write_at(user: &User, contact: &Value, base_rv: &Value, fields: Value) -> Value {
    let mut socket = Socket::open(user).await;
    socket.hello().await;
    let op = json!({"op": "update", "entity": "contacts", "id": contact["id"], "base_rv": base_rv, "fields": fields});
    socket.push(json!([op])).await
}

#[tokio::test]
async fn conf_7_rates_are_told_by_entity_field_team_and_record() {
    let world = World::start().await;
    let (owner, ann) = (world.user("owner").await, world.user("ann").await);
    let team = owner.post("/api/teams", &json!({"name": "North", "member_ids": [ann.user_id]})).await.expect(201);
    let hot = ann.contact(json!({"firstname": "Eve", "assigned_to": ann.user_id})).await;
    let calm = ann.contact(json!({"firstname": "Max", "assigned_to": ann.user_id})).await;
    for (user, value) in [(&ann, "10.00"), (&owner, "20.00"), (&owner, "30.00")] {
        write_at(user, &hot, &hot["rv"], json!({"estimated_value": value})).await;
    }
    let outcome = write_at(&owner, &calm, &calm["rv"], json!({"firstname": "Moritz"})).await;
    assert_eq!(outcome["outcome"], "applied");

    let by = async |by: &str| owner.get(&format!("/api/analytics/conflicts?by={by}&days=1")).await.expect(200);
    let of_entity = by("entity").await;
    assert_eq!(of_entity["is_complete"], true);
    let [contacts] = &of_entity["items"].as_array().unwrap()[..] else { panic!("{of_entity}") };
    assert_eq!(
        (text(contacts, "entity"), number(contacts, "conflicts"), number(contacts, "reviews")),
        ("contacts", 2, 2)
    );
    // Two were made, one was written to without a conflict, the first of three took effect; what waits for review did not.
    assert_eq!((number(contacts, "edits"), contacts["rate"].as_f64()), (4, Some(0.5)), "{of_entity}");
    let of_field = by("field").await;
    let [field] = &of_field["items"].as_array().unwrap()[..] else { panic!("{of_field}") };
    assert_eq!((text(field, "entity"), text(field, "field")), ("contacts", "estimated_value"));
    assert_eq!((number(field, "edits"), number(field, "conflicts")), (1, 2), "{of_field}");
    let of_record = by("record").await;
    let [record] = &of_record["items"].as_array().unwrap()[..] else { panic!("{of_record}") };
    assert_eq!((&record["record_id"], number(record, "conflicts")), (&hot["id"], 2), "{of_record}");
    let of_team = by("team").await;
    let [shared] = &of_team["items"].as_array().unwrap()[..] else { panic!("{of_team}") };
    assert_eq!((&shared["team_id"], number(shared, "conflicts")), (&team["id"], 2), "{of_team}");

    let metrics = world.http().get("/metrics").await.text;
    let counted = "conflicts_total{entity=\"contacts\",strategy=\"manual-review\",outcome=\"review\"} 2";
    assert!(metrics.contains(counted), "{metrics}");
    ann.get("/api/analytics/conflicts").await.expect_problem(403, "forbidden");
    owner.get("/api/analytics/conflicts?by=colour").await.expect_problem(422, "validation");
}
