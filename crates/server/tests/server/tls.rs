//! TLS 1.3 by the server itself (AUTH-7).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use syncline_server::Config;
use syncline_server::config::TlsConfig;
use syncline_server::tls::{Identity, sibling_config};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::{Http, PASSWORD, PATIENCE, Socket, User, World, create_contact, eventually, mentions, uuid_v7};

/// A certificate for these names, and its files.
struct Certificate {
    folder: PathBuf,
    pem: String,
}

impl Certificate {
    fn write(folder: &Path, names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        std::fs::create_dir_all(folder).unwrap();
        let written = Self { folder: folder.to_owned(), pem: made.cert.pem() };
        std::fs::write(written.config().key_file.unwrap(), made.signing_key.serialize_pem()).unwrap();
        std::fs::write(written.config().cert_file.unwrap(), &written.pem).unwrap();
        written
    }

    fn config(&self) -> TlsConfig {
        let file = |name: &str| Some(self.folder.join(name));
        TlsConfig {
            cert_file: file("cert.pem"),
            key_file: file("key.pem"),
            reload_every_ms: 100,
            ..TlsConfig::default()
        }
    }

    /// A client that trusts this certificate and no other.
    fn client(&self, versions: &[&'static rustls::SupportedProtocolVersion]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        let der = der_of(&self.pem);
        roots.add(der).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
    }
}

fn der_of(pem: &str) -> rustls::pki_types::CertificateDer<'static> {
    rustls::pki_types::pem::PemObject::from_pem_slice(pem.as_bytes()).unwrap()
}

struct Secure {
    world: World,
    certificate: Certificate,
    folder: tempfile::TempDir,
}

impl Secure {
    async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certificate = Certificate::write(folder.path(), &["localhost", "127.0.0.1"]);
        let tls = certificate.config();
        let world = World::start_with(|config| {
            config.tls = tls;
            change(config);
        })
        .await;
        Self { world, certificate, folder }
    }

    fn http(&self) -> Http {
        Http::over_tls(self.world.server.address(), &self.certificate.pem)
    }

    async fn user(&self, name: &str) -> User {
        self.http().login(&format!("{name}@acme.example"), PASSWORD).await
    }

    async fn socket(&self, user: &User) -> Socket {
        Socket::open_over_tls(user, self.certificate.client(&[&rustls::version::TLS13])).await
    }
}

#[tokio::test]
async fn auth_7_rest_and_websockets_work_over_tls() {
    let secure = Secure::start(|_| {}).await;
    let (ann, owner) = (secure.user("ann").await, secure.user("owner").await);
    let answer = ann.get("/api/contacts").await;
    answer.expect(200);
    assert_eq!(answer.header("strict-transport-security"), "max-age=31536000");
    let mut reader = secure.socket(&owner).await;
    reader.hello().await;
    let mut author = secure.socket(&ann).await;
    author.hello().await;
    // Frames of many TLS records, up and down.
    let ids: Vec<_> = (0..40).map(|_| uuid_v7()).collect();
    let create = |id: &String| json!([{"op": "create", "entity": "contacts", "id": id, "fields": {"firstname": "Ann", "notes": "n".repeat(5_000)}}]);
    let frame = author.push_frame(ids.iter().map(create).collect());
    author.send(&frame).await;
    let outcomes = author.expect("outcomes").await;
    assert!(
        outcomes["outcomes"].as_array().unwrap().iter().all(|outcome| outcome["outcome"] == "applied"),
        "{outcomes}"
    );
    let mut missing = ids.clone();
    while !missing.is_empty() {
        let batch = reader.expect("batch").await;
        missing.retain(|id| !mentions(&batch, id));
    }
    // The server's goodbye passes through too.
    for _ in 0..11 {
        author.send_text("nonsense").await;
    }
    assert_eq!(author.closed().await, 4405);
    // And so does a peer that is gone.
    drop(reader);
    eventually(|| async { (secure.world.server.app().hub.connections.active() == 0).then_some(()) }).await;
}

#[tokio::test]
async fn auth_7_a_peer_over_tls_that_does_not_read_is_cut_off() {
    let secure = Secure::start(|config| {
        config.sockets.write_timeout_ms = 300;
        config.sockets.frames_per_second_max = 100_000;
        config.http.stall_timeout_ms = 1_000;
    })
    .await;
    let ann = secure.user("ann").await;
    let mut socket = secure.socket(&ann).await;
    socket.hello().await;
    let asking = async {
        loop {
            let heartbeat = tokio_tungstenite::tungstenite::Message::text("{\"type\":\"heartbeat\"}");
            if socket.send_message(heartbeat).await.is_err() {
                return;
            }
        }
    };
    drop(tokio::time::timeout(PATIENCE, asking).await);
    eventually(|| async { (secure.world.server.app().hub.connections.active() == 0).then_some(()) }).await;
    ann.get("/api/contacts").await.expect(200);
}

