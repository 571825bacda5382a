//! A socket that cannot be blocked for long: every write has a deadline, and a shorter one once its session is cut off.
//!
//! Reading, control frames and the closing handshake are the library's; what we send is written past its buffers, as the
//! bytes that the hub framed once. So a connection keeps nothing of what it was sent.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use syncline_core::protocol::limits::FRAME_BYTES_MAX;
use syncline_core::protocol::{CloseCode, ServerFrame};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as WireCloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::deflate::Inflating;
use crate::http::Slot;
use crate::hub::{Encoded, Outlet, OutletStream, Packing, SignalsReceiver, Traffic, Wire};

/// The peer is gone, or does not take what it is sent.
#[derive(Debug, thiserror::Error)]
#[error("the connection is gone")]
pub struct Gone;

/// Read buffer of a socket, allocated at once; bytes. A larger frame grows it while it arrives.
const READ_BUFFER_BYTES: usize = 2 * 1024;
/// Time a write may still take once the session is revoked or replaced; milliseconds (spec REV-1: 5 s in all).
const CUT_OFF_MS: u64 = 1_500;
/// Time for the closing handshake; milliseconds.
const CLOSE_MS: u64 = 1_000;

pub struct Socket {
    reader: Reader,
    outlet: Arc<Outlet>,
    write_timeout: Duration,
    signals: Option<SignalsReceiver>,
}

/// What reads the peer's messages, and answers its control frames.
enum Reader {
    Plain(WebSocketStream<OutletStream>),
    Deflated(Inflating),
}

/// What a peer sent, or why nothing more will come.
pub enum Received {
    Text(Utf8Bytes),
    /// Not text: no frame of ours.
    Binary,
    /// A ping or pong; answered by the library.
    Control,
    /// Larger than a frame may be: the connection is to be closed with 1009.
    TooBig,
    /// The peer said goodbye.
    Closed,
    /// The peer broke the WebSocket protocol, or is gone.
    Gone,
}

impl Socket {
    /// Takes the connection over from HTTP, and over TLS a share in its slot.
    pub async fn upgraded(
        upgraded: Upgraded,
        slot: Option<Slot>,
        packing: Packing,
        write_timeout_ms: u64,
    ) -> Result<Self, Gone> {
        let (wire, read) = match upgraded.downcast::<TokioIo<TcpStream>>() {
            Ok(parts) => (Wire::Tcp(parts.io.into_inner()), parts.read_buf),
            Err(upgraded) => {
                let parts = upgraded.downcast::<TokioIo<TlsStream<TcpStream>>>().map_err(|_| Gone)?;
                let near = crate::tls::carry(parts.io.into_inner(), slot).map_err(|error| {
                    tracing::warn!(event = "socket_failed", %error, "a WebSocket over TLS could not be opened");
                    Gone
                })?;
                (Wire::Pair(near), parts.read_buf)
            }
        };
        Ok(Self::over(wire, read, packing, write_timeout_ms).await)
    }

    /// A socket over a wire, of which `read` has been read already.
    pub async fn over(wire: Wire, read: Bytes, packing: Packing, write_timeout_ms: u64) -> Self {
        let outlet = Arc::new(Outlet::new(wire, packing));
        let reader = match packing {
            Packing::Plain => Reader::Plain(plain(Arc::clone(&outlet), read).await),
            Packing::Deflated => Reader::Deflated(Inflating::new(Arc::clone(&outlet), read)),
        };
        Self { reader, outlet, write_timeout: Duration::from_millis(write_timeout_ms), signals: None }
    }

    /// The writing half, for the hub.
    pub fn outlet(&self) -> Arc<Outlet> {
        Arc::clone(&self.outlet)
    }

    /// Bytes on the wire so far.
    pub fn traffic(&self) -> Traffic {
        self.outlet.traffic()
    }

    /// From now on a write ends soon after the session is cut off.
    pub fn obey(&mut self, signals: SignalsReceiver) {
        self.signals = Some(signals);
    }

    /// The next message. Cancel-safe.
    pub async fn receive(&mut self) -> Received {
        let received = match &mut self.reader {
            Reader::Plain(stream) => receive_plain(stream).await,
            Reader::Deflated(inflating) => inflating.receive().await,
        };
        self.outlet.finished();
        received
    }

