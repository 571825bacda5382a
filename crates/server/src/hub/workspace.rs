//! The sessions of one workspace and their audiences.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use syncline_core::Seq;
use syncline_core::id::{ClientId, DeviceId, ScopeId, UserId};
use syncline_core::principal::{Access, DeploymentMode, Grants};
use syncline_core::protocol::{Batch, ServerFrame};
use tokio::sync::watch;
use uuid::Uuid;

use super::encoded::{Encoded, Packing};
use super::log::RingLimits;
use super::outlet::Outlet;
use super::ring::{Audience, Frame, Taken};
use super::seat::{Posted, Seat};
use super::signals::{Signals, SignalsReceiver};
use super::topic::{Topic, TopicTaken};
use super::topics::{TOPICS_PER_SESSION_MAX, TooManyTopics, Topics};
use crate::observe::Metrics;

/// Fan-out of one workspace.
pub struct WorkspaceHub {
    pub(super) state: Mutex<State>,
    topics: Topics,
    limits: RingLimits,
    pub(super) metrics: Arc<Metrics>,
}

#[derive(Default)]
pub(super) struct State {
    /// Last seq that was published. `None`: nobody has been here to publish for; see [`WorkspaceHub::anchor`].
    pub(super) published: Option<Seq>,
    /// Highest seq the log is known to have reached.
    reached: Seq,
    /// Commits that changed somebody's access, so far: an access read before such a commit was published is not installed
    /// after it.
    pub(super) access_version: u64,
    pub(super) sessions: HashMap<u64, Member>,
    by_client: HashMap<ClientId, u64>,
    by_connection: HashMap<Uuid, u64>,
    by_user: HashMap<UserId, BTreeSet<u64>>,
    by_device: HashMap<DeviceId, BTreeSet<u64>>,
    audiences: BTreeMap<AudienceKey, Arc<Audience>>,
    /// Audiences by a scope they are granted; those of everything are not here.
    by_scope: HashMap<ScopeId, BTreeSet<AudienceKey>>,
    next_session: u64,
}

/// What the members of an audience have in common.
type AudienceKey = (Grants, Packing);

/// One connected session, as others see it.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    pub connection_id: Uuid,
    pub user_id: UserId,
    pub device_id: DeviceId,
    pub client_id: ClientId,
    pub deployment_mode: DeploymentMode,
    /// The sign-in its token came from.
    pub sid: Uuid,
    /// When it was authenticated; milliseconds since the Unix epoch.
    pub since_ms: u64,
}

pub(super) struct Member {
    pub(super) info: SessionInfo,
    /// Whether it wants messages.
    has_inbox: bool,
    signals: watch::Sender<Signals>,
    seat: Arc<Seat>,
    /// What it was last told it may do; `None` before `hello`.
    pub(super) access: Option<Access>,
}

/// Among which sessions somebody is looked for: all are walked under the lock that publishing needs, so a user's or a
/// device's are found by an index.
#[derive(Clone, Copy, Debug)]
pub enum Among<'a> {
    All,
    User(UserId),
    Devices(&'a BTreeSet<DeviceId>),
}

/// Why a session was not added.
#[derive(Debug, thiserror::Error)]
pub enum Unregistered {
    /// Spec ID-2.
    #[error("this client id belongs to another user or device")]
    ForeignClient,
    #[error("the user has as many sessions here as one may")]
    UserFull,
}

/// A session's place in the hub; leaves it when dropped.
pub struct Registered {
    hub: Arc<WorkspaceHub>,
    id: u64,
    pub signals: SignalsReceiver,
    pub seat: Arc<Seat>,
    audience: Option<Arc<Audience>>,
    /// The topics it follows, by name; at most [`TOPICS_PER_SESSION_MAX`].
    topics: BTreeMap<Box<str>, Arc<Topic>>,
    first_topic: AtomicUsize,
}

impl Member {
    /// Changes its signals. Who is signalled is served by its session from here on, until that has looked.
    pub(super) fn signal(&self, change: impl FnOnce(&mut Signals)) {
        self.signals.send_modify(change);
        self.seat.unpark();
    }
}

