//! Messages through the doors they come by: sockets and REST (spec §20, RTR).

use serde_json::{Value, json};

use super::support::{Socket, User, World, eventually, text, user_id, uuid_v7};

/// A `msg` frame of the manager's kind.
fn notice(id: &str, to: Value, n: usize) -> Value {
    json!({"type": "msg", "id": id, "message_type": "notice", "to": to, "payload": {"n": n}})
}

fn to_user(user: &User) -> Value {
    json!({"user": user.user_id})
}

/// Connects and opens the inbox.
async fn inbox(user: &User) -> Socket {
    let mut socket = Socket::open(user).await;
    socket.send(&json!({"type": "inbox"})).await;
    socket
}

async fn acknowledge(socket: &mut Socket, message: &Value) {
    socket.send(&json!({"type": "msg_ack", "ids": [message["id"]]})).await;
}

/// Sends a notice by REST and returns its id.
async fn post(sender: &User, to: Value, priority: &str, n: usize) -> String {
    let body = json!({"message_type": "notice", "to": to, "payload": {"n": n}, "priority": priority});
    text(&sender.post("/api/messages", &body).await.expect(201), "id").to_owned()
}

async fn due(user: &User) -> Vec<Value> {
    let list = user.get("/api/messages?box=due").await.expect(200);
    list["items"].as_array().unwrap().iter().map(|item| item["payload"]["n"].clone()).collect()
}

#[tokio::test]
async fn rtr_1_rtr_3_rtr_5_a_message_reaches_a_person_and_its_sender_sees_what_became_of_it() {
    let world = World::start().await;
    let (manager, ann, bob) = (world.user("manager").await, world.user("ann").await, world.user("bob").await);
    let (mut sender, mut receiver) = (inbox(&manager).await, inbox(&ann).await);
    let id = uuid_v7();
    sender.send(&notice(&id, to_user(&ann), 1)).await;
    let stored = sender.expect("msg_receipt").await;
    assert_eq!((&stored["id"], &stored["state"]), (&json!(id), &json!("stored")));
    let message = receiver.expect("msg").await;
    assert_eq!((&message["id"], &message["payload"]), (&json!(id), &json!({"n": 1})));
    assert_eq!(message["from"], json!({"user_id": manager.user_id, "device_id": manager.device_id}));
    assert_eq!((&message["priority"], &message["to"]), (&json!("normal"), &to_user(&ann)));
    acknowledge(&mut receiver, &message).await;
    let receipt = sender.expect("msg_receipt").await;
    assert_eq!((&receipt["state"], &receipt["device_id"]), (&json!("acknowledged"), &json!(ann.device_id)));
    let details = manager.get(&format!("/api/messages/{id}")).await.expect(200);
    assert_eq!(details["deliveries"][0]["state"], "acknowledged");
    ann.get(&format!("/api/messages/{id}")).await.expect(200);
    bob.get(&format!("/api/messages/{id}")).await.expect_problem(404, "not_found");
    assert_eq!(due(&ann).await, Vec::<Value>::new());
}

#[tokio::test]
async fn msg_3_msg_4_a_sender_that_repeats_itself_is_heard_once_and_in_order() {
    let world = World::start().await;
    let (manager, ann) = (world.user("manager").await, world.user("ann").await);
    let mut sender = Socket::open(&manager).await;
    let ids: Vec<String> = (0..100).map(|_| uuid_v7()).collect();
    for round in 0..2 {
        for (n, id) in ids.iter().enumerate() {
            sender.send(&notice(id, to_user(&ann), n)).await;
        }
        for id in &ids {
            assert_eq!(sender.expect("msg_receipt").await["id"], json!(id), "round {round}: receipts in order");
        }
    }
    let mut receiver = inbox(&ann).await;
    for n in 0..ids.len() {
        let message = receiver.expect("msg").await;
        assert_eq!(message["payload"]["n"], n);
        acknowledge(&mut receiver, &message).await;
    }
    eventually(|| async { due(&ann).await.is_empty().then_some(()) }).await;
    let other = notice(&ids[0], to_user(&ann), 999);
    sender.send(&other).await;
    let error = sender.receive().await;
    assert_eq!(
        (&error["problem"]["code"], &error["problem"]["message_id"]),
        (&json!("already_exists"), &json!(ids[0]))
    );
}

