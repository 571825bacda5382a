//! A proxy in front of servers: it connects to the first of them that listens, and can delay, silence, half-close and cut what
//! it carries.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    Open,
    /// Everything arrives this much later.
    Delayed(Duration),
    /// What is open stays open and carries nothing any more, for ever; the same for new connections.
    Silent,
    /// The server's side is closed, the client's is not: answers end and questions go on.
    HalfClosed,
    /// Connections are closed, also new ones.
    Cut,
}

/// Ends with the value, and everything it carries.
pub struct Proxy {
    pub port: u16,
    mode: Arc<watch::Sender<Mode>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Proxy {
    /// In front of servers on these ports, in the order in which they are tried.
    pub async fn start(ports: Vec<u16>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mode = Arc::new(watch::Sender::new(Mode::Open));
        let modes = mode.subscribe();
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(carry(client, ports.clone(), modes.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { port, mode, accepting }
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn carry(client: TcpStream, ports: Vec<u16>, mut modes: watch::Receiver<Mode>) {
    if *modes.borrow() == Mode::Cut {
        return;
    }
    let Some(server) = connect(&ports).await else { return };
    for stream in [&client, &server] {
        stream.set_nodelay(true).ok();
    }
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let (up, down) = (modes.clone(), modes.clone());
    tokio::select! {
        () = pump(from_client, to_server, up, false) => {}
        () = pump(from_server, to_client, down, true) => {}
        _ = modes.wait_for(|mode| *mode == Mode::Cut) => {}
    }
}

async fn connect(ports: &[u16]) -> Option<TcpStream> {
    for port in ports {
        let connecting = TcpStream::connect((Ipv4Addr::LOCALHOST, *port));
        if let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_secs(2), connecting).await {
            return Some(stream);
        }
    }
    None
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut modes: watch::Receiver<Mode>, is_from_server: bool) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        tokio::select! {
            biased;
            mode = stopped(&mut modes, is_from_server) => {
                if mode == Mode::HalfClosed {
                    to.shutdown().await.ok();
                }
                return std::future::pending().await;
            },
            read = from.read(&mut buffer) => {
                let Ok(count @ 1..) = read else { return };
                let mode = *modes.borrow();
                if let Mode::Delayed(delay) = mode {
                    tokio::time::sleep(delay).await;
                }
                if to.write_all(&buffer[..count]).await.is_err() {
                    return;
                }
            },
        }
    }
}

/// Resolves when nothing more is carried in this direction.
async fn stopped(modes: &mut watch::Receiver<Mode>, is_from_server: bool) -> Mode {
    let is_stop = |mode: &Mode| *mode == Mode::Silent || *mode == Mode::HalfClosed && is_from_server;
    let mode = modes.wait_for(is_stop).await.map(|mode| *mode);
    match mode {
        Ok(mode) => mode,
        Err(_) => std::future::pending().await,
    }
}
