//! Where the programs of the services are, or how they come here.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::shell;

/// What a person without apt-get or without its rights reads.
const REMEDY: &str = "install PostgreSQL 15 or newer, Redis 7 or newer and nginx, for instance `sudo apt-get install \
                      postgresql redis-server nginx-light`, or `brew install postgresql redis nginx`";

pub struct Programs {
    pub initdb: PathBuf,
    pub postgres: PathBuf,
    pub pg_isready: PathBuf,
    pub redis_server: PathBuf,
    pub redis_cli: PathBuf,
    /// Who runs PostgreSQL, which refuses root. `None` when we are not root.
    pub postgres_user: Option<User>,
}

pub struct User {
    pub uid: u32,
    pub gid: u32,
}

impl Programs {
    /// Looks for them on the path and where Debian puts them; as root with apt-get, installs what is missing.
    pub fn find_or_install() -> Result<Self> {
        let is_root = rustix::process::geteuid().is_root();
        if let Err(missing) = Self::find(is_root) {
            if !may_install() {
                bail!("{missing}; {REMEDY}");
            }
            println!("{missing}; installing it with apt-get");
            install(&["postgresql", "redis-server", "nginx-light"])
                .with_context(|| format!("apt-get failed; {REMEDY}"))?;
        }
        Self::find(is_root).with_context(|| REMEDY)
    }

    fn find(is_root: bool) -> Result<Self> {
        let need = |name: &str| find(name).with_context(|| format!("`{name}` is not on this machine"));
        if cfg!(target_os = "linux") {
            need("setpriv")?;
        }
        // Started by the test that has three nodes behind it.
        need("nginx")?;
        Ok(Self {
            initdb: need("initdb")?,
            postgres: need("postgres")?,
            pg_isready: need("pg_isready")?,
            redis_server: need("redis-server")?,
            redis_cli: need("redis-cli")?,
            postgres_user: if is_root { Some(User::unprivileged()?) } else { None },
        })
    }
}

impl User {
    /// The user `postgres`, or `nobody`.
    fn unprivileged() -> Result<Self> {
        ["postgres", "nobody"].into_iter().find_map(Self::named).context("there is neither a user postgres nor nobody")
    }

    fn named(name: &str) -> Option<Self> {
        let id = |flag: &str| {
            let output = Command::new("id").args([flag, name]).output().ok()?;
            String::from_utf8(output.stdout).ok()?.trim().parse().ok()
        };
        Some(Self { uid: id("-u")?, gid: id("-g")? })
    }
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.extend(postgres_folders(Path::new("/usr/lib/postgresql")));
    folders.into_iter().map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// `bin` of every version that Debian installed, newest first.
fn postgres_folders(top: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(top).into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort_by(|one, other| other.cmp(one));
    versions.into_iter().map(|(_, bin)| bin).collect()
}

/// A Chromium for browser tests: the one named in `CHROMIUM`, else one on the path; as root with apt-get, installs one. `None`:
/// there is none to be had.
pub fn chromium() -> Option<PathBuf> {
    const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from).filter(|path| path.is_file());
    let held = || named.clone().or_else(|| NAMES.into_iter().find_map(find));
    if held().is_none() && may_install() {
        println!("there is no Chromium; installing it with apt-get");
        install(&["chromium"]).ok()?;
    }
    held()
}

/// Whether [`install`] may be tried.
pub fn may_install() -> bool {
    rustix::process::geteuid().is_root() && find("apt-get").is_some()
}

/// Installs Debian's packages, with nothing that they only recommend.
pub fn install(packages: &[&str]) -> Result<()> {
    let apt = |args: &[&str]| {
        let apt = shell::program("apt-get".as_ref()).args(["-o", "DPkg::Lock::Timeout=300"]).args(args);
        apt.env("DEBIAN_FRONTEND", "noninteractive").run()
    };
    let packages = [&["install", "-y", "--no-install-recommends"], packages].concat();
    // Without package lists, or with old ones, the first attempt fails.
    apt(&packages).or_else(|_| apt(&["update"]).and_then(|()| apt(&packages)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_postgresql_comes_first() {
        let top = tempfile::tempdir().unwrap();
        for version in ["9", "17", "15", "common"] {
            std::fs::create_dir(top.path().join(version)).unwrap();
        }
        let folders = postgres_folders(top.path());
        assert_eq!(folders, ["17", "15", "9"].map(|version| top.path().join(version).join("bin")));
    }
}