#[tokio::test]
async fn rtr_3_rtr_4_who_was_away_gets_everything_the_most_urgent_first_also_after_a_restart() {
    let world = World::start().await;
    let (owner, ann) = (world.user("owner").await, world.user("ann").await);
    for (n, priority) in ["normal", "normal", "high"].into_iter().enumerate() {
        post(&owner, to_user(&ann), priority, n).await;
    }
    let alert = json!({"message_type": "alert", "to": {"workspace": true}, "payload": {"n": 3}});
    owner.post("/api/messages", &alert).await.expect(201);
    assert_eq!(due(&ann).await, [3, 2, 0, 1].map(Value::from));
    let world = world.restart().await;
    let ann = world.http().try_login(&ann.email, super::support::PASSWORD, &ann.device_id).await.expect(200);
    let ann = User::new(world.http(), "ann@acme.example", &ann);
    let mut receiver = inbox(&ann).await;
    for n in [3, 2, 0, 1] {
        assert_eq!(receiver.expect("msg").await["payload"]["n"], n);
    }
}

#[tokio::test]
async fn msg_6_no_more_than_the_window_is_on_its_way_and_a_critical_message_goes_past_it() {
    let world = World::start().await;
    let (owner, ann) = (world.user("owner").await, world.user("ann").await);
    for n in 0..40 {
        post(&owner, to_user(&ann), "normal", n).await;
    }
    let mut receiver = inbox(&ann).await;
    let mut first = Vec::new();
    for _ in 0..32 {
        first.push(receiver.expect("msg").await);
    }
    receiver.send(&json!({"type": "heartbeat"})).await;
    assert_eq!(receiver.receive().await["type"], "heartbeat_ack", "the window is full");
    let alert = json!({"message_type": "alert", "to": {"user": ann.user_id}, "payload": {"n": 99}});
    owner.post("/api/messages", &alert).await.expect(201);
    let urgent = receiver.expect("msg").await;
    assert_eq!(urgent["payload"]["n"], 99);
    for message in first.iter().chain([&urgent]) {
        acknowledge(&mut receiver, message).await;
    }
    for n in 32..40 {
        assert_eq!(receiver.expect("msg").await["payload"]["n"], n);
    }
}

#[tokio::test]
async fn msg_6_what_is_not_acknowledged_comes_again_on_the_same_connection_and_on_the_next() {
    let world = World::start_with(|config| config.messages.ack_timeout_ms = 100).await;
    let (manager, ann) = (world.user("manager").await, world.user("ann").await);
    let id = post(&manager, to_user(&ann), "normal", 1).await;
    let mut receiver = inbox(&ann).await;
    for _ in 0..2 {
        assert_eq!(receiver.expect("msg").await["id"], json!(id));
    }
    let mut next = inbox(&ann).await;
    let message = next.expect("msg").await;
    assert_eq!(message["id"], json!(id));
    next.send(&json!({"type": "msg_ack", "ids": []})).await;
    let error = loop {
        let frame = next.receive().await;
        if frame["type"] == "error" {
            break frame;
        }
    };
    assert_eq!(error["problem"]["code"], "malformed");
}

