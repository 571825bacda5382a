//! What the files of a certificate hold.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use syncline_core::TimestampMs;
use x509_parser::extensions::GeneralName;

use super::TlsError;
use crate::config::TlsConfig;

/// Certificate and key, which belong together; blocks.
pub fn load(config: &TlsConfig) -> Result<CertifiedKey, TlsError> {
    let (certificate, key) = paths(config)?;
    let chain = chain(certificate)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|source| unread(key, source))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    CertifiedKey::from_der(chain, private, &provider).map_err(|source| TlsError::Key {
        key: key.to_owned(),
        certificate: certificate.to_owned(),
        source,
    })
}

fn paths(config: &TlsConfig) -> Result<(&Path, &Path), TlsError> {
    config.cert_file.as_deref().zip(config.key_file.as_deref()).ok_or(TlsError::Unnamed)
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = read.map_err(|source| unread(path, source))?;
    if chain.is_empty() { Err(TlsError::NoCertificate(path.to_owned())) } else { Ok(chain) }
}

fn unread(path: &Path, source: rustls::pki_types::pem::Error) -> TlsError {
    TlsError::Read { path: path.to_owned(), source }
}

/// By which a change of the files is noticed.
#[derive(PartialEq, Eq)]
pub struct Stamp([(SystemTime, u64); 2]);

impl Stamp {
    /// `None`: one of them is not there.
    pub fn of(config: &TlsConfig) -> Option<Self> {
        let of = |path: &Option<PathBuf>| {
            let file = std::fs::metadata(path.as_ref()?).ok()?;
            Some((file.modified().ok()?, file.len()))
        };
        Some(Self([of(&config.cert_file)?, of(&config.key_file)?]))
    }
}

/// What a person wants to know of a certificate.
#[derive(Debug)]
pub struct Facts {
    /// Host names and addresses it is for.
    pub names: Vec<String>,
    pub not_before_ms: TimestampMs,
    pub not_after_ms: TimestampMs,
}

/// Reads the server's certificate, and makes sure that the key is its own; blocks.
pub fn facts(config: &TlsConfig) -> Result<Facts, TlsError> {
    let key = load(config)?;
    let (path, _) = paths(config)?;
    let wrong = || TlsError::Certificate(path.to_owned());
    let first = key.cert.first().ok_or_else(wrong)?;
    let (_, certificate) = x509_parser::parse_x509_certificate(first).map_err(|_| wrong())?;
    let alternatives = certificate.subject_alternative_name().map_err(|_| wrong())?;
    let names = alternatives.map_or(Vec::new(), |names| names.value.general_names.iter().filter_map(shown).collect());
    let ms = |seconds: i64| u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000);
    let validity = certificate.validity();
    let (not_before_ms, not_after_ms) = (ms(validity.not_before.timestamp()), ms(validity.not_after.timestamp()));
    Ok(Facts { names, not_before_ms, not_after_ms })
}

fn shown(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
            16 => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
            _ => None,
        },
        // Nobody reaches a server by these.
        _ => None,
    }
}

impl Facts {
    pub fn is_expired(&self, now_ms: TimestampMs) -> bool {
        now_ms > self.not_after_ms
    }

    pub fn is_valid(&self, now_ms: TimestampMs) -> bool {
        now_ms >= self.not_before_ms && !self.is_expired(now_ms)
    }

    /// Until when it is valid, for people.
    pub fn until(&self) -> String {
        let at = jiff::Timestamp::from_millisecond(i64::try_from(self.not_after_ms).unwrap_or(i64::MAX));
        at.map_or_else(|_| "for ever".to_owned(), |at| at.to_string())
    }
}
