//! Downloading a scope, page by page, so that an interruption costs one page (spec §13).

use std::sync::Arc;

use serde::Deserialize;
use syncline_core::Seq;
use syncline_core::id::ScopeId;
use syncline_core::protocol::limits::SNAPSHOT_PAGE_ROWS;
use syncline_core::protocol::{Class, WireOp};
use syncline_core::session::client::Input;
use tokio::sync::mpsc;

use super::driver::Incoming;
use crate::client::Inner;
use crate::error::{ClientError, chain};

/// Longest line of a snapshot; bytes. A record has at most 128 KiB of fields.
const LINE_BYTES_MAX: usize = 1 << 20;

pub(super) struct Download {
    pub scope: ScopeId,
    pub url: String,
    pub resume: Option<String>,
}

/// A line that is not a row.
#[derive(Deserialize)]
struct Mark {
    resume: Option<String>,
    #[serde(default)]
    end: bool,
    seq: Option<Seq>,
}

#[derive(Debug, thiserror::Error)]
enum DownloadError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the download broke off")]
    Broken(#[source] reqwest::Error),
    #[error("a line is not what a snapshot holds")]
    Malformed(#[from] serde_json::Error),
    #[error("a line is longer than {LINE_BYTES_MAX} bytes")]
    LineTooLong,
    #[error("the download ended without its end")]
    Cut,
    /// The session is not interested any more.
    #[error("the connection is gone")]
    Unwanted,
}

impl Download {
    pub async fn run(self, inner: Arc<Inner>, news: mpsc::Sender<Incoming>) {
        let Err(error) = self.stream(&inner, &news).await else { return };
        tracing::info!(scope = %self.scope, error = chain(&error), "a snapshot was interrupted");
        // What the server refuses for good cannot be continued.
        let is_lost = matches!(&error, DownloadError::Client(ClientError::Refused(problem))
            if !matches!(problem.class, Class::Transient | Class::Session));
        let failed = Input::SnapshotFailed { scope: self.scope, is_lost };
        drop(news.send(Incoming::Input(failed)).await);
    }

    async fn stream(&self, inner: &Inner, news: &mpsc::Sender<Incoming>) -> Result<(), DownloadError> {
        let path = match &self.resume {
            Some(token) => format!("{}&resume={token}", self.url),
            None => self.url.clone(),
        };
        let mut response = inner.api.get(&path).await?;
        let mut lines = Lines::default();
        let mut rows = Vec::with_capacity(SNAPSHOT_PAGE_ROWS);
        while let Some(chunk) = response.chunk().await.map_err(DownloadError::Broken)? {
            lines.push(&chunk);
            while let Some(line) = lines.next()? {
                match read_line(line)? {
                    Line::Row(row) => rows.push(*row),
                    Line::Page(resume) => {
                        let page = std::mem::replace(&mut rows, Vec::with_capacity(SNAPSHOT_PAGE_ROWS));
                        self.send(news, page, Some(resume)).await?;
                    }
                    Line::End(seq) => {
                        self.send(news, rows, None).await?;
                        let end = Input::SnapshotEnd { scope: self.scope.clone(), seq };
                        return news.send(Incoming::Input(end)).await.map_err(|_| DownloadError::Unwanted);
                    }
                }
            }
        }
        Err(DownloadError::Cut)
    }

    async fn send(
        &self,
        news: &mpsc::Sender<Incoming>,
        rows: Vec<WireOp>,
        resume: Option<String>,
    ) -> Result<(), DownloadError> {
        let input = Input::SnapshotRows { scope: self.scope.clone(), rows, resume };
        news.send(Incoming::Input(input)).await.map_err(|_| DownloadError::Unwanted)
    }
}

enum Line {
    Row(Box<WireOp>),
    Page(String),
    End(Seq),
}

fn read_line(line: &[u8]) -> Result<Line, serde_json::Error> {
    // Rows outnumber everything else ten thousand to one.
    match serde_json::from_slice::<WireOp>(line) {
        Ok(row) => Ok(Line::Row(Box::new(row))),
        Err(error) => match serde_json::from_slice::<Mark>(line) {
            Ok(Mark { resume: Some(token), .. }) => Ok(Line::Page(token)),
            Ok(Mark { end: true, seq: Some(seq), .. }) => Ok(Line::End(seq)),
            Ok(_) | Err(_) => Err(error),
        },
    }
}

/// Whole lines out of chunks.
#[derive(Default)]
struct Lines {
    buffer: Vec<u8>,
    /// Start of the line that is next.
    start: usize,
}

impl Lines {
    fn push(&mut self, chunk: &[u8]) {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(chunk);
    }

    fn next(&mut self) -> Result<Option<&[u8]>, DownloadError> {
        let rest = &self.buffer[self.start..];
        match rest.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                let line = self.start..self.start + end;
                self.start = line.end + 1;
                Ok(Some(&self.buffer[line]))
            }
            None if rest.len() > LINE_BYTES_MAX => Err(DownloadError::LineTooLong),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snp_1_lines_survive_any_chunking() {
        let text = b"{\"a\":1}\n{\"b\":2}\n{\"c\"";
        for size in 1..text.len() {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            for chunk in text.chunks(size) {
                lines.push(chunk);
                while let Some(line) = lines.next().unwrap() {
                    found.push(String::from_utf8(line.to_vec()).unwrap());
                }
            }
            assert_eq!(found, ["{\"a\":1}", "{\"b\":2}"], "chunks of {size}");
        }
    }

    #[test]
    fn snp_1_rows_pages_and_the_end_are_told_apart() {
        let row = br#"{"op":"put","entity":"leads","id":"0192f0c1-7b1e-7cc2-9d3e-2f6f3f0c8a11","rv":7,"scope":"workspace","fields":{"resume":"x"}}"#;
        assert!(matches!(read_line(row), Ok(Line::Row(_))));
        assert!(matches!(read_line(br#"{"resume":"t-1"}"#), Ok(Line::Page(token)) if token == "t-1"));
        assert!(matches!(read_line(br#"{"end":true,"seq":12}"#), Ok(Line::End(12))));
        for line in [&b"{}"[..], b"[]", b"", br#"{"end":false,"seq":1}"#] {
            assert!(read_line(line).is_err());
        }
    }
}
