//! Access tokens: JWTs that this server signs. Clients take them for opaque.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation};
use serde::{Deserialize, Serialize};
use syncline_core::id::{DeviceId, UserId, WorkspaceId};
use syncline_core::principal::DeploymentMode;
use uuid::Uuid;

use super::AuthError;
use super::keys::{SigningKey, public_keys};
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

/// Signs tokens with one key, and verifies those of that key and of one more while keys are changed.
pub struct TokenSigner {
    current: SigningKey,
    /// In the order in which they are tried; the current one first.
    accepted: Vec<Verifier>,
    public: JwkSet,
}

/// Verifies tokens of one key.
struct Verifier {
    decoding: DecodingKey,
    validation: Validation,
    /// The only first segment a token of this key has: no other algorithm, key id, key URL or extension gets any further.
    header_segment: String,
}

impl TokenSigner {
    /// `other`: a key whose tokens are accepted too, see [`crate::config::TokensConfig::secret_key_other`].
    pub fn new(current: SigningKey, other: Option<SigningKey>) -> Result<Self, AuthError> {
        let keys = || [Some(&current), other.as_ref()].into_iter().flatten();
        let public = public_keys(keys());
        let accepted = keys().map(Verifier::new).collect::<Result<_, _>>()?;
        Ok(Self { current, accepted, public })
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
        jsonwebtoken::encode(&self.current.header, &claims, &self.current.encoding).map_err(AuthError::Sign)
    }

    /// The claims of a token that is ours, of the wanted kind, and alive. Says nothing about revocation.
    pub fn verify(&self, token: &str, kind: TokenKind) -> Result<Claims, AuthError> {
        let claims = self.verify_any(token)?;
        if claims.typ == kind { Ok(claims) } else { Err(AuthError::TokenInvalid) }
    }

    /// As [`TokenSigner::verify`], of either kind.
    pub fn verify_any(&self, token: &str) -> Result<Claims, AuthError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(AuthError::TokenInvalid);
        }
        let mut refusal = AuthError::TokenInvalid;
        for verifier in &self.accepted {
            match verifier.verify(token) {
                // A token that has expired is genuine: the other key would not know it.
                Err(AuthError::TokenExpired) => refusal = AuthError::TokenExpired,
                Err(_) => (),
                Ok(claims) => return Ok(claims),
            }
        }
        Err(refusal)
    }

    /// What others verify our tokens with; empty for shared secrets.
    pub fn public_keys(&self) -> &JwkSet {
        &self.public
    }
}

impl Verifier {
    fn new(key: &SigningKey) -> Result<Self, AuthError> {
        let mut validation = Validation::new(key.algorithm);
        validation.leeway = 0;
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let probe =
            jsonwebtoken::encode(&key.header, &serde_json::json!({}), &key.encoding).map_err(AuthError::Sign)?;
        let header_segment = format!("{}.", probe.split('.').next().unwrap_or_default());
        Ok(Self { decoding: key.decoding.clone(), validation, header_segment })
    }

