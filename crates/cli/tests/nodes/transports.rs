//! A session on long polls whose requests go to the other node, and who looks at a record across nodes (HUB-7, HUB-8, HUB-9).

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::timeout;
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
        let client = reqwest::Client::new();
        let device = json!({"device_id": Uuid::now_v7(), "name": "test", "deployment_mode": "web_app"});
        let sign_in = json!({"email": email, "password": PASSWORD, "device": device});
        let answer = client.post(format!("{at}/api/auth/login")).json(&sign_in).send().await.unwrap();
        let token = answer.json::<Value>().await.unwrap()["access_token"].as_str().unwrap().to_owned();
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
