//! Messages between people at different nodes, one of which is killed (RTR-3, HUB-8).

use std::collections::BTreeSet;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Deployment, MANAGER, OWNER, PASSWORD, until};

/// A device signed in at one node; the token is good at all of them.
struct Person {
    client: reqwest::Client,
    token: String,
    user_id: String,
}

impl Person {
    async fn sign_in(email: &str, at: &str) -> Self {
        let client = reqwest::Client::new();
        let device = json!({"device_id": Uuid::now_v7(), "name": "test", "deployment_mode": "web_app"});
        let sign_in = json!({"email": email, "password": PASSWORD, "device": device});
        let answer = client.post(format!("{at}/api/auth/login")).json(&sign_in).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        let text = |name: &str| answer[name].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        Self { token: text("access_token"), user_id: text("user_id"), client }
    }

    async fn send(&self, at: &str, to: &str, n: usize) {
        let body = json!({"message_type": "notice", "to": {"user": to}, "payload": {"n": n}});
        let url = format!("{at}/api/messages");
        let answer = self.client.post(url).bearer_auth(&self.token).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
    }

    /// A session on long polls with an open inbox; its address.
    async fn listen(&self, at: &str) -> String {
        let url = format!("{at}/poll/web_app/{}", Uuid::now_v7());
        let opened = self.client.post(url).bearer_auth(&self.token).json(&json!({})).send().await.unwrap();
        let opened: Value = opened.json().await.unwrap();
        let channel = format!("{at}/channel/{}", opened["channel"].as_str().unwrap_or_else(|| panic!("{opened}")));
        let answer = self.client.post(&channel).json(&json!([{"type": "inbox"}])).send().await.unwrap();
        assert_eq!(answer.status(), 202);
        channel
    }

    /// Numbers of the messages that come within one poll.
    async fn hear(&self, channel: &str, acknowledges: bool) -> Vec<u64> {
        let answer = self.client.post(format!("{channel}?wait_ms=1000")).json(&json!([])).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        let frames = answer["frames"].as_array().unwrap_or_else(|| panic!("{answer}"));
        let messages: Vec<&Value> = frames.iter().filter(|frame| frame["type"] == "msg").collect();
        if acknowledges && !messages.is_empty() {
            let ids: Vec<&Value> = messages.iter().map(|message| &message["id"]).collect();
            let ack = json!([{"type": "msg_ack", "ids": ids}]);
            self.client.post(channel).json(&ack).send().await.unwrap();
        }
        messages.iter().map(|message| message["payload"]["n"].as_u64().unwrap()).collect()
    }

    async fn hear_all(&self, channel: &str, wanted: std::ops::Range<u64>) {
        let (mut heard, wanted) = (BTreeSet::new(), wanted.collect::<BTreeSet<_>>());
        until("all messages come", async || {
            heard.extend(self.hear(channel, true).await);
            wanted.is_subset(&heard).then_some(())
        })
        .await;
    }
}

async fn over_a_nodes_death(mut deployment: Deployment) {
    let (here, there) = (deployment.nodes[0].url(), deployment.nodes[1].url());
    let (sender, receiver) = (Person::sign_in(OWNER, &here).await, Person::sign_in(MANAGER, &there).await);
    let channel = receiver.listen(&there).await;
    for n in 0..20 {
        sender.send(&here, &receiver.user_id, n).await;
    }
    receiver.hear_all(&channel, 0..20).await;
    for n in 20..30 {
        sender.send(&here, &receiver.user_id, n).await;
    }
    // Heard, and never acknowledged: the node dies with them.
    until("the next ones come", async || (!receiver.hear(&channel, false).await.is_empty()).then_some(())).await;
    deployment.nodes[1].kill();
    for n in 30..40 {
        sender.send(&here, &receiver.user_id, n).await;
    }
    let channel = receiver.listen(&here).await;
    receiver.hear_all(&channel, 20..40).await;
    until("nothing is due any more", async || {
        let url = format!("{here}/api/messages?box=due");
        let due = receiver.client.get(url).bearer_auth(&receiver.token).send().await.unwrap();
        let due: Value = due.json().await.unwrap();
        due["items"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rtr_3_hub_8_a_receiver_moves_to_another_node_when_its_own_dies() {
    over_a_nodes_death(Deployment::start(2).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_13_messages_pass_between_nodes_without_redis() {
    over_a_nodes_death(Deployment::start_without_redis(2).await).await;
}
