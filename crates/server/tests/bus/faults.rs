//! Redis may vanish at any moment and nothing is lost (invariant 13).

use std::time::Duration;

use syncline_server::bus::{Bus, BusEvent, RatePolicy, Reach, Subscription};
use syncline_server::clock;
use uuid::Uuid;

use crate::support::proxy::Proxy;
use crate::support::redis::{Cluster, Server};
use crate::support::{
    SOON, config, connected, degraded, device, entry, hear, hear_resumed, hear_revocation, hear_revocation_and_resumed,
    present, until, workspace,
};

/// A call that waits for Redis at all waits for this long, and a little for a busy machine.
const FAST: Duration = Duration::from_millis(500 + 1_500);
const POLICY: RatePolicy = RatePolicy { per_minute: 60, burst: 5 };

async fn node(url: &str) -> Bus {
    let bus = Bus::start(&config(url, "test:"), "node:1").await.unwrap();
    connected(&bus).await;
    bus
}

struct Pair {
    one: Bus,
    two: Bus,
    at_one: Subscription,
    at_two: Subscription,
}

impl Pair {
    /// Two nodes with presence, of which each knows the other.
    async fn start(url_of_one: &str, url_of_two: &str) -> Self {
        let (one, two) = (node(url_of_one).await, node(url_of_two).await);
        let (at_one, at_two) = (one.subscribe(), two.subscribe());
        one.enter(&workspace("acme"), entry(1)).unwrap();
        two.enter(&workspace("acme"), entry(2)).unwrap();
        let pair = Self { one, two, at_one, at_two };
        pair.is_whole().await;
        pair
    }

    async fn is_whole(&self) {
        for bus in [&self.one, &self.two] {
            connected(bus).await;
            until("both are present", async || (present(bus, &workspace("acme")).await == [1, 2]).then_some(())).await;
            until("both are known", async || (bus.nodes().len() == 2).then_some(())).await;
        }
    }

    /// All of it works between them: hints, revocations, limits.
    async fn works(&mut self, number: u128) {
        self.is_whole().await;
        let key = format!("after {number}");
        assert_eq!(self.one.take(&key, POLICY, 3).await.reach, Reach::Deployment);
        assert_eq!(self.two.take(&key, POLICY, 1).await.remaining, 1);
        let seq = u64::try_from(number).unwrap();
        self.one.hint(&workspace("acme"), seq);
        let hint = |event| matches!(event, BusEvent::Hint { seq: heard, .. } if heard == seq).then_some(());
        hear(&mut self.at_two, "a hint afterwards", hint).await;
        assert_eq!(self.two.revoke(&workspace("acme"), device(number)).await, Reach::Deployment);
        hear_revocation(&mut self.at_one, &device(number)).await;
    }
}

/// Every call answers soon, from this node alone.
async fn answers_for_itself(bus: &Bus, revoked: u128) {
    let acme = workspace("acme");
    let key = format!("alone {revoked}");
    let calls = async {
        bus.hint(&acme, 1);
        assert_eq!(bus.revoke(&acme, device(revoked)).await, Reach::Degraded);
        let roll = bus.presence(&acme).await;
        assert_eq!((roll.reach, roll.entries.len()), (Reach::Degraded, 1), "only its own");
        let decisions = [bus.take(&key, POLICY, 5).await, bus.take(&key, POLICY, 1).await];
        assert_eq!(decisions.map(|decision| decision.is_allowed), [true, false]);
        assert_eq!(decisions.map(|decision| decision.reach), [Reach::Degraded; 2]);
    };
    let started = clock::instant();
    calls.await;
    let took = clock::instant().duration_since(started);
    assert!(took < FAST, "once Redis is known to be away nothing waits for it: {took:?}");
}

