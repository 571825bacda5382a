//! How a node makes sure that it speaks to another node of the same deployment.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::{Identity, TlsError};

/// A node's end of TLS towards other nodes.
///
/// Whoever shows this node's own certificate, and proves by the handshake that it has the key, is one of us, whatever
/// address it has: nodes are mostly reached by addresses that no certificate names. Any other certificate must be valid for
/// the name, from a public authority or from one of this certificate's own chain.
pub fn sibling_config(identity: Arc<Identity>) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    roots.add_parsable_certificates(identity.current.load().cert.iter().skip(1).cloned());
    let others = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
    let others = others.map_err(|error| Error::General(error.to_string()))?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Siblings { identity, others }))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[derive(Debug)]
struct Siblings {
    identity: Arc<Identity>,
    others: Arc<WebPkiServerVerifier>,
}

impl Siblings {
    /// While a new certificate reaches one node after the other, some still show the former.
    fn is_ours(&self, shown: &CertificateDer<'_>) -> bool {
        [&self.identity.current, &self.identity.former].into_iter().any(|key| key.load().cert.first() == Some(shown))
    }
}

impl ServerCertVerifier for Siblings {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.is_ours(shown) {
            return Ok(ServerCertVerified::assertion());
        }
        self.others.verify_server_cert(shown, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.others.verify_tls12_signature(message, shown, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.others.verify_tls13_signature(message, shown, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.others.supported_verify_schemes()
    }
}
