//! A topic's ring: live messages framed once, laid end to end, and written to whoever follows the topic.
//!
//! As an audience's ring, without the log behind it: who falls off has missed messages, and is told how many. A publisher
//! lays its frame down and goes on; one thread at a time passes along the followers, so that under load one write carries
//! many messages.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

use super::encoded::{Encoded, Packing};
use super::log::{FrameLog, RingLimits};
use super::outlet::Offered;
use super::ring::{MEMBERS_AT_ONCE, remove_member};
use super::seat::{Place, Seat};
use crate::observe::Metrics;

/// What a topic holds for followers who are slow.
const LIMITS: RingLimits = RingLimits { frames_max: 4_096, bytes_max: 1 << 20 };
/// Frames a pass may be behind; then publishers wait for it.
const BACKLOG_FRAMES_MAX: u64 = 1_024;
/// Bytes a pass may be behind; then publishers wait for it.
const BACKLOG_BYTES_MAX: u64 = 256 * 1024;
/// Bytes that are written to a follower at a time; one frame may be larger.
const STRETCH_BYTES_MAX: u64 = 256 * 1024;
/// Time after a pass at which frames that slower followers have taken since are freed.
const RELEASE_AFTER: Duration = Duration::from_millis(500);

pub struct Topic {
    number: u64,
    packing: Packing,
    ring: RwLock<Ring>,
    pass: AtomicU8,
    /// A pass has come to its end.
    passed: Notify,
    metrics: Arc<Metrics>,
}

struct Ring {
    log: FrameLog<()>,
    followers: Vec<Arc<Seat>>,
    /// Followers who left, so far: the order of the others has changed as often.
    departures: u64,
    /// The last pass went up to here.
    passed: u64,
}

/// Whether a thread passes along the followers.
mod pass {
    pub const NONE: u8 = 0;
    pub const RUNNING: u8 = 1;
    /// Something was published since it began.
    pub const AGAIN: u8 = 2;
}

/// Lets publishers start another pass should one end with a panic.
struct Unstuck<'a>(&'a Topic);

impl Drop for Unstuck<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.pass.store(pass::NONE, Ordering::Release);
            self.0.passed.notify_waiters();
        }
    }
}

/// What a follower that serves itself gets.
#[derive(Debug, PartialEq, Eq)]
pub enum TopicTaken {
    /// Whole frames, end to end; how many.
    Frames(Bytes, usize),
    Nothing,
    /// It was too slow: so many messages are gone.
    Missed(u64),
}

impl Topic {
    pub(super) fn new(number: u64, packing: Packing, metrics: Arc<Metrics>) -> Self {
        let ring = Ring { log: FrameLog::new(LIMITS), followers: Vec::new(), departures: 0, passed: 0 };
        let (pass, passed) = (AtomicU8::new(pass::NONE), Notify::new());
        Self { number, packing, ring: RwLock::new(ring), pass, passed, metrics }
    }

    fn read(&self) -> RwLockReadGuard<'_, Ring> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Ring> {
        self.ring.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new follower gets what is published from now on.
    pub(super) fn join(&self, seat: &Arc<Seat>) {
        let mut ring = self.write();
        seat.lock().topics.push((self.number, ring.log.end()));
        ring.followers.push(Arc::clone(seat));
    }

    /// Returns whether it was the last follower.
    pub(super) fn leave(&self, seat: &Arc<Seat>) -> bool {
        let mut ring = self.write();
        ring.departures += u64::from(remove_member(&mut ring.followers, seat));
        seat.lock().topics.retain(|(number, _)| *number != self.number);
        ring.followers.is_empty()
    }

    /// Lays a frame down for everybody who follows; waits first while the pass along them is too far behind. Returns how
    /// many follow. To be called within the runtime.
    pub async fn publish(self: Arc<Self>, frame: &Encoded) -> usize {
        let mut followers;
        let bytes = frame.wire_for(self.packing);
        loop {
            let passed = self.passed.notified();
            tokio::pin!(passed);
            passed.as_mut().enable();
            {
                let mut ring = self.write();
                followers = ring.followers.len();
                if followers == 0 {
                    return 0;
                }
                if ring.has_room() {
                    ring.log.push(bytes, ());
                    break;
                }
            }
            passed.await;
        }
        let begun = |state| Some(if state == pass::NONE { pass::RUNNING } else { pass::AGAIN });
        if self.pass.fetch_update(Ordering::AcqRel, Ordering::Acquire, begun) == Ok(pass::NONE) {
            let runtime = tokio::runtime::Handle::current();
            // Its turn comes when this task has nothing more to do at once: a publisher whose next messages are there already
            // lays them down first, and the pass carries them together.
            runtime.clone().spawn(async move { drop(runtime.clone().spawn_blocking(move || self.run(&runtime))) });
        }
        followers
    }

