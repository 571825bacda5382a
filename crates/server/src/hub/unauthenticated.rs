//! Sockets that have not said yet who they are: a pool of their own, so that silent ones shut nobody out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// Time a socket may be silent before it has to make room for a new one in a full pool. Honest clients need a fraction of it.
const YIELDS_AFTER: Duration = Duration::from_secs(1);

/// The pool.
pub struct Unauthenticated {
    max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    /// In the order of their coming.
    by_number: BTreeMap<u64, Entry>,
}

struct Entry {
    since: Instant,
    yielded: CancellationToken,
}

/// A place in the pool; gives it back when dropped.
pub struct Waiting {
    pool: Arc<Unauthenticated>,
    number: u64,
    yielded: CancellationToken,
}

impl Unauthenticated {
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, state: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place; in a full pool that of the oldest, when it has had its time. `None`: even that is too new.
    pub fn enter(self: &Arc<Self>, now: Instant) -> Option<Waiting> {
        let mut state = self.lock();
        if state.by_number.len() >= self.max {
            let oldest = state.by_number.first_entry()?;
            if now.saturating_duration_since(oldest.get().since) < YIELDS_AFTER {
                return None;
            }
            oldest.remove().yielded.cancel();
        }
        let (number, yielded) = (state.next, CancellationToken::new());
        state.next += 1;
        state.by_number.insert(number, Entry { since: now, yielded: yielded.clone() });
        Some(Waiting { pool: Arc::clone(self), number, yielded })
    }
}

impl Waiting {
    /// Cancelled when the place has gone to a newer socket.
    pub fn yielded(&self) -> CancellationToken {
        self.yielded.clone()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.pool.lock().by_number.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hub_4_in_a_full_pool_the_oldest_makes_room_once_it_has_had_its_time() {
        let pool = Unauthenticated::new(2);
        let start = crate::clock::instant();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let first = pool.enter(at(0)).unwrap();
        let second = pool.enter(at(500)).unwrap();
        assert!(pool.enter(at(999)).is_none(), "both are new");
        let third = pool.enter(at(1_000)).unwrap();
        assert!(first.yielded().is_cancelled() && !second.yielded().is_cancelled());
        assert!(pool.enter(at(1_499)).is_none(), "the second is the oldest now");
        drop(first);
        assert!(pool.enter(at(1_499)).is_none(), "whoever has yielded has no place to give back");
        drop(second);
        let fourth = pool.enter(at(1_499)).unwrap();
        assert!(!third.yielded().is_cancelled() && !fourth.yielded().is_cancelled());
    }
}
