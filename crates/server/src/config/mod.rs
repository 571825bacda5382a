//! Configuration: one struct per section, every field with unit, default and bound, parsed once in `main` and passed
//! down typed. A file gives the sections by name; environment variables with the documented names override it.

mod alerts;
mod analytics;
mod audit;
mod bus;
mod deployment;
mod edge;
mod env;
mod http;
mod log;
mod messages;
mod metrics;
mod rates;
mod report;
mod sockets;
mod store;
mod supabase;
mod tls;
mod tokens;
mod webhooks;

use serde::{Deserialize, Serialize};
use syncline_storage::DatabaseUrl;

pub use alerts::{AlertFormat, AlertsConfig};
pub use analytics::AnalyticsConfig;
pub use audit::AuditConfig;
pub use bus::BusConfig;
pub use deployment::{DeploymentConfig, Stage};
pub use edge::{EdgeConfig, Network, Origin, ProxyHeader, Token};
pub use env::Environment;
pub use http::HttpConfig;
pub use log::{LogConfig, LogFormat};
pub use messages::MessagesConfig;
pub use metrics::{METRICS_PORT, MetricsConfig};
pub use rates::RatesConfig;
pub use report::{Loaded, REDACTED, Setting, Source, VARIABLES};
pub use sockets::SocketsConfig;
pub use store::StoreConfig;
pub use supabase::SupabaseConfig;
pub use tls::TlsConfig;
pub use tokens::TokensConfig;
pub use webhooks::WebhooksConfig;

/// Everything the server can be told. `Default` serves on port 8000 from `./data` without any configuration.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub deployment: DeploymentConfig,
    pub http: HttpConfig,
    pub tls: TlsConfig,
    pub edge: EdgeConfig,
    pub rates: RatesConfig,
    pub store: StoreConfig,
    pub sockets: SocketsConfig,
    pub tokens: TokensConfig,
    pub supabase: SupabaseConfig,
    pub bus: BusConfig,
    pub messages: MessagesConfig,
    pub metrics: MetricsConfig,
    pub audit: AuditConfig,
    pub analytics: AnalyticsConfig,
    pub alerts: AlertsConfig,
    pub webhooks: WebhooksConfig,
    pub log: LogConfig,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    #[error("{name}={value:?} is not valid: {expected}")]
    Variable { name: &'static str, value: String, expected: String },
    #[error("the configuration file cannot be used: {0}")]
    File(String),
    #[error("ENVIRONMENT=production refuses this configuration: {what}; {remedy}")]
    Insecure { what: &'static str, remedy: &'static str },
    #[error("the setting {section}.{key} is out of bounds: {expected}")]
    Bounds { section: &'static str, key: &'static str, expected: String },
}

impl Config {
    /// Overrides settings with the environment variables that are set and not empty.
    pub fn apply_environment(&mut self, environment: &Environment) -> Result<(), ConfigError> {
        self.deployment.apply_environment(environment)?;
        self.http.apply_environment(environment)?;
        self.tls.apply_environment(environment)?;
        self.edge.apply_environment(environment)?;
        self.rates.apply_environment(environment)?;
        self.store.apply_environment(environment)?;
        self.sockets.apply_environment(environment)?;
        self.tokens.apply_environment(environment)?;
        self.supabase.apply_environment(environment)?;
        self.bus.apply_environment(environment)?;
        self.metrics.apply_environment(environment)?;
        self.metrics.share(self.http.port);
        self.alerts.apply_environment(environment)?;
        self.log.apply_environment(environment)
    }

