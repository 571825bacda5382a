//! Section `log`: what is written to standard error, and how.

use serde::{Deserialize, Serialize};

use super::{ConfigError, Environment, bound};

/// What a directive without a target may be.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// `off`, `error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,syncline_server=debug`; default `info`.
    /// `LOG_LEVEL`; `DEBUG=true` means `debug` where no level is named.
    pub level: String,
    /// Default: pretty on a terminal, JSON otherwise. `LOG_FORMAT`.
    pub format: LogFormat,
    /// Also frames, SQL timing and whole chains of causes; default false. Of use in development: it costs. `DEBUG`.
    pub is_debug: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    #[default]
    Auto,
    Json,
    Pretty,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Auto, is_debug: false }
    }
}

impl LogConfig {
    pub(super) fn apply_environment(&mut self, environment: &Environment) -> Result<(), ConfigError> {
        if let Some(is_debug) = environment.flag("DEBUG")? {
            self.is_debug = is_debug;
        }
        if let Some(level) = environment.text("LOG_LEVEL") {
            self.level = match level.to_ascii_lowercase().as_str() {
                "warning" => "warn".to_owned(),
                "critical" => "error".to_owned(),
                other => other.to_owned(),
            };
        }
        if let Some(format) = environment.text("LOG_FORMAT") {
            self.format = match format.to_ascii_lowercase().as_str() {
                "json" => LogFormat::Json,
                "pretty" | "text" => LogFormat::Pretty,
                "auto" => LogFormat::Auto,
                other => {
                    let expected = "json, pretty or auto".to_owned();
                    return Err(ConfigError::Variable { name: "LOG_FORMAT", value: other.to_owned(), expected });
                }
            };
        }
        Ok(())
    }

    /// Refuses a bare word that is no level: it would count as the name of a module, and nothing else be logged.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let is_directive = |part: &str| part.contains('=') || LEVELS.contains(&part.to_ascii_lowercase().as_str());
        let is_known = self.level.split(',').all(|part| is_directive(part.trim()));
        bound(
            is_known,
            "log",
            "level",
            "error, warn, info, debug, trace or off, or directives such as info,syncline_server=debug",
        )
    }
}
