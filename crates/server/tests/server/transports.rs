use std::collections::VecDeque;

use futures_util::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Http, PATIENCE, User, World, create_contact, error_code, mentions, text, uuid_v7};

/// A session without a WebSocket.
struct Channel {
    http: Http,
    name: String,
    client_id: String,
    /// The stream of events, or nothing when frames are polled for.
    events: Option<Events>,
    /// Frames that a poll brought and nobody has looked at.
    polled: VecDeque<Value>,
    close: Option<Value>,
}

/// Server-sent events as they come.
struct Events {
    body: futures_util::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    text: String,
}

impl Events {
    /// The next event: its name, `message` without one, and its data.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (mut name, mut data) = ("message".to_owned(), String::new());
                for line in event.lines() {
                    if let Some(value) = line.strip_prefix("event: ") {
                        name = value.to_owned();
                    } else if let Some(value) = line.strip_prefix("data: ") {
                        data.push_str(value);
                    }
                }
                self.text = rest.to_owned();
                if !data.is_empty() {
                    return Some((name, serde_json::from_str(&data).unwrap()));
                }
                continue;
            }
            let chunk = tokio::time::timeout(PATIENCE, self.body.next()).await.expect("nothing came in time")?;
            self.text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
    }
}

impl Channel {
    async fn stream(http: &Http, token: Option<&str>) -> Self {
        let client_id = uuid_v7();
        let mut request = http.request(Method::GET, &format!("/sse/local_install/{client_id}"));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut events = Events { body: response.bytes_stream().boxed(), text: String::new() };
        let (event, data) = events.next().await.unwrap();
        assert_eq!(event, "open");
        let name = text(&data, "channel").to_owned();
        Self { http: http.clone(), name, client_id, events: Some(events), polled: VecDeque::new(), close: None }
    }

    async fn poll(user: &User) -> Self {
        let client_id = uuid_v7();
        let opened = user.post(&format!("/poll/local_install/{client_id}"), &json!({})).await.expect(201);
        let (http, name) = (user.http.clone(), text(&opened, "channel").to_owned());
        Self { http, name, client_id, events: None, polled: VecDeque::new(), close: None }
    }

    async fn post(&self, query: &str, frames: &Value) -> Answer {
        self.http.post(&format!("/channel/{}{query}", self.name), frames).await
    }

    async fn send(&self, frame: Value) {
        self.post("", &json!([frame])).await.expect(202);
    }

    /// The next frame; `None` once the session has ended.
    async fn next(&mut self) -> Option<Value> {
        if let Some(events) = &mut self.events {
            let (event, data) = events.next().await?;
            if event == "close" {
                self.close = Some(data);
                return None;
            }
            return Some(data);
        }
        while self.polled.is_empty() && self.close.is_none() {
            let answer = self.post("?wait_ms=15000", &json!([])).await.expect(200);
            self.polled.extend(answer["frames"].as_array().unwrap().iter().cloned());
            self.close = answer.get("close").cloned();
        }
        self.polled.pop_front()
    }

    async fn expect(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await.unwrap_or_else(|| panic!("waiting for {kind}: {:?}", self.close));
            if frame["type"] == kind {
                return frame;
            }
            assert_ne!(frame["type"], "error", "{frame}");
        }
    }

    async fn hello(&mut self, user: &User) -> Value {
        self.send(json!({
            "type": "hello", "proto": [1, 1], "client_id": self.client_id, "device_id": user.device_id,
            "deployment_mode": "local_install", "schema": {"version": 1, "hash": ""}, "next_client_seq": 1,
            "pending_count": 0, "oldest_pending_age_ms": 0, "scopes": [],
        }))
        .await;
        self.expect("welcome").await
    }
}

/// A whole session: greeting, a push with its outcome, and what another device changes.
async fn lives(mut channel: Channel, owner: &User, ann: &User) {
    channel.hello(ann).await;
    let mutation = |id: &str, seq: u64| json!({"mutation_id": uuid_v7(), "client_seq": seq, "age_ms": 0, "ops": create_contact(id, "Sent")});
    let push = json!({"type": "push", "mutations": [mutation(&uuid_v7(), 1), mutation(&uuid_v7(), 2)]});
    channel.send(push).await;
    let outcomes = channel.expect("outcomes").await;
    assert_eq!(outcomes["outcomes"][1]["outcome"], "applied", "{outcomes}");
    let contact = owner.contact(json!({"firstname": "Live"})).await;
    while !mentions(&channel.expect("batch").await, text(&contact, "id")) {}
}

