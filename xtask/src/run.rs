//! The first command of the README: a server with demo data.

use std::path::Path;

use anyhow::Result;

use crate::shell;

/// Builds the server and becomes it. Paths are relative to the top of the repository.
pub fn run(data: &Path, listen: &str, is_dev: bool) -> Result<()> {
    let build = shell::cargo(["build", "--package", "syncline-cli", "--bin", "syncline"]);
    build.args((!is_dev).then_some("--release")).run()?;
    let profile = if is_dev { "debug" } else { "release" };
    let server = shell::program(shell::built(profile, "syncline")?.as_os_str()).args(["serve", "--demo", "--data"]);
    server.args([data]).args(["--listen", listen]).become_it()
}
