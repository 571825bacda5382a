use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{PASSWORD, Socket, User, World, create_contact, error_code, text, uuid_v7};

/// The bound of REV-1.
const CUT_OFF: Duration = Duration::from_secs(5);

#[expect(clippy::disallowed_methods, reason = "a test that measures how long something takes")]
fn now() -> Instant {
    Instant::now()
}

#[tokio::test]
async fn rev_1_a_revoked_device_is_cut_off_and_rev_2_hands_over_what_is_pending() {
    let world = World::start().await;
    let (ann, other) = (world.user("ann").await, world.user("ann").await);
    let mut socket = Socket::open(&ann).await;
    socket.hello().await;
    let started = now();
    other.delete(&format!("/api/auth/devices/{}", ann.device_id)).await.expect(204);
    let purge = socket.expect("purge").await;
    assert!(started.elapsed() < CUT_OFF);
    assert_eq!(purge["code"], "device_revoked");
    let id = uuid_v7();
    let outcome = socket.push(create_contact(&id, "Unsent")).await;
    assert_eq!((&outcome["outcome"], &outcome["code"]), (&json!("rejected"), &json!("device_revoked")));
    assert_eq!(socket.closed().await, 4601);
    assert!(started.elapsed() < CUT_OFF);
    let owner = world.user("owner").await;
    owner.get(&format!("/api/contacts/{id}")).await.expect_problem(404, "not_found");
    let kept = owner.get("/api/admin/rejected").await.expect(200);
    assert_eq!(kept["items"][0]["rejected"]["ops"][0]["fields"]["firstname"], "Unsent");
}

#[tokio::test]
async fn rev_2_no_data_follows_a_purge_and_a_hello_does_not_reopen() {
    let world = World::start().await;
    let (ann, owner) = (world.user("ann").await, world.user("owner").await);
    let mut socket = Socket::open(&ann).await;
    socket.hello().await;
    owner.delete(&format!("/api/auth/devices/{}", ann.device_id)).await.expect(204);
    socket.expect("purge").await;
    owner.contact(json!({"firstname": "Later"})).await;
    socket.send(&json!({"type": "fetch", "scope": "workspace", "records": []})).await;
    assert_eq!(error_code(&socket.receive().await), "forbidden");
    let mut hello = socket.hello_frame();
    hello["pending_count"] = json!(1);
    socket.send(&hello).await;
    // The one pending mutation is the last: after it there is nothing to wait for.
    let outcome = socket.push(create_contact(&uuid_v7(), "Unsent")).await;
    assert_eq!(outcome["code"], "device_revoked");
    assert_eq!(socket.next().await.unwrap_err().map(|frame| frame.code.into()), Some(4601_u16));
}

