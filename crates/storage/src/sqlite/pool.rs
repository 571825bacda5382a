//! Connections that read, shared by many threads.

use std::ops::Deref;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use syncline_core::storage::StoreResult;

use super::connect::{RollbackUnlessCommitted, Source};

/// At most `readers_max` connections, opened when first needed. A further reader waits until one is free.
pub(super) struct ReadPool {
    source: Source,
    state: Mutex<Idle>,
    freed: Condvar,
}

#[derive(Default)]
struct Idle {
    connections: Vec<Connection>,
    opened: usize,
}

impl ReadPool {
    pub(super) fn new(source: Source) -> Self {
        Self { source, state: Mutex::default(), freed: Condvar::new() }
    }

    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// A connection until the guard is dropped, which also ends a transaction left open.
    pub(super) fn get(&self) -> StoreResult<Pooled<'_>> {
        let mut idle = self.lock();
        loop {
            if let Some(conn) = idle.connections.pop() {
                return Ok(Pooled { pool: self, conn: Some(conn) });
            }
            if idle.opened < self.source.options.readers_max.max(1) {
                break;
            }
            idle = self.freed.wait(idle).unwrap_or_else(PoisonError::into_inner);
        }
        idle.opened += 1;
        drop(idle);
        match self.source.open_reader() {
            Ok(conn) => Ok(Pooled { pool: self, conn: Some(conn) }),
            Err(error) => {
                self.lock().opened -= 1;
                self.freed.notify_one();
                Err(error)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Pooled<'a> {
    pool: &'a ReadPool,
    conn: Option<Connection>,
}

impl Deref for Pooled<'_> {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        self.conn.as_ref().expect("a guard holds its connection until it is dropped")
    }
}

impl Drop for Pooled<'_> {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            drop(RollbackUnlessCommitted(&conn));
            self.pool.lock().connections.push(conn);
            self.pool.freed.notify_one();
        }
    }
}
