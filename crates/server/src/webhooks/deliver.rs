//! Delivering: claim what is due, post it, and store how that ended.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, StatusCode, header};
use syncline_core::storage::{StoreError, StoreResult};
use syncline_storage::sqlite::{Claim, Delivery, DeliveryState, FailurePolicy, Webhook};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use super::address::{PublicResolver, check_url};
use super::{pause, signature};
use crate::app::App;
use crate::clock;
use crate::config::WebhooksConfig;
use crate::outbound;

/// Deliveries that one node has under way at a time.
const CLAIM_MAX: usize = 16;
/// Of these, deliveries of one webhook, over all nodes: a receiver that answers slowly delays its own only.
const PER_HOOK_MAX: usize = 4;
/// Longest pause between two attempts; milliseconds (12 hours).
const RETRY_MS_MAX: u64 = 12 * 3_600_000;
/// Longest error that is kept; characters.
const ERROR_CHARS_MAX: usize = 300;

fn ended(done: Result<StoreResult<()>, JoinError>) {
    match done {
        Ok(Ok(())) => {}
        Ok(Err(error)) => unread(&error),
        Err(error) => tracing::error!(event = "webhook_panicked", %error, "an attempt at a webhook ended with a panic"),
    }
}

fn unread(error: &StoreError) {
    tracing::warn!(event = "webhooks_unread", %error, "deliveries could not be read or stored; it is tried again");
}

/// Follows no redirect and uses no proxy: both would lead past the check of the address.
fn client(config: &WebhooksConfig) -> reqwest::Result<Client> {
    outbound::client(|builder| {
        builder
            .timeout(Duration::from_millis(config.timeout_ms))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(PublicResolver { is_private_allowed: config.is_private_allowed }))
            .user_agent(concat!("syncline/", env!("CARGO_PKG_VERSION")))
    })
}

pub(super) struct Deliverer {
    app: Arc<App>,
    client: Client,
}

/// How an attempt ended.
struct Attempt {
    is_taken: bool,
    /// The receiver wants no more (410).
    is_gone: bool,
    status: Option<u16>,
    error: Option<String>,
}

impl Deliverer {
    pub fn new(app: Arc<App>) -> reqwest::Result<Self> {
        let client = client(&app.config.webhooks)?;
        Ok(Self { app, client })
    }

    pub async fn run(self, mut stopped: watch::Receiver<bool>) {
        let every = Duration::from_millis(self.app.config.webhooks.every_ms);
        let (deliverer, mut under_way) = (Arc::new(self), JoinSet::new());
        loop {
            let room = CLAIM_MAX.saturating_sub(under_way.len());
            let claimed = if room > 0 { deliverer.claim(room).await } else { Ok(Vec::new()) };
            let claimed = claimed.unwrap_or_else(|error| {
                unread(&error);
                Vec::new()
            });
            for delivery in claimed {
                let deliverer = Arc::clone(&deliverer);
                under_way.spawn(async move { deliverer.attempt(delivery).await });
            }
            // One that is done makes room for the next at once, however long the others take.
            tokio::select! {
                Some(done) = under_way.join_next() => ended(done),
                is_stopped = pause(&mut stopped, every) => if is_stopped { break },
            }
        }
        while let Some(done) = under_way.join_next().await {
            ended(done);
        }
    }

    /// Takes deliveries that are due.
    async fn claim(&self, limit: usize) -> StoreResult<Vec<Delivery>> {
        let now_ms = clock::now_ms();
        // Longer than an attempt takes, so that nobody else tries meanwhile.
        let lease_until_ms = now_ms + 2 * self.app.config.webhooks.timeout_ms + 10_000;
        let claim = Claim { now_ms, lease_until_ms, limit, per_hook: PER_HOOK_MAX };
        self.app.auth.with_store(move |store| store.claim_deliveries(&claim)).await
    }

    async fn attempt(&self, delivery: Delivery) -> StoreResult<()> {
        let id = delivery.webhook_id;
        let hook = self.app.auth.with_store(move |store| store.find_webhook(id)).await?;
        let Some(hook) = hook.filter(|hook| hook.is_enabled) else {
            // Switched off since it was claimed: it waits until the webhook is on again.
            return self.finish(delivery, "").await;
        };
        let attempt = self.post(&hook, &delivery).await;
        let next = after(&self.app.config.webhooks, delivery, &attempt, clock::now_ms());
        let reason = match &attempt.error {
            Some(error) => format!("Too many deliveries were given up; the last: {error}"),
            None => String::new(),
        };
        self.finish(next, &reason).await
    }

