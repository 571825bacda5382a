//! A device that is taken away at one node is cut off at the other within five seconds (REV-1, AUTH-3).

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use syncline_client::SyncEnd;
use syncline_core::session::client::Event;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::support::crew::{Crew, device, follow};
use crate::support::node::{Node, access};
use crate::support::proxy::Proxy;
use crate::support::{Deployment, MANAGER, SOON, until};

const BOUND: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rev_1_auth_3_a_device_revoked_at_one_node_is_cut_at_the_other_with_redis_and_after_losing_it() {
    let mut deployment = Deployment::start(2).await;
    let crew = Crew::start(&deployment).await;
    cut_at_the_other_node(&deployment, "with Redis").await;
    deployment.redis().kill();
    for node in &deployment.nodes {
        node.bus_is("degraded").await;
    }
    cut_at_the_other_node(&deployment, "after losing Redis").await;
    crew.settle(&deployment).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn auth_6_signing_out_everywhere_ends_what_other_nodes_issued_and_nothing_that_comes_after() {
    let mut deployment = Deployment::start_without_redis(2).await;
    let [one, two] = &deployment.nodes[..] else { panic!("two nodes") };
    let before = [one.sign_in(MANAGER).await, two.sign_in(MANAGER).await];
    for tokens in &before {
        assert_eq!(validate(one, tokens).await, 200);
        assert_eq!(validate(two, tokens).await, 200);
    }
    let everywhere = json!({"everywhere": true});
    assert_eq!(one.ask(Method::POST, "/api/auth/logout", access(&before[0]), &everywhere).await.0, 204);
    let after = [one.sign_in(MANAGER).await, two.sign_in(MANAGER).await];
    // A busy machine takes its time to check passwords.
    let started = Instant::now();
    until("what was issued before is refused at both nodes", async || {
        let mut refused = 0;
        for tokens in &before {
            refused +=
                usize::from(validate(one, tokens).await == 401) + usize::from(validate(two, tokens).await == 401);
        }
        (refused == 4).then_some(())
    })
    .await;
    assert!(started.elapsed() < BOUND, "not within {BOUND:?}");
    deployment.nodes[1].stop().await;
    deployment.nodes[1].start().await;
    for node in &deployment.nodes {
        for tokens in &before {
            assert_eq!(validate(node, tokens).await, 401, "also after a restart");
        }
        for tokens in &after {
            assert_eq!(validate(node, tokens).await, 200, "a sign-in that came after goes on");
        }
    }
}

async fn validate(node: &Node, tokens: &Value) -> u16 {
    node.ask(Method::GET, "/api/auth/validate", access(tokens), &Value::Null).await.0
}

/// Node 0 revokes what is connected to node 1.
pub async fn cut_at_the_other_node(deployment: &Deployment, when: &str) {
    let way = Proxy::start(vec![deployment.nodes[1].port]).await;
    let client = device(&deployment.folder.path().join(format!("lost {when}")), way.port, MANAGER).await;
    let mut events = client.events();
    let never = watch::Sender::new(false);
    let following = tokio::spawn(follow(client.clone(), never.subscribe()));
    let connected = async { while !matches!(events.recv().await, Ok(Event::Changed { .. })) {} };
    timeout(SOON, connected).await.expect("it follows the server");
    let device_id = client.status().await.unwrap().device_id.to_string();
    let started = Instant::now();
    deployment.nodes[0].revoke_device(&device_id).await;
    let answered = Instant::now();
    let end = timeout(SOON, following).await.expect("it is cut off").unwrap().unwrap();
    println!("{when}: cut off at the other node {:.2?} after the revocation was answered", answered.elapsed());
    assert!(matches!(end, SyncEnd::Purged { .. }), "{end:?}");
    assert!(started.elapsed() < BOUND + answered.duration_since(started), "not within {BOUND:?}: {when}");
    assert_eq!(client.status().await.unwrap().records.values().sum::<u64>(), 0, "its copy is gone");
}