impl WorkspaceHub {
    pub(super) fn new(limits: RingLimits, metrics: Arc<Metrics>) -> Self {
        Self { state: Mutex::default(), topics: Topics::new(Arc::clone(&metrics)), limits, metrics }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a session, unless `user_max` of its user are here; an older one of the same client is told to go (spec SES-8).
    pub fn register(
        self: &Arc<Self>,
        info: SessionInfo,
        outlet: Arc<Outlet>,
        user_max: usize,
    ) -> Result<Registered, Unregistered> {
        let mut state = self.lock();
        let of_user = state.by_user.get(&info.user_id).map_or(0, BTreeSet::len);
        if of_user >= user_max && !state.by_client.contains_key(&info.client_id) {
            return Err(Unregistered::UserFull);
        }
        if let Some(former) = state.by_client.get(&info.client_id).and_then(|id| state.sessions.get(id)) {
            if (former.info.user_id, former.info.device_id) != (info.user_id, info.device_id) {
                return Err(Unregistered::ForeignClient);
            }
            former.signal(Signals::replace);
        }
        let id = state.next_session;
        state.next_session += 1;
        state.by_client.insert(info.client_id, id);
        state.by_connection.insert(info.connection_id, id);
        state.by_user.entry(info.user_id).or_default().insert(id);
        state.by_device.entry(info.device_id).or_default().insert(id);
        let (signals, receiver) = watch::channel(Signals::default());
        let seat = Arc::new(Seat::new(outlet));
        state.sessions.insert(id, Member { info, has_inbox: false, signals, seat: Arc::clone(&seat), access: None });
        Ok(Registered {
            hub: Arc::clone(self),
            id,
            signals: receiver,
            seat,
            audience: None,
            topics: BTreeMap::new(),
            first_topic: AtomicUsize::new(0),
        })
    }

    /// Changes the signals of those sessions among `these` that `is_meant`; returns how many.
    pub(super) fn signal(
        &self,
        these: Among<'_>,
        is_meant: impl Fn(&SessionInfo) -> bool,
        change: impl Fn(&mut Signals),
    ) -> usize {
        let state = self.lock();
        let mut count = 0;
        state.each(these, |member| {
            if is_meant(&member.info) {
                member.signal(&change);
                count += 1;
            }
        });
        count
    }

    /// Sends a frame to each of those sessions among `these` that `is_meant`, alone; an urgent one before what waits for it.
    /// Returns how many it went to; those for whom too much waits already do not count.
    pub fn send_direct(
        &self,
        frame: &Encoded,
        is_urgent: bool,
        these: Among<'_>,
        is_meant: impl Fn(&SessionInfo) -> bool,
    ) -> usize {
        self.send_where(frame, is_urgent, these, |member| is_meant(&member.info))
    }

    fn send_where(
        &self,
        frame: &Encoded,
        is_urgent: bool,
        these: Among<'_>,
        is_meant: impl Fn(&Member) -> bool,
    ) -> usize {
        let mut seats: Vec<Arc<Seat>> = Vec::new();
        self.lock().each(these, |member| seats.extend(is_meant(member).then(|| Arc::clone(&member.seat))));
        let posted = seats.iter().map(|seat| seat.post(frame, is_urgent));
        let sent = posted.filter(|posted| *posted == Posted::Sent).count();
        self.metrics.hub.frames_sent.inc_by(sent as u64);
        sent
    }

    /// As [`WorkspaceHub::send_direct`], to those with an open inbox.
    pub fn send_message(
        &self,
        frame: &Encoded,
        is_urgent: bool,
        these: Among<'_>,
        is_meant: impl Fn(&SessionInfo) -> bool,
    ) -> usize {
        self.send_where(frame, is_urgent, these, |member| member.has_inbox && is_meant(&member.info))
    }

    /// Sends a frame to one connection alone, as [`WorkspaceHub::send_direct`]; false: it is not here, or too much waits.
    pub fn send_to(&self, connection_id: Uuid, frame: &Encoded, is_urgent: bool) -> bool {
        let seat = self.lock().member(connection_id).map(|member| Arc::clone(&member.seat));
        let is_sent = seat.is_some_and(|seat| seat.post(frame, is_urgent) == Posted::Sent);
        self.metrics.hub.frames_sent.inc_by(u64::from(is_sent));
        is_sent
    }

    /// Asks a session whether its person may still see what they look at.
    pub fn check_presence(&self, connection_id: Uuid) {
        if let Some(member) = self.lock().member(connection_id) {
            member.signal(Signals::check_presence);
        }
    }

    /// Sends a frame to everybody who follows a topic at this node, in the order of publishing. Waits while followers are
    /// served more slowly than frames come. Returns how many follow.
    pub async fn publish_topic(&self, name: &str, frame: &Encoded) -> usize {
        self.topics.publish(name, frame).await
    }

    /// Whether publishing has a place to go on from.
    pub fn is_anchored(&self) -> bool {
        self.lock().published.is_some()
    }

    /// Publishing goes on after `head`, unless it has a place already. To be called by a session that has registered and
    /// before it plans its catch-up, with a head read in between. Returns up to where the log is known to go beyond it.
    pub fn anchor(&self, head: Seq) -> Option<Seq> {
        let mut state = self.lock();
        state.published.get_or_insert(head);
        (state.reached > head).then_some(state.reached)
    }

    /// Notes that the log has reached `seq`, and returns from where to publish. Without sessions the place is given up, so
    /// that nothing is read for nobody.
    pub(super) fn reach(&self, seq: Seq) -> Option<Seq> {
        let mut state = self.lock();
        state.reached = state.reached.max(seq);
        if state.sessions.is_empty() {
            state.published = None;
        }
        state.published
    }

    /// Open sessions.
    pub fn sessions(&self) -> usize {
        self.lock().sessions.len()
    }

    /// To be read before reading an access that is going to be installed with [`Registered::join`].
    pub fn access_version(&self) -> u64 {
        self.lock().access_version
    }
}

impl State {
    fn each(&self, these: Among<'_>, mut visit: impl FnMut(&Member)) {
        let mut visit_ids = |ids: Option<&BTreeSet<u64>>| {
            for member in ids.into_iter().flatten().filter_map(|id| self.sessions.get(id)) {
                visit(member);
            }
        };
        match these {
            Among::All => self.sessions.values().for_each(visit),
            Among::User(user) => visit_ids(self.by_user.get(&user)),
            Among::Devices(devices) => devices.iter().for_each(|device| visit_ids(self.by_device.get(device))),
        }
    }

