//! Processes and devices for the stories.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

use crate::database::TestDatabase;

pub const PASSWORD: &str = "syncline-demo";

/// The workspace's folder with data nobody on this project wrote; `None`, said aloud, when it is not there.
pub fn shared_data(file: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(file);
    if path.exists() {
        return Some(path);
    }
    eprintln!("{} is missing: this test proves nothing here", path.display());
    None
}

pub fn syncline() -> Command {
    Command::new(env!("CARGO_BIN_EXE_syncline"))
}

/// Runs a command to its end; the standard output as JSON lines.
pub fn json_of(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    let values = serde_json::Deserializer::from_str(&text).into_iter();
    let values: Result<Vec<Value>, _> = values.collect();
    values.unwrap_or_else(|error| panic!("{error}: {text}\n{}", String::from_utf8_lossy(&output.stderr)))
}

pub struct Server {
    data: PathBuf,
    database: Option<TestDatabase>,
    port: u16,
    child: Option<Child>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Server {
    /// Starts on a port that stays the same over restarts.
    pub fn start(data: &Path) -> Self {
        Self::start_on(data, TestDatabase::wanted())
    }

    /// As [`Server::start`], on SQLite whatever the other tests run on.
    pub fn start_embedded(data: &Path) -> Self {
        Self::start_on(data, None)
    }

    fn start_on(data: &Path, database: Option<TestDatabase>) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self { data: data.to_owned(), database, port, child: None };
        server.restart();
        server
    }

    /// A command of the operator on this server's database.
    pub fn operator(&self) -> Command {
        let mut command = syncline();
        if let Some(database) = &self.database {
            command.env("DATABASE_URL", database.url());
        }
        command
    }

    pub fn restart(&mut self) {
        self.kill();
        let mut command = self.operator();
        command.args(["serve", "--demo", "--listen", &format!("127.0.0.1:{}", self.port), "--data"]).arg(&self.data);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("http://")), "the server says where it listens");
        // Whoever prints into a closed pipe dies of it.
        std::thread::spawn(move || lines.for_each(drop));
        self.child = Some(child);
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().and_then(|()| child.wait()).ok();
        }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A REST call as `email`.
    pub fn call(&self, email: &str, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let token = self.token(email);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
            let mut request =
                reqwest::Client::new().request(method, format!("{}{path}", self.url())).bearer_auth(token);
            if let Some(body) = body {
                request = request.json(body);
            }
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
        })
    }

    fn token(&self, email: &str) -> String {
        install_crypto();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let device = json!({"device_id": uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_DNS, email.as_bytes()), "name": "test",
            "deployment_mode": "web_app"});
        let body = json!({"email": email, "password": PASSWORD, "device": device});
        let answer: Value = runtime.block_on(async {
            let url = format!("{}/api/auth/login", self.url());
            reqwest::Client::new().post(url).json(&body).send().await.unwrap().json().await.unwrap()
        });
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// Makes somebody who sees everything, with the demo's password.
    pub fn member(&self, email: &str, role: &str) {
        let body = json!({"email": email, "name": email, "role": role, "read_scope": "all", "password": PASSWORD});
        let (status, answer) = self.call("demo@syncline.dev", "POST", "/api/admin/users", Some(&body));
        assert!(status < 300, "{status}: {answer}");
    }
}

fn install_crypto() {
    let _chosen_before = rustls::crypto::aws_lc_rs::default_provider().install_default().is_err();
}

pub struct Device {
    pub dir: PathBuf,
    clock_offset_ms: i64,
}

impl Device {
    pub fn init(server: &Server, dir: &Path, email: &str) -> Self {
        let device = Self { dir: dir.to_owned(), clock_offset_ms: 0 };
        let mut command = device.command(&["init", "--server", &server.url(), "--email", email]);
        let output = command.env("SYNCLINE_PASSWORD", PASSWORD).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        device
    }

    /// Sets the device's clock wrong from now on.
    pub fn with_clock(mut self, offset_ms: i64) -> Self {
        self.clock_offset_ms = offset_ms;
        self
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = syncline();
        command.arg("device").args(args).args(["--json", "--dir"]).arg(&self.dir);
        command.env("SYNCLINE_CLOCK_OFFSET_MS", self.clock_offset_ms.to_string());
        command
    }

    pub fn run(&self, args: &[&str]) -> (i32, Vec<Value>) {
        let output = self.command(args).output().unwrap();
        (output.status.code().unwrap_or(-1), json_of(&output))
    }

    /// Runs a command that must end with exit code 0 or 4 (something waits for a person).
    pub fn ok(&self, args: &[&str]) -> Value {
        let output = self.command(args).output().unwrap();
        let code = output.status.code();
        assert!(matches!(code, Some(0 | 4)), "{args:?}: {code:?} {}", String::from_utf8_lossy(&output.stderr));
        json_of(&output).into_iter().next_back().unwrap_or(Value::Null)
    }

    pub fn sync(&self) -> Value {
        self.ok(&["sync"])
    }

    /// Applies mutations, a line each, without the network.
    pub fn apply(&self, lines: &[Value]) -> Value {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for line in lines {
            writeln!(file, "{line}").unwrap();
        }
        self.ok(&["apply", file.path().to_str().unwrap()])
    }

    pub fn list(&self, entity: &str, args: &[&str]) -> Vec<Value> {
        let all: Vec<&str> = ["list", entity].into_iter().chain(args.iter().copied()).collect();
        let answer = self.ok(&all);
        let records = answer.get("records").cloned().unwrap_or(answer);
        records.as_array().cloned().unwrap_or_default()
    }

    pub fn get(&self, entity: &str, id: &str) -> Option<Value> {
        let (code, mut answer) = self.run(&["get", entity, id]);
        (code == 0).then(|| answer.remove(0))
    }

    /// `(scope, digest)` of everything that is held.
    pub fn digests(&self) -> Value {
        let status = self.ok(&["status"]);
        let scopes = status["scopes"].as_array().cloned().unwrap_or_default();
        scopes.iter().map(|scope| (scope["id"].as_str().unwrap_or("").to_owned(), scope["digest"].clone())).collect()
    }
}
