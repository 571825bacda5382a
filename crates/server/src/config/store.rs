//! Section `store`: where the data lies and how it is written.

use std::path::PathBuf;

use serde::Deserialize;

use super::{ConfigError, Environment, bound};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// Directory of the database; default `data`, made at first start. `SYNCLINE_DATA`.
    pub data_dir: PathBuf,
    /// Pushes waiting for the writer; default 1,024, 1..=100,000. More: `slow_down` or `overloaded`.
    pub queue_max: usize,
    /// Mutations of one group commit; default 2,000, 1..=100,000. More wait for the next.
    pub group_mutations_max: usize,
    /// Connections that only read; default 4, 1..=64. More readers wait for one.
    pub readers: usize,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { data_dir: PathBuf::from("data"), queue_max: 1_024, group_mutations_max: 2_000, readers: 4 }
    }
}

impl StoreConfig {
    pub(super) fn apply_environment(&mut self, environment: &Environment) -> Result<(), ConfigError> {
        if let Some(path) = environment.text("SYNCLINE_DATA") {
            self.data_dir = PathBuf::from(path);
        }
        Ok(())
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let section = "store";
        bound((1..=100_000).contains(&self.queue_max), section, "queue_max", "1 to 100000")?;
        bound((1..=100_000).contains(&self.group_mutations_max), section, "group_mutations_max", "1 to 100000")?;
        bound((1..=64).contains(&self.readers), section, "readers", "1 to 64")
    }
}
