//! The web console: files that were put into the binary when it was built, and its page under each of its addresses.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get};
use memory_serve::CacheControl;
use tower::ServiceExt as _;
use tracing::subscriber::{NoSubscriber, with_default};

/// Addresses of the console's screens; `apps/console/src/router.tsx` has the same ones. Everything else that is not there is 404.
const SCREENS: &[&str] = &[
    "/leads",
    "/leads/{id}",
    "/board",
    "/contacts",
    "/contacts/{id}",
    "/opportunities",
    "/opportunities/{id}",
    "/tasks",
    "/conflicts",
    "/conflicts/{id}",
    "/rejected",
    "/import",
    "/export",
    "/devices",
    "/people",
    "/messages",
    "/webhooks",
    "/monitoring",
    "/audit",
    "/settings",
];

/// Files beside the page whose names stay the same: `apps/console/public`, and the service worker.
const FILES: &[&str] =
    &["/", "/sw.js", "/theme.js", "/manifest.webmanifest", "/icon.svg", "/icon-192.png", "/icon-512.png"];

/// What the page may do: run its own files, speak with its own server, and nothing else. No inline script, no inline style element.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; \
                      connect-src 'self'; worker-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";
/// Files whose names change with their content.
const HASHED: &str = "/assets/";
const FOREVER: &str = "public, max-age=31536000, immutable";

/// The files as they are served. Made once: they stay in memory until the process ends.
static SERVED: LazyLock<Router> = LazyLock::new(|| {
    let files = memory_serve::load!()
        .index_file(Some("/index.html"))
        .enable_brotli(true)
        .enable_gzip(true)
        .html_cache_control(CacheControl::NoCache)
        .cache_control(CacheControl::NoCache);
    // It would write a line for every file.
    with_default(NoSubscriber::default(), || files.into_router())
});

pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let mut routes = Router::new().route("/assets/{file}", get(file));
    for path in FILES {
        routes = routes.route(path, get(file));
    }
    for screen in SCREENS {
        routes = routes.route(screen, page());
    }
    routes.layer(map_response(secure))
}

/// Whether a path is one of the console's. A page is some twenty files at once, so they are not counted as questions.
pub fn serves(path: &str) -> bool {
    let is_screen = |screen: &&str| match screen.strip_suffix("{id}") {
        Some(before) => path.strip_prefix(before).is_some_and(|id| !id.is_empty() && !id.contains('/')),
        None => path == *screen,
    };
    FILES.contains(&path) || path.starts_with(HASHED) || SCREENS.iter().any(is_screen)
}

fn page<S: Clone + Send + Sync + 'static>() -> MethodRouter<S> {
    get(|mut request: Request| async move {
        *request.uri_mut() = Uri::from_static("/");
        serve(request).await
    })
}

async fn file(request: Request) -> Response {
    let is_hashed = request.uri().path().starts_with(HASHED);
    let mut response = serve(request).await;
    if is_hashed && (response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED) {
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(FOREVER));
    }
    response
}

async fn serve(request: Request) -> Response {
    match SERVED.clone().oneshot(request).await {
        Ok(response) => response.into_response(),
        Err(never) => match never {},
    }
}

async fn secure(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin"));
    response
}
