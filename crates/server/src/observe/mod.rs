//! What an operator sees: metrics in Prometheus text and logs in JSON.

mod json_log;
mod metrics;

pub use json_log::{JsonLog, init_logging};
pub use metrics::{AuthOperation, HttpLabels, Metrics, Status, SyncOperation, mode_text};
