//! `GET /api/sync/snapshot`: a scope's live records as a stream of lines (spec SNP-1).

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use syncline_core::Seq;
use syncline_core::engine::access::access_of;
use syncline_core::id::ScopeId;
use syncline_core::protocol::limits::SNAPSHOT_PAGE_ROWS;
use syncline_core::protocol::{Code, Problem, WireOp};
use syncline_core::session::server::snapshot_page;
use syncline_core::storage::{Read, StoreError};
use syncline_storage::analytics::DeviceCounts;
use tokio::sync::mpsc;

use super::encoder::{Encoder, Encoding};
use crate::analytics::Whose;
use crate::app::App;
use crate::clock;
use crate::http::caller::Caller;
use crate::http::problem::{ApiError, ApiResult};
use crate::http::query::{Query, invalid};
use crate::observe::{Status, SyncOperation};

/// A chunk of the answer is sent when it has this many bytes.
const CHUNK_BYTES: usize = 128 * 1024;
/// Chunks that wait for the client; then the producer waits.
const CHUNKS_MAX: usize = 4;
/// How long a client may take for a chunk; then the stream ends, and the client resumes it later.
const STALL: Duration = Duration::from_secs(60);
/// How long a client may take for a page of up to 10,000 rows: it keeps the page in memory for so long.
const PAGE_WITHIN: Duration = Duration::from_secs(300);
/// Wait for a turn to read the first page; then 503.
const FIRST_TURN_WAIT: Duration = Duration::from_secs(2);
/// Wait for a turn to read a further page; then the stream ends, and the client resumes it later.
const TURN_WAIT: Duration = Duration::from_secs(60);

#[utoipa::path(
    get,
    path = "/api/sync/snapshot",
    tag = "sync",
    operation_id = "snapshot",
    params(("scope" = String, Query, description = "A scope that is granted"), ("seq" = u64, Query, description = "As `welcome` named it", maximum = 9007199254740991i64), ("resume" = Option<String>, Query, description = "The last token of an interrupted snapshot")),
    responses((status = 200, description = "Lines of JSON, in the encoding that was asked for", body = String, content_type = "application/x-ndjson")),
    security(("bearer" = []))
)]
pub async fn snapshot(
    State(app): State<Arc<App>>,
    caller: Caller,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let mut query = Query::parse(raw.as_deref())?;
    let scope = query.take_required("scope")?;
    let scope: ScopeId = ScopeId::try_from(smol_str::SmolStr::new(scope))
        .map_err(|error| ApiError::new(Code::Validation, error.to_string()).with_field("scope"))?;
    let seq = query.take_number("seq", u64::MAX, 0, (1 << 53) - 1)?;
    let resume = query.take("resume");
    query.finish()?;
    if seq == u64::MAX {
        return Err(invalid("seq", "is missing"));
    }
    if !caller.access.grants.includes(&scope) {
        return Err(ApiError::new(Code::Forbidden, "This scope is not granted to you."));
    }
    let slot = app.downloads.admit(caller.workspace_id(), caller.user_id()).ok_or_else(busy)?;
    let encoding = Encoding::negotiate(&headers);
    let started = clock::instant();
    let producer = Producer { app: Arc::clone(&app), caller, scope, seq, started, sent: AtomicU64::new(0) };
    let encoder = Encoder::new(encoding).map_err(|error| producer.refusal(error.into()))?;
    // The first page decides the status of the answer.
    let first = producer.page(encoder, resume, FIRST_TURN_WAIT).await.map_err(|cut| producer.refusal(cut))?;
    let (chunks, receiver) = mpsc::channel(CHUNKS_MAX);
    tokio::spawn(async move {
        producer.run(first, &chunks).await;
        drop(slot);
    });
    Ok(stream_response(encoding, receiver))
}

fn busy() -> ApiError {
    let mut problem = Problem::new(Code::Overloaded, "As many snapshots are under way as may be. Try again soon.");
    problem.retry_ms = Some(crate::random::between(1_000, 5_000));
    ApiError::from(problem)
}

