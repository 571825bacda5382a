use reqwest::Method;
use serde_json::json;

use crate::support::{World, text};

#[tokio::test]
async fn api_5_every_error_is_a_problem_with_the_request_id() {
    let world = World::start().await;
    let (http, ann) = (world.http(), world.user("ann").await);
    http.get("/nope").await.expect_problem(404, "not_found");
    http.get("/api").await.expect_problem(404, "not_found");
    let answer = http.send(http.request(Method::DELETE, "/health")).await;
    answer.expect_problem(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), "GET,HEAD");
    ann.send(ann.request(Method::PUT, "/api/contacts")).await.expect_problem(405, "method_not_allowed");
    http.get("/api/contacts").await.expect_problem(401, "unauthenticated");
    http.post("/api/auth/login", &json!({"email": "x"})).await.expect_problem(422, "validation");
    http.post("/api/auth/login", &json!({"email": "x", "password": "y", "admin": true}))
        .await
        .expect_problem(422, "validation");
    let plain = http.request(Method::POST, "/api/auth/login").body("{}");
    http.send(plain).await.expect_problem(415, "malformed");
    let encoded = http.request(Method::POST, "/api/auth/login").header("content-encoding", "gzip").json(&json!({}));
    http.send(encoded).await.expect_problem(415, "malformed");
}

#[tokio::test]
async fn api_5_a_request_id_is_taken_over_when_it_is_plain() {
    let world = World::start().await;
    let http = world.http();
    let given = http.send(http.request(Method::GET, "/nope").header("x-request-id", "trace-1.A_b")).await;
    assert_eq!(given.expect_problem(404, "not_found")["request_id"], "trace-1.A_b");
    let odd = http.send(http.request(Method::GET, "/nope").header("x-request-id", "a b\"")).await;
    assert_eq!(text(&odd.expect_problem(404, "not_found"), "request_id").len(), 36);
    assert_eq!(http.get("/health").await.header("x-request-id").len(), 36);
}

#[tokio::test]
async fn lim_1_a_body_over_the_limit_is_413_also_when_it_does_not_say_so() {
    let world = World::start_with(|config| config.http.body_bytes_max = 2_048).await;
    let ann = world.user("ann").await;
    ann.post("/api/contacts", &json!({"notes": "x".repeat(3_000)})).await.expect_problem(413, "too_large");
    let chunks = futures_util::stream::iter((0..50).map(|_| Ok::<_, std::io::Error>("x".repeat(100))));
    let request = ann.request(Method::POST, "/api/contacts").header("content-type", "application/json");
    ann.send(request.body(reqwest::Body::wrap_stream(chunks))).await.expect_problem(413, "too_large");
    ann.get("/health").await.expect(200);
}

#[tokio::test]
async fn api_5_malformed_bodies_say_where_and_deep_ones_are_refused_unread() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let post = async |body: String| {
        let request = ann.request(Method::POST, "/api/contacts").header("content-type", "application/json");
        ann.send(request.body(body)).await
    };
    let problem = post("{\"firstname\": \"x\",\n oops}".to_owned()).await.expect_problem(400, "malformed");
    assert!(text(&problem, "message").contains("line 2 column 2"), "{problem}");
    let deep = format!("{{\"metadata\": {}}}", "[".repeat(100_000));
    let problem = post(deep).await.expect_problem(400, "malformed");
    assert!(text(&problem, "message").contains("deeper than 32"), "{problem}");
    post("[]".to_owned()).await.expect_problem(422, "validation");
    post(String::new()).await.expect_problem(400, "malformed");
    let keys: String = (0..60_000).map(|n| format!("\"k{n}\":1,")).collect();
    post(format!("{{{keys}\"z\":1}}")).await.expect_problem(422, "validation");
}

#[tokio::test]
async fn ops_2_a_node_whose_writer_has_died_is_not_live() {
    let world = crate::support::World::start().await;
    let http = world.http();
    http.get("/health/live").await.expect(200);
    let workspace = syncline_core::id::WorkspaceId::new("acme").unwrap();
    let broken = world
        .server
        .app()
        .writer
        .run(&workspace, |_| -> syncline_core::storage::StoreResult<()> { panic!("on purpose") });
    assert!(broken.await.is_err());
    let not_live = async || (http.get("/health/live").await.status == 503).then_some(());
    crate::support::eventually(not_live).await;
    http.get("/health/live").await.expect_problem(503, "unavailable");
    http.get("/health/ready").await.expect_problem(503, "unavailable");
}
