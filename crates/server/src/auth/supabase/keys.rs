//! The public keys of a project: read from its JWKS, kept, and read again when they are old or one is unknown.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};

use super::fetch::{FetchError, Project};
use crate::clock;

/// Keys are read again when they are this old.
const FRESH: Duration = Duration::from_secs(600);
/// Keys are used until they are this old, while the project does not answer; then a token is refused.
const STALE: Duration = Duration::from_secs(86_400);
/// Least time between two readings for the sake of an unknown key: tokens with invented key ids cost no requests.
const UNKNOWN_GAP: Duration = Duration::from_secs(60);
/// Least time until a failed reading is tried again.
const RETRY_GAP: Duration = Duration::from_secs(5);
/// Keys of one project that are kept. More are left out.
const KEYS_MAX: usize = 32;

/// A public key with the one algorithm it is for. What a token says of its algorithm never chooses.
#[derive(Clone)]
pub struct Key {
    pub algorithm: Algorithm,
    pub decoding: DecodingKey,
}

/// The keys of a project by their id.
#[derive(Default)]
pub struct Keys {
    state: RwLock<State>,
    /// Held while the keys are read, so that many sign-ins at once read them once.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    keys_by_id: HashMap<String, Key>,
    /// When the keys were last read.
    read: Option<Instant>,
    /// When a reading was last tried and failed, since the last that did not.
    failed: Option<Instant>,
    /// When the keys were last read because one was unknown.
    searched: Option<Instant>,
}

/// Why there is no key.
#[derive(Debug, PartialEq, Eq)]
pub enum NoKey {
    Unknown,
    /// The project has not answered, and what is known of its keys is too old or nothing.
    Unavailable,
}

/// What to do for a token's key.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    Use,
    Read,
    Refuse(NoKey),
}

impl State {
    fn plan(&self, kid: &str, now: Instant) -> Plan {
        let since = |moment: Option<Instant>| moment.map(|moment| now.saturating_duration_since(moment));
        let is_known = self.keys_by_id.contains_key(kid);
        let may_retry = since(self.failed).is_none_or(|gap| gap >= RETRY_GAP);
        match since(self.read) {
            Some(age) if is_known && age < FRESH => Plan::Use,
            Some(age) if is_known && !may_retry && age < STALE => Plan::Use,
            Some(age) if age < STALE && !is_known => {
                let may_search = since(self.searched).is_none_or(|gap| gap >= UNKNOWN_GAP);
                if may_search && may_retry { Plan::Read } else { Plan::Refuse(NoKey::Unknown) }
            }
            Some(_) | None if may_retry => Plan::Read,
            Some(_) | None => Plan::Refuse(NoKey::Unavailable),
        }
    }

    /// After a reading that failed: what is known still counts for a while.
    fn fall_back(&self, kid: &str, now: Instant) -> Result<(), NoKey> {
        let is_usable = self.read.is_some_and(|read| now.saturating_duration_since(read) < STALE);
        if is_usable && self.keys_by_id.contains_key(kid) { Ok(()) } else { Err(NoKey::Unavailable) }
    }
}

impl Keys {
    /// The key of that id. In memory, but for one request to the project when its keys are old or the key is unknown.
    pub async fn find(&self, project: &Project, kid: &str) -> Result<Key, NoKey> {
        match self.read(|state| state.plan(kid, clock::instant())) {
            Plan::Use => return self.known(kid),
            Plan::Refuse(reason) => return Err(reason),
            Plan::Read => {}
        }
        let _turn = self.turn.lock().await;
        // Somebody else may have read them meanwhile.
        match self.read(|state| state.plan(kid, clock::instant())) {
            Plan::Use => self.known(kid),
            Plan::Refuse(reason) => Err(reason),
            Plan::Read => {
                let fetched = project.keys().await;
                self.store(kid, fetched)?;
                self.known(kid)
            }
        }
    }

