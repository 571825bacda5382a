//! The threads without which a node is of no use. One that ends with a panic makes the node not live, so that whoever
//! supervises it starts it again: what has been committed is in the store, and sessions catch up from there.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// What has died of a node. Cheap to clone.
#[derive(Clone, Default)]
pub struct Vitals {
    dead: Arc<Mutex<BTreeSet<&'static str>>>,
}

impl Vitals {
    /// Starts a thread that the node cannot do without.
    pub fn spawn(&self, name: &'static str, work: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
        let vitals = self.clone();
        std::thread::Builder::new().name(format!("syncline-{name}")).spawn(move || {
            // Nothing of what the thread worked with is used again.
            if let Err(panic) = std::panic::catch_unwind(AssertUnwindSafe(work)) {
                vitals.lost(name);
                std::panic::resume_unwind(panic);
            }
        })
    }

    fn lost(&self, name: &'static str) {
        self.dead.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
        tracing::error!(
            event = "thread_panicked",
            thread = name,
            "a thread that the node cannot do without is gone: restart it"
        );
    }

    /// The threads that have died, in name order.
    pub fn dead(&self) -> Vec<&'static str> {
        self.dead.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ops_2_a_thread_that_panics_is_missed_and_one_that_ends_is_not() {
        let vitals = Vitals::default();
        vitals.spawn("router", || {}).unwrap().join().unwrap();
        assert!(vitals.dead().is_empty());
        assert!(vitals.spawn("publisher", || panic!("on purpose")).unwrap().join().is_err());
        assert_eq!(vitals.dead(), ["publisher"]);
    }
}