#[tokio::test]
async fn tra_1_hub_7_a_session_lives_on_a_stream_of_events() {
    let world = World::start().await;
    let (owner, ann) = (world.user("owner").await, world.user("ann").await);
    lives(Channel::stream(&ann.http, Some(&ann.access_token)).await, &owner, &ann).await;
}

#[tokio::test]
async fn tra_2_hub_7_a_session_lives_on_long_polls() {
    let world = World::start().await;
    let (owner, ann) = (world.user("owner").await, world.user("ann").await);
    lives(Channel::poll(&ann).await, &owner, &ann).await;
}

#[tokio::test]
async fn tra_1_ses_1_the_first_frame_may_bring_the_credential_and_a_bad_one_closes() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let mut channel = Channel::stream(&ann.http, None).await;
    channel.send(json!({"type": "auth", "token": ann.access_token})).await;
    channel.hello(&ann).await;
    let mut channel = Channel::stream(&ann.http, None).await;
    channel.send(json!({"type": "auth", "token": "no"})).await;
    assert_eq!(error_code(&channel.next().await.unwrap()), "unauthenticated");
    assert_eq!(channel.next().await, None);
    assert_eq!(channel.close.take().unwrap()["code"], 4406);
    channel.post("", &json!([{"type": "heartbeat"}])).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn tra_2_the_end_of_a_session_reaches_the_poll() {
    let world = World::start().await;
    let (owner, ann) = (world.user("owner").await, world.user("ann").await);
    let mut channel = Channel::poll(&ann).await;
    channel.hello(&ann).await;
    owner.delete(&format!("/api/auth/devices/{}", ann.device_id)).await.expect(204);
    channel.expect("purge").await;
    while channel.next().await.is_some() {}
    assert_eq!(channel.close.take().unwrap()["code"], 4601);
    channel.post("?wait_ms=0", &json!([])).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn tra_2_there_is_one_poll_at_a_time() {
    let world = World::start().await;
    let mut channel = Channel::poll(&world.user("ann").await).await;
    let nothing = json!([]);
    let waiting = channel.post("?wait_ms=3000", &nothing);
    let other = async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        channel.post("?wait_ms=0", &json!([])).await
    };
    let (first, second) = tokio::join!(waiting, other);
    assert_eq!(first.expect(200)["frames"], json!([]));
    second.expect_problem(400, "malformed");
    channel.send(json!({"type": "heartbeat"})).await;
    assert_eq!(channel.next().await.unwrap()["type"], "heartbeat_ack", "the channel lives on");
}

#[tokio::test]
async fn tra_3_what_is_wrong_is_said_and_the_session_goes_on() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let mut stream = Channel::stream(&ann.http, Some(&ann.access_token)).await;
    stream.hello(&ann).await;
    stream.post("?wait_ms=5", &json!([])).await.expect_problem(400, "malformed");
    stream.post("", &json!({"type": "heartbeat"})).await.expect_problem(422, "validation");
    let heartbeats: Vec<Value> = (0..101).map(|_| json!({"type": "heartbeat"})).collect();
    stream.post("", &json!(heartbeats)).await.expect_problem(413, "too_large");
    stream.post("", &json!([{"type": "heartbeat", "x": "y".repeat(300_000)}])).await.expect_problem(413, "too_large");
    let other = Channel { name: "no.such".to_owned(), ..Channel::poll(&ann).await };
    other.post("", &json!([])).await.expect_problem(404, "not_found");
    let foreign = Channel { name: format!("{}.x", uuid_v7()), ..other };
    foreign.post("", &json!([])).await.expect_problem(404, "not_found");
    ann.get("/sse/fax/x").await.expect_problem(400, "malformed");
    stream.send(json!({"type": "heartbeat"})).await;
    stream.expect("heartbeat_ack").await;
}

#[tokio::test]
async fn tra_1_hub_4_who_goes_gives_the_place_back() {
    let world = World::start_with(|config| config.sockets.connections_max = 1).await;
    let ann = world.user("ann").await;
    let mut first = Channel::stream(&ann.http, Some(&ann.access_token)).await;
    first.hello(&ann).await;
    ann.get(&format!("/sse/local_install/{}", uuid_v7())).await.expect_problem(503, "overloaded");
    drop(first);
    let is_free = async {
        while ann.post(&format!("/poll/local_install/{}", uuid_v7()), &json!({})).await.status != 201 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, is_free).await.expect("its place is free again");
}
