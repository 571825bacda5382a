//! Sessions of clients that get no WebSocket through: frames down a stream of server-sent events or by long poll, frames up
//! by POST (requirement HUB-7, spec §19).
//!
//! A channel is a pair of sockets within the process. At one end the session runs as over a WebSocket; at the other the
//! channel reads its frames for the peer's requests. So limits, back-pressure and the end of a session are the same.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex as Locked, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, Stream, StreamExt as _};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use syncline_core::id::{UserId, WorkspaceId};
use syncline_core::protocol::Code;
use syncline_core::protocol::limits::FRAME_BYTES_MAX;
use tokio::net::UnixStream;
use tokio::sync::{Mutex, MutexGuard, mpsc};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use uuid::Uuid;

use super::session::run;
use super::socket::Socket;
use super::tally::Transport;
use super::upgrade::Asked;
use crate::app::App;
use crate::auth::{FORWARDED, Forwarded};
use crate::bus::NodeId;
use crate::clock;
use crate::http::{ApiError, ApiResult, ClientAddress, Query, Raw, check_origin, invalid};
use crate::hub::{Packing, Wire};

/// Frames that wait for the peer beside what the pair's buffers hold.
const WAITING_MAX: usize = 4;
/// Frames that one answer to a poll carries at most.
const FRAMES_PER_POLL_MAX: usize = 64;
/// Frames that one POST brings at most. More: 413.
const FRAMES_PER_POST_MAX: usize = 100;
/// Time a poll may wait; milliseconds. Longer is shortened.
const POLL_WAIT_MS_MAX: u64 = 20_000;
/// Time without a poll, or with a stream that nobody reads, after which a channel ends.
const ABANDONED_AFTER: Duration = Duration::from_secs(60);
/// As [`ABANDONED_AFTER`], once a session has ended that never signed in: time to fetch why.
const STRANGER_AFTER: Duration = Duration::from_secs(5);
/// Pause after which a silent stream of events gets a comment, so that nobody between takes it for dead.
const COMMENT_EVERY: Duration = Duration::from_secs(15);
/// Time the frames of a request may take to get into their session; then the channel ends.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Read buffer of a channel, allocated at once; bytes. A larger frame grows it while it arrives.
const READ_BUFFER_BYTES: usize = 2 * 1024;
/// Time another node may take for a request that is its.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(30);
/// Headers of another node's answer that its peer gets to see.
const ANSWERED: [header::HeaderName; 2] = [header::CONTENT_TYPE, header::RETRY_AFTER];

/// The channels of this node, by the secret half of their names.
#[derive(Default)]
pub struct Channels {
    by_secret: Locked<HashMap<String, Arc<Channel>>>,
}

struct Channel {
    /// `None`: the session has ended.
    up: Mutex<Option<SplitSink<WebSocketStream<UnixStream>, Message>>>,
    /// What comes down; `None`: a stream of events has it.
    down: Option<Mutex<mpsc::Receiver<Down>>>,
    polled: Locked<Instant>,
    owner: Owner,
}

/// Who a session belongs to, once it is known.
pub type Owner = Arc<OnceLock<(WorkspaceId, UserId)>>;

/// What the session says.
enum Down {
    Frame(String),
    Closed { code: u16, reason: String },
}

impl Channels {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Channel>>> {
        self.by_secret.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose channel of this node that is.
    pub fn owner(&self, secret: &str) -> Option<(WorkspaceId, UserId)> {
        self.lock().get(secret)?.owner.get().cloned()
    }

