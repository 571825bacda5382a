//! `syncline health`: whether the server that runs with this configuration takes work, for a container's health check.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::EXIT_PROBLEM;

#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Configuration of the server in TOML; environment variables override it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub fn run(args: &HealthArgs) -> anyhow::Result<u8> {
    let config = super::config::load(args.config.as_deref())?.config;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    match runtime.block_on(syncline_server::probe::ready(&config)) {
        Ok(()) => {
            println!("ready");
            Ok(0)
        }
        Err(error) => {
            println!("{:#}", anyhow::Error::from(error));
            Ok(EXIT_PROBLEM)
        }
    }
}
