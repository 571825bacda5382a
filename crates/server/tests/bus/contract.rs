//! What every bus does. Each case runs on each kind.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use syncline_core::id::UserId;
use syncline_server::bus::{Bus, BusEvent, RatePolicy, Reach, Revocation};
use uuid::Uuid;

use crate::support::{World, device, entry, hear, hear_revocation, present, until, workspace};

macro_rules! contract {
    ($($case:ident),* $(,)?) => {
        mod local { $(#[tokio::test] async fn $case() { super::$case(super::World::local()).await })* }
        mod redis { $(#[tokio::test] async fn $case() { super::$case(super::World::redis()).await })* }
        mod cluster { $(#[tokio::test] async fn $case() { super::$case(super::World::cluster()).await })* }
    };
}

contract![
    hub_8_a_hint_reaches_the_other_nodes,
    hub_8_of_many_hints_the_newest_arrives,
    hub_8_hints_of_many_workspaces_all_arrive,
    auth_3_a_revocation_reaches_every_node_once,
    auth_3_a_node_that_comes_later_finds_the_revocations,
    auth_3_every_kind_of_revocation_travels_unchanged,
    hub_9_presence_is_the_same_on_every_node,
    hub_9_presence_changes_are_heard_by_the_others,
    hub_9_a_dead_node_takes_its_presence_along,
    hub_9_a_node_that_leaves_says_so,
    auth_8_presence_stays_in_its_workspace,
    api_6_a_limit_counts_for_all_nodes,
    api_6_an_allowance_comes_back_in_its_time,
    hub_8_nodes_know_each_other,
    hub_8_deployments_with_other_prefixes_hear_nothing,
    inv_10_a_closed_bus_ends_its_subscriptions,
];

async fn hear_hint(subscription: &mut syncline_server::bus::Subscription, name: &str) -> u64 {
    hear(subscription, "the hint", |event| match event {
        BusEvent::Hint { workspace_id, seq } if workspace_id == workspace(name) => Some(seq),
        _ => None,
    })
    .await
}

async fn hub_8_a_hint_reaches_the_other_nodes(world: World) {
    let (one, two, three) = (world.node().await, world.node().await, world.node().await);
    let (mut at_two, mut at_three) = (two.subscribe(), three.subscribe());
    one.hint(&workspace("acme"), 7);
    assert_eq!(hear_hint(&mut at_two, "acme").await, 7);
    assert_eq!(hear_hint(&mut at_three, "acme").await, 7);
    two.hint(&workspace("acme"), 8);
    assert_eq!(hear_hint(&mut at_three, "acme").await, 8);
}

async fn hub_8_of_many_hints_the_newest_arrives(world: World) {
    const LAST: u64 = 20_000;
    let (one, two) = (world.node().await, world.node().await);
    let mut at_two = two.subscribe();
    for seq in 1..=LAST {
        one.hint(&workspace("acme"), seq);
    }
    let (mut seen, mut count) = (0, 0);
    while seen < LAST {
        let seq = hear_hint(&mut at_two, "acme").await;
        assert!(seq > seen, "{seq} after {seen}");
        (seen, count) = (seq, count + 1);
    }
    assert!(count < LAST / 10, "{count} hints were heard");
}

async fn hub_8_hints_of_many_workspaces_all_arrive(world: World) {
    let (one, two) = (world.node().await, world.node().await);
    let mut at_two = two.subscribe();
    let names: BTreeSet<String> = (0..2_000).map(|number| format!("w{number}")).collect();
    for name in &names {
        one.hint(&workspace(name), 1);
    }
    let mut missing = names;
    while !missing.is_empty() {
        let name = hear(&mut at_two, "all hints", |event| match event {
            BusEvent::Hint { workspace_id, .. } => Some(workspace_id.as_str().to_owned()),
            _ => None,
        });
        missing.remove(&name.await);
    }
}

async fn auth_3_a_revocation_reaches_every_node_once(world: World) {
    let (one, two) = (world.node().await, world.node().await);
    let (mut at_one, mut at_two) = (one.subscribe(), two.subscribe());
    assert_eq!(one.revoke(&workspace("acme"), device(1)).await, Reach::Deployment);
    assert_eq!(one.revoke(&workspace("acme"), device(2)).await, Reach::Deployment);
    for subscription in [&mut at_one, &mut at_two] {
        let mut heard = Vec::new();
        while heard.last() != Some(&device(2)) {
            let pick = |event| match event {
                BusEvent::Revoked(revoked) if revoked.workspace_id == workspace("acme") => Some(revoked.revocation),
                _ => None,
            };
            heard.push(hear(subscription, "the revocations", pick).await);
        }
        assert_eq!(heard, [device(1), device(2)]);
    }
    // Whatever repeats them below, over the stream or the channel, is not heard again.
    one.revoke(&workspace("acme"), device(3)).await;
    let next = hear(&mut at_two, "the third", |event| match event {
        BusEvent::Revoked(revoked) => Some(revoked.revocation),
        _ => None,
    });
    assert_eq!(next.await, device(3));
}

async fn auth_3_a_node_that_comes_later_finds_the_revocations(world: World) {
    let one = world.node().await;
    for number in 0..50 {
        one.revoke(&workspace("acme"), device(number)).await;
    }
    let late = world.node().await;
    let mut at_late = late.subscribe();
    for number in 0..50 {
        hear_revocation(&mut at_late, &device(number)).await;
    }
}

async fn auth_3_every_kind_of_revocation_travels_unchanged(world: World) {
    let (one, two) = (world.node().await, world.node().await);
    let mut at_two = two.subscribe();
    let id = Uuid::from_u128(5);
    let kinds = [
        device(1),
        Revocation::SignIns { sids: vec![id, Uuid::from_u128(6)], until_ms: 9 },
        Revocation::ApiKey { key_id: id },
        Revocation::Access { user_id: Some(UserId(id)) },
        Revocation::Access { user_id: None },
    ];
    for kind in kinds {
        one.revoke(&workspace("acme"), kind.clone()).await;
        hear_revocation(&mut at_two, &kind).await;
    }
}

async fn hub_9_presence_is_the_same_on_every_node(world: World) {
    let (one, two) = (world.node().await, world.node().await);
    let acme = workspace("acme");
    one.enter(&acme, entry(1)).unwrap();
    one.enter(&acme, entry(2)).unwrap();
    two.enter(&acme, entry(3)).unwrap();
    for node in [&one, &two] {
        until("all three are there", async || (present(node, &acme).await == [1, 2, 3]).then_some(())).await;
    }
    let roll = two.presence(&acme).await;
    assert!(roll.is_complete && roll.reach == Reach::Deployment);
    let nodes: BTreeMap<u128, _> =
        roll.entries.iter().map(|entry| (entry.connection_id.as_u128(), entry.node_id)).collect();
    assert_eq!(nodes, BTreeMap::from([(1, one.node().id), (2, one.node().id), (3, two.node().id)]));
    one.leave(&acme, Uuid::from_u128(1));
    until("one has left", async || (present(&two, &acme).await == [2, 3]).then_some(())).await;
}

async fn hub_9_presence_changes_are_heard_by_the_others(world: World) {
    let (one, two) = (world.node().await, world.node().await);
    let acme = workspace("acme");
    let mut at_two = two.subscribe();
    one.enter(&acme, entry(1)).unwrap();
    let heard = |event| match event {
        BusEvent::Entered { workspace_id, entry } if workspace_id == workspace("acme") => Some(entry),
        _ => None,
    };
    let expected = syncline_server::bus::PresenceEntry { node_id: one.node().id, ..entry(1) };
    assert_eq!(hear(&mut at_two, "entering", heard).await, expected);
    let mut viewing = entry(1);
    viewing.viewing = Some("contacts/7".into());
    one.enter(&acme, viewing).unwrap();
    assert_eq!(hear(&mut at_two, "viewing", heard).await.viewing.as_deref(), Some("contacts/7"));
    one.leave(&acme, Uuid::from_u128(1));
    let left = |event| match event {
        BusEvent::Left { node_id, connection_id, .. } => Some((node_id, connection_id)),
        _ => None,
    };
    assert_eq!(hear(&mut at_two, "leaving", left).await, (one.node().id, Uuid::from_u128(1)));
}

async fn hear_node_left(watcher: &mut syncline_server::bus::Subscription, id: syncline_server::bus::NodeId) {
    let left = |event| matches!(event, BusEvent::NodeLeft { node_id } if node_id == id).then_some(());
    hear(watcher, "the end of a node", left).await;
}

async fn hub_9_a_dead_node_takes_its_presence_along(world: World) {
    let (one, two) = (world.node().await, world.node().await);
    let acme = workspace("acme");
    let mut at_one = one.subscribe();
    two.enter(&acme, entry(1)).unwrap();
    until("it is there", async || (present(&one, &acme).await == [1]).then_some(())).await;
    let id = two.node().id;
    drop(two);
    hear_node_left(&mut at_one, id).await;
    assert_eq!(present(&one, &acme).await, []);
    assert_eq!(one.nodes().len(), 1);
}

async fn hub_9_a_node_that_leaves_says_so(world: World) {
    let (one, two) = (world.node().await, world.node_with(|config| config.node_ttl_ms = 600_000).await);
    let mut at_one = one.subscribe();
    let is_known = |nodes: Vec<_>| nodes.len() == 2;
    until("they know each other", async || is_known(one.nodes()).then_some(())).await;
    two.close().await;
    hear_node_left(&mut at_one, two.node().id).await;
}

async fn auth_8_presence_stays_in_its_workspace(world: World) {
    let (one, two) = (world.node().await, world.node().await);
    one.enter(&workspace("acme"), entry(1)).unwrap();
    one.enter(&workspace("other"), entry(2)).unwrap();
    for (name, expected) in [("acme", [1]), ("other", [2])] {
        let name = workspace(name);
        until("presence", async || (!present(&two, &name).await.is_empty()).then_some(())).await;
        assert_eq!(present(&two, &name).await, expected);
    }
}

async fn api_6_a_limit_counts_for_all_nodes(world: World) {
    let (one, two) = (world.node().await, world.node().await);
    let policy = RatePolicy { per_minute: 1, burst: 10 };
    let (mut allowed, long) = (0, "k".repeat(10_000));
    for _ in 0..20 {
        for node in [&one, &two] {
            let decision = node.take(&long, policy, 1).await;
            allowed += u32::from(decision.is_allowed);
            assert_eq!(decision.remaining, 10 - allowed);
            assert_eq!(decision.is_allowed, decision.retry_ms == 0);
            assert_eq!(decision.reach, Reach::Deployment);
        }
    }
    assert_eq!(allowed, 10);
    let refused = two.take(&long, policy, 1).await;
    assert!((1..=60_000).contains(&refused.retry_ms), "{refused:?}");
    assert!((500_000..=600_000).contains(&refused.reset_ms), "{refused:?}");
    assert!(two.take("another", policy, 4).await.is_allowed);
    assert_eq!(one.take("another", policy, 4).await.remaining, 2);
    assert!(!one.take("another", policy, 4).await.is_allowed);
}

async fn api_6_an_allowance_comes_back_in_its_time(world: World) {
    let one = world.node().await;
    // One unit in 200 ms.
    let policy = RatePolicy { per_minute: 300, burst: 1 };
    assert!(one.take("key", policy, 1).await.is_allowed);
    let refused = one.take("key", policy, 1).await;
    assert!(!refused.is_allowed && refused.retry_ms <= 200, "{refused:?}");
    tokio::time::sleep(Duration::from_millis(refused.retry_ms + 5)).await;
    assert!(one.take("key", policy, 1).await.is_allowed);
}

fn ids(bus: &Bus) -> BTreeSet<Uuid> {
    bus.nodes().iter().map(|node| node.id.0).collect()
}

async fn hub_8_nodes_know_each_other(world: World) {
    let (one, two, three) = (world.node().await, world.node().await, world.node().await);
    let all: BTreeSet<Uuid> = [&one, &two, &three].map(|bus| bus.node().id.0).into();
    for bus in [&one, &two, &three] {
        until("all nodes are known", async || (ids(bus) == all).then_some(())).await;
    }
    let known = one.nodes().into_iter().find(|node| node.id == three.node().id).unwrap();
    assert_eq!((&known, known.address.as_str()), (three.node(), "node:1"));
}

async fn hub_8_deployments_with_other_prefixes_hear_nothing(world: World) {
    let apart = world.apart();
    let (one, two, stranger) = (world.node().await, world.node().await, apart.node().await);
    let (mut at_two, mut at_stranger) = (two.subscribe(), stranger.subscribe());
    one.revoke(&workspace("acme"), device(1)).await;
    one.hint(&workspace("acme"), 1);
    one.enter(&workspace("acme"), entry(1)).unwrap();
    hear_revocation(&mut at_two, &device(1)).await;
    hear_hint(&mut at_two, "acme").await;
    until("it is there", async || (present(&two, &workspace("acme")).await == [1]).then_some(())).await;
    assert_eq!(present(&stranger, &workspace("acme")).await, []);
    assert_eq!(stranger.nodes().len(), 1);
    stranger.close().await;
    assert_eq!(at_stranger.next().await, None);
}

async fn inv_10_a_closed_bus_ends_its_subscriptions(world: World) {
    let one = world.node().await;
    let mut subscription = one.subscribe();
    one.close().await;
    hear_end(&mut subscription).await;
    one.close().await;
    one.hint(&workspace("acme"), 1);
    assert!(one.take("key", RatePolicy { per_minute: 60, burst: 1 }, 1).await.is_allowed);
}

async fn hear_end(subscription: &mut syncline_server::bus::Subscription) {
    while subscription.next().await.is_some() {}
}
