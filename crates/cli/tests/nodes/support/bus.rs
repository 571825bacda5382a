//! What is between the nodes: one Redis, or with `SYNCLINE_TEST_BUS=cluster` a Redis Cluster, all of which fails together.

use super::redis::{Cluster, Server};

pub enum Bus {
    One(Server),
    Cluster(Cluster),
}

impl Bus {
    pub fn start() -> Self {
        match std::env::var("SYNCLINE_TEST_BUS").as_deref() {
            Ok("cluster") => Self::Cluster(Cluster::start()),
            Ok("redis" | "") | Err(_) => Self::One(Server::start(&[])),
            Ok(other) => panic!("SYNCLINE_TEST_BUS={other}: say redis or cluster"),
        }
    }

    pub fn url(&self) -> String {
        match self {
            Self::One(server) => server.url(),
            Self::Cluster(cluster) => cluster.url(),
        }
    }

    pub fn kill(&mut self) {
        self.servers_mut().iter_mut().for_each(Server::kill);
    }

    /// A cluster remembers its nodes, and nothing else.
    pub fn restart(&mut self) {
        self.servers_mut().iter_mut().for_each(Server::restart);
        if let Self::Cluster(cluster) = self {
            cluster.wait();
        }
    }

    pub fn freeze(&self) {
        self.servers().iter().for_each(Server::freeze);
    }

    pub fn thaw(&self) {
        self.servers().iter().for_each(Server::thaw);
    }

    fn servers(&self) -> &[Server] {
        match self {
            Self::One(server) => std::slice::from_ref(server),
            Self::Cluster(cluster) => &cluster.servers,
        }
    }

    fn servers_mut(&mut self) -> &mut [Server] {
        match self {
            Self::One(server) => std::slice::from_mut(server),
            Self::Cluster(cluster) => &mut cluster.servers,
        }
    }
}
