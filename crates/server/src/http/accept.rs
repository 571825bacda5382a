//! The accept loop: HTTP/1.1 with deadlines and bounds that a general-purpose server leaves open.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::edge::Peer;
use crate::config::HttpConfig;

/// Largest request head; bytes. Bounds what a peer costs before it has authenticated.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Pause after an accept that failed for want of file handles or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A server that accepts connections until it is told to stop.
pub struct Listening {
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    connections: TaskTracker,
    task: tokio::task::JoinHandle<()>,
}

/// Binds and starts accepting.
pub async fn listen(config: &HttpConfig, router: Router) -> std::io::Result<Listening> {
    let listener = TcpListener::bind(config.listen()).await?;
    let address = listener.local_addr()?;
    let (stop, stopped) = watch::channel(false);
    let connections = TaskTracker::new();
    let accept = Accept {
        builder: builder(config),
        router,
        stall: Duration::from_millis(config.stall_timeout_ms),
        slots: Arc::new(Semaphore::new(config.connections_max)),
        connections: connections.clone(),
        stopped,
    };
    let task = tokio::spawn(accept.run(listener));
    Ok(Listening { address, stop, connections, task })
}

impl Listening {
    /// Stops accepting, lets requests under way finish, and returns when they have. The caller bounds the wait.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(event = "accept_failed", %error, "the accept loop ended with a panic");
        }
        self.connections.close();
        self.connections.wait().await;
    }

    /// Stops accepting new connections; those that are open go on.
    pub fn stop_accepting(&self) {
        self.stop.send_replace(true);
    }
}

fn builder(config: &HttpConfig) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(config.header_timeout_ms))
        .max_headers(config.headers_max)
        .max_buf_size(HEAD_BYTES_MAX);
    builder
}

struct Accept {
    builder: http1::Builder,
    router: Router,
    stall: Duration,
    slots: Arc<Semaphore>,
    connections: TaskTracker,
    stopped: watch::Receiver<bool>,
}

/// A connection with its place among those that may be open.
struct Accepted {
    stream: TcpStream,
    peer: Peer,
    slot: OwnedSemaphorePermit,
}

impl Accept {
    async fn run(self, listener: TcpListener) {
        let mut stopped = self.stopped.clone();
        loop {
            let accepted = tokio::select! {
                accepted = self.next(&listener) => accepted,
                () = stop_asked(&mut stopped) => return,
            };
            match accepted {
                Ok(accepted) => self.serve(accepted),
                Err(error) => {
                    tracing::warn!(event = "accept_failed", %error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Waits for a free slot first, so that connections over the limit wait in the kernel's backlog.
    async fn next(&self, listener: &TcpListener) -> std::io::Result<Accepted> {
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(std::io::Error::other)?;
        let (stream, peer) = listener.accept().await?;
        stream.set_nodelay(true)?;
        set_stall_limit(&stream, self.stall)?;
        Ok(Accepted { stream, peer: Peer(peer.ip()), slot })
    }

    fn serve(&self, accepted: Accepted) {
        let Accepted { stream, peer, slot } = accepted;
        let with_peer = move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            request
        };
        let service = TowerToHyperService::new(self.router.clone().map_request(with_peer));
        let connection = self.builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
        let mut stopped = self.stopped.clone();
        self.connections.spawn(async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = stop_asked(&mut stopped) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            // A peer that goes away mid-request is none of our business.
            if let Err(error) = ended {
                tracing::trace!(event = "connection_failed", %error, "a connection ended early");
            }
            drop(slot);
        });
    }
}

/// The kernel cuts a connection whose peer has left what was sent unread, or a network that is gone, for this long.
#[cfg(target_os = "linux")]
fn set_stall_limit(stream: &TcpStream, limit: Duration) -> std::io::Result<()> {
    SockRef::from(stream).set_tcp_user_timeout(Some(limit))
}

/// Other systems have their own, longer limits.
#[cfg(not(target_os = "linux"))]
fn set_stall_limit(stream: &TcpStream, _limit: Duration) -> std::io::Result<()> {
    SockRef::from(stream).set_keepalive(true)
}

async fn stop_asked(stopped: &mut watch::Receiver<bool>) {
    drop(stopped.wait_for(|is_stopped| *is_stopped).await);
}