    /// Refuses values out of their bounds, naming section, key and bound.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.http.check()?;
        self.tls.check()?;
        self.edge.check()?;
        self.rates.check()?;
        self.store.check()?;
        self.sockets.check()?;
        self.tokens.check()?;
        self.supabase.check()?;
        self.bus.check()?;
        self.log.check()?;
        self.audit.check()?;
        self.analytics.check()?;
        self.alerts.check()?;
        self.webhooks.check()?;
        self.messages.check()?;
        self.check_sockets()?;
        if self.deployment.is_production() { self.check_production() } else { Ok(()) }
    }

    /// Refuses limits of sockets that contradict one another.
    fn check_sockets(&self) -> Result<(), ConfigError> {
        let sockets = &self.sockets;
        let of_node = sockets.node_connections_max;
        bound(
            sockets.connections_max <= of_node,
            "sockets",
            "connections_max",
            "at most sockets.node_connections_max",
        )?;
        let most = self.http.connections_max.saturating_sub(sockets.unauthenticated_max);
        let expected = "less than http.connections_max without sockets.unauthenticated_max, so that requests find room";
        bound(of_node < most, "sockets", "node_connections_max", expected)
    }

    /// Files the server may have open at a time when every limit is reached.
    pub fn files_max(&self) -> u64 {
        // A session without a WebSocket, and one over TLS, also has a pair of sockets within the process.
        let pairs = self.sockets.channels_max + if self.tls.is_on() { self.sockets.node_connections_max } else { 0 };
        (self.http.connections_max + 2 * pairs) as u64 + FILES_SPARE
    }

    /// Refuses what is only safe for trying things out.
    fn check_production(&self) -> Result<(), ConfigError> {
        let is_shared = matches!(self.store.url()?, DatabaseUrl::Postgres(_)) || self.bus.redis_url.is_some();
        if is_shared && self.tokens.secret_key.is_none() {
            let remedy = "set JWT_SECRET_KEY to the same 32 bytes or more on every node, for instance from `openssl rand -base64 48`";
            return Err(ConfigError::Insecure { what: "several nodes share a generated signing key", remedy });
        }
        Ok(())
    }
}

/// Files beside connections: databases, logs, Redis, listeners.
const FILES_SPARE: u64 = 128;