    pub async fn send(&mut self, frame: &ServerFrame) -> Result<(), Gone> {
        self.send_all(&[Encoded::new(frame)]).await
    }

    /// Writes frames in order, as many as possible with one system call.
    pub async fn send_all(&mut self, frames: &[Encoded]) -> Result<(), Gone> {
        let wire: Vec<Bytes> = frames.iter().map(|frame| frame.wire_for(self.outlet.packing()).clone()).collect();
        self.send_wire(&wire).await
    }

    /// Writes what is whole frames already, after what is left of one that the system did not take whole.
    pub async fn send_wire(&mut self, wire: &[Bytes]) -> Result<(), Gone> {
        if !wire.is_empty() {
            let bytes: usize = wire.iter().map(Bytes::len).sum();
            tracing::debug!(target: "frames", event = "frame_out", frames = wire.len(), bytes, "frames go out");
        }
        let (reader, outlet) = (&mut self.reader, &self.outlet);
        let write = async {
            // What the library holds back (a pong) is not to wait for its next turn.
            reader.flush().await?;
            outlet.write_all(wire).await.map_err(|_| Gone)
        };
        tokio::select! {
            done = tokio::time::timeout(self.write_timeout, write) => done.unwrap_or(Err(Gone)),
            () = cut_off(self.signals.clone()) => Err(Gone),
        }
    }

    /// Sends a close frame and waits a moment for the peer's.
    pub async fn close(self, code: CloseCode, reason: &'static str) {
        self.close_with(WireCloseCode::from(code as u16), reason).await;
    }

    pub async fn close_too_big(self) {
        self.close_with(WireCloseCode::Size, "a frame may have at most 256 KiB").await;
    }

    /// Answers the peer's close frame.
    pub async fn leave(mut self) {
        drop(tokio::time::timeout(Duration::from_millis(CLOSE_MS), self.reader.flush()).await);
    }

    async fn close_with(self, code: WireCloseCode, reason: &'static str) {
        let closing = async {
            match self.reader {
                Reader::Plain(stream) => close_plain(stream, code, reason).await,
                Reader::Deflated(inflating) => inflating.close(&self.outlet, code.into(), reason).await,
            }
        };
        drop(tokio::time::timeout(Duration::from_millis(CLOSE_MS), closing).await);
    }
}

impl Reader {
    /// Writes what the library holds back.
    async fn flush(&mut self) -> Result<(), Gone> {
        match self {
            Self::Plain(stream) => stream.flush().await.map_err(|_| Gone),
            Self::Deflated(inflating) => inflating.flush().await,
        }
    }
}

async fn plain(outlet: Arc<Outlet>, read: Bytes) -> WebSocketStream<OutletStream> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(FRAME_BYTES_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX));
    let halves = OutletStream::new(outlet, Bytes::new());
    WebSocketStream::from_partially_read(halves, read.to_vec(), Role::Server, Some(config)).await
}

async fn close_plain(mut stream: WebSocketStream<OutletStream>, code: WireCloseCode, reason: &'static str) {
    let frame = Message::Close(Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) }));
    if stream.send(frame).await.is_ok() {
        // Until the peer answers or is gone, so that it reads the close frame rather than a reset.
        while let Some(Ok(message)) = stream.next().await {
            if matches!(message, Message::Close(_)) {
                break;
            }
        }
    }
}

async fn receive_plain(stream: &mut WebSocketStream<OutletStream>) -> Received {
    match stream.next().await {
        Some(Ok(Message::Text(text))) => Received::Text(text),
        Some(Ok(Message::Binary(_))) => Received::Binary,
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Received::Control,
        Some(Ok(Message::Close(_))) => Received::Closed,
        Some(Err(Error::Capacity(CapacityError::MessageTooLong { .. }))) => Received::TooBig,
        Some(Err(_)) | None => Received::Gone,
    }
}

/// Resolves a moment after the session is revoked or replaced.
async fn cut_off(signals: Option<SignalsReceiver>) {
    let Some(mut signals) = signals else { return std::future::pending().await };
    let is_cut = signals.wait_for(|signals| signals.purge.is_some() || signals.is_replaced).await.is_ok();
    if !is_cut {
        return std::future::pending().await;
    }
    tokio::time::sleep(Duration::from_millis(CUT_OFF_MS)).await;
}
