//! How many sockets are open, and how many may be.

use std::sync::Arc;
use std::time::Instant;

use syncline_core::principal::DeploymentMode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::unauthenticated::{Unauthenticated, Waiting};
use crate::config::SocketsConfig;
use crate::observe::Metrics;

/// Open sockets: of all, of each deployment mode, and of those that have not authenticated yet, each with its own limit.
pub struct Connections {
    by_mode: [Arc<Semaphore>; MODES.len()],
    of_node: Arc<Semaphore>,
    unauthenticated: Arc<Unauthenticated>,
    tracker: TaskTracker,
    metrics: Arc<Metrics>,
}

const MODES: [DeploymentMode; 4] =
    [DeploymentMode::WebApp, DeploymentMode::BrowserExtension, DeploymentMode::LocalInstall, DeploymentMode::MobileApp];

/// The limit that stands in the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Full {
    Mode,
    Node,
    Unauthenticated,
    User,
}

impl Full {
    /// What the refused hear.
    pub fn message(self) -> &'static str {
        match self {
            Full::Mode => "As many connections of this deployment mode are open as may be. Try again later.",
            Full::Node => "As many connections are open as may be. Try again later.",
            Full::User => "As many connections of yours are open at this node as may be. Close some, then try again.",
            Full::Unauthenticated => {
                "Too many connections have not authenticated yet. Try again in a moment, or show the token in the upgrade."
            }
        }
    }
}

/// The right to one open socket; gives it back when dropped.
pub struct Admission {
    mode: DeploymentMode,
    metrics: Arc<Metrics>,
    place: Place,
    _token: TaskTrackerToken,
}

enum Place {
    Waiting(Waiting),
    Held { _of_mode: OwnedSemaphorePermit, _of_node: OwnedSemaphorePermit },
}

impl Connections {
    pub(super) fn new(config: &SocketsConfig, metrics: Arc<Metrics>) -> Self {
        Self {
            by_mode: std::array::from_fn(|_| Arc::new(Semaphore::new(config.connections_max))),
            of_node: Arc::new(Semaphore::new(config.node_connections_max)),
            unauthenticated: Unauthenticated::new(config.unauthenticated_max),
            tracker: TaskTracker::new(),
            metrics,
        }
    }

    /// For a socket whose upgrade carried a credential.
    pub fn admit(&self, mode: DeploymentMode) -> Result<Admission, Full> {
        self.hold(mode).map(|place| self.admission(mode, place))
    }

    /// For a socket that is yet to authenticate.
    pub fn admit_unauthenticated(&self, mode: DeploymentMode, now: Instant) -> Result<Admission, Full> {
        let waiting = self.unauthenticated.enter(now).ok_or(Full::Unauthenticated)?;
        Ok(self.admission(mode, Place::Waiting(waiting)))
    }

    fn hold(&self, mode: DeploymentMode) -> Result<Place, Full> {
        let index = MODES.iter().position(|known| *known == mode).ok_or(Full::Mode)?;
        let of_mode = Arc::clone(&self.by_mode[index]).try_acquire_owned().map_err(|_| Full::Mode)?;
        let of_node = Arc::clone(&self.of_node).try_acquire_owned().map_err(|_| Full::Node)?;
        Ok(Place::Held { _of_mode: of_mode, _of_node: of_node })
    }

    fn admission(&self, mode: DeploymentMode, place: Place) -> Admission {
        self.metrics.websocket_opened(mode);
        Admission { mode, metrics: Arc::clone(&self.metrics), place, _token: self.tracker.token() }
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

impl Admission {
    /// The socket has authenticated: from now on it has a place of its mode. Does nothing when it has one.
    pub fn confirm(&mut self, connections: &Connections) -> Result<(), Full> {
        if let Place::Waiting(_) = self.place {
            self.place = connections.hold(self.mode)?;
        }
        Ok(())
    }

    /// Cancelled when a newer socket needs the place of this one, which has not authenticated.
    pub fn yielded(&self) -> CancellationToken {
        match &self.place {
            Place::Waiting(waiting) => waiting.yielded(),
            Place::Held { .. } => CancellationToken::new(),
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.metrics.websocket_closed(self.mode);
    }
}