    fn get(&self, secret: &str) -> Option<Arc<Channel>> {
        self.lock().get(secret).map(Arc::clone)
    }
}

/// `GET /sse/{deployment_mode}/{client_id}`: opens a session and streams its frames. The first event is `open`, with the
/// channel's name as data; each message is a frame; the last event is `close` with code and reason.
pub async fn events(
    State(app): State<Arc<App>>,
    Path((mode, client_id)): Path<(String, String)>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let (name, down) = open(&app, (&mode, &client_id), &headers, Kind::Stream).await?;
    let first = Event::default().event("open").data(json!({"channel": name}).to_string());
    let Some(down) = down else { return Err(gone()) };
    let opening = futures_util::stream::once(async { Ok::<_, Infallible>(first) });
    let stream = Sse::new(opening.chain(events_of(down))).keep_alive(KeepAlive::new().interval(COMMENT_EVERY));
    Ok(([(header::CACHE_CONTROL, "no-store"), (X_ACCEL_BUFFERING, "no")], stream).into_response())
}

/// Tells nginx to pass events on as they come.
const X_ACCEL_BUFFERING: header::HeaderName = header::HeaderName::from_static("x-accel-buffering");

fn events_of(down: mpsc::Receiver<Down>) -> impl Stream<Item = Result<Event, Infallible>> {
    futures_util::stream::unfold(down, |mut down| async {
        let event = match down.recv().await? {
            Down::Frame(text) => Event::default().data(text),
            Down::Closed { code, reason } => {
                Event::default().event("close").data(json!({"code": code, "reason": reason}).to_string())
            }
        };
        Some((Ok(event), down))
    })
}

/// `POST /poll/{deployment_mode}/{client_id}`: opens a session whose frames are asked for. 201 with the channel's name.
pub async fn poll(
    State(app): State<Arc<App>>,
    Path((mode, client_id)): Path<(String, String)>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let (name, _) = open(&app, (&mode, &client_id), &headers, Kind::Poll).await?;
    Ok((StatusCode::CREATED, axum::Json(json!({"channel": name}))).into_response())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Stream,
    Poll,
}

impl Kind {
    fn transport(self) -> Transport {
        match self {
            Self::Stream => Transport::EventStream,
            Self::Poll => Transport::LongPoll,
        }
    }
}

type Opening = (String, Option<mpsc::Receiver<Down>>);

async fn open(app: &Arc<App>, path: (&str, &str), headers: &HeaderMap, kind: Kind) -> ApiResult<Opening> {
    let opened = Asked::read(app, path, headers)?.admit(app, kind.transport())?;
    let owner = Arc::clone(&opened.owner);
    let channels_max = app.config.sockets.channels_max;
    if app.channels.lock().len() >= channels_max {
        return Err(full());
    }
    let (near, far) = UnixStream::pair().map_err(|error| {
        tracing::warn!(event = "channel_failed", %error, "a channel could not be opened");
        ApiError::new(Code::Unavailable, "There is no room for another connection right now. Try again in a moment.")
    })?;
    let socket =
        Socket::over(Wire::Pair(near), Bytes::new(), Packing::Plain, app.config.sockets.write_timeout_ms).await;
    tokio::spawn(run(Arc::clone(app), socket, opened));
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_message_size(None)
        .max_frame_size(None);
    let (up, frames) = WebSocketStream::from_raw_socket(far, Role::Client, Some(config)).await.split();
    let (down, waiting) = mpsc::channel(WAITING_MAX);
    let node = app.bus.node().id.to_string();
    let secret = app.auth.node_key.seal(&node, &crate::random::secret_text());
    let (kept, given) = match kind {
        Kind::Stream => (None, Some(waiting)),
        Kind::Poll => (Some(Mutex::new(waiting)), None),
    };
    let polled = Locked::new(clock::instant());
    let channel = Arc::new(Channel { up: Mutex::new(Some(up)), down: kept, polled, owner });
    {
        let mut channels = app.channels.lock();
        // Others may have opened theirs since.
        if channels.len() >= channels_max {
            return Err(full());
        }
        channels.insert(secret.clone(), Arc::clone(&channel));
    }
    let (name, app) = (format!("{node}.{secret}"), Arc::clone(app));
    tokio::spawn(async move {
        read_down(&channel, frames, down).await;
        app.channels.lock().remove(&secret);
    });
    Ok((name, given))
}

fn full() -> ApiError {
    let message = "As many sessions without a WebSocket are open as may be. Try again in a minute.";
    ApiError::new(Code::Overloaded, message)
}

/// Hands the session's frames over until it ends or its peer is gone. What a poll has not fetched when the session ends
/// stays until the channel is abandoned.
async fn read_down(channel: &Channel, mut frames: SplitStream<WebSocketStream<UnixStream>>, down: mpsc::Sender<Down>) {
    loop {
        let next = tokio::select! {
            next = frames.next() => next,
            () = abandoned(channel, &down, ABANDONED_AFTER) => return,
        };
        let said = match next {
            Some(Ok(Message::Text(text))) => Down::Frame(text.as_str().to_owned()),
            Some(Ok(Message::Close(Some(frame)))) => {
                Down::Closed { code: frame.code.into(), reason: frame.reason.as_str().to_owned() }
            }
            Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
            Some(Ok(Message::Close(None)) | Err(_)) | None => Down::Closed { code: 1006, reason: String::new() },
        };
        let is_last = matches!(said, Down::Closed { .. });
        tokio::select! {
            // A stream that nobody reads is given up as a poll that nobody makes.
            sent = down.send_timeout(said, ABANDONED_AFTER) => if sent.is_err() { return },
            () = abandoned(channel, &down, ABANDONED_AFTER) => return,
        }
        if is_last {
            channel.up.lock().await.take();
            if channel.down.is_some() {
                // Whoever never said who they are takes nobody's place for long.
                let is_known = channel.owner.get().is_some();
                abandoned(channel, &down, if is_known { ABANDONED_AFTER } else { STRANGER_AFTER }).await;
            }
            return;
        }
    }
}

/// Resolves when nobody reads the stream any more, or when nobody has polled for long.
async fn abandoned(channel: &Channel, down: &mpsc::Sender<Down>, after: Duration) {
    if channel.down.is_none() {
        return down.closed().await;
    }
    loop {
        let polled = *channel.polled.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = polled + after;
        if ends <= clock::instant() {
            return;
        }
        tokio::time::sleep_until(ends.into()).await;
    }
}

/// `POST /channel/{channel}[?wait_ms=n]`: an array of frames for the session. Without `wait_ms`: 202. With it, the frames that
/// the session has for the peer, as soon as there are any or after the wait.
pub async fn post(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
    (client, forwarded): (Option<Extension<ClientAddress>>, Option<Extension<Forwarded>>),
    body: Raw,
) -> ApiResult<Response> {
    check_origin(&app.config.edge, &headers)?;
    if forwarded.as_ref().is_some_and(|forwarded| !forwarded.is_body(&body.0)) {
        return Err(ApiError::new(Code::RefusedHere, "This is not the body that another node has passed on."));
    }
    let frames: Vec<Box<RawValue>> = body.parse()?;
    let (node, secret) = name.split_once('.').ok_or_else(gone)?;
    if node != app.bus.node().id.to_string() {
        if forwarded.is_some() {
            return Err(gone());
        }
        let client = client.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Extension(ClientAddress(address))| address);
        return forward(&app, (node, client), (&name, raw.as_deref()), body.0).await;
    }
    let channel = app.channels.get(secret).ok_or_else(gone)?;
    let mut query = Query::parse(raw.as_deref())?;
    let wait_ms = query.take("wait_ms").map(|text| text.parse::<u64>());
    let wait_ms = wait_ms.transpose().map_err(|_| invalid("wait_ms", "a whole number of milliseconds"))?;
    query.finish()?;
    if let Err(error) = send_up(&channel, frames).await {
        // What was taken of a part is not known: the client connects anew, and what it pushed is told apart by then.
        if error.status() == StatusCode::NOT_FOUND {
            app.channels.lock().remove(secret);
        }
        return Err(error);
    }
    let Some(wait_ms) = wait_ms else { return Ok(StatusCode::ACCEPTED.into_response()) };
    let Some(down) = &channel.down else {
        let message = "The frames of this channel come by its stream of events: send without `wait_ms`.";
        return Err(ApiError::new(Code::Malformed, message));
    };
    let Ok(down) = down.try_lock() else {
        return Err(ApiError::new(
            Code::Malformed,
            "This channel is polled already: one poll at a time, or connect anew.",
        ));
    };
    let polled = fetch_down(down, Duration::from_millis(wait_ms.min(POLL_WAIT_MS_MAX))).await;
    *channel.polled.lock().unwrap_or_else(PoisonError::into_inner) = clock::instant();
    if polled.close.is_some() {
        app.channels.lock().remove(secret);
    }
    Ok(axum::Json(polled).into_response())
}

