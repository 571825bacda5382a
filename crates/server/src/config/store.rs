//! Section `store`: where the data lies and how it is written.

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use syncline_storage::{DatabaseUrl, InvalidDatabaseUrl};

use super::report::redact;
use super::{ConfigError, Environment, bound};
use crate::server::DATABASE_FILE;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// Where the data lies: `postgres://user:password@host/database` for several nodes, or a path of a SQLite file. Default:
    /// none, a SQLite file in `data_dir`. `DATABASE_URL`.
    #[serde(serialize_with = "redact")]
    pub database_url: Option<SecretString>,
    /// Directory of the embedded database; default `data`, made at first start. `SYNCLINE_DATA`.
    pub data_dir: PathBuf,
    /// Pushes waiting for the writer; default 1,024, 1..=100,000. More: `slow_down` or `overloaded`.
    pub queue_max: usize,
    /// Mutations of one group commit; default 2,000, 1..=100,000. More wait for the next.
    pub group_mutations_max: usize,
    /// Connections that only read; default 4, 1..=64. More readers wait for one.
    pub readers: usize,
    /// Connections that write, each for its share of the workspaces; default 4, 1..=64. On PostgreSQL only: SQLite has one.
    pub writers: usize,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            database_url: None,
            data_dir: PathBuf::from("data"),
            queue_max: 1_024,
            group_mutations_max: 2_000,
            readers: 4,
            writers: 4,
        }
    }
}

impl StoreConfig {
    pub(super) fn apply_environment(&mut self, environment: &Environment) -> Result<(), ConfigError> {
        if let Some(path) = environment.text("SYNCLINE_DATA") {
            self.data_dir = PathBuf::from(path);
        }
        if let Some(url) = environment.text("DATABASE_URL") {
            self.database_url = Some(SecretString::from(url));
        }
        Ok(())
    }

    /// The database to open.
    pub fn url(&self) -> Result<DatabaseUrl, ConfigError> {
        let Some(url) = &self.database_url else { return Ok(DatabaseUrl::Sqlite(self.data_dir.join(DATABASE_FILE))) };
        url.expose_secret().parse().map_err(|error: InvalidDatabaseUrl| ConfigError::Bounds {
            section: "store",
            key: "database_url",
            expected: error.to_string(),
        })
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let section = "store";
        self.url()?;
        bound((1..=100_000).contains(&self.queue_max), section, "queue_max", "1 to 100000")?;
        bound((1..=100_000).contains(&self.group_mutations_max), section, "group_mutations_max", "1 to 100000")?;
        bound((1..=64).contains(&self.readers), section, "readers", "1 to 64")?;
        bound((1..=64).contains(&self.writers), section, "writers", "1 to 64")
    }
}