    fn verify(&self, token: &str) -> Result<Claims, AuthError> {
        if !token.starts_with(&self.header_segment) {
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

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, EncodingKey, Header};
    use secrecy::SecretString;
    use serde_json::{Value, json};

    use super::super::keys::SigningAlgorithm;
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn shared(secret: &str) -> SigningKey {
        crate::install_crypto();
        SigningKey::read(SigningAlgorithm::HS256, &SecretString::from(secret)).unwrap()
    }

    fn header() -> Header {
        Header::new(Algorithm::HS256)
    }

    fn signer() -> TokenSigner {
        TokenSigner::new(shared(SECRET), None).unwrap()
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

    /// A fresh private key as PEM.
    fn pem(algorithm: SigningAlgorithm) -> String {
        use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
        use aws_lc_rs::rsa::KeySize;
        use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};

        let random = aws_lc_rs::rand::SystemRandom::new();
        let der = match algorithm {
            SigningAlgorithm::EdDSA => Ed25519KeyPair::generate_pkcs8v1(&random).unwrap().as_ref().to_vec(),
            SigningAlgorithm::ES256 => {
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap().as_ref().to_vec()
            }
            _ => {
                let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
                let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
                der.as_ref().to_vec()
            }
        };
        pem::encode(&pem::Pem::new("PRIVATE KEY", der))
    }

    fn secret_of(algorithm: SigningAlgorithm) -> SecretString {
        crate::install_crypto();
        if algorithm == SigningAlgorithm::HS256 { SECRET.into() } else { pem(algorithm).into() }
    }

    #[test]
    fn auth_3_each_algorithm_signs_what_its_own_key_verifies_and_no_other() {
        let secrets = SigningAlgorithm::ALL.map(|algorithm| (algorithm, secret_of(algorithm)));
        let read =
            |(algorithm, secret): &(SigningAlgorithm, SecretString)| SigningKey::read(*algorithm, secret).unwrap();
        let signers: Vec<_> =
            secrets.iter().map(|each| (each.0, TokenSigner::new(read(each), None).unwrap())).collect();
        for (of, signer) in &signers {
            let token = signer.sign(subject(TokenKind::Access), 60).unwrap();
            assert_eq!(jsonwebtoken::decode_header(&token).unwrap().alg, of.of_jwt());
            for (by, verifier) in &signers {
                let is_accepted = verifier.verify(&token, TokenKind::Access).is_ok();
                assert_eq!(is_accepted, of == by, "signed by {of:?}, verified by {by:?}");
            }
            // Another key of the same algorithm, which is what somebody without ours would try.
            let stranger = match of {
                SigningAlgorithm::HS256 => shared("another-secret-another-secret-32"),
                _ => SigningKey::read(*of, &secret_of(*of)).unwrap(),
            };
            let mut forged_header = signer.current.header.clone();
            let forged = jsonwebtoken::encode(&forged_header, &claims(), &stranger.encoding).unwrap();
            assert!(signer.verify(&forged, TokenKind::Access).is_err(), "{of:?} took a stranger's signature");
            forged_header.jku = Some("https://attacker.example/keys".to_owned());
            let with_url = jsonwebtoken::encode(&forged_header, &claims(), &signer.current.encoding).unwrap();
            assert!(signer.verify(&with_url, TokenKind::Access).is_err(), "{of:?} took a header with a key's address");
        }
    }

    #[test]
    fn auth_3_a_public_key_is_no_shared_secret() {
        for algorithm in [SigningAlgorithm::RS256, SigningAlgorithm::ES256, SigningAlgorithm::EdDSA] {
            let key = SigningKey::read(algorithm, &secret_of(algorithm)).unwrap();
            let signer = TokenSigner::new(key, Some(shared(SECRET))).unwrap();
            let public = serde_json::to_string(&signer.public_keys().keys[0]).unwrap();
            let point = serde_json::to_value(&signer.public_keys().keys[0]).unwrap();
            let parts = ["n", "x"].iter().filter_map(|member| point[member].as_str());
            for known in parts.chain([public.as_str()]) {
                let mut confused = header();
                confused.kid.clone_from(&signer.current.header.kid);
                for head in [header(), confused] {
                    let forged = signed(&head, &claims(), known);
                    assert!(signer.verify(&forged, TokenKind::Access).is_err(), "{algorithm:?}: keys were confused");
                }
            }
        }
    }

    #[test]
    fn auth_3_keys_are_changed_without_a_token_refused() {
        for (from, to) in [
            (SigningAlgorithm::HS256, SigningAlgorithm::HS256),
            (SigningAlgorithm::HS256, SigningAlgorithm::ES256),
            (SigningAlgorithm::RS256, SigningAlgorithm::EdDSA),
        ] {
            let before = secret_of(from);
            let after = if from == to { "another-secret-another-secret-32".into() } else { secret_of(to) };
            let (old, new) = (|| SigningKey::read(from, &before).unwrap(), || SigningKey::read(to, &after).unwrap());
            let told = TokenSigner::new(old(), Some(SigningKey::recognize(&after).unwrap())).unwrap();
            let changed = TokenSigner::new(new(), Some(SigningKey::recognize(&before).unwrap())).unwrap();
            let done = TokenSigner::new(new(), None).unwrap();
            let sign = |signer: &TokenSigner| signer.sign(subject(TokenKind::Access), 60).unwrap();
            for token in [sign(&told), sign(&changed)] {
                assert!(told.verify(&token, TokenKind::Access).is_ok());
                assert!(changed.verify(&token, TokenKind::Access).is_ok());
            }
            assert!(done.verify(&sign(&told), TokenKind::Access).is_err(), "the old key is still accepted");
            let mut past = claims();
            (past["iat"], past["exp"]) = (json!(1_000), json!(2_000));
            let stale = jsonwebtoken::encode(&told.current.header, &past, &told.current.encoding).unwrap();
            assert!(matches!(changed.verify(&stale, TokenKind::Access), Err(AuthError::TokenExpired)));
        }
    }

    #[test]
    fn auth_3_a_key_that_does_not_fit_says_what_does() {
        let of = |algorithm, text: &str| {
            crate::install_crypto();
            SigningKey::read(algorithm, &SecretString::from(text)).map(|_| ()).map_err(|error| error.to_string())
        };
        let rsa = pem(SigningAlgorithm::RS256);
        let short = of(SigningAlgorithm::HS256, "short").unwrap_err();
        assert!(short.contains("32 bytes") && !short.contains("short"), "{short}");
        assert!(of(SigningAlgorithm::HS256, &rsa).unwrap_err().contains("JWT_ALGORITHM"));
        assert!(of(SigningAlgorithm::ES256, &rsa).unwrap_err().contains("P-256"));
        assert!(of(SigningAlgorithm::EdDSA, &rsa).unwrap_err().contains("ED25519"));
        assert!(of(SigningAlgorithm::RS256, SECRET).unwrap_err().contains("rsa_keygen_bits"));
        assert!(of(SigningAlgorithm::RS256, &rsa[..rsa.len() / 2]).is_err());
        assert!(
            of(SigningAlgorithm::RS256, &rsa.replace('\n', "\\n")).is_ok(),
            "ends of lines as an .env file has them"
        );
        assert!(SigningKey::recognize(&"-----BEGIN NONSENSE-----".into()).is_err());
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
