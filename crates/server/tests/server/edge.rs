//! Who may speak to the server at all: pages by origin, clients by address, requests by size and time.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::support::{Answer, Http, World, uuid_v7};

const PAGE: &str = "https://crm.example.com";
const EXTENSION: &str = "chrome-extension://abcdefghijklmnopabcdefghijklmnop";

async fn world() -> World {
    World::start_with(|config| {
        config.edge.allowed_origins = [PAGE, EXTENSION].map(|origin| origin.parse().unwrap()).into();
    })
    .await
}

/// Status of a WebSocket handshake; 101 when it opened.
async fn upgrade(http: &Http, origins: &[&str]) -> (u16, String) {
    let mut request = format!("ws://{}/ws/web_app/{}", http.address, uuid_v7()).into_client_request().unwrap();
    for origin in origins {
        request.headers_mut().append("origin", origin.parse().unwrap());
    }
    match tokio_tungstenite::connect_async(request).await {
        Ok(_) => (101, String::new()),
        Err(Error::Http(response)) => {
            let body = response.body().clone().unwrap_or_default();
            (response.status().as_u16(), String::from_utf8(body).unwrap())
        }
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn auth_7_a_websocket_opens_for_listed_origins_the_own_one_and_programs_only() {
    let world = world().await;
    let http = world.http();
    let own = format!("http://{}", http.address);
    let own_behind_tls = format!("https://{}", http.address);
    for allowed in [PAGE, EXTENSION, &own, &own_behind_tls] {
        assert_eq!(upgrade(&http, &[allowed]).await.0, 101, "{allowed}");
    }
    assert_eq!(upgrade(&http, &[]).await.0, 101, "a program that is no browser");
    let port = http.address.port();
    for refused in [
        "https://evil.example",
        "null",
        "https://crm.example.com.evil.example",
        "https://crm.example.com:8443",
        "http://crm.example.com",
        "https://sub.crm.example.com",
        "chrome-extension://abcdefghijklmnopabcdefghijklmnoa",
        &format!("http://127.0.0.1.evil.example:{port}"),
        "",
    ] {
        let (status, body) = upgrade(&http, &[refused]).await;
        assert_eq!(status, 403, "{refused}");
        assert!(body.contains("\"code\":\"refused_here\"") && body.contains("\"class\":\"transient\""), "{body}");
    }
    assert_eq!(upgrade(&http, &[PAGE, "https://evil.example"]).await.0, 403, "two origins are none");
}

async fn asked(http: &Http, method: Method, origin: &str) -> Answer {
    http.send(http.request(method, "/health/live").header("origin", origin)).await
}

#[tokio::test]
async fn auth_7_cors_names_the_listed_origin_and_no_other() {
    let world = world().await;
    let http = world.http();
    for origin in [PAGE, EXTENSION] {
        let answer = asked(&http, Method::GET, origin).await;
        answer.expect(200);
        assert_eq!(answer.header("access-control-allow-origin"), origin);
        assert!(answer.header("vary").to_ascii_lowercase().contains("origin"), "{:?}", answer.headers);
        assert_eq!(answer.header("access-control-allow-credentials"), "", "tokens travel in a header, not in cookies");
        for exposed in ["etag", "x-request-id", "retry-after", "syncline-outcome", "ratelimit"] {
            assert!(answer.header("access-control-expose-headers").contains(exposed), "{exposed}");
        }
    }
    let foreign = asked(&http, Method::GET, "https://evil.example").await;
    assert_eq!(foreign.header("access-control-allow-origin"), "");
    assert!(foreign.header("vary").to_ascii_lowercase().contains("origin"), "a cache must not mix them up");
}

#[tokio::test]
async fn auth_7_a_preflight_answers_without_a_credential_and_an_error_can_be_read_by_the_page() {
    let world = world().await;
    let http = world.http();
    let preflight = async |origin: &str| {
        let request = http.request(Method::OPTIONS, "/api/contacts").header("origin", origin);
        let request = request.header("access-control-request-method", "PATCH");
        http.send(request.header("access-control-request-headers", "authorization,content-type,if-match")).await
    };
    let allowed = preflight(PAGE).await;
    allowed.expect(200);
    assert_eq!(allowed.header("access-control-allow-origin"), PAGE);
    assert!(allowed.header("access-control-allow-methods").contains("PATCH"));
    for header in ["authorization", "content-type", "if-match"] {
        assert!(allowed.header("access-control-allow-headers").contains(header), "{header}");
    }
    assert_eq!(preflight("https://evil.example").await.header("access-control-allow-origin"), "");
    let denied = http.send(http.request(Method::GET, "/api/contacts").header("origin", PAGE)).await;
    denied.expect_problem(401, "unauthenticated");
    assert_eq!(denied.header("access-control-allow-origin"), PAGE);
}

#[tokio::test]
async fn auth_7_addresses_are_refused_by_list_and_a_forged_header_does_not_help() {
    let world = World::start_with(|config| {
        config.edge.denied_addresses = vec!["203.0.113.0/24".parse().unwrap()];
        config.edge.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    })
    .await;
    let http = world.http();
    let from = async |forwarded: &str| {
        http.send(http.request(Method::GET, "/health/live").header("x-forwarded-for", forwarded)).await
    };
    from("198.51.100.7").await.expect(200);
    from("203.0.113.9").await.expect_problem(403, "refused_here");
    from("198.51.100.7, 203.0.113.9").await.expect_problem(403, "refused_here");
    let world = World::start_with(|config| config.edge.allowed_addresses = vec!["10.0.0.0/8".parse().unwrap()]).await;
    let http = world.http();
    let forged = http.request(Method::GET, "/health/live").header("x-forwarded-for", "10.0.0.1");
    http.send(forged).await.expect_problem(403, "refused_here");
}

#[tokio::test]
async fn auth_7_a_foreign_name_that_leads_to_this_machine_opens_nothing() {
    let world = World::start_with(|config| {
        config.edge.allowed_hosts = vec![serde_json::from_str("\"crm.intern\"").unwrap()];
    })
    .await;
    let http = world.http();
    let as_host = async |path: &str, host: &str| http.send(http.request(Method::GET, path).header("host", host)).await;
    for path in ["/", "/health", "/api/contacts", &format!("/ws/web_app/{}", uuid_v7())] {
        let problem = as_host(path, "rebound.evil.example").await.expect_problem(421, "refused_here");
        assert!(problem["message"].as_str().unwrap().contains("ALLOWED_HOSTS"), "{problem}");
    }
    for host in ["localhost:8000", "127.0.0.1", "[::1]:80", "crm.intern:8000"] {
        as_host("/health/live", host).await.expect(200);
    }
}

#[tokio::test]
async fn api_5_a_long_address_is_414() {
    let world = World::start_with(|config| config.http.url_bytes_max = 2_048).await;
    let http = world.http();
    http.get(&format!("/health/live?{}", "x".repeat(2_000))).await.expect(200);
    http.get(&format!("/health/live?{}", "x".repeat(3_000))).await.expect_problem(414, "too_large");
    http.get(&format!("/{}", "x".repeat(3_000))).await.expect_problem(414, "too_large");
}

#[tokio::test]
async fn auth_7_every_answer_carries_the_headers_that_close_doors() {
    let world = World::start().await;
    let http = world.http();
    let answers = [http.get("/health").await, http.get("/nope").await, http.post("/api/auth/login", &json!({})).await];
    for answer in answers {
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("cache-control", "no-store"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), value, "{name} of {:?}", answer.status);
        }
    }
}