    fn run(self: Arc<Self>, runtime: &tokio::runtime::Handle) {
        let guard = Unstuck(&self);
        loop {
            self.metrics.hub.frames_sent.inc_by(self.deliver());
            self.passed.notify_waiters();
            match self.pass.compare_exchange(pass::RUNNING, pass::NONE, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break,
                Err(_) => self.pass.store(pass::RUNNING, Ordering::Release),
            }
        }
        drop(guard);
        if !self.read().log.is_empty() {
            runtime.spawn(async move {
                tokio::time::sleep(RELEASE_AFTER).await;
                self.write().release(self.number);
            });
        }
    }

    /// Writes to every parked follower what it has not been sent, with one system call each and without waiting for any.
    /// Returns how many frames went out.
    fn deliver(&self) -> u64 {
        let (mut sent, mut least, mut served) = (0, u64::MAX, 0);
        let (departures, end) = {
            let ring = self.read();
            (ring.departures, ring.log.end())
        };
        loop {
            let ring = self.read();
            for seat in ring.followers.iter().skip(served).take(MEMBERS_AT_ONCE) {
                let mut place = seat.lock();
                if place.serve_or_note() {
                    sent += ring.serve(self.number, seat, &mut place);
                }
                least = least.min(place.topic(self.number).map_or(u64::MAX, |position| *position));
            }
            served += MEMBERS_AT_ONCE;
            if served >= ring.followers.len() {
                break;
            }
        }
        let mut ring = self.write();
        ring.passed = end;
        if ring.departures == departures {
            ring.log.release_to(least);
        } else {
            ring.release(self.number);
        }
        sent
    }

    /// Takes what a follower that serves itself gets next.
    pub(super) fn take(&self, seat: &Seat) -> TopicTaken {
        let ring = self.read();
        let mut place = seat.lock();
        let Some(position) = place.topic(self.number) else { return TopicTaken::Nothing };
        let first = ring.log.first();
        if *position < first {
            let missed = first - *position;
            *position = first;
            return TopicTaken::Missed(missed);
        }
        let Some((next, start, end)) = ring.next(*position) else { return TopicTaken::Nothing };
        let frames = (next - *position) as usize;
        *position = next;
        TopicTaken::Frames(ring.log.copy(start, end), frames)
    }
}

impl Ring {
    fn has_room(&self) -> bool {
        let (passed, end) = (self.passed.max(self.log.first()), self.log.end());
        let bytes = self.log.start_of(end) - self.log.start_of(passed);
        end - passed < BACKLOG_FRAMES_MAX && bytes < BACKLOG_BYTES_MAX
    }

    /// Frames from a position, with the bytes they take: `(position afterwards, start, end)`. `None`: nothing.
    fn next(&self, position: u64) -> Option<(u64, u64, u64)> {
        self.log.mark(position)?;
        let start = self.log.start_of(position);
        let mut next = position + 1;
        while self.log.mark(next).is_some() && self.log.end_of(next) - start <= STRETCH_BYTES_MAX {
            next += 1;
        }
        Some((next, start, self.log.start_of(next)))
    }

    /// Writes to a parked follower what comes next; returns how many frames.
    fn serve(&self, topic: u64, seat: &Seat, place: &mut Place) -> u64 {
        let Some(position) = place.topic(topic).map(|position| *position) else { return 0 };
        if position < self.log.first() {
            seat.hand_back(place);
            return 0;
        }
        let Some((next, start, end)) = self.next(position) else { return 0 };
        let ends = || (position..next).map(|position| self.log.end_of(position) - start);
        let end_of = |byte: usize| ends().find(|end| *end >= byte as u64).unwrap_or(end - start) as usize;
        let reached = match seat.outlet.offer(self.log.pieces(start, end), end_of) {
            Ok(Offered::All) => next,
            Ok(Offered::UpTo(bytes)) => position + ends().take_while(|end| *end <= bytes as u64).count() as u64,
            // The session finds out what is wrong when it writes by itself.
            Err(_) => position,
        };
        if let Some(position) = place.topic(topic) {
            *position = reached;
        }
        if reached < self.log.end() {
            seat.hand_back(place);
        }
        reached - position
    }

    /// Frees what no follower needs any more.
    fn release(&mut self, topic: u64) {
        let positions = self.followers.iter().filter_map(|seat| seat.lock().topic(topic).map(|position| *position));
        let least = positions.min().unwrap_or(self.log.end());
        self.log.release_to(least);
    }
}

#[cfg(test)]
mod tests;
