//! Upgrading: one node after the other is told to end and started again, while clients work (HUB-8, invariants 4 and 9).

use tokio::time::Instant;

use crate::support::Deployment;
use crate::support::crew::Crew;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_4_inv_9_a_rolling_restart_is_nothing_a_client_has_to_act_on() {
    let mut deployment = Deployment::start(3).await;
    let crew = Crew::start(&deployment).await;
    for number in 0..deployment.nodes.len() {
        let told = Instant::now();
        let ended = deployment.nodes[number].stop().await;
        assert!(ended.success(), "a node that is told to end says all is well: {ended}");
        println!("node {number} ended {:.2?} after it was told to", told.elapsed());
        crew.recovered(&format!("the end of node {number}"), told).await;
        deployment.nodes[number].start().await;
        crew.recovered(&format!("the new start of node {number}"), Instant::now()).await;
    }
    crew.settle(&deployment).await;
}
