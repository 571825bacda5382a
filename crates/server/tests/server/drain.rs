use serde_json::json;

use crate::support::{Socket, World, create_contact, text, uuid_v7};

#[tokio::test]
async fn hub_6_draining_says_goodbye_with_spread_hints_after_the_pushes_under_way() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let mut sockets = Vec::new();
    for _ in 0..5 {
        let mut socket = Socket::open(&ann).await;
        socket.hello().await;
        let frame = socket.push_frame((0..20).map(|n| create_contact(&uuid_v7(), &n.to_string())).collect());
        socket.send(&frame).await;
        // Answered means taken up: what is not taken up yet when the server stops is pushed again.
        socket.expect("outcomes").await;
        let frame = socket.push_frame(vec![create_contact(&uuid_v7(), "last")]);
        socket.send(&frame).await;
        sockets.push(socket);
    }
    let World { server, data, database } = world;
    let stopping = tokio::spawn(server.stop());
    let mut hints = Vec::new();
    for socket in &mut sockets {
        let goodbye = socket.expect("goodbye").await;
        hints.push(goodbye["retry_ms"].as_u64().unwrap());
        assert_eq!(socket.closed().await, 4400);
    }
    stopping.await.unwrap();
    hints.sort_unstable();
    hints.dedup();
    assert!(hints.len() > 1 && hints.iter().all(|hint| (500..=5_000).contains(hint)), "{hints:?}");
    drop((data, database));
}

#[tokio::test]
async fn hub_6_the_exit_is_bounded_although_a_peer_does_not_read() {
    let world = World::start_with(|config| config.http.drain_ms = 500).await;
    let (ann, owner) = (world.user("ann").await, world.user("owner").await);
    let mut socket = Socket::open(&ann).await;
    socket.hello().await;
    let notes = "x".repeat(15_000);
    let operations: Vec<_> = (0..60).map(|_| json!({"op": "create", "fields": {"notes": notes}})).collect();
    for _ in 0..10 {
        owner.post("/api/contacts/bulk", &json!({"operations": operations})).await.expect(200);
    }
    let stopped = tokio::time::timeout(crate::support::PATIENCE, world.server.stop()).await;
    assert!(stopped.is_ok(), "the server did not stop");
}

#[tokio::test]
async fn psh_5_what_was_answered_is_there_after_a_restart() {
    let world = World::start().await;
    let mut socket = Socket::open(&world.user("ann").await).await;
    let (welcome, _) = socket.hello().await;
    let ids: Vec<_> = (0..30).map(|_| uuid_v7()).collect();
    let frame = socket.push_frame(ids.iter().map(|id| create_contact(id, "kept")).collect());
    socket.send(&frame).await;
    socket.expect("outcomes").await;
    let world = world.restart().await;
    let ann = world.user("ann").await;
    for id in &ids {
        assert_eq!(text(&ann.get(&format!("/api/contacts/{id}")).await.expect(200), "firstname"), "kept");
    }
    let status = ann.get("/api/sync/status").await.expect(200);
    assert_eq!((&status["backend_id"], &status["epoch"]), (&welcome["backend_id"], &welcome["epoch"]));
}

#[tokio::test]
async fn one_directory_of_data_serves_one_server() {
    let world = World::start_with(|config| config.store.database_url = None).await;
    let mut config = syncline_server::Config::default();
    config.http.port = 0;
    config.store.data_dir = world.data.path().to_owned();
    let schema = std::sync::Arc::new(syncline_core::schema::Schema::crm());
    let second = syncline_server::Server::start(config, schema).await;
    assert!(second.err().unwrap().to_string().contains("another server"));
    world.http().get("/health").await.expect(200);
}

#[tokio::test]
async fn the_demo_is_the_same_at_every_start() {
    let world = World::empty(|_| {}).await;
    assert!(syncline_server::demo::ensure(world.server.app()).await.unwrap());
    let user = world.http().login("demo@syncline.dev", syncline_server::demo::PASSWORD).await;
    let head = user.get("/api/sync/status").await.expect(200)["head"].clone();
    let leads = user.get("/api/leads?limit=500&fields=id").await.expect(200);
    assert_eq!(leads["items"].as_array().unwrap().len(), 200);
    let world = world.restart().await;
    assert!(!syncline_server::demo::ensure(world.server.app()).await.unwrap());
    let user = world.http().login("demo@syncline.dev", syncline_server::demo::PASSWORD).await;
    assert_eq!(user.get("/api/sync/status").await.expect(200)["head"], head);
    for (email, visible) in [("agent1@syncline.dev", 200), ("agent2@syncline.dev", 100)] {
        let agent = world.http().login(email, syncline_server::demo::PASSWORD).await;
        let leads = agent.get("/api/leads?limit=500&fields=id").await.expect(200);
        assert_eq!(leads["items"].as_array().unwrap().len(), visible, "{email}");
    }
}
