//! The topics of one workspace that somebody follows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::seat::Seat;
use super::topic::Topic;
use crate::observe::Metrics;

/// Topics that one session may follow.
pub const TOPICS_PER_SESSION_MAX: usize = 32;
/// Bytes of a topic's name.
pub const TOPIC_NAME_BYTES_MAX: usize = 128;

/// A session follows as many topics as it may.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a connection may follow {TOPICS_PER_SESSION_MAX} topics: leave one first")]
pub struct TooManyTopics;

pub(super) struct Topics {
    state: Mutex<State>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct State {
    by_name: HashMap<Box<str>, Arc<Topic>>,
    next_number: u64,
}

impl Topics {
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { state: Mutex::default(), metrics }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The topic, if somebody follows it.
    pub fn followed(&self, name: &str) -> Option<Arc<Topic>> {
        self.lock().by_name.get(name).map(Arc::clone)
    }

    /// Makes a seat follow a topic.
    pub fn join(&self, name: &str, seat: &Arc<Seat>) -> Arc<Topic> {
        let mut state = self.lock();
        let number = state.next_number;
        let topic = match state.by_name.get(name) {
            Some(topic) => Arc::clone(topic),
            None => {
                state.next_number += 1;
                let topic = Arc::new(Topic::new(number, Arc::clone(&self.metrics)));
                state.by_name.insert(name.into(), Arc::clone(&topic));
                self.metrics.hub.topics.inc();
                topic
            }
        };
        topic.join(seat);
        topic
    }

    /// Ends that; a topic that nobody follows any more is forgotten.
    pub fn leave(&self, name: &str, topic: &Topic, seat: &Arc<Seat>) {
        let mut state = self.lock();
        if topic.leave(seat) && state.by_name.remove(name).is_some() {
            self.metrics.hub.topics.dec();
        }
    }
}
