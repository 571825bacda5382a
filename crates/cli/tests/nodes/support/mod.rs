//! A deployment of one test: nodes on a PostgreSQL and a Redis of its own, and how to wait.

pub mod bus;
pub mod crew;
pub mod nginx;
pub mod node;
pub mod postgres;
pub mod proxy;
#[allow(dead_code, reason = "the bus's own tests use more of it")]
#[path = "../../../../server/tests/bus/support/redis.rs"]
pub mod redis;
pub mod settle;

use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use bus::Bus;
use node::Node;
use postgres::Postgres;

pub const OWNER: &str = "demo@syncline.dev";
pub const MANAGER: &str = "manager@syncline.dev";
pub const PASSWORD: &str = "syncline-demo";

/// Longest wait for anything, on a machine that does other things too.
pub const SOON: Duration = Duration::from_secs(90);

/// Nodes on one PostgreSQL and, where wanted, one Redis or Redis Cluster.
pub struct Deployment {
    pub nodes: Vec<Node>,
    pub postgres: Postgres,
    pub redis: Option<Bus>,
    pub folder: TempDir,
}

impl Deployment {
    /// With Redis; the nodes run.
    pub async fn start(nodes: usize) -> Self {
        let mut deployment = Self::prepare(nodes, true);
        deployment.up().await;
        for node in &deployment.nodes {
            node.bus_is("connected").await;
        }
        deployment
    }

    /// With PostgreSQL alone; the nodes run.
    pub async fn start_without_redis(nodes: usize) -> Self {
        let mut deployment = Self::prepare(nodes, false);
        deployment.up().await;
        deployment
    }

    /// The databases run, the nodes do not yet.
    pub fn prepare(nodes: usize, has_redis: bool) -> Self {
        let mut deployment = Self::databases(has_redis);
        let url = deployment.postgres.url();
        (0..nodes).for_each(|_| deployment.add(&url));
        deployment
    }

    pub fn databases(has_redis: bool) -> Self {
        let _chosen_before = rustls::crypto::aws_lc_rs::default_provider().install_default().is_err();
        let redis = has_redis.then(Bus::start);
        let folder = tempfile::tempdir().unwrap();
        Self { nodes: Vec::new(), postgres: Postgres::start(), redis, folder }
    }

    /// One more node, which is not started, with this way to the database.
    pub fn add(&mut self, database_url: &str) {
        let mut environment = vec![("DATABASE_URL", database_url.to_owned())];
        environment.extend(self.redis.as_ref().map(|redis| ("REDIS_URL", redis.url())));
        let folder = self.folder.path().join(format!("node{}", self.nodes.len()));
        self.nodes.push(Node::new(folder, environment));
    }

    /// Starts the nodes, one after the other.
    pub async fn up(&mut self) {
        for node in &mut self.nodes {
            node.start().await;
        }
    }

    pub fn redis(&mut self) -> &mut Bus {
        self.redis.as_mut().expect("a deployment with Redis")
    }

    pub async fn all_ready(&self) {
        for node in &self.nodes {
            until("a node is ready", async || node.is_ready().await.then_some(())).await;
        }
    }
}

/// Asks until there is an answer.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(started.elapsed() < SOON, "not within {SOON:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A length of time that the environment may set; milliseconds.
pub fn setting_ms(name: &str, default_ms: u64) -> Duration {
    let set =
        std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: milliseconds")));
    Duration::from_millis(set.unwrap_or(default_ms))
}
