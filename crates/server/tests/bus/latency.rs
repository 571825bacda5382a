//! How long a hint takes.

use std::time::Duration;

use syncline_server::bus::BusEvent;
use syncline_server::clock;
use tokio::time::timeout;

use crate::support::{SOON, World, workspace};

/// Half the hints are with another node within a millisecond, on one machine. Rounds are repeated for the case that the
/// machine was busy with something else.
async fn measure(world: World, kind: &str) {
    let (one, two) = (world.node().await, world.node().await);
    let mut at_two = two.subscribe();
    let acme = workspace("acme");
    let mut seq = 0;
    let round = async {
        loop {
            let mut took = Vec::new();
            for _ in 0..200 {
                seq += 1;
                let sent = clock::instant();
                one.hint(&acme, seq);
                while at_two.next().await != Some(BusEvent::Hint { workspace_id: acme.clone(), seq }) {}
                took.push(clock::instant().duration_since(sent));
                // Further apart than hints are gathered: each is the first of its batch.
                tokio::time::sleep(Duration::from_millis(4)).await;
            }
            took.sort_unstable();
            println!("{kind}: hint to delivery p50 {:?}, p99 {:?}", took[100], took[197]);
            if took[100] < Duration::from_millis(1) {
                return;
            }
        }
    };
    timeout(SOON, round).await.expect("half the hints arrive within a millisecond");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hub_8_a_hint_takes_less_than_a_millisecond_with_redis() {
    measure(World::redis(), "redis").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hub_8_a_hint_takes_less_than_a_millisecond_with_a_cluster() {
    measure(World::cluster(), "cluster").await;
}