    fn member(&self, connection_id: Uuid) -> Option<&Member> {
        self.sessions.get(self.by_connection.get(&connection_id)?)
    }

    /// Audiences that may see one of `scopes`, and those that wait for a frame or lag behind; those with equal grants next
    /// to each other.
    pub(super) fn audiences_for(&self, from: Seq, to: Seq, scopes: &BTreeSet<ScopeId>) -> Vec<(Arc<Audience>, Seq)> {
        let touched: BTreeSet<&AudienceKey> =
            scopes.iter().filter_map(|scope| self.by_scope.get(scope)).flatten().collect();
        let all = self.audiences.iter();
        let needing = all.filter_map(|(key, audience)| {
            let is_touched = key.0 == Grants::All || touched.contains(key);
            let start = audience.needs(from, to, is_touched)?;
            Some((Arc::clone(audience), start))
        });
        needing.collect()
    }

    pub(super) fn audiences(&self) -> Vec<Arc<Audience>> {
        self.audiences.values().cloned().collect()
    }

    fn audience(&mut self, key: AudienceKey, limits: RingLimits, metrics: &Metrics) -> Arc<Audience> {
        if let Some(audience) = self.audiences.get(&key) {
            return Arc::clone(audience);
        }
        let audience = Arc::new(Audience::new(key.0.clone(), key.1, limits));
        if let Grants::Scopes(scopes) = &key.0 {
            for scope in scopes {
                self.by_scope.entry(scope.clone()).or_default().insert(key.clone());
            }
        }
        self.audiences.insert(key, Arc::clone(&audience));
        metrics.hub.audiences.inc();
        audience
    }

