//! Query strings: decoded strictly, every parameter known, none twice.

use std::collections::BTreeMap;

use syncline_core::protocol::Code;

use super::problem::ApiError;

/// Longest query string; bytes.
const QUERY_BYTES_MAX: usize = 8 * 1024;

/// The parameters of a request by name.
#[derive(Debug, Default)]
pub struct Query {
    parameters: BTreeMap<String, String>,
}

impl Query {
    /// Decodes `raw`, as it stands behind the `?`.
    pub fn parse(raw: Option<&str>) -> Result<Self, ApiError> {
        let raw = raw.unwrap_or("");
        if raw.len() > QUERY_BYTES_MAX {
            return Err(ApiError::new(Code::TooLarge, format!("A query may have at most {QUERY_BYTES_MAX} bytes.")));
        }
        let mut parameters = BTreeMap::new();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name)?;
            let value = decode(value)?;
            if parameters.insert(name.clone(), value).is_some() {
                return Err(invalid(&name, "is given twice"));
            }
        }
        Ok(Self { parameters })
    }

    pub fn take(&mut self, name: &str) -> Option<String> {
        self.parameters.remove(name)
    }

    /// Adds a parameter that the path gives; the caller may not give it too.
    pub fn put(&mut self, name: &str, value: String) -> Result<(), ApiError> {
        match self.parameters.insert(name.to_owned(), value) {
            Some(_) => Err(invalid(name, "is given by the path already")),
            None => Ok(()),
        }
    }

    pub fn take_required(&mut self, name: &str) -> Result<String, ApiError> {
        self.take(name).ok_or_else(|| invalid(name, "is missing"))
    }

    /// A whole number in `min..=max`, or `default` when absent.
    pub fn take_number(&mut self, name: &str, default: u64, min: u64, max: u64) -> Result<u64, ApiError> {
        let Some(text) = self.take(name) else { return Ok(default) };
        let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = if is_plain { text.parse::<u64>().ok() } else { None };
        let in_bounds = number.filter(|number| (min..=max).contains(number));
        in_bounds.ok_or_else(|| invalid(name, &format!("must be a whole number from {min} to {max}")))
    }

    /// What has not been taken yet.
    pub fn rest(self) -> BTreeMap<String, String> {
        self.parameters
    }

    /// Refuses parameters nobody asked for.
    pub fn finish(self) -> Result<(), ApiError> {
        match self.parameters.into_keys().next() {
            Some(name) => Err(invalid(&name, "is not known here")),
            None => Ok(()),
        }
    }
}

pub fn invalid(name: &str, what: &str) -> ApiError {
    let shown: String = name.chars().take(64).collect();
    ApiError::new(Code::Validation, format!("The query parameter `{shown}` {what}.")).with_field(shown)
}

/// Percent-decoding, with `+` for a space. Refused: broken escapes, what is not UTF-8, and NUL.
fn decode(text: &str) -> Result<String, ApiError> {
    let malformed = || ApiError::new(Code::Malformed, "The query string is not percent-encoded UTF-8.");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
                let (high, low) = (digit().ok_or_else(malformed)?, digit().ok_or_else(malformed)?);
                u8::try_from(high * 16 + low).map_err(|_| malformed())?
            }
            other => other,
        });
    }
    if bytes.contains(&0) {
        return Err(malformed());
    }
    String::from_utf8(bytes).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_1_queries_are_decoded_strictly() {
        let mut query = Query::parse(Some("a=x%20y+z&limit=10&b=%C3%A9")).unwrap();
        assert_eq!(query.take("a").as_deref(), Some("x y z"));
        assert_eq!(query.take_number("limit", 50, 1, 100).unwrap(), 10);
        assert_eq!(query.take("b").as_deref(), Some("\u{e9}"));
        query.finish().unwrap();
        for wrong in ["a=%", "a=%2", "a=%zz", "a=%FF", "a=%00", "a=1&a=2"] {
            assert!(Query::parse(Some(wrong)).is_err(), "{wrong}");
        }
        for wrong in
            ["-1", "0", "101", "1e3", "+5", "0x10", "2147483648", "9007199254740993", "18446744073709551616", ""]
        {
            let mut query = Query::parse(Some(&format!("limit={wrong}"))).unwrap();
            assert!(query.take_number("limit", 50, 1, 100).is_err(), "{wrong}");
        }
        assert!(Query::parse(Some("x=1")).unwrap().finish().is_err());
    }
}