fn stream_response(encoding: Encoding, receiver: mpsc::Receiver<Result<Bytes, std::io::Error>>) -> Response {
    let stream = stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) });
    let mut response = Body::from_stream(stream).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(name) = encoding.header() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    response
}

struct Producer {
    app: Arc<App>,
    caller: Caller,
    scope: ScopeId,
    seq: Seq,
    started: Instant,
    /// Bytes handed over.
    sent: AtomicU64,
}

/// What a page came to, read under the access of that moment.
enum Page {
    Rows {
        rows: Vec<WireOp>,
        resume: Option<String>,
    },
    BadToken,
    /// The log does not reach back to the snapshot's seq any more, or never got there.
    BadSeq,
    NotGranted,
}

/// A page as it is sent. Nothing is held for it but these bytes.
struct Encoded {
    chunks: Vec<Bytes>,
    /// The stream goes on after this token; `None`: it ends here.
    next: Option<(Encoder, String)>,
}

/// Why a stream ends before its end. The client resumes it from the last token, and meets the reason there.
#[derive(Debug, thiserror::Error)]
enum Cut {
    #[error("no turn came in time")]
    Busy,
    #[error("the client does not take its snapshot")]
    Stalled,
    #[error("access has changed")]
    NotGranted,
    #[error("the token is not one of this snapshot")]
    BadToken,
    #[error("the log does not reach that far")]
    BadSeq,
    #[error("the page's thread ended with a panic")]
    Panicked,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Encode(#[from] std::io::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

type Chunks = mpsc::Sender<Result<Bytes, std::io::Error>>;

impl Producer {
    fn refusal(&self, cut: Cut) -> ApiError {
        match cut {
            Cut::Busy | Cut::Stalled => busy(),
            Cut::BadToken => invalid("resume", "is not a token of this snapshot"),
            Cut::BadSeq => {
                let message = "The log does not reach that far. Say `hello` again and take the snapshot it names.";
                ApiError::new(Code::CursorExpired, message)
            }
            Cut::NotGranted => ApiError::new(Code::Forbidden, "This scope is not granted to you."),
            Cut::Store(error) => error.into(),
            Cut::Panicked | Cut::Encode(_) | Cut::Json(_) => {
                let workspace_id = self.caller.workspace_id();
                tracing::error!(event = "snapshot_failed", %workspace_id, %cut, "a snapshot could not be made");
                ApiError::new(Code::Unavailable, "The snapshot could not be made. Try again in a moment.")
            }
        }
    }

    /// Reads and encodes a page when its turn comes. The turn ends with the page: it is not held while a client reads.
    async fn page(&self, mut encoder: Encoder, resume: Option<String>, wait: Duration) -> Result<Encoded, Cut> {
        let turn = tokio::time::timeout(wait, Arc::clone(&self.app.snapshots).acquire_owned()).await;
        let turn = turn.map_err(|_| Cut::Busy)?.map_err(|_| Cut::Busy)?;
        let (db, workspace_id, seq) = (self.app.db.clone(), self.caller.workspace_id().clone(), self.seq);
        let read = self.reader(resume);
        let page = tokio::task::spawn_blocking(move || {
            let encoded = match db.read_blocking(&workspace_id, read)? {
                Page::Rows { rows, resume } => {
                    let chunks = encode(&mut encoder, &rows, resume.as_deref())?;
                    finish(encoder, chunks, resume, seq)
                }
                Page::BadToken => Err(Cut::BadToken),
                Page::BadSeq => Err(Cut::BadSeq),
                Page::NotGranted => Err(Cut::NotGranted),
            };
            drop(turn);
            encoded
        });
        page.await.map_err(|_| Cut::Panicked)?
    }

    fn reader(&self, resume: Option<String>) -> impl FnOnce(&dyn Read) -> Result<Page, StoreError> + Send + 'static {
        let (schema, caller, scope, seq) = (self.app.schema(), self.caller.clone(), self.scope.clone(), self.seq);
        move |read| {
            let access = access_of(&schema, caller.workspace_id(), read, caller.user_id())?;
            if !access.is_some_and(|access| access.grants.includes(&scope)) {
                return Ok(Page::NotGranted);
            }
            let head = read.head()?;
            if seq < head.min_seq || seq > head.seq {
                return Ok(Page::BadSeq);
            }
            let page = snapshot_page(&schema, read, (&scope, seq), resume.as_deref())?;
            Ok(page.map_or(Page::BadToken, |page| Page::Rows { rows: page.rows, resume: page.resume }))
        }
    }

    /// Sends page after page, each read only when the one before is on its way.
    async fn run(self, first: Encoded, chunks: &Chunks) {
        let status = match self.stream(first, chunks).await {
            Ok(()) => Status::Ok,
            Err(cut) => {
                let workspace_id = self.caller.workspace_id();
                tracing::info!(event = "snapshot_cut", %workspace_id, %cut, "a snapshot ended early");
                // A client that reads nothing does not get to know it either.
                drop(chunks.try_send(Err(std::io::Error::other("cut"))));
                Status::Failed
            }
        };
        self.note(status);
    }

    /// Counts it, for the metrics and for the device.
    fn note(&self, status: Status) {
        let (app, caller, took) = (&self.app, &self.caller, self.started.elapsed());
        app.metrics.count_sync(SyncOperation::Snapshot, status, took);
        let (workspace_id, user_id, device_id) = (caller.workspace_id(), caller.user_id(), caller.device_id());
        let (whose, now) = (Whose { workspace_id, user_id, device_id }, clock::now_ms());
        app.analytics.sync(whose, now, (SyncOperation::Snapshot, status, took));
        let bytes_out = self.sent.load(Ordering::Relaxed);
        app.analytics.device(whose, now, &DeviceCounts { bytes_out, ..DeviceCounts::default() });
    }

    async fn send(&self, chunks: &Chunks, ready: Vec<Bytes>) -> Result<(), Cut> {
        for chunk in ready {
            self.sent.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            chunks.send_timeout(Ok(chunk), STALL).await.map_err(|_| Cut::Stalled)?;
        }
        Ok(())
    }

    async fn stream(&self, first: Encoded, chunks: &Chunks) -> Result<(), Cut> {
        let mut page = first;
        loop {
            let Encoded { chunks: ready, next } = page;
            tokio::time::timeout(PAGE_WITHIN, self.send(chunks, ready)).await.map_err(|_| Cut::Stalled)??;
            let Some((encoder, token)) = next else { return Ok(()) };
            let claims = &self.caller.claims;
            let revocations = &self.app.auth.revocations;
            let is_revoked = revocations.is_device_revoked(&claims.workspace_id, claims.device_id);
            if is_revoked || revocations.is_signed_out(claims) {
                return Err(Cut::NotGranted);
            }
            page = self.page(encoder, Some(token), TURN_WAIT).await?;
        }
    }
}

/// The rows of a page in chunks, with the token that follows them.
fn encode(encoder: &mut Encoder, rows: &[WireOp], resume: Option<&str>) -> Result<Vec<Bytes>, Cut> {
    let mut chunks = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut *encoder, row)?;
        encoder.write_all(b"\n")?;
        if encoder.ready() >= CHUNK_BYTES {
            chunks.push(encoder.take());
        }
    }
    if let Some(token) = resume {
        writeln!(encoder, "{}", serde_json::json!({ "resume": token }))?;
        encoder.flush()?;
        chunks.push(encoder.take());
    }
    Ok(chunks)
}

fn finish(mut encoder: Encoder, mut chunks: Vec<Bytes>, resume: Option<String>, seq: Seq) -> Result<Encoded, Cut> {
    if let Some(token) = resume {
        return Ok(Encoded { chunks, next: Some((encoder, token)) });
    }
    writeln!(encoder, "{}", serde_json::json!({ "end": true, "seq": seq }))?;
    chunks.push(encoder.finish()?);
    Ok(Encoded { chunks, next: None })
}

/// Pages hold this many rows, so that one in memory at a time is what a snapshot costs.
const _: () = assert!(SNAPSHOT_PAGE_ROWS <= 50_000);
