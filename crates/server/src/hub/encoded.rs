//! Frames as they go over the wire: encoded, compressed and framed once, however many peers get them (design D12).

use std::cell::RefCell;
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress, Status};
use serde::Serialize;
use syncline_core::protocol::ServerFrame;

/// A text message with its WebSocket header. Server frames are not masked, and none refers to an earlier one, so the same
/// bytes serve every peer of a packing; cloning shares them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    wire: Bytes,
    /// The same compressed, made for the first peer that takes it so.
    deflated: OnceLock<Bytes>,
    payload_bytes: usize,
}

/// How a peer takes what it is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Packing {
    #[default]
    Plain,
    /// permessage-deflate was negotiated, without context takeover (RFC 7692).
    Deflated,
}

/// The longest header: two bytes and a length of eight.
const HEADER_BYTES_MAX: usize = 10;
/// FIN and the opcode of a text message.
const FIN_TEXT: u8 = 0x81;
/// RSV1: the message is compressed (RFC 7692 §6).
const COMPRESSED: u8 = 0x40;
/// Shorter messages are not compressed: it would save less than it costs. Bytes.
const DEFLATE_BYTES_MIN: usize = 256;
/// From 0 to 9; higher ones cost more than they save for JSON of a few KiB.
const DEFLATE_LEVEL: u32 = 3;
/// What ends a block that a sync flush has written, and what a message leaves out (RFC 7692 §7.2.1).
const SYNC_TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

impl Encoded {
    /// Encodes a frame. Our frames always encode: their maps have text keys.
    pub fn new(frame: &ServerFrame) -> Self {
        Self::json(frame)
    }

    fn json(value: &impl Serialize) -> Self {
        let mut buffer = vec![0; HEADER_BYTES_MAX];
        serde_json::to_writer(&mut buffer, value).expect("frames have text keys only, so they encode");
        let payload_bytes = buffer.len() - HEADER_BYTES_MAX;
        Self { wire: framed(buffer, FIN_TEXT), deflated: OnceLock::new(), payload_bytes }
    }

    /// Header and payload.
    pub fn wire(&self) -> &Bytes {
        &self.wire
    }

    /// Header and payload as a peer takes them. Compresses when it is the first to ask; short messages, and those that
    /// would not get shorter, stay as they are, which every peer takes.
    pub fn wire_for(&self, packing: Packing) -> &Bytes {
        match packing {
            Packing::Plain => &self.wire,
            Packing::Deflated => self.deflated.get_or_init(|| {
                let payload = &self.wire[self.wire.len() - self.payload_bytes..];
                let is_worth_it = payload.len() >= DEFLATE_BYTES_MIN;
                let deflated = is_worth_it.then(|| deflate(payload)).flatten();
                deflated.map_or_else(|| self.wire.clone(), |buffer| framed(buffer, FIN_TEXT | COMPRESSED))
            }),
        }
    }

    /// Bytes of the JSON, which is what the limit of a frame counts.
    pub fn payload_len(&self) -> usize {
        self.payload_bytes
    }

    /// The JSON.
    pub fn as_text(&self) -> &str {
        std::str::from_utf8(&self.wire[self.wire.len() - self.payload_bytes..]).expect("JSON is UTF-8")
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

thread_local! {
    /// A thread compresses one message after the other; 300 KiB for each thread that does.
    static COMPRESSOR: RefCell<Compress> = RefCell::new(Compress::new(Compression::new(DEFLATE_LEVEL), false));
}

/// A payload compressed by itself, after room for a header. `None`: it would not get shorter.
fn deflate(payload: &[u8]) -> Option<Vec<u8>> {
    // The output has room for less than the payload, and what does not fit is not worth it.
    let mut buffer = Vec::with_capacity(HEADER_BYTES_MAX + payload.len());
    buffer.resize(HEADER_BYTES_MAX, 0);
    let (status, taken) = COMPRESSOR.with_borrow_mut(|compressor| {
        compressor.reset();
        let status = compressor.compress_vec(payload, &mut buffer, FlushCompress::Sync);
        (status, compressor.total_in())
    });
    let is_whole = matches!(status, Ok(Status::Ok)) && taken == payload.len() as u64 && buffer.ends_with(&SYNC_TAIL);
    buffer.truncate(buffer.len() - SYNC_TAIL.len());
    buffer.shrink_to_fit();
    (is_whole && buffer.len() - HEADER_BYTES_MAX < payload.len()).then_some(buffer)
}

/// Puts the header before a payload that lies behind room for it.
fn framed(mut buffer: Vec<u8>, first_byte: u8) -> Bytes {
    let (header, len) = header(buffer.len() - HEADER_BYTES_MAX, first_byte);
    let start = HEADER_BYTES_MAX - len;
    buffer[start..HEADER_BYTES_MAX].copy_from_slice(&header[..len]);
    Bytes::from(buffer).slice(start..)
}

/// The header of an unmasked message (RFC 6455 §5.2) and how many bytes of it count.
fn header(payload_bytes: usize, first_byte: u8) -> ([u8; HEADER_BYTES_MAX], usize) {
    let mut header = [0; HEADER_BYTES_MAX];
    header[0] = first_byte;
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
            let (header, len) = header(payload_bytes, FIN_TEXT);
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

    /// A message as a peer with a fresh window reads it.
    fn inflated(payload: &[u8]) -> Vec<u8> {
        let mut whole = Vec::with_capacity(1 << 20);
        let input = [payload, &SYNC_TAIL].concat();
        let mut window = flate2::Decompress::new(false);
        window.decompress_vec(&input, &mut whole, flate2::FlushDecompress::Sync).unwrap();
        whole
    }

    #[test]
    fn hub_10_each_message_is_compressed_by_itself_and_once() {
        for text in ["syncline ".repeat(40), "{\"rv\":17}".repeat(1_000), "a".repeat(200_000)] {
            let encoded = Encoded::text(&text);
            let wire = encoded.wire_for(Packing::Deflated).clone();
            assert_eq!(wire[0], FIN_TEXT | COMPRESSED);
            let header_len = header(wire.len() - 2, 0).1;
            assert_eq!(inflated(&wire[header_len..]), encoded.payload(), "{}", text.len());
            assert!(wire.len() < encoded.wire().len() / 2);
            assert_eq!(wire.as_ptr(), encoded.wire_for(Packing::Deflated).as_ptr(), "not compressed again");
            assert_eq!(encoded.wire_for(Packing::Plain), encoded.wire());
        }
    }

    #[test]
    fn hub_10_what_would_not_get_shorter_stays_as_it_is() {
        let mut state = 1_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from_u32(u32::try_from(0x4e00 + (state >> 33) % 20_000).unwrap()).unwrap()
        };
        for text in [String::new(), "short".to_owned(), "x".repeat(200), (0..300).map(|_| random()).collect()] {
            let encoded = Encoded::text(&text);
            let wire = encoded.wire_for(Packing::Deflated);
            let is_compressed = wire[0] & COMPRESSED != 0;
            assert!(wire.len() <= encoded.wire().len());
            assert!(!is_compressed || text.len() > DEFLATE_BYTES_MIN, "{text}");
        }
    }
}
