//! Frames laid end to end: a bounded stretch of a stream of bytes that many readers follow, each by a position.

use std::collections::VecDeque;

use bytes::Bytes;

/// What a log may hold. Beyond either the oldest frames go; the newest stays, however large.
#[derive(Clone, Copy, Debug)]
pub struct RingLimits {
    pub frames_max: usize,
    pub bytes_max: usize,
}

/// Positions count frames from 0, bytes count all bytes ever pushed; neither is reused. Every frame carries a mark `M`.
pub struct FrameLog<M> {
    limits: RingLimits,
    slots: VecDeque<Slot<M>>,
    /// The frames' bytes, end to end.
    bytes: VecDeque<u8>,
    /// Position of `slots[0]`.
    first: u64,
    /// Where `bytes[0]` is in the stream of all bytes ever pushed.
    first_byte: u64,
}

struct Slot<M> {
    /// Where its bytes end in the stream of all bytes.
    end: u64,
    mark: M,
}

/// Room that an empty log keeps; bytes.
const IDLE_BYTES_MAX: usize = 4 * 1024;

impl<M> FrameLog<M> {
    pub fn new(limits: RingLimits) -> Self {
        Self { limits, slots: VecDeque::new(), bytes: VecDeque::new(), first: 0, first_byte: 0 }
    }

    /// Position of the oldest frame.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Position of the next frame that is pushed.
    pub fn end(&self) -> u64 {
        self.first + self.slots.len() as u64
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Appends a frame; over the limits the oldest go.
    pub fn push(&mut self, bytes: &[u8], mark: M) {
        self.bytes.extend(bytes);
        let end = self.first_byte + self.bytes.len() as u64;
        self.slots.push_back(Slot { end, mark });
        while self.slots.len() > 1 && self.is_over() {
            self.drop_front();
        }
    }

    fn is_over(&self) -> bool {
        self.slots.len() > self.limits.frames_max || self.bytes.len() > self.limits.bytes_max
    }

    fn slot(&self, position: u64) -> Option<&Slot<M>> {
        let index = usize::try_from(position.checked_sub(self.first)?).ok()?;
        self.slots.get(index)
    }

    /// The mark of the frame at a position, while it is here.
    pub fn mark(&self, position: u64) -> Option<&M> {
        self.slot(position).map(|slot| &slot.mark)
    }

    /// Where a frame's bytes begin in the stream of all bytes; of the end, where the next ones will.
    pub fn start_of(&self, position: u64) -> u64 {
        position.checked_sub(1).and_then(|before| self.slot(before)).map_or(self.first_byte, |slot| slot.end)
    }

    /// Where a frame's bytes end in the stream of all bytes. The frame must be here.
    pub fn end_of(&self, position: u64) -> u64 {
        self.slot(position).map_or(self.first_byte, |slot| slot.end)
    }

    /// A stretch of bytes in the two pieces in which it lies.
    pub fn pieces(&self, start: u64, end: u64) -> (&[u8], &[u8]) {
        let (from, to) = ((start - self.first_byte) as usize, (end - self.first_byte) as usize);
        let (head, tail) = self.bytes.as_slices();
        let middle = head.len();
        (&head[from.min(middle)..to.min(middle)], &tail[from.saturating_sub(middle)..to.saturating_sub(middle)])
    }

    pub fn copy(&self, start: u64, end: u64) -> Bytes {
        let (head, tail) = self.pieces(start, end);
        Bytes::from([head, tail].concat())
    }

    /// Frees what lies before a position, where the last reader is.
    pub fn release_to(&mut self, least: u64) {
        while self.first < least && !self.slots.is_empty() {
            self.drop_front();
        }
        if self.slots.is_empty() && self.bytes.capacity() > IDLE_BYTES_MAX {
            self.bytes = VecDeque::new();
        }
    }

    fn drop_front(&mut self) {
        if let Some(slot) = self.slots.pop_front() {
            self.bytes.drain(..(slot.end - self.first_byte) as usize);
            self.first_byte = slot.end;
            self.first += 1;
        }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    #[cfg(test)]
    pub fn limit_frames(&mut self, frames_max: usize) {
        self.limits.frames_max = frames_max;
        while self.slots.len() > 1 && self.is_over() {
            self.drop_front();
        }
    }
}
