//! How many sockets are open, and how many may be.

use std::sync::Arc;

use syncline_core::principal::DeploymentMode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::observe::Metrics;

/// Open sockets by deployment mode, each with its own limit.
pub struct Connections {
    by_mode: [Arc<Semaphore>; MODES.len()],
    tracker: TaskTracker,
    metrics: Arc<Metrics>,
}

const MODES: [DeploymentMode; 4] =
    [DeploymentMode::WebApp, DeploymentMode::BrowserExtension, DeploymentMode::LocalInstall, DeploymentMode::MobileApp];

/// The right to one open socket; gives it back when dropped.
pub struct Admission {
    mode: DeploymentMode,
    metrics: Arc<Metrics>,
    _permit: OwnedSemaphorePermit,
    _token: TaskTrackerToken,
}

impl Connections {
    pub(super) fn new(max_per_mode: usize, metrics: Arc<Metrics>) -> Self {
        let by_mode = std::array::from_fn(|_| Arc::new(Semaphore::new(max_per_mode)));
        Self { by_mode, tracker: TaskTracker::new(), metrics }
    }

    /// `None`: as many sockets of this mode are open as may be.
    pub fn admit(&self, mode: DeploymentMode) -> Option<Admission> {
        let index = MODES.iter().position(|known| *known == mode)?;
        let permit = Arc::clone(&self.by_mode[index]).try_acquire_owned().ok()?;
        self.metrics.websocket_opened(mode);
        let (metrics, token) = (Arc::clone(&self.metrics), self.tracker.token());
        Some(Admission { mode, metrics, _permit: permit, _token: token })
    }

    pub fn active(&self) -> usize {
        self.tracker.len()
    }

    /// Resolves when no socket is open any more.
    pub(super) async fn closed(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.metrics.websocket_closed(self.mode);
    }
}
