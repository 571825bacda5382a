//! The publisher: one thread that takes committed groups in order, notices changed access, and feeds the rings.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use syncline_core::Seq;
use syncline_core::change::LogEntry;
use syncline_core::engine::access::{access_of, touches_access};
use syncline_core::id::{ScopeId, UserId, WorkspaceId};
use syncline_core::principal::Access;
use syncline_core::protocol::limits::FRAME_BYTES_MAX;
use syncline_core::protocol::{Code, ServerFrame};
use syncline_core::session::server::{needs_whole, render_batch};
use syncline_core::storage::StoreResult;

use super::Hub;
use super::encoded::Encoded;
use super::ring::{Audience, Frame};
use super::workspace::{State, WorkspaceHub};
use crate::db::Db;
use crate::engine::Committed;
use crate::observe::Metrics;
use crate::vitals::Vitals;

/// What may wait for the publisher; then a writer waits for it, and word of another node's commits is dropped, for it
/// comes again.
const BACKLOG_MAX: usize = 1_024;
/// Entries of other nodes that are read and published at a time; a longer stretch sends every session to the store.
const GAP_ENTRIES_MAX: usize = 2_000;
/// Groups that are published before their frames are written.
const FEEDS_AT_ONCE: usize = 64;
/// Bytes that are pushed before they are written.
const BYTES_AT_ONCE: usize = 256 * 1024;
/// Silence after which rings are looked through for frames that all have taken.
const RELEASE_EVERY: Duration = Duration::from_millis(500);

/// What the publisher is told.
enum Feed {
    Committed(Committed),
    /// The log has reached this seq, whoever wrote it.
    Reached {
        workspace_id: WorkspaceId,
        seq: Seq,
    },
    Stop,
}

/// Handle to the publisher's thread.
pub struct Publisher {
    feeds: SyncSender<Feed>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Tells the publisher of what other nodes have committed. Cheap to clone.
#[derive(Clone)]
pub struct Reach(SyncSender<Feed>);

impl Reach {
    /// Never waits.
    pub fn reached(&self, workspace_id: &WorkspaceId, seq: Seq) {
        drop(self.0.try_send(Feed::Reached { workspace_id: workspace_id.clone(), seq }));
    }
}

impl Publisher {
    pub fn spawn(hub: Arc<Hub>, db: Db, vitals: &Vitals) -> std::io::Result<Self> {
        let (feeds, queue) = sync_channel(BACKLOG_MAX);
        let thread = vitals.spawn("publisher", move || run(&hub, &db, &queue))?;
        Ok(Self { feeds, thread: Mutex::new(Some(thread)) })
    }

    /// A way to hand over commits, for the writers' threads.
    pub fn sender(&self) -> impl Fn(Committed) + Send + Sync + 'static {
        let feeds = self.feeds.clone();
        move |committed| {
            if feeds.send(Feed::Committed(committed)).is_err() {
                tracing::error!(event = "publisher_gone", "a commit could not be published; sessions will catch up");
            }
        }
    }

    pub fn reach(&self) -> Reach {
        Reach(self.feeds.clone())
    }

    /// Publishes what waits and ends the thread. Blocks.
    pub fn stop(&self) {
        drop(self.feeds.send(Feed::Stop));
        let thread = self.thread.lock().ok().and_then(|mut thread| thread.take());
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!(event = "publisher_panicked", "the publisher thread ended with a panic");
        }
    }
}

