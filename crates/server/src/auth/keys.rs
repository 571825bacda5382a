//! Keys that access tokens are signed with: a shared secret, or a private key whose public half anybody may read.

use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

/// Shortest shared secret; bytes (RFC 7518, 3.2: as long as the hash).
const SECRET_BYTES_MIN: usize = 32;
/// Shortest RSA modulus; bits (RFC 7518, 3.3).
const RSA_BITS_MIN: usize = 2_048;
const PEM_START: &str = "-----BEGIN";

/// How access tokens are signed; `JWT_ALGORITHM` has its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum SigningAlgorithm {
    /// HMAC with SHA-256 and a secret that every verifier knows.
    #[default]
    HS256,
    /// RSA (PKCS #1 1.5) with SHA-256, at least 2,048 bits.
    RS256,
    /// ECDSA on the curve P-256 with SHA-256.
    ES256,
    /// Ed25519.
    EdDSA,
}

impl SigningAlgorithm {
    pub const ALL: [Self; 4] = [Self::HS256, Self::RS256, Self::ES256, Self::EdDSA];

    /// As RFC 7518 and RFC 8037 write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::RS256 => "RS256",
            Self::ES256 => "ES256",
            Self::EdDSA => "EdDSA",
        }
    }

    pub(super) fn of_jwt(self) -> Algorithm {
        match self {
            Self::HS256 => Algorithm::HS256,
            Self::RS256 => Algorithm::RS256,
            Self::ES256 => Algorithm::ES256,
            Self::EdDSA => Algorithm::EdDSA,
        }
    }
}

/// Why a text is no key for an algorithm. Says nothing of the text itself.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{expected}")]
pub struct KeyError {
    expected: &'static str,
}

/// One key, ready to sign and to verify.
pub struct SigningKey {
    pub(super) algorithm: Algorithm,
    pub(super) header: Header,
    pub(super) encoding: EncodingKey,
    pub(super) decoding: DecodingKey,
    /// The public half, for whoever else verifies our tokens. `None` of a shared secret.
    public: Option<Jwk>,
}

impl SigningKey {
    /// Reads a secret of at least 32 bytes for HS256, and for the others a private key as PEM, in which `\n` may be written
    /// for the ends of lines.
    ///
    /// # Errors
    ///
    /// [`KeyError`] says what the algorithm expects.
    pub fn read(algorithm: SigningAlgorithm, text: &SecretString) -> Result<Self, KeyError> {
        let text = text.expose_secret();
        match algorithm {
            SigningAlgorithm::HS256 => Self::shared(text),
            _ => Self::private(algorithm, text),
        }
    }

    /// As [`SigningKey::read`], for the algorithm that fits the text.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when it fits none.
    pub fn recognize(text: &SecretString) -> Result<Self, KeyError> {
        if !text.expose_secret().trim_start().starts_with(PEM_START) {
            return Self::shared(text.expose_secret());
        }
        let kinds = [SigningAlgorithm::EdDSA, SigningAlgorithm::ES256, SigningAlgorithm::RS256];
        let found = kinds.into_iter().find_map(|algorithm| Self::read(algorithm, text).ok());
        found.ok_or(KeyError { expected: "a private key for RS256, ES256 or EdDSA as PEM" })
    }

    fn shared(text: &str) -> Result<Self, KeyError> {
        if text.trim_start().starts_with(PEM_START) {
            let expected =
                "for HS256 a secret, not a private key: set JWT_ALGORITHM to RS256, ES256 or EdDSA for this key";
            return Err(KeyError { expected });
        }
        if text.len() < SECRET_BYTES_MIN {
            return Err(KeyError { expected: "at least 32 bytes, for instance from `openssl rand -base64 48`" });
        }
        Ok(Self {
            algorithm: Algorithm::HS256,
            header: Header::new(Algorithm::HS256),
            encoding: EncodingKey::from_secret(text.as_bytes()),
            decoding: DecodingKey::from_secret(text.as_bytes()),
            public: None,
        })
    }

    fn private(algorithm: SigningAlgorithm, text: &str) -> Result<Self, KeyError> {
        let expected = match algorithm {
            SigningAlgorithm::RS256 => {
                "for RS256 an RSA private key of at least 2,048 bits as PEM, for instance from \
                 `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072`"
            }
            SigningAlgorithm::ES256 => {
                "for ES256 a P-256 private key as PEM, for instance from \
                 `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`"
            }
            _ => "for EdDSA an Ed25519 private key as PEM, for instance from `openssl genpkey -algorithm ED25519`",
        };
        let refused = |_| KeyError { expected };
        let pem = SecretString::from(text.trim().replace("\\n", "\n"));
        let pem = pem.expose_secret().as_bytes();
        let encoding = match algorithm {
            SigningAlgorithm::RS256 => EncodingKey::from_rsa_pem(pem),
            SigningAlgorithm::ES256 => EncodingKey::from_ec_pem(pem),
            _ => EncodingKey::from_ed_pem(pem),
        };
        let encoding = encoding.map_err(refused)?;
        let of_jwt = algorithm.of_jwt();
        let mut public = Jwk::from_encoding_key(&encoding, of_jwt).map_err(refused)?;
        let decoding = DecodingKey::from_jwk(&public).map_err(refused)?;
        if algorithm == SigningAlgorithm::RS256 && rsa_bits(&public) < RSA_BITS_MIN {
            return Err(KeyError { expected });
        }
        let kid = key_id(&public).ok_or(KeyError { expected })?;
        public.common.key_id = Some(kid.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        let mut header = Header::new(of_jwt);
        header.kid = Some(kid);
        // What the key cannot do shows here and not at the first sign-in.
        jsonwebtoken::encode(&header, &serde_json::json!({}), &encoding).map_err(refused)?;
        Ok(Self { algorithm: of_jwt, header, encoding, decoding, public: Some(public) })
    }
}

/// The public halves of these keys as a JSON Web Key Set (RFC 7517).
pub(super) fn public_keys<'a>(keys: impl IntoIterator<Item = &'a SigningKey>) -> JwkSet {
    JwkSet { keys: keys.into_iter().filter_map(|key| key.public.clone()).collect() }
}

/// RFC 7638, 3: SHA-256 of the public key's members.
fn key_id(public: &Jwk) -> Option<String> {
    public.thumbprint(ThumbprintHash::SHA256).ok()
}

fn rsa_bits(public: &Jwk) -> usize {
    use jsonwebtoken::jwk::AlgorithmParameters;
    let AlgorithmParameters::RSA(rsa) = &public.algorithm else { return 0 };
    // Base64url without padding: six bits a character.
    rsa.n.len() * 6
}
