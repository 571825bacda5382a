//! The topics of one workspace that somebody follows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::encoded::{Encoded, Packing};
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
    by_name: HashMap<Box<str>, Rings>,
    next_number: u64,
}

/// The rings of a topic: one for those who take messages as they are, one for those who take them compressed.
#[derive(Default)]
struct Rings {
    plain: Option<Arc<Topic>>,
    deflated: Option<Arc<Topic>>,
}

impl Rings {
    fn of(&mut self, packing: Packing) -> &mut Option<Arc<Topic>> {
        match packing {
            Packing::Plain => &mut self.plain,
            Packing::Deflated => &mut self.deflated,
        }
    }

    fn is_empty(&self) -> bool {
        self.plain.is_none() && self.deflated.is_none()
    }
}

impl Topics {
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { state: Mutex::default(), metrics }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lays a frame down for everybody who follows; returns how many.
    pub async fn publish(&self, name: &str, frame: &Encoded) -> usize {
        let rings: Vec<Arc<Topic>> = match self.lock().by_name.get(name) {
            Some(rings) => rings.plain.iter().chain(&rings.deflated).map(Arc::clone).collect(),
            None => return 0,
        };
        let mut followers = 0;
        for ring in rings {
            followers += ring.publish(frame).await;
        }
        followers
    }

    /// Makes a seat follow a topic.
    pub fn join(&self, name: &str, seat: &Arc<Seat>) -> Arc<Topic> {
        let mut state = self.lock();
        let State { by_name, next_number } = &mut *state;
        let rings = by_name.entry(name.into()).or_insert_with(|| {
            self.metrics.hub.topics.inc();
            Rings::default()
        });
        let ring = rings.of(seat.packing());
        let topic = ring.get_or_insert_with(|| {
            let number = *next_number;
            *next_number += 1;
            Arc::new(Topic::new(number, seat.packing(), Arc::clone(&self.metrics)))
        });
        topic.join(seat);
        Arc::clone(topic)
    }

    /// Ends that; a topic that nobody follows any more is forgotten.
    pub fn leave(&self, name: &str, topic: &Topic, seat: &Arc<Seat>) {
        let mut state = self.lock();
        if !topic.leave(seat) {
            return;
        }
        let Some(rings) = state.by_name.get_mut(name) else { return };
        *rings.of(seat.packing()) = None;
        if rings.is_empty() {
            state.by_name.remove(name);
            self.metrics.hub.topics.dec();
        }
    }
}
