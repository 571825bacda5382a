//! What a node does to lose nothing: it announces itself, reads and hands over revocations, and looks whether Redis still
//! has what it was given.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::try_join_all;
use redis::streams::StreamRangeReply;
use redis::{Cmd, RedisError, RedisResult};
use syncline_core::id::WorkspaceId;
use tokio::sync::watch;
use tokio::time::timeout;
use uuid::Uuid;

use super::Shared;
use super::link::Commands;
use super::wire::{self, Announcement, Body};
use crate::bus::{BusEvent, REVOCATIONS_KEPT_MS, Revoked};
use crate::clock;

/// Workspaces whose presence is looked after with one heartbeat; the next ones with the next.
const PRESENCE_CHECKS_MAX: usize = 128;
/// Revocations read, or published again, at a time.
const REVOCATIONS_PAGE: usize = 1_000;

/// Why Redis counts as lost.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error("{what} was not answered within {ms} ms")]
    Silent { what: &'static str, ms: u128 },
    #[error("{what} failed: {source}")]
    Failed { what: &'static str, source: RedisError },
    #[error("the listening connection was closed")]
    Closed,
    #[error("it has lost what it was given")]
    Forgotten,
}

/// Where reading the stream of revocations has come to, and what of the connection has been heard.
pub(super) struct Session {
    pub commands: Commands,
    last_revocation: tokio::sync::Mutex<LastRevocation>,
    pub echo: watch::Sender<u64>,
}

impl Session {
    pub fn new(commands: Commands) -> Self {
        Self { commands, last_revocation: tokio::sync::Mutex::default(), echo: watch::Sender::new(0) }
    }
}

#[derive(Default)]
struct LastRevocation {
    /// `<milliseconds by the clock of Redis>-<number>`.
    id: String,
    /// Whether there was an entry with this id.
    is_an_entry: bool,
}

impl LastRevocation {
    fn ms(&self) -> u64 {
        self.id.split('-').next().and_then(|ms| ms.parse().ok()).unwrap_or(0)
    }
}

/// Says who we are, and hands over and reads the revocations, before anybody asks.
pub(super) async fn resume(shared: &Shared, session: &Session) -> Result<(), Lost> {
    shared.generation.fetch_add(1, Ordering::AcqRel);
    let hello = Body::Hello(shared.announcement());
    let beat = announce(shared, session).await?;
    shared.registry.resumed(clock::instant());
    deliver(shared, shared.registry.compare(beat.alive, clock::instant()));
    let since = format!("{}-0", beat.redis_ms.saturating_sub(REVOCATIONS_KEPT_MS));
    *session.last_revocation.lock().await = LastRevocation { id: since, is_an_entry: false };
    let in_stream = read_revocations(shared, session, beat.redis_ms).await?;
    shared.ledger.compare(&in_stream, clock::now_ms());
    publish_waiting(shared, session).await?;
    shared.node.rates.clear();
    within(shared.times.command, "greeting the others", shared.publish(session.commands.clone(), hello)).await
}

/// What Redis answers to a sign of life.
pub(super) struct Beat {
    pub was_known: bool,
    /// By the clock of Redis.
    pub redis_ms: u64,
    pub alive: Vec<Announcement>,
}

/// Writes this node into the registry and reads the others.
pub(super) async fn announce(shared: &Shared, session: &Session) -> Result<Beat, Lost> {
    let mut step = shared.heartbeat.prepare_invoke();
    step.key(shared.keys.alive()).key(shared.keys.info());
    step.arg(shared.node.info.id.to_string()).arg(shared.times.node_ttl_ms).arg(wire::to_json(&shared.announcement()));
    let beat = super::invoke::<(u8, u64, Vec<Vec<u8>>)>(session.commands.clone(), step);
    let (was_known, redis_ms, alive) = within(shared.times.command, "the heartbeat", beat).await?;
    let alive = alive.iter().filter_map(|json| wire::from_json(json)).collect();
    Ok(Beat { was_known: was_known == 1, redis_ms, alive })
}

/// Reads what came into the stream since the last time in this session. Returns the ids.
///
/// A single node of a cluster can lose its memory without any connection of ours ending. So reading begins with the entry
/// that was read last: when it is gone before its time, the stream is, and all of us write what we know again.
pub(super) async fn read_revocations(shared: &Shared, session: &Session, redis_ms: u64) -> Result<HashSet<Uuid>, Lost> {
    let mut last = session.last_revocation.lock().await;
    let mut ids = HashSet::new();
    if last.is_an_entry && last.ms().saturating_add(REVOCATIONS_KEPT_MS / 2) > redis_ms {
        let entry = Cmd::xrange(shared.keys.revocations(), &last.id, &last.id);
        let mut commands = session.commands.clone();
        let read = entry.query_async::<StreamRangeReply>(&mut commands);
        if within(shared.times.command, "reading a revocation", read).await?.ids.is_empty() {
            return Err(Lost::Forgotten);
        }
    }
    loop {
        let page = Cmd::xrange_count(shared.keys.revocations(), format!("({}", last.id), "+", REVOCATIONS_PAGE);
        let mut commands = session.commands.clone();
        let read = page.query_async::<StreamRangeReply>(&mut commands);
        let entries = within(shared.times.command, "reading revocations", read).await?.ids;
        for entry in &entries {
            let revoked = entry.get::<Vec<u8>>("m").and_then(|json| wire::from_json::<Revoked>(&json));
            match revoked {
                Some(revoked) => {
                    ids.insert(revoked.id);
                    shared.node.events.revoked(revoked, clock::now_ms());
                }
                None => shared.node.counters.messages_refused.add(1),
            }
        }
        if let Some(entry) = entries.last() {
            *last = LastRevocation { id: entry.id.clone(), is_an_entry: true };
        }
        if entries.len() < REVOCATIONS_PAGE {
            return Ok(ids);
        }
    }
}

pub(super) async fn publish_waiting(shared: &Shared, session: &Session) -> Result<(), Lost> {
    for revoked in shared.ledger.waiting(REVOCATIONS_PAGE) {
        let publish = shared.publish_revocation(session.commands.clone(), revoked);
        within(shared.times.command, "publishing a revocation", publish).await?;
    }
    Ok(())
}

/// Looks whether Redis still has what it was given of the next workspaces after `last`, and gives it again where not.
/// Returns the last of them; `None` when there are no more.
pub(super) async fn check_presence(
    shared: &Shared,
    session: &Session,
    last: Option<&WorkspaceId>,
) -> Result<Option<WorkspaceId>, Lost> {
    let next = shared.node.roster.told_after(last, PRESENCE_CHECKS_MAX);
    let checks = next.iter().map(|(workspace_id, connection_id)| {
        let field = shared.presence_field(*connection_id);
        let check = Cmd::hexists(shared.keys.presence(workspace_id), field);
        let mut commands = session.commands.clone();
        async move { check.query_async::<bool>(&mut commands).await }
    });
    let is_there = within(shared.times.command, "looking for presence", try_join_all(checks)).await?;
    for ((workspace_id, _), _) in next.iter().zip(is_there).filter(|(_, is_there)| !is_there) {
        shared.node.roster.tell(workspace_id);
        shared.outgoing.notify_one();
    }
    Ok(next.into_iter().next_back().map(|(workspace_id, _)| workspace_id))
}

pub(super) fn deliver(shared: &Shared, events: Vec<BusEvent>) {
    events.into_iter().for_each(|event| shared.node.events.send(event));
}

pub(super) async fn within<T>(
    deadline: Duration,
    what: &'static str,
    act: impl Future<Output = RedisResult<T>>,
) -> Result<T, Lost> {
    match timeout(deadline, act).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(source)) => Err(Lost::Failed { what, source }),
        Err(_) => Err(Lost::Silent { what, ms: deadline.as_millis() }),
    }
}
