//! Webhooks. Outgoing ones are told of changes: a webhook is a position in the change log, so nothing is missed however long
//! its receiver is away. One node at a time turns log entries into deliveries; all nodes deliver, each what it has claimed.
//! A receiver gets each message at least once, under one id. Incoming ones become mutations or messages, see [`mapping`].
//!
//! Start reading at [`Webhooks`], then `outgoing.rs` for what is told and `deliver.rs` for how.

pub mod address;
mod deliver;
pub mod incoming;
pub mod mapping;
mod outgoing;
pub mod signature;

use std::sync::Arc;
use std::time::Duration;

use syncline_core::TimestampMs;
use syncline_core::storage::StoreResult;
use syncline_storage::sqlite::Lease;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::app::App;
use crate::clock;

pub use outgoing::is_event_pattern;

/// Name of the right to turn log entries into deliveries.
const LEASE: &str = "webhooks";
/// How long a node that has it may say nothing; milliseconds, and at least four looks.
const LEASE_MS: u64 = 10_000;
/// Webhooks of a workspace.
pub const WEBHOOKS_MAX: usize = 100;

/// The tasks.
pub struct Webhooks {
    stop: watch::Sender<bool>,
    tasks: [JoinHandle<()>; 2],
}

impl Webhooks {
    pub fn start(app: &Arc<App>) -> reqwest::Result<Self> {
        let deliverer = deliver::Deliverer::new(Arc::clone(app))?;
        let (stop, stopped) = watch::channel(false);
        let filling = tokio::spawn(fill(Arc::clone(app), stopped.clone()));
        let delivering = tokio::spawn(deliverer.run(stopped));
        Ok(Self { stop, tasks: [filling, delivering] })
    }

    /// Attempts under way are waited for; the caller bounds that. What is not delivered is at the next start.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            if task.await.is_err() {
                tracing::error!(event = "webhooks_panicked", "a task of the webhooks ended with a panic");
            }
        }
    }
}

/// Turns what the log has into deliveries, while this node holds the lease.
async fn fill(app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    let every = Duration::from_millis(app.config.webhooks.every_ms);
    let mut held_until_ms = 0;
    while !pause(&mut stopped, every).await {
        if let Err(error) = fill_once(&app, &mut held_until_ms).await {
            tracing::warn!(event = "webhooks_unread", %error, "changes could not be read for webhooks; it is tried again");
        }
    }
}

/// Without webhooks nothing is written; the lease is renewed when half of it is over.
async fn fill_once(app: &Arc<App>, held_until_ms: &mut TimestampMs) -> StoreResult<()> {
    let hooks = app.auth.with_store(|store| store.outgoing_webhooks()).await?;
    if hooks.is_empty() {
        return Ok(());
    }
    let now = clock::now_ms();
    let lease_ms = LEASE_MS.max(4 * app.config.webhooks.every_ms);
    if now + lease_ms / 2 >= *held_until_ms {
        let (holder, until_ms) = (app.bus.node().id.to_string(), now + lease_ms);
        let lease = Lease { name: LEASE.to_owned(), holder, now_ms: now, until_ms };
        let is_held = app.auth.with_store(move |store| store.take_lease(&lease)).await?;
        *held_until_ms = if is_held { until_ms } else { 0 };
    }
    if *held_until_ms > now { outgoing::fill(app, hooks).await } else { Ok(()) }
}

/// True: it is time to stop.
async fn pause(stopped: &mut watch::Receiver<bool>, duration: Duration) -> bool {
    tokio::select! {
        () = tokio::time::sleep(duration) => false,
        _ = stopped.wait_for(|is_stopped| *is_stopped) => true,
    }
}
