//! Section `edge`: which web pages and addresses may speak to the server.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use axum::http::{HeaderName, Method, Uri};
use ipnet::IpNet;
use serde::{Deserialize, Serialize, Serializer};

use super::{ConfigError, Environment, bound};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct EdgeConfig {
    /// Origins of pages on other hosts and of extensions, exactly as a browser writes them: `https://crm.example.com`,
    /// `chrome-extension://<id>`; default: none, at most 100. The server's own origin may always, and so may programs that
    /// are no browsers. Others: no CORS, and 403 on a WebSocket. `ALLOWED_ORIGINS`, with commas between them.
    pub allowed_origins: Vec<Origin>,
    /// Methods that pages of those origins may use; default all that the server knows: `GET`, `HEAD`, `POST`, `PATCH`,
    /// `DELETE`. `ALLOWED_METHODS`.
    pub allowed_methods: Vec<Token>,
    /// Headers that pages of those origins may send; default `authorization`, `content-type`, `idempotency-key`,
    /// `if-match`, `if-none-match`, `last-event-id`, `x-request-id`. `ALLOWED_HEADERS`.
    pub allowed_headers: Vec<Token>,
    /// Proxies whose word about a client's address counts, as addresses or networks (`10.0.0.0/8`); default none, at most
    /// 1,000. `TRUSTED_PROXIES`.
    pub trusted_proxies: Vec<Network>,
    /// The header in which those proxies name the client: `x-forwarded-for` (default) or `forwarded`. The other one is
    /// not read, since a proxy passes on what a client wrote there. `TRUSTED_PROXY_HEADER`.
    pub proxy_header: ProxyHeader,
    /// Names by which a server that listens on this machine alone may be asked for, beside `localhost`, addresses and the hosts of
    /// `allowed_origins`; default none, at most 100. Others: 421, since a page could have its own name lead here. What comes
    /// from a trusted proxy may have any name, and so may everything where the server listens for other machines.
    /// `ALLOWED_HOSTS`.
    pub allowed_hosts: Vec<Token>,
    /// Client addresses or networks that are served; default all, at most 1,000. Others: 403. Remember those of load
    /// balancers and of Prometheus, which ask for health and metrics. `ALLOWED_ADDRESSES`.
    pub allowed_addresses: Vec<Network>,
    /// Client addresses or networks that are not served, even where `allowed_addresses` has them; default none, at most
    /// 1,000. `DENIED_ADDRESSES`.
    pub denied_addresses: Vec<Network>,
}

impl Default for EdgeConfig {
    fn default() -> Self {
        let tokens = |names: &[&str]| names.iter().map(|name| Token((*name).to_owned())).collect();
        Self {
            allowed_origins: Vec::new(),
            allowed_methods: tokens(&["GET", "HEAD", "POST", "PATCH", "DELETE"]),
            allowed_headers: tokens(&[
                "authorization",
                "content-type",
                "idempotency-key",
                "if-match",
                "if-none-match",
                "last-event-id",
                "x-request-id",
            ]),
            trusted_proxies: Vec::new(),
            proxy_header: ProxyHeader::XForwardedFor,
            allowed_hosts: Vec::new(),
            allowed_addresses: Vec::new(),
            denied_addresses: Vec::new(),
        }
    }
}

/// A header that proxies write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyHeader {
    #[default]
    XForwardedFor,
    /// RFC 7239.
    Forwarded,
}

/// A web origin as browsers write it in `Origin`: scheme and host in lower case, a port only where it is not the scheme's.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String")]
pub struct Origin(String);

/// A method or the name of a header.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Token(String);

/// A network, or a single address as the network of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network(IpNet);

/// What was expected in place of a value.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct Expected(&'static str);

/// Most origins, methods or headers.
const NAMES_MAX: usize = 100;
/// Most networks of one list.
const NETWORKS_MAX: usize = 1_000;