#[tokio::test]
async fn inv_13_redis_is_killed_and_comes_back_empty() {
    let mut server = Server::start(&[]);
    let mut pair = Pair::start(&server.url(), &server.url()).await;
    pair.works(100).await;
    server.kill();
    let reason = degraded(&pair.one).await;
    degraded(&pair.two).await;
    assert!(!reason.is_empty());
    answers_for_itself(&pair.one, 1).await;
    answers_for_itself(&pair.two, 2).await;
    // Presence changes while nobody can be told.
    pair.one.leave(&workspace("acme"), Uuid::from_u128(1));
    pair.one.enter(&workspace("acme"), entry(3)).unwrap();
    server.restart();
    let returned = clock::instant();
    hear_revocation_and_resumed(&mut pair.at_two, &device(1)).await;
    hear_revocation_and_resumed(&mut pair.at_one, &device(2)).await;
    println!("revocations of the outage arrive {:?} after Redis is back", clock::instant().duration_since(returned));
    let two = &pair.two;
    until("presence is new", async || (present(two, &workspace("acme")).await == [2, 3]).then_some(())).await;
    pair.one.enter(&workspace("acme"), entry(1)).unwrap();
    pair.one.leave(&workspace("acme"), Uuid::from_u128(3));
    pair.works(101).await;
    // What was published before the kill was lost by Redis, and is there again for a node that comes now.
    let late = node(&server.url()).await;
    hear_revocation(&mut late.subscribe(), &device(100)).await;
    assert_eq!((pair.one.stats().outages, pair.two.stats().outages), (1, 1));
}

#[tokio::test]
async fn inv_13_redis_is_stopped_and_goes_on() {
    let server = Server::start(&[]);
    let mut pair = Pair::start(&server.url(), &server.url()).await;
    pair.works(100).await;
    server.freeze();
    let stopped = clock::instant();
    // The first call meets the silence and has its deadline.
    pair.one.take("first", POLICY, 1).await;
    let took = clock::instant().duration_since(stopped);
    assert!(took < FAST, "{took:?}");
    let reason = degraded(&pair.one).await;
    assert!(reason.contains("not answered"), "{reason}");
    degraded(&pair.two).await;
    println!("silence is noticed by both after {:?}", clock::instant().duration_since(stopped));
    answers_for_itself(&pair.one, 1).await;
    tokio::time::sleep(Duration::from_secs(3).saturating_sub(clock::instant().duration_since(stopped))).await;
    server.thaw();
    hear_revocation_and_resumed(&mut pair.at_two, &device(1)).await;
    hear_resumed(&mut pair.at_one).await;
    pair.works(101).await;
}

#[tokio::test]
async fn inv_13_one_node_is_cut_off() {
    let server = Server::start(&[]);
    let proxy = Proxy::start(server.port).await;
    let mut pair = Pair::start(&server.url(), &proxy.url).await;
    pair.works(100).await;
    proxy.cut();
    degraded(&pair.two).await;
    answers_for_itself(&pair.two, 1).await;
    assert_eq!(pair.one.revoke(&workspace("acme"), device(2)).await, Reach::Deployment);
    pair.two.leave(&workspace("acme"), Uuid::from_u128(2));
    pair.two.hint(&workspace("late"), 77);
    proxy.open();
    let opened = clock::instant();
    hear_revocation(&mut pair.at_two, &device(2)).await;
    hear_revocation(&mut pair.at_one, &device(1)).await;
    let took = clock::instant().duration_since(opened);
    println!("after a cut, revocations go both ways within {took:?}");
    assert!(took < SOON);
    hear_resumed(&mut pair.at_two).await;
    // The other node was never cut off, so nothing else makes it look.
    let hint = |event| matches!(event, BusEvent::Hint { seq: 77, .. }).then_some(());
    hear(&mut pair.at_one, "the hint of the outage", hint).await;
    let one = &pair.one;
    until("the other has left", async || (present(one, &workspace("acme")).await == [1]).then_some(())).await;
    pair.two.enter(&workspace("acme"), entry(2)).unwrap();
    pair.works(101).await;
    assert_eq!(pair.one.stats().outages, 0, "the other node was never disturbed");
}

#[tokio::test]
async fn inv_13_one_node_is_cut_off_for_so_long_that_it_counts_as_dead() {
    let server = Server::start(&[]);
    let proxy = Proxy::start(server.port).await;
    let mut pair = Pair::start(&server.url(), &proxy.url).await;
    proxy.cut();
    let id = pair.two.node().id;
    let left = |event| matches!(event, BusEvent::NodeLeft { node_id } if node_id == id).then_some(());
    hear(&mut pair.at_one, "the end of a node", left).await;
    assert_eq!(present(&pair.one, &workspace("acme")).await, [1]);
    proxy.open();
    pair.works(100).await;
}

