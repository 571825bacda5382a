//! Metrics. Every label has a bounded set of values: routes are templates, never paths.

mod labels;
mod process;

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use syncline_core::change::{Change, OutcomeKind};
use syncline_core::principal::DeploymentMode;

use labels::{
    AuthLabels, ConflictLabels, ModeLabels, OperationLabels, OutcomeLabels, RouteLabels, SyncLabels, outcome_text,
};
pub use labels::{AuthOperation, HttpLabels, RoutingLabels, RoutingStep, Status, SyncOperation, mode_text};
use process::ProcessCollector;

use super::failures::SyncFailures;
use super::window::{Sample, Windows};

/// Everything that is counted. Cheap to share: each metric is an atomic or a family of them.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    http_requests: Family<HttpLabels, Counter>,
    http_seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
    websockets: Family<ModeLabels, Gauge>,
    sync_operations: Family<SyncLabels, Counter>,
    sync_seconds: Family<OperationLabels, Histogram, fn() -> Histogram>,
    auth_operations: Family<AuthLabels, Counter>,
    message_routing: Family<RoutingLabels, Counter>,
    outcomes: Family<OutcomeLabels, Counter>,
    conflicts: Family<ConflictLabels, Counter>,
    pub writer: WriterMetrics,
    pub hub: HubMetrics,
    pub sync: SyncMetrics,
    pub bus: BusMetrics,
    pub messages: MessageMetrics,
    /// The last hour by the minute, for health and alerts.
    pub windows: Windows,
    /// Devices whose sync fails again and again.
    pub sync_failures: SyncFailures,
    /// Alerts that fire, as this node sees them.
    pub alerts_firing: Gauge,
    /// Figures of analytics that there was no room for.
    pub analytics_dropped: Counter,
}

/// The writer's queue and commits.
#[derive(Debug)]
pub struct WriterMetrics {
    pub queue_depth: Gauge,
    pub group_mutations: Histogram,
    pub commit_seconds: Histogram,
    pub conflicts_open: Counter,
}

/// Live fan-out.
#[derive(Debug, Default)]
pub struct HubMetrics {
    pub audiences: Gauge,
    pub frames_rendered: Counter,
    pub frames_sent: Counter,
    pub fell_behind: Counter,
    pub topics: Gauge,
    pub live_missed: Counter,
    pub malformed_frames: Counter,
}

/// How far replicas are from the server, over all workspaces, and what was repaired.
#[derive(Debug, Default)]
pub struct SyncMetrics {
    /// Changes that the client furthest behind has not taken, of those heard of in the last hour.
    pub lag_max: Gauge,
    /// Clients heard of in the last hour.
    pub clients: Gauge,
    /// Mutations waiting on devices, as last reported.
    pub outbox_pending: Gauge,
    /// Age of the oldest of them; milliseconds.
    pub outbox_oldest_ms: Gauge,
    /// Clients whose oldest mutation has waited for more than an hour.
    pub outbox_stuck: Gauge,
    /// Scopes in which a replica and the server disagreed.
    pub digest_mismatches: Counter,
    /// Records sent again because a replica's were wrong.
    pub repaired_records: Counter,
}

/// What the router has to do.
#[derive(Debug, Default)]
pub struct MessageMetrics {
    /// Batches waiting for the router's thread.
    pub queue_depth: Gauge,
    /// Deliveries that are neither acknowledged nor expired.
    pub due: Gauge,
    pub dead_letters: Gauge,
}

