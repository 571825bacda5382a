use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Socket, World, create_contact, error_code, mentions, text, uuid_v7};

#[tokio::test]
async fn ses_1_a_token_in_the_upgrade_or_as_the_first_frame_opens_a_session() {
    let world = World::start().await;
    let user = world.user("ann").await;
    Socket::open(&user).await.hello().await;
    let mut socket = Socket::open_anonymous(&user.http).await;
    socket.send(&json!({"type": "auth", "token": user.access_token})).await;
    let mut hello = socket.hello_frame();
    hello["device_id"] = json!(user.device_id);
    socket.send(&hello).await;
    socket.expect("welcome").await;
}

#[tokio::test]
async fn ses_1_without_a_credential_in_time_the_socket_is_closed_with_4401() {
    let world = World::start_with(|config| config.sockets.auth_deadline_ms = 100).await;
    let mut socket = Socket::open_anonymous(&world.http()).await;
    assert_eq!(error_code(&socket.receive().await), "unauthenticated");
    assert_eq!(socket.closed().await, 4401);
}

#[tokio::test]
async fn ses_1_a_refused_credential_closes_with_4406_and_in_the_upgrade_with_401() {
    let world = World::start().await;
    let mut socket = Socket::open_anonymous(&world.http()).await;
    socket.send(&json!({"type": "auth", "token": "nonsense"})).await;
    assert_eq!(error_code(&socket.receive().await), "unauthenticated");
    assert_eq!(socket.closed().await, 4406);
    let path = format!("/ws/web_app/{}", uuid_v7());
    let refused = Socket::try_open(&world.http(), &path, Some("nonsense")).await.err().unwrap();
    assert!(refused.to_string().contains("401"), "{refused}");
}

#[tokio::test]
async fn ses_1_anything_but_auth_before_a_credential_ends_the_session() {
    let world = World::start().await;
    let mut socket = Socket::open_anonymous(&world.http()).await;
    let mut hello = socket.hello_frame();
    hello["device_id"] = json!(uuid_v7());
    socket.send(&hello).await;
    assert_eq!(error_code(&socket.receive().await), "unauthenticated");
    assert_eq!(socket.closed().await, 4406);
}

#[tokio::test]
async fn ses_1_an_expired_token_ends_the_session_unless_auth_brings_a_fresh_one() {
    let secret = "a test secret of at least 32 bytes";
    let world = World::start_with(|config| config.tokens.secret_key = Some(secret.into())).await;
    let user = world.user("ann").await;
    let mut claims: serde_json::Value = jsonwebtoken::dangerous::insecure_decode(&user.access_token).unwrap().claims;
    claims["exp"] = json!(syncline_server::clock::now_ms() / 1_000 + 2);
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    let brief = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap();
    let brief = crate::support::User { access_token: brief, ..user.clone() };
    let (mut left, mut renewed) = (Socket::open(&brief).await, Socket::open(&brief).await);
    renewed.send(&json!({"type": "auth", "token": user.access_token})).await;
    assert_eq!(error_code(&left.receive().await), "token_expired");
    assert_eq!(left.closed().await, 4401);
    renewed.hello().await;
    let other = world.user("bob").await;
    renewed.send(&json!({"type": "auth", "token": other.access_token})).await;
    assert_eq!(error_code(&renewed.receive().await), "forbidden");
    assert_eq!(renewed.closed().await, 4406);
}

#[tokio::test]
async fn hub_1_another_deployment_mode_is_refused_with_a_clear_400() {
    let world = World::start().await;
    let answer = world.http().get(&format!("/ws/toaster/{}", uuid_v7())).await;
    let problem = answer.expect_problem(400, "malformed");
    assert!(text(&problem, "message").contains("web_app"), "{problem}");
    world.http().get("/ws/web_app/not-a-uuid").await.expect_problem(400, "malformed");
    let plain = world.http().get(&format!("/ws/web_app/{}", uuid_v7())).await;
    plain.expect_problem(426, "malformed");
}

