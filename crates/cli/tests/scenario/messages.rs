//! `kill -9` of the server while messages stream through it (RTR-3, MSG-3, MSG-4).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::stage::{PASSWORD, Server};

const MESSAGES: usize = 400;
const KILLS: usize = 6;
/// Messages that may be sent beyond the one at which the server is killed, before it is killed again.
const LEAD: u64 = 20;

/// Somebody signed in on a device, who tries again whatever happens to the server.
struct Person {
    client: reqwest::Client,
    server: String,
    user_id: String,
    token: String,
}

impl Person {
    async fn sign_in(server: &str, email: &str) -> Self {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
        let device = json!({"device_id": Uuid::now_v7(), "name": "test", "deployment_mode": "local_install"});
        let body = json!({"email": email, "password": PASSWORD, "device": device});
        let answer = client.post(format!("{server}/api/auth/login")).json(&body).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        let text = |name: &str| answer[name].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        Self { client, server: server.to_owned(), user_id: text("user_id"), token: text("access_token") }
    }

    /// Repeats a request until the server has answered it.
    async fn ask(&self, method: reqwest::Method, path: &str, body: &Value) -> (StatusCode, Value) {
        loop {
            let request = self.client.request(method.clone(), format!("{}{path}", self.server));
            let answer = request.bearer_auth(&self.token).json(body).send().await;
            match answer {
                Ok(answer) if answer.status() != StatusCode::SERVICE_UNAVAILABLE && answer.status().as_u16() != 429 => {
                    let status = answer.status();
                    // Cut off in the middle of an answer: asked again.
                    if let Ok(text) = answer.text().await {
                        return (status, serde_json::from_str(&text).unwrap_or(Value::Null));
                    }
                }
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Sends numbered messages, each until it has a receipt, and as many as are allowed.
    async fn stream(&self, to: &str, sent: &AtomicU64, allowed: &AtomicU64) {
        for n in 0..MESSAGES {
            while n as u64 >= allowed.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            let body = json!({"id": Uuid::now_v7(), "message_type": "notice", "to": {"user": to}, "payload": {"n": n}});
            let (status, answer) = self.ask(reqwest::Method::POST, "/api/messages", &body).await;
            assert_eq!((status, &answer["state"]), (StatusCode::CREATED, &json!("stored")), "{answer}");
            sent.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes what is due, in order, and acknowledges it; what comes a second time is known by its id.
    async fn receive(&self, had: &Mutex<BTreeMap<String, u64>>, order: &Mutex<Vec<u64>>) {
        while order.lock().unwrap().len() < MESSAGES {
            let (status, due) = self.ask(reqwest::Method::GET, "/api/messages?box=due&limit=20", &Value::Null).await;
            assert_eq!(status, StatusCode::OK, "{due}");
            let items = due["items"].as_array().unwrap();
            if items.is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
            for item in items {
                let (id, n) = (item["id"].as_str().unwrap().to_owned(), item["payload"]["n"].as_u64().unwrap());
                let mut had = had.lock().unwrap();
                *had.entry(id).or_insert_with(|| {
                    order.lock().unwrap().push(n);
                    0
                }) += 1;
            }
            let ids: Vec<&Value> = items.iter().map(|item| &item["id"]).collect();
            let (status, answer) = self.ask(reqwest::Method::POST, "/api/messages/ack", &json!({"ids": ids})).await;
            assert_eq!(status, StatusCode::NO_CONTENT, "{answer}");
        }
    }
}

#[test]
fn rtr_3_kills_of_the_server_in_mid_stream_lose_no_stored_message_and_repeat_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(&folder.path().join("data"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let url = server.url();
    let (sender, receiver) = runtime.block_on(async {
        let _chosen_before = rustls::crypto::aws_lc_rs::default_provider().install_default().is_err();
        (Person::sign_in(&url, "demo@syncline.dev").await, Person::sign_in(&url, "manager@syncline.dev").await)
    });
    let to = receiver.user_id.clone();
    let (sent, allowed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let is_done = Arc::new(AtomicBool::new(false));
    let (had, order) = (Arc::new(Mutex::new(BTreeMap::new())), Arc::new(Mutex::new(Vec::new())));
    let (counted, limit) = (Arc::clone(&sent), Arc::clone(&allowed));
    let sending = runtime.spawn(async move { sender.stream(&to, &counted, &limit).await });
    let (seen, ordered, done) = (Arc::clone(&had), Arc::clone(&order), Arc::clone(&is_done));
    let receiving = runtime.spawn(async move {
        receiver.receive(&seen, &ordered).await;
        done.store(true, Ordering::Relaxed);
    });
    let mut kills = 0;
    for kill in 1..=KILLS {
        // In mid-stream: each kill waits for its share of the messages.
        let share = (MESSAGES * kill / (KILLS + 1)) as u64;
        allowed.store(share + LEAD, Ordering::Relaxed);
        while sent.load(Ordering::Relaxed) < share {
            std::thread::sleep(Duration::from_millis(2));
        }
        assert!(!is_done.load(Ordering::Relaxed), "the stream is under way");
        server.kill();
        kills += 1;
        server.restart();
    }
    allowed.store(MESSAGES as u64, Ordering::Relaxed);
    let both =
        async { tokio::time::timeout(Duration::from_secs(120), async { tokio::try_join!(sending, receiving) }).await };
    runtime.block_on(both).expect("the stream ends").unwrap();
    let repeated = had.lock().unwrap().values().filter(|count| **count > 1).count();
    println!("{MESSAGES} messages through {kills} kills; {repeated} came more than once and were known by their ids");
    assert_eq!(*order.lock().unwrap(), (0..MESSAGES as u64).collect::<Vec<_>>(), "all of them, once, in order");
}
