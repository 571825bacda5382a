//! What a session counts about itself for analytics (OPS-5): told now and then while it lasts, and in a row of its own when it
//! has ended.

use std::time::{Duration, Instant};

use syncline_core::TimestampMs;
use syncline_core::principal::Principal;
use syncline_storage::analytics::{ConnectionRow, DeviceCounts};

use super::session::{End, Session};
use crate::analytics::Whose;
use crate::clock;
use crate::hub::Traffic;

/// How often a session that hears something tells what it has counted, so that a day's sums are of that day.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// Close codes of WebSocket's own (RFC 6455): what every peer knows.
const CODE_NORMAL: u16 = 1_000;
const CODE_BROKEN: u16 = 1_006;
const CODE_TOO_BIG: u16 = 1_009;

/// What carries a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    WebSocket,
    EventStream,
    LongPoll,
}

impl Transport {
    fn as_str(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::EventStream => "event_stream",
            Self::LongPoll => "long_poll",
        }
    }
}

/// The counts of one session.
pub struct Tally {
    transport: Transport,
    opened_ms: TimestampMs,
    pub frames_in: u64,
    /// Mutations decided.
    pub mutations: u64,
    told: Told,
}

/// What is in the sums already.
struct Told {
    /// `None`: nothing, not even that there is a connection.
    at: Option<Instant>,
    traffic: Traffic,
    mutations: u64,
}

impl Tally {
    pub fn new(transport: Transport) -> Self {
        let told = Told { at: None, traffic: Traffic::default(), mutations: 0 };
        Self { transport, opened_ms: clock::now_ms(), frames_in: 0, mutations: 0, told }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.told.at.is_none_or(|at| now.saturating_duration_since(at) >= TELL_EVERY)
    }

    /// What has come to pass since the last time. `opened`: when the session began.
    fn take(&mut self, traffic: Traffic, (opened, now): (Instant, Instant)) -> DeviceCounts {
        let since = self.told.at.unwrap_or(opened);
        let counts = DeviceCounts {
            connections: self.told.at.is_none().into(),
            connected_ms: u64::try_from(now.saturating_duration_since(since).as_millis()).unwrap_or(u64::MAX),
            bytes_in: traffic.bytes_in.saturating_sub(self.told.traffic.bytes_in),
            bytes_out: traffic.bytes_out.saturating_sub(self.told.traffic.bytes_out),
            mutations: self.mutations - self.told.mutations,
            ..DeviceCounts::default()
        };
        self.told = Told { at: Some(now), traffic, mutations: self.mutations };
        counts
    }
}

impl<'a> From<&'a Principal> for Whose<'a> {
    fn from(principal: &'a Principal) -> Self {
        Self { workspace_id: &principal.workspace_id, user_id: principal.user_id, device_id: principal.device_id }
    }
}

impl Session {
    /// Tells what it has counted when that is due.
    pub(super) fn tell_usage(&mut self, now: Instant) {
        let Some(identity) = self.identity.as_ref().filter(|_| self.tally.is_due(now)) else { return };
        let counts = self.tally.take(self.socket.traffic(), (self.opened, now));
        self.app.analytics.device(Whose::from(&identity.principal), clock::now_ms(), &counts);
    }

    /// What is told when the session has ended: what is left to count, and a row about all of it. `None`: nobody was behind
    /// it.
    pub(super) fn last_words(&mut self, end: &End) -> Option<LastWords> {
        let principal = self.identity.as_ref()?.principal.clone();
        let (close_code, reason) = match end {
            End::Gone => (CODE_BROKEN, "the connection broke off"),
            End::Left => (CODE_NORMAL, "the client left"),
            End::Close(code, reason) => (*code as u16, *reason),
            End::TooBig => (CODE_TOO_BIG, "a frame was too big"),
        };
        let row = ConnectionRow {
            workspace_id: principal.workspace_id.clone(),
            connection_id: self.connection_id,
            user_id: principal.user_id,
            device_id: principal.device_id,
            deployment_mode: self.mode,
            transport: self.tally.transport.as_str().to_owned(),
            opened_ms: self.tally.opened_ms,
            closed_ms: 0,
            close_code,
            reason: reason.to_owned(),
            bytes_in: 0,
            bytes_out: 0,
            frames_in: self.tally.frames_in,
            mutations: self.tally.mutations,
        };
        let tally = std::mem::replace(&mut self.tally, Tally::new(Transport::WebSocket));
        Some(LastWords { tally, row, opened: self.opened })
    }
}

/// A session that is closing.
pub(super) struct LastWords {
    tally: Tally,
    row: ConnectionRow,
    opened: Instant,
}

impl LastWords {
    /// Notes it, with what went over the wire until the end.
    pub(super) fn say(mut self, analytics: &crate::analytics::Analytics, traffic: Traffic) {
        let counts = self.tally.take(traffic, (self.opened, clock::instant()));
        let now = clock::now_ms();
        let whose =
            Whose { workspace_id: &self.row.workspace_id, user_id: self.row.user_id, device_id: self.row.device_id };
        analytics.device(whose, now, &counts);
        let Traffic { bytes_in, bytes_out } = traffic;
        analytics.closed(ConnectionRow { closed_ms: now, bytes_in, bytes_out, ..self.row });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ops_5_what_a_session_tells_in_parts_adds_up_to_what_it_did() {
        let opened = clock::instant();
        let at = |ms| opened + Duration::from_millis(ms);
        let mut tally = Tally::new(Transport::LongPoll);
        assert!(tally.is_due(opened), "that there is a connection is told at once");
        let mut sum = tally.take(Traffic { bytes_in: 10, bytes_out: 0 }, (opened, at(5)));
        assert_eq!((sum.connections, sum.connected_ms), (1, 5));
        tally.mutations = 3;
        assert!(!tally.is_due(at(60_004)) && tally.is_due(at(60_005)));
        sum.add(&tally.take(Traffic { bytes_in: 12, bytes_out: 7 }, (opened, at(60_005))));
        sum.add(&tally.take(Traffic { bytes_in: 12, bytes_out: 8 }, (opened, at(60_006))));
        let expected = DeviceCounts {
            connections: 1,
            connected_ms: 60_006,
            bytes_in: 12,
            bytes_out: 8,
            mutations: 3,
            ..DeviceCounts::default()
        };
        assert_eq!(sum, expected);
    }
}
