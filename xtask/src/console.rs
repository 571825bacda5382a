//! The web console and the browser extension. The console's files are built into `apps/console/dist`, from where the server's
//! build takes them; those of the extension into `apps/extension/dist`, which a browser loads.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::shell;

/// A part of the project that vite builds into its `dist`.
struct App {
    folder: &'static str,
    /// What the build reads beside the SDK.
    sources: &'static [&'static str],
    /// The file that says that a build is whole.
    last: &'static str,
}

const CONSOLE: App = App {
    folder: "apps/console",
    sources: &["src", "public", "scripts", "index.html", "package-lock.json", "vite.config.ts"],
    last: "index.html",
};
const EXTENSION: App = App {
    folder: "apps/extension",
    sources: &["src", "public", "popup.html", "options.html", "package-lock.json", "vite.config.ts"],
    last: "popup.html",
};
const SDK: &str = "packages/sdk/src";
/// What a browser loads as an unpacked extension.
pub const EXTENSION_DIST: &str = "apps/extension/dist";
/// Why there is no console, and what to do.
pub const NO_NODE: &str = "Node.js 20 with npm is not installed";

/// What became of a build.
#[derive(PartialEq, Eq)]
pub enum Built {
    Done,
    UpToDate,
    /// [`NO_NODE`].
    Skipped,
}

/// Builds the console unless nothing has changed since.
pub fn build() -> Result<Built> {
    CONSOLE.build()
}

/// Builds the extension unless nothing has changed since.
pub fn build_extension() -> Result<Built> {
    EXTENSION.build()
}

impl App {
    fn build(&self) -> Result<Built> {
        let root = shell::root();
        let own = self.sources.iter().map(|path| root.join(self.folder).join(path));
        let sources = own.chain([root.join(SDK)]);
        let newest = sources.map(|path| newest(&path)).try_fold(SystemTime::UNIX_EPOCH, later)?;
        let last = root.join(self.folder).join("dist").join(self.last);
        if fs::metadata(last).and_then(|file| file.modified()).is_ok_and(|built| built >= newest) {
            return Ok(Built::UpToDate);
        }
        if !has_node() {
            return Ok(Built::Skipped);
        }
        install(self.folder)?;
        npm(self.folder, ["run", "build"]).run()?;
        Ok(Built::Done)
    }
}

/// Installs what the lock file of a folder names, unless it is there already.
pub fn install(folder: &str) -> Result<()> {
    let at = |path: &str| fs::metadata(shell::root().join(folder).join(path)).and_then(|file| file.modified());
    let wanted = at("package-lock.json").with_context(|| format!("{folder} has no package-lock.json"))?;
    if at("node_modules/.package-lock.json").is_ok_and(|installed| installed >= wanted) {
        return Ok(());
    }
    npm(folder, ["ci"]).args(["--no-audit", "--no-fund"]).run()
}

pub fn npm<const N: usize>(folder: &str, args: [&str; N]) -> shell::Program {
    shell::program("npm".as_ref()).args(["--prefix", folder]).args(args)
}

/// Whether there is a Node.js that the tools run on, with npm.
pub fn has_node() -> bool {
    let modern = ["-e", "process.exit(Number(process.versions.node.split('.')[0]) >= 20 ? 0 : 1)"];
    shell::program("node".as_ref()).args(modern).works() && shell::program("npm".as_ref()).args(["-v"]).works()
}

fn later(so_far: SystemTime, next: Result<SystemTime>) -> Result<SystemTime> {
    Ok(so_far.max(next?))
}

/// When a file, or any file below a folder, was changed last.
fn newest(path: &Path) -> Result<SystemTime> {
    let about = || format!("{} cannot be read", path.display());
    let metadata = fs::metadata(path).with_context(about)?;
    let own = metadata.modified().with_context(about)?;
    if !metadata.is_dir() {
        return Ok(own);
    }
    let mut below = fs::read_dir(path).with_context(about)?.map(|entry| newest(&entry.with_context(about)?.path()));
    below.try_fold(own, later)
}
