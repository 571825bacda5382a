use std::sync::Arc;

use serde_json::{Value, json};
use syncline_server::app::CATCH_UP_KIB_MAX;

use crate::support::{Socket, World, create_contact, mentions, ops_of, text, uuid_v7};

/// Applies live batches to a cursor as BAT-1 says, until one mentions `id`; fails on a gap.
async fn follow_until(socket: &mut Socket, cursor: &mut u64, id: &str) -> Value {
    loop {
        let batch = socket.expect("batch").await;
        let (from, to) = (batch["from"].as_u64().unwrap(), batch["to"].as_u64().unwrap());
        assert!(from == *cursor || to <= *cursor, "cursor {cursor}, batch {from}..{to}");
        *cursor = (*cursor).max(to);
        if mentions(&batch["changes"], id) {
            return batch;
        }
    }
}

async fn joined(user: &crate::support::User) -> (Socket, u64) {
    let mut socket = Socket::open(user).await;
    let (welcome, _) = socket.hello().await;
    let head = welcome["head"].as_u64().unwrap();
    (socket, head)
}

#[tokio::test]
async fn bat_1_a_change_reaches_every_session_that_may_see_it_and_no_other() {
    let world = World::start().await;
    let (owner, ann, bob) = (world.user("owner").await, world.user("ann").await, world.user("bob").await);
    let (mut of_owner, mut at_owner) = joined(&owner).await;
    let (mut of_ann, mut at_ann) = joined(&ann).await;
    let (mut of_bob, mut at_bob) = joined(&bob).await;
    let secret = uuid_v7();
    let ops = json!([{"op": "create", "entity": "contacts", "id": secret, "fields": {"firstname": "S", "assigned_to": ann.user_id}}]);
    assert_eq!(of_ann.push(ops).await["outcome"], "applied");
    let batch = follow_until(&mut of_ann, &mut at_ann, &secret).await;
    let by = &batch["changes"][0]["by"];
    assert_eq!(by, &json!([of_ann.client_id, 1]));
    let op = &ops_of(&batch)[0];
    assert_eq!((&op["op"], &op["scope"]), (&json!("put"), &json!(format!("owner:{}", ann.user_id))));
    follow_until(&mut of_owner, &mut at_owner, &secret).await;
    // Bob sees nothing of it; the next shared change is the next thing he gets, without a gap.
    let shared = uuid_v7();
    of_ann.push(create_contact(&shared, "Shared")).await;
    let batch = follow_until(&mut of_bob, &mut at_bob, &shared).await;
    assert!(!mentions(&batch, &secret), "{batch}");
    follow_until(&mut of_owner, &mut at_owner, &shared).await;
}

#[tokio::test]
async fn vew_3_the_author_is_brought_to_the_seq_of_an_outcome_without_visible_effects() {
    let world = World::start().await;
    let (ann, bob) = (world.user("ann").await, world.user("bob").await);
    let (mut of_ann, mut at_ann) = joined(&ann).await;
    let (mut of_bob, _) = joined(&bob).await;
    for _ in 0..3 {
        let ops =
            json!([{"op": "create", "entity": "contacts", "id": uuid_v7(), "fields": {"assigned_to": bob.user_id}}]);
        of_bob.push(ops).await;
    }
    let ops =
        json!([{"op": "update", "entity": "contacts", "id": uuid_v7(), "base_rv": 1, "fields": {"firstname": "x"}}]);
    let outcome = of_ann.push(ops).await;
    assert_eq!(outcome["outcome"], "rejected");
    let seq = outcome["seq"].as_u64().unwrap();
    while at_ann < seq {
        let batch = of_ann.expect("batch").await;
        assert_eq!(batch["from"].as_u64().unwrap(), at_ann);
        at_ann = batch["to"].as_u64().unwrap();
    }
    assert_eq!(at_ann, seq);
}

#[tokio::test]
async fn bat_1_sessions_of_one_audience_get_the_same_bytes() {
    let world = World::start().await;
    let owner = world.user("owner").await;
    let (mut one, _) = joined(&owner).await;
    let (mut two, _) = joined(&world.user("manager").await).await;
    owner.contact(json!({"firstname": "Same"})).await;
    assert_eq!(one.expect("batch").await, two.expect("batch").await);
}

#[tokio::test]
async fn hub_5_a_session_that_does_not_read_falls_behind_alone_and_is_caught_up() {
    // A ring that holds four of the frames below, and one that holds none.
    for bytes_max in [640 * 1024, 64 * 1024] {
        fall_behind(bytes_max).await;
    }
}

async fn fall_behind(bytes_max: usize) {
    let world = World::start_with(|config| config.sockets.ring_bytes_max = bytes_max).await;
    let owner = world.user("owner").await;
    let (mut slow, mut at_slow) = joined(&owner).await;
    let (mut quick, mut at_quick) = joined(&world.user("manager").await).await;
    let (mut author, _) = joined(&world.user("ann").await).await;
    let text = "x".repeat(15_000);
    let mut last = String::new();
    for _ in 0..40 {
        let mutations = (0..10).map(|_| {
            last = uuid_v7();
            json!([{"op": "create", "entity": "contacts", "id": last, "fields": {"notes": text}}])
        });
        let frame = author.push_frame(mutations.collect());
        author.send(&frame).await;
        author.expect("outcomes").await;
        follow_until(&mut quick, &mut at_quick, &last).await;
    }
    // 6 MB are more than the kernel's buffers hold: the slow one was not sent all of it live.
    follow_until(&mut slow, &mut at_slow, &last).await;
    assert_eq!(at_slow, at_quick);
}

