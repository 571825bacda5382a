//! Who is connected to this node: the truth about its part of presence, of which Redis holds a copy.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use syncline_core::id::WorkspaceId;
use uuid::Uuid;

use super::BusError;
use super::message::PresenceEntry;

/// Connections of one node in presence. More are refused.
pub const PRESENCE_NODE_MAX: usize = 200_000;

pub(super) type Address = (WorkspaceId, Uuid);

#[derive(Default)]
pub(super) struct Roster {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: HashMap<WorkspaceId, BTreeMap<Uuid, PresenceEntry>>,
    count: usize,
    /// What has changed and was not told to anybody yet. Bounded by what changes within one deadline of Redis.
    unsent: BTreeSet<Address>,
    /// Whether changes are told at all. While Redis is away nobody listens, and afterwards all of it is sent.
    is_told: bool,
}

impl Roster {
    pub fn enter(&self, workspace_id: &WorkspaceId, entry: PresenceEntry) -> Result<(), BusError> {
        self.with(|state| {
            let connection_id = entry.connection_id;
            let is_known = state.entries.get(workspace_id).is_some_and(|here| here.contains_key(&connection_id));
            if state.count >= PRESENCE_NODE_MAX && !is_known {
                return Err(BusError::PresenceFull);
            }
            state.count += usize::from(!is_known);
            state.entries.entry(workspace_id.clone()).or_default().insert(connection_id, entry);
            state.changed(workspace_id, connection_id);
            Ok(())
        })
    }

    /// Returns whether it was there.
    pub fn leave(&self, workspace_id: &WorkspaceId, connection_id: Uuid) -> bool {
        self.with(|state| {
            let Some(here) = state.entries.get_mut(workspace_id) else { return false };
            if here.remove(&connection_id).is_none() {
                return false;
            }
            if here.is_empty() {
                state.entries.remove(workspace_id);
            }
            state.count -= 1;
            state.changed(workspace_id, connection_id);
            true
        })
    }

    pub fn list(&self, workspace_id: &WorkspaceId) -> Vec<PresenceEntry> {
        self.with(|state| {
            state.entries.get(workspace_id).map_or_else(Vec::new, |here| here.values().cloned().collect())
        })
    }

    /// Takes up to `max` changes that were not told yet, each with what is there now.
    pub fn take_unsent(&self, max: usize) -> Vec<(Address, Option<PresenceEntry>)> {
        self.with(|state| {
            let taken: Vec<Address> = std::iter::from_fn(|| state.unsent.pop_first()).take(max).collect();
            let now = |(workspace_id, id): &Address| state.entries.get(workspace_id)?.get(id).cloned();
            taken.into_iter().map(|address| (address.clone(), now(&address))).collect()
        })
    }

    /// From now on changes are told, beginning with everything that is there.
    pub fn tell_all(&self) {
        self.with(|state| {
            let all = state.entries.iter();
            state.unsent = all.flat_map(|(id, here)| here.keys().map(|connection| (id.clone(), *connection))).collect();
            state.is_told = true;
        });
    }

    /// From now on nobody listens.
    pub fn tell_nothing(&self) {
        self.with(|state| {
            state.unsent.clear();
            state.is_told = false;
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn changed(&mut self, workspace_id: &WorkspaceId, connection_id: Uuid) {
        if self.is_told {
            self.unsent.insert((workspace_id.clone(), connection_id));
        }
    }
}
