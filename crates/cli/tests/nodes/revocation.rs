//! A device that is taken away at one node is cut off at the other within five seconds (REV-1, AUTH-3).

use std::time::Duration;

use syncline_client::SyncEnd;
use syncline_core::session::client::Event;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::support::crew::{Crew, device, follow};
use crate::support::proxy::Proxy;
use crate::support::{Deployment, MANAGER, SOON};

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
