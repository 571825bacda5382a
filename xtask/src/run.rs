//! The first command of the README: a server with demo data.

use std::path::Path;

use anyhow::Result;

use crate::console::{self, Built};
use crate::shell;

/// Builds the console, the extension and the server and becomes it. Paths are relative to the top of the repository.
pub fn run(data: &Path, listen: &str, is_dev: bool) -> Result<()> {
    build_console()?;
    let build = shell::cargo(["build", "--package", "syncline-cli", "--bin", "syncline"]);
    build.args((!is_dev).then_some("--release")).run()?;
    let profile = if is_dev { "debug" } else { "release" };
    if console::build_extension()? != Built::Skipped {
        let folder = shell::root().join(console::EXTENSION_DIST);
        println!("\nThe browser extension is in {}: load that folder on chrome://extensions.\n", folder.display());
    }
    let server = shell::program(shell::built(profile, "syncline")?.as_os_str()).args(["serve", "--demo", "--data"]);
    server.args([data]).args(["--listen", listen]).become_it()
}

/// Builds the console; says so when it cannot, because the server works without.
pub fn build_console() -> Result<()> {
    if console::build()? == Built::Skipped {
        println!("the console is not built: {}; the server says so at /", console::NO_NODE);
    }
    Ok(())
}
