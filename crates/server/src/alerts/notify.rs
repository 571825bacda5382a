//! Telling others: a webhook of one's own, or PagerDuty's Events API v2.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::state::{Change, Severity};
use crate::config::{AlertFormat, AlertsConfig};
use crate::outbound;

/// Changes that wait to be sent. More are not sent; the log has them.
const QUEUE_MAX: usize = 256;
/// Time a receiver has to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Tries of one change, with pauses that double from a second to a minute.
const TRIES: usize = 8;

/// Sends changes one after the other, in the background.
pub(super) struct Notifier {
    queue: Option<mpsc::Sender<Change>>,
}

impl Notifier {
    /// `node`: what sends them.
    pub(super) fn start(config: &AlertsConfig, node: &str) -> reqwest::Result<Self> {
        let Some(url) = config.url() else { return Ok(Self { queue: None }) };
        let (queue, mut waiting) = mpsc::channel(QUEUE_MAX);
        let client = outbound::client(|builder| builder.timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()))?;
        let receiver = Receiver { url, config: config.clone(), node: node.to_owned(), client };
        tokio::spawn(async move {
            while let Some(change) = waiting.recv().await {
                receiver.deliver(&change).await;
            }
        });
        Ok(Self { queue: Some(queue) })
    }

    /// Never waits.
    pub(super) fn send(&self, change: Change) {
        let Some(queue) = &self.queue else { return };
        if queue.try_send(change).is_err() {
            tracing::error!(event = "alert_unsent", "an alert was not sent: too many wait for the receiver");
        }
    }
}

struct Receiver {
    url: String,
    config: AlertsConfig,
    node: String,
    client: reqwest::Client,
}

impl Receiver {
    async fn deliver(&self, change: &Change) {
        let body = match self.config.format {
            AlertFormat::Json => plain(change, &self.node),
            AlertFormat::Pagerduty => {
                let key = self.config.pagerduty_key.as_ref().map_or("", |key| key.expose_secret());
                pagerduty(change, &self.node, key)
            }
        };
        let pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_secs(1))
            .with_max_delay(Duration::from_secs(60))
            .with_max_times(TRIES - 1)
            .with_jitter();
        let sent = (|| self.post(&body)).retry(pauses).await;
        if let Err(error) = sent {
            // The address may hold a secret, so the error is told without it.
            let error = error.without_url();
            tracing::error!(event = "alert_unsent", rule = change.subject.rule.as_str(), %error, "an alert was not sent: its receiver does not take it");
        }
    }

    async fn post(&self, body: &Value) -> reqwest::Result<()> {
        self.client.post(&self.url).json(body).send().await?.error_for_status().map(drop)
    }
}

/// Our own shape.
fn plain(change: &Change, node: &str) -> Value {
    let subject = &change.subject;
    json!({
        "key": subject.key(),
        "state": if change.is_firing { "firing" } else { "resolved" },
        "rule": subject.rule.as_str(),
        "severity": subject.rule.severity().as_str(),
        "summary": change.summary,
        "workspace_id": subject.workspace_id,
        "part": subject.part,
        "at_ms": change.at_ms,
        "node": node,
    })
}

/// Most characters of a summary that PagerDuty takes.
const SUMMARY_CHARS_MAX: usize = 1_024;

/// PagerDuty's Events API v2: `trigger` and `resolve` with the same `dedup_key` are one incident.
fn pagerduty(change: &Change, node: &str, routing_key: &str) -> Value {
    let subject = &change.subject;
    if !change.is_firing {
        return json!({ "routing_key": routing_key, "event_action": "resolve", "dedup_key": subject.key() });
    }
    let severity = match subject.rule.severity() {
        Severity::Critical => "critical",
        Severity::Warning => "warning",
        Severity::Info => "info",
    };
    let at = jiff::Timestamp::from_millisecond(i64::try_from(change.at_ms).unwrap_or(i64::MAX)).unwrap_or_default();
    json!({
        "routing_key": routing_key,
        "event_action": "trigger",
        "dedup_key": subject.key(),
        "client": "Syncline",
        "payload": {
            "summary": change.summary.chars().take(SUMMARY_CHARS_MAX).collect::<String>(),
            "source": node,
            "severity": severity,
            "timestamp": format!("{at:.3}"),
            "component": subject.part,
            "group": subject.workspace_id,
            "class": subject.rule.as_str(),
        },
    })
}