fn run(hub: &Hub, db: &Db, queue: &Receiver<Feed>) {
    let mut pushed = Pushed::default();
    loop {
        let feed = match queue.recv_timeout(RELEASE_EVERY) {
            Ok(feed) => feed,
            Err(RecvTimeoutError::Timeout) => {
                pushed.release();
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        // What waits already goes out together: one write a socket, however many commits.
        let mut is_stopped = false;
        for feed in std::iter::once(feed).chain(queue.try_iter()).take(FEEDS_AT_ONCE) {
            let (workspace_id, to, committed) = match feed {
                Feed::Committed(committed) => (committed.workspace_id.clone(), committed.to, Some(committed)),
                Feed::Reached { workspace_id, seq } => (workspace_id, seq, None),
                Feed::Stop => {
                    is_stopped = true;
                    break;
                }
            };
            if let Some(workspace) = hub.existing(&workspace_id) {
                advance(&workspace, db, &workspace_id, (to, committed), &mut pushed);
            }
            if pushed.bytes > BYTES_AT_ONCE {
                pushed.deliver(&hub.metrics);
            }
        }
        pushed.deliver(&hub.metrics);
        if is_stopped {
            return;
        }
    }
}

/// The audiences whose rings hold something.
#[derive(Default)]
struct Pushed {
    /// By where they are in memory: something new.
    fresh: HashMap<*const Audience, Arc<Audience>>,
    /// Bytes of what is new.
    bytes: usize,
    /// Something that members who serve themselves may have taken by now.
    lingering: HashMap<*const Audience, Arc<Audience>>,
}

impl Pushed {
    fn push(&mut self, audience: &Arc<Audience>, frame: &Frame) {
        audience.push(frame);
        self.bytes += frame.bytes.as_ref().map_or(0, |encoded| encoded.wire().len());
        self.fresh.entry(Arc::as_ptr(audience)).or_insert_with(|| Arc::clone(audience));
    }

    fn push_all(&mut self, audiences: &[(Arc<Audience>, Seq)], frame: &Frame) {
        for (audience, _) in audiences {
            self.push(audience, frame);
        }
    }

    fn deliver(&mut self, metrics: &Metrics) {
        self.bytes = 0;
        for (key, audience) in self.fresh.drain() {
            metrics.hub.frames_sent.inc_by(audience.deliver());
            self.lingering.insert(key, audience);
        }
    }

    /// Frees what has been taken by all, while there is nothing else to do.
    fn release(&mut self) {
        self.lingering.retain(|_, audience| audience.release());
    }
}

/// Publishes up to `to` at least: the group at hand when it is the next one, otherwise what the log holds, for other nodes
/// write to it too.
fn advance(
    workspace: &WorkspaceHub,
    db: &Db,
    workspace_id: &WorkspaceId,
    (to, committed): (Seq, Option<Committed>),
    pushed: &mut Pushed,
) {
    let Some(published) = workspace.reach(to).filter(|published| *published < to) else { return };
    if let Some(next) = committed.filter(|committed| committed.from == published) {
        return publish(workspace, db, &next, pushed);
    }
    match stretch_after(db, workspace_id, published) {
        Ok(Some(stretch)) if stretch.entries.is_empty() => send_to_store(workspace, db, &stretch, pushed),
        Ok(Some(stretch)) => publish(workspace, db, &stretch, pushed),
        Ok(None) => {}
        Err(error) => {
            tracing::warn!(event = "log_unread", %workspace_id, %error, "what other nodes wrote could not be read; it is tried again");
        }
    }
}

/// What the log holds after `published`; without entries when it is too much to publish one by one. `None`: nothing.
fn stretch_after(db: &Db, workspace_id: &WorkspaceId, published: Seq) -> StoreResult<Option<Committed>> {
    db.read_blocking(workspace_id, |read| {
        let to = read.head()?.seq;
        if to <= published {
            return Ok(None);
        }
        let mut entries = read.log(published, to, GAP_ENTRIES_MAX + 1)?;
        let is_whole = entries.iter().map(|entry| entry.seq).eq(published + 1..=to);
        if !is_whole {
            entries.clear();
        }
        let touched: BTreeSet<ScopeId> = entries.iter().flat_map(LogEntry::scopes).collect();
        let digests = touched.into_iter().map(|scope| read.scope_digest(&scope).map(|digest| (scope, digest)));
        let digests = digests.collect::<StoreResult<_>>()?;
        let entries = entries.into_iter().map(Arc::new).collect();
        Ok(Some(Committed { workspace_id: workspace_id.clone(), from: published, to, entries, digests }))
    })
}

/// Everybody looks into the store for the stretch, and at their access again.
fn send_to_store(workspace: &WorkspaceHub, db: &Db, stretch: &Committed, pushed: &mut Pushed) {
    regrant(workspace, db, stretch);
    let mut state = workspace.lock();
    for audience in state.audiences() {
        pushed.push(&audience, &Frame { from: stretch.from, to: stretch.to, bytes: None });
    }
    state.published = Some(stretch.to);
}

/// Order matters: sessions whose access changed are cut off from the live frames first (spec GRT-1), then the rings are
/// fed.
fn publish(workspace: &WorkspaceHub, db: &Db, committed: &Committed, pushed: &mut Pushed) {
    if committed.entries.iter().any(|entry| touches_access(entry)) {
        regrant(workspace, db, committed);
    }
    let scopes: BTreeSet<ScopeId> = committed.entries.iter().flat_map(|entry| entry.scopes()).collect();
    let mut state = workspace.lock();
    let audiences = state.audiences_for(committed.from, committed.to, &scopes);
    // What is the same for several is rendered once.
    for alike in audiences.chunk_by(|one, next| one.1 == next.1 && one.0.grants == next.0.grants) {
        let from = alike[0].1;
        // Who joined in the middle of the stretch was sent its beginning from the store (spec BAT-1).
        let begun = committed.entries.partition_point(|entry| entry.seq <= from);
        let stretch = Stretch { entries: &committed.entries[begun..], from, to: committed.to };
        feed((alike, &mut *pushed), &stretch, committed, &workspace.metrics);
    }
    state.published = Some(committed.to);
}

/// Consecutive entries, and the seqs between which they lie.
struct Stretch<'a> {
    entries: &'a [Arc<LogEntry>],
    from: Seq,
    to: Seq,
}

/// Pushes a stretch as one frame; as several when it is too large for one; and where no live batch can say it, as the
/// advice to catch up from the store.
fn feed(
    (alike, pushed): (&[(Arc<Audience>, Seq)], &mut Pushed),
    stretch: &Stretch<'_>,
    committed: &Committed,
    metrics: &Metrics,
) {
    let Stretch { entries, from, to } = *stretch;
    let grants = &alike[0].0.grants;
    if needs_whole(entries, grants) {
        return pushed.push_all(alike, &Frame { from, to, bytes: None });
    }
    // Digests are those at the end of the group: only the batch that ends there may carry them.
    let none = BTreeMap::new();
    let digests = if to == committed.to { &committed.digests } else { &none };
    let batch = render_batch(entries, digests, grants, (from, to));
    let bytes = Encoded::new(&ServerFrame::Batch(batch));
    metrics.hub.frames_rendered.inc();
    if bytes.payload_len() <= FRAME_BYTES_MAX {
        return pushed.push_all(alike, &Frame { from, to, bytes: Some(bytes) });
    }
    let (first, second) = entries.split_at(entries.len() / 2);
    let Some(middle) = first.last().map(|entry| entry.seq) else {
        return pushed.push_all(alike, &Frame { from, to, bytes: None });
    };
    feed((alike, &mut *pushed), &Stretch { entries: first, from, to: middle }, committed, metrics);
    feed((alike, pushed), &Stretch { entries: second, from: middle, to }, committed, metrics);
}

/// Reads everybody's access anew and tells those whose grants changed.
fn regrant(workspace: &WorkspaceHub, db: &Db, committed: &Committed) {
    let users: BTreeSet<UserId> = {
        let mut state = workspace.lock();
        state.access_version += 1;
        state.sessions.values().map(|member| member.info.user_id).collect()
    };
    let access = match read_access(db, committed, &users) {
        Ok(access) => access,
        Err(error) => {
            let workspace_id = &committed.workspace_id;
            tracing::error!(event = "access_unknown", %workspace_id, %error, "access could not be read; every session of the workspace reads its own");
            users.iter().map(|user| (*user, Known::Unreadable)).collect()
        }
    };
    tell(&workspace.lock(), &access, committed.from);
}

enum Known {
    Access(Option<Access>),
    Unreadable,
}

fn read_access(db: &Db, committed: &Committed, users: &BTreeSet<UserId>) -> StoreResult<HashMap<UserId, Known>> {
    let schema = db.schema();
    db.read_blocking(&committed.workspace_id, |read| {
        let known = |user: &UserId| {
            let access = access_of(&schema, &committed.workspace_id, read, *user)?;
            Ok((*user, Known::Access(access)))
        };
        users.iter().map(known).collect()
    })
}

fn tell(state: &State, access: &HashMap<UserId, Known>, live_until: Seq) {
    for member in state.sessions.values() {
        match access.get(&member.info.user_id) {
            Some(Known::Access(None)) => {
                let reason = "You are not a member of this workspace any more.";
                member.signal(|signals| signals.purge(Code::DeviceRevoked, reason));
            }
            Some(Known::Access(Some(now))) if member.access.as_ref().is_none_or(|was| was != now) => {
                member.signal(|signals| signals.regrant(live_until));
            }
            Some(Known::Unreadable) => member.signal(|signals| signals.regrant(live_until)),
            Some(Known::Access(Some(_))) | None => {}
        }
    }
}