    fn known(&self, kid: &str) -> Result<Key, NoKey> {
        self.read(|state| state.keys_by_id.get(kid).cloned()).ok_or(NoKey::Unknown)
    }

    fn store(&self, kid: &str, fetched: Result<JwkSet, FetchError>) -> Result<(), NoKey> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let now = clock::instant();
        match fetched {
            Ok(set) => {
                if state.read.is_some() && !state.keys_by_id.contains_key(kid) {
                    state.searched = Some(now);
                }
                state.keys_by_id = set.keys.iter().filter_map(usable).take(KEYS_MAX).collect();
                (state.read, state.failed) = (Some(now), None);
                Ok(())
            }
            Err(error) => {
                tracing::warn!(event = "jwks_unread", %error, "the keys of the Supabase project could not be read; those known are used");
                state.failed = Some(now);
                state.fall_back(kid, now)
            }
        }
    }

    fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A key for signatures of an algorithm that is taken, with its id; anything else is passed over.
fn usable(jwk: &Jwk) -> Option<(String, Key)> {
    let kid = jwk.common.key_id.clone()?;
    if jwk.common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
        return None;
    }
    let algorithm = match (&jwk.algorithm, jwk.common.key_algorithm) {
        (AlgorithmParameters::RSA(_), None | Some(KeyAlgorithm::RS256)) => Algorithm::RS256,
        (AlgorithmParameters::EllipticCurve(key), None | Some(KeyAlgorithm::ES256))
            if key.curve == EllipticCurve::P256 =>
        {
            Algorithm::ES256
        }
        (AlgorithmParameters::OctetKeyPair(key), None | Some(KeyAlgorithm::EdDSA))
            if key.curve == EllipticCurve::Ed25519 =>
        {
            Algorithm::EdDSA
        }
        _ => return None,
    };
    Some((kid, Key { algorithm, decoding: DecodingKey::from_jwk(jwk).ok()? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_2_keys_are_read_when_old_or_unknown_and_never_often() {
        let start = clock::instant();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let key = Key { algorithm: Algorithm::ES256, decoding: DecodingKey::from_secret(b"x") };
        let state = |read: Option<u64>, failed: Option<u64>, searched: Option<u64>| State {
            keys_by_id: HashMap::from([("known".to_owned(), key.clone())]),
            read: read.map(at),
            failed: failed.map(at),
            searched: searched.map(at),
        };
        let (unknown, unavailable) = (Plan::Refuse(NoKey::Unknown), Plan::Refuse(NoKey::Unavailable));
        // (read at, failed at, searched at, key, now, plan)
        let table = [
            (None, None, None, "other", 0, &Plan::Read),
            (None, Some(0), None, "other", 4, &unavailable),
            (None, Some(0), None, "other", 5, &Plan::Read),
            (Some(0), None, None, "known", 599, &Plan::Use),
            (Some(0), None, None, "known", 600, &Plan::Read),
            (Some(0), Some(600), None, "known", 604, &Plan::Use),
            (Some(0), Some(600), None, "known", 605, &Plan::Read),
            (Some(0), Some(86_400), None, "known", 86_404, &unavailable),
            (Some(0), None, None, "other", 1, &Plan::Read),
            (Some(1), None, Some(1), "other", 60, &unknown),
            (Some(1), None, Some(1), "other", 61, &Plan::Read),
            (Some(1), Some(61), Some(1), "other", 62, &unknown),
        ];
        for (read, failed, searched, kid, now, plan) in table {
            assert_eq!(
                &state(read, failed, searched).plan(kid, at(now)),
                plan,
                "{read:?} {failed:?} {searched:?} {kid} {now}"
            );
        }
        assert_eq!(state(Some(0), None, None).fall_back("known", at(86_399)), Ok(()));
        assert_eq!(state(Some(0), None, None).fall_back("known", at(86_400)), Err(NoKey::Unavailable));
    }
}
