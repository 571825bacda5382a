//! Metrics. Every label has a bounded set of values: routes are templates, never paths.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use syncline_core::change::OutcomeKind;
use syncline_core::principal::DeploymentMode;

/// Everything that is counted. Cheap to share: each metric is an atomic or a family of them.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub http_requests: Family<HttpLabels, Counter>,
    pub http_seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
    websockets: Family<ModeLabels, Gauge>,
    sync_operations: Family<SyncLabels, Counter>,
    auth_operations: Family<AuthLabels, Counter>,
    outcomes: Family<OutcomeLabels, Counter>,
    pub writer: WriterMetrics,
    pub hub: HubMetrics,
}

/// The writer's queue and commits.
#[derive(Debug)]
pub struct WriterMetrics {
    pub queue_depth: Gauge,
    pub group_mutations: Histogram,
    pub commit_seconds: Histogram,
    pub conflicts: Counter,
    pub conflicts_open: Counter,
}

/// Live fan-out.
#[derive(Debug, Default)]
pub struct HubMetrics {
    pub audiences: Gauge,
    pub frames_rendered: Counter,
    pub frames_sent: Counter,
    pub fell_behind: Counter,
    pub malformed_frames: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct HttpLabels {
    pub method: &'static str,
    pub path: String,
    pub status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RouteLabels {
    pub method: &'static str,
    pub path: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModeLabels {
    deployment_mode: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SyncLabels {
    operation: SyncOperation,
    status: Status,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AuthLabels {
    operation: AuthOperation,
    status: Status,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: OutcomeLabel,
}

/// What a session asked of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum SyncOperation {
    Hello,
    Push,
    CatchUp,
    Snapshot,
    Verify,
    Fetch,
}

/// What somebody did with credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum AuthOperation {
    Login,
    Refresh,
    Logout,
    Token,
    RevokeDevice,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Status {
    Ok,
    Refused,
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct OutcomeLabel(&'static str);

impl EncodeLabelValue for OutcomeLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> Result<(), std::fmt::Error> {
        EncodeLabelValue::encode(&self.0, encoder)
    }
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
            auth_operations: Family::default(),
            outcomes: Family::default(),
            writer: WriterMetrics {
                queue_depth: Gauge::default(),
                group_mutations: Histogram::new(exponential_buckets(1.0, 2.0, 12)),
                commit_seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 16)),
                conflicts: Counter::default(),
                conflicts_open: Counter::default(),
            },
            hub: HubMetrics::default(),
            registry: Registry::default(),
        };
        metrics.register(&mut registry);
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
        registry.register("auth_operations", "Authentication operations", self.auth_operations.clone());
        registry.register("push_outcomes", "Decided mutations by outcome", self.outcomes.clone());
        let writer = &self.writer;
        registry.register("writer_queue_depth", "Jobs waiting for the writer", writer.queue_depth.clone());
        registry.register("group_commit_mutations", "Mutations of a group", writer.group_mutations.clone());
        let help = "Time to plan and commit a group";
        registry.register_with_unit("group_commit_duration", help, Unit::Seconds, writer.commit_seconds.clone());
        registry.register("conflicts", "Conflicts recorded", writer.conflicts.clone());
        registry.register("conflicts_in_review", "Mutations sent to review", writer.conflicts_open.clone());
        let hub = &self.hub;
        registry.register("hub_audiences", "Distinct sets of grants online", hub.audiences.clone());
        registry.register("hub_frames_rendered", "Live frames encoded", hub.frames_rendered.clone());
        registry.register("hub_frames_sent", "Live frames delivered", hub.frames_sent.clone());
        let help = "Sessions that fell off their ring and were caught up";
        registry.register("hub_fell_behind", help, hub.fell_behind.clone());
        registry.register("websocket_malformed_frames", "Frames refused as malformed", hub.malformed_frames.clone());
    }

    /// The registry as OpenMetrics text.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::with_capacity(16 * 1024);
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }

