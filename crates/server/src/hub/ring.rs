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
            if place.is_served_by_hub() {
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
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::hub::outlet::Outlet;

    fn audience(frames_max: usize) -> Audience {
        Audience::new(Grants::All, RingLimits { frames_max, bytes_max: 1_000 })
    }

    fn frame(from: Seq, to: Seq) -> Frame {
        Frame { from, to, bytes: Some(Encoded::text(&format!("{from}-{to}"))) }
    }

    /// A member with a real socket, and its peer.
    async fn member(audience: &Audience) -> (Arc<Seat>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (tcp, _) = listener.accept().await.unwrap();
        tcp.writable().await.unwrap();
        let seat = Arc::new(Seat::new(Arc::new(Outlet::new(tcp))));
        audience.join(&seat);
        (seat, peer)
    }

    fn take(audience: &Audience, seat: &Seat) -> Vec<String> {
        take_until(audience, seat, Seq::MAX)
    }

    fn take_until(audience: &Audience, seat: &Seat, until: Seq) -> Vec<String> {
        match audience.take(seat, until) {
            Taken::Frames(wire, frames) => {
                let texts = texts(&wire);
                assert_eq!(texts.len(), frames);
                texts
            }
            Taken::Nothing => Vec::new(),
            Taken::Behind => vec!["behind".to_owned()],
        }
    }

    /// Short text frames as they lie in a stream of bytes.
    fn texts(mut wire: &[u8]) -> Vec<String> {
        let mut texts = Vec::new();
        while let [0x81, len, rest @ ..] = wire {
            let (payload, next) = rest.split_at(usize::from(*len));
            texts.push(serde_json::from_slice(payload).unwrap());
            wire = next;
        }
        texts
    }

    async fn received(peer: &mut TcpStream, frames: usize) -> Vec<String> {
        let mut wire = Vec::new();
        while texts_or_none(&wire).is_none_or(|texts| texts.len() < frames) {
            assert!(peer.read_buf(&mut wire).await.unwrap() > 0);
        }
        texts(&wire)
    }

    fn texts_or_none(wire: &[u8]) -> Option<Vec<String>> {
        let mut at = 0;
        while at < wire.len() {
            at += 2 + usize::from(*wire.get(at + 1)?);
        }
        (at == wire.len()).then(|| texts(wire))
    }

    #[tokio::test]
    async fn hub_5_members_get_every_frame_once_and_the_last_one_frees_it() {
        let audience = audience(10);
        let ((a, mut peer_a), (b, _peer_b)) = (member(&audience).await, member(&audience).await);
        assert!(a.park(|| false));
        audience.push(&frame(0, 1));
        audience.push(&frame(1, 2));
        assert_eq!(audience.deliver(), 2, "only the parked one is served");
        assert_eq!(audience.deliver(), 0);
        assert_eq!(received(&mut peer_a, 2).await, ["0-1", "1-2"]);
        assert_eq!(audience.read().frames.len(), 2);
        assert!(!b.park(|| false), "something came while it was busy");
        assert_eq!(take(&audience, &b), ["0-1", "1-2"]);
        assert!(!b.park(|| false), "it has not seen that nothing is left");
        assert_eq!(take(&audience, &b), Vec::<String>::new());
        assert!(b.park(|| false));
        assert!(!audience.release());
        assert_eq!((a.cursor(), b.cursor()), (2, 2));
    }

    #[tokio::test]
    async fn hub_5_a_peer_that_takes_nothing_is_left_to_its_session_and_delays_nobody() {
        let audience = Audience::new(Grants::All, RingLimits { frames_max: 100_000, bytes_max: 100 << 20 });
        let ((slow, mut peer), (quick, mut other)) = (member(&audience).await, member(&audience).await);
        assert!(slow.park(|| false) && quick.park(|| false));
        let reading = tokio::spawn(async move {
            let mut bytes = 0;
            let mut buffer = vec![0; 1 << 16];
            loop {
                match other.read(&mut buffer).await.unwrap() {
                    0 => return bytes,
                    read => bytes += read,
                }
            }
        });
        let text = "x".repeat(50_000);
        let mut seq = 0;
        let mut wire = 0;
        let is_stuck = |seat: &Seat| seat.lock().position < audience.read().end();
        while !is_stuck(&slow) {
            let bytes = Encoded::text(&text);
            wire += bytes.wire().len();
            audience.push(&Frame { from: seq, to: seq + 1, bytes: Some(bytes) });
            seq += 1;
            audience.deliver();
            if !quick.park(|| false) || is_stuck(&quick) {
                quick.outlet.write_all(&[]).await.unwrap();
                while let Taken::Frames(bytes, _) = audience.take(&quick, Seq::MAX) {
                    quick.outlet.write_all(&[bytes]).await.unwrap();
                }
                quick.park(|| false);
            }
        }
        slow.woken().await;
        assert_eq!(quick.cursor(), seq);
        assert!(slow.cursor() < seq);
        // Its session goes on where the hub stopped, and the peer sees every byte once.
        let sent = tokio::spawn(async move {
            slow.outlet.write_all(&[]).await.unwrap();
            let mut last = slow.cursor();
            while let Taken::Frames(bytes, _) = audience.take(&slow, Seq::MAX) {
                assert!(slow.cursor() > last);
                last = slow.cursor();
                slow.outlet.write_all(&[bytes]).await.unwrap();
            }
            assert!(audience.leave(&slow) || audience.leave(&quick));
        });
        let mut all = vec![0; wire];
        peer.read_exact(&mut all).await.unwrap();
        let one = Encoded::text(&text);
        assert!(all.chunks(one.wire().len()).all(|frame| frame == &one.wire()[..]));
        sent.await.unwrap();
        assert_eq!(reading.await.unwrap(), wire);
    }

    #[tokio::test]
    async fn hub_5_who_falls_off_the_ring_is_behind_and_nobody_else() {
        let audience = audience(2);
        let ((slow, _), (quick, _peer)) = (member(&audience).await, member(&audience).await);
        for seq in 0..3 {
            audience.push(&frame(seq, seq + 1));
            take(&audience, &quick);
        }
        assert_eq!(quick.cursor(), 3);
        assert_eq!(take(&audience, &slow), ["behind"]);
        audience.resume(&slow);
        slow.set_cursor(2);
        assert_eq!(take(&audience, &slow), ["2-3"]);
        for seq in 3..6 {
            audience.push(&frame(seq, seq + 1));
        }
        audience.resume(&slow);
        audience.write().limits.frames_max = 0;
        audience.write().trim();
        assert_eq!(audience.read().frames.len(), 1, "the newest stays");
        assert_eq!(take(&audience, &slow), ["behind"]);
        audience.write().limits.frames_max = 2;
        audience.resume(&slow);
        slow.set_cursor(6);
        audience.push(&frame(6, 7));
        assert_eq!(take(&audience, &slow), ["6-7"]);
    }

    #[tokio::test]
    async fn hub_5_a_parked_member_that_is_behind_is_handed_back() {
        let audience = audience(10);
        let (seat, _peer) = member(&audience).await;
        assert!(seat.park(|| false));
        audience.push(&Frame { from: 0, to: 2, bytes: None });
        audience.deliver();
        seat.woken().await;
        assert_eq!(take(&audience, &seat), ["behind"]);
    }

    #[tokio::test]
    async fn bat_1_frames_already_covered_are_skipped_and_a_straddling_one_means_behind() {
        let audience = audience(10);
        let (seat, mut peer) = member(&audience).await;
        seat.set_cursor(5);
        assert!(seat.park(|| false));
        audience.push(&frame(3, 5));
        audience.push(&frame(5, 6));
        assert_eq!(audience.deliver(), 1);
        assert_eq!(received(&mut peer, 1).await, ["5-6"]);
        audience.push(&frame(6, 9));
        seat.set_cursor(8);
        assert_eq!(take(&audience, &seat), ["behind"]);
    }

    #[tokio::test]
    async fn bat_6_a_stretch_no_live_batch_can_say_sends_everybody_to_the_store() {
        let audience = audience(10);
        let (seat, mut peer) = member(&audience).await;
        assert!(seat.park(|| false));
        audience.push(&frame(0, 1));
        audience.push(&Frame { from: 1, to: 2, bytes: None });
        audience.push(&frame(2, 3));
        assert_eq!(audience.deliver(), 1);
        assert_eq!(received(&mut peer, 1).await, ["0-1"]);
        seat.woken().await;
        assert_eq!(take(&audience, &seat), ["behind"]);
        audience.resume(&seat);
        seat.set_cursor(2);
        assert_eq!(take(&audience, &seat), ["2-3"]);
    }

    #[tokio::test]
    async fn grt_1_frames_beyond_a_change_of_grants_are_held_back() {
        let audience = audience(10);
        let (seat, _peer) = member(&audience).await;
        audience.push(&frame(0, 1));
        audience.push(&frame(1, 2));
        assert_eq!(take_until(&audience, &seat, 1), ["0-1"]);
        assert_eq!(seat.cursor(), 1);
    }

    #[tokio::test]
    async fn grt_1_who_is_signalled_is_not_written_to_and_keeps_its_cursor_when_it_joins_again() {
        let audience = audience(10);
        let (seat, _peer) = member(&audience).await;
        seat.set_cursor(3);
        assert!(seat.park(|| true), "nothing was missed");
        audience.push(&frame(3, 4));
        assert_eq!(audience.deliver(), 0, "the signal is looked at first");
        audience.leave(&seat);
        audience.join(&seat);
        assert_eq!(seat.cursor(), 3);
    }

    #[tokio::test]
    async fn bat_1_an_untouched_stretch_gets_a_frame_only_when_a_member_needs_it() {
        let audience = audience(10);
        assert_eq!(audience.needs(0, 1, true), None, "nobody is here");
        let (_seat, _peer) = member(&audience).await;
        assert_eq!(audience.needs(0, 1, false), None);
        assert_eq!(audience.needs(0, 1, true), Some(0));
        audience.push(&frame(0, 1));
        assert_eq!(audience.want(4, Some(3)), None, "not published yet");
        assert_eq!(audience.needs(3, 4, false), Some(1), "wanted up to 4");
        audience.push(&frame(1, 4));
        assert_eq!(audience.want(6, Some(8)), Some((4, 8)), "published: cover it now");
        audience.push(&frame(4, 8));
        assert_eq!(audience.want(7, Some(8)), None, "one frame serves all who want something of it");
        assert_eq!(audience.needs(9, 8 + QUIET_SEQS_MAX, false), Some(8), "cursors must not grow old");
    }

    #[tokio::test]
    async fn hub_5_a_leaving_member_frees_what_only_it_had_not_taken() {
        let audience = audience(10);
        let ((slow, _), (quick, _peer)) = (member(&audience).await, member(&audience).await);
        audience.push(&frame(0, 1));
        take(&audience, &quick);
        assert_eq!(audience.read().frames.len(), 1);
        assert!(audience.release(), "one has not taken it");
        assert!(!audience.leave(&slow));
        assert!(!audience.release());
        assert!(audience.leave(&quick));
    }
}