#[tokio::test]
async fn hub_4_over_the_limit_of_a_mode_the_upgrade_is_refused_with_a_retry_hint() {
    let world = World::start_with(|config| config.sockets.connections_max = 1).await;
    let user = world.user("ann").await;
    let mut first = Socket::open(&user).await;
    first.hello().await;
    let path = format!("/ws/local_install/{}", uuid_v7());
    let refused = Socket::try_open(&user.http, &path, Some(&user.access_token)).await.err().unwrap();
    assert!(refused.to_string().contains("503"), "{refused}");
    let other_mode = format!("/ws/web_app/{}", uuid_v7());
    Socket::try_open(&user.http, &other_mode, Some(&user.access_token)).await.unwrap();
    drop(first);
    crate::support::eventually(|| async { Socket::try_open(&user.http, &path, Some(&user.access_token)).await.ok() })
        .await;
}

#[tokio::test]
async fn hub_4_over_the_limit_of_the_node_the_upgrade_is_refused_in_every_mode() {
    let world = World::start_with(|config| {
        (config.sockets.connections_max, config.sockets.node_connections_max) = (1, 1);
    })
    .await;
    let user = world.user("ann").await;
    let first = Socket::open(&user).await;
    let path = format!("/ws/web_app/{}", uuid_v7());
    let refused = Socket::try_open(&user.http, &path, Some(&user.access_token)).await.err().unwrap();
    assert!(refused.to_string().contains("503"), "{refused}");
    drop(first);
    crate::support::eventually(|| async { Socket::try_open(&user.http, &path, Some(&user.access_token)).await.ok() })
        .await;
}

#[tokio::test]
async fn hub_4_silent_sockets_have_a_pool_of_their_own_and_make_room_for_new_ones() {
    let world = World::start_with(|config| config.sockets.unauthenticated_max = 2).await;
    let user = world.user("ann").await;
    let mut oldest = Socket::open_anonymous(&user.http).await;
    let _second = Socket::open_anonymous(&user.http).await;
    let path = format!("/ws/local_install/{}", uuid_v7());
    Socket::open(&user).await.hello().await;
    // Whoever is refused first is let in once the oldest has had its second.
    crate::support::eventually(|| async { Socket::try_open(&user.http, &path, None).await.ok() }).await;
    assert_eq!(error_code(&oldest.receive().await), "overloaded");
    assert_eq!(oldest.closed().await, 4403);
}

#[tokio::test]
async fn hub_4_whoever_authenticates_when_its_mode_is_full_is_told_to_come_back() {
    let world = World::start_with(|config| config.sockets.connections_max = 1).await;
    let user = world.user("ann").await;
    let mut first = Socket::open_anonymous(&user.http).await;
    let mut second = Socket::open_anonymous(&user.http).await;
    let auth = json!({"type": "auth", "token": user.access_token});
    first.send(&auth).await;
    let hello = first.hello_frame();
    first.send(&hello).await;
    first.receive().await;
    second.send(&auth).await;
    let error = second.receive().await;
    assert_eq!(error_code(&error), "overloaded");
    assert!(error["problem"]["retry_ms"].as_u64().unwrap() > 0, "{error}");
    assert_eq!(second.closed().await, 4403);
}

#[tokio::test]
async fn hub_4_one_user_takes_only_so_many_places_and_a_client_may_always_come_back() {
    let world = World::start_with(|config| config.sockets.user_connections_max = 2).await;
    let (ann, bob) = (world.user("ann").await, world.user("bob").await);
    let (mut first, _second) = (Socket::open(&ann).await, Socket::open(&ann).await);
    let mut third = Socket::open(&ann).await;
    assert_eq!(error_code(&third.receive().await), "overloaded");
    assert_eq!(third.closed().await, 4403);
    Socket::open(&bob).await.hello().await;
    let mut again = Socket::open_as(&ann, &first.client_id.clone()).await;
    again.hello().await;
    assert_eq!(first.closed().await, 4404);
}

