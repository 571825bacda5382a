//! Section `deployment`: what this server is for.

use serde::{Deserialize, Serialize};

use super::{ConfigError, Environment};

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeploymentConfig {
    /// `development` or `production`; default `development`. `production` refuses what is only safe for trying things out: demo
    /// data, and a generated signing key where several nodes need the same. `ENVIRONMENT`.
    pub environment: Stage,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    #[default]
    Development,
    Production,
}

impl DeploymentConfig {
    pub fn is_production(&self) -> bool {
        self.environment == Stage::Production
    }

    pub(super) fn apply_environment(&mut self, environment: &Environment) -> Result<(), ConfigError> {
        let Some(text) = environment.text("ENVIRONMENT") else { return Ok(()) };
        self.environment = match text.to_ascii_lowercase().as_str() {
            "production" | "prod" => Stage::Production,
            "development" | "dev" | "test" => Stage::Development,
            other => {
                let expected = "development or production".to_owned();
                return Err(ConfigError::Variable { name: "ENVIRONMENT", value: other.to_owned(), expected });
            }
        };
        Ok(())
    }
}
