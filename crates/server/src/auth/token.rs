//! Access tokens: JWTs that this server signs and nobody else reads.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use syncline_core::id::{DeviceId, UserId, WorkspaceId};
use syncline_core::principal::DeploymentMode;
use uuid::Uuid;

use super::AuthError;
use crate::clock;

const ISSUER: &str = "syncline";
const AUDIENCE: &str = "syncline-sync";
/// Longest token that is looked at; bytes. Ours have about 450.
const TOKEN_BYTES_MAX: usize = 2_048;
/// How far `iat` may lie ahead, for nodes whose clocks differ; seconds.
const SKEW_S: u64 = 60;

/// What a token is good for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    Access,
    /// Nothing but handing over unsent edits (spec REV-3).
    Deposit,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    iss: String,
    aud: String,
    pub sub: UserId,
    /// Seconds since the Unix epoch.
    pub exp: u64,
    /// Seconds since the Unix epoch.
    pub iat: u64,
    pub jti: Uuid,
    pub typ: TokenKind,
    pub workspace_id: WorkspaceId,
    pub device_id: DeviceId,
    /// The sign-in this descends from: the family of its refresh tokens.
    pub sid: Uuid,
    /// As the device had it when the token was issued: for the log, and for nothing that is decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_mode: Option<DeploymentMode>,
}

impl Claims {
    /// When the token was issued, in milliseconds since the Unix epoch: finer than `iat`.
    pub fn issued_ms(&self) -> u64 {
        let (seconds, nanos) = self.jti.get_timestamp().map_or((self.iat, 0), |timestamp| timestamp.to_unix());
        seconds * 1_000 + u64::from(nanos) / 1_000_000
    }
}

/// Whom and what a token is to be made for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenSubject {
    pub kind: TokenKind,
    pub user_id: UserId,
    pub workspace_id: WorkspaceId,
    pub device_id: DeviceId,
    pub sid: Uuid,
    /// Of the device, where it is known.
    pub deployment_mode: Option<DeploymentMode>,
}

/// Signs and verifies tokens with one HS256 key.
pub struct TokenSigner {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    /// The only first segment a token of ours has: no other algorithm, key id, key URL or extension gets any further.
    header_segment: String,
}

impl TokenSigner {
    pub fn new(secret: &SecretString) -> Result<Self, AuthError> {
        let bytes = secret.expose_secret().as_bytes();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let encoding = EncodingKey::from_secret(bytes);
        let probe = jsonwebtoken::encode(&header(), &serde_json::json!({}), &encoding).map_err(AuthError::Sign)?;
        let header_segment = format!("{}.", probe.split('.').next().unwrap_or_default());
        Ok(Self { encoding, decoding: DecodingKey::from_secret(bytes), validation, header_segment })
    }

    /// A token for `subject` that lives `ttl_s` seconds.
    pub fn sign(&self, subject: TokenSubject, ttl_s: u64) -> Result<String, AuthError> {
        let iat = clock::now_ms() / 1_000;
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: subject.user_id,
            exp: iat + ttl_s,
            iat,
            jti: crate::random::uuid_v7(),
            typ: subject.kind,
            workspace_id: subject.workspace_id,
            device_id: subject.device_id,
            sid: subject.sid,
            deployment_mode: subject.deployment_mode,
        };
        jsonwebtoken::encode(&header(), &claims, &self.encoding).map_err(AuthError::Sign)
    }

    /// The claims of a token that is ours, of the wanted kind, and alive. Says nothing about revocation.
    pub fn verify(&self, token: &str, kind: TokenKind) -> Result<Claims, AuthError> {
        let claims = self.verify_any(token)?;
        if claims.typ == kind { Ok(claims) } else { Err(AuthError::TokenInvalid) }
    }

    /// As [`TokenSigner::verify`], of either kind.
    pub fn verify_any(&self, token: &str) -> Result<Claims, AuthError> {
        if token.len() > TOKEN_BYTES_MAX || !token.starts_with(&self.header_segment) {
            return Err(AuthError::TokenInvalid);
        }
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation);
        let claims = decoded.map_err(|error| match error.kind() {
            ErrorKind::ExpiredSignature => AuthError::TokenExpired,
            _ => AuthError::TokenInvalid,
        })?;
        let now_s = clock::now_ms() / 1_000;
        let is_sane = claims.claims.iat <= now_s + SKEW_S && claims.claims.exp > claims.claims.iat;
        if is_sane { Ok(claims.claims) } else { Err(AuthError::TokenInvalid) }
    }
}