    pub fn observe_request(&self, labels: HttpLabels, seconds: f64) {
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

    pub fn count_sync(&self, operation: SyncOperation, status: Status) {
        self.sync_operations.get_or_create(&SyncLabels { operation, status }).inc();
    }

    pub fn count_auth(&self, operation: AuthOperation, status: Status) {
        self.auth_operations.get_or_create(&AuthLabels { operation, status }).inc();
    }

    pub fn count_outcome(&self, kind: OutcomeKind) {
        let text = match kind {
            OutcomeKind::Applied => "applied",
            OutcomeKind::Merged => "merged",
            OutcomeKind::Superseded => "superseded",
            OutcomeKind::InReview => "in_review",
            OutcomeKind::Rejected => "rejected",
        };
        self.outcomes.get_or_create(&OutcomeLabels { outcome: OutcomeLabel(text) }).inc();
    }
}

/// The name of a deployment mode as it stands in paths, frames and labels.
pub fn mode_text(mode: DeploymentMode) -> &'static str {
    match mode {
        DeploymentMode::WebApp => "web_app",
        DeploymentMode::BrowserExtension => "browser_extension",
        DeploymentMode::LocalInstall => "local_install",
        DeploymentMode::MobileApp => "mobile_app",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ops_1_metrics_have_the_documented_names() {
        let metrics = Metrics::default();
        metrics.observe_request(HttpLabels { method: "GET", path: "/health".to_owned(), status: 200 }, 0.002);
        metrics.websocket_opened(DeploymentMode::WebApp);
        metrics.count_sync(SyncOperation::Push, Status::Ok);
        metrics.count_auth(AuthOperation::Login, Status::Refused);
        metrics.count_outcome(OutcomeKind::Applied);
        let text = metrics.encode().unwrap();
        for expected in [
            "http_requests_total{method=\"GET\",path=\"/health\",status=\"200\"} 1",
            "http_request_duration_seconds_count{method=\"GET\",path=\"/health\"} 1",
            "websocket_connections_active{deployment_mode=\"web_app\"} 1",
            "data_sync_operations_total{operation=\"Push\",status=\"Ok\"} 1",
            "auth_operations_total{operation=\"Login\",status=\"Refused\"} 1",
            "push_outcomes_total{outcome=\"applied\"} 1",
            "writer_queue_depth 0",
        ] {
            assert!(text.contains(expected), "missing {expected} in\n{text}");
        }
    }

    #[test]
    fn ops_7_alerts_and_dashboards_name_metrics_that_there_are() {
        let metrics = Metrics::default();
        metrics.observe_request(HttpLabels { method: "GET", path: "/health".to_owned(), status: 200 }, 0.002);
        metrics.websocket_opened(DeploymentMode::WebApp);
        metrics.count_sync(SyncOperation::Push, Status::Failed);
        metrics.count_auth(AuthOperation::Login, Status::Ok);
        metrics.count_outcome(OutcomeKind::Applied);
        let text = metrics.encode().unwrap();
        let has = |name: &str| {
            text.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))
        };
        let alerts = include_str!("../../../../deploy/prometheus/alerts.yml");
        let dashboard = include_str!("../../../../deploy/grafana/dashboards/syncline.json");
        let mut names = 0;
        for (file, place) in [("alerts.yml", alerts), ("syncline.json", dashboard)] {
            for (before, _) in place.split("{job=").zip(place.split("{job=").skip(1)) {
                let name =
                    before.rsplit(|next: char| !(next.is_ascii_alphanumeric() || next == '_')).next().unwrap_or("");
                names += 1;
                assert!(name == "up" || has(name), "{file} asks for {name}, which no node has:\n{text}");
            }
        }
        assert!(names > 20, "{names}");
        assert!(text.contains("status=\"Failed\""), "the label the alerts look for");
    }
}