async fn send_up(channel: &Channel, frames: Vec<Box<RawValue>>) -> ApiResult<()> {
    if frames.len() > FRAMES_PER_POST_MAX {
        let message = format!("A request may bring {FRAMES_PER_POST_MAX} frames. Send the others with the next.");
        return Err(ApiError::new(Code::TooLarge, message));
    }
    if frames.iter().any(|frame| frame.get().len() > FRAME_BYTES_MAX) {
        return Err(ApiError::new(Code::TooLarge, "A frame may have at most 256 KiB."));
    }
    let sending = async {
        let mut up = channel.up.lock().await;
        let up = up.as_mut()?;
        for frame in frames {
            up.feed(Message::text(frame.get().to_owned())).await.ok()?;
        }
        up.flush().await.ok()
    };
    let is_sent = tokio::time::timeout(SEND_TIMEOUT, sending).await.unwrap_or_default().is_some();
    if !is_sent {
        return Err(gone());
    }
    *channel.polled.lock().unwrap_or_else(PoisonError::into_inner) = clock::instant();
    Ok(())
}

/// Answer to a poll.
#[derive(Serialize)]
struct Polled {
    frames: Vec<Box<RawValue>>,
    /// The session has ended; the channel is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    close: Option<Close>,
}

#[derive(Serialize)]
struct Close {
    code: u16,
    reason: String,
}

