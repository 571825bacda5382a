//! An audience's ring: the frames that every member is sent, framed once and laid end to end, until all have been sent them.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use syncline_core::Seq;
use syncline_core::principal::Grants;

use super::encoded::Encoded;
use super::outlet::Offered;
use super::seat::{Place, Seat};

#[derive(Clone, Copy, Debug)]
pub struct RingLimits {
    pub frames_max: usize,
    pub bytes_max: usize,
}

/// What the members get for `(from, to]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub from: Seq,
    pub to: Seq,
    /// An encoded `batch` frame. `None`: no live batch can say it, so everybody is caught up from the store.
    pub bytes: Option<Encoded>,
}

/// The sessions with equal grants, and what they are sent.
pub struct Audience {
    pub(super) grants: Grants,
    ring: RwLock<Ring>,
}

struct Ring {
    limits: RingLimits,
    frames: VecDeque<Slot>,
    /// The frames' bytes, end to end.
    bytes: VecDeque<u8>,
    /// Position of `frames[0]`; positions count from 0 and are never reused.
    first: u64,
    /// Where `bytes[0]` is in the stream of all bytes ever pushed.
    first_byte: u64,
    members: Vec<Arc<Seat>>,
    /// Everything up to here has been pushed or does not concern the audience. `None`: not known yet.
    sent_to: Option<Seq>,
    /// A member needs a frame to end here, once everything up to it has been published.
    wanted_to: Seq,
}

struct Slot {
    from: Seq,
    to: Seq,
    /// Where its bytes end in the stream of all bytes.
    end: u64,
    /// False: the members are to catch up from the store instead.
    is_sendable: bool,
}

/// What a session that serves itself got from its ring.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// Whole frames, end to end, that come next; how many.
    Frames(Bytes, usize),
    /// Nothing more for now.
    Nothing,
    /// The ring does not continue where the session is: catch up from the log.
    Behind,
}

/// Bytes that the hub writes to a session at a time; one frame may be larger.
const STRETCH_BYTES_MAX: u64 = 256 * 1024;
/// Bytes that a session which serves itself takes at a time, as a copy; one frame may be larger.
const TAKE_BYTES_MAX: u64 = 32 * 1024;
/// After so many seqs that do not concern an audience it gets an empty frame, so that its cursors do not grow old.
const QUIET_SEQS_MAX: u64 = 1_000;

impl Audience {
    pub(super) fn new(grants: Grants, limits: RingLimits) -> Self {
        let ring = Ring {
            limits,
            frames: VecDeque::new(),
            bytes: VecDeque::new(),
            first: 0,
            first_byte: 0,
            members: Vec::new(),
            sent_to: None,
            wanted_to: 0,
        };
        Self { grants, ring: RwLock::new(ring) }
    }

    fn read(&self) -> RwLockReadGuard<'_, Ring> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Ring> {
        self.ring.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new member, who has seen nothing of what will be pushed from now on. Its session serves itself until it parks.
    pub(super) fn join(&self, seat: &Arc<Seat>) {
        let mut ring = self.write();
        let mut place = seat.lock();
        *place = Place::at(ring.end(), place.cursor);
        drop(place);
        ring.members.push(Arc::clone(seat));
    }

    /// Returns whether it was the last member.
    pub(super) fn leave(&self, seat: &Arc<Seat>) -> bool {
        let mut ring = self.write();
        seat.unpark();
        if let Some(index) = ring.members.iter().position(|member| Arc::ptr_eq(member, seat)) {
            ring.members.swap_remove(index);
        }
        ring.members.is_empty()
    }

    /// Takes what a member that serves itself gets next, of frames that end at or before `until`.
    pub(super) fn take(&self, seat: &Seat, until: Seq) -> Taken {
        let ring = self.read();
        let mut place = seat.lock();
        let next = ring.next(&place, until, TAKE_BYTES_MAX);
        let taken = match next.frames {
            0 if next.is_behind => return Taken::Behind,
            0 => {
                place.served();
                Taken::Nothing
            }
            frames => Taken::Frames(ring.copy(next.start, next.end), frames),
        };
        place.position = next.position;
        place.cursor = next.cursor;
        taken
    }

