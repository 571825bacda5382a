//! A session's place at its audience's ring, at the topics it follows, and what is for it alone.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use syncline_core::Seq;
use tokio::sync::Notify;

use super::encoded::{Encoded, Packing};
use super::outlet::{Offered, Outlet};

/// Where a session is in its rings, and who serves it: while it is parked, the hub writes to its socket; otherwise the
/// session does by itself.
pub struct Seat {
    pub(super) outlet: Arc<Outlet>,
    state: Mutex<Place>,
    /// The session has to look: the hub could not serve it.
    wake: Notify,
}

#[derive(Default)]
pub(super) struct Place {
    /// Position of the next frame of the audience's ring.
    pub position: u64,
    /// Everything up to here has been sent.
    pub cursor: Seq,
    /// The topics it follows, by number, with the position of the next frame of each.
    pub topics: Vec<(u64, u64)>,
    is_parked: bool,
    /// Something was pushed while the session was busy.
    has_missed: bool,
    personal: Personal,
}

/// What waits for one session alone: urgent frames before the others, each kind in order.
#[derive(Default)]
struct Personal {
    frames: VecDeque<Bytes>,
    urgent: usize,
    bytes: usize,
}

/// Bytes that may wait for one session alone; a frame more is dropped, and its sender told so.
pub const PERSONAL_BYTES_MAX: usize = 256 * 1024;

/// What became of a frame for one session alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Posted {
    /// On its way, or waiting for the session.
    Sent,
    /// Too much waits already, or the connection is broken.
    Dropped,
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

    /// The session is about to send everything there is; what is pushed from here on counts as missed anew.
    pub(super) fn begin(&self) {
        self.lock().has_missed = false;
    }

    /// The session has stopped before it had sent everything.
    pub(super) fn note_missed(&self) {
        self.lock().has_missed = true;
    }

    /// How its peer takes messages.
    pub(super) fn packing(&self) -> Packing {
        self.outlet.packing()
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

    /// Sends a frame to this session alone: at once while it is parked, otherwise when it looks; an urgent one before
    /// those that wait.
    pub(super) fn post(&self, frame: &Encoded, is_urgent: bool) -> Posted {
        let frame = frame.wire_for(self.packing());
        let mut place = self.lock();
        if !place.serve_or_note() {
            return place.personal.push(frame, is_urgent);
        }
        match self.outlet.offer((frame, &[]), |_| frame.len()) {
            Ok(Offered::All) => Posted::Sent,
            Ok(Offered::UpTo(0)) => {
                self.hand_back(&mut place);
                place.has_missed = true;
                place.personal.push(frame, is_urgent)
            }
            Ok(Offered::UpTo(_)) => {
                self.hand_back(&mut place);
                Posted::Sent
            }
            // The session finds out what is wrong when it writes by itself.
            Err(_) => {
                self.hand_back(&mut place);
                Posted::Dropped
            }
        }
    }

    /// Takes what waits for this session alone, for the session to send.
    pub(super) fn take_personal(&self) -> Vec<Bytes> {
        let personal = std::mem::take(&mut self.lock().personal);
        personal.frames.into()
    }
}

impl Personal {
    fn push(&mut self, frame: &Bytes, is_urgent: bool) -> Posted {
        if self.bytes + frame.len() > PERSONAL_BYTES_MAX {
            return Posted::Dropped;
        }
        self.bytes += frame.len();
        if is_urgent {
            self.frames.insert(self.urgent, frame.clone());
            self.urgent += 1;
        } else {
            self.frames.push_back(frame.clone());
        }
        Posted::Sent
    }
}

impl Place {
    /// Takes a place at the end of an audience's ring.
    pub(super) fn sit(&mut self, position: u64) {
        self.position = position;
        self.is_parked = false;
    }

    /// True: the hub may write. False: it is noted that the session has to look once it is done.
    pub(super) fn serve_or_note(&mut self) -> bool {
        self.has_missed |= !self.is_parked;
        self.is_parked
    }

    /// The position of the next frame of a topic, if it is followed.
    pub(super) fn topic(&mut self, topic: u64) -> Option<&mut u64> {
        self.topics.iter_mut().find(|(number, _)| *number == topic).map(|(_, position)| position)
    }
}
