//! One attempt at Redis: a connection for commands and one that listens, both new.

use std::sync::Once;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection, PubSubSink, PubSubStream};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::Slot;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, Pipeline, RedisFuture, RedisResult, Value,
};

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
    pub async fn open(addresses: &Addresses, keys: &Keys, attempt: u32) -> RedisResult<Self> {
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
        let place = listening_place(&commands, seeds, &keys.channel(), attempt).await;
        let (mut sink, messages) = Client::open(place)?.get_async_pubsub().await?.split();
        sink.subscribe(&[keys.channel(), keys.echo_channel()]).await?;
        Ok(Self { commands, messages, sink })
    }
}

/// Where to listen. In a cluster any node hears all messages; the one that owns the channel's slot is the one they are
/// published to, so it has them first. Should it not be there, every second attempt tries one that was configured.
async fn listening_place(commands: &Commands, seeds: &[ConnectionInfo], channel: &str, attempt: u32) -> ConnectionInfo {
    let seed = &seeds[usize::try_from(attempt).unwrap_or(0) % seeds.len()];
    let is_owner_wanted = attempt < 2 || attempt % 2 == 1;
    let Commands::Cluster(connection) = commands else { return seed.clone() };
    if !is_owner_wanted {
        return seed.clone();
    }
    let mut connection = connection.clone();
    let slots = redis::cmd("CLUSTER").arg("SLOTS").query_async::<Vec<Vec<Value>>>(&mut connection).await;
    let owner = slots.ok().and_then(|slots| owner_of(&slots, Slot::for_key(channel)));
    match (owner, seed.addr().clone()) {
        (Some((host, port)), ConnectionAddr::Tcp(..)) => seed.clone().set_addr(ConnectionAddr::Tcp(host, port)),
        (Some((host, port)), ConnectionAddr::TcpTls { insecure, tls_params, .. }) => {
            seed.clone().set_addr(ConnectionAddr::TcpTls { host, port, insecure, tls_params })
        }
        (Some(_) | None, _) => seed.clone(),
    }
}

/// The host and port of the master of a slot, from the answer to `CLUSTER SLOTS`.
fn owner_of(ranges: &[Vec<Value>], slot: Slot) -> Option<(String, u16)> {
    ranges.iter().find_map(|range| {
        let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = range.as_slice() else { return None };
        let is_inside = (*first..=*last).any(|number| u16::try_from(number).ok().and_then(Slot::new) == Some(slot));
        let [Value::BulkString(host), Value::Int(port), ..] = master.as_slice() else { return None };
        let host = std::str::from_utf8(host).ok().filter(|host| !matches!(*host, "" | "?"))?;
        is_inside.then_some((host.to_owned(), u16::try_from(*port).ok()?))
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sto_2_the_owner_of_a_slot_is_found() {
        let range = |first: i64, last: i64, host: &str, port: i64| {
            let master = Value::Array(vec![Value::BulkString(host.into()), Value::Int(port), Value::Nil]);
            vec![Value::Int(first), Value::Int(last), master]
        };
        let ranges = [range(0, 99, "a", 1), range(100, 200, "b", 2), range(201, 16_383, "?", 3)];
        let owner = |slot| owner_of(&ranges, Slot::new(slot).expect("it is below 16384"));
        assert_eq!([owner(99), owner(100), owner(201)], [Some(("a".to_owned(), 1)), Some(("b".to_owned(), 2)), None]);
        assert_eq!(owner_of(&[vec![Value::Nil]], Slot::for_key("bus")), None);
    }
}
