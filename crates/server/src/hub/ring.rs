//! An audience's ring: encoded frames that every member is sent, until the last of them has taken them.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use syncline_core::Seq;
use syncline_core::principal::Grants;
use tokio::sync::watch;

use super::encoded::Encoded;

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

impl Frame {
    fn len(&self) -> usize {
        self.bytes.as_ref().map_or(0, |bytes| bytes.wire().len())
    }
}

/// The sessions with equal grants, and what they are sent.
pub struct Audience {
    pub(super) grants: Grants,
    ring: Mutex<Ring>,
    /// Position after the last frame; moves with every push.
    end: watch::Sender<u64>,
}

struct Ring {
    limits: RingLimits,
    frames: VecDeque<Slot>,
    bytes: usize,
    /// Position of `frames[0]`; positions count from 0 and are never reused.
    first: u64,
    members: usize,
    /// Everything up to here has been pushed or does not concern the audience. `None`: not known yet.
    sent_to: Option<Seq>,
    /// A member needs a frame to end here, once everything up to it has been published.
    wanted_to: Seq,
}

struct Slot {
    frame: Frame,
    /// Members that have not taken it yet; at 0 it goes.
    remaining: usize,
}

/// What a session got from its ring.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// These frames come next, in order; perhaps none.
    Frames(Vec<Encoded>),
    /// The ring does not continue where the session is: catch up from the log.
    Behind,
}

