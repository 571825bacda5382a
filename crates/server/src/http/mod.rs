//! The HTTP side: an accept loop of our own, layers every request passes, and one file per endpoint.

mod accept;
mod admin;
mod analytics;
mod auth;
mod body;
mod caller;
mod console;
mod edge;
mod entities;
mod health;
mod hooks;
mod limit;
mod messages;
mod metrics;
mod openapi;
mod outcome;
mod presence;
mod problem;
mod query;
mod request_id;
mod stats;
mod sync;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{delete, get, patch, post};

pub use accept::{Listening, Slot, listen};
pub use body::Raw;
pub use caller::bearer;
pub use edge::{ClientAddress, check_origin};
pub use problem::{ApiError, ApiResult};
pub use query::{Query, invalid};
pub use sync::Downloads;

use crate::app::App;
use crate::config::TlsConfig;

/// Every route. `/api/{entity}` serves all entities of the schema; the fixed names beside it are no entities.
pub fn router(app: Arc<App>) -> Router {
    let mut routes = Router::new()
        .route("/health", get(health::health))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/ws/{deployment_mode}/{client_id}", get(crate::ws::upgrade))
        .route("/sse/{deployment_mode}/{client_id}", get(crate::ws::events))
        .route("/poll/{deployment_mode}/{client_id}", post(crate::ws::poll))
        .route("/channel/{channel}", post(crate::ws::post))
        .merge(document_routes(&app))
        .merge(auth_routes())
        .merge(admin_routes())
        .merge(sync_routes())
        .merge(analytics_routes())
        .route("/api/presence", get(presence::connected))
        .route("/api/presence/{entity}/{id}", get(presence::viewers))
        .merge(message_routes())
        .merge(search_routes())
        .merge(entity_routes("/api/{entity}"))
        // Records of an entity whose name is taken above, such as `messages`.
        .merge(entity_routes("/api/records/{entity}"))
        .merge(console::router());
    if app.config.metrics.is_enabled && app.config.metrics.is_on_main_port {
        routes = routes.route("/metrics", get(metrics::metrics));
    }
    finish(routes, app)
}

/// What operators see, for a port of its own: metrics, and health with all its details.
pub fn operator_router(app: Arc<App>) -> Router {
    let routes = Router::new()
        .route("/metrics", get(metrics::metrics))
        .route("/health", get(health::details))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready));
    finish(routes, app)
}

/// The layers every request passes.
fn finish(routes: Router<Arc<App>>, app: Arc<App>) -> Router {
    let hsts = hsts(&app.config.tls);
    routes
        .fallback(|| async { axum::http::StatusCode::NOT_FOUND })
        .layer(from_fn_with_state(Arc::clone(&app), limit::limit))
        .layer(from_fn_with_state(Arc::clone(&app), edge::admit))
        .layer(map_response(move |response| secure(response, hsts.clone())))
        .layer(from_fn(problem::render))
        .layer(edge::cors(&app.config.edge))
        .layer(from_fn_with_state(Arc::clone(&app), request_id::observe))
        .with_state(app)
}

/// What this server answers, for programs and for people.
fn document_routes(app: &App) -> Router<Arc<App>> {
    let document = openapi::render(&app.schema());
    Router::new()
        .route("/api/openapi.json", get(move || async { openapi::serve(document) }))
        .route("/api/docs", get(openapi::page))
        .route("/api/docs/page.js", get(openapi::script))
        .route("/api/docs/page.css", get(openapi::style))
}

fn auth_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/.well-known/jwks.json", get(auth::public_keys))
        .route("/api/auth/login", post(auth::login))
        .route("/api/auth/refresh", post(auth::refresh))
        .route("/api/auth/logout", post(auth::logout))
        .route("/api/auth/validate", get(auth::validate))
        .route("/api/auth/password", post(auth::change_password))
        .route("/api/auth/devices", get(auth::list_devices))
        .route("/api/auth/devices/{id}", delete(auth::revoke_device).patch(auth::rename_device))
}

fn admin_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/admin/users", get(admin::list_users).post(admin::create_user))
        .route("/api/admin/users/{id}", get(admin::get_user).patch(admin::update_user).delete(admin::deactivate_user))
        .route("/api/admin/users/{id}/identities/{provider}", delete(admin::unlink_identity))
        .route("/api/admin/members/{user}", patch(admin::update_member))
        .route("/api/admin/webhooks", get(admin::list_webhooks).post(admin::create_webhook))
        .route(
            "/api/admin/webhooks/{id}",
            get(admin::get_webhook).patch(admin::update_webhook).delete(admin::delete_webhook),
        )
        .route("/api/admin/webhooks/{id}/deliveries", get(admin::deliveries))
        .route("/api/admin/webhooks/{id}/deliveries/{delivery}/retry", post(admin::retry_delivery))
        .route("/api/hooks/{id}", post(hooks::receive))
        .route("/api/admin/alerts", get(admin::alerts))
        .route("/api/admin/audit", get(admin::audit))
        .route("/api/admin/rejected", get(admin::rejected))
        .route("/api/admin/devices", get(admin::devices))
        .route("/api/admin/clients", get(admin::clients))
        .route("/api/config/stats", get(stats::stats))
}

fn sync_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/sync/snapshot", get(sync::snapshot))
        .route("/api/sync/status", get(sync::status))
        .route("/api/sync/trigger", post(sync::trigger))
        .route("/api/sync/history/{entity}/{id}", get(sync::history))
        .route("/api/sync/rejected", get(sync::rejected))
}

fn analytics_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/analytics/usage", get(analytics::usage))
        .route("/api/analytics/sync", get(analytics::sync))
        .route("/api/analytics/connections", get(analytics::connections))
        .route("/api/analytics/conflicts", get(analytics::conflicts))
        .route("/api/analytics/calls", get(analytics::calls).post(analytics::report))
}

fn message_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/messages", get(messages::list).post(messages::send))
        .route("/api/messages/types", get(messages::types))
        .route("/api/messages/ack", post(messages::acknowledge))
        .route("/api/messages/dead-letters", get(messages::dead_letters))
        .route("/api/messages/{id}", get(messages::get))
        .route("/api/messages/{id}/replay", post(messages::replay))
}

fn search_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/contacts/search", get(entities::search))
        .route("/api/contacts/enhanced-search", get(entities::enhanced_search))
        .route("/api/leads/by-contact/{id}", get(entities::leads_by_contact))
}

fn entity_routes(base: &str) -> Router<Arc<App>> {
    Router::new()
        .route(base, get(entities::list).post(entities::create))
        .route(&format!("{base}/bulk"), post(entities::bulk))
        .route(&format!("{base}/{{id}}"), get(entities::get).patch(entities::update).delete(entities::delete))
}

/// Where the server itself speaks TLS, browsers are told to use nothing else. Behind a proxy that is the proxy's to say.
fn hsts(tls: &TlsConfig) -> Option<HeaderValue> {
    let is_told = tls.is_on() && tls.hsts_s > 0;
    is_told.then(|| HeaderValue::from_str(&format!("max-age={}", tls.hsts_s)).ok()).flatten()
}

/// Headers that cost nothing and close doors: answers are data, never pages, and are not kept by caches between us.
async fn secure(mut response: Response, hsts: Option<HeaderValue>) -> Response {
    let headers = response.headers_mut();
    if let Some(hsts) = hsts {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, hsts);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(policy);
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
