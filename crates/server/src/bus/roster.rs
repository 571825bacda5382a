//! Who is connected to this node: the truth about its part of presence, of which Redis holds a copy.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
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
    entries: BTreeMap<WorkspaceId, BTreeMap<Uuid, PresenceEntry>>,
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

    /// All of one workspace is told again.
    pub fn tell(&self, workspace_id: &WorkspaceId) {
        self.with(|state| {
            let here: Vec<Uuid> =
                state.entries.get(workspace_id).map_or_else(Vec::new, |here| here.keys().copied().collect());
            here.into_iter().for_each(|connection_id| state.changed(workspace_id, connection_id));
        });
    }

    /// The newest connection of each of the next `max` workspaces after `last` (without: from the first) in which all has
    /// been told.
    pub fn told_after(&self, last: Option<&WorkspaceId>, max: usize) -> Vec<Address> {
        self.with(|state| {
            let from = last.map_or(Bound::Unbounded, Bound::Excluded);
            let next = state.entries.range::<WorkspaceId, _>((from, Bound::Unbounded)).take(max);
            let newest = next.filter_map(|(id, here)| Some((id.clone(), *here.keys().next_back()?)));
            let is_told = |(id, _): &Address| {
                let unsent = (id.clone(), Uuid::nil())..=(id.clone(), Uuid::max());
                state.unsent.range(unsent).next().is_none()
            };
            newest.filter(is_told).collect()
        })
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

#[cfg(test)]
mod tests {
    use syncline_core::id::{DeviceId, UserId};
    use syncline_core::principal::DeploymentMode;

    use super::*;
    use crate::bus::NodeId;

    fn entry(number: u128) -> PresenceEntry {
        PresenceEntry {
            connection_id: Uuid::from_u128(number),
            client_id: None,
            user_id: UserId::NIL,
            device_id: DeviceId::NIL,
            deployment_mode: DeploymentMode::MobileApp,
            node_id: NodeId(Uuid::nil()),
            since_ms: 0,
            viewing: None,
            is_editing: false,
            viewing_since_ms: 0,
        }
    }

    #[test]
    fn hub_9_a_change_is_told_once_and_all_of_it_after_an_outage() {
        let (roster, acme) = (Roster::default(), WorkspaceId::new("acme").unwrap());
        let address = |number| (acme.clone(), Uuid::from_u128(number));
        roster.enter(&acme, entry(1)).unwrap();
        assert_eq!(roster.take_unsent(9), [], "nobody listens");
        roster.tell_all();
        roster.enter(&acme, entry(2)).unwrap();
        assert_eq!(roster.told_after(None, 9), []);
        assert_eq!(roster.take_unsent(9), [(address(1), Some(entry(1))), (address(2), Some(entry(2)))]);
        assert_eq!(roster.told_after(None, 9), [address(2)]);
        assert_eq!(roster.told_after(Some(&acme), 9), []);
        assert!(roster.leave(&acme, Uuid::from_u128(2)) && !roster.leave(&acme, Uuid::from_u128(2)));
        assert_eq!(roster.take_unsent(9), [(address(2), None)]);
        roster.tell(&acme);
        assert_eq!(roster.take_unsent(9), [(address(1), Some(entry(1)))]);
    }
}
