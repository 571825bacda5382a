//! Where the data lies, as a person writes it down.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use secrecy::{ExposeSecret as _, SecretString};

/// Where a database lies: `sqlite:PATH`, a plain path, or `postgres://user:password@host:port/name?sslmode=…`. Shows
/// everything but the password.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    Sqlite(PathBuf),
    Postgres(PostgresUrl),
}

/// Why a text is not a [`DatabaseUrl`]. Never quotes it: there may be a password in any part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the database URL is not usable: {0}")]
pub struct InvalidDatabaseUrl(pub(crate) &'static str);

/// A PostgreSQL server, database and account.
#[derive(Clone)]
pub struct PostgresUrl {
    /// Without our own parameters.
    url: SecretString,
    /// As it may be shown: `postgres://user@host:port/name`.
    shown: String,
    pub(crate) tls: TlsMode,
    /// PEM file of the authorities that `verify-full` trusts; absent: the usual public ones.
    pub(crate) root_certificates: Option<PathBuf>,
}

/// `sslmode` of the URL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TlsMode {
    Disable,
    /// Encrypted when the server can; nobody is authenticated. The default.
    Prefer,
    /// Encrypted; nobody is authenticated.
    Require,
    /// Encrypted, and the server's certificate is valid for its name.
    VerifyFull,
}

const NOT_POSTGRES: &str = "expected postgres://user:password@host:port/name, with special characters percent-encoded";
const NOT_SSLMODE: &str = "sslmode is one of disable, prefer, require, verify-full";
const OTHER_SCHEME: &str = "use sqlite:PATH, a path, or postgres://user:password@host:port/name";

impl FromStr for DatabaseUrl {
    type Err = InvalidDatabaseUrl;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().is_empty() {
            return Err(InvalidDatabaseUrl(OTHER_SCHEME));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return text.parse().map(Self::Postgres);
        }
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() { Err(InvalidDatabaseUrl(OTHER_SCHEME)) } else { Ok(Self::Sqlite(path.into())) };
        }
        // A mistyped URL, such as `postgres//…`, is not the name of a file: the password would be in it.
        match text.contains("://") || text.contains('@') {
            true => Err(InvalidDatabaseUrl(OTHER_SCHEME)),
            false => Ok(Self::Sqlite(text.into())),
        }
    }
}

impl From<PathBuf> for DatabaseUrl {
    fn from(path: PathBuf) -> Self {
        Self::Sqlite(path)
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => url.fmt(f),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PostgresUrl {
    /// The settings of a connection, password included.
    pub(crate) fn config(&self) -> Result<tokio_postgres::Config, InvalidDatabaseUrl> {
        self.url.expose_secret().parse().map_err(|_| InvalidDatabaseUrl(NOT_POSTGRES))
    }
}

impl FromStr for PostgresUrl {
    type Err = InvalidDatabaseUrl;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (mut tls, mut root_certificates) = (TlsMode::Prefer, None);
        // A password may hold a question mark, a host may not.
        let host = text.rfind('@').unwrap_or_default();
        let (base, query) = match text[host..].find('?') {
            Some(at) => (&text[..host + at], &text[host + at + 1..]),
            None => (text, ""),
        };
        let mut rest = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", mode)) => tls = mode.parse()?,
                Some(("sslrootcert", path)) => root_certificates = Some(percent_decoded(path)?.into()),
                _ => rest.push(pair),
            }
        }
        let separator = if rest.is_empty() { "" } else { "?" };
        let url = format!("{base}{separator}{}", rest.join("&"));
        let config: tokio_postgres::Config = url.parse().map_err(|_| InvalidDatabaseUrl(NOT_POSTGRES))?;
        let shown = shown(&config)?;
        Ok(Self { url: url.into(), shown, tls, root_certificates })
    }
}

