//! A network between the nodes and PostgreSQL that delays, half-closes, cuts and loses (invariants 3, 4 and 9).

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::support::Deployment;
use crate::support::crew::Crew;
use crate::support::proxy::{Mode, Proxy};

/// A node whose way to PostgreSQL is a proxy, and one that goes there directly.
async fn deployment() -> (Deployment, Proxy) {
    let mut deployment = Deployment::databases(true);
    let way = Proxy::start(vec![deployment.postgres.port]).await;
    let (behind, direct) = (deployment.postgres.url_at(way.port), deployment.postgres.url());
    deployment.add(&behind);
    deployment.add(&direct);
    deployment.up().await;
    (deployment, way)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_3_inv_4_connections_to_postgresql_are_slow_half_closed_and_cut() {
    let (deployment, way) = deployment().await;
    let crew = Crew::start(&deployment).await;
    let faults = [
        ("a network that delays", Mode::Delayed(Duration::from_millis(40))),
        ("half-closed connections", Mode::HalfClosed),
        ("cut connections", Mode::Cut),
    ];
    for (what, mode) in faults {
        way.set(mode);
        sleep(Duration::from_secs(2)).await;
        way.set(Mode::Open);
        crew.recovered(what, Instant::now()).await;
        deployment.all_ready().await;
    }
    // Each cut falls somewhere else in a transaction: a COMMIT whose answer is lost must be inquired after.
    for _ in 0..12 {
        way.set(Mode::Cut);
        sleep(Duration::from_millis(30)).await;
        way.set(Mode::Open);
        sleep(Duration::from_millis(170)).await;
    }
    crew.recovered("twelve cuts in a row", Instant::now()).await;
    crew.settle(&deployment).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_3_inv_9_connections_to_postgresql_fall_silent() {
    let (deployment, way) = deployment().await;
    let crew = Crew::start(&deployment).await;
    way.set(Mode::Silent);
    let silent = Instant::now();
    // What the silent node had locked is released by PostgreSQL, and the other one goes on.
    let worker = &crew.members[1];
    crew.arrives(worker.mark().await, &crew.members[3], "a write at the node that is not cut off").await;
    println!("a node is cut off silently: a write at the other one arrives after {:.2?}", silent.elapsed());
    sleep(Duration::from_secs(3)).await;
    way.set(Mode::Open);
    crew.recovered("connections that carry nothing any more", Instant::now()).await;
    crew.settle(&deployment).await;
}
