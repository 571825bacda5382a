//! Asking a running server whether it takes work, as its container's health check does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::outbound;
use crate::tls::{Identity, TlsError, sibling_config};

/// Time a server has to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why a server counts as not ready.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    #[error("a server on port 0 listens somewhere else: name SERVER_PORT")]
    AnyPort,
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("{address} cannot be asked")]
    Unreachable { address: SocketAddr, source: reqwest::Error },
    #[error("{address} answered {status}")]
    Refused { address: SocketAddr, status: u16 },
}

/// `GET /health/ready` where `config` says that the server listens.
pub async fn ready(config: &Config) -> Result<(), NotReady> {
    let address = reachable(config.http.listen());
    if address.port() == 0 {
        return Err(NotReady::AnyPort);
    }
    let tls = &config.tls;
    let siblings = if tls.is_on() { Some(sibling_config(Arc::new(Identity::load(tls)?))?) } else { None };
    let asked = async {
        let client = outbound::node_client(siblings)?;
        client.get(format!("{}://{address}/health/ready", tls.scheme())).timeout(PATIENCE).send().await
    };
    let answer = asked.await.map_err(|source| NotReady::Unreachable { address, source })?;
    let status = answer.status();
    if status.is_success() { Ok(()) } else { Err(NotReady::Refused { address, status: status.as_u16() }) }
}

/// Who listens everywhere is asked from here.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let host = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        host @ (IpAddr::V4(_) | IpAddr::V6(_)) => host,
    };
    SocketAddr::new(host, listen.port())
}
