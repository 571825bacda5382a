//! Content-Encoding of a stream: lines in, bytes out in chunks.

use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use flate2::Compression;
use flate2::write::GzEncoder;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Zstd,
    Gzip,
    Identity,
}

/// Fast levels: a snapshot is bound by what the server can read and encode, and JSON rows compress well at any level.
const ZSTD_LEVEL: i32 = 1;
const GZIP_LEVEL: u32 = 1;

impl Encoding {
    /// The first of zstd and gzip that `Accept-Encoding` takes.
    pub fn negotiate(headers: &HeaderMap) -> Self {
        let mut accepted = Vec::new();
        for value in headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()) {
            accepted.extend(value.split(',').filter_map(accepted_coding));
        }
        if accepted.iter().any(|coding| coding == "zstd") {
            Self::Zstd
        } else if accepted.iter().any(|coding| coding == "gzip") {
            Self::Gzip
        } else {
            Self::Identity
        }
    }

    pub fn header(self) -> Option<&'static str> {
        match self {
            Self::Zstd => Some("zstd"),
            Self::Gzip => Some("gzip"),
            Self::Identity => None,
        }
    }
}

/// The coding of one element of `Accept-Encoding`, unless its weight is 0.
fn accepted_coding(element: &str) -> Option<String> {
    let mut parts = element.split(';').map(str::trim);
    let coding = parts.next()?.to_ascii_lowercase();
    let is_refused =
        parts.any(|part| part.strip_prefix("q=").is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q == 0.0)));
    (!is_refused).then_some(coding)
}

/// Writes into memory; [`Encoder::take`] empties it.
pub enum Encoder {
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Gzip(GzEncoder<Vec<u8>>),
    Identity(Vec<u8>),
}

impl Encoder {
    pub fn new(encoding: Encoding) -> std::io::Result<Self> {
        Ok(match encoding {
            Encoding::Zstd => Self::Zstd(zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?),
            Encoding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL))),
            Encoding::Identity => Self::Identity(Vec::new()),
        })
    }

    fn buffer(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Zstd(encoder) => encoder.get_mut(),
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Identity(buffer) => buffer,
        }
    }

    /// Bytes that are ready.
    pub fn ready(&mut self) -> usize {
        self.buffer().len()
    }

    /// Takes the bytes that are ready.
    pub fn take(&mut self) -> Bytes {
        std::mem::take(self.buffer()).into()
    }

    /// Ends the stream and takes what is left.
    pub fn finish(self) -> std::io::Result<Bytes> {
        let buffer = match self {
            Self::Zstd(encoder) => encoder.finish()?,
            Self::Gzip(encoder) => encoder.finish()?,
            Self::Identity(buffer) => buffer,
        };
        Ok(buffer.into())
    }
}

impl std::io::Write for Encoder {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Zstd(encoder) => encoder.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Identity(buffer) => buffer.write(bytes),
        }
    }
    /// Makes everything written so far decodable by the peer.
    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Zstd(encoder) => encoder.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Identity(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn snp_1_encodings_are_negotiated() {
        let of = |text: &'static str| {
            Encoding::negotiate(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(text))]))
        };
        assert_eq!(of("gzip, deflate, br, zstd"), Encoding::Zstd);
        assert_eq!(of("gzip, zstd;q=0"), Encoding::Gzip);
        assert_eq!(of("br"), Encoding::Identity);
        assert_eq!(Encoding::negotiate(&HeaderMap::new()), Encoding::Identity);
    }

    #[test]
    fn snp_1_a_flushed_stream_decodes_before_it_ends() {
        let mut encoder = Encoder::new(Encoding::Zstd).unwrap();
        writeln!(encoder, "first").unwrap();
        encoder.flush().unwrap();
        let first = encoder.take();
        writeln!(encoder, "second").unwrap();
        let mut all = first.to_vec();
        all.extend(encoder.finish().unwrap());
        assert_eq!(zstd::stream::decode_all(all.as_slice()).unwrap(), b"first\nsecond\n");
    }
}