    /// Frees what all members have taken by now; whether something is left. O(members).
    pub(super) fn release(&self) -> bool {
        let mut ring = self.write();
        ring.release();
        !ring.frames.is_empty()
    }

    /// A member that was behind goes on from the oldest frame there is; those it has been caught up with are skipped.
    pub(super) fn resume(&self, seat: &Seat) {
        let ring = self.read();
        let mut place = seat.lock();
        place.position = place.position.max(ring.first);
    }

    /// What a commit of `(from, to]` means here: `Some(start)` asks for a frame of `(start, to]`, with or without changes.
    pub(super) fn needs(&self, from: Seq, to: Seq, is_touched: bool) -> Option<Seq> {
        let ring = self.read();
        let start = ring.sent_to.unwrap_or(from);
        if to <= start || ring.members.is_empty() {
            return None;
        }
        let is_wanted = ring.wanted_to > start && ring.wanted_to <= to;
        let is_lagging = to - start >= QUIET_SEQS_MAX;
        (is_touched || is_wanted || is_lagging).then_some(start)
    }

    /// Lays a frame into the ring. Members get it at the next [`Audience::deliver`].
    pub(super) fn push(&self, frame: &Frame) {
        let mut ring = self.write();
        ring.sent_to = Some(frame.to);
        if ring.members.is_empty() {
            return;
        }
        if let Some(encoded) = &frame.bytes {
            ring.bytes.extend(encoded.wire());
        }
        let end = ring.first_byte + ring.bytes.len() as u64;
        ring.frames.push_back(Slot { from: frame.from, to: frame.to, end, is_sendable: frame.bytes.is_some() });
        ring.trim();
    }

    /// Writes to every parked member what it has not been sent, with one system call each and without waiting for any;
    /// those that cannot be served so are left to their sessions. Returns how many frames went out.
    pub(super) fn deliver(&self) -> u64 {
        let ring = self.read();
        let (mut sent, mut least) = (0, ring.end());
        for seat in &ring.members {
            let mut place = seat.lock();
            if place.serve_or_note() {
                let next = ring.next(&place, Seq::MAX, STRETCH_BYTES_MAX);
                if next.frames > 0 {
                    sent += ring.offer(seat, &mut place, &next);
                } else if next.is_behind {
                    seat.hand_back(&mut place);
                } else {
                    place.position = next.position;
                }
            }
            least = least.min(place.position);
        }
        let is_taken = least > ring.first;
        drop(ring);
        if is_taken {
            self.write().release_to(least);
        }
        sent
    }

    /// Makes sure that members at `seq` find a frame that starts there: everything up to `published` has been looked at.
    /// Returns the stretch that empty frames are to cover now, if they are needed now: all that is known, so that others who
    /// want something of it find it covered.
    pub(super) fn want(&self, seq: Seq, published: Option<Seq>) -> Option<(Seq, Seq)> {
        let mut ring = self.write();
        match ring.sent_to {
            None => {
                ring.sent_to = Some(seq);
                None
            }
            Some(sent_to) if sent_to < seq => {
                ring.wanted_to = ring.wanted_to.max(seq);
                published.filter(|published| *published >= seq).map(|published| (sent_to, published))
            }
            Some(_) => None,
        }
    }
}

/// What comes next for one member.
struct Next {
    /// The bytes to send, in the stream of all bytes.
    start: u64,
    end: u64,
    frames: usize,
    /// Where the member is afterwards.
    position: u64,
    cursor: Seq,
    /// The ring does not go on from there.
    is_behind: bool,
}

impl Ring {
    fn end(&self) -> u64 {
        self.first + self.frames.len() as u64
    }

    /// Where a slot's bytes begin in the stream of all bytes.
    fn start_of(&self, index: usize) -> u64 {
        index.checked_sub(1).map_or(self.first_byte, |before| self.frames[before].end)
    }

