//! One node: a process of the real binary.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::postgres::signal;
use super::{OWNER, PASSWORD, until};

pub type Environment = Vec<(&'static str, String)>;

/// A process on a port that stays the same over restarts.
pub struct Node {
    pub port: u16,
    environment: Environment,
    folder: PathBuf,
    child: Option<Child>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(40)..].join("\n");
            eprintln!("the node on port {} said last:\n{tail}", self.port);
        }
    }
}

impl Node {
    /// Not started yet.
    pub fn new(folder: PathBuf, environment: Environment) -> Self {
        std::fs::create_dir_all(&folder).unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        Self { port, environment, folder, child: None }
    }

    /// A setting from its next start on.
    pub fn set(&mut self, name: &'static str, value: &str) {
        self.environment.push((name, value.to_owned()));
    }

    /// Starts, and waits until it says where it listens: then the demo is there too.
    pub async fn start(&mut self) {
        self.begin();
        self.greeted().await;
    }

    pub fn begin(&mut self) {
        let log = File::options().create(true).append(true).open(self.folder.join("log")).unwrap();
        let greeting = File::create(self.folder.join("greeting")).unwrap();
        let mut command = syncline(&self.environment);
        command.args(["serve", "--demo", "--listen", &format!("127.0.0.1:{}", self.port), "--data"]);
        command.arg(self.folder.join("data")).stdin(Stdio::null()).stdout(greeting).stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    pub async fn greeted(&mut self) {
        let child = self.child.as_mut().expect("it was begun");
        let greeting = self.folder.join("greeting");
        until("a node says where it listens", async || {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "a node ended while it started: {ended:?}");
            std::fs::read_to_string(&greeting).unwrap_or_default().contains("://").then_some(())
        })
        .await;
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().and_then(|()| child.wait()).ok();
        }
    }

    /// SIGTERM, and how it ended.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        let mut child = self.child.take().expect("it runs");
        until("a node ends after SIGTERM", async || child.try_wait().unwrap()).await
    }

    /// The process gets no time: its sockets stay open and nothing answers.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        signal(self.child.as_ref().expect("it runs").id(), name);
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Status and body of `GET path`; status 0 when nothing answers within five seconds.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        let request = reqwest::Client::new().get(format!("{}{path}", self.url())).timeout(Duration::from_secs(5));
        match request.send().await {
            Ok(answer) => (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null)),
            Err(_) => (0, Value::Null),
        }
    }

    pub async fn is_ready(&self) -> bool {
        self.get("/health/ready").await.0 == 200
    }

    /// What it says of the bus: `connected` or `degraded`.
    pub async fn bus(&self) -> String {
        let (_, health) = self.get("/health").await;
        let status = health.pointer("/components/bus/status").or(health.pointer("/health/components/bus/status"));
        status.and_then(Value::as_str).unwrap_or("unknown").to_owned()
    }

    pub async fn bus_is(&self, status: &str) {
        until(&format!("the bus is {status}"), async || (self.bus().await == status).then_some(())).await;
    }

    /// Signs in by way of this node; the answer's tokens and ids. Each time it is the same device.
    pub async fn sign_in(&self, email: &str) -> Value {
        let device_id = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, format!("{}/{email}", self.url()).as_bytes());
        let device = json!({"device_id": device_id, "name": "test", "deployment_mode": "web_app"});
        let sign_in = json!({"email": email, "password": PASSWORD, "device": device});
        let (status, answer) = self.ask(Method::POST, "/api/auth/login", "", &sign_in).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Status and body of a request of somebody signed in; `Null` sends no body.
    pub async fn ask(&self, method: Method, path: &str, token: &str, body: &Value) -> (u16, Value) {
        let request = reqwest::Client::new().request(method, format!("{}{path}", self.url()));
        let request = if token.is_empty() { request } else { request.bearer_auth(token) };
        let request = if body.is_null() { request } else { request.json(body) };
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
    }

    /// Takes a device away, as the owner, by way of this node.
    pub async fn revoke_device(&self, device_id: &str) {
        let tokens = self.sign_in(OWNER).await;
        let path = format!("/api/auth/devices/{device_id}");
        let (status, answer) = self.ask(Method::DELETE, &path, access(&tokens), &Value::Null).await;
        assert_eq!(status, 204, "revoking: {answer}");
    }
}

/// The access token in the answer to a sign-in.
pub fn access(tokens: &Value) -> &str {
    tokens["access_token"].as_str().unwrap_or_else(|| panic!("{tokens}"))
}

/// The binary under test, with nothing of the caller's databases.
pub fn syncline(environment: &Environment) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
    command.env_remove("DATABASE_URL").env_remove("REDIS_URL").env_remove("RUST_BACKTRACE");
    command.env("METRICS_ON_MAIN_PORT", "true");
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command
}
