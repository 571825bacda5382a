//! TLS 1.3 by the server itself (requirement AUTH-7): its certificate, which is taken up anew when its files change, and the
//! handshake. Start reading at [`Tls`]; what the files hold is in `files.rs`, how a WebSocket goes over TLS in `carry.rs`,
//! how nodes know one another in `siblings.rs`.

mod carry;
mod files;
mod siblings;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::task::AbortOnDropHandle;

pub use carry::carry;
pub use files::{Facts, facts};
pub use siblings::sibling_config;

use crate::config::TlsConfig;

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("no certificate is named: set TLS_CERT_FILE and TLS_KEY_FILE")]
    Unnamed,
    #[error("{path} cannot be read as PEM")]
    Read { path: PathBuf, source: rustls::pki_types::pem::Error },
    #[error("{0} holds no certificate")]
    NoCertificate(PathBuf),
    #[error("the key in {key} is not that of the certificate in {certificate}, or of a kind that is not used")]
    Key { key: PathBuf, certificate: PathBuf, source: rustls::Error },
    #[error("the certificate in {0} is not understood")]
    Certificate(PathBuf),
    #[error("TLS could not be set up")]
    Setup(#[from] rustls::Error),
}

/// The server's end of TLS. Cheap to clone.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    handshake_timeout: Duration,
    identity: Arc<Identity>,
}

/// The certificate that is in use, and the one before it.
#[derive(Debug)]
pub struct Identity {
    current: ArcSwap<CertifiedKey>,
    former: ArcSwap<CertifiedKey>,
}

impl Identity {
    pub fn load(config: &TlsConfig) -> Result<Self, TlsError> {
        let loaded = Arc::new(files::load(config)?);
        Ok(Self { current: ArcSwap::new(Arc::clone(&loaded)), former: ArcSwap::new(loaded) })
    }

    fn replace(&self, with: CertifiedKey) {
        let former = self.current.swap(Arc::new(with));
        self.former.store(former);
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl Tls {
    /// `None`: the server speaks plain HTTP. Reads the files; blocks.
    pub fn load(config: &TlsConfig) -> Result<Option<Self>, TlsError> {
        if !config.is_on() {
            return Ok(None);
        }
        let identity = Arc::new(Identity::load(config)?);
        say(config, "certificate_loaded");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&identity) as Arc<dyn ResolvesServerCert>);
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        let handshake_timeout = Duration::from_millis(config.handshake_timeout_ms);
        Ok(Some(Self { acceptor: TlsAcceptor::from(Arc::new(server)), handshake_timeout, identity }))
    }

    pub fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.identity)
    }

    /// The handshake, in the time there is for it. `None`: it failed, which is the peer's affair.
    pub async fn accept(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        match tokio::time::timeout(self.handshake_timeout, self.acceptor.accept(stream)).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(event = "handshake_failed", %error, "a TLS handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!(event = "handshake_slow", "a TLS handshake took too long");
                None
            }
        }
    }

    /// Takes up new files while the returned handle lives. While they cannot be used (a key is written before its
    /// certificate, for instance) the old ones stay in use, and it is tried again at each look.
    pub fn watch(&self, config: TlsConfig) -> AbortOnDropHandle<()> {
        let identity = Arc::clone(&self.identity);
        let every = Duration::from_millis(config.reload_every_ms);
        AbortOnDropHandle::new(tokio::spawn(async move {
            let config = Arc::new(config);
            let mut watch = Watch { used: look(&config).await, complained: None };
            loop {
                tokio::time::sleep(every).await;
                watch.look(&config, &identity).await;
            }
        }))
    }
}

/// What was last seen of the files.
struct Watch {
    used: Option<files::Stamp>,
    /// The state that could not be used; it is complained of once.
    complained: Option<files::Stamp>,
}

impl Watch {
    async fn look(&mut self, config: &Arc<TlsConfig>, identity: &Identity) {
        let seen = look(config).await;
        if seen == self.used {
            return;
        }
        let loading = Arc::clone(config);
        match tokio::task::spawn_blocking(move || files::load(&loading)).await {
            Ok(Ok(key)) => {
                identity.replace(key);
                say(config, "certificate_reloaded");
                (self.used, self.complained) = (seen, None);
            }
            Ok(Err(error)) if seen != self.complained => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(event = "certificate_unusable", %error, cause, "the new certificate cannot be used; the old one stays");
                self.complained = seen;
            }
            Ok(Err(_)) => {}
            Err(error) => {
                tracing::error!(event = "certificate_unread", %error, "reading the certificate ended with a panic")
            }
        }
    }
}

async fn look(config: &Arc<TlsConfig>) -> Option<files::Stamp> {
    let config = Arc::clone(config);
    tokio::task::spawn_blocking(move || files::Stamp::of(&config)).await.ok().flatten()
}

/// Tells the log which certificate is in use, and that one has expired.
fn say(config: &TlsConfig, event: &'static str) {
    let Ok(facts) = facts(config) else { return };
    let (names, until) = (facts.names.join(", "), facts.until());
    if facts.is_expired(crate::clock::now_ms()) {
        tracing::error!(event = "certificate_expired", names, until, "the certificate has expired: clients refuse it");
    } else {
        tracing::info!(event, names, until, "the certificate is valid until {until}");
    }
}