    fn remove_audience(&mut self, key: &AudienceKey, metrics: &Metrics) {
        if self.audiences.remove(key).is_none() {
            return;
        }
        if let Grants::Scopes(scopes) = &key.0 {
            for scope in scopes {
                if let Some(keys) = self.by_scope.get_mut(scope) {
                    keys.remove(key);
                    if keys.is_empty() {
                        self.by_scope.remove(scope);
                    }
                }
            }
        }
        metrics.hub.audiences.dec();
    }
}

impl Registered {
    pub fn hub(&self) -> &Arc<WorkspaceHub> {
        &self.hub
    }

    /// From now on messages are for this session too.
    pub fn open_inbox(&self) {
        if let Some(member) = self.hub.lock().sessions.get_mut(&self.id) {
            member.has_inbox = true;
        }
    }

    /// Puts the session into the audience of `access`, at the end of its ring. False, and nothing happened: access has
    /// changed since `access_version`; read it again. Frames from the moment of this call on are not missed; the reader
    /// that plans the session's catch-up is to be opened after it.
    pub fn join(&mut self, access: &Access, access_version: u64) -> bool {
        let hub = Arc::clone(&self.hub);
        let mut state = hub.lock();
        if state.access_version != access_version {
            return false;
        }
        let Some(member) = state.sessions.get_mut(&self.id) else { return true };
        member.access = Some(access.clone());
        member.signals.send_if_modified(|signals| {
            signals.live_until = if signals.purge.is_some() { 0 } else { Seq::MAX };
            false
        });
        self.leave(&mut state);
        let key = (access.grants.clone(), self.seat.packing());
        let audience = state.audience(key, hub.limits, &hub.metrics);
        audience.join(&self.seat);
        self.audience = Some(audience);
        true
    }

    /// The session goes on with a token of another sign-in, or a later one of the same.
    pub fn renew(&self, sid: Uuid) {
        if let Some(member) = self.hub.lock().sessions.get_mut(&self.id) {
            member.info.sid = sid;
        }
    }

    /// Leaves the audience, for planning anew.
    pub fn unjoin(&mut self) {
        let hub = Arc::clone(&self.hub);
        self.leave(&mut hub.lock());
    }

    fn leave(&mut self, state: &mut State) {
        if let Some(audience) = self.audience.take()
            && audience.leave(&self.seat)
        {
            let key = (audience.grants.clone(), audience.packing);
            state.remove_audience(&key, &self.hub.metrics);
        }
    }

    /// Makes sure that a frame will start at `seq`, where the session is or is going to be.
    pub fn want(&self, seq: Seq) {
        let Some(audience) = &self.audience else { return };
        let state = self.hub.lock();
        if let Some((from, published)) = audience.want(seq, state.published) {
            // One that ends where this session is, and one for whoever is ahead of it.
            for (from, to) in [(from, seq), (seq, published)].into_iter().filter(|(from, to)| from < to) {
                audience.push(&Frame { from, to, bytes: Some(empty_batch(from, to)) });
            }
            drop(state);
            deliver_apart(Arc::clone(audience), Arc::clone(&self.hub.metrics));
        }
    }

    /// Leaves the socket to the hub; false: something came meanwhile, take it first.
    pub fn park(&self) -> bool {
        self.seat.park(|| self.has_signal())
    }

    /// Follows a topic from now on; false: it does already.
    pub fn follow(&mut self, name: &str) -> Result<bool, TooManyTopics> {
        if self.topics.contains_key(name) {
            return Ok(false);
        }
        if self.topics.len() >= TOPICS_PER_SESSION_MAX {
            return Err(TooManyTopics);
        }
        self.topics.insert(name.into(), self.hub.topics.join(name, &self.seat));
        Ok(true)
    }