/// `Err(Bounds)` unless `is_valid`.
fn bound(is_valid: bool, section: &'static str, key: &'static str, expected: &str) -> Result<(), ConfigError> {
    if is_valid { Ok(()) } else { Err(ConfigError::Bounds { section, key, expected: expected.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        Environment::from_pairs(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn ops_4_environment_overrides_defaults() {
        let mut config = Config::default();
        let variables = [
            ("SERVER_HOST", "0.0.0.0"),
            ("SERVER_PORT", "9123"),
            ("WS_HEARTBEAT_INTERVAL", "15"),
            ("WS_CONNECTION_TIMEOUT", "60"),
            ("WS_MAX_CONNECTIONS", "5"),
            ("WS_NODE_MAX_CONNECTIONS", "7"),
            ("METRICS_ENABLED", "false"),
            ("LOG_LEVEL", "DEBUG"),
            ("JWT_SECRET_KEY", "0123456789abcdef0123456789abcdef"),
            ("JWT_EXPIRATION_HOURS", "2"),
        ];
        config.apply_environment(&environment(&variables)).unwrap();
        config.check().unwrap();
        assert_eq!(config.http.listen().to_string(), "0.0.0.0:9123");
        assert_eq!(config.sockets.heartbeat_ms, 15_000);
        assert_eq!(config.sockets.connection_timeout_ms, 60_000);
        assert_eq!((config.sockets.connections_max, config.sockets.node_connections_max), (5, 7));
        assert!(!config.metrics.is_enabled);
        assert_eq!(config.log.level, "debug");
        assert_eq!(config.tokens.access_ttl_s, 7_200);
    }

    #[test]
    fn hub_4_limits_of_sockets_agree_with_one_another() {
        let with = |of_mode: usize, of_node: usize, of_http: usize| {
            let mut config = Config::default();
            (config.sockets.connections_max, config.sockets.node_connections_max) = (of_mode, of_node);
            config.http.connections_max = of_http;
            config.check()
        };
        assert_eq!(Config::default().check(), Ok(()));
        assert_eq!(with(5, 5, 1_006), Ok(()));
        for (of_mode, of_node, of_http, named) in [
            (6, 5, 24_000, "sockets.connections_max"),
            (5, 24_000, 24_000, "sockets.node_connections_max"),
            (5, 5, 1_005, "sockets.node_connections_max"),
        ] {
            let error = with(of_mode, of_node, of_http).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn auth_7_a_certificate_needs_its_key() {
        let named = |pairs: &[(&str, &str)]| {
            let mut config = Config::default();
            config.apply_environment(&environment(pairs)).and_then(|()| config.check())
        };
        assert_eq!(named(&[("TLS_CERT_FILE", "/a"), ("TLS_KEY_FILE", "/b")]), Ok(()));
        for one in ["TLS_CERT_FILE", "TLS_KEY_FILE"] {
            assert!(named(&[(one, "/a")]).unwrap_err().to_string().contains("tls.key_file"));
        }
    }

    #[test]
    fn ops_4_production_refuses_a_generated_key_between_nodes() {
        let production = |more: &[(&str, &str)]| {
            let mut config = Config::default();
            let variables = [&[("ENVIRONMENT", "production")], more].concat();
            config.apply_environment(&environment(&variables)).and_then(|()| config.check())
        };
        let key = ("JWT_SECRET_KEY", "0123456789abcdef0123456789abcdef");
        let (database, redis) = (("DATABASE_URL", "postgres://a:b@c/d"), ("REDIS_URL", "redis://r"));
        assert_eq!(production(&[]), Ok(()), "one node keeps its own key");
        assert_eq!(production(&[database, key]), Ok(()));
        for shared in [database, redis] {
            let error = production(&[shared]).unwrap_err().to_string();
            assert!(error.contains("JWT_SECRET_KEY"), "{error}");
        }
        let mut config = Config::default();
        assert!(config.apply_environment(&environment(&[("ENVIRONMENT", "prodction")])).is_err());
    }

    #[test]
    fn ops_4_a_wrong_variable_says_which_and_what_was_expected() {
        let error = Config::default().apply_environment(&environment(&[("SERVER_PORT", "eighty")])).unwrap_err();
        assert_eq!(error.to_string(), "SERVER_PORT=\"eighty\" is not valid: a whole number from 0 to 65535");
        let check = |pairs: &[(&str, &str)]| {
            let mut config = Config::default();
            config
                .apply_environment(&environment(pairs))
                .and_then(|()| config.check())
                .map_err(|error| error.to_string())
        };
        let error = check(&[("JWT_SECRET_KEY", "short")]).unwrap_err();
        assert!(!error.contains("short") && error.contains("openssl rand"), "a secret is never repeated: {error}");
        let wrong =
            [("LOG_LEVEL", "loud"), ("LOG_LEVEL", "info,inof"), ("REDIS_URL", "http://x"), ("REDIS_URL", "foo")];
        for variable in wrong {
            assert!(check(&[variable]).is_err(), "{variable:?}");
        }
        let right =
            [("LOG_LEVEL", "WARNING"), ("LOG_LEVEL", "info,syncline_server=debug"), ("REDIS_URL", "redis://a,b")];
        for variable in right {
            assert_eq!(check(&[variable]), Ok(()), "{variable:?}");
        }
        let error = check(&[("JWT_ALGORITHM", "ES256")]).unwrap_err();
        assert!(error.contains("JWT_SECRET_KEY") && error.contains("private key"), "{error}");
        let error = check(&[("JWT_SECRET_KEY_OTHER", "short")]).unwrap_err();
        assert!(error.contains("JWT_SECRET_KEY_OTHER"), "{error}");
        assert!(check(&[("JWT_ALGORITHM", "none")]).unwrap_err().contains("EdDSA"));
    }
}
