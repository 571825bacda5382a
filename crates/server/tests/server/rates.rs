//! How often a caller may ask, on one node and on several.

use reqwest::Method;
use serde_json::json;
use syncline_server::Config;

use crate::support::{Http, User, World, text, uuid_v7};

/// Everything is limited here, also what comes from this machine, and nothing is refilled while a test runs.
fn limited(config: &mut Config) {
    config.rates.is_loopback_limited = true;
    (config.rates.anonymous_per_minute, config.rates.anonymous_burst) = (1, 4);
    (config.rates.user_per_minute, config.rates.user_burst) = (1, 6);
    (config.rates.socket_per_minute, config.rates.socket_burst) = (1, 2);
    config.edge.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
}

async fn ask_from(http: &Http, address: &str) -> crate::support::Answer {
    http.send(http.request(Method::GET, "/api/auth/validate").header("x-forwarded-for", address)).await
}

#[tokio::test]
async fn api_6_anonymous_callers_share_the_allowance_of_their_address() {
    let world = World::start_with(limited).await;
    let http = world.http();
    for left in [3, 2, 1, 0] {
        let answer = ask_from(&http, "198.51.100.7").await;
        answer.expect_problem(401, "unauthenticated");
        assert_eq!(answer.header("ratelimit-policy"), "\"anonymous\";q=1;w=60");
        assert!(answer.header("ratelimit").starts_with(&format!("\"anonymous\";r={left};t=")), "{:?}", answer.headers);
    }
    let answer = ask_from(&http, "198.51.100.7").await;
    let problem = answer.expect_problem(429, "rate_limited");
    let retry_ms = problem["retry_ms"].as_u64().unwrap();
    assert!((50_000..=60_000).contains(&retry_ms), "{problem}");
    assert_eq!(answer.header("retry-after"), retry_ms.div_ceil(1_000).to_string());
    assert!(answer.header("ratelimit").starts_with("\"anonymous\";r=0;t="));
    // A forged address further left changes nothing, another client's is another's, a wrong path is no way out.
    ask_from(&http, "1.2.3.4, 198.51.100.7").await.expect_problem(429, "rate_limited");
    ask_from(&http, "198.51.100.8").await.expect_problem(401, "unauthenticated");
    let nowhere = http.request(Method::GET, "/nowhere").header("x-forwarded-for", "198.51.100.7");
    http.send(nowhere).await.expect_problem(429, "rate_limited");
    let login = http.request(Method::POST, "/api/auth/login").header("x-forwarded-for", "198.51.100.7");
    http.send(login.json(&json!({"email": "a", "password": "b"}))).await.expect_problem(429, "rate_limited");
    let free = http.request(Method::GET, "/health/live").header("x-forwarded-for", "198.51.100.7");
    http.send(free).await.expect(200);
}

#[tokio::test]
async fn api_6_a_signed_in_user_has_an_allowance_of_their_own_wherever_they_are() {
    let world = World::start_with(limited).await;
    let (ann, bob) = (world.user("ann").await, world.user("bob").await);
    for number in 0..6 {
        let request =
            ann.request(Method::GET, "/api/auth/validate").header("x-forwarded-for", format!("198.51.100.{number}"));
        let answer = ann.send(request).await;
        answer.expect(200);
        assert_eq!(answer.header("ratelimit-policy"), "\"user\";q=1;w=60");
    }
    ann.get("/api/contacts").await.expect_problem(429, "rate_limited");
    bob.get("/api/contacts").await.expect(200);
    // A credential that is none counts as none: guessing tokens is as slow as guessing passwords.
    let guess = |http: &Http| {
        http.request(Method::GET, "/api/contacts").bearer_auth("guess").header("x-forwarded-for", "203.0.113.1")
    };
    for _ in 0..4 {
        bob.http.send(guess(&bob.http)).await.expect_problem(401, "unauthenticated");
    }
    bob.http.send(guess(&bob.http)).await.expect_problem(429, "rate_limited");
}

#[tokio::test]
async fn api_6_sockets_have_an_allowance_of_their_own() {
    let world = World::start_with(limited).await;
    let http = world.http();
    let open = async || {
        let path = format!("/ws/web_app/{}", uuid_v7());
        http.send(http.request(Method::GET, &path).header("x-forwarded-for", "198.51.100.9")).await
    };
    for _ in 0..2 {
        open().await.expect_problem(426, "malformed");
    }
    let refused = open().await;
    refused.expect_problem(429, "rate_limited");
    assert_eq!(refused.header("ratelimit-policy"), "\"socket\";q=1;w=60");
    ask_from(&http, "198.51.100.9").await.expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn api_6_programs_on_this_machine_are_free_until_a_proxy_speaks_for_others() {
    let world = World::start_with(|config| {
        (config.rates.anonymous_per_minute, config.rates.anonymous_burst) = (1, 2);
    })
    .await;
    let http = world.http();
    for _ in 0..20 {
        http.get("/api/auth/validate").await.expect_problem(401, "unauthenticated");
    }
    for (number, status) in [(1, 401), (2, 401), (3, 429)] {
        let answer = ask_from(&http, &format!("198.51.100.{number}")).await;
        assert_eq!(answer.status, status, "a proxy that is not trusted cannot invent clients");
    }
}

#[tokio::test]
async fn api_6_nodes_count_together_through_redis_and_each_for_itself_without() {
    let Ok(redis) = std::env::var("SYNCLINE_TEST_REDIS") else {
        eprintln!("skipped: SYNCLINE_TEST_REDIS names no server: run `cargo xtask services -- COMMAND`");
        return;
    };
    let prefix = format!("rates-{}:", uuid_v7());
    let on = |address: &str| {
        let (address, key_prefix) = (secrecy::SecretString::from(address.to_owned()), prefix.clone());
        move |config: &mut Config| {
            limited(config);
            config.bus.redis_url = Some(address);
            config.bus.key_prefix = key_prefix;
        }
    };
    let (one, two) = (World::start_with(on(&redis)).await, World::start_with(on(&redis)).await);
    let mut refused = 0;
    for number in 0..8 {
        let http = if number % 2 == 0 { one.http() } else { two.http() };
        refused += usize::from(ask_from(&http, "198.51.100.7").await.status == 429);
    }
    assert_eq!(refused, 4, "two nodes give what one would");
    // Nothing listens there: the node counts for itself, and goes on.
    let alone = World::start_with(on("redis://127.0.0.1:1")).await;
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(ask_from(&alone.http(), "198.51.100.7").await.status.as_u16());
    }
    assert_eq!(answers, [401, 401, 401, 401, 429, 429]);
}

