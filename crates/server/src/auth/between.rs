//! Requests that one node passes on to another: signed with a key that all nodes of a deployment derive from the secret they
//! sign access tokens with, so that only they can make them.

use std::net::IpAddr;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// Header of a request that another node has passed on: `<ms>;<client address>;<SHA-256 of the body>;<signature>`.
pub const FORWARDED: &str = "syncline-forwarded";
/// How far the moment of a request may lie from now, for nodes whose clocks differ; milliseconds.
const TOLERANCE_MS: u64 = 60_000;
/// What the key is for, so that it serves nothing else that is derived from the same secret.
const PURPOSE: &[u8] = b"syncline between nodes 1";
/// Characters of the seal at the end of a channel's secret.
const SEAL_CHARS: usize = 32;

/// The key that the nodes of a deployment share.
pub struct NodeKey {
    mac: Hmac<Sha256>,
    /// Of the other signing key while keys are changed: some nodes have the one, some the other.
    other: Option<Hmac<Sha256>>,
}

/// A request that a node has passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// The client's address as the other node knows it.
    pub client: IpAddr,
    body_hash: String,
}

impl NodeKey {
    /// Derives the key from the secret that signs access tokens. What the `other` secret has signed is accepted too.
    pub fn derive(secret: &[u8], other: Option<&[u8]>) -> Self {
        let of = |secret| keyed(&keyed(secret).chain_update(PURPOSE).finalize().into_bytes());
        Self { mac: of(secret), other: other.map(of) }
    }

    /// The header's value for a request to a path with its query.
    pub fn sign(&self, now_ms: u64, client: IpAddr, path: &str, body: &[u8]) -> String {
        let signed = format!("{now_ms};{client};{}", hex(&Sha256::digest(body)));
        let code = code_of(&self.mac, &signed, path).finalize().into_bytes();
        format!("{signed};{}", hex(&code))
    }

    /// What the header says of a request to a path. `None`: no node of this deployment has just made it.
    pub fn verify(&self, header: &str, now_ms: u64, path: &str) -> Option<Forwarded> {
        let (signed, code) = header.rsplit_once(';')?;
        let code = unhex(code)?;
        self.accepted().find(|mac| code_of(mac, signed, path).verify_slice(&code).is_ok())?;
        let mut parts = signed.split(';');
        let (at_ms, client, body_hash) = (parts.next()?, parts.next()?, parts.next()?);
        let at_ms: u64 = at_ms.parse().ok()?;
        let forwarded = Forwarded { client: client.parse().ok()?, body_hash: body_hash.to_owned() };
        (at_ms.abs_diff(now_ms) <= TOLERANCE_MS).then_some(forwarded)
    }

    /// Makes the name of a channel from a secret, so that every node can tell it from an invented one.
    pub fn seal(&self, node: &str, secret: &str) -> String {
        format!("{secret}{}", seal_of(&self.mac, node, secret))
    }

    /// Whether some node of this deployment has made a channel of this name.
    pub fn is_sealed(&self, node: &str, sealed: &str) -> bool {
        let at = sealed.len().saturating_sub(SEAL_CHARS);
        let Some((secret, seal)) = sealed.split_at_checked(at) else { return false };
        self.accepted().any(|mac| constant_time_eq(seal.as_bytes(), seal_of(mac, node, secret).as_bytes()))
    }

    fn accepted(&self) -> impl Iterator<Item = &Hmac<Sha256>> {
        std::iter::once(&self.mac).chain(&self.other)
    }
}

fn code_of(mac: &Hmac<Sha256>, signed: &str, path: &str) -> Hmac<Sha256> {
    mac.clone().chain_update(b"request\n").chain_update(signed).chain_update(b"\n").chain_update(path)
}

fn seal_of(mac: &Hmac<Sha256>, node: &str, secret: &str) -> String {
    let code = mac.clone().chain_update(b"channel\n").chain_update(node).chain_update(b"\n");
    hex(&code.chain_update(secret).finalize().into_bytes()[..SEAL_CHARS / 2])
}

impl Forwarded {
    /// Whether this is the body that was signed.
    pub fn is_body(&self, body: &[u8]) -> bool {
        hex(&Sha256::digest(body)) == self.body_hash
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// Compares without telling by its time where a difference is.
fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;
    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

    #[test]
    fn hub_8_only_a_node_of_the_deployment_passes_requests_on() {
        let key = NodeKey::derive(SECRET, None);
        let client: IpAddr = "2001:db8::7".parse().unwrap();
        let header = key.sign(NOW, client, "/channel/n.s?wait_ms=1", b"[]");
        let forwarded = key.verify(&header, NOW + 59_000, "/channel/n.s?wait_ms=1").unwrap();
        assert_eq!(forwarded.client, client);
        assert!(forwarded.is_body(b"[]") && !forwarded.is_body(b"[1]"));
        let refused = |header: &str, now: u64, path: &str| key.verify(header, now, path).is_none();
        assert!(refused(&header, NOW + 61_000, "/channel/n.s?wait_ms=1"), "too old");
        assert!(refused(&header, NOW - 61_000, "/channel/n.s?wait_ms=1"), "of the future");
        assert!(refused(&header, NOW, "/channel/n.s"), "another path");
        assert!(refused(&header.replace("2001:db8::7", "2001:db8::8"), NOW, "/channel/n.s?wait_ms=1"));
        for nonsense in ["", "1", ";;;", "1;::1;aa;zz", &header[..header.len() - 2]] {
            assert!(refused(nonsense, NOW, "/channel/n.s?wait_ms=1"), "{nonsense}");
        }
        let other = NodeKey::derive(b"another-secret-another-secret-32", None);
        assert!(other.verify(&header, NOW, "/channel/n.s?wait_ms=1").is_none());
    }

    #[test]
    fn auth_3_nodes_understand_one_another_while_the_signing_key_is_changed() {
        let (before, after): (&[u8], &[u8]) = (SECRET, b"another-secret-another-secret-32");
        let told = NodeKey::derive(before, Some(after));
        let changed = NodeKey::derive(after, Some(before));
        let client = "::1".parse().unwrap();
        for (from, to) in [(&told, &changed), (&changed, &told)] {
            assert!(to.verify(&from.sign(NOW, client, "/channel/n.s", b""), NOW, "/channel/n.s").is_some());
            assert!(to.is_sealed("node", &from.seal("node", "secret")));
        }
        let only_before = NodeKey::derive(before, None);
        assert!(!only_before.is_sealed("node", &changed.seal("node", "secret")));
    }

    #[test]
    fn tra_3_a_channel_name_that_nobody_made_is_noticed() {
        let key = NodeKey::derive(SECRET, None);
        let sealed = key.seal("node", "secret");
        assert!(key.is_sealed("node", &sealed));
        assert!(!key.is_sealed("other", &sealed));
        for invented in ["", "secret", &sealed[1..], "\u{e4}0123456789abcdef0123456789abcde", &format!("x{sealed}")] {
            assert!(!key.is_sealed("node", invented), "{invented}");
        }
    }
}