fn shown(config: &tokio_postgres::Config) -> Result<String, InvalidDatabaseUrl> {
    use tokio_postgres::config::Host;
    let mut hosts = Vec::new();
    for (index, host) in config.get_hosts().iter().enumerate() {
        let port = config.get_ports().get(index).or(config.get_ports().first()).copied().unwrap_or(5432);
        let name = match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        };
        // What follows an unescaped `@` of a password would end up here, and be shown.
        if name.contains('@') {
            return Err(InvalidDatabaseUrl(NOT_POSTGRES));
        }
        hosts.push(format!("{name}:{port}"));
    }
    if hosts.is_empty() {
        return Err(InvalidDatabaseUrl(NOT_POSTGRES));
    }
    let user = config.get_user().ok_or(InvalidDatabaseUrl("it names no user"))?;
    Ok(format!("postgres://{user}@{}/{}", hosts.join(","), config.get_dbname().unwrap_or(user)))
}

fn percent_decoded(text: &str) -> Result<String, InvalidDatabaseUrl> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else { return Err(InvalidDatabaseUrl(NOT_POSTGRES)) };
        bytes.extend(u8::try_from(high * 16 + low));
    }
    String::from_utf8(bytes).map_err(|_| InvalidDatabaseUrl(NOT_POSTGRES))
}

impl FromStr for TlsMode {
    type Err = InvalidDatabaseUrl;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "disable" => Ok(Self::Disable),
            "prefer" => Ok(Self::Prefer),
            "require" => Ok(Self::Require),
            "verify-full" => Ok(Self::VerifyFull),
            _ => Err(InvalidDatabaseUrl(NOT_SSLMODE)),
        }
    }
}

impl PartialEq for PostgresUrl {
    fn eq(&self, other: &Self) -> bool {
        self.url.expose_secret() == other.url.expose_secret()
            && (self.tls, &self.root_certificates) == (other.tls, &other.root_certificates)
    }
}

impl Eq for PostgresUrl {}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sto_1_a_url_names_a_database() {
        let table = [
            ("data/a.sqlite", "sqlite:data/a.sqlite"),
            ("sqlite:a b.sqlite", "sqlite:a b.sqlite"),
            ("sqlite:///var/lib/a.sqlite", "sqlite:/var/lib/a.sqlite"),
            ("sqlite:data/a@b.sqlite", "sqlite:data/a@b.sqlite"),
            ("postgres://u:p@h/db", "postgres://u@h:5432/db"),
            ("postgresql://u@h:6432/db?sslmode=verify-full&application_name=x", "postgres://u@h:6432/db"),
            ("postgres://u:p%40ss%2Fw%3Fx@h/db?sslmode=disable", "postgres://u@h:5432/db"),
            ("postgres://u:p?ss@h/db", "postgres://u@h:5432/db"),
            ("postgres://u@h1:1,h2:2/db", "postgres://u@h1:1,h2:2/db"),
            ("postgres://u@%2Fvar%2Frun%2Fpostgresql/db", "postgres://u@/var/run/postgresql:5432/db"),
        ];
        for (text, want) in table {
            let url: DatabaseUrl = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((url.to_string().as_str(), format!("{url:?}").as_str()), (want, want), "{text}");
        }
        for text in ["", " ", "sqlite:", "mysql://u@h/db", "http://x", "postgres//u:p@h/db", "postgres:/u:p@h"] {
            assert!(text.parse::<DatabaseUrl>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn sto_1_a_password_is_never_shown() {
        let secret = "hunter2";
        let urls = [
            "postgres://u:hunter2@h/db",
            "postgres://u:x@hunter2@h/db",
            "postgres://u:hunter2",
            "postgres://u:hunter2@h:port/db",
            "postgres://u:a?hunter2=1@h/db",
            "postgres://u:%zzhunter2@h/db",
            "postgres://u@h/db?password=hunter2",
            "postgres://u@h/db?hunter2=1",
            "postgres://u@h/db?sslmode=hunter2",
            "postgres://:hunter2@h/db",
            "postgres//u:hunter2@h/db",
        ];
        for text in urls {
            let said = match text.parse::<DatabaseUrl>() {
                Ok(url) => format!("{url} {url:?}"),
                Err(error) => format!("{error} {error:?}"),
            };
            assert!(!said.contains(secret), "{text}: {said}");
        }
    }
}
