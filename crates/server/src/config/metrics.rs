//! Section `metrics`: where `/metrics` and the whole of `/health` are served.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::{ConfigError, Environment};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsConfig {
    /// Serve `/metrics`; default true. `METRICS_ENABLED`.
    pub is_enabled: bool,
    /// Address to serve them on; default `127.0.0.1`: what they tell is for operators. `METRICS_HOST`.
    pub host: IpAddr,
    /// Port of their own; 0 takes a free one. Default 9090, and when that is taken the server says so and goes on without; one that
    /// is named here must be free. `METRICS_PORT`; that of `SERVER_PORT` means the main port.
    pub port: Option<u16>,
    /// Serve them on the main port instead; default false. Whoever reaches the server then reads them. `METRICS_ON_MAIN_PORT`.
    pub is_on_main_port: bool,
}

/// The port when none is named.
pub const METRICS_PORT: u16 = 9_090;

impl Default for MetricsConfig {
    fn default() -> Self {
        Self { is_enabled: true, host: IpAddr::V4(Ipv4Addr::LOCALHOST), port: None, is_on_main_port: false }
    }
}

impl MetricsConfig {
    /// Where they have a port of their own; `None`: nowhere, or on the main port.
    pub fn listen(&self) -> Option<SocketAddr> {
        let has_own = self.is_enabled && !self.is_on_main_port;
        has_own.then(|| SocketAddr::new(self.host, self.port.unwrap_or(METRICS_PORT)))
    }

    pub(super) fn apply_environment(&mut self, environment: &Environment) -> Result<(), ConfigError> {
        if let Some(is_enabled) = environment.flag("METRICS_ENABLED")? {
            self.is_enabled = is_enabled;
        }
        if let Some(host) = environment.host("METRICS_HOST")? {
            self.host = host;
        }
        if let Some(port) = environment.number("METRICS_PORT", 0, u64::from(u16::MAX))? {
            self.port = Some(u16::try_from(port).unwrap_or(u16::MAX));
        }
        if let Some(is_on_main_port) = environment.flag("METRICS_ON_MAIN_PORT")? {
            self.is_on_main_port = is_on_main_port;
        }
        Ok(())
    }

    /// The main port was named: then they are there.
    pub(super) fn share(&mut self, main_port: u16) {
        self.is_on_main_port |= main_port != 0 && self.port == Some(main_port);
    }
}
