//! permessage-deflate (RFC 7692, requirement HUB-10): what is agreed, and the reader of peers who compress.
//!
//! No message refers to an earlier one, in either direction: so what the hub compressed once serves everybody, and a
//! connection keeps no window. What we send goes past this library, as for every [`super::socket::Socket`].

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};

use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use futures_util::{Sink as _, SinkExt as _};
use syncline_core::protocol::limits::FRAME_BYTES_MAX;
use tokio::io::AsyncReadExt as _;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use yawc::close::CloseCode;
use yawc::{CompressionLevel, DeflatePool, Frame, OpCode, Options, Role, WebSocket, WebSocketError};

use super::socket::{Gone, Received};
use crate::hub::{Outlet, OutletStream};

/// What is agreed with every peer that offers something compatible.
const AGREED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
/// Offers that are looked at; further ones are as good as none.
const OFFERS_MAX: usize = 8;
/// Read buffer of a connection; bytes. A larger frame grows it while it arrives.
const READ_BUFFER_BYTES: usize = 1024;
/// Buffer for control frames, which are all that the library writes; bytes.
const WRITE_BUFFER_BYTES: usize = 256;
/// Windows that are kept for the next messages of whatever connection; more than threads that read at a time are of no use.
const WINDOWS_KEPT: usize = 16;

static WINDOWS: LazyLock<DeflatePool> = LazyLock::new(|| DeflatePool::new(WINDOWS_KEPT));

/// What to answer to the offers of a request; `None`: nothing is agreed, and messages go as they are.
pub fn agree(headers: &HeaderMap) -> Option<HeaderValue> {
    let lines = headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS).iter();
    let mut offers = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')).take(OFFERS_MAX);
    offers.any(is_acceptable).then(|| HeaderValue::from_static(AGREED))
}

/// Whether an offer leaves us the window that our compressor has, and asks for nothing we do not know.
fn is_acceptable(offer: &str) -> bool {
    let mut parts = offer.split(';').map(str::trim);
    if parts.next() != Some("permessage-deflate") {
        return false;
    }
    let mut seen = Vec::new();
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
            None => (part, None),
        };
        if seen.contains(&name) {
            return false;
        }
        seen.push(name);
        let is_known = match (name, value) {
            ("server_no_context_takeover" | "client_no_context_takeover" | "client_max_window_bits", None) => true,
            ("client_max_window_bits", Some(bits)) => bits.parse().is_ok_and(|bits: u8| (8..=15).contains(&bits)),
            ("server_max_window_bits", Some(bits)) => bits == "15",
            _ => false,
        };
        if !is_known {
            return false;
        }
    }
    true
}

/// The reading half of a connection whose messages may be compressed.
pub struct Inflating {
    socket: Box<WebSocket<OutletStream>>,
    /// The peer broke a rule: the library has a close frame for it, and reads no more.
    is_broken: bool,
}

impl Inflating {
    pub fn new(outlet: Arc<Outlet>, unread: Bytes) -> Self {
        let options = Options::default()
            .with_compression_level(CompressionLevel::fast())
            .server_no_context_takeover()
            .client_no_context_takeover()
            .with_deflate_pool(WINDOWS.clone())
            // The library refuses what reaches a limit, ours is what may just be reached.
            .with_limits(FRAME_BYTES_MAX + 1, FRAME_BYTES_MAX + 1)
            .with_read_buffer_capacity(READ_BUFFER_BYTES)
            .with_write_buffer_capacity(WRITE_BUFFER_BYTES);
        let stream = OutletStream::new(outlet, unread);
        let socket = WebSocket::from_stream_with_extensions(stream, Role::Server, Some(AGREED), options);
        Self { socket: Box::new(socket.expect("what is agreed is enabled in the options")), is_broken: false }
    }

    /// The next message. Cancel-safe.
    pub async fn receive(&mut self) -> Received {
        let frame = match self.socket.next_frame().await {
            Ok(frame) => frame,
            Err(error) => {
                self.is_broken = true;
                return if matches!(error, WebSocketError::FrameTooLarge) { Received::TooBig } else { Received::Gone };
            }
        };
        match frame.opcode() {
            OpCode::Text => Utf8Bytes::try_from(frame.into_payload()).map_or(Received::Gone, Received::Text),
            OpCode::Binary | OpCode::Continuation => Received::Binary,
            OpCode::Ping | OpCode::Pong => Received::Control,
            OpCode::Close => Received::Closed,
        }
    }

    /// Writes what the library holds back.
    pub async fn flush(&mut self) -> Result<(), Gone> {
        poll_fn(|context| Pin::new(&mut *self.socket).poll_ready(context)).await.map_err(|_| Gone)?;
        self.socket.flush().await.map_err(|_| Gone)
    }

    /// Sends a close frame, unless the library has one, and reads until the peer answers or is gone, so that it reads the
    /// frame rather than a reset. The caller bounds the wait.
    pub async fn close(mut self, outlet: &Arc<Outlet>, code: u16, reason: &str) {
        if self.is_broken {
            if self.flush().await.is_ok() {
                drain(outlet).await;
            }
            return;
        }
        if self.socket.send(Frame::close(CloseCode::from(code), reason)).await.is_err() {
            return;
        }
        while let Ok(frame) = self.socket.next_frame().await {
            if frame.opcode() == OpCode::Close {
                break;
            }
        }
    }
}

/// Reads what a peer still sends, whatever it is, until it hangs up.
async fn drain(outlet: &Arc<Outlet>) {
    let mut stream = OutletStream::new(Arc::clone(outlet), Bytes::new());
    let mut buffer = [0; 1024];
    while matches!(stream.read(&mut buffer).await, Ok(1..)) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreed(lines: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::SEC_WEBSOCKET_EXTENSIONS, line.parse().unwrap());
        }
        agree(&headers).is_some()
    }

    #[test]
    fn hub_10_offers_of_browsers_are_agreed_to_and_those_we_cannot_keep_are_not() {
        for lines in [
            &["permessage-deflate; client_max_window_bits"][..],
            &["permessage-deflate"],
            &["permessage-deflate;server_no_context_takeover ; client_max_window_bits=12"],
            &["x-webkit-deflate-frame, permessage-deflate"],
            &["permessage-deflate; server_max_window_bits=10, permessage-deflate"],
            &["x-other", "permessage-deflate; server_max_window_bits=\"15\""],
        ] {
            assert!(agreed(lines), "{lines:?}");
        }
        for lines in [
            &[][..],
            &["x-webkit-deflate-frame"],
            &["permessage-deflate; server_max_window_bits=10"],
            &["permessage-deflate; server_max_window_bits"],
            &["permessage-deflate; client_max_window_bits=16"],
            &["permessage-deflate; mode=fast"],
            &["permessage-deflate; client_max_window_bits; client_max_window_bits"],
            &["permessage-deflate2"],
        ] {
            assert!(!agreed(lines), "{lines:?}");
        }
    }
}