#[tokio::test]
async fn inv_13_connections_stand_open_and_carry_nothing() {
    let server = Server::start(&[]);
    let proxy = Proxy::start(server.port).await;
    let mut pair = Pair::start(&server.url(), &proxy.url).await;
    proxy.silence();
    let reason = degraded(&pair.two).await;
    assert!(reason.contains("not answered"), "{reason}");
    answers_for_itself(&pair.two, 1).await;
    pair.one.revoke(&workspace("acme"), device(2)).await;
    proxy.open();
    hear_revocation(&mut pair.at_two, &device(2)).await;
    hear_revocation(&mut pair.at_one, &device(1)).await;
    hear_resumed(&mut pair.at_two).await;
    pair.works(100).await;
}

#[tokio::test]
async fn inv_13_only_the_listening_connection_is_dead() {
    let server = Server::start(&[]);
    let proxy = Proxy::start(server.port).await;
    let mut pair = Pair::start(&server.url(), &proxy.url).await;
    proxy.deafen();
    // The stream of revocations does not need it.
    pair.one.revoke(&workspace("acme"), device(1)).await;
    hear_revocation(&mut pair.at_two, &device(1)).await;
    let reason = degraded(&pair.two).await;
    assert!(reason.contains("listening") || reason.contains("connecting"), "{reason}");
    proxy.open();
    hear_resumed(&mut pair.at_two).await;
    pair.works(100).await;
}

#[tokio::test]
async fn inv_13_a_node_of_a_cluster_is_killed() {
    let mut cluster = Cluster::start();
    let mut pair = Pair::start(&cluster.url(), &cluster.url()).await;
    pair.works(100).await;
    for index in 0..3 {
        let number = u128::try_from(index).unwrap();
        cluster.servers[index].kill();
        // Without one of its masters a cluster refuses everything, after a while.
        degraded(&pair.one).await;
        answers_for_itself(&pair.one, 10 + number).await;
        cluster.servers[index].restart();
        cluster.wait();
        hear_revocation(&mut pair.at_two, &device(10 + number)).await;
        pair.works(200 + number).await;
    }
}

#[tokio::test]
async fn inv_13_a_node_starts_without_redis() {
    let mut server = Server::start(&[]);
    server.kill();
    let started = clock::instant();
    let bus = Bus::start(&config(&server.url(), "test:"), "node:1").await.unwrap();
    let took = clock::instant().duration_since(started);
    assert!(took < Duration::from_secs(2) + FAST, "{took:?}");
    let mut subscription = bus.subscribe();
    degraded(&bus).await;
    bus.enter(&workspace("acme"), entry(1)).unwrap();
    answers_for_itself(&bus, 1).await;
    server.restart();
    connected(&bus).await;
    hear_resumed(&mut subscription).await;
    let other = node(&server.url()).await;
    hear_revocation(&mut other.subscribe(), &device(1)).await;
    until("it is present", async || (present(&other, &workspace("acme")).await == [1]).then_some(())).await;
}

#[tokio::test]
async fn inv_13_redis_forgets_everything_and_stays() {
    let server = Server::start(&[]);
    let mut pair = Pair::start(&server.url(), &server.url()).await;
    pair.works(100).await;
    server.command("FLUSHALL");
    hear_resumed(&mut pair.at_one).await;
    hear_resumed(&mut pair.at_two).await;
    pair.works(101).await;
    let late = node(&server.url()).await;
    hear_revocation(&mut late.subscribe(), &device(100)).await;
}

#[tokio::test]
async fn auth_3_a_password_of_redis_is_never_shown() {
    let server = Server::start(&["--requirepass", "hush-hush"]);
    let right = format!("redis://:hush-hush@127.0.0.1:{}", server.port);
    let pair = Pair::start(&right, &right).await;
    assert!(!format!("{:?}", pair.one).contains("hush"));
    let wrong = format!("redis://ann:hush-wrong@127.0.0.1:{}", server.port);
    let settings = config(&wrong, "test:");
    assert!(!format!("{settings:?}").contains("hush"));
    let bus = Bus::start(&settings, "node:1").await.unwrap();
    let reason = degraded(&bus).await;
    assert!(!reason.contains("hush") && !reason.contains("ann"), "{reason}");
    assert!(!format!("{bus:?}").contains("hush"));
}