#[tokio::test]
async fn api_5_a_request_that_takes_too_long_is_answered_as_every_other() {
    const LIMIT_MS: u64 = 1_000;
    let world = World::start_with(|config| {
        config.edge.allowed_origins = [PAGE.parse().unwrap()].into();
        config.http.request_timeout_ms = LIMIT_MS;
    })
    .await;
    let ann = world.user("ann").await;
    let head = format!(
        "POST /api/contacts HTTP/1.1\r\nhost: localhost\r\norigin: {PAGE}\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 1000\r\n\r\n{{\"fields\":",
        ann.access_token,
    );
    let mut stream = tokio::net::TcpStream::connect(world.server.address()).await.unwrap();
    // The rest of the body never comes.
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let patience = Duration::from_millis(20 * LIMIT_MS);
    tokio::time::timeout(patience, stream.read_to_end(&mut answer)).await.expect("no answer").unwrap();
    let answer = String::from_utf8(answer).unwrap().to_lowercase();
    for part in [
        "http/1.1 504",
        "\"code\":\"timeout\"",
        "content-type: application/problem+json",
        &format!("access-control-allow-origin: {PAGE}"),
        "x-content-type-options: nosniff",
        "x-request-id: ",
    ] {
        assert!(answer.contains(part), "{part} is missing in: {answer}");
    }
    assert_eq!(ann.get("/api/contacts").await.expect(200)["items"].as_array().unwrap().len(), 0);
}
