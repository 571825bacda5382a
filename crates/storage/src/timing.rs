//! How long the database takes, told in the log under the target `sql` when somebody asks for it. What is asked and with which
//! values is never told.

use std::time::Instant;

use tracing::Level;

/// Measures from here until it is dropped. Costs nothing while nobody listens.
pub(crate) struct Timed {
    what: &'static str,
    statements: usize,
    started: Option<Instant>,
}

impl Timed {
    /// `statements`: how many go out together, 0 where that is not known.
    pub(crate) fn start(what: &'static str, statements: usize) -> Self {
        let is_wanted = tracing::enabled!(target: "sql", Level::DEBUG);
        Self { what, statements, started: is_wanted.then(now) }
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        if let Some(started) = self.started {
            let elapsed_us = u64::try_from(now().duration_since(started).as_micros()).unwrap_or(u64::MAX);
            let (what, statements) = (self.what, self.statements);
            tracing::debug!(target: "sql", event = "sql", what, statements, elapsed_us, "{what} took {elapsed_us} µs");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "measures, and decides nothing")]
fn now() -> Instant {
    Instant::now()
}