/// What connects the nodes.
#[derive(Debug, Default)]
pub struct BusMetrics {
    pub is_connected: Gauge,
    pub nodes: Gauge,
    pub outages: Gauge,
    pub hints_dropped: Gauge,
    pub fallbacks: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let http_seconds = Family::new_with_constructor(request_histogram as fn() -> Histogram);
        let metrics = Self {
            http_requests: Family::default(),
            http_seconds,
            websockets: Family::default(),
            sync_operations: Family::default(),
            sync_seconds: Family::new_with_constructor(request_histogram as fn() -> Histogram),
            auth_operations: Family::default(),
            message_routing: Family::default(),
            outcomes: Family::default(),
            conflicts: Family::default(),
            writer: WriterMetrics {
                queue_depth: Gauge::default(),
                group_mutations: Histogram::new(exponential_buckets(1.0, 2.0, 12)),
                commit_seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 16)),
                conflicts_open: Counter::default(),
            },
            hub: HubMetrics::default(),
            sync: SyncMetrics::default(),
            bus: BusMetrics::default(),
            messages: MessageMetrics::default(),
            windows: Windows::default(),
            sync_failures: SyncFailures::default(),
            alerts_firing: Gauge::default(),
            analytics_dropped: Counter::default(),
            registry: Registry::default(),
        };
        metrics.register(&mut registry);
        metrics.register_sync(&mut registry);
        metrics.register_parts(&mut registry);
        registry.register_collector(Box::new(ProcessCollector));
        Self { registry, ..metrics }
    }
}

/// 1 ms to 16 s.
fn request_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}

impl Metrics {
    fn register(&self, registry: &mut Registry) {
        registry.register("http_requests", "Requests by route and status", self.http_requests.clone());
        let seconds = Unit::Seconds;
        registry.register_with_unit("http_request_duration", "Time to answer", seconds, self.http_seconds.clone());
        let help = "Open sockets by deployment mode";
        registry.register("websocket_connections_active", help, self.websockets.clone());
        registry.register("data_sync_operations", "Sync operations", self.sync_operations.clone());
        let help = "Time from a sync operation to its answer";
        registry.register_with_unit("sync_operation_duration", help, Unit::Seconds, self.sync_seconds.clone());
        registry.register("auth_operations", "Authentication operations", self.auth_operations.clone());
        registry.register("message_routing", "Steps of routing messages", self.message_routing.clone());
        let messages = &self.messages;
        registry.register("message_queue_depth", "Batches waiting for the router", messages.queue_depth.clone());
        registry.register("messages_due", "Deliveries not acknowledged yet", messages.due.clone());
        registry.register(
            "message_dead_letters",
            "Messages that did not reach everybody",
            messages.dead_letters.clone(),
        );
        registry.register("push_outcomes", "Decided mutations by outcome", self.outcomes.clone());
    }

    fn register_sync(&self, registry: &mut Registry) {
        let sync = &self.sync;
        let help = "Changes the client furthest behind has not taken";
        registry.register("sync_lag_changes", help, sync.lag_max.clone());
        registry.register("sync_clients", "Clients heard of in the last hour", sync.clients.clone());
        let help = "Mutations waiting on devices, as last reported";
        registry.register("outbox_pending_mutations", help, sync.outbox_pending.clone());
        let help = "Age of the oldest waiting mutation in milliseconds";
        registry.register("outbox_oldest_age_ms", help, sync.outbox_oldest_ms.clone());
        registry.register("outbox_stuck_clients", "Clients whose outbox is stuck", sync.outbox_stuck.clone());
        let help = "Scopes in which a replica and the server disagreed";
        registry.register("digest_mismatches", help, sync.digest_mismatches.clone());
        let help = "Records sent again because a replica's were wrong";
        registry.register("repaired_records", help, sync.repaired_records.clone());
    }

