//! A WebSocket over TLS. The hub writes ready frames to a socket of the system from wherever it is; so a session over TLS gets
//! one end of a pair of sockets within the process, and this carries what passes between the other end and the peer.

use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, copy};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

use crate::http::Slot;

/// Time a peer has to close its side once the session is over.
const CLOSE: Duration = Duration::from_secs(1);

/// The session's end of the pair. The connection's slot is kept until the peer's end is closed too.
pub fn carry(tls: TlsStream<TcpStream>, slot: Option<Slot>) -> std::io::Result<UnixStream> {
    let (near, far) = UnixStream::pair()?;
    tokio::spawn(async move {
        pump(tls, far).await;
        drop(slot);
    });
    Ok(near)
}

/// Neither direction reads before what it has read is written: whoever does not read stops whoever sends.
async fn pump(tls: TlsStream<TcpStream>, far: UnixStream) {
    let (mut from_peer, mut to_peer) = tokio::io::split(tls);
    let (mut from_session, mut to_session) = far.into_split();
    // How a direction ended does not matter: the other side sees the end.
    let up = async {
        drop(copy(&mut from_peer, &mut to_session).await);
        drop(to_session.shutdown().await);
    };
    let down = async {
        drop(copy(&mut from_session, &mut to_peer).await);
        drop(to_peer.shutdown().await);
    };
    let (mut up, mut down) = (std::pin::pin!(up), std::pin::pin!(down));
    tokio::select! {
        // The session is over; the peer may say its goodbye.
        () = &mut down => drop(tokio::time::timeout(CLOSE, up).await),
        // The peer is gone or has said its last; the session ends by itself and may answer.
        () = &mut up => down.await,
    }
}
