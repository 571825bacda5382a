//! Environment variables as an argument, so that tests need no process-wide state.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use super::ConfigError;

/// A snapshot of the environment.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    /// Names that were asked for.
    asked: RefCell<BTreeSet<String>>,
}

impl Environment {
    pub fn from_process() -> Self {
        Self::from_pairs(std::env::vars())
    }
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { variables: pairs.into_iter().collect(), asked: RefCell::default() }
    }
    /// The variable, unless it is absent or empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.asked.borrow_mut().insert(name.to_owned());
        self.variables.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// The variables that are set, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str)
    }

    /// The names that somebody asked for so far.
    pub fn asked(&self) -> BTreeSet<String> {
        self.asked.borrow().clone()
    }

    /// A whole number within `min..=max`.
    pub fn number(&self, name: &'static str, min: u64, max: u64) -> Result<Option<u64>, ConfigError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse::<u64>() {
            Ok(number) if (min..=max).contains(&number) => Ok(Some(number)),
            Ok(_) | Err(_) => {
                let expected = format!("a whole number from {min} to {max}");
                Err(ConfigError::Variable { name, value: text.to_owned(), expected })
            }
        }
    }

    /// An address to listen on.
    pub fn host(&self, name: &'static str) -> Result<Option<IpAddr>, ConfigError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        if text == "localhost" {
            return Ok(Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        }
        let expected = || "an IP address such as 127.0.0.1, 0.0.0.0 or ::".to_owned();
        let wrong = |_| ConfigError::Variable { name, value: text.to_owned(), expected: expected() };
        text.parse().map(Some).map_err(wrong)
    }

    /// `true`, `1`, `yes`, `on` or their opposites, in any case.
    pub fn flag(&self, name: &'static str) -> Result<Option<bool>, ConfigError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(Some(true)),
            "false" | "0" | "no" | "off" => Ok(Some(false)),
            _ => Err(ConfigError::Variable { name, value: text.to_owned(), expected: "true or false".to_owned() }),
        }
    }
}
