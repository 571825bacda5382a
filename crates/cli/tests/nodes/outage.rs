//! Redis is away for a while, under load (HUB-8, invariant 13).

use tokio::time::{Instant, sleep};

use crate::support::crew::Crew;
use crate::support::{Deployment, setting_ms};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_13_redis_is_away_under_load_and_nothing_is_lost() {
    let away = setting_ms("SYNCLINE_TEST_REDIS_AWAY_MS", 15_000);
    let mut deployment = Deployment::start(2).await;
    let crew = Crew::start(&deployment).await;
    crew.latency("before Redis went", 30).await;
    deployment.redis().kill();
    let gone = Instant::now();
    for node in &deployment.nodes {
        node.bus_is("degraded").await;
        let (status, health) = node.get("/health").await;
        assert_eq!(status, 200, "losing Redis does not make a node unhealthy: {health}");
        assert!(health["components"]["bus"]["degraded_since_ms"].is_u64(), "{health}");
    }
    crew.latency("without Redis", 30).await;
    sleep(away.saturating_sub(gone.elapsed())).await;
    deployment.redis().restart();
    let returned = Instant::now();
    for node in &deployment.nodes {
        node.bus_is("connected").await;
    }
    println!("the nodes found Redis again after {:.2?}", returned.elapsed());
    crew.recovered(&format!("Redis was away for {:.1?}", returned - gone), returned).await;
    crew.latency("with Redis again", 30).await;
    crew.settle(&deployment).await;
}
