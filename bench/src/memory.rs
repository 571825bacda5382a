//! Resident memory of a server process with 100,000 leads: at start, after a device took everything, after pushes.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use syncline_client::{Client, SignIn};
use syncline_server::demo;

use crate::report::{Report, figure};
use crate::stage::{self, Stage, contact, fill, mutation};
use crate::wire::Wire;

/// The server under measurement, ended with the benchmark.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _status = self.0.wait();
    }
}

pub async fn run(report: &mut Report, scale: usize) -> anyhow::Result<()> {
    let count = 100_000 / scale;
    let dir = Stage::start().await?.stop().await;
    fill(dir.path(), count)?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let binary = binary()?;
    let mut command = Command::new(&binary);
    command.args(["serve", "--demo", "--listen", &format!("127.0.0.1:{port}"), "--data"]).arg(dir.path());
    let process = Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("starting the server")?);
    let url = format!("http://127.0.0.1:{port}");
    wait_until_ready(&url).await?;
    let mut rows = Vec::new();
    let mut add = |when: &str| {
        let mib = resident_mib(process.0.id())?;
        rows.push(json!({"when": when, "resident MiB": figure(mib)}));
        anyhow::Ok(())
    };
    add("started")?;
    let device = tempfile::tempdir()?;
    let sign_in = SignIn {
        server: url.clone(),
        email: demo::USERS[0].email.to_owned(),
        password: demo::PASSWORD.to_owned(),
        workspace: None,
        device_name: "bench".to_owned(),
        schema: None,
    };
    Client::init(device.path(), sign_in).await?.sync_once(stage::sync_limits()).await?;
    add("a device took everything")?;
    let mut wire = Wire::connect(&url).await?;
    for page in 0..(100 / scale).max(1) {
        let numbers = page * 100..(page + 1) * 100;
        wire.push(numbers.map(|n| mutation(n as u64 + 1, vec![contact(n)])).collect()).await?;
    }
    add("10,000 more pushed")?;
    let title = "Memory: the server process with 100,000 leads in its database";
    report.section("memory", title, &["when", "resident MiB"], &rows);
    Ok(())
}

/// The `syncline` binary built beside this one.
fn binary() -> anyhow::Result<std::path::PathBuf> {
    let here = std::env::current_exe()?;
    let path = here.parent().context("a folder")?.join("syncline");
    anyhow::ensure!(
        path.exists(),
        "{} is missing: build it with `cargo build --release -p syncline-cli`",
        path.display()
    );
    Ok(path)
}

async fn wait_until_ready(url: &str) -> anyhow::Result<()> {
    for _ in 0..200 {
        if reqwest::get(format!("{url}/health/ready")).await.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("the server did not become ready within 10 s")
}

fn resident_mib(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("VmRSS")?;
    let kib: f64 = line.split_whitespace().nth(1).context("a number")?.parse()?;
    Ok(kib / 1_024.0)
}
