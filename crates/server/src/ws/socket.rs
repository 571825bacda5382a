//! A socket that cannot be blocked for long: every write has a deadline, and a shorter one once its session is cut off.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures_util::SinkExt as _;
use syncline_core::protocol::{CloseCode, ServerFrame};

use crate::hub::{SignalsReceiver, encode};

/// The peer is gone, or does not take what it is sent.
#[derive(Debug, thiserror::Error)]
#[error("the connection is gone")]
pub struct Gone;

/// Time a write may still take once the session is revoked or replaced; milliseconds (spec REV-1: 5 s in all).
const CUT_OFF_MS: u64 = 1_500;
/// Time for the closing handshake's first half; milliseconds.
const CLOSE_MS: u64 = 1_000;
/// Close code for a message over the limit (RFC 6455).
const TOO_BIG: u16 = 1009;

pub struct Socket {
    inner: WebSocket,
    write_timeout: Duration,
    signals: Option<SignalsReceiver>,
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
    Closed,
}

impl Socket {
    pub fn new(inner: WebSocket, write_timeout_ms: u64) -> Self {
        Self { inner, write_timeout: Duration::from_millis(write_timeout_ms), signals: None }
    }

    /// From now on a write ends soon after the session is cut off.
    pub fn obey(&mut self, signals: SignalsReceiver) {
        self.signals = Some(signals);
    }

    /// The next message. Cancel-safe.
    pub async fn receive(&mut self) -> Received {
        match self.inner.recv().await {
            Some(Ok(Message::Text(text))) => Received::Text(text),
            Some(Ok(Message::Binary(_))) => Received::Binary,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Received::Control,
            Some(Ok(Message::Close(_))) | None => Received::Closed,
            // The library's error type is not public; its text for both limits says so.
            Some(Err(error)) if error.to_string().contains("too long") => Received::TooBig,
            Some(Err(_)) => Received::Closed,
        }
    }

    pub async fn send(&mut self, frame: &ServerFrame) -> Result<(), Gone> {
        self.send_all(vec![encode(frame)]).await
    }

    /// Writes encoded frames in order, with one flush.
    pub async fn send_all(&mut self, frames: Vec<Utf8Bytes>) -> Result<(), Gone> {
        let inner = &mut self.inner;
        let write = async {
            for frame in frames {
                inner.feed(Message::Text(frame)).await.map_err(|_| Gone)?;
            }
            inner.flush().await.map_err(|_| Gone)
        };
        tokio::select! {
            done = tokio::time::timeout(self.write_timeout, write) => done.unwrap_or(Err(Gone)),
            () = cut_off(self.signals.clone()) => Err(Gone),
        }
    }

    /// Sends a close frame and lets go.
    pub async fn close(self, code: CloseCode, reason: &'static str) {
        self.close_with(code as u16, reason).await;
    }

    pub async fn close_too_big(self) {
        self.close_with(TOO_BIG, "a frame may have at most 256 KiB").await;
    }

    async fn close_with(mut self, code: u16, reason: &'static str) {
        let frame = Message::Close(Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) }));
        let closing = async {
            if self.inner.send(frame).await.is_ok() {
                // Until the peer answers or is gone, so that it reads the close frame rather than a reset.
                while let Some(Ok(message)) = self.inner.recv().await {
                    if matches!(message, Message::Close(_)) {
                        break;
                    }
                }
            }
        };
        drop(tokio::time::timeout(Duration::from_millis(CLOSE_MS), closing).await);
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
