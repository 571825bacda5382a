//! Redis servers of one test, which end with it.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// What to do when there is no Redis here.
const REMEDY: &str = "`redis-server` and `redis-cli` (7 or newer) are needed: `apt-get install redis-server`, or run the \
                      tests with `cargo xtask test`, which installs them as root";

/// A server on a port of its own. It keeps the port when it is started again.
pub struct Server {
    pub port: u16,
    folder: TempDir,
    settings: Vec<String>,
    child: Child,
}

impl Server {
    pub fn start(settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let port = free_port();
        let child = spawn(port, &folder, &settings);
        let server = Self { port, folder, settings, child };
        server.wait();
        server
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// A new process on the same port; it has forgotten everything.
    pub fn restart(&mut self) {
        self.child = spawn(self.port, &self.folder, &self.settings);
        self.wait();
    }

    /// The process gets no time: its sockets stay open and nothing answers.
    pub fn freeze(&self) {
        signal(self.child.id(), "STOP");
    }

    pub fn thaw(&self) {
        signal(self.child.id(), "CONT");
    }

    pub fn command(&self, line: &str) {
        let answer = ask(self.port, line);
        assert!(answer.as_ref().is_some_and(|answer| answer.starts_with('+')), "{answer:?}");
    }

    fn wait(&self) {
        poll("redis-server answers", || {
            ask(self.port, "PING").is_some_and(|answer| answer.starts_with("+PONG") || answer.starts_with("-NOAUTH"))
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _is_gone_already = self.child.kill().and_then(|()| self.child.wait()).is_err();
    }
}

/// Three masters on this machine.
pub struct Cluster {
    pub servers: Vec<Server>,
}

impl Cluster {
    pub fn start() -> Self {
        let server = |_| {
            let bus_port = free_port().to_string();
            let enabled = ["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"];
            Server::start(&[&enabled[..], &["--cluster-node-timeout", "1000", "--cluster-port", &bus_port]].concat())
        };
        let cluster = Self { servers: (0..3).map(server).collect() };
        let mut create = Command::new("redis-cli");
        create.args(["--cluster", "create"]);
        create.args(cluster.servers.iter().map(|server| format!("127.0.0.1:{}", server.port)));
        let output = create.args(["--cluster-replicas", "0", "--cluster-yes"]).output().expect(REMEDY);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        cluster.wait();
        cluster
    }

    pub fn url(&self) -> String {
        self.servers.iter().map(Server::url).collect::<Vec<_>>().join(",")
    }

    pub fn wait(&self) {
        for server in &self.servers {
            poll("the cluster is whole", || {
                ask(server.port, "CLUSTER INFO").is_some_and(|info| info.contains("cluster_state:ok"))
            });
        }
    }
}

fn spawn(port: u16, folder: &TempDir, settings: &[String]) -> Child {
    // Killed by the system at the end of this thread, should the test not come to it.
    let has_setpriv = cfg!(target_os = "linux") && Command::new("setpriv").arg("--version").output().is_ok();
    let mut command = Command::new(if has_setpriv { "setpriv" } else { "redis-server" });
    if has_setpriv {
        command.args(["--pdeathsig", "KILL", "--", "redis-server"]);
    }
    command.current_dir(folder.path()).args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
    command.args(["--appendonly", "no"]).args(settings);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect(REMEDY)
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args(["-s", name, &pid.to_string()]).status().unwrap();
    assert!(status.success());
}

fn ask(port: u16, line: &str) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    stream.write_all(format!("{line}\r\n").as_bytes()).ok()?;
    let mut buffer = [0; 4_096];
    let count = stream.read(&mut buffer).ok()?;
    Some(String::from_utf8_lossy(&buffer[..count]).into_owned())
}

fn poll(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..3_000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("not within 30 s: {what}. {REMEDY}");
}
