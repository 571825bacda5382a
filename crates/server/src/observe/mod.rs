//! What an operator sees: metrics in Prometheus text, the last hour for health and alerts, and logs in JSON.

mod failures;
mod json_log;
pub mod machine;
mod metrics;
mod window;

pub use failures::SyncFailures;
pub use json_log::{JsonLog, init_logging};
pub use metrics::{AuthOperation, HttpLabels, Metrics, RoutingLabels, RoutingStep, Status, SyncOperation, mode_text};
pub use window::{Sample, Window, Windows, share};