    fn register_parts(&self, registry: &mut Registry) {
        let writer = &self.writer;
        registry.register("writer_queue_depth", "Jobs waiting for the writer", writer.queue_depth.clone());
        registry.register("group_commit_mutations", "Mutations of a group", writer.group_mutations.clone());
        let help = "Time to plan and commit a group";
        registry.register_with_unit("group_commit_duration", help, Unit::Seconds, writer.commit_seconds.clone());
        registry.register("conflicts", "Conflicts recorded", self.conflicts.clone());
        registry.register("conflicts_in_review", "Mutations sent to review", writer.conflicts_open.clone());
        let hub = &self.hub;
        registry.register("hub_audiences", "Distinct sets of grants online", hub.audiences.clone());
        registry.register("hub_frames_rendered", "Live frames encoded", hub.frames_rendered.clone());
        registry.register("hub_frames_sent", "Live frames delivered", hub.frames_sent.clone());
        let help = "Sessions that fell off their ring and were caught up";
        registry.register("hub_fell_behind", help, hub.fell_behind.clone());
        registry.register("hub_topics", "Topics that somebody follows", hub.topics.clone());
        let help = "Live messages that followers were too slow for";
        registry.register("hub_live_missed", help, hub.live_missed.clone());
        registry.register("websocket_malformed_frames", "Frames refused as malformed", hub.malformed_frames.clone());
        let bus = &self.bus;
        registry.register("bus_connected", "Whether the bus between nodes works", bus.is_connected.clone());
        registry.register("bus_nodes", "Nodes alive, this one among them", bus.nodes.clone());
        registry.register("bus_outages", "Times that Redis was lost", bus.outages.clone());
        registry.register("bus_hints_dropped", "Hints nobody was sent", bus.hints_dropped.clone());
        let help = "Calls this node answered for itself because Redis did not";
        registry.register("bus_fallbacks", help, bus.fallbacks.clone());
        registry.register("alerts_firing", "Alerts that fire, as this node sees them", self.alerts_firing.clone());
        let help = "Figures of analytics that there was no room for";
        registry.register("analytics_dropped", help, self.analytics_dropped.clone());
    }

    /// The registry as OpenMetrics text.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::with_capacity(16 * 1024);
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }

    pub fn observe_request(&self, labels: HttpLabels, seconds: f64) {
        let sample = Sample::request(labels.status, seconds);
        self.windows.node.record(crate::clock::now_ms(), &sample);
        let route = RouteLabels { method: labels.method, path: labels.path.clone() };
        self.http_seconds.get_or_create(&route).observe(seconds);
        self.http_requests.get_or_create(&labels).inc();
    }

    pub fn websocket_opened(&self, mode: DeploymentMode) {
        self.websockets.get_or_create(&ModeLabels { deployment_mode: mode_text(mode) }).inc();
    }

    pub fn websocket_closed(&self, mode: DeploymentMode) {
        self.websockets.get_or_create(&ModeLabels { deployment_mode: mode_text(mode) }).dec();
    }

    /// `took`: from what was asked to its answer. What is refused takes no time worth knowing.
    pub fn count_sync(&self, operation: SyncOperation, status: Status, took: Duration) {
        self.windows.node.record(crate::clock::now_ms(), &Sample::sync(status));
        if status != Status::Refused {
            self.sync_seconds.get_or_create(&OperationLabels { operation }).observe(took.as_secs_f64());
        }
        self.sync_operations.get_or_create(&SyncLabels { operation, status }).inc();
    }

    pub fn count_auth(&self, operation: AuthOperation, status: Status) {
        self.auth_operations.get_or_create(&AuthLabels { operation, status }).inc();
    }

    /// Counts a step of routing so many messages.
    pub fn count_messages(&self, labels: RoutingLabels, count: u64) {
        if count > 0 {
            self.message_routing.get_or_create(&labels).inc_by(count);
        }
    }

    pub fn count_outcome(&self, kind: OutcomeKind) {
        self.outcomes.get_or_create(&OutcomeLabels { outcome: outcome_text(kind) }).inc();
    }

    /// Counts the conflict that a change is, if it is one that has just come about.
    pub fn count_conflict(&self, change: &Change) {
        if let Some(labels) = ConflictLabels::of(change) {
            self.conflicts.get_or_create(&labels).inc();
        }
    }
}

#[cfg(test)]
mod tests;
