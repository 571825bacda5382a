//! The outermost checks of a request: where it comes from, how long its address is, how long it may take.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use syncline_core::protocol::Code;
use tower_http::cors::CorsLayer;

use super::problem::ApiError;
use crate::app::App;
use crate::audit::current_request;
use crate::auth::FORWARDED;
use crate::clock;
use crate::config::{EdgeConfig, Network, ProxyHeader};

/// The address at the other end of the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer(pub IpAddr);

/// The address of the client: the peer's, or what trusted proxies say of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientAddress(pub IpAddr);

/// Marks a request that came by a listener which only programs of this machine reach.
#[derive(Clone, Copy)]
pub struct LocalOnly;

/// Headers of answers that pages of other origins may read.
const EXPOSED: [&str; 10] = [
    "etag",
    "location",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "syncline-conflicts",
    "syncline-outcome",
    "www-authenticate",
    "x-request-id",
    "content-encoding",
];
/// How long a browser may keep the answer to a preflight.
const PREFLIGHT_KEPT: Duration = Duration::from_secs(3_600);
/// Longest value of a proxy's header that is looked at; bytes.
const PROXY_HEADER_BYTES_MAX: usize = 4_096;

/// Layer that refuses clients by address, addresses by length and answers by time, and notes the client's address.
pub async fn admit(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let url_bytes = request.uri().path_and_query().map_or(0, |text| text.as_str().len());
    if url_bytes > app.config.http.url_bytes_max {
        let message = format!("The address may have at most {} bytes.", app.config.http.url_bytes_max);
        return ApiError::new(Code::TooLarge, message).with_status(StatusCode::URI_TOO_LONG).into_response();
    }
    if let Some(header) = request.headers().get(FORWARDED) {
        // Another node has looked at its client's address already; from anybody else the header is an attempt.
        let path = request.uri().path_and_query().map_or("", |text| text.as_str());
        let header = header.to_str().unwrap_or("");
        let Some(forwarded) = app.auth.node_key.verify(header, clock::now_ms(), path) else {
            tracing::warn!(event = "forward_refused", "a request claims to come from another node and does not");
            let message = "Only nodes of this deployment pass requests on. Send the request itself.";
            return ApiError::new(Code::RefusedHere, message).into_response();
        };
        current_request(|request| request.address.set(Some(forwarded.client)));
        request.extensions_mut().insert(ClientAddress(forwarded.client));
        request.extensions_mut().insert(forwarded);
    } else if let Some(Peer(peer)) = request.extensions().get().copied() {
        if request.extensions().get::<LocalOnly>().is_some()
            && let Err(error) = check_host(&app.config.edge, peer, request.headers())
        {
            return error.into_response();
        }
        let client = client_address(&app.config.edge, peer, request.headers());
        if !is_served(&app.config.edge, client) {
            let message =
                "This server does not serve your network. Connect from one it serves, or ask its administrator.";
            return ApiError::new(Code::RefusedHere, message).into_response();
        }
        current_request(|request| request.address.set(Some(client)));
        request.extensions_mut().insert(ClientAddress(client));
    }
    let limit = Duration::from_millis(app.config.http.request_timeout_ms);
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            ApiError::new(Code::Timeout, "There was no answer in time. Send the same request again.").into_response()
        }
    }
}

/// Refuses a page that is neither the server's own nor allowed. A program that is no browser sends no `Origin`.
///
/// For doors that CORS does not guard: a WebSocket opens from any page.
pub fn check_origin(edge: &EdgeConfig, headers: &HeaderMap) -> Result<(), ApiError> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let Some(origin) = origins.next() else { return Ok(()) };
    let is_allowed = origins.next().is_none() && origin.to_str().is_ok_and(|text| is_allowed(edge, headers, text));
    if is_allowed {
        return Ok(());
    }
    let message = "Pages of this origin may not connect. Its administrator can list it in `edge.allowed_origins`.";
    Err(ApiError::new(Code::RefusedHere, message).with_field("Origin"))
}

