//! SIGSTOP: a process that gets no time looks like one that is very slow, and its sockets stay open (invariants 3, 4, 9, 13).

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::support::crew::Crew;
use crate::support::{Deployment, setting_ms};

/// How long each stands still; `SYNCLINE_TEST_FREEZE_MS`.
fn pause() -> Duration {
    setting_ms("SYNCLINE_TEST_FREEZE_MS", 6_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_3_inv_9_a_node_stands_still_and_goes_on() {
    let deployment = Deployment::start(2).await;
    let crew = Crew::start(&deployment).await;
    deployment.nodes[0].freeze();
    let frozen = Instant::now();
    // Half of the crew is at the other node, which must not wait for a lock of the frozen one for ever.
    let worker = &crew.members[1];
    crew.arrives(worker.mark().await, &crew.members[3], "a write at the other node, while one stands still").await;
    println!("a node stands still: a write at the other one arrives after {:.2?}", frozen.elapsed());
    sleep(pause().saturating_sub(frozen.elapsed())).await;
    deployment.nodes[0].thaw();
    crew.recovered(&format!("a node that stood still for {:.1?}", frozen.elapsed()), Instant::now()).await;
    crew.settle(&deployment).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_3_inv_9_postgresql_stands_still_and_goes_on() {
    let deployment = Deployment::start(2).await;
    let crew = Crew::start(&deployment).await;
    deployment.postgres.freeze();
    sleep(pause()).await;
    deployment.postgres.thaw();
    crew.recovered(&format!("PostgreSQL, which stood still for {:?}", pause()), Instant::now()).await;
    crew.settle(&deployment).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_13_redis_stands_still_and_goes_on() {
    let mut deployment = Deployment::start(2).await;
    let crew = Crew::start(&deployment).await;
    deployment.redis().freeze();
    let frozen = Instant::now();
    crew.latency("while Redis stands still", 10).await;
    for node in &deployment.nodes {
        node.bus_is("degraded").await;
    }
    println!("the nodes noticed within {:.2?}", frozen.elapsed());
    sleep(pause().saturating_sub(frozen.elapsed())).await;
    deployment.redis().thaw();
    let thawed = Instant::now();
    for node in &deployment.nodes {
        node.bus_is("connected").await;
    }
    println!("the nodes found Redis again after {:.2?}", thawed.elapsed());
    crew.recovered("Redis stood still", thawed).await;
    crew.settle(&deployment).await;
}
