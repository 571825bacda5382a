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
use tokio::sync::{OwnedSemaphorePermit, mpsc};

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
    let busy = || {
        let mut problem = Problem::new(Code::Overloaded, "As many snapshots are under way as may be. Try again soon.");
        problem.retry_ms = Some(crate::random::between(1_000, 5_000));
        ApiError::from(problem)
    };
    let permit = Arc::clone(&app.snapshots).try_acquire_owned().map_err(|_| busy())?;
    let encoding = Encoding::negotiate(&headers);
    let started = clock::instant();
    let producer = Producer { app: Arc::clone(&app), caller, scope, seq, started, sent: AtomicU64::new(0) };
    let first = producer.first_page(resume).await?;
    let (chunks, receiver) = mpsc::channel(CHUNKS_MAX);
    tokio::task::spawn_blocking(move || producer.run(encoding, first, &chunks, permit));
    Ok(stream_response(encoding, receiver))
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

/// One page, read under the access of that moment.
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

/// Why a stream ends before its end. The client resumes it from the last token, and meets the reason there.
#[derive(Debug, thiserror::Error)]
enum Cut {
    #[error("the client does not take its snapshot")]
    Stalled,
    #[error("access has changed")]
    NotGranted,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Encode(#[from] std::io::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

type Chunks = mpsc::Sender<Result<Bytes, std::io::Error>>;

impl Producer {
    /// The first page decides the status of the answer.
    async fn first_page(&self, resume: Option<String>) -> ApiResult<(Vec<WireOp>, Option<String>)> {
        let read = self.reader(resume);
        match self.app.db.read(self.caller.workspace_id(), read).await? {
            Page::Rows { rows, resume } => Ok((rows, resume)),
            Page::BadToken => Err(invalid("resume", "is not a token of this snapshot")),
            Page::BadSeq => {
                let message = "The log does not reach that far. Say `hello` again and take the snapshot it names.";
                Err(ApiError::new(Code::CursorExpired, message))
            }
            Page::NotGranted => Err(ApiError::new(Code::Forbidden, "This scope is not granted to you.")),
        }
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

    /// On a blocking thread: encodes page after page, waiting for the client where it is slower.
    fn run(
        self,
        encoding: Encoding,
        first: (Vec<WireOp>, Option<String>),
        chunks: &Chunks,
        permit: OwnedSemaphorePermit,
    ) {
        let status = match self.stream(encoding, first, chunks) {
            Ok(()) => Status::Ok,
            Err(cut) => {
                let workspace_id = self.caller.workspace_id();
                tracing::info!(event = "snapshot_cut", %workspace_id, %cut, "a snapshot ended early");
                drop(chunks.blocking_send(Err(std::io::Error::other("cut"))));
                Status::Failed
            }
        };
        self.note(status);
        drop(permit);
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

    fn send(&self, chunks: &Chunks, chunk: Bytes) -> Result<(), Cut> {
        self.sent.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        send(chunks, chunk)
    }

    fn stream(&self, encoding: Encoding, first: (Vec<WireOp>, Option<String>), chunks: &Chunks) -> Result<(), Cut> {
        let mut encoder = Encoder::new(encoding)?;
        let (mut rows, mut resume) = first;
        loop {
            for row in &rows {
                serde_json::to_writer(&mut encoder, row)?;
                encoder.write_all(b"\n")?;
                if encoder.ready() >= CHUNK_BYTES {
                    self.send(chunks, encoder.take())?;
                }
            }
            let Some(token) = resume else { break };
            writeln!(encoder, "{}", serde_json::json!({ "resume": token }))?;
            encoder.flush()?;
            self.send(chunks, encoder.take())?;
            (rows, resume) = self.next_page(token)?;
        }
        writeln!(encoder, "{}", serde_json::json!({ "end": true, "seq": self.seq }))?;
        self.send(chunks, encoder.finish()?)
    }

    fn next_page(&self, token: String) -> Result<(Vec<WireOp>, Option<String>), Cut> {
        let claims = &self.caller.claims;
        let revocations = &self.app.auth.revocations;
        if revocations.is_device_revoked(&claims.workspace_id, claims.device_id) || revocations.is_signed_out(claims) {
            return Err(Cut::NotGranted);
        }
        match self.app.db.read_blocking(self.caller.workspace_id(), self.reader(Some(token)))? {
            Page::Rows { rows, resume } => Ok((rows, resume)),
            Page::BadToken | Page::BadSeq | Page::NotGranted => Err(Cut::NotGranted),
        }
    }
}

/// Pages hold this many rows, so that one in memory at a time is what a snapshot costs.
const _: () = assert!(SNAPSHOT_PAGE_ROWS <= 50_000);

fn send(chunks: &Chunks, chunk: Bytes) -> Result<(), Cut> {
    let runtime = tokio::runtime::Handle::current();
    let sent = runtime.block_on(chunks.send_timeout(Ok(chunk), STALL));
    sent.map_err(|_| Cut::Stalled)
}
