//! The console's files, or the page that says how to build them: both are served alike.

use reqwest::Method;

use crate::support::World;

#[tokio::test]
async fn web_1_every_screen_is_the_page_with_a_policy_without_inline_scripts() {
    let world = World::start().await;
    let http = world.http();
    for path in ["/", "/leads", "/leads/0198c0de-0000-7000-8000-000000000001", "/board", "/settings"] {
        let page = http.get(path).await;
        assert_eq!(page.header("content-type"), "text/html", "{path}");
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("x-frame-options"), "DENY");
    }
    http.get("/nope").await.expect_problem(404, "not_found");
    http.get("/leads/one/two").await.expect_problem(404, "not_found");
    http.get("/assets/nope.js").await.expect_problem(404, "not_found");
    http.send(http.request(Method::POST, "/leads")).await.expect_problem(405, "method_not_allowed");
}

#[tokio::test]
async fn web_1_the_page_is_asked_for_again_and_not_sent_again() {
    let world = World::start().await;
    let http = world.http();
    let first = http.get("/").await;
    assert_eq!(first.header("cache-control"), "no-cache");
    let again = http.request(Method::GET, "/leads").header("if-none-match", first.header("etag"));
    assert_eq!(http.send(again).await.status, 304);
}

#[tokio::test]
async fn api_6_the_files_of_the_console_are_not_counted() {
    let world = World::start_with(|config| config.rates.is_loopback_limited = true).await;
    let http = world.http();
    for _ in 0..40 {
        assert_eq!(http.get("/").await.status, 200);
        assert_eq!(http.get("/leads/one").await.status, 200);
    }
    http.get("/leads/one/two").await.expect_problem(404, "not_found");
    let mut last = reqwest::StatusCode::OK;
    for _ in 0..40 {
        last = http.get("/nope").await.status;
    }
    assert_eq!(last, 429, "everything else is counted");
}
