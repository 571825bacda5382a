//! Three nodes behind nginx as `deploy/` has them (HUB-8, OPS-7).

use serde_json::Value;
use tokio::time::Instant;

use crate::support::crew::Crew;
use crate::support::nginx::Nginx;
use crate::support::{Deployment, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hub_8_ops_7_behind_nginx_nobody_notices_which_node_is_gone() {
    let mut deployment = Deployment::start(3).await;
    let nginx = Nginx::start(&deployment).await;
    let crew = Crew::start_behind(&deployment, nginx.port).await;
    let counts = async |deployment: &Deployment| {
        let mut counts = Vec::new();
        for node in &deployment.nodes {
            let (_, health) = node.get("/health").await;
            counts.push(health.pointer("/components/hub/connections").and_then(Value::as_u64).unwrap_or(0));
        }
        counts
    };
    let spread = counts(&deployment).await;
    assert!(spread.iter().all(|count| *count > 0), "every node has clients: {spread:?}");
    let metrics = reqwest::get(format!("http://127.0.0.1:{}/metrics", nginx.port)).await.unwrap();
    assert_eq!(metrics.status(), 404, "metrics are not for everybody");

    deployment.nodes[0].kill();
    crew.recovered("kill -9 of a node behind nginx", Instant::now()).await;
    deployment.nodes[0].start().await;
    assert!(deployment.nodes[1].stop().await.success());
    crew.recovered("a drained node behind nginx", Instant::now()).await;
    deployment.nodes[1].start().await;
    until("all nodes are behind nginx again", async || {
        let answer = reqwest::get(format!("http://127.0.0.1:{}/health/ready", nginx.port)).await.ok()?;
        answer.status().is_success().then_some(())
    })
    .await;
    crew.settle(&deployment).await;
}
