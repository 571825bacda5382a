//! Whole numbers and exact decimals, without floating-point arithmetic.

use std::cmp::Ordering;

use serde_json::Map;

use crate::Value;

/// The largest whole number that every JSON reader keeps exact: 2^53 − 1.
pub(super) const EXACT_MAX: i64 = (1 << 53) - 1;
/// Below this a shortest decimal text needs an exponent in some languages.
const PLAIN_MIN: f64 = 1e-6;

/// A whole number in `min..=max`. `12.0` is 12, as languages with one number type write both alike.
pub(super) fn integer(value: &Value, min: i64, max: i64) -> Result<Value, String> {
    let whole = whole(value).filter(|number| (min..=max).contains(number));
    whole.map(Value::from).ok_or_else(|| match (min, max) {
        (min, max) if min == -EXACT_MAX && max == EXACT_MAX => "expected a whole number within ±(2^53 − 1)".to_owned(),
        (min, max) if max == EXACT_MAX => format!("expected a whole number from {min}"),
        (min, max) => format!("expected a whole number from {min} to {max}"),
    })
}

/// The number as an integer within ±(2^53 − 1), if it is one.
pub(super) fn whole(value: &Value) -> Option<i64> {
    if let Some(number) = value.as_i64() {
        return (-EXACT_MAX..=EXACT_MAX).contains(&number).then_some(number);
    }
    let number = value.as_f64().filter(|number| number.fract() == 0.0 && number.abs() <= EXACT_MAX as f64)?;
    Some(number as i64)
}

/// The patch of a counter: `{"inc": n}` or a number.
pub(super) fn counter_patch(value: Value) -> Result<Value, String> {
    let expected = || "expected {\"inc\": whole number} or a whole number".to_owned();
    let Value::Object(members) = &value else {
        return whole(&value).map(Value::from).ok_or_else(expected);
    };
    let step = members.get("inc").filter(|_| members.len() == 1).and_then(whole).ok_or_else(expected)?;
    Ok(Value::Object(Map::from_iter([("inc".to_owned(), Value::from(step))])))
}

/// Inclusive canonical bounds of a decimal.
#[derive(Clone, Copy)]
pub(super) struct Bounds<'a> {
    pub(super) min: Option<&'a str>,
    pub(super) max: Option<&'a str>,
}

/// The canonical text of a decimal with `scale` fraction digits and at most `precision − scale` digits before the point.
///
/// Text must be `-?digits[.digits]`. A JSON number counts as its shortest decimal text; below 0.000001 or beyond
/// ±(2^53 − 1) it is refused, because other languages would have written it differently: send those as text.
pub(super) fn decimal(value: Value, precision: u8, scale: u8, bounds: Bounds<'_>) -> Result<Value, String> {
    let text = match value {
        Value::String(text) => text,
        number => plain_text(&number).ok_or_else(|| decimal_expected(precision, scale))?,
    };
    let canonical = canonical_decimal(&text, precision, scale).ok_or_else(|| decimal_expected(precision, scale))?;
    let is_below = bounds.min.is_some_and(|min| compare(&canonical, min) == Ordering::Less);
    let is_above = bounds.max.is_some_and(|max| compare(&canonical, max) == Ordering::Greater);
    match (is_below, is_above) {
        (false, false) => Ok(Value::String(canonical)),
        (true, _) => Err(format!("expected at least {}", bounds.min.unwrap_or_default())),
        (_, true) => Err(format!("expected at most {}", bounds.max.unwrap_or_default())),
    }
}

fn decimal_expected(precision: u8, scale: u8) -> String {
    let whole = precision - scale;
    format!("expected a decimal like \"12.5\" with at most {whole} digits before and {scale} after the point")
}

fn plain_text(number: &Value) -> Option<String> {
    if let Some(whole) = whole(number) {
        return Some(whole.to_string());
    }
    let number = number.as_f64().filter(|number| (PLAIN_MIN..=EXACT_MAX as f64).contains(&number.abs()))?;
    Some(number.to_string())
}

fn canonical_decimal(text: &str, precision: u8, scale: u8) -> Option<String> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, fraction)| (whole, Some(fraction)));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !fraction.is_none_or(is_digits) {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.unwrap_or_default();
    let scale = usize::from(scale);
    if fraction.len() > scale || whole.len() > usize::from(precision) - scale {
        return None;
    }
    let is_zero = whole.is_empty() && fraction.bytes().all(|byte| byte == b'0');
    let sign = if is_negative && !is_zero { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if scale > 0 { "." } else { "" };
    Some(format!("{sign}{whole}{point}{fraction:0<scale$}"))
}

/// Orders two canonical decimals of the same scale.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let magnitude = |text: &str, other: &str| text.len().cmp(&other.len()).then_with(|| text.cmp(other));
    match (a.strip_prefix('-'), b.strip_prefix('-')) {
        (None, None) => magnitude(a, b),
        (Some(a), Some(b)) => magnitude(b, a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
    }
}