#[tokio::test]
async fn rtr_2_msg_2_what_may_not_be_sent_is_refused_by_both_doors() {
    let world = World::start().await;
    world.populate("other").await;
    let (ann, bob, owner) = (world.user("ann").await, world.user("bob").await, world.user("owner").await);
    let stranger = world.user_in("other", "ann").await;
    let cases = [
        (&ann, json!({"message_type": "nonsense", "to": to_user(&bob), "payload": {}}), 422, "validation"),
        (&ann, json!({"message_type": "notice", "to": to_user(&bob), "payload": {}}), 403, "forbidden"),
        (&ann, json!({"message_type": "note", "to": to_user(&bob), "payload": {}}), 422, "ref_missing"),
        (&owner, json!({"message_type": "note", "to": to_user(&stranger), "payload": {}}), 422, "ref_missing"),
        (
            &owner,
            json!({"message_type": "note", "to": {"device": stranger.device_id}, "payload": {}}),
            422,
            "ref_missing",
        ),
        (&owner, json!({"message_type": "note", "to": {"user": uuid_v7()}, "payload": {}}), 422, "ref_missing"),
        (&owner, json!({"message_type": "note", "to": to_user(&bob), "payload": 1}), 422, "validation"),
        (
            &owner,
            json!({"message_type": "note", "to": to_user(&bob), "payload": {}, "priority": "critical"}),
            422,
            "validation",
        ),
        (&owner, json!({"message_type": "note", "to": to_user(&bob), "payload": {}, "ttl_ms": 0}), 422, "validation"),
        (
            &owner,
            json!({"message_type": "note", "to": to_user(&bob), "payload": {"a": "x".repeat(17_000)}}),
            413,
            "too_large",
        ),
    ];
    for (sender, body, status, code) in cases {
        let problem = sender.post("/api/messages", &body).await.expect_problem(status, code);
        assert!(problem["message_id"].is_string() && problem["field"].is_string(), "{problem}");
        let mut frame = body.clone();
        (frame["type"], frame["id"]) = (json!("msg"), json!(uuid_v7()));
        let mut socket = Socket::open(sender).await;
        socket.send(&frame).await;
        let error = socket.receive().await;
        assert_eq!((&error["problem"]["code"], &error["problem"]["message_id"]), (&json!(code), &frame["id"]));
    }
    owner
        .post("/api/messages", &json!({"message_type": "note", "to": {}, "payload": {}}))
        .await
        .expect_problem(422, "validation");
}

