//! `kill -9` of a node, of PostgreSQL, of Redis, and back again (invariants 3, 4 and 13).

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::support::Deployment;
use crate::support::crew::Crew;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_3_inv_4_a_node_is_killed_and_started_again() {
    let mut deployment = Deployment::start(3).await;
    let crew = Crew::start(&deployment).await;
    for round in 0..2 {
        let node = round % 3;
        deployment.nodes[node].kill();
        crew.recovered("kill -9 of a node, which stays away", Instant::now()).await;
        deployment.nodes[node].start().await;
        crew.recovered("its new start", Instant::now()).await;
    }
    crew.settle(&deployment).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_3_inv_4_postgresql_crashes_and_comes_back() {
    let mut deployment = Deployment::start(2).await;
    let crew = Crew::start(&deployment).await;
    for away in [Duration::ZERO, Duration::from_secs(3)] {
        deployment.postgres.kill();
        sleep(away).await;
        deployment.postgres.restart();
        crew.recovered(&format!("a crash of PostgreSQL, which was away for {away:?}"), Instant::now()).await;
        deployment.all_ready().await;
    }
    crew.settle(&deployment).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_13_redis_is_killed_and_comes_back_empty() {
    let mut deployment = Deployment::start(2).await;
    let crew = Crew::start(&deployment).await;
    deployment.redis().kill();
    crew.recovered("kill -9 of Redis, which stays away", Instant::now()).await;
    for node in &deployment.nodes {
        node.bus_is("degraded").await;
        assert!(node.is_ready().await, "losing Redis does not make a node unhealthy");
    }
    deployment.redis().restart();
    let restarted = Instant::now();
    for node in &deployment.nodes {
        node.bus_is("connected").await;
    }
    println!("the nodes found Redis again after {:.2?}", restarted.elapsed());
    crew.recovered("the return of Redis", restarted).await;
    crew.settle(&deployment).await;
}
