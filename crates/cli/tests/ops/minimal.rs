//! A machine with next to nothing on it, as a small container is one.

use std::net::TcpListener;
use std::process::Command;

use crate::Place;

/// No list of certificate authorities anywhere.
const NO_AUTHORITIES: [(&str, &str); 2] = [("SSL_CERT_FILE", "/nowhere/ca.pem"), ("SSL_CERT_DIR", "/nowhere/certs")];

/// Exit code of `syncline health` for a server on that port.
fn health(port: &str) -> Option<i32> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
    command.arg("health").envs(NO_AUTHORITIES).envs([("SERVER_HOST", "0.0.0.0"), ("SERVER_PORT", port)]);
    command.output().unwrap().status.code()
}

#[test]
fn ops_7_the_server_starts_and_its_health_can_be_asked_where_no_certificate_authorities_are_installed() {
    let place = Place::with_workspace();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    assert_eq!(health(&port), Some(1), "nobody listens yet");
    let receivers =
        [("ALERTS_WEBHOOK_URL", "https://alerts.invalid/hook"), ("SUPABASE_URL", "https://project.supabase.invalid")];
    let server = place.serve_at(&format!("127.0.0.1:{port}"), &[NO_AUTHORITIES, receivers].concat());
    assert_eq!(health(&port), Some(0));
    drop(server);
    assert_eq!(health(&port), Some(1));
}
