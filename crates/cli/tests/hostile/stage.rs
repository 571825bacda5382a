//! The server as a process of its own, and what it takes of the machine.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

pub const EMAIL: &str = "demo@syncline.dev";
pub const PASSWORD: &str = "syncline-demo";
/// Longest wait for anything: not how fast the server should be, but that it gets there.
pub const SOON: Duration = Duration::from_secs(60);
/// Memory that a hostile socket may cost the server; bytes.
pub const BYTES_PER_SOCKET_MAX: u64 = 32 << 10;
/// Memory that the honest client's work and the allocator's reserves may take beside; bytes.
pub const BYTES_BESIDE_MAX: u64 = 96 << 20;

/// Ends with its owner.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    resident_before: u64,
    _folder: tempfile::TempDir,
}

impl Server {
    /// With demo data and this configuration.
    pub fn start(config: &str) -> Self {
        let _chosen_before = rustls::crypto::aws_lc_rs::default_provider().install_default().is_err();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("syncline.toml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
        command.args(["serve", "--demo", "--listen", "127.0.0.1:0", "--data"]).arg(folder.path().join("data"));
        command.arg("--config").arg(file).env("METRICS_ENABLED", "false").env("LOG_LEVEL", "error");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let said = lines.find_map(|line| line.split_once("http://").map(|(_, address)| address.to_owned()));
        let address = said.expect("the server says where it listens").trim().parse().unwrap();
        std::thread::spawn(move || lines.for_each(drop));
        let mut server = Self { child, address, resident_before: 0, _folder: folder };
        server.resident_before = server.resident();
        server
    }

    /// Memory in use; bytes.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024
    }

    /// Says what this many hostile sockets cost, and fails when it is too much.
    pub fn check_memory(&self, what: &str, sockets: usize) {
        let grown = self.resident().saturating_sub(self.resident_before);
        println!("{what}: {} MiB more resident memory with {sockets} hostile sockets", grown >> 20);
        let most = sockets as u64 * BYTES_PER_SOCKET_MAX + BYTES_BESIDE_MAX;
        assert!(grown <= most, "{what}: {grown} bytes more, at most {most}");
    }

    /// Open WebSockets, as an administrator sees them.
    pub async fn sockets(&self, token: &str) -> u64 {
        let url = format!("http://{}/health", self.address);
        let health: Value =
            reqwest::Client::new().get(url).bearer_auth(token).send().await.unwrap().json().await.unwrap();
        health.pointer("/components/hub/connections").and_then(Value::as_u64).unwrap_or_else(|| panic!("{health}"))
    }

    /// Waits until no more sockets than these are open.
    pub async fn rids_itself_of_sockets(&self, token: &str, left: u64) {
        let started = Instant::now();
        while self.sockets(token).await > left {
            assert!(started.elapsed() < SOON, "sockets of peers that are gone stay open");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Signs in on a new device; the access token and the device's id.
    pub async fn sign_in(&self) -> (String, String) {
        let device_id = uuid::Uuid::now_v7().to_string();
        let device = json!({"device_id": device_id, "name": "Test", "deployment_mode": "local_install"});
        let body = json!({"email": EMAIL, "password": PASSWORD, "device": device});
        let url = format!("http://{}/api/auth/login", self.address);
        let client = reqwest::Client::builder().timeout(SOON).build().unwrap();
        let answer: Value = client.post(url).json(&body).send().await.unwrap().json().await.unwrap();
        (answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned(), device_id)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}

/// Lets this process have as many files open as it may. Returns how many sockets an attack can have; fewer than `wanted` is
/// said aloud.
pub fn room_for(wanted: usize) -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    // The server is as limited as we are.
    let most = limit.maximum.map_or(wanted, |most| usize::try_from(most).unwrap_or(wanted).saturating_sub(500));
    if most < wanted {
        eprintln!("only {most} sockets instead of {wanted}: this machine's hard limit of open files forbids more");
    }
    most.min(wanted)
}
