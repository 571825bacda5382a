//! Starting other programs, always from the top of the repository.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The top folder of the repository.
pub fn root() -> PathBuf {
    let xtask = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().expect("xtask lies in the repository").to_owned()
}

/// The cargo that runs us.
fn cargo_program() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// A command and the words it is shown with.
pub struct Program {
    command: Command,
    shown: String,
}

pub fn cargo<const N: usize>(args: [&str; N]) -> Program {
    let mut program = program(&cargo_program());
    program.shown = "cargo".to_owned();
    program.args(args)
}

pub fn program(name: &OsStr) -> Program {
    let mut command = Command::new(name);
    command.current_dir(root());
    Program { command, shown: name.to_string_lossy().into_owned() }
}

impl Program {
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        for arg in args {
            self.shown.push(' ');
            self.shown.push_str(&arg.as_ref().to_string_lossy());
            self.command.arg(arg);
        }
        self
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it with our input and output; an exit code other than 0 is an error.
    pub fn run(mut self) -> Result<()> {
        let status = self.command.status().with_context(|| format!("`{}` could not be started", self.shown))?;
        if status.success() {
            return Ok(());
        }
        bail!("`{}` failed ({status})", self.shown)
    }

    /// Becomes this program, so that signals reach it directly.
    #[cfg(unix)]
    pub fn become_it(mut self) -> Result<()> {
        use std::os::unix::process::CommandExt as _;
        let error = self.command.exec();
        Err(error).with_context(|| format!("`{}` could not be started", self.shown))
    }

    #[cfg(not(unix))]
    pub fn become_it(self) -> Result<()> {
        self.run()
    }

    /// Whether it runs at all and exits with 0, without showing anything.
    pub fn works(mut self) -> bool {
        let quiet = self.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.status().is_ok_and(|status| status.success())
    }

    fn output(mut self) -> Result<Vec<u8>> {
        let output = self.command.output().with_context(|| format!("`{}` could not be started", self.shown))?;
        if !output.status.success() {
            bail!("`{}` failed: {}", self.shown, String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(output.stdout)
    }
}

/// Where cargo puts a built program: `profile` is `debug` or `release`.
pub fn built(profile: &str, name: &str) -> Result<PathBuf> {
    let output = cargo(["metadata", "--no-deps", "--format-version", "1"]).output()?;
    let metadata: serde_json::Value = serde_json::from_slice(&output).context("`cargo metadata` wrote no JSON")?;
    let target = metadata["target_directory"].as_str().context("`cargo metadata` names no target directory")?;
    let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    Ok(PathBuf::from(target).join(profile).join(name))
}
