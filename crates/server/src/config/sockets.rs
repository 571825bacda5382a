//! Section `sockets`: what the hub grants WebSocket connections.

use serde::{Deserialize, Serialize};
use syncline_core::protocol::limits;

use super::{ConfigError, Environment, bound};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SocketsConfig {
    /// Silence after which a client sends a heartbeat; milliseconds, default 30,000, 1,000..=120,000.
    /// `WS_HEARTBEAT_INTERVAL` is in seconds.
    pub heartbeat_ms: u64,
    /// Silence after which a peer counts as dead and is closed with 4402; milliseconds, default 300,000,
    /// 2,000..=3,600,000. `WS_CONNECTION_TIMEOUT` is in seconds.
    pub connection_timeout_ms: u64,
    /// Open sockets per deployment mode; default 10,000, 1..=1,000,000, at most `node_connections_max`. More: 503 `overloaded`
    /// with a retry hint. `WS_MAX_CONNECTIONS`.
    pub connections_max: usize,
    /// Open sockets of this node in all deployment modes together; default 20,000, 1..=1,000,000, less than `http.connections_max`
    /// without `unauthenticated_max`. More: 503 `overloaded` with a retry hint. `WS_NODE_MAX_CONNECTIONS`.
    pub node_connections_max: usize,
    /// Sessions of one user in one workspace at this node; default 2,000, 1..=1,000,000. More: closed with 4403 and a retry hint.
    pub user_connections_max: usize,
    /// Open sockets that have not authenticated yet, beside those; default 1,000, 1..=100,000. In a full pool the oldest that has
    /// had a second is closed with 4403 for a new one; when all are newer: 503 `overloaded` with a retry hint.
    pub unauthenticated_max: usize,
    /// Sessions without a WebSocket (server-sent events, long poll) among the sockets of this node; default 2,000, 1..=100,000.
    /// Each needs two files more. More: 503 `overloaded`.
    pub channels_max: usize,
    /// Time a socket has to authenticate; milliseconds, default 10,000, 100..=60,000. Then it is closed with 4401.
    pub auth_deadline_ms: u64,
    /// Time a peer may take to accept what is written to it; milliseconds, default 30,000, 100..=300,000. Then it is
    /// cut: it catches up from its cursor when it is back.
    pub write_timeout_ms: u64,
    /// Frames an audience's ring holds; default 4,096, 16..=1,000,000. Who falls behind is caught up from the log.
    pub ring_frames_max: usize,
    /// Bytes an audience's ring holds; default 4 MiB, 64 KiB..=1 GiB.
    pub ring_bytes_max: usize,
    /// Whether messages are compressed for clients that offer permessage-deflate, as browsers do; default true.
    pub is_deflated: bool,
    /// Frames a client may send per second, averaged over ten; default 100, 10..=100,000. More: closed with 4403.
    pub frames_per_second_max: u32,
}

impl Default for SocketsConfig {
    fn default() -> Self {
        Self {
            heartbeat_ms: limits::HEARTBEAT_MS,
            connection_timeout_ms: limits::CONNECTION_TIMEOUT_MS,
            connections_max: 10_000,
            node_connections_max: 20_000,
            user_connections_max: 2_000,
            unauthenticated_max: 1_000,
            channels_max: 2_000,
            auth_deadline_ms: limits::AUTH_DEADLINE_MS,
            write_timeout_ms: 30_000,
            ring_frames_max: 4_096,
            ring_bytes_max: 4 << 20,
            is_deflated: true,
            frames_per_second_max: 100,
        }
    }
}

impl SocketsConfig {
    pub(super) fn apply_environment(&mut self, environment: &Environment) -> Result<(), ConfigError> {
        if let Some(seconds) = environment.number("WS_HEARTBEAT_INTERVAL", 1, 120)? {
            self.heartbeat_ms = seconds * 1_000;
        }
        if let Some(seconds) = environment.number("WS_CONNECTION_TIMEOUT", 2, 3_600)? {
            self.connection_timeout_ms = seconds * 1_000;
        }
        if let Some(count) = environment.number("WS_MAX_CONNECTIONS", 1, 1_000_000)? {
            self.connections_max = usize::try_from(count).unwrap_or(usize::MAX);
        }
        if let Some(count) = environment.number("WS_NODE_MAX_CONNECTIONS", 1, 1_000_000)? {
            self.node_connections_max = usize::try_from(count).unwrap_or(usize::MAX);
        }
        Ok(())
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let section = "sockets";
        bound((1_000..=120_000).contains(&self.heartbeat_ms), section, "heartbeat_ms", "1000 to 120000")?;
        let is_longer = self.connection_timeout_ms > self.heartbeat_ms;
        bound(is_longer, section, "connection_timeout_ms", "more than heartbeat_ms, or every idle peer looks dead")?;
        bound(self.connection_timeout_ms <= 3_600_000, section, "connection_timeout_ms", "at most 3600000")?;
        bound((1..=1_000_000).contains(&self.connections_max), section, "connections_max", "1 to 1000000")?;
        bound((1..=1_000_000).contains(&self.node_connections_max), section, "node_connections_max", "1 to 1000000")?;
        bound((1..=1_000_000).contains(&self.user_connections_max), section, "user_connections_max", "1 to 1000000")?;
        bound((1..=100_000).contains(&self.unauthenticated_max), section, "unauthenticated_max", "1 to 100000")?;
        bound((1..=100_000).contains(&self.channels_max), section, "channels_max", "1 to 100000")?;
        bound((100..=60_000).contains(&self.auth_deadline_ms), section, "auth_deadline_ms", "100 to 60000")?;
        bound((100..=300_000).contains(&self.write_timeout_ms), section, "write_timeout_ms", "100 to 300000")?;
        bound((16..=1_000_000).contains(&self.ring_frames_max), section, "ring_frames_max", "16 to 1000000")?;
        bound((1 << 16..=1 << 30).contains(&self.ring_bytes_max), section, "ring_bytes_max", "64 KiB to 1 GiB")?;
        bound((10..=100_000).contains(&self.frames_per_second_max), section, "frames_per_second_max", "10 to 100000")
    }
}
