//! Frames from clients: parsed strictly, counted, and refused with a reason (spec ERR-2, LIM-1).

use std::borrow::Cow;

use serde::Deserialize;
use std::time::{Duration, Instant};

use syncline_core::protocol::{ClientFrame, Code, Problem};

use crate::json;

/// The type a frame says it has, for the log.
pub fn kind_of(text: &str) -> Cow<'_, str> {
    #[derive(Deserialize)]
    struct Typed<'t> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'t, str>,
    }
    serde_json::from_str::<Typed<'_>>(text).map_or(Cow::Borrowed("unknown"), |typed| typed.kind)
}

/// Malformed frames a peer may send within a minute; one more closes the connection with 4405.
const MALFORMED_PER_MINUTE: usize = 10;
/// Seconds of its rate a peer may send at once.
const BURST_S: u32 = 10;

/// Parses one frame. The error says what is wrong and where, for the peer.
pub fn parse(text: &str) -> Result<ClientFrame, String> {
    json::parse(text.as_bytes()).map_err(|error| format!("This frame is not one of the protocol: {error}."))
}

pub fn malformed(message: &str) -> Problem {
    Problem::new(Code::Malformed, message)
}

/// What a peer has done to its allowances.
pub struct Allowance {
    malformed: std::collections::VecDeque<Instant>,
    frames_per_second: f64,
    tokens: f64,
    refilled: Instant,
}

impl Allowance {
    pub fn new(frames_per_second: u32, now: Instant) -> Self {
        let tokens = f64::from(frames_per_second * BURST_S);
        Self {
            malformed: std::collections::VecDeque::with_capacity(MALFORMED_PER_MINUTE + 1),
            frames_per_second: f64::from(frames_per_second),
            tokens,
            refilled: now,
        }
    }

    /// Counts a malformed frame; false: it was one too many.
    pub fn take_malformed(&mut self, now: Instant) -> bool {
        let minute = Duration::from_secs(60);
        while self.malformed.front().is_some_and(|at| now.saturating_duration_since(*at) >= minute) {
            self.malformed.pop_front();
        }
        self.malformed.push_back(now);
        self.malformed.len() <= MALFORMED_PER_MINUTE
    }

    /// Counts a frame of any kind; false: they come too fast.
    pub fn take_frame(&mut self, now: Instant) -> bool {
        let elapsed_s = now.saturating_duration_since(self.refilled).as_secs_f64();
        let full = self.frames_per_second * f64::from(BURST_S);
        self.tokens = (self.tokens + elapsed_s * self.frames_per_second).min(full);
        self.refilled = now;
        self.tokens -= 1.0;
        self.tokens >= 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn err_2_ten_malformed_frames_a_minute_are_forgiven() {
        let start = crate::clock::instant();
        let mut allowance = Allowance::new(100, start);
        for _ in 0..MALFORMED_PER_MINUTE {
            assert!(allowance.take_malformed(start));
        }
        assert!(!allowance.take_malformed(start + Duration::from_secs(59)));
        assert!(allowance.take_malformed(start + Duration::from_secs(120)));
    }

    #[test]
    fn lim_1_a_flood_of_frames_runs_out_of_allowance() {
        let start = crate::clock::instant();
        let mut allowance = Allowance::new(10, start);
        assert!((0..100).all(|_| allowance.take_frame(start)));
        assert!(!allowance.take_frame(start));
        assert!(allowance.take_frame(start + Duration::from_secs(1)));
    }

    #[test]
    fn err_2_unknown_types_and_shapes_say_what_is_wrong() {
        for text in ["", "null", "[]", "{}", "{\"type\":\"nope\"}", "{\"type\":\"push\"}", "{\"type\":1}", "\u{0}"] {
            let message = parse(text).unwrap_err();
            assert!(message.starts_with("This frame is not one of the protocol: "), "{message}");
        }
        let heartbeat = parse("{\"type\":\"heartbeat\",\"unknown\":{\"x\":1}}");
        assert!(matches!(heartbeat, Ok(ClientFrame::Heartbeat {})), "an unknown member is ignored: {heartbeat:?}");
    }
}