fn header() -> Header {
    Header::new(Algorithm::HS256)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn signer() -> TokenSigner {
        crate::install_crypto();
        TokenSigner::new(&SecretString::from(SECRET)).unwrap()
    }

    fn subject(kind: TokenKind) -> TokenSubject {
        let workspace_id = WorkspaceId::new("demo").unwrap();
        let (user_id, device_id) = (UserId::from_u128(1), DeviceId::from_u128(2));
        TokenSubject { kind, user_id, workspace_id, device_id, sid: Uuid::from_u128(3), deployment_mode: None }
    }

    fn claims() -> Value {
        let now = clock::now_ms() / 1_000;
        json!({
            "iss": "syncline", "aud": "syncline-sync", "sub": UserId::from_u128(1), "exp": now + 60, "iat": now,
            "jti": Uuid::from_u128(9), "typ": "access", "workspace_id": "demo", "device_id": DeviceId::from_u128(2),
            "sid": Uuid::from_u128(3),
        })
    }

    fn signed(header: &Header, claims: &Value, secret: &str) -> String {
        jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    }

    #[test]
    fn auth_3_a_token_of_ours_is_accepted_for_its_kind_only() {
        let signer = signer();
        let access = signer.sign(subject(TokenKind::Access), 60).unwrap();
        let deposit = signer.sign(subject(TokenKind::Deposit), 60).unwrap();
        assert_eq!(signer.verify(&access, TokenKind::Access).unwrap().sub, UserId::from_u128(1));
        assert!(signer.verify(&deposit, TokenKind::Access).is_err());
        assert!(signer.verify(&access, TokenKind::Deposit).is_err());
        assert!(signer.verify(&signed(&header(), &claims(), SECRET), TokenKind::Access).is_ok());
    }

    #[test]
    fn auth_3_every_claim_is_required_and_typed() {
        let signer = signer();
        for claim in ["iss", "aud", "sub", "exp", "iat", "jti", "typ", "workspace_id", "device_id", "sid"] {
            for wrong in [None, Some(Value::Null), Some(json!([])), Some(json!({})), Some(json!(-1)), Some(json!("x"))]
            {
                let mut changed = claims();
                match &wrong {
                    None => drop(changed.as_object_mut().unwrap().remove(claim)),
                    Some(value) => changed[claim] = value.clone(),
                }
                if claim == "workspace_id" && wrong == Some(json!("x")) {
                    continue;
                }
                let token = signed(&header(), &changed, SECRET);
                assert!(signer.verify(&token, TokenKind::Access).is_err(), "{claim} = {wrong:?} was accepted");
            }
        }
        for (claim, value) in [
            ("iss", json!(["syncline"])),
            ("aud", json!(["syncline-sync"])),
            ("iat", json!(clock::now_ms() / 1_000 + 86_400)),
            ("exp", json!(1_000)),
            ("admin", json!(true)),
        ] {
            let mut changed = claims();
            changed[claim] = value;
            let token = signed(&header(), &changed, SECRET);
            assert!(signer.verify(&token, TokenKind::Access).is_err(), "{claim} was accepted");
        }
    }

    #[test]
    fn auth_3_other_keys_headers_and_spellings_are_refused() {
        let signer = signer();
        let good = signed(&header(), &claims(), SECRET);
        let mut with_kid = header();
        with_kid.kid = Some("../../etc/passwd".to_owned());
        let none = |alg: &str| {
            use std::fmt::Write as _;
            let head = format!("{{\"typ\":\"JWT\",\"alg\":\"{alg}\"}}");
            let mut text = String::new();
            write!(text, "{}.{}.", base64url(head.as_bytes()), good.split('.').nth(1).unwrap()).unwrap();
            text
        };
        let mut attacks = vec![
            signed(&header(), &claims(), "another-secret-another-secret-32"),
            signed(&Header::new(Algorithm::HS512), &claims(), SECRET),
            signed(&with_kid, &claims(), SECRET),
            none("none"),
            none("None"),
            none("NONE"),
            none("nOnE"),
            format!("{good}="),
            format!(" {good}"),
            format!("{good}\n"),
            good.replace('.', ".."),
            good[..good.len() - 1].to_owned(),
            String::new(),
            "x".repeat(70_000),
        ];
        let tampered = good.split('.').collect::<Vec<_>>();
        attacks.push(format!("{}.{}x.{}", tampered[0], tampered[1], tampered[2]));
        attacks.push(format!("{}.{}.", tampered[0], tampered[1]));
        for attack in attacks {
            let shown = &attack[..attack.len().min(80)];
            assert!(signer.verify(&attack, TokenKind::Access).is_err(), "accepted: {shown}");
        }
    }

    /// Base64url without padding, for building forged headers.
    fn base64url(bytes: &[u8]) -> String {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut text = String::new();
        for chunk in bytes.chunks(3) {
            let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
            for index in 0..=chunk.len() {
                text.push(char::from(ALPHABET[(bits >> (18 - 6 * index) & 63) as usize]));
            }
        }
        text
    }
}
