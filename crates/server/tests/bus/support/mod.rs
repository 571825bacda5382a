//! Nodes on a bus of each kind, and how to wait for what they hear.

pub mod proxy;
pub mod redis;

use std::time::Duration;

use secrecy::SecretString;
use syncline_core::id::{DeviceId, UserId, WorkspaceId};
use syncline_core::principal::DeploymentMode;
use syncline_server::bus::{Bus, BusEvent, BusHealth, Exchange, NodeId, PresenceEntry, Revocation, Subscription};
use syncline_server::config::BusConfig;
use syncline_server::random;
use tokio::time::timeout;
use uuid::Uuid;

use redis::{Cluster, Server};

/// Longest wait for anything, on a machine that does other things too.
pub const SOON: Duration = Duration::from_secs(30);

/// Where the nodes of one test meet.
pub struct World {
    kind: Kind,
    prefix: String,
}

enum Kind {
    Local(Exchange),
    Redis { url: String, _server: Option<Server> },
    Cluster { url: String, _cluster: Option<Cluster> },
}

impl World {
    pub fn local() -> Self {
        Self::new(Kind::Local(Exchange::default()))
    }

    pub fn redis() -> Self {
        Self::new(match std::env::var("SYNCLINE_TEST_REDIS") {
            Ok(url) => Kind::Redis { url, _server: None },
            Err(_) => {
                let server = Server::start(&[]);
                Kind::Redis { url: server.url(), _server: Some(server) }
            }
        })
    }

    pub fn cluster() -> Self {
        Self::new(match std::env::var("SYNCLINE_TEST_REDIS_CLUSTER") {
            Ok(url) => Kind::Cluster { url, _cluster: None },
            Err(_) => {
                let cluster = Cluster::start();
                Kind::Cluster { url: cluster.url(), _cluster: Some(cluster) }
            }
        })
    }

    fn new(kind: Kind) -> Self {
        Self { kind, prefix: format!("test:{}:", random::uuid_v7()) }
    }

    /// Another deployment in the same place.
    pub fn apart(&self) -> Self {
        let kind = match &self.kind {
            Kind::Local(_) => Kind::Local(Exchange::default()),
            Kind::Redis { url, .. } => Kind::Redis { url: url.clone(), _server: None },
            Kind::Cluster { url, .. } => Kind::Cluster { url: url.clone(), _cluster: None },
        };
        Self::new(kind)
    }

    /// One more node; it is connected.
    pub async fn node(&self) -> Bus {
        self.node_with(|_| {}).await
    }

    pub async fn node_with(&self, change: impl FnOnce(&mut BusConfig)) -> Bus {
        let (url, is_cluster) = match &self.kind {
            Kind::Local(exchange) => return Bus::join(exchange, "node:1"),
            Kind::Redis { url, .. } => (url, false),
            Kind::Cluster { url, .. } => (url, true),
        };
        let mut config = config(url, &self.prefix);
        config.is_cluster = is_cluster;
        change(&mut config);
        let bus = Bus::start(&config, "node:1").await.unwrap();
        connected(&bus).await;
        bus
    }
}

/// Settings at which a test need not wait long.
pub fn config(url: &str, prefix: &str) -> BusConfig {
    BusConfig {
        redis_url: Some(SecretString::from(url)),
        key_prefix: prefix.to_owned(),
        heartbeat_ms: 200,
        node_ttl_ms: 3_000,
        backoff_ms_max: 500,
        ..BusConfig::default()
    }
}

pub async fn connected(bus: &Bus) {
    health(bus, BusHealth::is_connected).await;
}

/// Waits until the bus has noticed that Redis is away, and returns why it thinks so.
pub async fn degraded(bus: &Bus) -> String {
    match health(bus, |health| !health.is_connected()).await {
        BusHealth::Degraded { reason, .. } => reason,
        BusHealth::Connected => unreachable!("it was asked for another"),
    }
}

async fn health(bus: &Bus, is_wanted: impl Fn(&BusHealth) -> bool) -> BusHealth {
    let wait = async {
        let mut health = bus.health();
        while !is_wanted(&health) {
            health = bus.health_other_than(&health).await;
        }
        health
    };
    let waited = timeout(SOON, wait).await;
    waited.unwrap_or_else(|_| panic!("the health is still {:?}", bus.health()))
}

/// Waits for the first event that `pick` likes; the others are passed over.
pub async fn hear<T>(subscription: &mut Subscription, what: &str, pick: impl Fn(BusEvent) -> Option<T>) -> T {
    let wait = async {
        loop {
            let event = subscription.next().await.unwrap_or_else(|| panic!("closed before {what}"));
            if let Some(picked) = pick(event) {
                return picked;
            }
        }
    };
    timeout(SOON, wait).await.unwrap_or_else(|_| panic!("{what} did not come"))
}

pub async fn hear_revocation(subscription: &mut Subscription, expected: &Revocation) {
    hear(subscription, "the revocation", |event| match event {
        BusEvent::Revoked(revoked) if revoked.revocation == *expected => Some(()),
        _ => None,
    })
    .await;
}

/// In either order: a node may be back before the one whose revocation it waits for.
pub async fn hear_revocation_and_resumed(subscription: &mut Subscription, expected: &Revocation) {
    let (mut is_revoked, mut is_resumed) = (false, false);
    while !(is_revoked && is_resumed) {
        let heard = hear(subscription, "the revocation and resuming", |event| match event {
            BusEvent::Revoked(revoked) if revoked.revocation == *expected => Some(true),
            BusEvent::Resumed(_) => Some(false),
            _ => None,
        });
        if heard.await { is_revoked = true } else { is_resumed = true }
    }
}

pub async fn hear_resumed(subscription: &mut Subscription) {
    hear(subscription, "resuming", |event| matches!(event, BusEvent::Resumed(_)).then_some(())).await;
}

/// Asks again and again, each time after something had the time to happen, until the answer is right.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, wait).await.unwrap_or_else(|_| panic!("not within {SOON:?}: {what}"))
}

pub fn workspace(name: &str) -> WorkspaceId {
    WorkspaceId::new(name).unwrap()
}

pub fn device(number: u128) -> Revocation {
    Revocation::Device { device_id: DeviceId::from_u128(number) }
}

pub fn entry(number: u128) -> PresenceEntry {
    PresenceEntry {
        connection_id: Uuid::from_u128(number),
        client_id: None,
        user_id: UserId::from_u128(number),
        device_id: DeviceId::from_u128(number),
        deployment_mode: DeploymentMode::WebApp,
        node_id: NodeId(Uuid::nil()),
        since_ms: 1,
        viewing: None,
        is_editing: false,
        viewing_since_ms: 0,
    }
}

/// Numbers of the connections that `bus` knows of, sorted.
pub async fn present(bus: &Bus, workspace_id: &WorkspaceId) -> Vec<u128> {
    let mut numbers: Vec<u128> =
        bus.presence(workspace_id).await.entries.iter().map(|entry| entry.connection_id.as_u128()).collect();
    numbers.sort_unstable();
    numbers
}
