//! Living with other nodes: what they commit and revoke reaches this node's sessions (design D11).
//!
//! Word comes over the bus. Since the bus may lose it, a node that shares its database looks there too: now and then while
//! the bus works, often while it does not.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use syncline_core::id::WorkspaceId;
use syncline_core::storage::StoreResult;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::app::App;
use crate::bus::{BusEvent, Revocation, Subscription};
use crate::clock;
use crate::observe::{RoutingLabels, RoutingStep, Status};

/// How often the heads of the logs are read while the bus brings hints: what one lost hint may cost.
const HEADS_CONNECTED: Duration = Duration::from_secs(2);
/// The same while nobody brings hints.
const HEADS_ALONE: Duration = Duration::from_millis(100);
/// How often revocations are read from the database while the bus is away; AUTH-3 allows five seconds.
const REVOCATIONS_ALONE_MS: u64 = 2_000;
/// The same while the bus works.
const REVOCATIONS_CONNECTED_MS: u64 = 60_000;

/// Word of other nodes' messages that waits. More is dropped: stored messages are found by looking, others are lost.
const RELAYED_MAX: usize = 1_024;

/// The tasks that listen and look.
pub struct Nodes {
    tasks: Vec<JoinHandle<()>>,
}

impl Nodes {
    /// `is_shared`: other nodes may write to the same database.
    pub fn start(app: &Arc<App>, is_shared: bool) -> Self {
        let resumed = Arc::new(Notify::new());
        let telling = Arc::clone(&app.presence).run(Arc::clone(&app.hub), app.db.clone());
        let ((mail, mails), (live, lives)) = (mpsc::channel(RELAYED_MAX), mpsc::channel(RELAYED_MAX));
        let heard = Heard { resumed: Arc::clone(&resumed), mail, live };
        let listening = listen(Arc::clone(app), app.bus.subscribe(), heard);
        // Apart, because a slow topic holds up the live ones.
        let relaying = [relay(Arc::clone(app), mails), relay(Arc::clone(app), lives)].map(tokio::spawn);
        let mut tasks = vec![tokio::spawn(listening), tokio::spawn(telling)];
        tasks.extend(relaying);
        if is_shared {
            let watch = Watch { app: Arc::clone(app), resumed, revocations_ms: clock::now_ms() };
            tasks.push(tokio::spawn(watch.run()));
        }
        Self { tasks }
    }

