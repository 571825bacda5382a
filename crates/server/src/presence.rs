//! Presence: who is connected, and who looks at which record (requirement HUB-9, spec PRE-1…3).
//!
//! Every node knows who looks at what on all nodes: its own connections by themselves, the others by the bus. Who looks at a
//! record is sent the whole list whenever it changes, so a lost or late word costs one list. Whether they may still see the
//! record is asked each time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use syncline_core::Name;
use syncline_core::engine::access::access_of;
use syncline_core::id::{RecordId, UserId, WorkspaceId};
use syncline_core::protocol::{ServerFrame, Viewer};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::bus::{Bus, BusEvent, NodeId, PresenceEntry, Reach, Roll};
use crate::clock;
use crate::db::Db;
use crate::hub::{Encoded, Hub, WorkspaceHub};

/// Viewers that one list names. Those who came later are left out.
pub const VIEWERS_MAX: usize = 100;
/// Pause after the store could not be read.
const TELL_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Who looks at what, as far as this node knows.
pub struct Presence {
    bus: Bus,
    state: Mutex<State>,
    /// A list has changed.
    changed: Notify,
}

#[derive(Default)]
struct State {
    viewers: BTreeMap<Viewed, BTreeMap<Uuid, PresenceEntry>>,
    by_connection: HashMap<Uuid, Viewed>,
    /// Records whose list has changed since it was last told.
    untold: BTreeSet<Viewed>,
    /// Workspaces of connections of this node.
    known: BTreeSet<WorkspaceId>,
    /// Those of them in which other nodes may know of more.
    unread: BTreeSet<WorkspaceId>,
    /// Connections of this node that had no room for their list.
    behind: BTreeSet<(WorkspaceId, Uuid)>,
    /// Connections heard of while presence is being read: what was heard is newer. `None`: it is not being read.
    heard: Option<BTreeSet<Uuid>>,
}

/// A record somebody looks at.
type Viewed = (WorkspaceId, (Name, RecordId));

/// A connection's part in presence; it ends with it.
pub struct Present {
    presence: Arc<Presence>,
    workspace_id: WorkspaceId,
    entry: PresenceEntry,
}