#[tokio::test]
async fn hub_4_a_websocket_keeps_its_place_among_the_open_connections() {
    let world = World::start_with(|config| {
        config.http.connections_max = 16;
        let sockets = &mut config.sockets;
        (sockets.connections_max, sockets.node_connections_max, sockets.unauthenticated_max) = (14, 14, 1);
    })
    .await;
    let user = world.user("ann").await;
    let mut open = Vec::new();
    for _ in 0..14 {
        open.push(Socket::open(&user).await);
    }
    // The sign-in has left a connection open, so that one place is left.
    let ask = async |stream: &mut TcpStream| {
        stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
    };
    let mut last = TcpStream::connect(user.http.address).await.unwrap();
    ask(&mut last).await;
    let mut waiting = TcpStream::connect(user.http.address).await.unwrap();
    let mut asking = std::pin::pin!(ask(&mut waiting));
    let answered = tokio::time::timeout(Duration::from_millis(500), &mut asking).await;
    assert!(answered.is_err(), "more connections than may be open were served");
    open.pop();
    tokio::time::timeout(crate::support::PATIENCE, asking).await.expect("there is room again");
}

#[tokio::test]
async fn ses_3_the_welcome_lists_every_granted_scope_and_the_catch_up_brings_it() {
    let world = World::start().await;
    let (owner, ann) = (world.user("owner").await, world.user("ann").await);
    let shared = owner.contact(json!({"firstname": "Shared"})).await;
    let own = owner.contact(json!({"firstname": "Own", "assigned_to": ann.user_id})).await;
    let bob = world.user("bob").await;
    let foreign = owner.contact(json!({"firstname": "Foreign", "assigned_to": bob.user_id})).await;
    let (welcome, ops) = Socket::open(&ann).await.hello().await;
    let scopes: Vec<_> = welcome["scopes"].as_array().unwrap().iter().map(|scope| text(scope, "id")).collect();
    assert_eq!(scopes, [&format!("owner:{}", ann.user_id), "workspace"]);
    assert_eq!((&welcome["role"], &welcome["window"]), (&json!("agent"), &json!(4)));
    assert!(welcome["lease_until_ms"].as_u64().unwrap() > welcome["server_ms"].as_u64().unwrap());
    let ops = json!(ops);
    assert!(mentions(&ops, text(&shared, "id")) && mentions(&ops, text(&own, "id")));
    assert!(!mentions(&ops, text(&foreign, "id")));
}

#[tokio::test]
async fn ses_4_stored_outcomes_come_after_the_welcome() {
    let world = World::start().await;
    let user = world.user("ann").await;
    let mut socket = Socket::open(&user).await;
    socket.hello().await;
    let outcome = socket.push(create_contact(&uuid_v7(), "Eve")).await;
    assert_eq!(outcome["outcome"], "applied");
    let mut again = Socket::open_as(&user, &socket.client_id).await;
    let hello = again.hello_frame();
    again.send(&hello).await;
    let welcome = again.receive().await;
    assert_eq!((&welcome["type"], &welcome["applied_client_seq"]), (&json!("welcome"), &json!(1)));
    let stored = again.receive().await;
    assert_eq!((&stored["type"], &stored["outcomes"][0]), (&json!("outcomes"), &outcome));
}

#[tokio::test]
async fn ses_5_without_a_common_version_the_session_ends_with_4600() {
    let world = World::start().await;
    let mut socket = Socket::open(&world.user("ann").await).await;
    let mut hello = socket.hello_frame();
    hello["proto"] = json!([7, 9]);
    socket.send(&hello).await;
    assert_eq!(error_code(&socket.receive().await), "proto_unsupported");
    assert_eq!(socket.closed().await, 4600);
}

#[tokio::test]
async fn ses_7_heartbeats_are_answered_and_a_silent_peer_is_closed_with_4402() {
    let silent = |config: &mut syncline_server::Config| {
        config.sockets.heartbeat_ms = 1_000;
        config.sockets.connection_timeout_ms = 1_100;
    };
    let world = World::start_with(silent).await;
    let mut socket = Socket::open(&world.user("ann").await).await;
    socket.send(&json!({"type": "heartbeat"})).await;
    assert!(socket.expect("heartbeat_ack").await["server_ms"].as_u64().unwrap() > 0);
    assert_eq!(socket.closed().await, 4402);
}

#[tokio::test]
async fn ses_8_a_newer_connection_of_the_same_client_replaces_the_older_one() {
    let world = World::start().await;
    let user = world.user("ann").await;
    let mut older = Socket::open(&user).await;
    older.hello().await;
    let mut newer = Socket::open_as(&user, &older.client_id.clone()).await;
    newer.hello().await;
    assert_eq!(older.closed().await, 4404);
    newer.push(create_contact(&uuid_v7(), "Eve")).await;
}