#[tokio::test]
async fn auth_8_messages_of_another_workspace_are_neither_seen_nor_acknowledged() {
    let world = World::start().await;
    world.populate("other").await;
    let (owner, ann) = (world.user("owner").await, world.user("ann").await);
    let spy = world.user_in("other", "owner").await;
    let mut spying = inbox(&spy).await;
    let id = post(&owner, json!({"workspace": true}), "normal", 7).await;
    spy.post("/api/messages/ack", &json!({"ids": [id]})).await.expect(204);
    spying.send(&json!({"type": "msg_ack", "ids": [id]})).await;
    spying.send(&json!({"type": "heartbeat"})).await;
    assert_eq!(spying.receive().await["type"], "heartbeat_ack", "nothing came to it");
    assert_eq!(due(&ann).await, [json!(7)], "nobody else acknowledged it");
    spy.get(&format!("/api/messages/{id}")).await.expect_problem(404, "not_found");
    spy.post(&format!("/api/messages/{id}/replay"), &json!({})).await.expect_problem(404, "not_found");
    for path in ["?box=received", "?box=sent", "?box=all", "/dead-letters"] {
        let list = spy.get(&format!("/api/messages{path}")).await.expect(200);
        assert_eq!(list["items"], json!([]), "{path}");
    }
    ann.get("/api/messages?box=all").await.expect_problem(403, "forbidden");
    ann.get("/api/messages/dead-letters").await.expect_problem(403, "forbidden");
    ann.post(&format!("/api/messages/{id}/replay"), &json!({})).await.expect_problem(403, "forbidden");
    world.http().get("/api/messages").await.expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn rtr_4_msg_8_what_runs_out_is_a_dead_letter_that_an_admin_sends_again() {
    let world = World::start().await;
    let (owner, ann) = (world.user("owner").await, world.user("ann").await);
    let body = json!({"message_type": "notice", "to": to_user(&ann), "payload": {"n": 1}, "ttl_ms": 1});
    let mut sender = inbox(&owner).await;
    let id = text(&owner.post("/api/messages", &body).await.expect(201), "id").to_owned();
    let list = eventually(|| async {
        let list = owner.get("/api/messages/dead-letters").await.expect(200);
        (!list["items"].as_array().unwrap().is_empty()).then_some(list)
    });
    assert_eq!(list.await["items"][0]["id"], json!(id));
    assert_eq!(sender.expect("msg_receipt").await["state"], "expired");
    let mut receiver = inbox(&ann).await;
    receiver.send(&json!({"type": "heartbeat"})).await;
    assert_eq!(receiver.receive().await["type"], "heartbeat_ack", "it is not delivered any more");
    owner.post(&format!("/api/messages/{id}/replay"), &json!({"ttl_ms": 60_000})).await.expect(204);
    let message = receiver.expect("msg").await;
    assert_eq!(message["id"], json!(id));
    acknowledge(&mut receiver, &message).await;
    assert_eq!(sender.expect("msg_receipt").await["state"], "acknowledged");
    owner.post(&format!("/api/messages/{id}/replay"), &json!({})).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn msg_9_a_live_message_goes_to_who_is_connected_and_nobody_else() {
    let world = World::start().await;
    let (ann, bob) = (world.user("ann").await, world.user("bob").await);
    let mut closed = Socket::open(&bob).await;
    let mut open = inbox(&bob).await;
    open.send(&json!({"type": "sub", "topic": "board/1"})).await;
    open.expect("subscribed").await;
    let mut sender = Socket::open(&ann).await;
    let signal = |to: Value| json!({"type": "msg", "id": uuid_v7(), "message_type": "signal", "to": to, "payload": {"is": "typing"}});
    let direct = signal(to_user(&bob));
    sender.send(&direct).await;
    assert_eq!(open.expect("msg").await["id"], direct["id"]);
    let topic = signal(json!({"topic": "board/1"}));
    sender.send(&topic).await;
    assert_eq!(open.expect("msg").await["id"], topic["id"]);
    closed.send(&json!({"type": "heartbeat"})).await;
    assert_eq!(closed.receive().await["type"], "heartbeat_ack", "who opened no inbox gets nothing");
    sender.send(&signal(json!({"topic": format!("user/{}", user_id("acme", "bob"))}))).await;
    assert_eq!(sender.receive().await["problem"]["code"], "forbidden");
    assert_eq!(due(&bob).await, Vec::<Value>::new(), "it is stored nowhere");
    let body = json!({"message_type": "signal", "to": to_user(&bob), "payload": {}});
    assert_eq!(ann.post("/api/messages", &body).await.expect(202)["connections"], 1);
}

#[tokio::test]
async fn api_2_history_comes_in_pages_and_a_device_that_appears_later_gets_what_is_due() {
    let world = World::start().await;
    let (owner, ann) = (world.user("owner").await, world.user("ann").await);
    for n in 0..5 {
        post(&owner, to_user(&ann), "normal", n).await;
    }
    let mut seen = Vec::new();
    let mut path = "/api/messages?box=received&limit=2".to_owned();
    loop {
        let page = ann.get(&path).await.expect(200);
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["payload"]["n"].clone()));
        match page["next"].as_str() {
            Some(next) => path = format!("/api/messages?box=received&limit=2&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, [4, 3, 2, 1, 0].map(Value::from));
    for wrong in ["box=mine", "after=x", "limit=0", "colour=red"] {
        ann.get(&format!("/api/messages?{wrong}")).await.expect_problem(422, "validation");
    }
    let again = world.user("ann").await;
    assert_ne!(again.device_id, ann.device_id);
    assert_eq!(due(&again).await, [0, 1, 2, 3, 4].map(Value::from));
    let types = ann.get("/api/messages/types").await.expect(200);
    assert_eq!(types["note"]["persistence"], "stored");
    let metrics = world.http().get("/metrics").await.text;
    assert!(
        metrics.contains("message_routing_total{step=\"stored\",priority=\"normal\",status=\"ok\"} 5"),
        "{metrics}"
    );
    let records = ann.get("/api/records/messages").await.expect(200);
    assert!(records["items"].is_array(), "the records of the entity of that name have another address: {records}");
}

#[tokio::test]
async fn rev_1_msg_6_who_is_no_member_any_more_opens_no_inbox() {
    let world = World::start().await;
    let (owner, manager, ann) = (world.user("owner").await, world.user("manager").await, world.user("ann").await);
    post(&manager, to_user(&ann), "normal", 1).await;
    // Her token is good for a while yet.
    owner.patch(&format!("/api/admin/members/{}", ann.user_id), &json!({"status": "revoked"})).await.expect(200);
    let mut socket = inbox(&ann).await;
    assert_eq!(socket.receive().await["type"], "purge");
    assert_eq!(socket.closed().await, 4601, "and nothing came before");
}

#[tokio::test]
async fn rtr_1_one_sender_can_neither_flood_a_workspace_nor_fill_it() {
    let world = World::start_with(|config| {
        (config.messages.kept_max, config.messages.sender_kept_percent) = (1_000, 1);
        (config.messages.sends_per_minute, config.messages.sends_burst) = (1, 12);
    })
    .await;
    let (ann, manager) = (world.user("ann").await, world.user("manager").await);
    let send = async |from: &crate::support::User| {
        let to = json!({"user": from.user_id});
        let message = json!({"id": uuid_v7(), "message_type": "note", "to": to, "payload": {"text": "x"}});
        from.post("/api/messages", &message).await
    };
    for _ in 0..10 {
        send(&ann).await.expect(201);
    }
    let full = send(&ann).await.expect_problem(503, "overloaded");
    assert!(text(&full, "message").contains("of yours"), "{full}");
    send(&manager).await.expect(201);
    // Twelve at once, of which one that was refused.
    send(&ann).await.expect_problem(503, "overloaded");
    let problem = send(&ann).await.expect_problem(429, "rate_limited");
    assert!(problem["retry_ms"].as_u64().unwrap() > 1_000, "{problem}");
    send(&manager).await.expect(201);
}

#[tokio::test]
async fn msg_4_nothing_overtakes_a_message_that_was_refused_for_now() {
    let world = World::start_with(|config| {
        (config.messages.sends_per_minute, config.messages.sends_burst) = (600, 12);
    })
    .await;
    let (manager, ann) = (world.user("manager").await, world.user("ann").await);
    let ids: Vec<String> = (0..60).map(|_| uuid_v7()).collect();
    let mut is_stored = vec![false; ids.len()];
    let mut refusals = 0;
    // As the spec asks of a sender: everything without a receipt again, in order, on a new connection.
    while is_stored.contains(&false) {
        let mut sender = Socket::open(&manager).await;
        for (n, id) in ids.iter().enumerate().filter(|(n, _)| !is_stored[*n]) {
            sender.send(&notice(id, to_user(&ann), n)).await;
        }
        while is_stored.contains(&false) {
            let Ok(frame) = sender.next().await else { break };
            let id = frame["id"].as_str().or_else(|| frame["problem"]["message_id"].as_str()).unwrap_or_default();
            let n = ids.iter().position(|each| each == id).unwrap();
            if frame["type"] == "msg_receipt" {
                is_stored[n] = true;
            } else {
                assert_eq!(frame["problem"]["code"], "rate_limited", "{frame}");
                refusals += 1;
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    }
    assert!(refusals > 0, "the sender was never too fast: this shows nothing");
    let mut receiver = inbox(&ann).await;
    for n in 0..ids.len() {
        let message = receiver.expect("msg").await;
        assert_eq!(message["payload"]["n"], n, "a message has overtaken another");
        acknowledge(&mut receiver, &message).await;
    }
}
