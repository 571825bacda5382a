//! What the configuration is and where each setting came from, for a person; and reading its file.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::Serializer;
use serde_json::Value;
use toml::Table;

use super::{Config, ConfigError, Environment};

/// Environment variables and the settings they give. A test holds it against what the sections ask for.
pub const VARIABLES: &[(&str, &str)] = &[
    ("ALERTS_FORMAT", "alerts.format"),
    ("ALERTS_WEBHOOK_URL", "alerts.webhook_url"),
    ("ALLOWED_ADDRESSES", "edge.allowed_addresses"),
    ("ALLOWED_HEADERS", "edge.allowed_headers"),
    ("ALLOWED_HOSTS", "edge.allowed_hosts"),
    ("ALLOWED_METHODS", "edge.allowed_methods"),
    ("ALLOWED_ORIGINS", "edge.allowed_origins"),
    ("DATABASE_URL", "store.database_url"),
    ("DENIED_ADDRESSES", "edge.denied_addresses"),
    ("DEBUG", "log.is_debug"),
    ("ENVIRONMENT", "deployment.environment"),
    ("JWT_ALGORITHM", "tokens.algorithm"),
    ("JWT_EXPIRATION_HOURS", "tokens.access_ttl_s"),
    ("JWT_SECRET_KEY", "tokens.secret_key"),
    ("JWT_SECRET_KEY_OTHER", "tokens.secret_key_other"),
    ("LOG_FORMAT", "log.format"),
    ("LOG_LEVEL", "log.level"),
    ("METRICS_ENABLED", "metrics.is_enabled"),
    ("METRICS_HOST", "metrics.host"),
    ("METRICS_ON_MAIN_PORT", "metrics.is_on_main_port"),
    ("METRICS_PORT", "metrics.port"),
    ("PAGERDUTY_ROUTING_KEY", "alerts.pagerduty_key"),
    ("RATE_LIMIT_BURST", "rates.anonymous_burst"),
    ("RATE_LIMIT_ENABLED", "rates.is_enabled"),
    ("RATE_LIMIT_PER_MINUTE", "rates.anonymous_per_minute"),
    ("RATE_LIMIT_USER_BURST", "rates.user_burst"),
    ("RATE_LIMIT_USER_PER_MINUTE", "rates.user_per_minute"),
    ("REDIS_CLUSTER", "bus.is_cluster"),
    ("REDIS_KEY_PREFIX", "bus.key_prefix"),
    ("REDIS_PASSWORD", "bus.redis_password"),
    ("REDIS_URL", "bus.redis_url"),
    ("SERVER_HOST", "http.host"),
    ("SERVER_PORT", "http.port"),
    ("SYNCLINE_DATA", "store.data_dir"),
    ("SYNCLINE_NODE_ADDRESS", "bus.node_address"),
    ("SUPABASE_ANON_KEY", "supabase.api_key"),
    ("SUPABASE_JWT_SECRET", "supabase.jwt_secret"),
    ("SUPABASE_SERVICE_KEY", "supabase.api_key"),
    ("SUPABASE_URL", "supabase.url"),
    ("TLS_CERT_FILE", "tls.cert_file"),
    ("TLS_KEY_FILE", "tls.key_file"),
    ("TRUSTED_PROXIES", "edge.trusted_proxies"),
    ("TRUSTED_PROXY_HEADER", "edge.proxy_header"),
    ("WS_CONNECTION_TIMEOUT", "sockets.connection_timeout_ms"),
    ("WS_HEARTBEAT_INTERVAL", "sockets.heartbeat_ms"),
    ("WS_MAX_CONNECTIONS", "sockets.connections_max"),
    ("WS_NODE_MAX_CONNECTIONS", "sockets.node_connections_max"),
];

/// Beginnings of names that are ours: a variable with one that nothing reads is most likely misspelt.
const PREFIXES: &[&str] =
    &["ALERTS_", "ALLOWED_", "JWT_", "METRICS_", "RATE_LIMIT_", "SUPABASE_", "SYNCLINE_", "TLS_", "WS_"];

/// Variables with such a beginning that other commands read.
const ELSEWHERE: &[&str] = &["SYNCLINE_PASSWORD", "SYNCLINE_BIN", "SYNCLINE_TEST_"];

/// Where a setting came from. The later wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Default,
    File,
    Variable(&'static str),
}

/// A setting as it is in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// `section.key`.
    pub name: String,
    /// A secret is shown as [`REDACTED`].
    pub value: Value,
    pub source: Source,
}

/// In place of a secret.
pub const REDACTED: &str = "(secret)";

/// A configuration with where it came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    pub settings: Vec<Setting>,
    /// Variables that look like ours and are not, most likely misspelt.
    pub unknown_variables: Vec<String>,
}