/// Refuses a name that is not this machine's, when only this machine is served: a page of another site may have its own
/// name lead to 127.0.0.1, and to the browser it is then of the same origin (DNS rebinding). Programs need send no name.
fn check_host(edge: &EdgeConfig, peer: IpAddr, headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(host) = headers.get(header::HOST) else { return Ok(()) };
    let name = host.to_str().map(host_name).unwrap_or_default();
    let is_local = name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok();
    let is_listed = || edge.allowed_hosts.iter().any(|allowed| allowed.as_str().eq_ignore_ascii_case(&name));
    let is_of_a_page = || edge.allowed_origins.iter().any(|origin| origin.host() == name);
    if is_local || is_trusted(edge, peer.to_canonical()) || is_listed() || is_of_a_page() {
        return Ok(());
    }
    let message = "This server listens for its own machine and is not known by that name. If it is its name, list it in \
                   `edge.allowed_hosts` (ALLOWED_HOSTS), or the proxy before it in `edge.trusted_proxies`.";
    Err(ApiError::new(Code::RefusedHere, message).with_status(StatusCode::MISDIRECTED_REQUEST).with_field("Host"))
}

/// The host of a `Host` header in lower case, an IPv6 address without its brackets.
fn host_name(host: &str) -> String {
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(address, _)| address),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    bare.trim_end_matches('.').to_ascii_lowercase()
}

fn is_trusted(edge: &EdgeConfig, address: IpAddr) -> bool {
    edge.trusted_proxies.iter().any(|proxy| proxy.contains(address))
}

fn is_allowed(edge: &EdgeConfig, headers: &HeaderMap, origin: &str) -> bool {
    edge.allowed_origins.iter().any(|allowed| allowed.as_str() == origin) || is_own(headers, origin)
}

/// Whether a page came from the address it now speaks to. The scheme is left to the proxy that ends TLS.
fn is_own(headers: &HeaderMap, origin: &str) -> bool {
    let authority = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    matches!((authority, host), (Some(authority), Some(host)) if authority.eq_ignore_ascii_case(host))
}

/// CORS for exactly the allowed origins. The server's own pages need none.
pub fn cors(edge: &EdgeConfig) -> CorsLayer {
    let origins = edge.allowed_origins.iter().filter_map(|origin| HeaderValue::from_str(origin.as_str()).ok());
    let methods = edge.allowed_methods.iter().filter_map(|name| Method::from_bytes(name.as_str().as_bytes()).ok());
    let headers = edge.allowed_headers.iter().filter_map(|name| HeaderName::from_bytes(name.as_str().as_bytes()).ok());
    CorsLayer::new()
        .allow_origin(origins.collect::<Vec<_>>())
        .allow_methods(methods.collect::<Vec<_>>())
        .allow_headers(headers.collect::<Vec<_>>())
        .expose_headers(EXPOSED.map(HeaderName::from_static))
        .max_age(PREFLIGHT_KEPT)
}

fn is_served(edge: &EdgeConfig, client: IpAddr) -> bool {
    let is_in = |networks: &[Network]| networks.iter().any(|network| network.contains(client));
    !is_in(&edge.denied_addresses) && (edge.allowed_addresses.is_empty() || is_in(&edge.allowed_addresses))
}

/// Follows the proxies' header from its end, as long as who speaks is trusted: the first address that is not a trusted
/// proxy's is the client's. What a client wrote there itself lies further left and is never reached.
fn client_address(edge: &EdgeConfig, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let mut client = peer.to_canonical();
    if !is_trusted(edge, client) {
        return client;
    }
    let name = match edge.proxy_header {
        ProxyHeader::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
        ProxyHeader::Forwarded => header::FORWARDED,
    };
    for value in headers.get_all(name).iter().rev() {
        let Some(text) = value.to_str().ok().filter(|text| text.len() <= PROXY_HEADER_BYTES_MAX) else { return client };
        for element in text.rsplit(',') {
            let address = match edge.proxy_header {
                ProxyHeader::XForwardedFor => parse_address(element),
                ProxyHeader::Forwarded => forwarded_for(element).and_then(parse_address),
            };
            let Some(address) = address else { return client };
            client = address;
            if !is_trusted(edge, client) {
                return client;
            }
        }
    }
    client
}

