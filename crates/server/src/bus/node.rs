//! What a node has of its own, with or without Redis.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use super::BusHealth;
use super::events::Events;
use super::message::NodeInfo;
use super::rate::NodeRates;
use super::roster::Roster;

pub(super) struct Node {
    pub info: NodeInfo,
    pub events: Events,
    pub roster: Roster,
    pub rates: NodeRates,
    pub health: watch::Sender<BusHealth>,
    pub counters: Counters,
}

/// What the metrics ask for; each only grows.
#[derive(Default)]
pub(super) struct Counters {
    pub hints_sent: Counter,
    pub hints_coalesced: Counter,
    pub hints_dropped: Counter,
    pub messages_received: Counter,
    pub messages_refused: Counter,
    pub fallbacks: Counter,
    pub outages: Counter,
}

#[derive(Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Node {
    pub fn new(info: NodeInfo, health: BusHealth) -> Self {
        Self {
            info,
            events: Events::default(),
            roster: Roster::default(),
            rates: NodeRates::default(),
            health: watch::Sender::new(health),
            counters: Counters::default(),
        }
    }
}
