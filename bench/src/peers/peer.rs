//! The servers, and how each is spoken to.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use syncline_core::id::ClientId;
use syncline_server::demo;

use super::socket::Socket;
use crate::clock;
use crate::process::Process;
use crate::wire::Pass;

const SERVER_CORE: usize = 0;
/// Settings of a server whose hub is measured and not its limits.
const UNLIMITED: &str =
    "[sockets]\nframes_per_second_max = 100000\nconnections_max = 20000\nuser_connections_max = 20000\n";

/// Offers compression, as browsers do.
pub const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Syncline,
    Nats,
    SocketIo,
    Ws,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Syncline => "syncline",
            Self::Nats => "nats-server",
            Self::SocketIo => "socket.io",
            Self::Ws => "ws",
        }
    }

    /// Those that can run here. Node's packages are installed when they are not there; what is missing is said.
    pub fn available() -> anyhow::Result<Vec<Self>> {
        let mut kinds = vec![Self::Syncline];
        if has("nats-server") {
            kinds.push(Self::Nats);
        } else {
            eprintln!("nats-server is missing, so it is left out (Debian: nats-server)");
        }
        if has("node") && has("npm") {
            if !folder().join("node_modules").exists() {
                let status =
                    Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(folder()).status()?;
                anyhow::ensure!(status.success(), "npm ci failed in {}", folder().display());
            }
            kinds.extend([Self::SocketIo, Self::Ws]);
        } else {
            eprintln!("node and npm are missing, so Socket.IO and ws are left out (Debian: nodejs npm)");
        }
        Ok(kinds)
    }
}

fn has(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).chain(["/usr/sbin".into()]).any(|path: PathBuf| path.join(program).exists())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

/// A server that runs, on a processor of its own.
pub struct Peer {
    kind: Kind,
    port: u16,
    server: Server,
    _data: tempfile::TempDir,
}

enum Server {
    Syncline { process: Process, pass: Pass },
    Other(Other),
}

struct Other(Child);

impl Drop for Other {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _status = self.0.wait();
    }
}

impl Peer {
    pub async fn start(kind: Kind) -> anyhow::Result<Self> {
        let data = tempfile::tempdir()?;
        if kind == Kind::Syncline {
            let process = Process::start(data.path(), Some(SERVER_CORE), UNLIMITED).await?;
            let port = process.url.rsplit(':').next().context("a port")?.parse()?;
            let pass = Pass::sign_in(&process.url, demo::USERS[0].email).await?;
            return Ok(Self { kind, port, server: Server::Syncline { process, pass }, _data: data });
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", &SERVER_CORE.to_string()]);
        match kind {
            Kind::Nats => {
                let config = data.path().join("nats.conf");
                let text = format!(
                    "listen: \"127.0.0.1:-1\"\nmax_connections: 200000\nwebsocket {{ listen: \"127.0.0.1:{port}\", no_tls: true }}\n"
                );
                std::fs::write(&config, text)?;
                command.env("PATH", "/usr/local/bin:/usr/bin:/usr/sbin").arg("nats-server").arg("--config").arg(config);
            }
            Kind::Ws => drop(command.arg("node").arg(folder().join("ws.mjs")).arg(port.to_string())),
            Kind::SocketIo => drop(command.arg("node").arg(folder().join("socketio.mjs")).arg(port.to_string())),
            Kind::Syncline => {}
        }
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("starting the server")?;
        let peer = Self { kind, port, server: Server::Other(Other(child)), _data: data };
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return Ok(peer);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::bail!("{} was not ready within 10 s", kind.name())
    }

    pub fn pid(&self) -> u32 {
        match &self.server {
            Server::Syncline { process, .. } => process.pid(),
            Server::Other(Other(child)) => child.id(),
        }
    }

    /// A connection that gets every message. `headers`: whole lines for the upgrade.
    pub async fn subscriber(&self, headers: &str) -> anyhow::Result<Socket> {
        let mut socket = self.publisher(headers).await?;
        match self.kind {
            Kind::Syncline => {
                socket.send(json!({"type": "sub", "topic": "bench"}).to_string().as_bytes()).await?;
                socket.read_until("\"subscribed\"").await?;
            }
            Kind::Nats => {
                socket.send(b"SUB bench 1\r\nPING\r\n").await?;
                socket.read_until("PONG").await?;
            }
            Kind::SocketIo | Kind::Ws => {}
        }
        Ok(socket)
    }

    /// A connection that may publish.
    pub async fn publisher(&self, headers: &str) -> anyhow::Result<Socket> {
        match (self.kind, &self.server) {
            (Kind::Syncline, Server::Syncline { pass, .. }) => {
                let client_id = ClientId::v7(clock::wall_ms(), rand::random());
                let headers = format!("Authorization: Bearer {}\r\n{headers}", pass.token());
                Socket::open(self.port, &format!("/ws/local_install/{client_id}"), &headers).await
            }
            (Kind::Nats, _) => {
                let mut socket = Socket::open(self.port, "/", "").await?;
                socket.read_until("INFO").await?;
                socket.send(b"CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":false}\r\nPING\r\n").await?;
                socket.read_until("PONG").await?;
                Ok(socket)
            }
            (Kind::SocketIo, _) => {
                let mut socket = Socket::open(self.port, "/socket.io/?EIO=4&transport=websocket", "").await?;
                socket.read_until("pingInterval").await?;
                socket.send(b"40").await?;
                socket.read_until("40{").await?;
                Ok(socket)
            }
            (Kind::Ws | Kind::Syncline, _) => Socket::open(self.port, "/", "").await,
        }
    }

    pub async fn publish(&self, socket: &mut Socket, payload: &str) -> anyhow::Result<()> {
        let message = match self.kind {
            Kind::Syncline => {
                let id = ClientId::v7(clock::wall_ms(), rand::random());
                json!({"type": "msg", "id": id, "message_type": "signal", "to": {"topic": "bench"}, "payload": {"text": payload}})
                    .to_string()
            }
            Kind::Nats => format!("PUB bench {}\r\n{payload}\r\n", payload.len()),
            Kind::SocketIo => format!("42[\"pub\",\"{payload}\"]"),
            Kind::Ws => payload.to_owned(),
        };
        socket.send(message.as_bytes()).await
    }
}
