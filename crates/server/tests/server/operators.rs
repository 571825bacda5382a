//! What operators see: health and metrics, and who else sees how much of it.

use reqwest::Method;
use serde_json::json;

use crate::support::{Http, World, eventually, uuid_v7};

#[tokio::test]
async fn ops_2_everybody_gets_the_verdict_and_operators_the_details() {
    let world = World::start_with(|config| {
        config.metrics.is_on_main_port = false;
        config.metrics.port = Some(0);
    })
    .await;
    let http = world.http();
    let health = http.get("/health").await.expect(200);
    assert_eq!(health["components"]["database"], json!({"status": "ok"}), "{health}");
    assert_eq!(health["components"]["bus"], json!({"status": "connected"}));
    assert!(health.get("version").is_none() && health.get("uptime_s").is_none(), "{health}");
    assert_eq!(world.user("ann").await.get("/health").await.expect(200), health, "an agent is no operator");
    let details = world.user("owner").await.get("/health").await.expect(200);
    assert!(details["components"]["database"]["response_ms"].is_u64(), "{details}");

    let operators = Http::new(world.server.metrics_address().unwrap());
    // A measurement is shared for a moment: the first may be from before anybody had asked for anything.
    let details = eventually(|| async {
        let details = operators.get("/health").await.expect(200);
        (details["components"]["service"]["requests"] != 0).then_some(details)
    });
    let details = details.await;
    let (system, service) = (&details["components"]["system"], &details["components"]["service"]);
    assert!(system["disk_free_bytes"].as_u64().unwrap() > 0 && system["cpu_load"].is_number(), "{details}");
    assert!(service["requests"].as_u64().unwrap() > 0 && service["response_p95_ms"].is_u64(), "{details}");
    assert!(operators.get("/metrics").await.text.contains("http_requests_total"));
    operators.get("/health/live").await.expect(200);
    operators.get("/health/ready").await.expect(200);
    operators.get("/api/contacts").await.expect_problem(404, "not_found");
    http.get("/metrics").await.expect_problem(404, "not_found");
    http.get("/health/live").await.expect(200);
    http.get("/health/ready").await.expect(200);
}

#[tokio::test]
async fn ops_2_many_who_ask_for_health_share_one_measurement() {
    let world = World::start().await;
    let app = world.server.app();
    let (one, two) = tokio::join!(app.health.get(app), app.health.get(app));
    assert!(std::sync::Arc::ptr_eq(&one, &two), "each measures for itself");
    eventually(|| async { (!std::sync::Arc::ptr_eq(&one, &app.health.get(app).await)).then_some(()) }).await;
}

#[tokio::test]
async fn ops_1_metrics_that_are_switched_off_are_nowhere() {
    let world = World::start_with(|config| config.metrics.is_enabled = false).await;
    assert_eq!(world.server.metrics_address(), None);
    world.http().get("/metrics").await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn ops_1_metrics_count_by_route_and_never_by_path() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    ann.get("/api/contacts/some-secret-id").await.expect_problem(404, "not_found");
    ann.get("/some/secret/path").await.expect_problem(404, "not_found");
    let metrics = world.http().get("/metrics").await;
    assert!(metrics.header("content-type").starts_with("application/openmetrics-text"));
    assert!(metrics.text.contains("http_requests_total{method=\"GET\",path=\"/api/{entity}/{id}\",status=\"404\"} 1"));
    assert!(metrics.text.contains("http_requests_total{method=\"GET\",path=\"unmatched\",status=\"404\"} 1"));
    assert!(metrics.text.contains("auth_operations_total{operation=\"login\",status=\"ok\"} 1"));
    assert!(!metrics.text.contains("secret"));
}

#[tokio::test]
async fn ops_1_series_do_not_grow_with_what_callers_make_up() {
    let world = World::start().await;
    let (http, ann) = (world.http(), world.user("ann").await);
    let noise = async |round: u32| {
        for n in 0..8 {
            let id = uuid_v7();
            ann.get(&format!("/api/made-up-{round}-{n}")).await;
            ann.get(&format!("/api/contacts/{id}")).await;
            ann.get(&format!("/{id}/x?code={n}")).await;
            let method = Method::from_bytes(format!("VERB{round}{n}").as_bytes()).unwrap();
            ann.send(ann.request(method, "/api/contacts")).await;
            http.try_login(&format!("{id}@example.com"), "wrong password", &id).await;
            http.get(&format!("/ws/mode-{round}-{n}/{id}")).await;
        }
    };
    let series = async || {
        let text = http.get("/metrics").await.text;
        text.lines().filter(|line| !line.starts_with('#')).count()
    };
    noise(0).await;
    series().await;
    let before = series().await;
    noise(1).await;
    noise(2).await;
    assert_eq!(series().await, before);
}

#[tokio::test]
async fn ops_1_lag_and_outboxes_of_clients_are_gauges() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let mut socket = crate::support::Socket::open(&ann).await;
    let mut hello = socket.hello_frame();
    hello["pending_count"] = json!(3);
    hello["oldest_pending_age_ms"] = json!(7_200_000);
    socket.send(&hello).await;
    socket.expect("welcome").await;
    // Reports are written after 5 s at most, gauges brought up to them after 15 s.
    eventually(|| async {
        let text = world.http().get("/metrics").await.text;
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
            line.parse::<u64>().ok()
        };
        (value("outbox_pending_mutations")? == 3
            && value("outbox_stuck_clients")? == 1
            && value("outbox_oldest_age_ms")? >= 7_200_000
            && value("sync_lag_changes")? > 0)
            .then_some(())
    })
    .await;
}