impl Audience {
    pub(super) fn new(grants: Grants, limits: RingLimits) -> Self {
        let ring =
            Ring { limits, frames: VecDeque::new(), bytes: 0, first: 0, members: 0, sent_to: None, wanted_to: 0 };
        Self { grants, ring: Mutex::new(ring), end: watch::Sender::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new member, who has seen nothing of what will be pushed from now on.
    pub(super) fn join(&self) -> (u64, watch::Receiver<u64>) {
        let mut ring = self.lock();
        ring.members += 1;
        (ring.end(), self.end.subscribe())
    }

    /// A member at `position` goes. Returns whether it was the last.
    pub(super) fn leave(&self, position: u64) -> bool {
        let mut ring = self.lock();
        ring.release(position);
        ring.members -= 1;
        ring.members == 0
    }

    /// Takes what a member at `position` who has been sent everything up to `cursor` gets next, of frames that end at or
    /// before `until`, and moves both.
    pub(super) fn take(&self, position: &mut u64, cursor: &mut Seq, until: Seq) -> Taken {
        let mut ring = self.lock();
        if *position < ring.first {
            return Taken::Behind;
        }
        let mut frames = Vec::new();
        let mut at = *position;
        let mut is_behind = false;
        while let Some(slot) = ring.frames.get((at - ring.first) as usize) {
            let frame = &slot.frame;
            if frame.to > until {
                break;
            }
            if frame.to > *cursor {
                let Some(bytes) = frame.bytes.as_ref().filter(|_| frame.from == *cursor) else {
                    is_behind = true;
                    break;
                };
                *cursor = frame.to;
                frames.push(bytes.clone());
            }
            at += 1;
        }
        ring.take_until(*position, at);
        *position = at;
        // At the end everything has been sent, unless frames went by while the member was elsewhere.
        let is_at_end = at == ring.end();
        is_behind |= is_at_end && ring.sent_to.is_some_and(|sent_to| sent_to > *cursor && sent_to <= until);
        if is_behind && frames.is_empty() { Taken::Behind } else { Taken::Frames(frames) }
    }

    /// A member that was behind goes on from the oldest frame there is; those it has been caught up with are skipped.
    pub(super) fn resume(&self, position: &mut u64) {
        *position = (*position).max(self.lock().first);
    }

    /// What a commit of `(from, to]` means here: `Some(start)` asks for a frame of `(start, to]`, with or without changes.
    pub(super) fn needs(&self, from: Seq, to: Seq, is_touched: bool) -> Option<Seq> {
        let ring = self.lock();
        let start = ring.sent_to.unwrap_or(from);
        if to <= start || ring.members == 0 {
            return None;
        }
        let is_wanted = ring.wanted_to > start && ring.wanted_to <= to;
        let is_lagging = to - start >= QUIET_SEQS_MAX;
        (is_touched || is_wanted || is_lagging).then_some(start)
    }

    pub(super) fn push(&self, frame: Frame) {
        let mut ring = self.lock();
        ring.sent_to = Some(frame.to);
        if ring.members == 0 {
            return;
        }
        ring.bytes += frame.len();
        let remaining = ring.members;
        ring.frames.push_back(Slot { frame, remaining });
        ring.trim();
        let end = ring.end();
        drop(ring);
        self.end.send_replace(end);
    }

    /// Makes sure that members at `seq` find a frame that starts there: everything up to `published` has been looked at.
    /// Returns the stretch that an empty frame is to cover now, if one is needed now.
    pub(super) fn want(&self, seq: Seq, published: Option<Seq>) -> Option<(Seq, Seq)> {
        let mut ring = self.lock();
        match ring.sent_to {
            None => {
                ring.sent_to = Some(seq);
                None
            }
            Some(sent_to) if sent_to < seq => {
                ring.wanted_to = ring.wanted_to.max(seq);
                published.is_some_and(|published| published >= seq).then_some((sent_to, seq))
            }
            Some(_) => None,
        }
    }
}

/// After so many seqs that do not concern an audience it gets an empty frame, so that its cursors do not grow old.
const QUIET_SEQS_MAX: u64 = 1_000;

impl Ring {
    fn end(&self) -> u64 {
        self.first + self.frames.len() as u64
    }

    /// A member does not need the frames from `position` on any more.
    fn release(&mut self, position: u64) {
        let end = self.end();
        self.take_until(position.max(self.first), end);
    }

    fn take_until(&mut self, from: u64, to: u64) {
        for at in from..to {
            let slot = &mut self.frames[(at - self.first) as usize];
            slot.remaining = slot.remaining.saturating_sub(1);
        }
        while self.frames.front().is_some_and(|slot| slot.remaining == 0) {
            self.drop_front();
        }
    }

    /// Over the limits the oldest frames go; who has not taken them falls behind.
    fn trim(&mut self) {
        while self.frames.len() > self.limits.frames_max || self.bytes > self.limits.bytes_max {
            self.drop_front();
        }
    }

    fn drop_front(&mut self) {
        if let Some(slot) = self.frames.pop_front() {
            self.bytes -= slot.frame.len();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audience(frames_max: usize) -> Audience {
        Audience::new(Grants::All, RingLimits { frames_max, bytes_max: 1_000 })
    }

    fn frame(from: Seq, to: Seq) -> Frame {
        Frame { from, to, bytes: Some(Encoded::text(&format!("{from}-{to}"))) }
    }

    fn texts(taken: Taken) -> Vec<String> {
        match taken {
            Taken::Frames(frames) => {
                frames.iter().map(|frame| serde_json::from_slice(frame.payload()).unwrap()).collect()
            }
            Taken::Behind => vec!["behind".to_owned()],
        }
    }

    #[test]
    fn hub_5_members_take_every_frame_once_and_the_last_one_frees_it() {
        let audience = audience(10);
        let (mut a, _) = audience.join();
        let (mut b, _) = audience.join();
        let (mut cursor_a, mut cursor_b) = (0, 0);
        audience.push(frame(0, 1));
        audience.push(frame(1, 2));
        assert_eq!(texts(audience.take(&mut a, &mut cursor_a, Seq::MAX)), ["0-1", "1-2"]);
        assert_eq!(texts(audience.take(&mut a, &mut cursor_a, Seq::MAX)), Vec::<String>::new());
        assert_eq!(audience.lock().frames.len(), 2);
        assert_eq!(texts(audience.take(&mut b, &mut cursor_b, Seq::MAX)), ["0-1", "1-2"]);
        assert_eq!(audience.lock().frames.len(), 0);
        assert_eq!((cursor_a, cursor_b), (2, 2));
    }

    #[test]
    fn hub_5_who_falls_off_the_ring_is_behind_and_nobody_else() {
        let audience = audience(2);
        let (mut slow, _) = audience.join();
        let (mut quick, _) = audience.join();
        let (mut cursor_slow, mut cursor_quick) = (0, 0);
        for seq in 0..3 {
            audience.push(frame(seq, seq + 1));
            audience.take(&mut quick, &mut cursor_quick, Seq::MAX);
        }
        assert_eq!(cursor_quick, 3);
        assert_eq!(texts(audience.take(&mut slow, &mut cursor_slow, Seq::MAX)), ["behind"]);
        audience.resume(&mut slow);
        cursor_slow = 2;
        assert_eq!(texts(audience.take(&mut slow, &mut cursor_slow, Seq::MAX)), ["2-3"]);
        for seq in 3..6 {
            audience.push(frame(seq, seq + 1));
        }
        audience.resume(&mut slow);
        for frames_left in [2, 0] {
            audience.lock().limits.frames_max = frames_left;
            audience.lock().trim();
            assert_eq!(texts(audience.take(&mut slow, &mut cursor_slow, Seq::MAX)), ["behind"], "{frames_left} left");
        }
        audience.lock().limits.frames_max = 2;
        audience.resume(&mut slow);
        cursor_slow = 6;
        audience.push(frame(6, 7));
        assert_eq!(texts(audience.take(&mut slow, &mut cursor_slow, Seq::MAX)), ["6-7"]);
    }

    #[test]
    fn bat_1_frames_already_covered_are_skipped_and_a_straddling_one_means_behind() {
        let audience = audience(10);
        let (mut at, _) = audience.join();
        let mut cursor = 5;
        audience.push(frame(3, 5));
        audience.push(frame(5, 6));
        assert_eq!(texts(audience.take(&mut at, &mut cursor, Seq::MAX)), ["5-6"]);
        audience.push(frame(6, 9));
        cursor = 8;
        assert_eq!(texts(audience.take(&mut at, &mut cursor, Seq::MAX)), ["behind"]);
    }

    #[test]
    fn bat_6_a_stretch_no_live_batch_can_say_sends_everybody_to_the_store() {
        let audience = audience(10);
        let (mut at, _) = audience.join();
        let mut cursor = 0;
        audience.push(Frame { from: 0, to: 2, bytes: None });
        audience.push(frame(2, 3));
        assert_eq!(texts(audience.take(&mut at, &mut cursor, Seq::MAX)), ["behind"]);
        audience.resume(&mut at);
        cursor = 2;
        assert_eq!(texts(audience.take(&mut at, &mut cursor, Seq::MAX)), ["2-3"]);
    }

    #[test]
    fn grt_1_frames_beyond_a_change_of_grants_are_held_back() {
        let audience = audience(10);
        let (mut at, _) = audience.join();
        let mut cursor = 0;
        audience.push(frame(0, 1));
        audience.push(frame(1, 2));
        assert_eq!(texts(audience.take(&mut at, &mut cursor, 1)), ["0-1"]);
        assert_eq!(cursor, 1);
    }

    #[test]
    fn bat_1_an_untouched_stretch_gets_a_frame_only_when_a_member_needs_it() {
        let audience = audience(10);
        drop(audience.join());
        assert_eq!(audience.needs(0, 1, false), None);
        assert_eq!(audience.needs(0, 1, true), Some(0));
        audience.push(frame(0, 1));
        assert_eq!(audience.want(4, Some(3)), None, "not published yet");
        assert_eq!(audience.needs(3, 4, false), Some(1), "wanted up to 4");
        audience.push(frame(1, 4));
        assert_eq!(audience.want(6, Some(7)), Some((4, 6)), "published: cover it now");
        audience.push(frame(4, 6));
        assert_eq!(audience.want(6, Some(7)), None);
        assert_eq!(audience.needs(7, 6 + QUIET_SEQS_MAX, false), Some(6), "cursors must not grow old");
    }

    #[test]
    fn hub_5_a_leaving_member_frees_what_only_it_had_not_taken() {
        let audience = audience(10);
        let (slow, _) = audience.join();
        let (mut quick, _) = audience.join();
        audience.push(frame(0, 1));
        audience.take(&mut quick, &mut 0, Seq::MAX);
        assert!(!audience.leave(slow));
        assert_eq!(audience.lock().frames.len(), 0);
        assert!(audience.leave(quick));
    }
}