impl Presence {
    pub fn new(bus: Bus) -> Self {
        Self { bus, state: Mutex::default(), changed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection of this node is there from now on.
    pub fn enter(self: &Arc<Self>, workspace_id: &WorkspaceId, entry: PresenceEntry) -> Present {
        let present = Present { presence: Arc::clone(self), workspace_id: workspace_id.clone(), entry };
        present.tell_bus();
        let mut state = self.lock();
        if state.known.insert(workspace_id.clone()) {
            state.unread.insert(workspace_id.clone());
            self.changed.notify_one();
        }
        drop(state);
        present
    }

    /// Who is connected, on all nodes.
    pub async fn roll(&self, workspace_id: &WorkspaceId) -> Roll {
        self.bus.presence(workspace_id).await
    }

    /// Who looks at a record, on all nodes; at most [`VIEWERS_MAX`], the first to come first.
    pub fn viewers(&self, workspace_id: &WorkspaceId, record: (Name, RecordId)) -> Vec<Viewer> {
        self.lock().viewers(&(workspace_id.clone(), record))
    }

    /// Applies what the bus says of other nodes.
    pub fn hear(&self, event: &BusEvent) {
        let is_changed = {
            let mut state = self.lock();
            if let BusEvent::Entered { entry: PresenceEntry { connection_id, .. }, .. }
            | BusEvent::Left { connection_id, .. } = event
                && let Some(heard) = &mut state.heard
            {
                heard.insert(*connection_id);
            }
            match event {
                BusEvent::Entered { workspace_id, entry } => state.put(workspace_id, entry.clone()),
                BusEvent::Left { connection_id, .. } => state.remove(*connection_id),
                BusEvent::NodeLeft { node_id } => state.remove_node(*node_id),
                BusEvent::Resumed(_) => {
                    state.unread = state.known.clone();
                    true
                }
                BusEvent::Hint { .. }
                | BusEvent::Mail { .. }
                | BusEvent::Live { .. }
                | BusEvent::SyncNow(_)
                | BusEvent::Revoked(_)
                | BusEvent::NodeJoined(_) => false,
            }
        };
        if is_changed {
            self.changed.notify_one();
        }
    }

    /// Reads a workspace's presence from the bus, after something may have been missed.
    async fn reread(&self, workspace_id: &WorkspaceId) {
        self.lock().heard = Some(BTreeSet::new());
        let roll = self.bus.presence(workspace_id).await;
        let own = self.bus.node().id;
        // Who is missing from a part is not known to be gone.
        let is_whole = roll.is_complete && roll.reach == Reach::Deployment;
        let alive: BTreeSet<Uuid> = roll.entries.iter().map(|entry| entry.connection_id).collect();
        {
            let mut state = self.lock();
            let heard = state.heard.take().unwrap_or_default();
            let of_workspace = state.by_connection.iter().filter(|(_, viewed)| viewed.0 == *workspace_id);
            let is_gone = |id: &Uuid| is_whole && !alive.contains(id) && !heard.contains(id);
            let gone: Vec<Uuid> = of_workspace.map(|(connection, _)| *connection).filter(is_gone).collect();
            for connection in gone {
                if state.node_of(connection) != Some(own) {
                    state.remove(connection);
                }
            }
            let newer = |entry: &PresenceEntry| entry.node_id != own && !heard.contains(&entry.connection_id);
            for entry in roll.entries.into_iter().filter(newer) {
                state.put(workspace_id, entry);
            }
        }
    }

    fn pop_unread(&self) -> Option<WorkspaceId> {
        self.lock().unread.pop_first()
    }

    /// Reads what other nodes know, and tells changed lists to those who look at the record, until the task is ended.
    pub async fn run(self: Arc<Self>, hub: Arc<Hub>, db: Db) {
        // When those that are behind are asked again.
        let mut ask_at: Option<Instant> = None;
        loop {
            let has_behind = !self.lock().behind.is_empty();
            let again = clock::instant() + TELL_AGAIN_AFTER;
            let again = *ask_at.get_or_insert(again);
            tokio::select! {
                () = self.changed.notified() => {}
                () = tokio::time::sleep_until(again.into()), if has_behind => {}
            }
            if again <= clock::instant() || !has_behind {
                ask_at = None;
                self.ask_again(&hub);
            }
            while let Some(workspace_id) = self.pop_unread() {
                self.reread(&workspace_id).await;
            }
            while let Some(untold) = self.pop_untold() {
                let viewed = untold.viewed.clone();
                if let Some(workspace) = hub.existing(&viewed.0)
                    && !self.tell(&workspace, &db, untold).await
                {
                    tokio::time::sleep(TELL_AGAIN_AFTER).await;
                    self.lock().untold.insert(viewed);
                }
            }
        }
    }

    /// Lets sessions that missed a list ask for it. They do when they have sent what waits for them.
    fn ask_again(&self, hub: &Hub) {
        for (workspace_id, connection_id) in std::mem::take(&mut self.lock().behind) {
            if let Some(workspace) = hub.existing(&workspace_id) {
                workspace.check_presence(connection_id);
            }
        }
    }

    /// False: it could not be decided who may be told.
    async fn tell(&self, workspace: &WorkspaceHub, db: &Db, untold: Untold) -> bool {
        let Untold { viewed: (workspace_id, (entity, id)), viewers, local } = untold;
        let users: BTreeSet<UserId> = local.iter().map(|(_, user)| *user).collect();
        let (schema, of, name) = (db.schema(), workspace_id.clone(), entity.clone());
        let allowed = db.read(&workspace_id, move |read| {
            let Some(record) = read.record(&name, id)?.filter(|record| !record.is_deleted) else {
                return Ok(BTreeSet::new());
            };
            let mut allowed = BTreeSet::new();
            for user in users {
                let access = access_of(&schema, &of, read, user)?;
                if access.is_some_and(|access| access.grants.includes(&record.scope)) {
                    allowed.insert(user);
                }
            }
            Ok(allowed)
        });
        let allowed = match allowed.await {
            Ok(allowed) => allowed,
            Err(error) => {
                tracing::warn!(event = "presence_untold", %error, "who may see a record could not be read; it is tried again");
                return false;
            }
        };
        let frame = Encoded::new(&ServerFrame::Presence { record: (entity, id), viewers });
        for (connection_id, user) in local {
            if allowed.contains(&user) {
                // What waits for it already is more than it may have; its list is not to be old for ever.
                if !workspace.send_to(connection_id, &frame, false) {
                    self.lock().behind.insert((workspace_id.clone(), connection_id));
                }
            } else {
                workspace.check_presence(connection_id);
            }
        }
        true
    }

    fn pop_untold(&self) -> Option<Untold> {
        let own = self.bus.node().id;
        let mut state = self.lock();
        let viewed = state.untold.pop_first()?;
        let entries = state.viewers.get(&viewed).into_iter().flat_map(BTreeMap::values);
        let local = entries.filter(|entry| entry.node_id == own).map(|entry| (entry.connection_id, entry.user_id));
        let local = local.collect();
        Some(Untold { viewers: state.viewers(&viewed), viewed, local })
    }
}

/// A list that has changed.
struct Untold {
    viewed: Viewed,
    viewers: Vec<Viewer>,
    /// Those of this node, who are to be told.
    local: Vec<(Uuid, UserId)>,
}

impl Present {
    /// What the person looks at from now on.
    pub fn look_at(&mut self, record: Option<(Name, RecordId)>, is_editing: bool) {
        let viewing = record.as_ref().map(|(entity, id)| smol_str::format_smolstr!("{entity}/{id}"));
        if (&self.entry.viewing, self.entry.is_editing) == (&viewing, is_editing) {
            // Somebody who says it again has perhaps lost the list.
            self.ask();
            return;
        }
        if self.entry.viewing != viewing {
            self.entry.viewing_since_ms = clock::now_ms();
        }
        self.entry.viewing = viewing;
        self.entry.is_editing = is_editing;
        self.tell_bus();
        if self.presence.lock().put(&self.workspace_id, self.entry.clone()) {
            self.presence.changed.notify_one();
        }
    }

    /// Has the list of what the person looks at told once more.
    pub fn ask(&self) {
        if let Some(record) = self.looks_at() {
            self.presence.lock().untold.insert((self.workspace_id.clone(), record));
            self.presence.changed.notify_one();
        }
    }

    /// What the person looks at.
    pub fn looks_at(&self) -> Option<(Name, RecordId)> {
        record_of(self.entry.viewing.as_deref()?)
    }

    fn tell_bus(&self) {
        if let Err(error) = self.presence.bus.enter(&self.workspace_id, self.entry.clone()) {
            tracing::warn!(event = "presence_full", %error, "a connection is not in presence");
        }
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.presence.bus.leave(&self.workspace_id, self.entry.connection_id);
        if self.presence.lock().remove(self.entry.connection_id) {
            self.presence.changed.notify_one();
        }
    }
}

impl State {
    /// Notes what a connection looks at; whether a list has changed.
    fn put(&mut self, workspace_id: &WorkspaceId, entry: PresenceEntry) -> bool {
        let connection = entry.connection_id;
        let viewed = entry.viewing.as_deref().and_then(record_of).map(|record| (workspace_id.clone(), record));
        let is_elsewhere = self.by_connection.get(&connection).is_some_and(|was| Some(was) != viewed.as_ref());
        let mut is_changed = is_elsewhere && self.remove(connection);
        if let Some(viewed) = viewed {
            let viewers = self.viewers.entry(viewed.clone()).or_default();
            if viewers.get(&connection) != Some(&entry) {
                viewers.insert(connection, entry);
                self.by_connection.insert(connection, viewed.clone());
                self.untold.insert(viewed);
                is_changed = true;
            }
        }
        is_changed
    }

    fn remove(&mut self, connection: Uuid) -> bool {
        let Some(viewed) = self.by_connection.remove(&connection) else { return false };
        if let Some(viewers) = self.viewers.get_mut(&viewed) {
            viewers.remove(&connection);
            if viewers.is_empty() {
                self.viewers.remove(&viewed);
                self.untold.remove(&viewed);
                return false;
            }
        }
        self.untold.insert(viewed);
        true
    }

    fn remove_node(&mut self, node: NodeId) -> bool {
        let of_node = self.viewers.values().flatten().filter(|(_, entry)| entry.node_id == node);
        let gone: Vec<Uuid> = of_node.map(|(connection, _)| *connection).collect();
        gone.into_iter().filter(|connection| self.remove(*connection)).count() > 0
    }

    fn node_of(&self, connection: Uuid) -> Option<NodeId> {
        let viewed = self.by_connection.get(&connection)?;
        Some(self.viewers.get(viewed)?.get(&connection)?.node_id)
    }

    fn viewers(&self, viewed: &Viewed) -> Vec<Viewer> {
        let entries = self.viewers.get(viewed).into_iter().flat_map(BTreeMap::values);
        let mut viewers: Vec<Viewer> = entries.map(viewer).collect();
        viewers.sort_by(|a, b| (a.since_ms, &a.connection_id).cmp(&(b.since_ms, &b.connection_id)));
        viewers.truncate(VIEWERS_MAX);
        viewers
    }
}

fn viewer(entry: &PresenceEntry) -> Viewer {
    Viewer {
        connection_id: entry.connection_id.to_string(),
        user_id: entry.user_id,
        deployment_mode: entry.deployment_mode,
        is_editing: entry.is_editing,
        since_ms: entry.viewing_since_ms,
    }
}

/// The record that an entry names.
fn record_of(viewing: &str) -> Option<(Name, RecordId)> {
    let (entity, id) = viewing.split_once('/')?;
    Some((Name::new(entity), RecordId::from_str(id).ok()?))
}

#[cfg(test)]
mod tests {
    use smol_str::SmolStr;
    use syncline_core::id::DeviceId;
    use syncline_core::principal::DeploymentMode;

    use super::*;

    fn acme() -> WorkspaceId {
        WorkspaceId::new("acme").unwrap()
    }

    fn entry(number: u128, node: u128, viewing: Option<&str>) -> PresenceEntry {
        PresenceEntry {
            connection_id: Uuid::from_u128(number),
            client_id: None,
            user_id: UserId::from_u128(number),
            device_id: DeviceId::from_u128(number),
            deployment_mode: DeploymentMode::WebApp,
            node_id: NodeId(Uuid::from_u128(node)),
            since_ms: 0,
            viewing: viewing.map(SmolStr::from),
            is_editing: false,
            viewing_since_ms: u64::try_from(number).unwrap(),
        }
    }

    const A: &str = "leads/00000000-0000-0000-0000-00000000000a";
    const B: &str = "leads/00000000-0000-0000-0000-00000000000b";

    fn seen(state: &State, viewing: &str) -> Vec<UserId> {
        state.viewers(&(acme(), record_of(viewing).unwrap())).into_iter().map(|viewer| viewer.user_id).collect()
    }

    fn users(numbers: &[u128]) -> Vec<UserId> {
        numbers.iter().map(|number| UserId::from_u128(*number)).collect()
    }

    #[test]
    fn hub_9_who_looks_elsewhere_or_goes_leaves_the_list() {
        let mut state = State::default();
        assert!(state.put(&acme(), entry(1, 1, Some(A))));
        assert!(state.put(&acme(), entry(2, 2, Some(A))));
        assert!(!state.put(&acme(), entry(2, 2, Some(A))), "nothing new");
        assert_eq!(seen(&state, A), users(&[1, 2]));
        assert!(state.put(&acme(), entry(1, 1, Some(B))));
        assert_eq!((seen(&state, A), seen(&state, B)), (users(&[2]), users(&[1])));
        assert!(!state.put(&acme(), entry(1, 1, None)), "nobody is left to tell");
        assert!(state.put(&acme(), entry(3, 2, Some(A))));
        assert!(state.remove(Uuid::from_u128(2)));
        assert_eq!(seen(&state, A), users(&[3]));
        assert!(!state.remove_node(NodeId(Uuid::from_u128(2))));
        assert!(state.viewers.is_empty() && state.by_connection.is_empty() && state.untold.is_empty());
    }

    #[test]
    fn hub_9_a_list_names_the_first_hundred() {
        let mut state = State::default();
        for number in (1..=150).rev() {
            state.put(&acme(), entry(number, 1, Some(A)));
        }
        assert_eq!(seen(&state, A), users(&(1..=100).collect::<Vec<_>>()));
    }

    #[test]
    fn hub_9_what_is_no_record_is_nobodys() {
        assert_eq!(record_of(A), Some((Name::new("leads"), RecordId::from_u128(10))));
        assert_eq!((record_of("leads"), record_of("leads/7")), (None, None));
    }
}
