//! Rows as lines of PostgreSQL's `COPY` text format: fields with tabs between them, NULL as `\N`.

use rusqlite::types::{Value, ValueRef};
use syncline_core::storage::StoreResult;
use uuid::Uuid;

use crate::sqlite::corrupt;

/// Whole lines.
#[derive(Default)]
pub(super) struct Chunk {
    pub(super) lines: Vec<u8>,
    pub(super) rows: u64,
}

/// Bytes from which a chunk is sent.
pub(super) const CHUNK_BYTES: usize = 1 << 18;

/// How a column's values are written in each database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Text in both; on PostgreSQL also a type whose text is the canonical one: decimals, dates, JSON.
    Plain,
    /// Text that may hold U+0000, which PostgreSQL's cannot: there U+0001 announces `0` for it and `1` for itself.
    Escaped,
    /// A timestamp in the canonical form, as the server would not write it by itself.
    Timestamp,
    Integer,
    /// 0 or 1 on SQLite.
    Boolean,
    /// UUID; on SQLite 16 bytes.
    Id,
    /// UUID; on SQLite text.
    IdText,
    Bytes,
}

impl Chunk {
    /// Appends a field of the row under way.
    pub(super) fn push(&mut self, kind: Kind, value: ValueRef<'_>) -> StoreResult<()> {
        let out = &mut self.lines;
        match (kind, value) {
            (_, ValueRef::Null) => out.extend_from_slice(b"\\N"),
            (Kind::Plain | Kind::Timestamp, ValueRef::Text(text)) => text.iter().for_each(|byte| escape(out, *byte)),
            (Kind::Escaped, ValueRef::Text(text)) => {
                for byte in text {
                    match byte {
                        0 => out.extend_from_slice(b"\x010"),
                        1 => out.extend_from_slice(b"\x011"),
                        byte => escape(out, *byte),
                    }
                }
            }
            (Kind::Integer, ValueRef::Integer(number)) => out.extend_from_slice(number.to_string().as_bytes()),
            (Kind::Boolean, ValueRef::Integer(flag @ 0..=1)) => out.push(if flag == 1 { b't' } else { b'f' }),
            (Kind::Id, ValueRef::Blob(bytes)) => {
                let id = Uuid::from_slice(bytes).map_err(|_| corrupt(format!("an id of {} bytes", bytes.len())))?;
                out.extend_from_slice(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
            }
            (Kind::IdText, ValueRef::Text(text)) => out.extend_from_slice(text),
            (Kind::Bytes, ValueRef::Blob(bytes)) => {
                out.extend_from_slice(b"\\\\x");
                for byte in bytes {
                    out.extend([byte >> 4, byte & 15].map(|half| b"0123456789abcdef"[half as usize]));
                }
            }
            (kind, other) => return Err(corrupt(format!("a column of {kind:?} holds {:?}", other.data_type()))),
        }
        Ok(())
    }

    pub(super) fn end_field(&mut self) {
        self.lines.push(b'\t');
    }

    /// Ends the row: what follows its last field is a line's end.
    pub(super) fn end_row(&mut self) {
        self.lines.pop();
        self.lines.push(b'\n');
        self.rows += 1;
    }
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\t' => out.extend_from_slice(b"\\t"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        byte => out.push(byte),
    }
}

/// The fields of a line without its end, as SQLite stores them.
pub(super) fn decode(kinds: &[Kind], line: &[u8]) -> StoreResult<Vec<Value>> {
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b'\t').collect();
    if fields.len() != kinds.len() {
        return Err(corrupt(format!("a row has {} fields, not {}", fields.len(), kinds.len())));
    }
    kinds.iter().zip(fields).map(|(kind, field)| value(*kind, field)).collect()
}

fn value(kind: Kind, field: &[u8]) -> StoreResult<Value> {
    if field == b"\\N" {
        return Ok(Value::Null);
    }
    let text = String::from_utf8(unescape(field)).map_err(|error| corrupt(format!("not UTF-8: {error}")))?;
    let bad = || corrupt(format!("not a value of {kind:?}"));
    Ok(match kind {
        Kind::Plain | Kind::Timestamp | Kind::IdText => Value::Text(text),
        Kind::Escaped => Value::Text(text.replace("\u{1}0", "\0").replace("\u{1}1", "\u{1}")),
        Kind::Integer => Value::Integer(text.parse().map_err(|_| bad())?),
        Kind::Boolean => Value::Integer((text == "t").into()),
        Kind::Id => Value::Blob(text.parse::<Uuid>().map_err(|_| bad())?.into_bytes().to_vec()),
        Kind::Bytes => Value::Blob(hex(text.strip_prefix("\\x").ok_or_else(bad)?).ok_or_else(bad)?),
    })
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::try_from(digit(pair[0])? * 16 + digit(*pair.get(1)?)?).ok()).collect()
}

/// The server writes a few control characters as letters.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut bytes = field.iter();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'\\' => match bytes.next() {
                Some(b'b') => 8,
                Some(b'f') => 12,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'v') => 11,
                Some(other) => *other,
                None => break,
            },
            byte => *byte,
        };
        out.push(byte);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sto_3_every_value_survives_its_line() {
        let texts = ["", "a\tb\\c\nd\re", "\\N", "\\.", "\u{8}\u{b}\u{c}", "{\"a\":\"\\u0000\"}"];
        let id = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);
        let mut table: Vec<(Kind, Value)> = Vec::new();
        for text in texts {
            table.extend([Kind::Plain, Kind::Escaped].map(|kind| (kind, Value::Text(text.to_owned()))));
        }
        table.push((Kind::Escaped, Value::Text("\0\u{1}1\0\u{1}0\u{1}".to_owned())));
        table.extend([i64::MIN, 0, i64::MAX].map(|number| (Kind::Integer, Value::Integer(number))));
        table.extend([0, 1].map(|flag| (Kind::Boolean, Value::Integer(flag))));
        table.push((Kind::Id, Value::Blob(id.as_bytes().to_vec())));
        table.push((Kind::IdText, Value::Text(id.to_string())));
        table.push((Kind::Bytes, Value::Blob((0..=255).collect())));
        table.push((Kind::Bytes, Value::Blob(Vec::new())));
        table.push((Kind::Timestamp, Value::Null));
        let mut chunk = Chunk::default();
        for (kind, value) in &table {
            chunk.push(*kind, value.into()).unwrap();
            chunk.end_field();
        }
        chunk.end_row();
        let line = chunk.lines.strip_suffix(b"\n").unwrap();
        assert!(!line.contains(&b'\n') && !line.contains(&0));
        let (kinds, values): (Vec<_>, Vec<_>) = table.into_iter().unzip();
        assert_eq!(decode(&kinds, line).unwrap(), values);
    }
}
