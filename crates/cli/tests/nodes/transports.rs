//! Sessions whose requests go to the other node, over HTTP and TLS, who looks at a record across nodes, and what one node tells
//! the sessions of another (HUB-7, HUB-8, HUB-9, SES-8, SES-9).

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use uuid::Uuid;

use crate::support::{Deployment, MANAGER, OWNER, PASSWORD, SOON};

/// A session of `email` at one node, all of whose requests go to another.
struct Polling {
    client: reqwest::Client,
    elsewhere: String,
    channel: String,
}

impl Polling {
    async fn open(email: &str, at: &str, elsewhere: &str) -> (Self, String) {
        // The certificate is the test's own, and its authority nobody's.
        let client = reqwest::Client::builder().danger_accept_invalid_certs(true).build().unwrap();
        let (token, _) = sign_in(&client, email, at).await;
        let url = format!("{at}/poll/web_app/{}", Uuid::now_v7());
        let opened = client.post(url).bearer_auth(&token).json(&json!({})).send().await.unwrap();
        let channel = opened.json::<Value>().await.unwrap()["channel"].as_str().unwrap().to_owned();
        (Self { client, elsewhere: elsewhere.to_owned(), channel }, token)
    }

    async fn send(&self, frames: Value) -> StatusCode {
        let url = format!("{}/channel/{}", self.elsewhere, self.channel);
        self.client.post(url).json(&frames).send().await.unwrap().status()
    }

    /// Asks until a frame is as wanted.
    async fn until(&self, is_wanted: impl Fn(&Value) -> bool) {
        let url = format!("{}/channel/{}?wait_ms=5000", self.elsewhere, self.channel);
        let asking = async {
            loop {
                let answer = self.client.post(&url).json(&json!([])).send().await.unwrap();
                let answer: Value = answer.json().await.unwrap();
                let frames = answer["frames"].as_array().unwrap_or_else(|| panic!("{answer}"));
                if frames.iter().any(&is_wanted) {
                    return;
                }
            }
        };
        timeout(SOON, asking).await.expect("the frame comes");
    }
}

/// An access token, and the id of its device.
async fn sign_in(client: &reqwest::Client, email: &str, at: &str) -> (String, String) {
    let device_id = Uuid::now_v7().to_string();
    let device = json!({"device_id": device_id, "name": "test", "deployment_mode": "web_app"});
    let sign_in = json!({"email": email, "password": PASSWORD, "device": device});
    let answer = client.post(format!("{at}/api/auth/login")).json(&sign_in).send().await.unwrap();
    let token = answer.json::<Value>().await.unwrap()["access_token"].as_str().unwrap().to_owned();
    (token, device_id)
}

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A socket that has authenticated: a heartbeat was answered.
async fn connect(at: &str, client_id: Uuid, token: &str) -> Stream {
    let mut request = format!("{}/ws/web_app/{client_id}", at.replacen("http", "ws", 1)).into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let (mut stream, _) = connect_async(request).await.unwrap();
    stream.send(Message::text(json!({"type": "heartbeat"}).to_string())).await.unwrap();
    assert!(next(&mut stream).await.contains("heartbeat_ack"));
    stream
}

/// The next text, or the code of the close frame.
async fn next(stream: &mut Stream) -> String {
    let asking = async {
        loop {
            match stream.next().await {
                Some(Ok(Message::Text(text))) => return text.to_string(),
                Some(Ok(Message::Close(Some(frame)))) => return u16::from(frame.code).to_string(),
                Some(Ok(_)) => {}
                ended => panic!("{ended:?}"),
            }
        }
    };
    timeout(SOON, asking).await.expect("something comes")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ses_8_ses_9_what_one_node_is_told_reaches_the_sessions_of_another() {
    let deployment = Deployment::start(2).await;
    let (here, there) = (deployment.nodes[0].url(), deployment.nodes[1].url());
    let client = reqwest::Client::new();
    let (token, _) = sign_in(&client, OWNER, &here).await;
    let client_id = Uuid::now_v7();
    let mut older = connect(&here, client_id, &token).await;
    let trigger =
        client.post(format!("{there}/api/sync/trigger")).bearer_auth(&token).json(&json!({"sync_type": "full"}));
    assert!(trigger.send().await.unwrap().status().is_success());
    assert!(next(&mut older).await.contains("sync_now"), "asked of the other node");
    let mut newer = connect(&there, client_id, &token).await;
    assert_eq!(next(&mut older).await, "4404", "the client is at the other node now");
    newer.send(Message::text(json!({"type": "heartbeat"}).to_string())).await.unwrap();
    assert!(next(&mut newer).await.contains("heartbeat_ack"), "and stays there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tra_3_auth_7_polls_work_at_any_node_over_tls() {
    let mut deployment = Deployment::prepare(2, true);
    let made = rcgen::generate_simple_self_signed(vec!["crm.example.com".to_owned()]).unwrap();
    let (cert, key) = (deployment.folder.path().join("cert.pem"), deployment.folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    for node in &mut deployment.nodes {
        node.set("TLS_CERT_FILE", cert.to_str().unwrap());
        node.set("TLS_KEY_FILE", key.to_str().unwrap());
        node.start().await;
    }
    let [here, there] = [0, 1].map(|node| format!("https://127.0.0.1:{}", deployment.nodes[node].port));
    let (owner, _) = Polling::open(OWNER, &here, &there).await;
    assert_eq!(owner.send(json!([{"type": "heartbeat"}])).await, 202);
    owner.until(|frame| frame["type"] == "heartbeat_ack").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tra_3_hub_9_polls_and_presence_work_whichever_node_is_asked() {
    let deployment = Deployment::start(2).await;
    let (here, there) = (deployment.nodes[0].url(), deployment.nodes[1].url());
    let (owner, token) = Polling::open(OWNER, &here, &there).await;
    let (manager, _) = Polling::open(MANAGER, &there, &here).await;
    let url = format!("{here}/api/contacts");
    let made = owner.client.post(url).bearer_auth(&token).json(&json!({"firstname": "Seen"})).send().await.unwrap();
    let id = made.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned();
    let look = json!([{"type": "presence", "record": ["contacts", id]}]);
    assert_eq!(owner.send(look.clone()).await, 202);
    assert_eq!(manager.send(look).await, 202);
    let both = |frame: &Value| frame["viewers"].as_array().is_some_and(|viewers| viewers.len() == 2);
    owner.until(both).await;
    manager.until(both).await;
    assert_eq!(manager.send(json!([{"type": "presence"}])).await, 202);
    let alone = |frame: &Value| frame["viewers"].as_array().is_some_and(|viewers| viewers.len() == 1);
    owner.until(alone).await;
}
