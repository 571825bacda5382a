//! Alerts, with a real receiver.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use secrecy::SecretString;
use serde_json::{Value, json};
use syncline_server::Config;
use syncline_server::config::AlertFormat;

use crate::support::{Socket, User, World, create_contact, eventually, text, uuid_v7};

/// Takes what is posted to it; the first request is refused, so that it comes again.
#[derive(Clone, Default)]
struct Receiver {
    taken: Arc<Mutex<Vec<Value>>>,
    refused: Arc<Mutex<u32>>,
}

impl Receiver {
    async fn start() -> (Self, String) {
        let receiver = Self::default();
        let take = async |State(receiver): State<Receiver>, axum::Json(body): axum::Json<Value>| {
            let mut refused = receiver.refused.lock().unwrap();
            *refused += 1;
            if *refused == 1 {
                return StatusCode::SERVICE_UNAVAILABLE;
            }
            receiver.taken.lock().unwrap().push(body);
            StatusCode::ACCEPTED
        };
        let router = axum::Router::new().route("/hook", post(take)).with_state(receiver.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (receiver, url)
    }

    async fn taken(&self, count: usize) -> Vec<Value> {
        eventually(|| async {
            let taken = self.taken.lock().unwrap().clone();
            (taken.len() >= count).then_some(taken)
        })
        .await
    }
}

/// A device says that it has had edits for long, or that it has none.
async fn report(socket: &mut Socket, pending: u64) {
    let mut hello = socket.hello_frame();
    hello["pending_count"] = json!(pending);
    hello["oldest_pending_age_ms"] = json!(if pending > 0 { 7_200_000 } else { 0 });
    socket.send(&hello).await;
    socket.expect("welcome").await;
}

/// Looks often, and tells the receiver.
fn telling(url: &str, format: AlertFormat) -> impl Fn(&mut Config) {
    let url = url.to_owned();
    move |config| {
        config.alerts.every_ms = 100;
        config.alerts.webhook_url = Some(SecretString::from(url.clone()));
        config.alerts.format = format;
        config.alerts.pagerduty_key = Some(SecretString::from("routing-key"));
        // The same node after a restart.
        config.bus.node_address = Some("node1:8000".to_owned());
    }
}

#[tokio::test]
async fn ops_6_a_stuck_outbox_fires_is_told_survives_a_restart_and_is_resolved() {
    let (receiver, url) = Receiver::start().await;
    let world = World::start_with(telling(&url, AlertFormat::Json)).await;
    let (owner, ann) = (world.user("owner").await, world.user("ann").await);
    let mut socket = Socket::open(&ann).await;
    report(&mut socket, 3).await;
    let told = receiver.taken(1).await;
    let key = format!("syncline/acme/outbox_stuck/{}", ann.device_id);
    assert_eq!((text(&told[0], "key"), text(&told[0], "state")), (key.as_str(), "firing"));
    assert!(text(&told[0], "summary").contains("hand over 3 edits"), "{told:?}");
    let listed = owner.get("/api/admin/alerts").await.expect(200);
    assert_eq!((&listed["items"][0]["rule"], &listed["items"][0]["state"]), (&json!("outbox_stuck"), &json!("firing")));
    ann.get("/api/admin/alerts").await.expect_problem(403, "forbidden");
    assert!(world.http().get("/metrics").await.text.contains("alerts_firing 1"));
    world.populate("rival").await;
    let rival = world.user_in("rival", "owner").await.get("/api/admin/alerts").await.expect(200);
    assert_eq!(rival["items"], json!([]), "alerts of a workspace are its own");

    let world = world.restart_with(telling(&url, AlertFormat::Json)).await;
    let ann = User { http: world.http(), ..ann };
    report(&mut Socket::open_as(&ann, &socket.client_id).await, 0).await;
    let told = receiver.taken(2).await;
    assert_eq!(
        (text(&told[1], "key"), text(&told[1], "state")),
        (key.as_str(), "resolved"),
        "told once each: {told:?}"
    );
}

#[tokio::test]
async fn ops_6_pagerduty_gets_its_events_v2() {
    let (receiver, url) = Receiver::start().await;
    let world = World::start_with(telling(&url, AlertFormat::Pagerduty)).await;
    let ann = world.user("ann").await;
    report(&mut Socket::open(&ann).await, 3).await;
    let told = &receiver.taken(1).await[0];
    assert_eq!((text(told, "routing_key"), text(told, "event_action")), ("routing-key", "trigger"));
    assert_eq!(text(told, "dedup_key"), format!("syncline/acme/outbox_stuck/{}", ann.device_id));
    let payload = &told["payload"];
    assert_eq!((text(payload, "severity"), text(payload, "source")), ("warning", "node1:8000"));
    assert!(!text(payload, "summary").is_empty() && text(payload, "timestamp").ends_with('Z'), "{payload}");
}

/// Looks often, has no patience with rates, and lets a test ask as often as it likes.
fn impatient(url: &str) -> impl Fn(&mut Config) {
    let tell = telling(url, AlertFormat::Json);
    move |config| {
        tell(config);
        config.alerts.rates_pending_ms = 0;
        config.alerts.rates_clear_ms = 0;
        config.rates.is_enabled = false;
    }
}

fn state(told: &Value) -> (&str, &str) {
    (text(told, "rule"), text(told, "state"))
}

#[tokio::test]
async fn ops_6_more_than_one_conflict_in_a_hundred_edits_fires_and_is_resolved() {
    let (receiver, url) = Receiver::start().await;
    let world = World::start_with(impatient(&url)).await;
    let ann = world.user("ann").await;
    let contact = ann.contact(json!({"firstname": "Eve", "assigned_to": ann.user_id})).await;
    let update = |value: String| {
        json!([{"op": "update", "entity": "contacts", "id": contact["id"], "base_rv": contact["rv"],
            "fields": {"estimated_value": value}}])
    };
    let (mut first, mut second) = (Socket::open(&ann).await, Socket::open(&ann).await);
    first.hello().await;
    second.hello().await;
    assert_eq!(first.push(update("1.00".to_owned())).await["outcome"], "applied");
    for value in ["2.00", "3.00"] {
        assert_eq!(second.push(update(value.to_owned())).await["outcome"], "in_review");
    }
    // Two in a few say nothing yet.
    let edits = |socket: &mut Socket| socket.push_frame((0..50).map(|_| create_contact(&uuid_v7(), "Max")).collect());
    for _ in 0..2 {
        let frame = edits(&mut first);
        first.send(&frame).await;
        first.expect("outcomes").await;
    }
    let told = receiver.taken(1).await;
    assert_eq!(state(&told[0]), ("conflict_rate", "firing"));
    assert_eq!((text(&told[0], "workspace_id"), text(&told[0], "severity")), ("acme", "info"));
    assert!(text(&told[0], "summary").contains("met a conflict"), "{told:?}");
    for _ in 0..4 {
        let frame = edits(&mut first);
        first.send(&frame).await;
        first.expect("outcomes").await;
    }
    assert_eq!(state(&receiver.taken(2).await[1]), ("conflict_rate", "resolved"));
}

#[tokio::test]
async fn ops_6_sync_that_fails_three_times_in_a_row_fires() {
    let (receiver, url) = Receiver::start().await;
    let world = World::start_with(impatient(&url)).await;
    let ann = world.user("ann").await;
    let mut socket = Socket::open(&ann).await;
    socket.hello().await;
    world.sql("ALTER TABLE sync_outcomes RENAME TO sync_outcomes_away");
    // As a device does: the same edit again and again.
    let frame = socket.push_frame(vec![create_contact(&uuid_v7(), "Eve")]);
    let fail = async |socket: &mut Socket| {
        socket.send(&frame).await;
        loop {
            let answer = socket.receive().await;
            if answer["type"] == "error" {
                break;
            }
        }
    };
    fail(&mut socket).await;
    fail(&mut socket).await;
    let metrics = world.http().get("/metrics").await.text;
    assert!(metrics.contains("data_sync_operations_total{operation=\"push\",status=\"failed\"} 2"), "{metrics}");
    assert_eq!(receiver.taken(0).await, Vec::<Value>::new(), "two are bad luck");
    fail(&mut socket).await;
    let told = receiver.taken(1).await;
    assert_eq!(state(&told[0]), ("sync_failing", "firing"));
    assert_eq!(text(&told[0], "part"), format!("{}@node1:8000", ann.device_id));
    assert!(text(&told[0], "summary").contains("3 times in a row"), "{told:?}");
    world.sql("ALTER TABLE sync_outcomes_away RENAME TO sync_outcomes");
    let owner = world.user("owner").await;
    let sync = owner.get(&format!("/api/analytics/sync?device_id={}", ann.device_id)).await.expect(200);
    assert_eq!(sync["total"]["failed"], 3, "and it is told which device: {sync}");
}

#[tokio::test]
async fn ops_6_a_replica_that_differs_from_the_server_fires() {
    let (receiver, url) = Receiver::start().await;
    let world = World::start_with(impatient(&url)).await;
    let ann = world.user("ann").await;
    let mut socket = Socket::open(&ann).await;
    socket.hello().await;
    let everything = |digest: Value| {
        let (lo, hi) = ("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff");
        json!({"type": "verify", "scope": "workspace", "ranges": [{"lo": lo, "hi": hi, "digest": digest}]})
    };
    socket.send(&everything(json!({"count": 3, "sum": "00f1e2d3c4b5a697"}))).await;
    socket.expect("verify_reply").await;
    let told = receiver.taken(1).await;
    assert_eq!(state(&told[0]), ("digest_mismatch", "firing"));
    assert!(text(&told[0], "summary").starts_with("1 replicas in acme differed"), "{told:?}");
    let metrics = world.http().get("/metrics").await.text;
    assert!(metrics.contains("digest_mismatches_total 1"), "{metrics}");
}

#[tokio::test]
async fn ops_6_requests_that_fail_beyond_the_error_budget_fire_and_are_resolved() {
    let (receiver, url) = Receiver::start().await;
    let world = World::start_with(impatient(&url)).await;
    let (owner, http) = (world.user("owner").await, world.http());
    world.sql("ALTER TABLE contacts RENAME TO contacts_away");
    for _ in 0..2 {
        assert_eq!(owner.get("/api/contacts").await.status, 500);
    }
    world.sql("ALTER TABLE contacts_away RENAME TO contacts");
    for _ in 0..200 {
        http.get("/health/live").await.expect(200);
    }
    let told = receiver.taken(1).await;
    assert_eq!(state(&told[0]), ("error_budget", "firing"));
    assert_eq!((text(&told[0], "severity"), &told[0]["workspace_id"]), ("critical", &Value::Null));
    assert!(text(&told[0], "summary").contains("of requests to node1:8000 fail"), "{told:?}");
    owner.get("/api/contacts").await.expect(200);
    for _ in 0..300 {
        http.get("/health/live").await.expect(200);
    }
    assert_eq!(state(&receiver.taken(2).await[1]), ("error_budget", "resolved"));
}