#[tokio::test]
async fn auth_7_tls_1_2_and_plain_http_are_refused() {
    let secure = Secure::start(|_| {}).await;
    let address = secure.world.server.address();
    let name = ServerName::try_from("localhost").unwrap();
    let connect = async |versions: &[&'static rustls::SupportedProtocolVersion]| {
        let stream = TcpStream::connect(address).await.unwrap();
        TlsConnector::from(secure.certificate.client(versions)).connect(name.clone(), stream).await
    };
    let error = connect(&[&rustls::version::TLS12]).await.expect_err("TLS 1.2").to_string();
    assert!(error.contains("ProtocolVersion"), "{error}");
    connect(&[&rustls::version::TLS13]).await.unwrap();
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _reset = tokio::time::timeout(PATIENCE, plain.read_to_end(&mut answer)).await.expect("it was not ended");
    assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn auth_7_a_slow_handshake_is_cut_off() {
    let secure = Secure::start(|config| config.tls.handshake_timeout_ms = 200).await;
    for begun in [&b""[..], &b"\x16\x03\x01\x02\x00\x01"[..]] {
        let mut slow = TcpStream::connect(secure.world.server.address()).await.unwrap();
        slow.write_all(begun).await.unwrap();
        let mut rest = Vec::new();
        let _reset = tokio::time::timeout(PATIENCE, slow.read_to_end(&mut rest)).await.expect("it was not cut off");
    }
    secure.user("ann").await;
}

#[tokio::test]
async fn auth_7_a_new_certificate_is_taken_up_without_a_restart_and_a_broken_one_is_not() {
    let secure = Secure::start(|_| {}).await;
    let ann = secure.user("ann").await;
    let mut socket = secure.socket(&ann).await;
    socket.hello().await;
    let next = Certificate::write(secure.folder.path(), &["localhost", "127.0.0.1"]);
    let address = secure.world.server.address();
    let connect = async |certificate: &Certificate| {
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(certificate.client(&[&rustls::version::TLS13])).connect(name, stream).await.ok()
    };
    eventually(|| async { connect(&next).await }).await;
    assert!(connect(&secure.certificate).await.is_none(), "the old one is still shown");
    assert_eq!(socket.push(create_contact(&uuid_v7(), "Eve")).await["outcome"], "applied", "who is there stays");
    std::fs::write(next.config().cert_file.unwrap(), "broken").unwrap();
    // Several looks later.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert!(connect(&next).await.is_some(), "a broken file took the certificate away");
}

#[tokio::test]
async fn auth_7_a_server_does_not_start_without_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    let config = Certificate::write(&one, &["localhost"]).config();
    Certificate::write(&other, &["localhost"]);
    let load = |config: &TlsConfig| Identity::load(config).map(drop).map_err(|error| error.to_string());
    load(&config).unwrap();
    for (change, expected) in [
        (TlsConfig { key_file: Some(other.join("key.pem")), ..config.clone() }, "is not that of the certificate"),
        (TlsConfig { key_file: Some(one.join("nothing.pem")), ..config.clone() }, "cannot be read"),
        (TlsConfig { cert_file: Some(one.join("key.pem")), ..config.clone() }, "holds no certificate"),
    ] {
        let error = load(&change).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn hub_8_nodes_know_one_another_by_their_certificate_whatever_their_address() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Certificate::write(&folder.path().join("ours"), &["crm.example.com"]);
    let theirs = Certificate::write(&folder.path().join("theirs"), &["127.0.0.1"]);
    let world = World::start_with(|config| config.tls = ours.config()).await;
    let url = format!("https://{}/health/ready", world.server.address());
    let ask = async |certificate: &Certificate| {
        let identity = Arc::new(Identity::load(&certificate.config()).unwrap());
        let config = sibling_config(identity).unwrap();
        reqwest::Client::builder().tls_backend_preconfigured(config).build().unwrap().get(&url).send().await
    };
    assert_eq!(ask(&ours).await.unwrap().status().as_u16(), 200, "by an address that the certificate does not name");
    assert!(ask(&theirs).await.is_err(), "another's certificate");
    let mut config = Config::default();
    (config.tls, config.http.port) = (ours.config(), world.server.address().port());
    syncline_server::probe::ready(&config).await.unwrap();
}
