//! The bus over Redis, one or a cluster.
//!
//! | what | in Redis | lives |
//! |---|---|---|
//! | hints, changes of presence, greetings | channel `bus` | the moment |
//! | revocations | channel `bus` and stream `revocations` | [`super::REVOCATIONS_KEPT_MS`] |
//! | nodes | `{nodes}:alive` by time of death, `{nodes}:info` | `node_ttl_ms` after the last heartbeat |
//! | presence | hash `presence:{workspace}`, a field for each connection | with its node, at most [`PRESENCE_KEPT_MS`] |
//! | rate limits | `rate:…` | their own time |
//!
//! One task ([`supervisor`]) holds the two connections, sends, listens and beats. Calls share its connection for commands;
//! there is none while Redis is away, so that they answer at once. An answer that does not come in `command_ms` makes the
//! task ask for itself, and only if it gets none either is Redis lost.

mod address;
mod catch_up;
mod link;
mod outgoing;
mod registry;
mod supervisor;
mod wire;

use std::collections::HashSet;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::redis::{Cmd, Pipeline, RedisResult, Script, ScriptInvocation};
use arc_swap::ArcSwapOption;
use sha2::{Digest as _, Sha256};
use syncline_core::Seq;
use syncline_core::id::WorkspaceId;
use syncline_core::messages::Target;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

pub(super) use address::Addresses;
use link::Commands;
use outgoing::{Hints, Ledger, Put};
use registry::Registry;
use wire::{Announcement, Body, Envelope, Kept, Keys};

use super::node::Node;
use super::{
    BusError, BusHealth, NodeInfo, PRESENCE_ROLL_MAX, PresenceEntry, RateDecision, RatePolicy, Reach, Revoked, Roll,
    SyncRequest,
};
use crate::clock;
use crate::config::BusConfig;

/// Life of a workspace's presence after its last change or renewal; 1 hour. Renewed every tenth of it.
const PRESENCE_KEPT_MS: u64 = 3_600_000;
/// Bytes of a key of a rate limit in Redis. A longer one is replaced by its hash.
const RATE_KEY_BYTES_MAX: usize = 200;

pub(super) struct RedisBus {
    shared: Arc<Shared>,
    /// Ends the task with the last clone of the bus; `None` once it is closed.
    end: Mutex<Option<DropGuard>>,
}

struct Shared {
    node: Arc<Node>,
    addresses: Addresses,
    keys: Keys,
    times: Times,
    registry: Registry,
    /// `None` while Redis is away.
    commands: ArcSwapOption<Commands>,
    /// Times that Redis was found again.
    generation: AtomicU64,
    hints: Hints,
    /// As hints, of messages.
    mail: Hints,
    ledger: Ledger,
    /// Something waits to go out.
    outgoing: Notify,
    /// A call got no answer.
    suspicion: Notify,
    limit: Script,
    heartbeat: Script,
}

struct Times {
    command: Duration,
    connect: Duration,
    backoff_ms_max: u64,
    heartbeat: Duration,
    node_ttl_ms: u64,
    hint_gap: Duration,
}

impl RedisBus {
    /// Begins to connect and waits for the first attempt.
    pub async fn start(config: &BusConfig, addresses: Addresses, info: NodeInfo) -> Self {
        let started = BusHealth::Degraded { since_ms: info.since_ms, attempts: 0, reason: "connecting".to_owned() };
        let node_ttl = Duration::from_millis(config.node_ttl_ms);
        let announcement = Announcement { node: info.clone(), generation: 0 };
        let shared = Arc::new(Shared {
            addresses,
            keys: Keys::new(&config.key_prefix, info.id),
            times: Times {
                command: Duration::from_millis(config.command_ms),
                connect: Duration::from_millis(config.connect_ms),
                backoff_ms_max: config.backoff_ms_max,
                heartbeat: Duration::from_millis(config.heartbeat_ms),
                node_ttl_ms: config.node_ttl_ms,
                hint_gap: Duration::from_millis(config.hint_gap_ms),
            },
            registry: Registry::new(&announcement, node_ttl, clock::instant()),
            node: Arc::new(Node::new(info, started)),
            commands: ArcSwapOption::empty(),
            generation: AtomicU64::new(0),
            hints: Hints::default(),
            mail: Hints::default(),
            ledger: Ledger::default(),
            outgoing: Notify::new(),
            suspicion: Notify::new(),
            limit: Script::new(include_str!("limit.lua")),
            heartbeat: Script::new(include_str!("heartbeat.lua")),
        });
        let token = CancellationToken::new();
        let task = supervisor::run(Arc::clone(&shared));
        let token_of_task = token.clone();
        tokio::spawn(async move { token_of_task.run_until_cancelled_owned(task).await });
        let mut health = shared.node.health.subscribe();
        let was_tried = health.wait_for(|health| !matches!(health, BusHealth::Degraded { attempts: 0, .. }));
        let _goes_on_trying = timeout(shared.times.connect, was_tried).await.is_err();
        Self { shared, end: Mutex::new(Some(token.drop_guard())) }
    }

