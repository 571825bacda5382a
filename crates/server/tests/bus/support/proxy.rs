//! A proxy between a node and Redis that can cut connections, or let them stand open and carry nothing.

use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    /// Connections are closed, also new ones.
    Cut,
    /// What is open stays open and carries nothing any more; new connections too, until it is opened again.
    Silent,
    /// As `Silent` for those connections that have listened to a channel, and `Open` for the others.
    Deaf,
}

pub struct Proxy {
    pub url: String,
    mode: Arc<watch::Sender<Mode>>,
    _end: DropGuard,
}

impl Proxy {
    pub async fn start(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let mode = Arc::new(watch::Sender::new(Mode::Open));
        let token = CancellationToken::new();
        let (modes, end) = (Arc::clone(&mode), token.clone());
        tokio::spawn(token.clone().run_until_cancelled_owned(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { continue };
                let connection = carry(client, port, modes.subscribe());
                tokio::spawn(end.clone().run_until_cancelled_owned(connection));
            }
        }));
        Self { url, mode, _end: token.drop_guard() }
    }

    pub fn open(&self) {
        self.mode.send_replace(Mode::Open);
    }
    pub fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }
    pub fn silence(&self) {
        self.mode.send_replace(Mode::Silent);
    }
    pub fn deafen(&self) {
        self.mode.send_replace(Mode::Deaf);
    }
}

async fn carry(client: TcpStream, port: u16, mut modes: watch::Receiver<Mode>) {
    if *modes.borrow() == Mode::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let listens = watch::Sender::new(false);
    let (up, down) = (modes.clone(), modes.clone());
    let cut = async { drop(modes.wait_for(|mode| *mode == Mode::Cut).await) };
    tokio::select! {
        () = pump(from_client, to_server, up, &listens) => {}
        () = pump(from_server, to_client, down, &listens) => {}
        () = cut => {}
    }
}

/// Once silent, a connection carries nothing for ever, like one whose other end has lost its power.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut modes: watch::Receiver<Mode>,
    listens: &watch::Sender<bool>,
) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let is_silent = |mode: &Mode| *mode == Mode::Silent || *mode == Mode::Deaf && *listens.borrow();
        let silence = async { drop(modes.wait_for(is_silent).await) };
        tokio::select! {
            biased;
            () = silence => return std::future::pending().await,
            read = from.read(&mut buffer) => match read {
                Ok(0) | Err(_) => return,
                Ok(count) => {
                    if buffer[..count].windows(9).any(|word| word == b"SUBSCRIBE") {
                        listens.send_replace(true);
                    }
                    if to.write_all(&buffer[..count]).await.is_err() {
                        return;
                    }
                }
            },
        }
    }
}
