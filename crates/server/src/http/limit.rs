//! How often a caller may ask: one allowance per user, and one per address for everybody without a credential.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use syncline_core::protocol::{Code, Problem};

use super::caller::bearer;
use super::console;
use super::edge::ClientAddress;
use super::problem::ApiError;
use crate::app::App;
use crate::auth::{Forwarded, Verified};
use crate::bus::{RateDecision, RatePolicy};

/// Whose allowance a request is taken from.
struct Account {
    /// In answers.
    name: &'static str,
    key: String,
    policy: RatePolicy,
}

/// Layer that takes one unit per request, or answers 429. Health, metrics and the console's files are free: who asks for them
/// must always get an answer. Counted for the deployment, and by this node alone while Redis is away.
pub async fn limit(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    if let Some(verified) = bearer(request.headers()).and_then(|token| app.auth.verify(token).ok()) {
        // The handler need not check the signature again.
        request.extensions_mut().insert(verified);
    }
    let Some(account) = account(&app, &request) else { return next.run(request).await };
    let decision = app.bus.take(&account.key, account.policy, 1).await;
    let mut response = if decision.is_allowed { next.run(request).await } else { refusal(&decision).into_response() };
    tell(response.headers_mut(), &account, &decision);
    response
}

fn account(app: &App, request: &Request) -> Option<Account> {
    let rates = &app.config.rates;
    let path = request.uri().path();
    let is_health = path == "/health" || path.starts_with("/health/") || path == "/metrics";
    let is_free = is_health || console::serves(path);
    if !rates.is_enabled || is_free {
        return None;
    }
    if let Some(name) = path.strip_prefix("/channel/")
        && let Some(payer) = payer_of(app, name, request.extensions().get::<Forwarded>().is_some())
    {
        return match payer {
            Payer::Account(account) => Some(account),
            Payer::Nobody => None,
        };
    }
    let address =
        request.extensions().get().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ClientAddress(address)| *address);
    if address.is_loopback() && !rates.is_loopback_limited && !is_forwarded(request.headers()) {
        return None;
    }
    let is_transport = ["/ws/", "/sse/", "/poll/", "/channel/"].iter().any(|start| path.starts_with(start));
    if is_transport && (path.starts_with("/ws/") || request.extensions().get::<Verified>().is_none()) {
        return Some(Account { name: "socket", key: format!("socket:{}", network(address)), policy: rates.socket() });
    }
    // Who is signed in already guesses no faster at this door than who is not.
    let signed_in = request.extensions().get::<Verified>().filter(|_| path != "/api/auth/login");
    let account = match signed_in {
        Some(Verified { claims, .. }) => {
            Account { name: "user", key: format!("user:{}:{}", claims.workspace_id, claims.sub), policy: rates.user() }
        }
        None => Account { name: "anonymous", key: format!("address:{}", network(address)), policy: rates.anonymous() },
    };
    Some(account)
}

/// Who pays for a request to a channel.
enum Payer {
    Account(Account),
    /// It was paid for at another node.
    Nobody,
}

/// Requests to a channel carry no credential, and people of one office have one address. `None`: the sender pays, as for any
/// other request.
fn payer_of(app: &App, name: &str, is_forwarded: bool) -> Option<Payer> {
    let (node, secret) = name.split_once('.')?;
    let policy = app.config.rates.user();
    if let Some((workspace_id, user_id)) = app.channels.owner(secret) {
        let key = format!("user:{workspace_id}:{user_id}");
        return Some(Payer::Account(Account { name: "user", key, policy }));
    }
    if is_forwarded {
        return Some(Payer::Nobody);
    }
    // On its own node it is the user's; here the channel itself has an allowance, if there ever was such a channel.
    let is_of_other = node != app.bus.node().id.to_string() && app.auth.node_key.is_sealed(node, secret);
    is_of_other.then(|| Payer::Account(Account { name: "channel", key: format!("channel:{secret}"), policy }))
}

/// Whether a proxy on this machine brought the request. Its clients count as one until it is trusted.
fn is_forwarded(headers: &HeaderMap) -> bool {
    static IS_TOLD: AtomicBool = AtomicBool::new(false);
    let is_forwarded = headers.contains_key("x-forwarded-for") || headers.contains_key(header::FORWARDED);
    if is_forwarded && !IS_TOLD.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            event = "proxy_not_trusted",
            "a proxy on this machine forwards requests, and its clients count as one caller; name it in edge.trusted_proxies (TRUSTED_PROXIES)"
        );
    }
    is_forwarded
}

/// What is counted as one caller: an address, or the network of 64 bits that a household gets of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

fn refusal(decision: &RateDecision) -> ApiError {
    let message = "You have asked too often. Wait as long as `retry_ms` says, then go on more slowly.";
    let mut problem = Problem::new(Code::RateLimited, message);
    problem.retry_ms = Some(decision.retry_ms.max(1));
    ApiError::from(problem)
}

/// `RateLimit` and `RateLimit-Policy` as in draft-ietf-httpapi-ratelimit-headers-10.
fn tell(headers: &mut HeaderMap, account: &Account, decision: &RateDecision) {
    let Account { name, policy, .. } = account;
    let policy = format!("\"{name}\";q={};w=60", policy.per_minute);
    let state = format!("\"{name}\";r={};t={}", decision.remaining, decision.reset_ms.div_ceil(1_000));
    for (header, text) in [("ratelimit-policy", policy), ("ratelimit", state)] {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(header, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_6_an_ipv6_household_is_one_caller_and_every_ipv4_address_its_own() {
        let of = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("2001:db8:1:2::9"), of("2001:db8:1:2:ffff::1"));
        assert_ne!(of("2001:db8:1:2::9"), of("2001:db8:1:3::9"));
        assert_eq!(of("198.51.100.7"), "198.51.100.7");
    }
}