    pub fn node(&self) -> &Arc<Node> {
        &self.shared.node
    }

    pub fn hint(&self, workspace_id: &WorkspaceId, seq: Seq) {
        let shared = &self.shared;
        // While Redis is away they wait too: the others may never notice that this node was cut off.
        match shared.hints.put(workspace_id, seq) {
            Put::Waits => shared.outgoing.notify_one(),
            Put::Coalesced => shared.node.counters.hints_coalesced.add(1),
            Put::Dropped => shared.node.counters.hints_dropped.add(1),
        }
    }

    pub fn mail(&self, workspace_id: &WorkspaceId, head: u64) {
        let shared = &self.shared;
        match shared.mail.put(workspace_id, head) {
            Put::Waits => shared.outgoing.notify_one(),
            Put::Coalesced => shared.node.counters.hints_coalesced.add(1),
            Put::Dropped => shared.node.counters.hints_dropped.add(1),
        }
    }

    pub async fn live(&self, workspace_id: &WorkspaceId, to: &Target, frame: String) -> Reach {
        let body = Body::Live { workspace_id: workspace_id.clone(), to: to.clone(), frame };
        reach(self.shared.call(|commands| self.shared.publish(commands, body)).await.is_some())
    }

    pub async fn sync_now(&self, request: SyncRequest) -> Reach {
        let body = Body::SyncNow(request);
        reach(self.shared.call(|commands| self.shared.publish(commands, body)).await.is_some())
    }

    pub async fn revoke(&self, revoked: Revoked) -> Reach {
        let shared = &self.shared;
        shared.node.events.revoked(revoked.clone(), revoked.at_ms);
        shared.ledger.put(revoked.clone(), revoked.at_ms);
        let published = shared.call(|commands| shared.publish_revocation(commands, revoked)).await;
        reach(published.is_some())
    }

    pub fn enter(&self, workspace_id: &WorkspaceId, entry: PresenceEntry) -> Result<(), BusError> {
        self.shared.node.roster.enter(workspace_id, entry)?;
        self.shared.outgoing.notify_one();
        Ok(())
    }

    pub fn leave(&self, workspace_id: &WorkspaceId, connection_id: Uuid) {
        if self.shared.node.roster.leave(workspace_id, connection_id) {
            self.shared.outgoing.notify_one();
        }
    }

    pub async fn presence(&self, workspace_id: &WorkspaceId) -> Roll {
        let shared = &self.shared;
        let mut entries = shared.node.roster.list(workspace_id);
        let found = shared.call(|commands| scan_presence(commands, shared.keys.presence(workspace_id))).await;
        let reach = reach(found.is_some());
        let mut garbage = Vec::new();
        let (fields, mut is_complete) = found.unwrap_or((Vec::new(), true));
        for (field, json) in fields {
            match shared.judge(wire::from_json(json.as_ref())) {
                Judged::Alive(entry) => entries.push(entry),
                Judged::Own | Judged::Unknown => {}
                Judged::Garbage => garbage.push(field),
            }
        }
        if !garbage.is_empty() {
            // Should it fail, whoever lists next deletes it.
            shared.ask::<()>(Cmd::hdel(shared.keys.presence(workspace_id), garbage)).await;
        }
        is_complete &= entries.len() <= PRESENCE_ROLL_MAX;
        entries.truncate(PRESENCE_ROLL_MAX);
        Roll { entries, is_complete, reach }
    }

    pub async fn take(&self, key: &str, policy: RatePolicy, cost: u32) -> RateDecision {
        let shared = &self.shared;
        let mut step = shared.limit.prepare_invoke();
        step.key(shared.keys.rate(&short(key))).arg(policy.interval_us()).arg(policy.burst()).arg(policy.cost(cost));
        match shared.call(|commands| invoke::<(u64, u64, u64)>(commands, step)).await {
            Some((given, debt_us, wanted_us)) => RateDecision::from_debt(policy, given == 1, debt_us, wanted_us),
            None => shared.node.rates.take(key, policy, cost),
        }
    }

    pub fn nodes(&self) -> Vec<NodeInfo> {
        self.shared.registry.nodes()
    }

    pub async fn close(&self) {
        let shared = &self.shared;
        shared.node.events.close();
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = end.map(DropGuard::disarm) {
            task.cancel();
            shared.call(|commands| supervisor::say_goodbye(shared, commands)).await;
            shared.commands.store(None);
        }
    }
}

