//! What happened, as a hash that must be the same for the same seed, and as text when somebody looks.

use crate::world::Event;

#[derive(Debug)]
pub struct Trace {
    hash: u64,
    /// Kept only on request.
    pub lines: Option<Vec<String>>,
}

impl Trace {
    pub fn new(keeps_lines: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, lines: keeps_lines.then(Vec::new) }
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn event(&mut self, now_ms: u64, event: &Event) {
        let mut mix = |bytes: &[u8]| {
            for byte in bytes {
                self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        };
        mix(&now_ms.to_be_bytes());
        match event {
            Event::ToServer { conn, text } | Event::ToClient { conn, text } => {
                mix(&conn.to_be_bytes());
                mix(text.as_bytes());
            }
            Event::Work => mix(b"work"),
            Event::Commit => mix(b"commit"),
            Event::Wake { device } => mix(&device.to_be_bytes()),
            _ => mix(b"other"),
        }
        if let Some(lines) = &mut self.lines
            && !matches!(event, Event::Check)
        {
            lines.push(format!("{:>9.3} {event:?}", now_ms as f64 / 1_000.0));
        }
    }
}