#[tokio::test]
async fn rev_2_an_empty_outbox_ends_the_window_at_once() {
    let world = World::start().await;
    let (ann, owner) = (world.user("ann").await, world.user("owner").await);
    owner.delete(&format!("/api/auth/devices/{}", ann.device_id)).await.expect(204);
    let mut socket = Socket::open(&ann).await;
    assert_eq!(socket.receive().await["type"], "purge");
    let hello = socket.hello_frame();
    socket.send(&hello).await;
    let started = now();
    assert_eq!(socket.closed().await, 4601);
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn rev_3_refreshing_on_a_revoked_device_gives_a_token_for_the_deposit_only() {
    let world = World::start().await;
    let (ann, owner) = (world.user("ann").await, world.user("owner").await);
    owner.delete(&format!("/api/auth/devices/{}", ann.device_id)).await.expect(204);
    let problem = ann.refresh().await.expect_problem(403, "device_revoked");
    let deposit = User { access_token: text(&problem, "deposit_token").to_owned(), ..ann.clone() };
    deposit.get("/api/auth/validate").await.expect_problem(401, "unauthenticated");
    deposit.get("/api/contacts").await.expect_problem(401, "unauthenticated");
    let mut socket = Socket::open(&deposit).await;
    assert_eq!(socket.receive().await["type"], "purge");
    let outcome = socket.push(create_contact(&uuid_v7(), "Unsent")).await;
    assert_eq!(outcome["code"], "device_revoked");
}

#[tokio::test]
async fn rev_1_a_revoked_member_is_cut_off_on_every_device_and_door() {
    let world = World::start().await;
    let (one, two, owner) = (world.user("ann").await, world.user("ann").await, world.user("owner").await);
    let (mut first, mut second) = (Socket::open(&one).await, Socket::open(&two).await);
    first.hello().await;
    second.hello().await;
    let started = now();
    owner.delete(&format!("/api/admin/users/{}", one.user_id)).await.expect(204);
    for socket in [&mut first, &mut second] {
        socket.expect("purge").await;
    }
    assert!(started.elapsed() < CUT_OFF);
    let outcome = first.push(create_contact(&uuid_v7(), "Unsent")).await;
    assert_eq!((&outcome["outcome"], &outcome["code"]), (&json!("rejected"), &json!("device_revoked")));
    assert_eq!(second.closed().await, 4601);
    one.get("/api/contacts").await.expect_problem(401, "unauthenticated");
    let refreshed = two.refresh().await.expect_problem(403, "device_revoked");
    assert!(!text(&refreshed, "deposit_token").is_empty());
    let login = world.http().try_login(&one.email, PASSWORD, &uuid_v7()).await;
    login.expect_problem(401, "unauthenticated");
    // Back again: what was revoked was the membership, not the person.
    owner.patch(&format!("/api/admin/members/{}", one.user_id), &json!({"status": "active"})).await.expect(200);
    world.user("ann").await.get("/api/auth/validate").await.expect(200);
}

#[tokio::test]
async fn auth_6_signing_out_closes_the_open_sockets_of_that_sign_in() {
    let world = World::start().await;
    let (one, two) = (world.user("ann").await, world.user("ann").await);
    let (mut first, mut second) = (Socket::open(&one).await, Socket::open(&two).await);
    first.hello().await;
    second.hello().await;
    one.post("/api/auth/logout", &json!({})).await.expect(204);
    assert_eq!(first.closed().await, 4406);
    second.send(&json!({"type": "heartbeat"})).await;
    second.expect("heartbeat_ack").await;
    two.post("/api/auth/logout", &json!({"everywhere": true})).await.expect(204);
    assert_eq!(second.closed().await, 4406);
}

#[tokio::test]
async fn auth_6_a_connection_belongs_to_the_sign_in_whose_token_it_showed_last() {
    let world = World::start().await;
    let first = world.user("ann").await;
    let again = world.http().try_login(&first.email, PASSWORD, &first.device_id).await.expect(200);
    let second = User::new(world.http(), &first.email, &again);
    let mut socket = Socket::open(&first).await;
    socket.hello().await;
    socket.send(&json!({"type": "auth", "token": second.access_token})).await;
    socket.send(&json!({"type": "heartbeat"})).await;
    socket.expect("heartbeat_ack").await;
    first.post("/api/auth/logout", &json!({})).await.expect(204);
    socket.send(&json!({"type": "heartbeat"})).await;
    socket.expect("heartbeat_ack").await;
    second.post("/api/auth/logout", &json!({})).await.expect(204);
    assert_eq!(socket.closed().await, 4406);
}

#[tokio::test]
async fn rev_1_a_peer_that_does_not_read_is_cut_off_all_the_same() {
    let world = World::start().await;
    let (ann, owner) = (world.user("ann").await, world.user("owner").await);
    let mut socket = Socket::open(&ann).await;
    socket.hello().await;
    let notes = "x".repeat(15_000);
    let operations: Vec<_> = (0..60).map(|_| json!({"op": "create", "fields": {"notes": notes}})).collect();
    for _ in 0..10 {
        owner.post("/api/contacts/bulk", &json!({"operations": operations})).await.expect(200);
    }
    owner.delete(&format!("/api/auth/devices/{}", ann.device_id)).await.expect(204);
    let active = || async { world.server.app().hub.connections.active() };
    let started = now();
    crate::support::eventually(|| async { (active().await == 0).then_some(()) }).await;
    assert!(started.elapsed() < CUT_OFF);
}
