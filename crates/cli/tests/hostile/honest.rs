//! Somebody who only wants to work.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::stage::{SOON, Server};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// An honest client of a server.
pub struct Honest<'s> {
    server: &'s Server,
    http: reqwest::Client,
    pub token: String,
    device_id: String,
}

/// How long the honest client waited for each answer.
#[derive(Default)]
struct Waits(Vec<Duration>);

impl Waits {
    fn say(mut self, what: &str) {
        self.0.sort_unstable();
        let at = |share: f64| self.0[((self.0.len() - 1) as f64 * share).round() as usize];
        println!(
            "{what}: {} honest answers, p50 {:.1?}, p99 {:.1?}, longest {:.1?}",
            self.0.len(),
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
}

impl<'s> Honest<'s> {
    pub async fn new(server: &'s Server) -> Self {
        let (token, device_id) = server.sign_in().await;
        // A connection for each request, as somebody new has.
        let http = reqwest::Client::builder().timeout(SOON).pool_max_idle_per_host(0).build().unwrap();
        Self { server, http, token, device_id }
    }

    /// Works while `attack` goes on, `rounds` times at least. Every answer comes, and says yes.
    pub async fn works_beside<T>(&self, what: &str, rounds: usize, attack: impl Future<Output = T>) -> T {
        let mut attack = std::pin::pin!(attack);
        let mut ended = None;
        let (mut rest, mut sockets) = (Waits::default(), Waits::default());
        while rest.0.len() < rounds || ended.is_none() {
            let round = rest.0.len();
            let work = async {
                let started = Instant::now();
                self.rest(round).await;
                let middle = Instant::now();
                self.socket().await;
                (middle - started, middle.elapsed())
            };
            let mut work = std::pin::pin!(work);
            let (of_rest, of_socket) = loop {
                tokio::select! {
                    done = &mut work => break done,
                    result = &mut attack, if ended.is_none() => ended = Some(result),
                }
            };
            rest.0.push(of_rest);
            sockets.0.push(of_socket);
        }
        rest.say(&format!("{what}, REST"));
        sockets.say(&format!("{what}, hello and push"));
        ended.expect("the loop goes on until then")
    }

    /// Writes and reads a record.
    async fn rest(&self, round: usize) {
        let url = |path: &str| format!("http://{}{path}", self.server.address);
        let body = json!({"firstname": format!("Honest {round}")});
        let created = self.http.post(url("/api/contacts")).bearer_auth(&self.token).json(&body).send().await;
        let created = created.expect("a write is answered");
        assert_eq!(created.status().as_u16(), 201, "{}", created.text().await.unwrap_or_default());
        let created: Value = created.json().await.unwrap();
        let path = format!("/api/contacts/{}", created["id"].as_str().unwrap());
        let read = self.http.get(url(&path)).bearer_auth(&self.token).send().await.expect("a read is answered");
        assert_eq!(read.status().as_u16(), 200);
    }

    /// Opens a socket as a browser does, authenticates, says hello and pushes.
    async fn socket(&self) {
        let working = tokio::time::timeout(SOON, async {
            let client_id = uuid::Uuid::now_v7().to_string();
            let mut socket = self.open(&client_id).await;
            send(&mut socket, &json!({"type": "auth", "token": self.token})).await;
            let hello = json!({
                "type": "hello", "proto": [1, 1], "client_id": client_id, "device_id": self.device_id,
                "deployment_mode": "web_app", "schema": {"version": 1, "hash": ""}, "next_client_seq": 1,
                "pending_count": 0, "oldest_pending_age_ms": 0, "scopes": [],
            });
            send(&mut socket, &hello).await;
            expect(&mut socket, "welcome").await;
            let (id, mutation_id) = (uuid::Uuid::now_v7(), uuid::Uuid::now_v7());
            let op = json!({"op": "create", "entity": "contacts", "id": id, "fields": {"firstname": "Pushed"}});
            let mutation = json!({"mutation_id": mutation_id, "client_seq": 1, "age_ms": 0, "ops": [op]});
            send(&mut socket, &json!({"type": "push", "mutations": [mutation]})).await;
            let outcomes = expect(&mut socket, "outcomes").await;
            assert_eq!(outcomes["outcomes"][0]["outcome"], "applied", "{outcomes}");
            drop(socket.close(None).await);
        });
        working.await.expect("hello and push are answered");
    }

    /// Whoever is told to come back in a moment does.
    async fn open(&self, client_id: &str) -> Socket {
        loop {
            let opened = connect_async(format!("ws://{}/ws/web_app/{client_id}", self.server.address)).await;
            match opened {
                Ok((socket, _)) => return socket,
                Err(tokio_tungstenite::tungstenite::Error::Http(answer)) if answer.status() == 503 => {
                    assert!(answer.headers().contains_key("retry-after"), "refused without a hint: {answer:?}");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Err(error) => panic!("an honest socket: {error}"),
            }
        }
    }
}

async fn send(socket: &mut Socket, frame: &Value) {
    socket.send(Message::text(frame.to_string())).await.unwrap();
}

async fn expect(socket: &mut Socket, kind: &str) -> Value {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                let frame: Value = serde_json::from_str(&text).unwrap();
                assert_ne!(frame["type"], "error", "waiting for {kind}: {frame}");
                if frame["type"] == kind {
                    return frame;
                }
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            other => panic!("waiting for {kind}: {other:?}"),
        }
    }
}
