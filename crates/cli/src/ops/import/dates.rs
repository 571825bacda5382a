//! Dates as people write them. Where day and month could be either, nobody guesses.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// In which order a date written with `/`, `.` or `-` gives its parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DateOrder {
    Dmy,
    Mdy,
    Ymd,
}

/// What the dates of a column say about their own order.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Evidence {
    /// Dates with a first part over 12: only a day.
    pub day_first: u64,
    /// Dates with a second part over 12.
    pub month_first: u64,
    /// Dates that could be read either way and mean something else each time.
    pub either: u64,
}

impl Evidence {
    pub fn note(&mut self, text: &str) {
        let Some(Parts { numbers: [first, second, _], is_year_first: false, .. }) = parts(text) else { return };
        match (first > 12, second > 12) {
            (true, false) => self.day_first += 1,
            (false, true) => self.month_first += 1,
            (false, false) if first != second => self.either += 1,
            _ => {}
        }
    }
    /// The order the column itself proves: some date is only possible that way and none only the other way.
    pub fn proven(&self) -> Option<DateOrder> {
        match (self.day_first > 0, self.month_first > 0) {
            (true, false) => Some(DateOrder::Dmy),
            (false, true) => Some(DateOrder::Mdy),
            _ => None,
        }
    }
    /// Whether reading the column would be guessing.
    pub fn is_ambiguous(&self) -> bool {
        self.either > 0 && self.proven().is_none()
    }
}

struct Parts<'a> {
    numbers: [u32; 3],
    is_year_first: bool,
    /// What follows the date: a time, or nothing.
    rest: &'a str,
}

fn parts(text: &str) -> Option<Parts<'_>> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '/' | '.' | '-'))).unwrap_or(text.len());
    let (date, rest) = text.split_at(end);
    let mut pieces = date.split(['/', '.', '-']);
    let (first, second, third) = (pieces.next()?, pieces.next()?, pieces.next()?);
    let is_number = |piece: &str| (1..=4).contains(&piece.len());
    if pieces.next().is_some() || ![first, second, third].into_iter().all(is_number) {
        return None;
    }
    let numbers = [first.parse().ok()?, second.parse().ok()?, third.parse().ok()?];
    let is_year_first = first.len() == 4;
    (is_year_first || third.len() == 4 || third.len() == 2).then_some(Parts { numbers, is_year_first, rest })
}

/// `YYYY-MM-DD`, and what followed it. What does not look like a date comes back as `None`.
fn iso_date(text: &str, order: Option<DateOrder>) -> Option<Result<(String, &str), String>> {
    let Parts { numbers: [a, b, c], is_year_first, rest } = parts(text)?;
    let read = match (is_year_first, order) {
        (true, _) => Ok((a, b, c)),
        (false, Some(DateOrder::Dmy)) => Ok((c, b, a)),
        (false, Some(DateOrder::Mdy)) => Ok((c, a, b)),
        (false, Some(DateOrder::Ymd)) => Err("expected a date that begins with its year (--date-order ymd)".to_owned()),
        (false, None) if a == b => Ok((c, a, b)),
        (false, None) => Err("day and month could be either: say which with --date-order dmy or mdy".to_owned()),
    };
    let written = read.and_then(|(year, month, day)| match year {
        0..100 => Err("expected a year with four digits".to_owned()),
        _ => Ok((format!("{year:04}-{month:02}-{day:02}"), rest)),
    });
    Some(written)
}

/// A date in the form the schema wants, or the text as it was for the schema to refuse.
pub fn date(text: &str, order: Option<DateOrder>) -> Result<String, String> {
    match iso_date(text, order) {
        Some(Ok((date, rest))) if rest.is_empty() || is_midnight(rest) => Ok(date),
        Some(Err(error)) => Err(error),
        Some(Ok(_)) | None => Ok(text.trim().to_owned()),
    }
}

fn is_midnight(rest: &str) -> bool {
    let rest = rest.trim_start_matches(['T', ' ']).trim_end_matches('Z');
    !rest.is_empty() && rest.chars().all(|c| matches!(c, '0' | ':' | '.'))
}

/// A moment in the form the schema wants; a time without a zone counts as UTC, a date without a time as its midnight.
pub fn timestamp(text: &str, order: Option<DateOrder>) -> Result<String, String> {
    let (date, rest) = match iso_date(text, order) {
        Some(read) => read?,
        None => return Ok(text.trim().to_owned()),
    };
    let time = rest.trim_start_matches(['T', ' ']);
    if time.is_empty() {
        return Ok(format!("{date}T00:00:00Z"));
    }
    let clock_end = time.find(|c: char| !(c.is_ascii_digit() || matches!(c, ':' | '.'))).unwrap_or(time.len());
    let (clock, zone) = time.split_at(clock_end);
    let seconds = if clock.matches(':').count() == 1 { ":00" } else { "" };
    let zone = if zone.trim().is_empty() { "Z" } else { zone.trim() };
    Ok(format!("{date}T{clock}{seconds}{zone}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imp_1_ambiguous_dates_are_asked_not_guessed() {
        assert!(date("03/04/2024", None).is_err());
        assert_eq!(date("03/04/2024", Some(DateOrder::Dmy)).unwrap(), "2024-04-03");
        assert_eq!(date("03/04/2024", Some(DateOrder::Mdy)).unwrap(), "2024-03-04");
        assert_eq!(date("2024-04-03", None).unwrap(), "2024-04-03");
        assert_eq!(date("2024/4/3", Some(DateOrder::Dmy)).unwrap(), "2024-04-03");
        assert!(date("03/04/24", Some(DateOrder::Dmy)).is_err());
        assert_eq!(timestamp("03.04.2024 09:30", Some(DateOrder::Dmy)).unwrap(), "2024-04-03T09:30:00Z");
        assert_eq!(timestamp("2024-04-03T09:30:00+02:00", None).unwrap(), "2024-04-03T09:30:00+02:00");
        let mut evidence = Evidence::default();
        evidence.note("03/04/2024");
        assert!(evidence.is_ambiguous());
        evidence.note("10/20/2016");
        assert_eq!(evidence.proven(), Some(DateOrder::Mdy));
        evidence.note("20/10/2016");
        assert!(evidence.is_ambiguous());
    }
}
