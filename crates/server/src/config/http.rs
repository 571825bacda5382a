//! Section `http`: where the server listens and what it grants a request.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};
use syncline_core::protocol::limits;

use super::{ConfigError, Environment, bound};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Address to listen on; default `127.0.0.1`, so that nothing is exposed by accident. `SERVER_HOST`.
    pub host: IpAddr,
    /// Default 8000; 0 takes a free one. `SERVER_PORT`.
    pub port: u16,
    /// Time a client has to send its request head; milliseconds, default 10,000, 100..=60,000. Then it is cut off.
    pub header_timeout_ms: u64,
    /// Time a client has to send its body; milliseconds, default 30,000, 1,000..=600,000. Then: 408 `timeout`.
    pub body_timeout_ms: u64,
    /// Time a request has until its answer begins; milliseconds, default 60,000, 1,000..=600,000. Then: 504 `timeout`.
    pub request_timeout_ms: u64,
    /// Time a client may leave what is sent to it unread; milliseconds, default 60,000, 1,000..=600,000. Then it is cut off.
    pub stall_timeout_ms: u64,
    /// Bytes of the address line's path and query; default 8 KiB, 1 KiB..=32 KiB. More: 414.
    pub url_bytes_max: usize,
    /// Header lines of a request; default 64, 16..=200. More: 431.
    pub headers_max: usize,
    /// Bytes of a request body; default 1 MiB, 1 KiB..=16 MiB. More: 413 `too_large`.
    pub body_bytes_max: usize,
    /// Open TCP connections, those of WebSockets among them; default 24,000, 16..=1,000,000. More: not accepted until one closes.
    pub connections_max: usize,
    /// Snapshots streamed at a time; default 4, 1..=256. More: 503 `overloaded` with a retry hint.
    pub snapshots_max: usize,
    /// Time to finish what is under way when the server stops; milliseconds, default 10,000, 0..=300,000.
    pub drain_ms: u64,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 8000,
            header_timeout_ms: 10_000,
            body_timeout_ms: 30_000,
            request_timeout_ms: 60_000,
            stall_timeout_ms: 60_000,
            url_bytes_max: 8 << 10,
            headers_max: 64,
            body_bytes_max: limits::BODY_BYTES_MAX,
            connections_max: 24_000,
            snapshots_max: 4,
            drain_ms: 10_000,
        }
    }
}

impl HttpConfig {
    pub fn listen(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }

    pub(super) fn apply_environment(&mut self, environment: &Environment) -> Result<(), ConfigError> {
        if let Some(host) = environment.host("SERVER_HOST")? {
            self.host = host;
        }
        if let Some(port) = environment.number("SERVER_PORT", 0, u64::from(u16::MAX))? {
            self.port = u16::try_from(port).unwrap_or(u16::MAX);
        }
        Ok(())
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let section = "http";
        bound((100..=60_000).contains(&self.header_timeout_ms), section, "header_timeout_ms", "100 to 60000")?;
        bound((1_000..=600_000).contains(&self.body_timeout_ms), section, "body_timeout_ms", "1000 to 600000")?;
        bound((1_000..=600_000).contains(&self.request_timeout_ms), section, "request_timeout_ms", "1000 to 600000")?;
        bound((1_000..=600_000).contains(&self.stall_timeout_ms), section, "stall_timeout_ms", "1000 to 600000")?;
        bound((1 << 10..=32 << 10).contains(&self.url_bytes_max), section, "url_bytes_max", "1 KiB to 32 KiB")?;
        bound((16..=200).contains(&self.headers_max), section, "headers_max", "16 to 200")?;
        bound((1 << 10..=16 << 20).contains(&self.body_bytes_max), section, "body_bytes_max", "1 KiB to 16 MiB")?;
        bound((16..=1_000_000).contains(&self.connections_max), section, "connections_max", "16 to 1000000")?;
        bound((1..=256).contains(&self.snapshots_max), section, "snapshots_max", "1 to 256")?;
        bound(self.drain_ms <= 300_000, section, "drain_ms", "0 to 300000")
    }
}
