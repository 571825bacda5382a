//! An audience's ring: the frames that every member is sent, framed once and laid end to end, until all have been sent them.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use syncline_core::Seq;
use syncline_core::principal::Grants;

use super::encoded::{Encoded, Packing};
use super::log::{FrameLog, RingLimits};
use super::outlet::Offered;
use super::seat::{Place, Seat};

/// What the members get for `(from, to]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub from: Seq,
    pub to: Seq,
    /// An encoded `batch` frame. `None`: no live batch can say it, so everybody is caught up from the store.
    pub bytes: Option<Encoded>,
}

/// The sessions with equal grants that take frames packed alike, and what they are sent.
pub struct Audience {
    pub(super) grants: Grants,
    pub(super) packing: Packing,
    ring: RwLock<Ring>,
}

struct Ring {
    log: FrameLog<Span>,
    members: Vec<Arc<Seat>>,
    /// Members who left, so far: the order of the others has changed as often.
    departures: u64,
    /// Everything up to here has been pushed or does not concern the audience. `None`: not known yet.
    sent_to: Option<Seq>,
    /// A member needs a frame to end here, once everything up to it has been published.
    wanted_to: Seq,
}

/// What a frame covers.
struct Span {
    from: Seq,
    to: Seq,
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
/// Members that are written to before others may come and go.
pub(super) const MEMBERS_AT_ONCE: usize = 64;
/// After so many seqs that do not concern an audience it gets an empty frame, so that its cursors do not grow old.
const QUIET_SEQS_MAX: u64 = 1_000;

impl Audience {
    pub(super) fn new(grants: Grants, packing: Packing, limits: RingLimits) -> Self {
        let log = FrameLog::new(limits);
        let ring = Ring { log, members: Vec::new(), departures: 0, sent_to: None, wanted_to: 0 };
        Self { grants, packing, ring: RwLock::new(ring) }
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
        seat.lock().sit(ring.log.end());
        ring.members.push(Arc::clone(seat));
    }

    /// Returns whether it was the last member.
    pub(super) fn leave(&self, seat: &Arc<Seat>) -> bool {
        let mut ring = self.write();
        seat.unpark();
        ring.departures += u64::from(remove_member(&mut ring.members, seat));
        ring.members.is_empty()
    }

    /// Takes what a member that serves itself gets next, of frames that end at or before `until`.
    pub(super) fn take(&self, seat: &Seat, until: Seq) -> Taken {
        let ring = self.read();
        let mut place = seat.lock();
        let next = ring.next(&place, until, TAKE_BYTES_MAX);
        let taken = match next.frames {
            0 if next.is_behind => return Taken::Behind,
            0 => Taken::Nothing,
            frames => Taken::Frames(ring.log.copy(next.start, next.end), frames),
        };
        place.position = next.position;
        place.cursor = next.cursor;
        taken
    }

    /// Frees what all members have taken by now; whether something is left. O(members).
    pub(super) fn release(&self) -> bool {
        let mut ring = self.write();
        ring.release();
        !ring.log.is_empty()
    }

    /// A member that was behind goes on from the oldest frame there is; those it has been caught up with are skipped.
    pub(super) fn resume(&self, seat: &Seat) {
        let ring = self.read();
        let mut place = seat.lock();
        place.position = place.position.max(ring.log.first());
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
        let bytes = frame.bytes.as_ref().map_or(&[][..], |encoded| encoded.wire_for(self.packing));
        let mut ring = self.write();
        ring.sent_to = Some(frame.to);
        if ring.members.is_empty() {
            return;
        }
        ring.log.push(bytes, Span { from: frame.from, to: frame.to, is_sendable: frame.bytes.is_some() });
    }

    /// Writes to every parked member what it has not been sent, with one system call each and without waiting for any;
    /// those that cannot be served so are left to their sessions. Others may join and leave meanwhile. Returns how many
    /// frames went out.
    pub(super) fn deliver(&self) -> u64 {
        let (mut sent, mut least, mut served) = (0, u64::MAX, 0);
        let departures = self.read().departures;
        loop {
            let ring = self.read();
            for seat in ring.members.iter().skip(served).take(MEMBERS_AT_ONCE) {
                let mut place = seat.lock();
                if place.serve_or_note() {
                    sent += ring.serve(seat, &mut place);
                }
                least = least.min(place.position);
            }
            served += MEMBERS_AT_ONCE;
            if served >= ring.members.len() {
                break;
            }
        }
        let mut ring = self.write();
        if ring.departures == departures {
            ring.log.release_to(least);
        } else {
            ring.release();
        }
        sent
    }