/// What a field of presence is worth.
enum Judged {
    Alive(PresenceEntry),
    /// Of this node, which knows better itself.
    Own,
    /// Of a node that is about to say hello, or of a newer version.
    Unknown,
    /// Of a node that is gone, or of before it was cut off.
    Garbage,
}

impl Shared {
    /// Performs a call within its deadline; `None`: this node answers for itself.
    async fn call<T, F>(&self, act: impl FnOnce(Commands) -> F) -> Option<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let answer = match self.commands.load_full() {
            Some(commands) => {
                let answer = timeout(self.times.command, act(commands.as_ref().clone())).await;
                if !matches!(answer, Ok(Ok(_))) {
                    self.suspicion.notify_one();
                }
                answer.ok().and_then(Result::ok)
            }
            None => None,
        };
        if answer.is_none() {
            self.node.counters.fallbacks.add(1);
        }
        answer
    }

    async fn ask<T: ::redis::FromRedisValue>(&self, cmd: Cmd) -> Option<T> {
        self.call(|mut commands| async move { cmd.query_async(&mut commands).await }).await
    }

    /// Writes it to the stream, which is what counts, and tells those who listen now.
    async fn publish_revocation(&self, commands: Commands, revoked: Revoked) -> RedisResult<()> {
        let id = revoked.id;
        let (key, json) = (self.keys.revocations(), wire::to_json(&revoked));
        let mut keep = Pipeline::new();
        keep.cmd("XADD").arg(&key).arg("MAXLEN").arg("~").arg(super::REVOCATIONS_MAX).arg("*").arg("m").arg(json);
        keep.pexpire(&key, i64::try_from(super::REVOCATIONS_KEPT_MS).unwrap_or(i64::MAX)).ignore();
        let (mut for_stream, for_channel) = (commands.clone(), commands);
        let (kept, told) = tokio::join!(
            async { keep.query_async::<(String,)>(&mut for_stream).await },
            self.publish(for_channel, Body::Revoked(revoked)),
        );
        kept?;
        told?;
        self.ledger.published(id);
        Ok(())
    }

    async fn publish(&self, mut commands: Commands, body: Body) -> RedisResult<()> {
        let json = wire::to_json(&Envelope { from: self.node.info.id, body });
        Cmd::publish(self.keys.channel(), json).query_async(&mut commands).await
    }

    fn announcement(&self) -> Announcement {
        Announcement { node: self.node.info.clone(), generation: self.generation.load(Ordering::Acquire) }
    }

    fn judge(&self, kept: Option<Kept>) -> Judged {
        let Some(Kept { generation, entry }) = kept else { return Judged::Unknown };
        if entry.node_id == self.node.info.id {
            return Judged::Own;
        }
        match self.registry.generation(entry.node_id) {
            Some(current) if generation >= current => Judged::Alive(entry),
            Some(_) => Judged::Garbage,
            None => {
                // A node is unknown because it is new, or because it is gone: its id says since when it could be known.
                let minted_s = entry.node_id.0.get_timestamp().map_or(0, |minted| minted.to_unix().0);
                let is_new = minted_s * 1_000 + self.times.node_ttl_ms * 4 > clock::now_ms();
                if is_new || self.registry.is_full() { Judged::Unknown } else { Judged::Garbage }
            }
        }
    }

    /// Where a connection of this node stands in its workspace's hash.
    fn presence_field(&self, connection_id: Uuid) -> String {
        format!("{}:{connection_id}", self.node.info.id)
    }
}

async fn invoke<T: ::redis::FromRedisValue>(mut commands: Commands, step: ScriptInvocation<'_>) -> RedisResult<T> {
    step.invoke_async(&mut commands).await
}

/// Reads a workspace's presence in pages; whether it is all of it comes second.
async fn scan_presence(mut commands: Commands, key: String) -> RedisResult<(Vec<(String, Vec<u8>)>, bool)> {
    let (mut cursor, mut fields, mut seen) = (0_u64, Vec::new(), HashSet::new());
    loop {
        let mut page = ::redis::cmd("HSCAN");
        page.arg(&key).arg(cursor).arg("COUNT").arg(1_000);
        let (next, found): (u64, Vec<(String, Vec<u8>)>) = page.query_async(&mut commands).await?;
        fields.extend(found.into_iter().filter(|(field, _)| seen.insert(field.clone())));
        cursor = next;
        if cursor == 0 || fields.len() >= PRESENCE_ROLL_MAX {
            return Ok((fields, cursor == 0));
        }
    }
}

fn reach(is_everywhere: bool) -> Reach {
    if is_everywhere { Reach::Deployment } else { Reach::Degraded }
}

fn short(key: &str) -> String {
    match key.len() <= RATE_KEY_BYTES_MAX {
        true => key.to_owned(),
        false => Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}