impl Config {
    /// Reads `file`, the text of a TOML file, and the environment, which wins. Does not check bounds: see [`Config::check`].
    pub fn load(file: Option<&str>, environment: &Environment) -> Result<Loaded, ConfigError> {
        let not_toml = |error: toml::de::Error| ConfigError::File(error.to_string());
        let text = file.unwrap_or("");
        let table: Table = text.parse().map_err(not_toml)?;
        let mut config: Config = toml::from_str(text).map_err(not_toml)?;
        config.apply_environment(environment)?;
        let settings = settings(&config, &table, environment);
        Ok(Loaded { config, settings, unknown_variables: unknown(environment) })
    }
}

fn settings(config: &Config, file: &Table, environment: &Environment) -> Vec<Setting> {
    let variables: BTreeMap<&str, &'static str> = VARIABLES
        .iter()
        .filter(|(variable, _)| environment.text(variable).is_some())
        .map(|(variable, name)| (*name, *variable))
        .collect();
    let Ok(Value::Object(sections)) = serde_json::to_value(config) else { return Vec::new() };
    let mut settings = Vec::new();
    for (section, values) in sections {
        let Value::Object(values) = values else { continue };
        let is_in_file = |key: &str| file.get(&section).and_then(|part| part.get(key)).is_some();
        for (key, value) in values {
            let name = format!("{section}.{key}");
            let source = match variables.get(name.as_str()) {
                Some(variable) => Source::Variable(variable),
                None if is_in_file(&key) => Source::File,
                None => Source::Default,
            };
            settings.push(Setting { name, value, source });
        }
    }
    settings
}

fn unknown(environment: &Environment) -> Vec<String> {
    let is_ours = |name: &&str| PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let is_known = |name: &str| {
        VARIABLES.iter().any(|(known, _)| *known == name) || ELSEWHERE.iter().any(|prefix| name.starts_with(prefix))
    };
    environment.names().filter(is_ours).filter(|name| !is_known(name)).map(str::to_owned).collect()
}

/// Shows that there is a secret, and nothing of it.
pub(super) fn redact<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    match secret {
        Some(_) => serializer.serialize_str(REDACTED),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        Environment::from_pairs(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    fn of<'a>(loaded: &'a Loaded, name: &str) -> &'a Setting {
        loaded.settings.iter().find(|setting| setting.name == name).unwrap_or_else(|| panic!("no {name}"))
    }

    #[test]
    fn ops_4_every_setting_says_where_it_came_from_and_no_secret_is_shown() {
        let file = "[http]\nport = 9000\ndrain_ms = 5\n[bus]\nredis_url = 'redis://:hush1@r'\n";
        let variables = [
            ("SERVER_PORT", "8000"),
            ("DATABASE_URL", "postgres://a:hush2@b/c"),
            ("JWT_SECRET_KEY", "hush3hush3hush3hush3hush3hush3hush3"),
            ("REDIS_PASSWORD", "hush4"),
            ("SYNCLINE_DTAA", "typing error"),
            ("SYNCLINE_PASSWORD", "of a device"),
        ];
        let loaded = Config::load(Some(file), &environment(&variables)).unwrap();
        assert_eq!(of(&loaded, "http.port").value, 8000, "the environment wins");
        assert_eq!(of(&loaded, "http.port").source, Source::Variable("SERVER_PORT"), "although it is the default");
        assert_eq!(
            (&of(&loaded, "http.drain_ms").value, of(&loaded, "http.drain_ms").source),
            (&5.into(), Source::File)
        );
        assert_eq!(of(&loaded, "http.body_timeout_ms").source, Source::Default);
        assert_eq!(of(&loaded, "bus.redis_url").value, REDACTED);
        assert_eq!(of(&loaded, "tokens.secret_key").source, Source::Variable("JWT_SECRET_KEY"));
        assert_eq!(loaded.unknown_variables, ["SYNCLINE_DTAA"]);
        assert!(!format!("{:?}{:?}", loaded.settings, loaded.config).contains("hush"));
    }

    #[test]
    fn ops_4_the_file_is_strict_and_its_errors_say_where() {
        for (file, expected) in [("[http]\nprot = 1", "prot"), ("[htpt]", "htpt"), ("[http]\nport = 70000", "70000")] {
            let error = Config::load(Some(file), &Environment::default()).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("line"), "{error}");
        }
    }

    #[test]
    fn ops_4_the_table_of_variables_is_what_the_sections_ask_for() {
        let environment = Environment::default();
        Config::default().apply_environment(&environment).unwrap();
        let asked = environment.asked();
        let listed: BTreeSet<&str> = VARIABLES.iter().map(|(variable, _)| *variable).collect();
        assert_eq!(asked.iter().map(String::as_str).collect::<BTreeSet<_>>(), listed);
        let loaded = Config::load(None, &Environment::default()).unwrap();
        for (variable, name) in VARIABLES {
            assert!(loaded.settings.iter().any(|setting| setting.name == *name), "{variable} gives no setting {name}");
        }
    }
}
