//! Dates and moments.

use jiff::civil;
use jiff::tz::{Offset, TimeZoneDatabase};

use crate::Value;

const DATE_EXPECTED: &str = "expected a date YYYY-MM-DD";
const TIMESTAMP_EXPECTED: &str = "expected a time like 2026-11-21T09:30:00.000Z or 2026-11-21T10:30:00+01:00";

/// `YYYY-MM-DD`, years 0001 to 9999.
pub(super) fn date(value: Value) -> Result<Value, String> {
    let is_date = value.as_str().is_some_and(|text| text.len() == 10 && civil_date(text.as_bytes()).is_some());
    if is_date { Ok(value) } else { Err(DATE_EXPECTED.to_owned()) }
}

/// RFC 3339 with any offset, brought to UTC with milliseconds; finer fractions are cut off. A leap second (`23:59:60` in
/// UTC) becomes the last millisecond of its minute.
pub(super) fn timestamp(value: Value) -> Result<Value, String> {
    let text = value.as_str().ok_or(TIMESTAMP_EXPECTED)?;
    let moment = Moment::read(text.as_bytes()).ok_or(TIMESTAMP_EXPECTED)?;
    if moment.is_canonical(text) {
        return Ok(value);
    }
    moment.utc_text().map(Value::String).ok_or_else(|| TIMESTAMP_EXPECTED.to_owned())
}

/// The canonical name of an IANA time zone of the bundled database.
pub(super) fn zone_name(name: &str) -> Option<String> {
    static ZONES: std::sync::OnceLock<TimeZoneDatabase> = std::sync::OnceLock::new();
    let zone = ZONES.get_or_init(TimeZoneDatabase::bundled).get(name).ok()?;
    zone.iana_name().filter(|name| *name != "Etc/Unknown").map(str::to_owned)
}

struct Moment {
    date: civil::Date,
    hour: i8,
    minute: i8,
    /// 60 in a leap second.
    second: i8,
    millisecond: i16,
    offset_s: i32,
}

impl Moment {
    /// `YYYY-MM-DDTHH:MM:SS[.digits](Z|±HH:MM)`, `T` and `Z` in either case.
    fn read(text: &[u8]) -> Option<Self> {
        let (date, rest) = text.split_at_checked(10)?;
        let (clock, rest) = rest.split_at_checked(9)?;
        let [b'T' | b't', h1, h2, b':', m1, m2, b':', s1, s2] = clock else { return None };
        let (hour, minute, second) = (two(*h1, *h2)?, two(*m1, *m2)?, two(*s1, *s2)?);
        let (millisecond, zone) = match rest.split_first()? {
            (b'.', rest) => fraction(rest)?,
            _ => (0, rest),
        };
        let offset_s = match zone {
            [b'Z' | b'z'] => 0,
            [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
                let (hours, minutes) = (i32::from(two(*h1, *h2)?), i32::from(two(*m1, *m2)?));
                let size = (hours <= 23 && minutes <= 59).then_some(hours * 3600 + minutes * 60)?;
                if *sign == b'-' { -size } else { size }
            }
            _ => return None,
        };
        let is_valid = hour <= 23 && minute <= 59 && second <= 60;
        is_valid.then_some(Self { date: civil_date(date)?, hour, minute, second, millisecond, offset_s })
    }

    fn is_canonical(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        bytes.len() == 24 && bytes[10] == b'T' && bytes[23] == b'Z' && self.second < 60
    }

    fn utc_text(&self) -> Option<String> {
        let is_leap = self.second == 60;
        let (second, millisecond) = if is_leap { (59, 999) } else { (self.second, self.millisecond) };
        let local = self.date.at(self.hour, self.minute, second, i32::from(millisecond) * 1_000_000);
        let offset = Offset::from_seconds(self.offset_s).ok()?;
        let utc = Offset::UTC.to_datetime(offset.to_timestamp(local).ok()?);
        let is_possible = !is_leap || (utc.hour() == 23 && utc.minute() == 59);
        let (year, month, day) = (utc.year(), utc.month(), utc.day());
        let (hour, minute, second, ms) = (utc.hour(), utc.minute(), utc.second(), utc.millisecond());
        (is_possible && (1..=9999).contains(&year))
            .then(|| format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z"))
    }
}

/// Fraction digits as whole milliseconds, and what follows them.
fn fraction(text: &[u8]) -> Option<(i16, &[u8])> {
    let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let digits = text[..len].iter().chain(b"00").take(3);
    (len > 0).then(|| (digits.fold(0, |ms, digit| ms * 10 + i16::from(digit - b'0')), &text[len..]))
}

fn civil_date(text: &[u8]) -> Option<civil::Date> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else { return None };
    let year = i16::from(two(*y1, *y2)?) * 100 + i16::from(two(*y3, *y4)?);
    let date = civil::Date::new(year, two(*m1, *m2)?, two(*d1, *d2)?).ok()?;
    (year >= 1).then_some(date)
}

fn two(tens: u8, ones: u8) -> Option<i8> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| ((tens - b'0') * 10 + (ones - b'0')) as i8)
}