#[tokio::test]
async fn id_2_a_client_id_belongs_to_the_user_and_device_that_used_it() {
    let world = World::start().await;
    let (ann, bob) = (world.user("ann").await, world.user("bob").await);
    let mut socket = Socket::open(&ann).await;
    socket.hello().await;
    socket.push(create_contact(&uuid_v7(), "Eve")).await;
    let mut thief = Socket::open_as(&bob, &socket.client_id.clone()).await;
    assert_eq!(error_code(&thief.receive().await), "forbidden");
    assert_eq!(thief.closed().await, 4602);
    let client_id = socket.client_id.clone();
    socket.push(create_contact(&uuid_v7(), "still open")).await;
    drop(socket);
    let mut late = crate::support::eventually(|| async {
        let mut late = Socket::open_as(&bob, &client_id).await;
        late.send(&json!({"type": "heartbeat"})).await;
        late.next().await.is_ok_and(|frame| frame["type"] == "heartbeat_ack").then_some(late)
    })
    .await;
    let frame = late.push_frame(vec![create_contact(&uuid_v7(), "stolen")]);
    late.send(&frame).await;
    assert_eq!(error_code(&late.receive().await), "forbidden");
    late.send(&json!({"type": "ack", "seq": 0, "outcomes_upto": 2})).await;
    let hello = late.hello_frame();
    late.send(&hello).await;
    assert_eq!(error_code(&late.receive().await), "forbidden", "neither welcome nor outcomes");
    assert_eq!(late.closed().await, 4602);
}

#[tokio::test]
async fn ses_2_a_hello_that_contradicts_its_connection_is_malformed() {
    let world = World::start().await;
    let mut socket = Socket::open(&world.user("ann").await).await;
    for (member, value) in
        [("client_id", uuid_v7()), ("device_id", uuid_v7()), ("deployment_mode", "web_app".to_owned())]
    {
        let mut hello = socket.hello_frame();
        hello[member] = json!(value);
        socket.send(&hello).await;
        assert_eq!(error_code(&socket.receive().await), "malformed", "{member}");
    }
    socket.hello().await;
}

#[tokio::test]
async fn epo_4_a_replica_of_another_backend_is_stopped_with_4602() {
    let world = World::start().await;
    let mut socket = Socket::open(&world.user("ann").await).await;
    let mut hello = socket.hello_frame();
    hello["backend_id"] = json!(uuid_v7());
    socket.send(&hello).await;
    assert_eq!(error_code(&socket.receive().await), "backend_mismatch");
    assert_eq!(socket.closed().await, 4602);
}

#[tokio::test]
async fn psh_3_a_replay_gets_the_stored_outcome_and_psh_7_another_body_is_noticed() {
    let world = World::start().await;
    let mut socket = Socket::open(&world.user("ann").await).await;
    socket.hello().await;
    let mut frame = socket.push_frame(vec![create_contact(&uuid_v7(), "Eve")]);
    socket.send(&frame).await;
    let first = socket.expect("outcomes").await;
    socket.send(&frame).await;
    assert_eq!(socket.expect("outcomes").await, first);
    frame["mutations"][0]["mutation_id"] = json!(uuid_v7());
    socket.send(&frame).await;
    let refused = loop {
        let frame = socket.receive().await;
        if frame["type"] != "batch" {
            break frame;
        }
    };
    assert_eq!(error_code(&refused), "backend_mismatch");
}

#[tokio::test]
async fn psh_4_a_gap_is_answered_with_where_to_go_on() {
    let world = World::start().await;
    let mut socket = Socket::open(&world.user("ann").await).await;
    socket.hello().await;
    let mut frame = socket.push_frame(vec![create_contact(&uuid_v7(), "Eve")]);
    frame["mutations"][0]["client_seq"] = json!(7);
    socket.send(&frame).await;
    assert_eq!(socket.expect("out_of_order").await["expected"], 1);
}

