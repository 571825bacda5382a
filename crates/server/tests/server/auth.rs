use serde_json::{Value, json};
use syncline_server::auth::SigningAlgorithm;

use crate::support::{PASSWORD, User, World, text, uuid_v7};

#[tokio::test]
async fn aut_1_login_answers_tokens_and_whom_they_speak_for() {
    let world = World::start().await;
    let device_id = uuid_v7();
    let answer = world.http().try_login("Ann@ACME.example ", PASSWORD, &device_id).await.expect(200);
    assert_eq!(answer["workspace_id"], "acme");
    assert_eq!(answer["device_id"], device_id);
    assert_eq!(answer["role"], "agent");
    assert_eq!(answer["expires_in_s"], 3600);
    let user = User::new(world.http(), "ann", &answer);
    let valid = user.get("/api/auth/validate").await.expect(200);
    assert_eq!(
        (&valid["valid"], &valid["user_id"], &valid["read_scope"]),
        (&json!(true), &answer["user_id"], &json!("own"))
    );
}

#[tokio::test]
async fn aut_1_a_wrong_address_and_a_wrong_password_answer_alike() {
    let world = World::start().await;
    let mut bodies = Vec::new();
    for (email, password) in [("ann@acme.example", "wrong password"), ("nobody@acme.example", PASSWORD)] {
        let mut body = world.http().try_login(email, password, &uuid_v7()).await.expect_problem(401, "unauthenticated");
        body.as_object_mut().unwrap().remove("request_id");
        bodies.push(body);
    }
    assert_eq!(bodies[0], bodies[1]);
}

#[tokio::test]
async fn auth_6_an_account_is_locked_after_repeated_failures_whether_it_exists_or_not() {
    let world = World::start_with(|config| config.tokens.failures_max = 2).await;
    let mut shapes = Vec::new();
    for email in ["ann@acme.example", "nobody@acme.example"] {
        for _ in 0..2 {
            world.http().try_login(email, "wrong password", &uuid_v7()).await.expect_problem(401, "unauthenticated");
        }
        let answer = world.http().try_login(email, PASSWORD, &uuid_v7()).await;
        let mut body = answer.expect_problem(429, "rate_limited");
        assert!(body["retry_ms"].as_u64().unwrap() > 20_000, "{body}");
        assert!(!answer.header("retry-after").is_empty());
        for member in ["request_id", "retry_ms", "message", "detail"] {
            body.as_object_mut().unwrap().remove(member);
        }
        shapes.push(body);
    }
    assert_eq!(shapes[0], shapes[1]);
    world.user("bob").await;
}

#[tokio::test]
async fn auth_6_guesses_sent_at_once_are_no_more_than_guesses_sent_in_turn() {
    let world = World::start_with(|config| {
        config.tokens.failures_max = 3;
        config.rates.is_enabled = false;
    })
    .await;
    let guesses =
        (0..12).map(|n| {
            let http = world.http();
            async move {
                http.try_login("ann@acme.example", &format!("wrong password {n}"), &uuid_v7()).await.status.as_u16()
            }
        });
    let statuses = futures_util::future::join_all(guesses).await;
    let checked = statuses.iter().filter(|status| **status == 401).count();
    assert_eq!((checked, statuses.len() - checked), (3, 9), "{statuses:?}");
}

#[tokio::test]
async fn auth_6_guessing_the_present_password_locks_as_signing_in_does() {
    let world = World::start_with(|config| config.tokens.failures_max = 2).await;
    let ann = world.user("ann").await;
    let change = |current: &str| json!({"current_password": current, "new_password": "a new long password"});
    for _ in 0..2 {
        ann.post("/api/auth/password", &change("wrong password")).await.expect_problem(403, "forbidden");
    }
    ann.post("/api/auth/password", &change(PASSWORD)).await.expect_problem(429, "rate_limited");
    world.http().try_login(&ann.email, PASSWORD, &uuid_v7()).await.expect_problem(429, "rate_limited");
}

