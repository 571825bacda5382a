//! A PostgreSQL of one test: its processes are ours to kill and to freeze.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

const REMEDY: &str = "these tests need PostgreSQL 14 or newer and its `initdb`: `apt-get install postgresql`";
pub const PASSWORD: &str = "hush-hush";
/// Starting after a crash replays the log; a busy disk takes its time for that.
const START_ROUNDS: usize = 1_200;
const ROUND: Duration = Duration::from_millis(50);

/// A server that keeps its port and its data over restarts, and goes with the value.
pub struct Postgres {
    pub port: u16,
    folder: TempDir,
    programs: PathBuf,
    child: Child,
}

impl Postgres {
    pub fn start() -> Self {
        let programs = programs().expect(REMEDY);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("password"), PASSWORD).unwrap();
        if is_root() {
            done(Command::new("chown").args(["-R", "postgres"]).arg(folder.path()));
        }
        let mut init = as_owner(&programs.join("initdb"), folder.path());
        init.args(["-D", "data", "-U", "postgres", "-A", "scram-sha-256", "--pwfile=password", "-E", "UTF8"]);
        done(init.args(["--locale=C", "--no-instructions", "--no-sync"]));
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let child = spawn(&programs, folder.path(), port);
        let mut server = Self { port, folder, programs, child };
        server.wait();
        server
    }

    pub fn url(&self) -> String {
        self.url_at(self.port)
    }

    /// The same database behind a proxy on another port.
    pub fn url_at(&self, port: u16) -> String {
        format!("postgres://postgres:{PASSWORD}@127.0.0.1:{port}/postgres")
    }

    /// A crash: `kill -9` of the server and of all its processes, so that nothing is finished.
    pub fn kill(&mut self) {
        // Stopped first, it cannot clean up after its children.
        signal(self.child.id(), "STOP");
        self.children().into_iter().for_each(|pid| signal(pid, "KILL"));
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn restart(&mut self) {
        self.child = spawn(&self.programs, self.folder.path(), self.port);
        self.wait();
    }

    /// None of its processes gets time: sockets stay open and nothing answers.
    pub fn freeze(&self) {
        signal(self.child.id(), "STOP");
        self.children().into_iter().for_each(|pid| signal(pid, "STOP"));
    }

    pub fn thaw(&self) {
        self.children().into_iter().for_each(|pid| signal(pid, "CONT"));
        signal(self.child.id(), "CONT");
    }

    /// Rows as lines, columns separated by `|`.
    pub fn query(&self, sql: &str) -> String {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args([&self.url(), "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql]);
        let output = psql.env("PGCONNECT_TIMEOUT", "30").output().expect(REMEDY);
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn children(&self) -> Vec<u32> {
        let is_ours = |pid: &u32| parent_of(*pid) == Some(self.child.id());
        let processes = std::fs::read_dir("/proc").expect("these tests need Linux: they look for processes in /proc");
        let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(is_ours).collect()
    }

    fn wait(&mut self) {
        let port = self.port.to_string();
        for _ in 0..START_ROUNDS {
            let mut ready = Command::new(self.programs.join("pg_isready"));
            let ready = ready.args(["-q", "-h", "127.0.0.1", "-p", &port, "-t", "2"]).status().expect(REMEDY);
            if ready.success() {
                return;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "PostgreSQL ended with {ended:?}: {}", self.log());
            std::thread::sleep(ROUND);
        }
        panic!("PostgreSQL does not start: {}", self.log());
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _is_gone_already = self.child.kill().and_then(|()| self.child.wait()).is_err();
    }
}

pub fn signal(pid: u32, name: &str) {
    // A process that has just ended needs no signal.
    let _status = Command::new("kill").args(["-s", name, &pid.to_string()]).stderr(Stdio::null()).status().unwrap();
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn spawn(programs: &Path, folder: &Path, port: u16) -> Child {
    let log = File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let mut server = as_owner(&programs.join("postgres"), folder);
    server.args(["-D", "data", "-p", &port.to_string()]);
    let settings = [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "fsync=on",
        "synchronous_commit=on",
        "shared_buffers=32MB",
        "max_connections=120",
        // A proxy that falls silent holds what is behind it.
        "tcp_keepalives_idle=10",
    ];
    server.args(settings.iter().flat_map(|setting| ["-c", setting]));
    server.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().expect(REMEDY)
}

/// PostgreSQL refuses to run as root.
fn as_owner(program: &Path, folder: &Path) -> Command {
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups", "--pdeathsig", "KILL", "--"]);
        command.arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir(folder);
    command
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn done(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect(REMEDY);
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Where `initdb` is: in the newest version's folder, or on the path.
fn programs() -> Option<PathBuf> {
    let has_initdb = |folder: &PathBuf| folder.join("initdb").is_file();
    let version = |folder: &PathBuf| folder.parent().and_then(|path| path.file_name()?.to_str()?.parse::<u32>().ok());
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = installed.map(|entry| entry.path().join("bin")).filter(has_initdb).max_by_key(version);
    let path = std::env::var_os("PATH").unwrap_or_default();
    newest.or_else(|| std::env::split_paths(&path).find(has_initdb))
}
