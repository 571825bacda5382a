//! The publisher: one thread that takes committed groups in order, notices changed access, and feeds the rings.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use syncline_core::Seq;
use syncline_core::change::LogEntry;
use syncline_core::engine::access::{access_of, touches_access};
use syncline_core::id::{ScopeId, UserId};
use syncline_core::principal::Access;
use syncline_core::protocol::limits::FRAME_BYTES_MAX;
use syncline_core::protocol::{Code, ServerFrame};
use syncline_core::session::server::{needs_whole, render_batch};
use syncline_core::storage::StoreResult;

use super::Hub;
use super::encoded::Encoded;
use super::ring::{Audience, Frame};
use super::signals::Signals;
use super::workspace::{State, WorkspaceHub};
use crate::db::Db;
use crate::engine::Committed;
use crate::observe::Metrics;

/// Groups that may wait for the publisher; then the writer waits for it.
const BACKLOG_MAX: usize = 1_024;

/// Handle to the publisher's thread.
pub struct Publisher {
    commits: Mutex<Option<SyncSender<Committed>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Publisher {
    pub fn spawn(hub: Arc<Hub>, db: Db) -> std::io::Result<Self> {
        let (commits, queue) = sync_channel(BACKLOG_MAX);
        let builder = std::thread::Builder::new().name("syncline-publisher".to_owned());
        let thread = builder.spawn(move || run(&hub, &db, &queue))?;
        Ok(Self { commits: Mutex::new(Some(commits)), thread: Mutex::new(Some(thread)) })
    }

    /// A way to hand over commits, for the writer's thread.
    pub fn sender(&self) -> impl Fn(Committed) + Send + 'static {
        let commits = self.commits.lock().ok().and_then(|commits| commits.clone());
        move |committed| {
            if let Some(commits) = &commits
                && commits.send(committed).is_err()
            {
                tracing::error!(event = "publisher_gone", "a commit could not be published; sessions will catch up");
            }
        }
    }

    /// Publishes what waits and ends the thread, once every sender is gone. Blocks.
    pub fn stop(&self) {
        if let Ok(mut commits) = self.commits.lock() {
            commits.take();
        }
        let thread = self.thread.lock().ok().and_then(|mut thread| thread.take());
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!(event = "publisher_panicked", "the publisher thread ended with a panic");
        }
    }
}

fn run(hub: &Hub, db: &Db, queue: &Receiver<Committed>) {
    while let Ok(committed) = queue.recv() {
        if let Some(workspace) = hub.existing(&committed.workspace_id) {
            publish(&workspace, db, &committed);
        }
    }
}

/// Order matters: sessions whose access changed are cut off from the live frames first (spec GRT-1), then the rings are
/// fed.
fn publish(workspace: &WorkspaceHub, db: &Db, committed: &Committed) {
    if committed.entries.iter().any(|entry| touches_access(entry)) {
        regrant(workspace, db, committed);
    }
    let scopes: BTreeSet<ScopeId> = committed.entries.iter().flat_map(|entry| entry.scopes()).collect();
    let mut state = workspace.lock();
    for (audience, start) in state.audiences_for(committed.from, committed.to, &scopes) {
        let stretch = Stretch { entries: &committed.entries, from: start, to: committed.to };
        feed(&audience, &stretch, committed, &workspace.metrics);
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
fn feed(audience: &Audience, stretch: &Stretch<'_>, committed: &Committed, metrics: &Metrics) {
    let Stretch { entries, from, to } = *stretch;
    if needs_whole(entries, &audience.grants) {
        return audience.push(Frame { from, to, bytes: None });
    }
    // Digests are those at the end of the group: only the batch that ends there may carry them.
    let none = BTreeMap::new();
    let digests = if to == committed.to { &committed.digests } else { &none };
    let batch = render_batch(entries, digests, &audience.grants, (from, to));
    let bytes = Encoded::new(&ServerFrame::Batch(batch));
    metrics.hub.frames_rendered.inc();
    if bytes.payload_len() <= FRAME_BYTES_MAX {
        return audience.push(Frame { from, to, bytes: Some(bytes) });
    }
    let (first, second) = entries.split_at(entries.len() / 2);
    let Some(middle) = first.last().map(|entry| entry.seq) else {
        return audience.push(Frame { from, to, bytes: None });
    };
    feed(audience, &Stretch { entries: first, from, to: middle }, committed, metrics);
    feed(audience, &Stretch { entries: second, from: middle, to }, committed, metrics);
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
                member.signals.send_modify(|signals| signals.purge(Code::DeviceRevoked, reason));
            }
            Some(Known::Access(Some(now))) if member.access.as_ref().is_none_or(|was| was != now) => {
                member.signals.send_modify(|signals| Signals::regrant(signals, live_until));
            }
            Some(Known::Unreadable) => member.signals.send_modify(|signals| Signals::regrant(signals, live_until)),
            Some(Known::Access(Some(_))) | None => {}
        }
    }
}