#[tokio::test]
async fn auth_6_a_change_is_carried_through_when_its_client_hangs_up() {
    let world = World::start().await;
    let (ann, owner) = (world.user("ann").await, world.user("owner").await);
    let body = json!({"current_password": PASSWORD, "new_password": "a new long password"}).to_string();
    let request = format!(
        "POST /api/auth/password HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: \
         application/json\r\ncontent-length: {}\r\n\r\n{body}",
        ann.access_token,
        body.len()
    );
    let mut stream = tokio::net::TcpStream::connect(world.server.address()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
    // Long enough to be read, not to be hashed.
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    drop(stream);
    crate::support::eventually(|| async {
        let answer = ann.get("/api/auth/validate").await;
        (answer.status == 401).then_some(())
    })
    .await;
    crate::support::eventually(|| async {
        let events = owner.get("/api/admin/audit").await.expect(200);
        events.to_string().contains("password_changed").then_some(())
    })
    .await;
}

#[tokio::test]
async fn auth_6_a_lock_ends_and_a_right_password_clears_the_count() {
    let lock = |config: &mut syncline_server::Config| {
        config.tokens.failures_max = 1;
        config.tokens.lock_ms = 100;
    };
    let world = World::start_with(lock).await;
    world
        .http()
        .try_login("ann@acme.example", "wrong password", &uuid_v7())
        .await
        .expect_problem(401, "unauthenticated");
    let http = world.http();
    crate::support::eventually(|| async {
        let answer = http.try_login("ann@acme.example", PASSWORD, &uuid_v7()).await;
        (answer.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn aut_2_refresh_answers_a_new_pair_and_a_spent_token_revokes_the_family() {
    let world = World::start().await;
    let first = world.user("ann").await;
    let second = User::new(world.http(), "ann", &first.refresh().await.expect(200));
    assert_ne!(first.refresh_token, second.refresh_token);
    second.get("/api/auth/validate").await.expect(200);
    first.refresh().await.expect_problem(401, "unauthenticated");
    second.refresh().await.expect_problem(401, "unauthenticated");
    second.get("/api/auth/validate").await.expect_problem(401, "unauthenticated");
    world.user("ann").await.get("/api/auth/validate").await.expect(200);
}

#[tokio::test]
async fn aut_2_a_marked_retry_survives_a_lost_reply_until_the_successor_is_used() {
    let world = World::start().await;
    let user = world.user("ann").await;
    let refresh = async |token: &str| {
        let request = user.http.request(reqwest::Method::POST, "/api/auth/refresh");
        user.send(request.header("idempotency-key", "k1").json(&json!({"refresh_token": token}))).await
    };
    refresh(&user.refresh_token).await.expect(200);
    let answered = refresh(&user.refresh_token).await.expect(200);
    refresh(text(&answered, "refresh_token")).await.expect(200);
}

#[tokio::test]
async fn aut_2_of_parallel_uses_of_one_refresh_token_at_most_one_wins() {
    let world = World::start().await;
    let user = world.user("ann").await;
    let attempts = (0..6).map(|_| {
        let user = user.clone();
        tokio::spawn(async move { user.refresh().await.status.as_u16() })
    });
    let mut won = 0;
    for attempt in attempts {
        won += usize::from(attempt.await.unwrap() == 200);
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn auth_3_tokens_that_are_not_access_tokens_are_refused() {
    let world = World::start().await;
    let user = world.user("ann").await;
    let too_long = "x".repeat(20_000);
    for token in ["", "x", "Bearer", &user.refresh_token, "null", &user.access_token[..40], &too_long] {
        let request = user
            .http
            .request(reqwest::Method::GET, "/api/auth/validate")
            .header("authorization", format!("Bearer {token}"));
        let answer = user.send(request).await;
        answer.expect_problem(401, "unauthenticated");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    user.http.get("/api/auth/validate").await.expect_problem(401, "unauthenticated");
    let basic = user.http.request(reqwest::Method::GET, "/api/auth/validate").basic_auth("a", Some("b"));
    user.send(basic).await.expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn auth_3_an_expired_token_says_so_and_a_forged_one_does_not() {
    let secret = "a test secret of at least 32 bytes";
    let world = World::start_with(|config| config.tokens.secret_key = Some(secret.into())).await;
    let user = world.user("ann").await;
    let mut claims: Value = jsonwebtoken::dangerous::insecure_decode(&user.access_token).unwrap().claims;
    let signed = |claims: &Value, secret: &str| {
        let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), claims, &key).unwrap()
    };
    let with = |access_token: String| User { access_token, ..user.clone() };
    with(signed(&claims, secret)).get("/api/auth/validate").await.expect(200);
    claims["role"] = json!("owner");
    with(signed(&claims, secret)).get("/api/auth/validate").await.expect_problem(401, "unauthenticated");
    claims.as_object_mut().unwrap().remove("role");
    claims["exp"] = json!(claims["iat"].as_u64().unwrap() - 1);
    with(signed(&claims, secret)).get("/api/auth/validate").await.expect_problem(401, "token_expired");
    with(signed(&claims, "another secret of at least 32 bytes"))
        .get("/api/auth/validate")
        .await
        .expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn auth_3_others_verify_our_tokens_with_the_published_key_and_the_next_one_is_published_before_it_signs() {
    let random = aws_lc_rs::rand::SystemRandom::new();
    let fresh = || {
        let pair = aws_lc_rs::signature::Ed25519KeyPair::generate_pkcs8v1(&random).unwrap();
        pem::encode(&pem::Pem::new("PRIVATE KEY", pair.as_ref()))
    };
    let (now, next) = (fresh(), fresh());
    let world = World::start_with(|config| {
        config.tokens.algorithm = SigningAlgorithm::EdDSA;
        config.tokens.secret_key = Some(now.clone().into());
        config.tokens.secret_key_other = Some(next.into());
    })
    .await;
    let user = world.user("ann").await;
    user.get("/api/auth/validate").await.expect(200);
    let published = world.http().get("/.well-known/jwks.json").await.expect(200);
    let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_value(published.clone()).unwrap();
    assert_eq!(keys.keys.len(), 2);
    assert!(!published.to_string().contains("\"d\""), "a private member");
    let head = jsonwebtoken::decode_header(&user.access_token).unwrap();
    let key = keys.find(&head.kid.unwrap()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
    validation.set_audience(&["syncline-sync"]);
    let decoding = jsonwebtoken::DecodingKey::from_jwk(key).unwrap();
    let claims = jsonwebtoken::decode::<Value>(&user.access_token, &decoding, &validation).unwrap().claims;
    assert_eq!(claims["sub"], json!(user.user_id));
    let shared = World::start().await;
    assert_eq!(shared.http().get("/.well-known/jwks.json").await.expect(200), json!({"keys": []}));
}

#[tokio::test]
async fn auth_6_logout_ends_the_sign_in_at_once_and_everywhere_when_asked() {
    let world = World::start().await;
    let (one, two) = (world.user("ann").await, world.user("ann").await);
    one.post("/api/auth/logout", &json!({})).await.expect(204);
    one.get("/api/auth/validate").await.expect_problem(401, "unauthenticated");
    one.refresh().await.expect_problem(401, "unauthenticated");
    two.get("/api/auth/validate").await.expect(200);
    let three = world.user("ann").await;
    two.post("/api/auth/logout", &json!({"everywhere": true})).await.expect(204);
    three.get("/api/auth/validate").await.expect_problem(401, "unauthenticated");
    three.refresh().await.expect_problem(401, "unauthenticated");
    world.user("ann").await.get("/api/auth/validate").await.expect(200);
    world.user("bob").await.get("/api/auth/validate").await.expect(200);
}

#[tokio::test]
async fn aut_3_devices_are_listed_renamed_and_revoked_by_their_owner_or_an_admin() {
    let world = World::start().await;
    let (ann, bob, owner) = (world.user("ann").await, world.user("bob").await, world.user("owner").await);
    let listed = ann.get("/api/auth/devices").await.expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(listed["items"][0]["is_current"], true);
    let path = format!("/api/auth/devices/{}", ann.device_id);
    ann.patch(&path, &json!({"name": "Field phone"})).await.expect(204);
    assert_eq!(ann.get("/api/auth/devices").await.expect(200)["items"][0]["name"], "Field phone");
    let foreign = bob.delete(&path).await.expect_problem(404, "not_found");
    let unknown = bob.delete(&format!("/api/auth/devices/{}", uuid_v7())).await.expect_problem(404, "not_found");
    assert_eq!(foreign["message"], unknown["message"]);
    owner.delete(&path).await.expect(204);
    ann.get("/api/auth/validate").await.expect_problem(403, "device_revoked");
    let all: Value = owner.get("/api/admin/devices").await.expect(200);
    let revoked = all["items"].as_array().unwrap().iter().filter(|device| !device["revoked_ms"].is_null()).count();
    assert_eq!(revoked, 1);
}

#[tokio::test]
async fn aut_1_a_revoked_or_foreign_device_id_cannot_sign_in() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let taken = world.http().try_login("bob@acme.example", PASSWORD, &ann.device_id).await;
    taken.expect_problem(403, "forbidden");
    ann.delete(&format!("/api/auth/devices/{}", ann.device_id)).await.expect(204);
    let again = world.http().try_login("ann@acme.example", PASSWORD, &ann.device_id).await;
    again.expect_problem(403, "device_revoked");
    world.user("ann").await;
}

#[tokio::test]
async fn auth_2_a_password_is_changed_with_the_present_one_and_ends_other_sign_ins() {
    let world = World::start().await;
    let (ann, other) = (world.user("ann").await, world.user("ann").await);
    let change = |current: &str, new: &str| json!({"current_password": current, "new_password": new});
    ann.post("/api/auth/password", &change("wrong password", "a new password")).await.expect_problem(403, "forbidden");
    ann.post("/api/auth/password", &change(PASSWORD, "short")).await.expect_problem(422, "validation");
    ann.post("/api/auth/password", &change(PASSWORD, "a new password")).await.expect(204);
    other.get("/api/auth/validate").await.expect_problem(401, "unauthenticated");
    world.http().try_login(&ann.email, PASSWORD, &uuid_v7()).await.expect_problem(401, "unauthenticated");
    world.http().login(&ann.email, "a new password").await;
}

#[tokio::test]
async fn auth_3_revocations_survive_a_restart() {
    let world = World::start().await;
    let (gone, revoked) = (world.user("ann").await, world.user("bob").await);
    gone.post("/api/auth/logout", &json!({})).await.expect(204);
    revoked.delete(&format!("/api/auth/devices/{}", revoked.device_id)).await.expect(204);
    let still = world.user("ann").await;
    let world = world.restart().await;
    let at = |user: &User| User { http: world.http(), ..user.clone() };
    at(&gone).get("/api/auth/validate").await.expect_problem(401, "unauthenticated");
    at(&revoked).get("/api/auth/validate").await.expect_problem(403, "device_revoked");
    at(&still).get("/api/auth/validate").await.expect(200);
}

#[tokio::test]
async fn auth_1_admins_create_change_and_deactivate_users() {
    let world = World::start().await;
    let (owner, ann) = (world.user("owner").await, world.user("ann").await);
    let new = json!({"email": "new@acme.example", "name": "New", "role": "agent", "read_scope": "own"});
    ann.post("/api/admin/users", &new).await.expect_problem(403, "forbidden");
    let created = owner.post("/api/admin/users", &new).await.expect(201);
    let password = text(&created, "initial_password").to_owned();
    owner.post("/api/admin/users", &new).await.expect_problem(409, "unique");
    let user = world.http().login("new@acme.example", &password).await;
    assert_eq!(user.user_id, created["user_id"]);
    let member = format!("/api/admin/members/{}", user.user_id);
    let changed = owner.patch(&member, &json!({"role": "manager", "read_scope": "all"})).await.expect(200);
    assert_eq!((&changed["role"], &changed["read_scope"]), (&json!("manager"), &json!("all")));
    assert_eq!(user.get("/api/auth/validate").await.expect(200)["role"], "manager");
    owner.patch(&member, &json!({"role": "emperor"})).await.expect_problem(422, "validation");
    owner.delete(&format!("/api/admin/users/{}", user.user_id)).await.expect(204);
    user.get("/api/auth/validate").await.expect_problem(401, "unauthenticated");
    let login = world.http().try_login("new@acme.example", &password, &uuid_v7()).await;
    login.expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn auth_1_the_last_owner_stays_and_nobody_rises_above_themselves() {
    let world = World::start().await;
    let owner = world.user("owner").await;
    let member = |user: &str| format!("/api/admin/members/{user}");
    owner.patch(&member(&owner.user_id), &json!({"role": "agent"})).await.expect_problem(422, "rule");
    owner.delete(&format!("/api/admin/users/{}", owner.user_id)).await.expect_problem(422, "rule");
    let bob = world.user("bob").await;
    owner.patch(&member(&bob.user_id), &json!({"role": "admin"})).await.expect(200);
    bob.patch(&member(&bob.user_id), &json!({"role": "owner"})).await.expect_problem(403, "forbidden");
    bob.patch(&member(&owner.user_id), &json!({"role": "agent"})).await.expect_problem(403, "forbidden");
    owner.patch(&member(&bob.user_id), &json!({"role": "owner"})).await.expect(200);
    owner.patch(&member(&owner.user_id), &json!({"role": "agent"})).await.expect(200);
}

#[tokio::test]
async fn auth_1_two_owners_who_leave_at_once_do_not_leave_a_workspace_without_one() {
    let world = World::start().await;
    let owner = world.user("owner").await;
    let bob = world.user("bob").await;
    let member = |user: &User| format!("/api/admin/members/{}", user.user_id);
    for round in 0..5 {
        owner.patch(&member(&bob), &json!({"role": "owner"})).await.expect(200);
        let (to_agent, to_agent_too) = (json!({"role": "agent"}), json!({"role": "agent"}));
        let (of_owner, of_bob) = (member(&owner), member(&bob));
        let (one, two) = tokio::join!(owner.patch(&of_owner, &to_agent), bob.patch(&of_bob, &to_agent_too));
        let mut statuses = [one.status.as_u16(), two.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 422], "round {round}");
        // Whoever is left makes the first the owner again.
        let left = if one.status == 200 { &bob } else { &owner };
        left.patch(&of_owner, &json!({"role": "owner"})).await.expect(200);
    }
}

#[tokio::test]
async fn auth_4_sign_ins_that_describe_no_device_share_one_until_it_is_revoked() {
    let world = World::start().await;
    let login = async |mode: &str| {
        let body = json!({"email": "ann@acme.example", "password": PASSWORD, "deployment_mode": mode});
        let tokens = world.http().post("/api/auth/login", &body).await.expect(200);
        (text(&tokens, "device_id").to_owned(), text(&tokens, "access_token").to_owned())
    };
    let (first, token) = login("local_install").await;
    assert_eq!(login("local_install").await.0, first);
    assert_ne!(login("web_app").await.0, first);
    let revoke = world.http().request(reqwest::Method::DELETE, &format!("/api/auth/devices/{first}"));
    world.http().send(revoke.bearer_auth(token)).await.expect(204);
    let next = login("local_install").await.0;
    assert_ne!(next, first);
    assert_eq!(login("local_install").await.0, next);
}

#[tokio::test]
async fn auth_4_devices_and_clients_come_in_pages_for_admins() {
    let world = World::start().await;
    let owner = world.user("owner").await;
    for _ in 0..4 {
        let ann = world.user("ann").await;
        crate::support::Socket::open(&ann).await.hello().await;
    }
    for (path, of, count) in [("/api/admin/devices", "device_id", 5), ("/api/admin/clients", "client_id", 4)] {
        let whole = owner.get(path).await.expect(200);
        assert!(whole.get("next").is_none());
        let ids = |page: &Value| -> Vec<String> {
            page["items"].as_array().unwrap().iter().map(|item| text(item, of).to_owned()).collect()
        };
        let (mut paged, mut after) = (Vec::new(), String::new());
        loop {
            let page = owner.get(&format!("{path}?limit=2{after}")).await.expect(200);
            assert!(ids(&page).len() <= 2);
            paged.extend(ids(&page));
            let Some(next) = page.get("next").and_then(Value::as_str) else { break };
            after = format!("&after={next}");
        }
        assert_eq!((paged.len(), &paged), (count, &ids(&whole)), "{path}");
        for wrong in ["limit=0", "limit=1001", "after=x", "nope=1"] {
            owner.get(&format!("{path}?{wrong}")).await.expect_problem(422, "validation");
        }
    }
}
