//! A session's place at its audience's ring.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use syncline_core::Seq;
use tokio::sync::Notify;

use super::outlet::Outlet;

/// Where a session is in its ring, and who serves it: while it is parked, the hub writes to its socket; otherwise the
/// session does by itself.
pub struct Seat {
    pub(super) outlet: Arc<Outlet>,
    state: Mutex<Place>,
    /// The session has to look: the hub could not serve it.
    wake: Notify,
}

#[derive(Default)]
pub(super) struct Place {
    /// Position of the next frame.
    pub position: u64,
    /// Everything up to here has been sent.
    pub cursor: Seq,
    is_parked: bool,
    /// Something was pushed while the session was busy.
    has_missed: bool,
}

impl Seat {
    pub fn new(outlet: Arc<Outlet>) -> Self {
        Self { outlet, state: Mutex::default(), wake: Notify::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Place> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves the socket to the hub, unless `has_signal`: who is signalled looks at that first, and a signal that comes later
    /// takes the socket back by itself. False: something was pushed meanwhile, which the session has to send.
    pub(super) fn park(&self, has_signal: impl FnOnce() -> bool) -> bool {
        let mut place = self.lock();
        // Asked under the lock, because who signals takes the lock afterwards.
        place.is_parked = !place.has_missed && !has_signal();
        !place.has_missed
    }

    /// The session has stopped before it had sent everything.
    pub(super) fn note_missed(&self) {
        self.lock().has_missed = true;
    }

    /// Takes the socket back. When this returns, the hub does not write to it.
    pub fn unpark(&self) {
        self.lock().is_parked = false;
    }

    /// Resolves when the hub could not serve a parked session. Cancel-safe.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    pub fn cursor(&self) -> Seq {
        self.lock().cursor
    }

    /// The session has been sent everything up to `cursor` by itself.
    pub fn set_cursor(&self, cursor: Seq) {
        self.lock().cursor = cursor;
    }

    /// Gives a parked session its socket back.
    pub(super) fn hand_back(&self, place: &mut Place) {
        place.is_parked = false;
        self.wake.notify_one();
    }
}

impl Place {
    /// Of a session that serves itself.
    pub(super) fn at(position: u64, cursor: Seq) -> Self {
        Self { position, cursor, ..Self::default() }
    }

    /// The session has sent everything there was.
    pub(super) fn served(&mut self) {
        self.has_missed = false;
    }

    /// True: the hub may write. False: it is noted that the session has to look once it is done.
    pub(super) fn serve_or_note(&mut self) -> bool {
        self.has_missed |= !self.is_parked;
        self.is_parked
    }
}
