//! The accept loop: HTTP/1.1 with deadlines and bounds that a general-purpose server leaves open.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::io::Errno;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::edge::{LocalOnly, Peer};
use crate::config::HttpConfig;
use crate::tls::Tls;

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

/// A connection's place among those that may be open. It is free again when the last that holds it lets go: the connection
/// itself, its requests, and the session it was upgraded to.
#[derive(Clone)]
pub struct Slot(#[expect(dead_code, reason = "it is held, not asked")] Arc<OwnedSemaphorePermit>);

/// Binds and starts accepting; with `tls`, nothing else is spoken.
pub async fn listen(config: &HttpConfig, router: Router, tls: Option<Tls>) -> std::io::Result<Listening> {
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
        tls,
        is_local_only: address.ip().is_loopback(),
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
    tls: Option<Tls>,
    /// No other machine reaches it.
    is_local_only: bool,
}

/// A connection with its place among those that may be open.
struct Accepted {
    stream: TcpStream,
    peer: Peer,
    slot: Slot,
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
                Err(error) if is_shortage(&error) => {
                    tracing::warn!(event = "accept_failed", %error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                Err(error) => {
                    tracing::debug!(event = "accept_failed", %error, "a connection was gone before it was accepted")
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
        Ok(Accepted { stream, peer: Peer(peer.ip()), slot: Slot(Arc::new(slot)) })
    }

    fn serve(&self, accepted: Accepted) {
        let Accepted { stream, peer, slot } = accepted;
        let (is_local_only, held) = (self.is_local_only, slot.clone());
        let noted = move |mut request: Request<Incoming>| {
            let extensions = request.extensions_mut();
            extensions.insert(peer);
            extensions.insert(held.clone());
            if is_local_only {
                extensions.insert(LocalOnly);
            }
            request
        };
        let service = TowerToHyperService::new(self.router.clone().map_request(noted));
        let (builder, mut stopped) = (self.builder.clone(), self.stopped.clone());
        let Some(tls) = self.tls.clone() else {
            self.connections.spawn(async move {
                speak(builder, stream, service, stopped).await;
                drop(slot);
            });
            return;
        };
        self.connections.spawn(async move {
            let accepted = tokio::select! {
                accepted = tls.accept(stream) => accepted,
                () = stop_asked(&mut stopped) => None,
            };
            if let Some(stream) = accepted {
                speak(builder, stream, service, stopped).await;
            }
            drop(slot);
        });
    }
}

/// HTTP/1.1 over a connection until it ends, is upgraded, or is asked to stop.
async fn speak<I, S>(builder: http1::Builder, stream: I, service: S, mut stopped: watch::Receiver<bool>)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response, Error = Infallible>,
{
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service).with_upgrades());
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
}

/// Whether it is this process or machine that has too little of something; then a moment's rest helps. Everything else is one
/// peer's.
fn is_shortage(error: &std::io::Error) -> bool {
    let short = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    error.raw_os_error().is_some_and(|code| short.iter().any(|errno| errno.raw_os_error() == code))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ops_7_only_a_shortage_makes_the_accept_loop_rest() {
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            assert!(is_shortage(&errno.into()), "{errno}");
        }
        for errno in [Errno::CONNABORTED, Errno::INVAL, Errno::NETDOWN, Errno::PROTO, Errno::PERM] {
            assert!(!is_shortage(&errno.into()), "one peer's {errno} keeps nobody else waiting");
        }
    }
}
