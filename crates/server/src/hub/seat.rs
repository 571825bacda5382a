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

    /// Leaves the socket to the hub. False: something came meanwhile, which the session has to send first.
    pub fn park(&self) -> bool {
        let mut place = self.lock();
        place.is_parked = !std::mem::take(&mut place.has_missed);
        place.is_parked
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
    /// Of a session that serves itself and has been sent nothing yet.
    pub(super) fn at(position: u64) -> Self {
        Self { position, ..Self::default() }
    }

    /// Whether the hub may write. If not, the session will look once it is done.
    pub(super) fn is_served_by_hub(&mut self) -> bool {
        self.has_missed |= !self.is_parked;
        self.is_parked
    }
}
