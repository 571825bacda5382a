//! One attempt at Redis: a connection for commands and one that listens, both new.

use std::sync::Once;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection, PubSubSink, PubSubStream};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, Pipeline, RedisFuture, RedisResult, Value};

use super::address::Addresses;
use super::wire::Keys;

/// Sends commands; a clone shares the connection.
#[derive(Clone)]
pub(super) enum Commands {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

pub(super) struct Link {
    pub commands: Commands,
    pub messages: PubSubStream,
    /// Held, because the connection ends with it.
    pub sink: PubSubSink,
}

/// Time the library gives an answer; longer than ours, which is the one that counts.
const ANSWER_MAX: Duration = Duration::from_secs(30);

impl Link {
    /// Connects and subscribes. `attempt` chooses the node of a cluster that is listened to. The caller sets the deadline.
    pub async fn open(addresses: &Addresses, keys: &Keys, attempt: u64) -> RedisResult<Self> {
        choose_crypto();
        let seeds = &addresses.seeds;
        let commands = match addresses.is_cluster {
            true => {
                let client = ClusterClient::builder(seeds.iter().cloned())
                    .tcp_settings(redis::io::tcp::TcpSettings::default().set_nodelay(true))
                    .connection_timeout(ANSWER_MAX)
                    .response_timeout(ANSWER_MAX)
                    .retries(3)
                    .max_retry_wait(200)
                    .build()?;
                Commands::Cluster(client.get_async_connection().await?)
            }
            false => {
                let config = AsyncConnectionConfig::new().set_response_timeout(Some(ANSWER_MAX));
                let config = config.set_connection_timeout(Some(ANSWER_MAX));
                let client = Client::open(seeds[0].clone())?;
                Commands::Single(client.get_multiplexed_async_connection_with_config(&config).await?)
            }
        };
        let seed = usize::try_from(attempt % seeds.len() as u64).unwrap_or(0);
        let (mut sink, messages) = Client::open(seeds[seed].clone())?.get_async_pubsub().await?.split();
        sink.subscribe(&[keys.channel(), keys.echo_channel()]).await?;
        Ok(Self { commands, messages, sink })
    }
}

/// With TLS, rustls asks for one provider per process; the first to choose wins, and all of ours choose this one.
fn choose_crypto() {
    static CHOSEN: Once = Once::new();
    CHOSEN.call_once(|| {
        let _chosen_before = rustls::crypto::aws_lc_rs::default_provider().install_default().is_err();
    });
}

impl ConnectionLike for Commands {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}