/// The `for` of one element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<&str> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    Some(value.trim().trim_matches('"'))
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`.
fn parse_address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None if text.matches(':').count() == 1 => text.split_once(':')?.0,
        None => text,
    };
    bare.parse().ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(proxies: &[&str], header: ProxyHeader) -> EdgeConfig {
        let trusted_proxies = proxies.iter().map(|text| text.parse().unwrap()).collect();
        EdgeConfig { trusted_proxies, proxy_header: header, ..EdgeConfig::default() }
    }

    fn client(edge: &EdgeConfig, peer: &str, headers: &[(&'static str, &str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        client_address(edge, peer.parse().unwrap(), &map).to_string()
    }

    #[test]
    fn auth_7_a_server_of_this_machine_alone_answers_to_its_own_names() {
        let mut edge = edge(&["10.0.0.1"], ProxyHeader::XForwardedFor);
        edge.allowed_hosts = vec![serde_json::from_str("\"crm.intern\"").unwrap()];
        edge.allowed_origins = vec!["https://crm.example.com:8443".parse().unwrap()];
        let is_served = |peer: &str, host: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.extend(host.map(|host| (header::HOST, HeaderValue::from_str(host).unwrap())));
            check_host(&edge, peer.parse().unwrap(), &headers).is_ok()
        };
        let own =
            ["localhost", "LOCALHOST:8000", "app.localhost:1", "localhost.", "127.0.0.1:8000", "[::1]:8000", "[::1]"];
        for host in own.into_iter().chain(["crm.intern:8000", "CRM.intern", "crm.example.com"]) {
            assert!(is_served("127.0.0.1", Some(host)), "{host}");
        }
        assert!(is_served("127.0.0.1", None), "a program of HTTP/1.0");
        for host in
            ["evil.example", "localhost.evil.example", "evillocalhost", "127.0.0.1.evil.example:8000", "", "[::1"]
        {
            assert!(!is_served("127.0.0.1", Some(host)), "{host}");
        }
        assert!(is_served("10.0.0.1", Some("whatever.example")), "the proxy has looked");
        assert!(is_served("::ffff:10.0.0.1", Some("whatever.example")));
    }

    #[test]
    fn api_6_a_forged_x_forwarded_for_changes_nothing() {
        let edge = edge(&["10.0.0.0/8", "::1"], ProxyHeader::XForwardedFor);
        let name = "x-forwarded-for";
        // (peer, values of the header, client)
        let table: &[(&str, &[&str], &str)] = &[
            ("203.0.113.9", &["1.2.3.4"], "203.0.113.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("::ffff:10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["1.2.3.4, 198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["1.2.3.4", "198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["1.2.3.4, 198.51.100.7, 10.9.9.9"], "198.51.100.7"),
            ("10.0.0.1", &["1.2.3.4, nonsense, 10.9.9.9"], "10.9.9.9"),
            ("10.0.0.1", &["10.0.0.2"], "10.0.0.2"),
            ("::1", &["[2001:db8::7]:4711"], "2001:db8::7"),
            ("::1", &["198.51.100.7:4711"], "198.51.100.7"),
            ("10.0.0.1", &[""], "10.0.0.1"),
        ];
        for (peer, values, expected) in table {
            let headers: Vec<_> = values.iter().map(|value| (name, *value)).collect();
            assert_eq!(client(&edge, peer, &headers), *expected, "{peer} {values:?}");
        }
        assert_eq!(
            client(&edge, "10.0.0.1", &[("forwarded", "for=1.2.3.4")]),
            "10.0.0.1",
            "the other header is not read"
        );
    }

    #[test]
    fn api_6_forwarded_is_read_where_it_is_configured() {
        let edge = edge(&["10.0.0.0/8"], ProxyHeader::Forwarded);
        let of = |value: &str| client(&edge, "10.0.0.1", &[("forwarded", value)]);
        assert_eq!(of("for=1.2.3.4, For=\"[2001:db8::7]:80\";proto=https"), "2001:db8::7");
        assert_eq!(of("for=198.51.100.7;by=10.0.0.1, for=10.0.0.3"), "198.51.100.7");
        assert_eq!(of("for=_hidden"), "10.0.0.1");
        assert_eq!(client(&edge, "10.0.0.1", &[("x-forwarded-for", "1.2.3.4")]), "10.0.0.1");
    }

    #[test]
    fn auth_7_denied_wins_over_allowed_and_an_empty_list_allows_all() {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let is_served = |allowed: &[&str], denied: &[&str], address: &str| {
            let edge = EdgeConfig {
                allowed_addresses: parse(allowed),
                denied_addresses: parse(denied),
                ..EdgeConfig::default()
            };
            is_served(&edge, address.parse().unwrap())
        };
        assert!(is_served(&[], &[], "203.0.113.9"));
        assert!(!is_served(&["10.0.0.0/8"], &[], "203.0.113.9"));
        assert!(is_served(&["10.0.0.0/8"], &[], "10.1.1.1"));
        assert!(!is_served(&["10.0.0.0/8"], &["10.1.1.1"], "10.1.1.1"));
        assert!(!is_served(&[], &["2001:db8::/32"], "2001:db8::1"));
    }
}