    /// At once: nothing is lost with what they were about to do.
    pub fn stop(self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Where what is heard goes when it asks the database or waits for followers.
struct Heard {
    resumed: Arc<Notify>,
    mail: mpsc::Sender<BusEvent>,
    live: mpsc::Sender<BusEvent>,
}

/// Hears the bus until it is closed. Never waits for the database, so that a revocation does not.
async fn listen(app: Arc<App>, mut events: Subscription, heard: Heard) {
    while let Some(event) = events.next().await {
        app.presence.hear(&event);
        match event {
            BusEvent::Hint { workspace_id, seq } => app.reach.reached(&workspace_id, seq),
            event @ BusEvent::Mail { .. } => drop(heard.mail.try_send(event)),
            event @ BusEvent::Live { .. } => {
                if heard.live.try_send(event).is_err() {
                    let labels =
                        RoutingLabels { step: RoutingStep::Delivered, priority: "any", status: Status::Failed };
                    app.metrics.count_messages(labels, 1);
                }
            }
            BusEvent::SyncNow(request) => drop(app.hub.sync_now(&request)),
            BusEvent::Revoked(revoked) => revoke(&app, Some(&revoked.workspace_id), &revoked.revocation),
            BusEvent::Resumed(_) => heard.resumed.notify_one(),
            BusEvent::Entered { workspace_id, entry } => drop(app.hub.replace(&workspace_id, &entry)),
            BusEvent::Left { .. } | BusEvent::NodeJoined(_) | BusEvent::NodeLeft { .. } => {}
        }
    }
}

/// Looks for messages that other nodes stored, and hands on those that they did not store, in order.
async fn relay(app: Arc<App>, mut waiting: mpsc::Receiver<BusEvent>) {
    while let Some(event) = waiting.recv().await {
        match event {
            BusEvent::Mail { workspace_id, head } => unread(app.router.reached(&workspace_id, head).await),
            BusEvent::Live { workspace_id, to, frame } => {
                app.router.deliver_relayed(&workspace_id, &to, &frame).await;
            }
            BusEvent::Hint { .. }
            | BusEvent::SyncNow(_)
            | BusEvent::Revoked(_)
            | BusEvent::Resumed(_)
            | BusEvent::Entered { .. }
            | BusEvent::Left { .. }
            | BusEvent::NodeJoined(_)
            | BusEvent::NodeLeft { .. } => {}
        }
    }
}

/// Looks into the database for what nobody told.
struct Watch {
    app: Arc<App>,
    /// The bus may have missed something.
    resumed: Arc<Notify>,
    /// When revocations were last read from the database.
    revocations_ms: u64,
}

impl Watch {
    async fn run(mut self) {
        loop {
            let pause = if self.hears_others() { HEADS_CONNECTED } else { HEADS_ALONE };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.resumed.notified() => self.revocations_ms = 0,
            }
            self.look().await;
        }
    }

    /// Whether other nodes' hints arrive: there is a bus between nodes, and it works.
    fn hears_others(&self) -> bool {
        self.app.config.bus.redis_url.is_some() && self.app.bus.health().is_connected()
    }

    async fn look(&mut self) {
        unread(self.app.router.look().await);
        let db = self.app.db.clone();
        let heads = tokio::task::spawn_blocking(move || db.heads()).await;
        match heads {
            Ok(Ok(heads)) => {
                for (workspace_id, seq) in &heads {
                    self.app.reach.reached(workspace_id, *seq);
                }
                let workspaces: Vec<WorkspaceId> = heads.into_iter().map(|(workspace_id, _)| workspace_id).collect();
                self.look_for_revocations(workspaces).await;
            }
            Ok(Err(error)) => {
                tracing::warn!(event = "heads_unread", %error, "the heads of the logs could not be read; it is tried again");
                tokio::time::sleep(HEADS_CONNECTED).await;
            }
            Err(error) => tracing::error!(event = "heads_unread", %error, "reading the heads of the logs panicked"),
        }
    }

    async fn look_for_revocations(&mut self, workspaces: Vec<WorkspaceId>) {
        let every = if self.hears_others() { REVOCATIONS_CONNECTED_MS } else { REVOCATIONS_ALONE_MS };
        let now = clock::now_ms();
        if now < self.revocations_ms + every {
            return;
        }
        self.revocations_ms = now;
        let known = Arc::clone(&self.app.auth.revocations);
        let found: StoreResult<_> = self.app.auth.with_store(move |store| known.refresh(store, &workspaces, now)).await;
        match found {
            Ok(found) => {
                found.iter().for_each(|(workspace, revocation)| revoke(&self.app, workspace.as_ref(), revocation))
            }
            Err(error) => {
                tracing::warn!(event = "revocations_unread", %error, "revocations could not be read; it is tried again");
            }
        }
    }
}

fn unread(looked: StoreResult<()>) {
    if let Err(error) = looked {
        tracing::warn!(event = "messages_unread", %error, "messages of other nodes could not be looked for; it is tried again");
    }
}

/// Applies a revocation to this node's memory and sockets; without a workspace: to all. Applying it again does nothing.
fn revoke(app: &App, workspace_id: Option<&WorkspaceId>, revocation: &Revocation) {
    let (known, hub) = (&app.auth.revocations, &app.hub);
    match (revocation, workspace_id) {
        (Revocation::Device { device_id }, Some(workspace_id)) => {
            known.add_device(workspace_id.clone(), *device_id);
            hub.revoke_device(workspace_id, *device_id);
        }
        (Revocation::SignIns { sids, until_ms }, _) => {
            known.add_sign_ins(sids, *until_ms);
            let ended: HashSet<&Uuid> = sids.iter().collect();
            hub.end_sign_in_anywhere(|session| ended.contains(&session.sid));
        }
        // Access is data: the log entry that changes it says so to every session. The others have no users yet.
        (Revocation::Device { .. } | Revocation::ApiKey { .. } | Revocation::Access { .. }, _) => {}
    }
}
