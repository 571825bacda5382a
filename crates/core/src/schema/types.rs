//! Field types and the canonical form of their values.

use super::Pattern;
use crate::Name;

/// What a field holds. The canonical form is what is stored, compared, hashed and sent.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldType {
    /// Text of at most `max_len` Unicode scalar values, without NUL. Canonical: as written (formats may normalise).
    Text {
        max_len: u32,
        format: Option<Format>,
    },
    /// One of the declared words.
    Choice {
        choices: Vec<Name>,
    },
    /// Whole number in `min..=max`, within ±(2^53 − 1). `12.0` is 12.
    Integer {
        min: i64,
        max: i64,
    },
    /// Exact decimal as JSON text: `-?digits[.digits]`, no exponent, exactly `scale` fraction digits (`"12.50"`), at
    /// most `precision` digits in all. A JSON number or shorter text is accepted and brought to that form; more fraction
    /// digits than `scale` are refused, never rounded. `min`/`max` are inclusive canonical bounds.
    Decimal {
        precision: u8,
        scale: u8,
        min: Option<String>,
        max: Option<String>,
    },
    Boolean,
    /// `YYYY-MM-DD`.
    Date,
    /// RFC 3339 in UTC with milliseconds: `2026-11-21T09:30:00.000Z`. Any offset is accepted and converted; finer
    /// fractions are cut off; a leap second is the last millisecond of its minute.
    Timestamp,
    /// Lower-case hyphenated UUID text.
    Uuid,
    /// Any JSON up to `max_bytes` when encoded without spaces, at most 16 levels deep, with numbers within ±(2^53 − 1).
    Json {
        max_bytes: u32,
    },
    /// JSON array of distinct texts in order of their code points (not of UTF-16 units), none blank; at most
    /// `max_items` items of at most `max_len` characters. In a create: the array. In an update: `{"add": [..],
    /// "remove": [..]}`, or an array, which means: add what is new, remove what its author had seen and left out.
    Set {
        items: SetItem,
        max_items: u32,
        max_len: u32,
    },
    /// Whole number whose update is `{"inc": n}`; a plain number sets it.
    Counter,
}

/// What a set holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetItem {
    Text,
    /// Compared and stored trimmed and in Unicode lower case (tags).
    FoldedText,
    Uuid,
}

/// Formats of text fields.
#[derive(Debug, Clone, PartialEq)]
pub enum Format {
    /// RFC 5321 mailbox, also with international characters; canonical: the domain lower-cased, the rest as written.
    Email,
    /// A phone number, 1–40 characters, at least 3 digits. Kept as written.
    Phone,
    /// `http:` or `https:` URL without user name and password. Kept as written.
    Url,
    /// `https:` URL.
    HttpsUrl,
    /// ISO 4217 code, three letters. Canonical: upper case.
    Currency,
    /// ISO 3166 alpha-2, two letters. Canonical: upper case.
    Country,
    /// IANA time zone name. Canonical: in the case of the database.
    Timezone,
    /// BCP 47 language tag, well-formed.
    Language,
    /// `[a-z0-9][a-z0-9-]{2,39}`.
    Slug,
    /// Fractional index: 1–64 of `0-9A-Za-z`, not ending in `0`.
    Position,
    /// Something other than white space.
    NotBlank,
    /// Host name with at least one dot (a company's domain). Canonical: lower case.
    Hostname,
    /// A regular expression that the whole text must match, with what to say when it does not.
    Pattern(Pattern),
}
