//! Alerts, with a real receiver.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use secrecy::SecretString;
use serde_json::{Value, json};
use syncline_server::Config;
use syncline_server::config::AlertFormat;

use crate::support::{Socket, User, World, eventually, text};

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
