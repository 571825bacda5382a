//! Standard Webhooks: `webhook-id`, `webhook-timestamp` and `webhook-signature`, an HMAC-SHA256 over
//! `id.timestamp.payload` (<https://www.standardwebhooks.com>).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// How far a message's timestamp may lie from now; seconds.
pub const TOLERANCE_S: u64 = 300;
/// How a secret begins.
const PREFIX: &str = "whsec_";
/// Bytes of a secret that we make.
const SECRET_BYTES: usize = 32;
/// Signatures of one header that are looked at: a sender that changes its secret sends two.
const SIGNATURES_MAX: usize = 8;

/// A message as its sender names it.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    pub id: &'a str,
    /// Seconds since the Unix epoch.
    pub timestamp_s: u64,
    pub payload: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("no `v1` signature fits the payload")]
    Wrong,
    #[error("the timestamp is more than five minutes away from the server's clock")]
    Stale,
    #[error("the secret is not `whsec_` and base64")]
    Secret,
}

/// A fresh secret.
pub fn new_secret() -> String {
    format!("{PREFIX}{}", STANDARD.encode(crate::random::bytes::<SECRET_BYTES>()))
}

/// The value of `webhook-signature`: a signature with each secret, so that a receiver may have the former or the new one.
pub fn sign<'a>(secrets: impl Iterator<Item = &'a str>, message: &Signed<'_>) -> Result<String, SignatureError> {
    let signature = |secret| {
        let code = mac(secret, message)?.finalize().into_bytes();
        Ok(format!("v1,{}", STANDARD.encode(code)))
    };
    Ok(secrets.map(signature).collect::<Result<Vec<_>, _>>()?.join(" "))
}

/// Whether one of the header's signatures is the message's with one of the secrets, in constant time, and the message is of
/// now.
pub fn verify<'a>(
    secrets: impl Iterator<Item = &'a str>,
    message: &Signed<'_>,
    header: &str,
    now_s: u64,
) -> Result<(), SignatureError> {
    let signatures = || header.split(' ').filter_map(|one| one.strip_prefix("v1,")).take(SIGNATURES_MAX);
    let mut is_ours = false;
    for secret in secrets {
        for signature in signatures() {
            let Ok(code) = STANDARD.decode(signature) else { continue };
            is_ours |= mac(secret, message)?.verify_slice(&code).is_ok();
        }
    }
    match (is_ours, message.timestamp_s.abs_diff(now_s)) {
        (false, _) => Err(SignatureError::Wrong),
        (true, TOLERANCE_S..) => Err(SignatureError::Stale),
        (true, _) => Ok(()),
    }
}

fn mac(secret: &str, message: &Signed<'_>) -> Result<Hmac<Sha256>, SignatureError> {
    let key = secret.strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok()).ok_or(SignatureError::Secret)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|_| SignatureError::Secret)?;
    mac.update(message.id.as_bytes());
    mac.update(format!(".{}.", message.timestamp_s).as_bytes());
    mac.update(message.payload);
    Ok(mac)
}

#[cfg(test)]
mod tests {
    use std::iter::once;

    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const MESSAGE: Signed<'_> =
        Signed { id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp_s: 1_614_265_330, payload: br#"{"test": 2432232314}"# };
    /// As the reference libraries of Standard Webhooks have it in their own tests.
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    #[test]
    fn api_7_signatures_are_those_of_standard_webhooks() {
        assert_eq!(sign(once(SECRET), &MESSAGE).unwrap(), SIGNATURE);
        let at = MESSAGE.timestamp_s;
        assert_eq!(verify(once(SECRET), &MESSAGE, SIGNATURE, at + 299), Ok(()));
        assert_eq!(verify(once(SECRET), &MESSAGE, &format!("v1,AAAA v2,x {SIGNATURE}"), at), Ok(()), "one of several");
        assert_eq!(verify(once(SECRET), &MESSAGE, SIGNATURE, at + 300), Err(SignatureError::Stale));
        assert_eq!(verify(once(SECRET), &MESSAGE, SIGNATURE, at - 300), Err(SignatureError::Stale));
        for wrong in ["", "v1,", "v1,AAAA", "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", "g0hM9SsE"] {
            assert_eq!(verify(once(SECRET), &MESSAGE, wrong, at), Err(SignatureError::Wrong), "{wrong}");
        }
        let altered = Signed { payload: br#"{"test": 2432232315}"#, ..MESSAGE };
        assert_eq!(verify(once(SECRET), &altered, SIGNATURE, at), Err(SignatureError::Wrong));
        let other = Signed { id: "msg_other", ..MESSAGE };
        assert_eq!(verify(once(SECRET), &other, SIGNATURE, at), Err(SignatureError::Wrong));
        assert_eq!(verify(once(new_secret().as_str()), &MESSAGE, SIGNATURE, at), Err(SignatureError::Wrong));
        assert_eq!(sign(once("no secret"), &MESSAGE), Err(SignatureError::Secret));
    }

    #[test]
    fn api_7_while_a_secret_is_changed_either_is_good() {
        let (former, new) = (SECRET, new_secret());
        let at = MESSAGE.timestamp_s;
        let both = sign([new.as_str(), former].into_iter(), &MESSAGE).unwrap();
        assert!(both.ends_with(&format!(" {SIGNATURE}")), "{both}");
        for receiver in [former, &new] {
            assert_eq!(verify(once(receiver), &MESSAGE, &both, at), Ok(()));
            let sent = sign(once(receiver), &MESSAGE).unwrap();
            assert_eq!(verify([new.as_str(), former].into_iter(), &MESSAGE, &sent, at), Ok(()));
        }
        let sent = sign(once(former), &MESSAGE).unwrap();
        assert_eq!(verify(once(new.as_str()), &MESSAGE, &sent, at), Err(SignatureError::Wrong), "its time is over");
    }
}