async fn fetch_down(mut down: MutexGuard<'_, mpsc::Receiver<Down>>, wait: Duration) -> Polled {
    let mut polled = Polled { frames: Vec::new(), close: None };
    let mut next = tokio::time::timeout(wait, down.recv()).await.unwrap_or_default();
    while let Some(said) = next.take() {
        match said {
            Down::Frame(text) => polled.frames.extend(RawValue::from_string(text)),
            Down::Closed { code, reason } => polled.close = Some(Close { code, reason }),
        }
        if polled.frames.len() < FRAMES_PER_POLL_MAX && polled.close.is_none() {
            next = down.try_recv().ok();
        }
    }
    polled
}

/// Passes a request on to the node that has the channel: no load balancer needs to know which (HUB-8).
async fn forward(
    app: &App,
    (node, client): (&str, IpAddr),
    (name, query): (&str, Option<&str>),
    body: Bytes,
) -> ApiResult<Response> {
    let id = Uuid::parse_str(node).map(NodeId).map_err(|_| gone())?;
    let known = app.bus.nodes().into_iter().find(|known| known.id == id).ok_or_else(gone)?;
    let secret = name.split_once('.').map_or("", |(_, secret)| secret);
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_=&".contains(&byte));
    if !is_plain(secret) || !is_plain(query.unwrap_or("")) {
        return Err(gone());
    }
    let path = match query {
        Some(query) => format!("/channel/{id}.{secret}?{query}"),
        None => format!("/channel/{id}.{secret}"),
    };
    let signed = app.auth.node_key.sign(clock::now_ms(), client, &path, &body);
    let request =
        app.forwarding.post(format!("{}://{}{path}", app.config.tls.scheme(), known.address)).header(FORWARDED, signed);
    let request = request.header(header::CONTENT_TYPE, "application/json").timeout(FORWARD_TIMEOUT).body(body);
    // What became of it is not known, and an answer that is lost takes its frames along.
    let answer = request.send().await.map_err(|error| {
        tracing::warn!(event = "forward_failed", error = %error.without_url(), "a node did not answer a request that is its");
        gone()
    })?;
    let status = answer.status();
    let said: Vec<_> = ANSWERED.iter().filter_map(|name| Some((name, answer.headers().get(name)?.clone()))).collect();
    let bytes = answer.bytes().await.map_err(|_| gone())?;
    let mut response = (status, bytes).into_response();
    for (name, value) in said {
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

/// The session has ended, or the channel never was.
fn gone() -> ApiError {
    ApiError::not_found("There is no such channel any more. Connect anew.".to_owned())
}
