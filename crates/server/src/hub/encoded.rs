//! Frames as they go over the wire: encoded and framed once, however many peers get them (design D12).

use bytes::Bytes;
use serde::Serialize;
use syncline_core::protocol::ServerFrame;

/// A text message with its WebSocket header. Server frames are not masked, so the same bytes serve every peer; cloning
/// shares them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    wire: Bytes,
    payload_bytes: usize,
}

/// The longest header: two bytes and a length of eight.
const HEADER_BYTES_MAX: usize = 10;
/// FIN and the opcode of a text message.
const FIN_TEXT: u8 = 0x81;

impl Encoded {
    /// Encodes a frame. Our frames always encode: their maps have text keys.
    pub fn new(frame: &ServerFrame) -> Self {
        Self::json(frame)
    }

    fn json(value: &impl Serialize) -> Self {
        let mut buffer = vec![0; HEADER_BYTES_MAX];
        serde_json::to_writer(&mut buffer, value).expect("frames have text keys only, so they encode");
        let payload_bytes = buffer.len() - HEADER_BYTES_MAX;
        let (header, len) = header(payload_bytes);
        let start = HEADER_BYTES_MAX - len;
        buffer[start..HEADER_BYTES_MAX].copy_from_slice(&header[..len]);
        Self { wire: Bytes::from(buffer).slice(start..), payload_bytes }
    }

    /// Header and payload.
    pub fn wire(&self) -> &Bytes {
        &self.wire
    }

    /// Bytes of the JSON, which is what the limit of a frame counts.
    pub fn payload_len(&self) -> usize {
        self.payload_bytes
    }

    /// A text as JSON, for tests of what carries frames.
    #[cfg(test)]
    pub fn text(text: &str) -> Self {
        Self::json(&text)
    }

    #[cfg(test)]
    pub fn payload(&self) -> &[u8] {
        &self.wire[self.wire.len() - self.payload_bytes..]
    }
}

/// The header of an unmasked text message (RFC 6455 §5.2) and how many bytes of it count.
fn header(payload_bytes: usize) -> ([u8; HEADER_BYTES_MAX], usize) {
    let mut header = [0; HEADER_BYTES_MAX];
    header[0] = FIN_TEXT;
    match u16::try_from(payload_bytes) {
        Ok(len @ 0..=125) => {
            header[1] = len.to_be_bytes()[1];
            (header, 2)
        }
        Ok(len) => {
            header[1] = 126;
            header[2..4].copy_from_slice(&len.to_be_bytes());
            (header, 4)
        }
        Err(_) => {
            header[1] = 127;
            header[2..].copy_from_slice(&(payload_bytes as u64).to_be_bytes());
            (header, HEADER_BYTES_MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lim_1_headers_have_the_shortest_form_of_every_length() {
        for (payload_bytes, expected) in [
            (0, vec![0x81, 0]),
            (125, vec![0x81, 125]),
            (126, vec![0x81, 126, 0, 126]),
            (65_535, vec![0x81, 126, 0xff, 0xff]),
            (65_536, vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let (header, len) = header(payload_bytes);
            assert_eq!(header[..len], expected, "{payload_bytes}");
        }
    }

    #[test]
    fn lim_1_header_and_payload_lie_together() {
        for len in [1, 200, 70_000] {
            let text = "x".repeat(len);
            let encoded = Encoded::text(&text);
            assert_eq!(encoded.payload(), format!("\"{text}\"").as_bytes());
            assert_eq!(encoded.payload_len(), len + 2);
            assert!(encoded.wire().ends_with(encoded.payload()));
        }
    }
}
