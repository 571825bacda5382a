//! How a PostgreSQL database is used: pools, timeouts, patience.

use std::time::Duration;

use syncline_core::TimestampMs;
use tokio_postgres::Config;

/// `PostgresOptions::default()` suits one node of a cluster on a server with the usual 100 connections.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PostgresOptions {
    /// Connections that read, at least 1; a further reader waits for one. Each writing thread has one of its own besides.
    pub readers_max: usize,
    /// How long a reader waits for a connection to be free; milliseconds.
    pub pool_wait_ms: u32,
    /// How long connecting and signing in may take; milliseconds.
    pub connect_timeout_ms: u32,
    /// How long one statement may run; an answer that has not come two seconds after that never will; milliseconds.
    pub statement_timeout_ms: u32,
    /// How long a statement waits for a lock that another node holds, a workspace's above all, before it is tried again.
    /// Short, because a transaction whose beginning is not answered within this time and two seconds counts as lost;
    /// milliseconds.
    pub lock_timeout_ms: u32,
    /// How long the server keeps a writing transaction, and its workspace's lock, of a node that fell silent. Also the longest
    /// that planning may think between two reads; milliseconds.
    pub idle_write_timeout_ms: u32,
    /// The same for a reading transaction; milliseconds.
    pub idle_read_timeout_ms: u32,
    /// How long a write that failed in passing is begun anew, and how long a lost answer to COMMIT is inquired after. Longer
    /// than `idle_write_timeout_ms`, or a dead connection of ours may hold the lock for longer than that; milliseconds.
    pub retry_ms: u32,
    /// Now, for the record of schema versions.
    pub opened_ms: TimestampMs,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            readers_max: 8,
            pool_wait_ms: 10_000,
            connect_timeout_ms: 5_000,
            statement_timeout_ms: 8_000,
            lock_timeout_ms: 2_000,
            idle_write_timeout_ms: 3_000,
            idle_read_timeout_ms: 300_000,
            retry_ms: 20_000,
            opened_ms: 0,
        }
    }
}

/// Beyond a statement's own timeout, an answer that has not come after this long never will.
const ANSWER_GRACE: Duration = Duration::from_secs(2);

/// How long what was sent may stay unacknowledged, or a connection silent, before the system asks whether the other side is
/// still there and takes it for gone. A statement may run for longer: the other side's system answers for it.
const PEER_TIMEOUT: Duration = Duration::from_secs(5);
const PEER_ASKED_EVERY: Duration = Duration::from_secs(1);

/// How long an unreachable server is waited for at a start, at most: one that is still starting, or failing over.
const OPEN_WAIT_MS: u32 = 5_000;

impl PostgresOptions {
    pub(super) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms.into())
    }

    pub(super) fn pool_wait(&self) -> Duration {
        Duration::from_millis(self.pool_wait_ms.into())
    }

    /// How long any answer may take.
    pub(super) fn patience(&self) -> Duration {
        Duration::from_millis(self.statement_timeout_ms.into()) + ANSWER_GRACE
    }

    /// How long the answer to a transaction's beginning may take, which at most waits for a lock: a silent connection is
    /// noticed here first.
    pub(super) fn begin_patience(&self) -> Duration {
        Duration::from_millis(self.lock_timeout_ms.into()) + ANSWER_GRACE
    }

    /// How long a start waits for the server; milliseconds.
    pub(super) fn open_wait_ms(&self) -> u32 {
        self.retry_ms.min(OPEN_WAIT_MS)
    }

    /// Has the system notice a peer that vanished without a word.
    pub(super) fn watch_peer(config: &mut Config) {
        config.keepalives(true).keepalives_idle(PEER_TIMEOUT).keepalives_interval(PEER_ASKED_EVERY);
        config.tcp_user_timeout(PEER_TIMEOUT);
    }

    /// The commands that begin a transaction that writes. READ COMMITTED is enough where the workspace's row is locked first:
    /// every statement after that sees all that was committed before the lock was ours, and nobody else writes to the workspace
    /// until it is released. All settings end with the transaction, because the next one may be another client's.
    pub(super) fn begin_write(&self) -> String {
        format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT set_config('statement_timeout', '{}', true),
             set_config('lock_timeout', '{}', true), set_config('idle_in_transaction_session_timeout', '{}', true),
             set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') = 'remote_apply'
                THEN 'remote_apply' ELSE 'on' END, true), set_config('jit', 'off', true)",
            self.statement_timeout_ms, self.lock_timeout_ms, self.idle_write_timeout_ms
        )
    }

    /// The commands that begin a transaction that reads one moment.
    pub(super) fn begin_read(&self) -> String {
        format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT set_config('statement_timeout', '{}', true),
             set_config('idle_in_transaction_session_timeout', '{}', true), set_config('jit', 'off', true)",
            self.statement_timeout_ms, self.idle_read_timeout_ms
        )
    }
}