/// A channel of a user, opened with their token.
async fn channel(user: &User) -> String {
    let path = format!("/poll/local_install/{}", uuid_v7());
    let opened = user.send(user.request(Method::POST, &path).header("x-forwarded-for", OFFICE).json(&json!({}))).await;
    text(&opened.expect(201), "channel").to_owned()
}

/// The address of everybody in one office.
const OFFICE: &str = "198.51.100.7";

#[tokio::test]
async fn tra_3_people_of_one_office_do_not_share_the_allowance_of_their_channels() {
    let world = World::start_with(limited).await;
    let users = [world.user("ann").await, world.user("bob").await, world.user("owner").await];
    for user in &users {
        let path = format!("/channel/{}", channel(user).await);
        let post = || user.http.request(Method::POST, &path).header("x-forwarded-for", OFFICE).json(&json!([]));
        // Opening took one of six.
        for _ in 0..5 {
            let answer = user.http.send(post()).await;
            answer.expect(202);
            assert_eq!(answer.header("ratelimit-policy"), "\"user\";q=1;w=60");
        }
        user.http.send(post()).await.expect_problem(429, "rate_limited");
    }
    // Channels that never were are the address's.
    let node = world.server.app().bus.node().id;
    let mut statuses = Vec::new();
    for number in 0..4 {
        let path = format!("/channel/{}.invented{number}", if number % 2 == 0 { node.to_string() } else { uuid_v7() });
        let post = users[0].http.request(Method::POST, &path).header("x-forwarded-for", OFFICE).json(&json!([]));
        statuses.push(users[0].http.send(post).await.status.as_u16());
    }
    assert_eq!(statuses, [404, 404, 429, 429]);
}

#[tokio::test]
async fn hub_8_what_another_node_passes_on_is_its_clients_and_only_when_it_is_signed() {
    let world = World::start_with(|config| {
        limited(config);
        // Nodes are reached where clients are not served.
        config.edge.allowed_addresses = vec![OFFICE.parse().unwrap()];
    })
    .await;
    let login = json!({"email": "ann@acme.example", "password": crate::support::PASSWORD});
    let http = world.http();
    let of_office = |method: Method, path: &str| http.request(method, path).header("x-forwarded-for", OFFICE);
    let signed_in = http.send(of_office(Method::POST, "/api/auth/login").json(&login)).await.expect(200);
    let open = of_office(Method::POST, &format!("/poll/web_app/{}", uuid_v7()));
    let opened = http.send(open.bearer_auth(text(&signed_in, "access_token")).json(&json!({}))).await.expect(201);
    let path = format!("/channel/{}", text(&opened, "channel"));
    let now = syncline_server::clock::now_ms();
    let sign = |at: u64, path: &str, body: &[u8]| {
        world.server.app().auth.node_key.sign(at, OFFICE.parse().unwrap(), path, body)
    };
    let post = async |header: String| {
        let request = http.request(Method::POST, &path).header("syncline-forwarded", header);
        http.send(request.json(&json!([]))).await
    };
    for _ in 0..5 {
        post(sign(now, &path, b"[]")).await.expect(202);
    }
    post(sign(now, &path, b"[]")).await.expect_problem(429, "rate_limited");
    for forged in [
        "1".to_owned(),
        sign(now, "/channel/other", b"[]"),
        sign(now - 3_600_000, &path, b"[]"),
        format!("{now};{OFFICE};{};{}", "0".repeat(64), "0".repeat(64)),
    ] {
        post(forged).await.expect_problem(403, "refused_here");
    }
    http.post(&path, &json!([])).await.expect_problem(403, "refused_here");
}

#[tokio::test]
async fn hub_8_a_body_that_another_node_has_not_signed_is_refused() {
    let world = World::start().await;
    let path = format!("/channel/{}", channel(&world.user("ann").await).await);
    let now = syncline_server::clock::now_ms();
    let header = world.server.app().auth.node_key.sign(now, OFFICE.parse().unwrap(), &path, b"[]");
    let request = |body: serde_json::Value| {
        world.http().request(Method::POST, &path).header("syncline-forwarded", &header).json(&body)
    };
    world.http().send(request(json!([{"type": "heartbeat"}]))).await.expect_problem(403, "refused_here");
    world.http().send(request(json!([]))).await.expect(202);
}