    async fn post(&self, hook: &Webhook, delivery: &Delivery) -> Attempt {
        let failed = |error: String| Attempt { is_taken: false, is_gone: false, status: None, error: Some(error) };
        let url = match check_url(hook.url.as_deref().unwrap_or(""), self.app.config.webhooks.is_private_allowed) {
            Ok(url) => url,
            Err(error) => return failed(error.to_string()),
        };
        let (id, timestamp_s) = (delivery.id.to_string(), clock::now_ms() / 1_000);
        let message = signature::Signed { id: &id, timestamp_s, payload: delivery.payload.as_bytes() };
        let signature = match signature::sign(hook.secrets(clock::now_ms()), &message) {
            Ok(signature) => signature,
            Err(error) => return failed(error.to_string()),
        };
        let request = self
            .client
            .post(url)
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", &id)
            .header("webhook-timestamp", timestamp_s)
            .header("webhook-signature", signature)
            .body(delivery.payload.clone());
        // The answer's body is not read: only its status counts.
        match request.send().await {
            Ok(answer) => of_status(answer.status()),
            Err(error) => failed(told(&error)),
        }
    }

    async fn finish(&self, delivery: Delivery, reason: &str) -> StoreResult<()> {
        let policy = FailurePolicy { failures_max: self.app.config.webhooks.failures_max, reason: shortened(reason) };
        let (workspace_id, webhook_id) = (delivery.workspace_id.clone(), delivery.webhook_id);
        let is_off = self.app.auth.with_store(move |store| store.finish_attempt(&delivery, &policy)).await?;
        if is_off {
            tracing::warn!(event = "webhook_off", %workspace_id, %webhook_id, "a webhook was switched off: too many deliveries were given up");
        }
        Ok(())
    }
}

fn of_status(status: StatusCode) -> Attempt {
    let is_taken = status.is_success();
    Attempt {
        is_taken,
        is_gone: status == StatusCode::GONE,
        status: Some(status.as_u16()),
        error: (!is_taken).then(|| format!("the receiver answered {status}")),
    }
}

/// The causes of an error, without the address, which may hold a secret.
fn told(error: &reqwest::Error) -> String {
    let mut text =
        String::from(if error.is_timeout() { "no answer in time" } else { "the receiver cannot be reached" });
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    shortened(&text)
}

fn shortened(text: &str) -> String {
    text.chars().take(ERROR_CHARS_MAX).collect()
}

/// What a delivery becomes after an attempt.
fn after(config: &WebhooksConfig, delivery: Delivery, attempt: &Attempt, now: u64) -> Delivery {
    let attempts = delivery.attempts + 1;
    let state = match attempt.is_taken {
        true => DeliveryState::Delivered,
        false if attempts >= config.attempts_max || attempt.is_gone => DeliveryState::Failed,
        false => DeliveryState::Pending,
    };
    let factor = 4_u64.saturating_pow(u32::try_from(attempts - 1).unwrap_or(u32::MAX));
    let pause_ms = config.retry_ms.saturating_mul(factor).min(RETRY_MS_MAX);
    // Up to a tenth later, so that what failed together does not come back together.
    let next_ms = now + pause_ms + crate::random::between(0, pause_ms / 10);
    let (last_status, last_error) = (attempt.status, attempt.error.clone());
    Delivery { state, attempts, next_ms, last_status, last_error, updated_ms: now, ..delivery }
}

#[cfg(test)]
mod tests {
    use syncline_core::id::WorkspaceId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn api_7_pauses_grow_and_the_last_attempt_gives_up() {
        let config = WebhooksConfig::default();
        let mut delivery = Delivery {
            workspace_id: WorkspaceId::new("acme").unwrap(),
            id: Uuid::nil(),
            webhook_id: Uuid::nil(),
            event: String::new(),
            payload: String::new(),
            state: DeliveryState::Pending,
            attempts: 0,
            next_ms: 0,
            last_status: None,
            last_error: None,
            created_ms: 0,
            updated_ms: 0,
        };
        let gone = after(&config, delivery.clone(), &of_status(StatusCode::GONE), 0);
        assert_eq!(gone.state, DeliveryState::Failed, "410 is the receiver's last word");
        let mut pauses_ms = Vec::new();
        while delivery.state == DeliveryState::Pending {
            delivery = after(&config, delivery, &of_status(StatusCode::BAD_GATEWAY), 0);
            pauses_ms.push(delivery.next_ms);
        }
        assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Failed, 9));
        let least_s = [5, 20, 80, 320, 1_280, 5_120, 20_480, 43_200, 43_200];
        for (pause_ms, least_ms) in pauses_ms.into_iter().zip(least_s.map(|s| s * 1_000)) {
            assert!((least_ms..=least_ms + least_ms / 10).contains(&pause_ms), "{pause_ms} after {least_ms}");
        }
        let taken = after(&config, delivery, &of_status(StatusCode::NO_CONTENT), 0);
        assert_eq!((taken.state, taken.last_error), (DeliveryState::Delivered, None));
    }
}
