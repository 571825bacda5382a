//! The server as a process of its own, and what the system says of it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use syncline_server::demo;

use crate::wire::Pass;

/// A server that ends with the benchmark.
pub struct Process {
    child: Child,
    pub url: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Clock ticks a second in `/proc`; the same on every Linux of today.
const TICKS_PER_SECOND: f64 = 100.0;

impl Process {
    /// Serves the demo from `dir` on a free port, with these settings. `core`: the one processor it may use.
    pub async fn start(dir: &Path, core: Option<usize>, settings: &str) -> anyhow::Result<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let binary = binary()?;
        let mut command = match core {
            None => Command::new(binary),
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["--cpu-list", &core.to_string()]).arg(binary);
                command
            }
        };
        command.args(["serve", "--demo", "--listen", &format!("127.0.0.1:{port}"), "--data"]).arg(dir);
        let config = dir.join("syncline.toml");
        std::fs::write(&config, settings)?;
        command.arg("--config").arg(config).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().context("starting the server")?;
        let url = format!("http://127.0.0.1:{port}");
        let process = Self { child, url };
        process.wait_for_demo().await?;
        Ok(process)
    }

    /// The demo's people are made once the server listens, one after the other.
    async fn wait_for_demo(&self) -> anyhow::Result<()> {
        let mut last = None;
        for _ in 0..200 {
            match Pass::sign_in(&self.url, demo::USERS[demo::USERS.len() - 1].email).await {
                Ok(_) => return Ok(()),
                Err(error) => last = Some(error),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(last.context("tried")?.context("the server was not ready within 10 s"))
    }

    /// Memory that is really there; MiB, kernel buffers not counted.
    pub fn resident_mib(&self) -> anyhow::Result<f64> {
        Ok(resident_kib(self.pid())? / 1_024.0)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Processor time used so far, in the program and in the system for it; seconds.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        cpu_seconds(self.pid())
    }
}

/// Memory of a process that is really there; KiB, kernel buffers not counted.
pub fn resident_kib(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("VmRSS")?;
    Ok(line.split_whitespace().nth(1).context("a number")?.parse()?)
}

/// Processor time a process has used so far, in the program and in the system for it; seconds.
pub fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold spaces; fields 14 and 15 are counted from behind it.
    let fields: Vec<&str> = stat.rsplit(')').next().context("fields")?.split_whitespace().collect();
    let ticks = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / TICKS_PER_SECOND)
}

/// Keeps this program, with all its threads, on one processor.
pub fn stay_on(core: usize) -> anyhow::Result<()> {
    let pid = std::process::id().to_string();
    let mut command = Command::new("taskset");
    let status = command.args(["--all-tasks", "--cpu-list", "--pid", &core.to_string(), &pid]);
    anyhow::ensure!(status.stdout(Stdio::null()).status()?.success(), "taskset failed (Debian: util-linux)");
    Ok(())
}

/// The `syncline` binary built beside this one.
fn binary() -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe()?;
    let path = here.parent().context("a folder")?.join("syncline");
    anyhow::ensure!(
        path.exists(),
        "{} is missing: build it with `cargo build --release -p syncline-cli`",
        path.display()
    );
    Ok(path)
}
