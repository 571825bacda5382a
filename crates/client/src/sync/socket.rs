//! One WebSocket connection: from a token to the last frame (spec SES-1).

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use syncline_core::protocol::{ClientFrame, Problem, ServerFrame};
use syncline_core::session::client::Input;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::driver::{Incoming, refusal};
use crate::api::{Renew, refused};
use crate::client::Inner;
use crate::error::{ClientError, chain};

/// A frame of the server; larger ones end the connection. It splits its own at 256 KiB, except one mutation that is larger.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Frames that wait to be written. The session sends few: its push window, and an answer to each frame.
const OUTGOING_MAX: usize = 256;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(12);
/// How long the last frames and the closing handshake may take once nobody wants the connection any more.
const FAREWELL: Duration = Duration::from_secs(3);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Connects, says so, and passes on every frame until the connection ends.
pub(super) async fn run(inner: Arc<Inner>, renew: Renew, news: mpsc::Sender<Incoming>) {
    let last = match tokio::time::timeout(CONNECT_TIMEOUT, connect(&inner, renew)).await {
        Ok(Ok(socket)) => {
            let (sink, stream) = socket.split();
            let (outgoing, frames) = mpsc::channel(OUTGOING_MAX);
            // Not a task of this connection: what was to be sent is sent, even when nobody listens any more.
            tokio::spawn(write(sink, frames));
            if news.send(Incoming::Connected(outgoing)).await.is_err() {
                return;
            }
            read(stream, &news).await
        }
        Ok(Err(refusal)) => refusal,
        Err(_) => Incoming::Lost { code: None, reason: "connecting took too long".to_owned() },
    };
    // Fails when this connection is not the present one any more.
    drop(news.send(last).await);
}

async fn connect(inner: &Inner, renew: Renew) -> Result<Socket, Incoming> {
    let token = inner.api.bearer(renew).await.map_err(refusal)?;
    let server = inner.api.credentials().await.map(|credentials| credentials.server).unwrap_or_default();
    let meta = inner.owner.call(|owned| owned.replica.meta().clone()).await.map_err(refusal)?;
    // http → ws, https → wss.
    let address = format!("ws{}/ws/local_install/{}", server.trim_start_matches("http"), meta.client_id);
    let broken = |error: &dyn std::error::Error| Incoming::Lost { code: None, reason: chain(error) };
    let mut request = address.into_client_request().map_err(|error| broken(&error))?;
    let bearer = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|error| broken(&error))?;
    request.headers_mut().insert(header::AUTHORIZATION, bearer);
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
        .read_buffer_size(32 * 1024);
    match connect_async_with_config(request, Some(config), true).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(refused_upgrade(response.status().as_u16(), response.body().as_deref())),
        Err(error) => Err(broken(&error)),
    }
}

/// The server answered the upgrade with an error.
fn refused_upgrade(status: u16, body: Option<&[u8]>) -> Incoming {
    let problem = body.and_then(|body| serde_json::from_slice::<Problem>(body).ok());
    match (status, problem) {
        (401, _) => Incoming::TokenRefused,
        (_, Some(problem)) => refusal(match refused(problem.clone()) {
            // Signing in is what a renewal will find out.
            ClientError::SignInNeeded(_) => return Incoming::TokenRefused,
            other => other,
        }),
        (status, None) => {
            Incoming::Lost { code: None, reason: format!("status {status}, which is not an answer of Syncline") }
        }
    }
}

/// Until the connection ends; returns how.
async fn read(mut stream: SplitStream<Socket>, news: &mpsc::Sender<Incoming>) -> Incoming {
    let mut code = None;
    let mut reason = "the server closed the connection".to_owned();
    while let Some(message) = stream.next().await {
        match message {
            Ok(Message::Text(text)) => match serde_json::from_str::<ServerFrame>(&text) {
                Ok(frame) => {
                    if news.send(Incoming::Input(Input::Frame(frame))).await.is_err() {
                        break;
                    }
                }
                // A type of a later server; it sends nothing vital that way (spec ERR-2).
                Err(error) => tracing::warn!(%error, "ignored a frame that is not understood"),
            },
            Ok(Message::Close(frame)) => {
                if let Some(frame) = frame {
                    reason = format!("the server closed the connection ({} {})", u16::from(frame.code), frame.reason);
                    code = Some(frame.code.into());
                }
            }
            Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
            Err(error) => {
                if code.is_none() {
                    reason = chain(&error);
                }
                break;
            }
        }
    }
    Incoming::Lost { code, reason }
}

/// Writes frames until nobody has any more, then closes.
async fn write(mut sink: SplitSink<Socket, Message>, mut frames: mpsc::Receiver<ClientFrame>) {
    let mut ok = true;
    while ok && let Some(frame) = frames.recv().await {
        ok = match serde_json::to_string(&frame) {
            Ok(text) => sink.send(Message::text(text)).await.is_ok(),
            Err(error) => {
                tracing::error!(%error, "a frame could not be encoded");
                false
            }
        };
    }
    drop(tokio::time::timeout(FAREWELL, sink.close()).await);
}