    /// Frames from where a member is, as long as they follow each other and end at or before `until`.
    fn next(&self, place: &Place, until: Seq, bytes_max: u64) -> Next {
        let Place { position, cursor, .. } = *place;
        let mut next = Next { start: 0, end: 0, frames: 0, position, cursor, is_behind: position < self.first };
        let Some(mut index) = position.checked_sub(self.first).and_then(|index| usize::try_from(index).ok()) else {
            return next;
        };
        while let Some(slot) = self.frames.get(index).filter(|slot| slot.to <= until) {
            if slot.to > next.cursor {
                if !slot.is_sendable || slot.from != next.cursor {
                    next.is_behind = true;
                    break;
                }
                if next.frames == 0 {
                    next.start = self.start_of(index);
                } else if slot.end - next.start > bytes_max {
                    break;
                }
                next.end = slot.end;
                next.cursor = slot.to;
                next.frames += 1;
            }
            index += 1;
            next.position += 1;
        }
        // At the end everything has been sent, unless frames went by while the member was elsewhere.
        let is_at_end = next.position == self.end();
        next.is_behind |= is_at_end && self.sent_to.is_some_and(|sent_to| sent_to > next.cursor && sent_to <= until);
        next
    }

    /// A stretch of bytes in the two pieces in which it lies.
    fn pieces(&self, start: u64, end: u64) -> (&[u8], &[u8]) {
        let (from, to) = ((start - self.first_byte) as usize, (end - self.first_byte) as usize);
        let (head, tail) = self.bytes.as_slices();
        let middle = head.len();
        (&head[from.min(middle)..to.min(middle)], &tail[from.saturating_sub(middle)..to.saturating_sub(middle)])
    }

    fn copy(&self, start: u64, end: u64) -> Bytes {
        let (head, tail) = self.pieces(start, end);
        Bytes::from([head, tail].concat())
    }

    /// Writes what comes next to a parked member; returns how many frames.
    fn offer(&self, seat: &Seat, place: &mut Place, next: &Next) -> u64 {
        let slots = || self.frames.iter().skip((place.position - self.first) as usize);
        let end_of = |byte: usize| {
            let reached = next.start + byte as u64;
            let cut = slots().find(|slot| slot.end >= reached).map_or(next.end, |slot| slot.end);
            (cut - next.start) as usize
        };
        match seat.outlet.offer(self.pieces(next.start, next.end), end_of) {
            Ok(Offered::All) => {
                (place.position, place.cursor) = (next.position, next.cursor);
                if next.is_behind || next.position < self.end() {
                    seat.hand_back(place);
                }
                next.frames as u64
            }
            Ok(Offered::UpTo(end)) => {
                let end = next.start + end as u64;
                let (start, mut sent) = (next.start, 0);
                let at = |position: u64| self.frames.get((position - self.first) as usize);
                while let Some(slot) = at(place.position).filter(|_| place.position < next.position) {
                    if slot.end > end || (end == start && slot.to > place.cursor) {
                        break;
                    }
                    sent += u64::from(slot.to > place.cursor);
                    place.cursor = place.cursor.max(slot.to);
                    place.position += 1;
                }
                seat.hand_back(place);
                sent
            }
            // The session finds out what is wrong when it writes by itself.
            Err(_) => {
                seat.hand_back(place);
                0
            }
        }
    }

    /// Frees what no member needs any more.
    fn release(&mut self) {
        if self.frames.is_empty() {
            return;
        }
        let least = self.members.iter().map(|seat| seat.lock().position).min().unwrap_or(self.end());
        self.release_to(least);
    }

    fn release_to(&mut self, least: u64) {
        while self.first < least && !self.frames.is_empty() {
            self.drop_front();
        }
        if self.frames.is_empty() && self.bytes.capacity() > IDLE_BYTES_MAX {
            self.bytes = VecDeque::new();
        }
    }

    /// Over the limits the oldest frames go; who has not taken them falls behind.
    fn trim(&mut self) {
        let is_over =
            |ring: &Self| ring.frames.len() > ring.limits.frames_max || ring.bytes.len() > ring.limits.bytes_max;
        // The newest stays, however large: members may just be waiting for it.
        while self.frames.len() > 1 && is_over(self) {
            self.drop_front();
        }
    }

    fn drop_front(&mut self) {
        if let Some(slot) = self.frames.pop_front() {
            self.bytes.drain(..(slot.end - self.first_byte) as usize);
            self.first_byte = slot.end;
            self.first += 1;
        }
    }
}

/// Room that an empty ring keeps; bytes.
const IDLE_BYTES_MAX: usize = 4 * 1024;

#[cfg(test)]
mod tests;