impl Origin {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Without scheme and port.
    pub fn host(&self) -> &str {
        let authority = self.0.split_once("://").map_or("", |(_, authority)| authority);
        match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            Some(_) | None => authority,
        }
    }
}

impl FromStr for Origin {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        const EXPECTED: Expected = Expected(
            "exact origins without a path or wildcard, such as https://crm.example.com or chrome-extension://<id>",
        );
        let text = text.trim().trim_end_matches('/').to_ascii_lowercase();
        let (scheme, authority) = text.split_once("://").ok_or(EXPECTED)?;
        let is_known =
            matches!(scheme, "http" | "https" | "chrome-extension" | "moz-extension" | "safari-web-extension");
        let uri: Uri = format!("http://{authority}").parse().map_err(|_| EXPECTED)?;
        let is_bare = uri.authority().is_some_and(|parsed| parsed.as_str() == authority) && uri.host() != Some("");
        if !is_known || !is_bare || authority.contains(['*', '@']) {
            return Err(EXPECTED);
        }
        let default_port = match scheme {
            "http" => ":80",
            "https" => ":443",
            _ => return Ok(Self(text)),
        };
        Ok(Self(text.strip_suffix(default_port).unwrap_or(&text).to_owned()))
    }
}

impl TryFrom<String> for Origin {
    type Error = Expected;
    fn try_from(text: String) -> Result<Self, Expected> {
        text.parse()
    }
}