    /// Follows a topic no more; false: it did not.
    pub fn unfollow(&mut self, name: &str) -> bool {
        let Some(topic) = self.topics.remove(name) else { return false };
        self.hub.topics.leave(name, &topic, &self.seat);
        true
    }

    /// Names of the topics it follows.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.topics.keys().map(AsRef::as_ref)
    }

    /// The session is about to send everything there is; what comes from here on keeps it from parking.
    pub fn begin(&self) {
        self.seat.begin();
    }

    /// Takes what is for this session alone, which it has to send.
    pub fn take_personal(&self) -> Vec<Bytes> {
        self.seat.take_personal()
    }

    /// Takes what comes next of the topics it follows; `None`: nothing.
    pub fn take_topics(&self) -> Option<(&str, TopicTaken)> {
        // Each call begins with another topic, so that a busy one does not keep the others back.
        let first = self.first_topic.fetch_add(1, Ordering::Relaxed) % self.topics.len().max(1);
        let turns = self.topics.iter().skip(first).chain(self.topics.iter().take(first));
        let mut taken = turns.map(|(name, topic)| (name.as_ref(), topic.take(&self.seat)));
        taken.find(|(_, taken)| *taken != TopicTaken::Nothing)
    }

    /// Whether there is a signal that the session has not looked at.
    pub fn has_signal(&self) -> bool {
        self.signals.has_changed().unwrap_or(true)
    }

    /// What is left is sent once the session has looked at its signals.
    pub fn send_later(&self) {
        self.seat.note_missed();
    }

    /// Waits until the hub cannot serve the session by itself (true), or for a signal (false). Cancel-safe.
    pub async fn next(&mut self) -> bool {
        tokio::select! {
            () = self.seat.woken() => true,
            Ok(()) = self.signals.changed() => false,
        }
    }

    /// Takes the next frames, which the session has to send.
    pub fn take(&self) -> Taken {
        let until = self.signals.borrow().live_until;
        self.audience.as_ref().map_or(Taken::Nothing, |audience| audience.take(&self.seat, until))
    }

    /// After a catch-up from the store up to `cursor` the ring goes on from there.
    pub fn resume(&self, cursor: Seq) {
        self.seat.set_cursor(cursor);
        if let Some(audience) = &self.audience {
            audience.resume(&self.seat);
        }
        self.hub.metrics.hub.fell_behind.inc();
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let hub = Arc::clone(&self.hub);
        for (name, topic) in std::mem::take(&mut self.topics) {
            hub.topics.leave(&name, &topic, &self.seat);
        }
        let mut state = hub.lock();
        self.leave(&mut state);
        if let Some(member) = state.sessions.remove(&self.id) {
            state.by_connection.remove(&member.info.connection_id);
            take_out(&mut state.by_user, member.info.user_id, self.id);
            take_out(&mut state.by_device, member.info.device_id, self.id);
            if state.by_client.get(&member.info.client_id) == Some(&self.id) {
                state.by_client.remove(&member.info.client_id);
            }
        }
    }
}

fn take_out<K: std::hash::Hash + Eq>(index: &mut HashMap<K, BTreeSet<u64>>, key: K, id: u64) {
    if let Some(ids) = index.get_mut(&key) {
        ids.remove(&id);
        if ids.is_empty() {
            index.remove(&key);
        }
    }
}

/// Writes to an audience's members; to many of them apart from the runtime's threads, of which there are few.
fn deliver_apart(audience: Arc<Audience>, metrics: Arc<Metrics>) {
    let is_small = audience.has_few_members();
    let deliver = move || {
        metrics.hub.frames_sent.inc_by(audience.deliver());
    };
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) if !is_small => drop(runtime.spawn_blocking(deliver)),
        Ok(_) | Err(_) => deliver(),
    }
}

/// A batch without changes: moves cursors.
fn empty_batch(from: Seq, to: Seq) -> Encoded {
    let batch = Batch { from, to, catch_up: false, more: false, changes: Vec::new(), digests: Vec::new() };
    Encoded::new(&ServerFrame::Batch(batch))
}

#[cfg(test)]
mod tests;
