//! HTTP clients for what the server itself asks of others.

use std::sync::{Arc, Once};

use reqwest::{Client, ClientBuilder};
use rustls::{ClientConfig, RootCertStore};

/// A client as `configure` wants it. It trusts whom the machine trusts; on a machine that has no list of authorities, such
/// as a minimal container, it trusts Mozilla's as of this build, so that the server starts there too.
pub fn client(configure: impl Fn(ClientBuilder) -> ClientBuilder) -> reqwest::Result<Client> {
    static SAID: Once = Once::new();
    configure(Client::builder()).build().or_else(|_without_authorities| {
        let client = configure(Client::builder()).tls_backend_preconfigured(built_in()).build()?;
        SAID.call_once(|| {
            tracing::info!(
                event = "built_in_authorities",
                "no certificate authorities are installed on this machine: those of this build are used"
            );
        });
        Ok(client)
    })
}

/// What is meant for another node goes to that node and nowhere else; over TLS, `tls` tells it apart from others.
pub fn node_client(tls: Option<ClientConfig>) -> reqwest::Result<Client> {
    client(|builder| {
        let builder = builder.no_proxy().redirect(reqwest::redirect::Policy::none());
        match &tls {
            Some(tls) => builder.tls_backend_preconfigured(tls.clone()),
            None => builder,
        }
    })
}

fn built_in() -> ClientConfig {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = versions
        .expect("the provider has suites for TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}
