//! JSON from strangers: bounded depth first, then serde, with errors that say where.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeOwned, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use syncline_core::protocol::limits::JSON_DEPTH_MAX;

/// What is wrong with a text that should be JSON of a known shape.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum JsonError {
    #[error("JSON nested deeper than {JSON_DEPTH_MAX} levels at byte {0}")]
    TooDeep(usize),
    /// Not JSON; the text names line and column.
    #[error("not valid JSON: {0}")]
    Syntax(String),
    /// JSON of another shape: a missing, unknown or wrongly typed member.
    #[error("{0}")]
    Shape(String),
}

/// Parses `bytes` as a `T`, after making sure that nothing is nested deeper than [`JSON_DEPTH_MAX`].
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    check_depth(bytes)?;
    serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        // The wrong shape was met first; perhaps it is not even JSON further on.
        serde_json::error::Category::Data => match serde_json::from_slice::<IgnoredAny>(bytes) {
            Ok(IgnoredAny) => JsonError::Shape(error.to_string()),
            Err(syntax) => JsonError::Syntax(syntax.to_string()),
        },
        serde_json::error::Category::Syntax | serde_json::error::Category::Eof | serde_json::error::Category::Io => {
            JsonError::Syntax(error.to_string())
        }
    })
}

/// Refuses an object that names a member twice: readers disagree on which of them counts. For bytes that [`parse`] took.
pub fn check_members(bytes: &[u8]) -> Result<(), JsonError> {
    serde_json::from_slice::<EachOnce>(bytes).map(drop).map_err(|error| JsonError::Shape(error.to_string()))
}

/// Any JSON in which no object names a member twice.
struct EachOnce;

impl<'de> Deserialize<'de> for EachOnce {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for EachOnce {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            let shown: String = name.chars().take(64).collect();
            if !names.insert(name) {
                return Err(A::Error::custom(format_args!("the member `{shown}` is given twice")));
            }
            members.next_value::<Self>()?;
        }
        Ok(self)
    }
}

/// One pass over the bytes, without recursion: brackets outside of strings.
fn check_depth(bytes: &[u8]) -> Result<(), JsonError> {
    let mut depth = 0_usize;
    let mut is_in_string = false;
    let mut is_escaped = false;
    for (at, byte) in bytes.iter().enumerate() {
        if is_in_string {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => is_in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => is_in_string = true,
            b'{' | b'[' => {
                depth += 1;
                if depth > JSON_DEPTH_MAX {
                    return Err(JsonError::TooDeep(at));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn err_2_depth_is_checked_before_anything_is_built() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse::<Value>(nested(JSON_DEPTH_MAX).as_bytes()).is_ok());
        assert_eq!(parse::<Value>(nested(JSON_DEPTH_MAX + 1).as_bytes()), Err(JsonError::TooDeep(JSON_DEPTH_MAX)));
        assert_eq!(parse::<Value>("[".repeat(100_000).as_bytes()), Err(JsonError::TooDeep(JSON_DEPTH_MAX)));
        let in_text = format!("{:?}", "[".repeat(1_000));
        assert!(parse::<Value>(in_text.as_bytes()).is_ok(), "brackets in a text do not nest");
        let escaped = format!("\"\\\"{}\"", "[".repeat(1_000));
        assert!(parse::<Value>(escaped.as_bytes()).is_ok(), "an escaped quote does not end a text");
    }

    #[test]
    fn api_5_a_member_given_twice_is_refused_at_every_level() {
        for once in ["{}", "{\"a\":1,\"b\":{\"a\":[{\"a\":null},{\"a\":1.5}]}}", "[-1,true,\"x\"]", "7"] {
            assert_eq!(check_members(once.as_bytes()), Ok(()), "{once}");
        }
        for twice in ["{\"a\":1,\"a\":1}", "{\"b\":[{\"a\":1,\"c\":2,\"a\":3}]}", "{\"a\":1,\"\\u0061\":2}"] {
            let error = check_members(twice.as_bytes()).unwrap_err();
            assert!(matches!(&error, JsonError::Shape(text) if text.contains("`a` is given twice")), "{error}");
        }
    }

    #[test]
    fn err_2_errors_say_where() {
        let error = parse::<Value>(b"{\"a\": nope}").unwrap_err();
        assert_eq!(error.to_string(), "not valid JSON: expected ident at line 1 column 8");
        let error = parse::<Vec<u8>>(b"[\"x\", oops]").unwrap_err();
        assert!(matches!(&error, JsonError::Syntax(text) if text.contains("column 7")), "{error}");
        let error = parse::<Vec<u8>>(b"[1, \"x\"]").unwrap_err();
        assert!(matches!(&error, JsonError::Shape(text) if text.contains("line 1 column 7")), "{error}");
    }
}
