//! A write at one node arrives at a device on another, with and without Redis (HUB-8, invariant 13).

use std::time::Duration;

use crate::support::Deployment;
use crate::support::crew::Crew;

/// Without hints the heads of the logs are read ten times a second; the rest is for a busy machine.
const LIVE: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hub_8_a_write_reaches_a_device_on_the_other_node_with_redis_and_after_losing_it() {
    let mut deployment = Deployment::start(2).await;
    let mut crew = Crew::start(&deployment).await;
    crew.latency("with Redis, while all write", 30).await;
    // With nobody else writing at the reader's node, only a hint or a look at the log can bring it.
    crew.rest().await;
    let (median, _) = crew.latency("with Redis", 20).await;
    assert!(median < LIVE, "{median:?}");
    deployment.redis().kill();
    for node in &deployment.nodes {
        node.bus_is("degraded").await;
    }
    let (median, _) = crew.latency("after losing Redis", 20).await;
    assert!(median < LIVE, "{median:?}");
    crew.settle(&deployment).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_13_two_nodes_without_redis_deliver_and_revoke() {
    let deployment = Deployment::start_without_redis(2).await;
    let mut crew = Crew::start(&deployment).await;
    crew.latency("without Redis, while all write", 20).await;
    crew.rest().await;
    let (median, _) = crew.latency("without Redis", 20).await;
    assert!(median < LIVE, "{median:?}");
    crate::revocation::cut_at_the_other_node(&deployment, "without Redis").await;
    crew.settle(&deployment).await;
}