impl Token {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Network {
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Network {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let text = text.trim();
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map(|network| Self(network.trunc())).map_err(|_| Expected("addresses or networks such as 10.0.0.0/8"))
    }
}

impl TryFrom<String> for Network {
    type Error = Expected;
    fn try_from(text: String) -> Result<Self, Expected> {
        text.parse()
    }
}

impl EdgeConfig {
    pub(super) fn apply_environment(&mut self, environment: &Environment) -> Result<(), ConfigError> {
        let token = |text: &str| Ok(Token(text.to_owned()));
        replace(&mut self.allowed_origins, environment, "ALLOWED_ORIGINS", str::parse)?;
        replace(&mut self.allowed_methods, environment, "ALLOWED_METHODS", token)?;
        replace(&mut self.allowed_headers, environment, "ALLOWED_HEADERS", token)?;
        replace(&mut self.trusted_proxies, environment, "TRUSTED_PROXIES", str::parse)?;
        replace(&mut self.allowed_hosts, environment, "ALLOWED_HOSTS", token)?;
        replace(&mut self.allowed_addresses, environment, "ALLOWED_ADDRESSES", str::parse)?;
        replace(&mut self.denied_addresses, environment, "DENIED_ADDRESSES", str::parse)?;
        if let Some(text) = environment.text("TRUSTED_PROXY_HEADER") {
            self.proxy_header = match text.to_ascii_lowercase().as_str() {
                "x-forwarded-for" => ProxyHeader::XForwardedFor,
                "forwarded" => ProxyHeader::Forwarded,
                other => {
                    let expected = "x-forwarded-for or forwarded".to_owned();
                    return Err(ConfigError::Variable {
                        name: "TRUSTED_PROXY_HEADER",
                        value: other.to_owned(),
                        expected,
                    });
                }
            };
        }
        Ok(())
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let section = "edge";
        bound(self.allowed_origins.len() <= NAMES_MAX, section, "allowed_origins", "at most 100")?;
        let methods = &self.allowed_methods;
        let is_method = |token: &Token| {
            Method::from_bytes(token.0.as_bytes()).is_ok() && token.0.bytes().all(|byte| byte.is_ascii_uppercase())
        };
        let are_methods = methods.len() <= NAMES_MAX && methods.iter().all(is_method);
        bound(are_methods, section, "allowed_methods", "at most 100 methods in capitals, such as GET")?;
        let headers = &self.allowed_headers;
        let is_header = |token: &Token| token.0 != "*" && HeaderName::from_bytes(token.0.as_bytes()).is_ok();
        let are_headers = headers.len() <= NAMES_MAX && headers.iter().all(is_header);
        bound(are_headers, section, "allowed_headers", "at most 100 names of headers, no wildcard")?;
        bound(self.trusted_proxies.len() <= NETWORKS_MAX, section, "trusted_proxies", "at most 1000")?;
        let hosts = &self.allowed_hosts;
        let is_host = |token: &Token| !token.0.is_empty() && !token.0.contains(['*', ':', '/', '@']);
        let are_hosts = hosts.len() <= NAMES_MAX && hosts.iter().all(is_host);
        bound(are_hosts, section, "allowed_hosts", "at most 100 host names without port or wildcard")?;
        bound(self.allowed_addresses.len() <= NETWORKS_MAX, section, "allowed_addresses", "at most 1000")?;
        bound(self.denied_addresses.len() <= NETWORKS_MAX, section, "denied_addresses", "at most 1000")
    }
}

/// Replaces a list by that of a variable, which has commas between its elements.
fn replace<T>(
    list: &mut Vec<T>,
    environment: &Environment,
    name: &'static str,
    parse: impl Fn(&str) -> Result<T, Expected>,
) -> Result<(), ConfigError> {
    let Some(text) = environment.text(name) else { return Ok(()) };
    let elements = text.split(',').map(str::trim).filter(|element| !element.is_empty());
    let parsed: Result<Vec<T>, Expected> = elements.map(parse).collect();
    let invalid =
        |expected: Expected| ConfigError::Variable { name, value: text.to_owned(), expected: expected.to_string() };
    *list = parsed.map_err(invalid)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_7_origins_are_exact_and_written_as_browsers_write_them() {
        let table = [
            ("https://CRM.example.com", Some("https://crm.example.com")),
            ("https://crm.example.com/", Some("https://crm.example.com")),
            ("https://crm.example.com:443", Some("https://crm.example.com")),
            ("http://localhost:80", Some("http://localhost")),
            ("http://localhost:5173", Some("http://localhost:5173")),
            ("http://[::1]:5173", Some("http://[::1]:5173")),
            (
                "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
                Some("chrome-extension://abcdefghijklmnopabcdefghijklmnop"),
            ),
            ("*", None),
            ("null", None),
            ("https://*.example.com", None),
            ("https://example.com/path", None),
            ("https://example.com?x=1", None),
            ("https://user@example.com", None),
            ("https://", None),
            ("file:///x", None),
            ("javascript://x", None),
            ("example.com", None),
        ];
        for (text, expected) in table {
            let parsed = text.parse::<Origin>().ok();
            assert_eq!(parsed.as_ref().map(Origin::as_str), expected, "{text}");
        }
    }

    #[test]
    fn ops_4_edge_variables_are_lists_and_wrong_ones_say_what_was_expected() {
        let with = |name: &str, value: &str| Environment::from_pairs([(name.to_owned(), value.to_owned())]);
        let mut edge = EdgeConfig::default();
        edge.apply_environment(&with("TRUSTED_PROXIES", "10.1.2.3/8, ::1,")).unwrap();
        let shown: Vec<String> = edge.trusted_proxies.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["10.0.0.0/8", "::1/128"]);
        edge.check().unwrap();
        for (name, value) in [
            ("ALLOWED_ORIGINS", "https://a.example,*"),
            ("TRUSTED_PROXIES", "10.0.0.0/33"),
            ("DENIED_ADDRESSES", "evil.example"),
            ("TRUSTED_PROXY_HEADER", "x-real-ip"),
        ] {
            let error = EdgeConfig::default().apply_environment(&with(name, value)).unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
        }
        for (name, value) in [("ALLOWED_METHODS", "get"), ("ALLOWED_METHODS", "*"), ("ALLOWED_HEADERS", "*")] {
            let mut edge = EdgeConfig::default();
            edge.apply_environment(&with(name, value)).unwrap();
            assert!(edge.check().is_err(), "{name}={value}");
        }
    }
}