#[tokio::test]
async fn psh_1_a_window_of_pushes_is_answered_in_order() {
    let world = World::start().await;
    let mut socket = Socket::open(&world.user("ann").await).await;
    socket.hello().await;
    for round in 0..20 {
        let mutations = (0..5).map(|n| create_contact(&uuid_v7(), &format!("{round}-{n}"))).collect();
        let frame = socket.push_frame(mutations);
        socket.send(&frame).await;
    }
    let mut seen = Vec::new();
    while seen.len() < 100 {
        let frame = socket.expect("outcomes").await;
        seen.extend(
            frame["outcomes"].as_array().unwrap().iter().map(|outcome| outcome["client_seq"].as_u64().unwrap()),
        );
    }
    assert_eq!(seen, (1..=100).collect::<Vec<_>>());
}

#[tokio::test]
async fn psh_1_empty_oversized_and_unordered_pushes_are_malformed() {
    let world = World::start().await;
    let mut socket = Socket::open(&world.user("ann").await).await;
    socket.hello().await;
    let empty = json!({"type": "push", "mutations": []});
    let many = socket.push_frame((0..101).map(|_| create_contact(&uuid_v7(), "x")).collect());
    let mut unordered = socket.push_frame(vec![create_contact(&uuid_v7(), "x"), create_contact(&uuid_v7(), "y")]);
    unordered["mutations"][1]["client_seq"] = json!(1);
    for frame in [empty, many, unordered] {
        socket.send(&frame).await;
        assert_eq!(error_code(&socket.receive().await), "malformed");
    }
}

#[tokio::test]
async fn rep_1_verify_and_fetch_are_answered_for_granted_scopes_only() {
    let world = World::start().await;
    let (owner, ann) = (world.user("owner").await, world.user("ann").await);
    let contact = owner.contact(json!({"firstname": "Shared"})).await;
    let mut socket = Socket::open(&ann).await;
    socket.hello().await;
    let everything = json!({
        "lo": "00000000-0000-0000-0000-000000000000", "hi": "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "digest": {"count": 0, "sum": "0000000000000000"},
    });
    socket.send(&json!({"type": "verify", "scope": "workspace", "ranges": [everything]})).await;
    let reply = socket.expect("verify_reply").await;
    assert!(mentions(&reply, text(&contact, "id")), "{reply}");
    let records = json!([["contacts", contact["id"]], ["contacts", uuid_v7()]]);
    socket.send(&json!({"type": "fetch", "scope": "workspace", "records": records})).await;
    let reply = socket.expect("records").await;
    assert_eq!(reply["records"].as_array().unwrap().len(), 1);
    let foreign = format!("owner:{}", owner.user_id);
    socket.send(&json!({"type": "verify", "scope": foreign, "ranges": []})).await;
    assert_eq!(error_code(&socket.receive().await), "forbidden");
    socket.send(&json!({"type": "fetch", "scope": foreign, "records": []})).await;
    assert_eq!(error_code(&socket.receive().await), "forbidden");
}

#[tokio::test]
async fn ses_6_acks_and_hellos_become_the_administrators_view_of_lag() {
    let world = World::start().await;
    let (owner, ann) = (world.user("owner").await, world.user("ann").await);
    let mut socket = Socket::open(&ann).await;
    let mut hello = socket.hello_frame();
    hello["pending_count"] = json!(3);
    hello["oldest_pending_age_ms"] = json!(5_000);
    socket.send(&hello).await;
    let welcome = socket.expect("welcome").await;
    let of_ann = |clients: &serde_json::Value| clients["items"].as_array().unwrap().first().cloned();
    let before = of_ann(&owner.get("/api/admin/clients").await.expect(200)).unwrap();
    assert_eq!((&before["pending_count"], &before["oldest_pending_ms"]), (&json!(3), &json!(5_000)));
    assert!(before["lag"].as_u64().unwrap() > 0);
    socket.send(&json!({"type": "ack", "seq": welcome["head"], "outcomes_upto": 0})).await;
    crate::support::eventually(|| async {
        let status = ann.get("/api/sync/status").await.expect(200);
        (status["clients"][0]["lag"] == 0).then_some(())
    })
    .await;
    ann.get("/api/admin/clients").await.expect_problem(403, "forbidden");
}