#[tokio::test]
async fn bat_6_a_record_that_moves_into_view_comes_whole_and_one_that_moves_out_leaves() {
    let world = World::start().await;
    let (owner, ann, bob) = (world.user("owner").await, world.user("ann").await, world.user("bob").await);
    let contact = owner.contact(json!({"firstname": "Moving", "lastname": "Target", "assigned_to": ann.user_id})).await;
    let id = text(&contact, "id").to_owned();
    let (mut of_ann, mut at_ann) = joined(&ann).await;
    let (mut of_bob, mut at_bob) = joined(&bob).await;
    owner.patch(&format!("/api/contacts/{id}"), &json!({"assigned_to": bob.user_id})).await.expect(200);
    let left = follow_until(&mut of_ann, &mut at_ann, &id).await;
    assert!(ops_of(&left).iter().any(|op| op["op"] == "leave" && op["id"] == id.as_str()), "{left}");
    let came = follow_until(&mut of_bob, &mut at_bob, &id).await;
    let op = ops_of(&came).into_iter().find(|op| op["id"] == id.as_str()).unwrap();
    assert_eq!((&op["op"], &op["fields"]["lastname"]), (&json!("put"), &json!("Target")), "{came}");
}

#[tokio::test]
async fn bat_4_a_reconnect_brings_only_what_changed() {
    let world = World::start().await;
    let owner = world.user("owner").await;
    for n in 0..20 {
        owner.contact(json!({"firstname": format!("C{n}")})).await;
    }
    let contact = owner.contact(json!({"firstname": "Old", "lastname": "Name"})).await;
    let user = world.user("ann").await;
    let mut socket = Socket::open(&user).await;
    let (welcome, _) = socket.hello().await;
    drop(socket);
    let id = text(&contact, "id");
    owner.patch(&format!("/api/contacts/{id}"), &json!({"firstname": "New"})).await.expect(200);
    let mut socket = Socket::open(&user).await;
    let mut hello = socket.hello_frame();
    hello["epoch"] = welcome["epoch"].clone();
    hello["backend_id"] = welcome["backend_id"].clone();
    let held = |scope: &Value| json!({"id": scope["id"], "seq": welcome["head"], "digest": {"count": 1, "sum": "0000000000000001"}});
    hello["scopes"] = welcome["scopes"].as_array().unwrap().iter().map(held).collect();
    socket.send(&hello).await;
    let welcome = socket.expect("welcome").await;
    let ops = socket.catch_up(&welcome).await;
    let patches: Vec<_> = ops.iter().filter(|op| op["entity"] == "contacts").collect();
    assert_eq!(patches.len(), 1, "{patches:?}");
    assert_eq!((&patches[0]["op"], &patches[0]["fields"]["firstname"]), (&json!("patch"), &json!("New")));
    assert!(patches[0]["fields"].get("lastname").is_none());
}

#[tokio::test]
async fn syn_8_writes_over_rest_reach_sockets_and_the_other_way_round() {
    let world = World::start().await;
    let (owner, ann) = (world.user("owner").await, world.user("ann").await);
    let (mut socket, mut at) = joined(&ann).await;
    let contact = owner.contact(json!({"firstname": "Rest"})).await;
    follow_until(&mut socket, &mut at, text(&contact, "id")).await;
    let id = uuid_v7();
    socket.push(create_contact(&id, "Socket")).await;
    assert_eq!(owner.get(&format!("/api/contacts/{id}")).await.expect(200)["firstname"], "Socket");
}

#[tokio::test]
async fn hub_5_readers_that_leave_no_room_delay_nobody_else() {
    let world = World::start().await;
    let owner = world.user("owner").await;
    let (mut author, _) = joined(&world.user("ann").await).await;
    let text = "x".repeat(15_000);
    let mutations =
        (0..30).map(|_| json!([{"op": "create", "entity": "contacts", "id": uuid_v7(), "fields": {"notes": text}}]));
    for mutations in mutations.collect::<Vec<_>>().chunks(10) {
        let frame = author.push_frame(mutations.to_vec());
        author.send(&frame).await;
        author.expect("outcomes").await;
    }
    // As many bytes wait for slow readers as may.
    let kib = Arc::clone(&world.server.app().catch_up_kib);
    let taken = kib.acquire_many_owned(CATCH_UP_KIB_MAX).await.unwrap();
    // More than can be computed at a time: none of them keeps its turn while it waits for room.
    let mut waiting = Vec::new();
    for _ in 0..6 {
        let mut socket = Socket::open(&owner).await;
        let hello = socket.hello_frame();
        socket.send(&hello).await;
        waiting.push(socket);
    }
    for socket in &mut waiting {
        let welcome = socket.expect("welcome").await;
        let hows: Vec<_> = welcome["scopes"].as_array().unwrap().iter().map(|scope| &scope["plan"]["how"]).collect();
        assert!(hows.iter().all(|how| *how == "reconcile"), "{welcome}");
        let range = json!({"lo": "00000000-0000-0000-0000-000000000000", "hi": "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "digest": {"count": 0, "sum": "0000000000000000"}});
        socket.send(&json!({"type": "verify", "scope": "workspace", "ranges": [range]})).await;
        let reply = socket.expect("verify_reply").await;
        assert!(!reply["rows"].as_array().unwrap().is_empty(), "{reply}");
    }
    drop(taken);
    let (welcome, ops) = Socket::open(&owner).await.hello().await;
    assert!(mentions(&welcome["scopes"], "catch_up"), "{welcome}");
    assert!(ops.len() >= 30);
}