    /// Whether one slice of a delivery reaches all of them.
    pub(super) fn has_few_members(&self) -> bool {
        self.read().members.len() <= MEMBERS_AT_ONCE
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

/// Removes a seat; whether it was there. Who takes its place in the order is left to its session: whoever writes to the
/// members in turn may have gone by that place.
pub(super) fn remove_member(members: &mut Vec<Arc<Seat>>, seat: &Arc<Seat>) -> bool {
    let Some(index) = members.iter().position(|member| Arc::ptr_eq(member, seat)) else { return false };
    members.swap_remove(index);
    if let Some(moved) = members.get(index).filter(|_| members.len() > MEMBERS_AT_ONCE) {
        moved.hand_back(&mut moved.lock());
    }
    true
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
    /// Writes to a parked member what comes next; returns how many frames.
    fn serve(&self, seat: &Seat, place: &mut Place) -> u64 {
        let next = self.next(place, Seq::MAX, STRETCH_BYTES_MAX);
        if next.frames > 0 {
            return self.offer(seat, place, &next);
        }
        if next.is_behind {
            seat.hand_back(place);
        } else {
            place.position = next.position;
        }
        0
    }

    /// Frames from where a member is, as long as they follow each other and end at or before `until`.
    fn next(&self, place: &Place, until: Seq, bytes_max: u64) -> Next {
        let (position, cursor) = (place.position, place.cursor);
        let is_behind = position < self.log.first();
        let mut next = Next { start: 0, end: 0, frames: 0, position, cursor, is_behind };
        if is_behind {
            return next;
        }
        while let Some(span) = self.log.mark(next.position).filter(|span| span.to <= until) {
            if span.to > next.cursor {
                if !span.is_sendable || span.from != next.cursor {
                    next.is_behind = true;
                    break;
                }
                let end = self.log.end_of(next.position);
                if next.frames == 0 {
                    next.start = self.log.start_of(next.position);
                } else if end - next.start > bytes_max {
                    break;
                }
                next.end = end;
                next.cursor = span.to;
                next.frames += 1;
            }
            next.position += 1;
        }
        // At the end everything has been sent, unless frames went by while the member was elsewhere.
        let is_at_end = next.position == self.log.end();
        next.is_behind |= is_at_end && self.sent_to.is_some_and(|sent_to| sent_to > next.cursor && sent_to <= until);
        next
    }

    /// Writes what comes next to a parked member; returns how many frames.
    fn offer(&self, seat: &Seat, place: &mut Place, next: &Next) -> u64 {
        let end_of = |byte: usize| {
            let reached = next.start + byte as u64;
            let cut = (place.position..next.position).map(|position| self.log.end_of(position));
            (cut.into_iter().find(|end| *end >= reached).unwrap_or(next.end) - next.start) as usize
        };
        match seat.outlet.offer(self.log.pieces(next.start, next.end), end_of) {
            Ok(Offered::All) => {
                (place.position, place.cursor) = (next.position, next.cursor);
                if next.is_behind || next.position < self.log.end() {
                    seat.hand_back(place);
                }
                next.frames as u64
            }
            Ok(Offered::UpTo(end)) => {
                let end = next.start + end as u64;
                let (start, mut sent) = (next.start, 0);
                while let Some(span) = self.log.mark(place.position).filter(|_| place.position < next.position) {
                    if self.log.end_of(place.position) > end || (end == start && span.to > place.cursor) {
                        break;
                    }
                    sent += u64::from(span.to > place.cursor);
                    place.cursor = place.cursor.max(span.to);
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
        let least = self.members.iter().map(|seat| seat.lock().position).min().unwrap_or(self.log.end());
        self.log.release_to(least);
    }
}

#[cfg(test)]
mod tests;
