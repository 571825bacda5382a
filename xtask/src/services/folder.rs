//! The temporary folder of the services.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use super::programs::User;

/// Removed when dropped; should this program be killed, by a shell that waits for its end.
pub struct Folder {
    directory: tempfile::TempDir,
}

/// Waits for the end of its input, which is the end of this program, and ignores the Ctrl-C that ends us.
const SWEEP: &str = r#"trap '' HUP INT TERM; read -r _end; rm -rf -- "$1""#;

impl Folder {
    pub fn create() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("syncline-services-").tempdir();
        let directory = directory.context("no temporary folder could be made")?;
        // Another user than root runs PostgreSQL and passes through here to its own folder.
        std::fs::set_permissions(directory.path(), Permissions::from_mode(0o711))?;
        let mut sweeper = Command::new("sh");
        sweeper.args(["-c", SWEEP, "sweep"]).arg(directory.path());
        sweeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let sweeper = sweeper.spawn().context("`sh` could not be started")?;
        // Its input stays open until this process is gone, however that comes about.
        std::mem::forget(sweeper);
        Ok(Self { directory })
    }

    /// The file for the output of a service.
    pub fn log(&self, name: &str) -> PathBuf {
        self.directory.path().join(format!("{name}.log"))
    }

    /// Makes a folder in it that only `user` may enter; without a user: only we.
    pub fn make(&self, name: &str, user: Option<&User>) -> Result<PathBuf> {
        let path = self.directory.path().join(name);
        std::fs::create_dir(&path).with_context(|| format!("{} could not be made", path.display()))?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o700))?;
        if let Some(user) = user {
            chown(&path, Some(user.uid), Some(user.gid))
                .with_context(|| format!("{} could not be given to its user", path.display()))?;
        }
        Ok(path)
    }
}
