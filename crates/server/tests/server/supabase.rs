//! Signing in with tokens of a Supabase project, which is a real HTTP server with real keys here.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::SecretString;
use serde_json::{Value, json};
use syncline_server::Config;
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{Answer, User, World, text, uuid_v7};

const SECRET: &str = "a shared secret of at least 32 bytes";
const SUBJECT: &str = "7b3c9e52-1d0b-4c8e-9d58-0d9f3a1c2b4d";

/// A key pair of the project.
struct Pair {
    kid: String,
    algorithm: Algorithm,
    key: EncodingKey,
}

impl Pair {
    fn ec(kid: &str) -> Self {
        let pair =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &aws_lc_rs::rand::SystemRandom::new());
        let key = EncodingKey::from_ec_der(pair.unwrap().as_ref());
        Self { kid: kid.to_owned(), algorithm: Algorithm::ES256, key }
    }

    fn rsa(kid: &str) -> Self {
        let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        // The RSAPrivateKey inside of PKCS#8 begins after a head of 26 bytes for this size.
        let key = EncodingKey::from_rsa_der(&pkcs8.as_ref()[26..]);
        Self { kid: kid.to_owned(), algorithm: Algorithm::RS256, key }
    }

    fn jwk(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.kid.clone());
        serde_json::to_value(jwk).unwrap()
    }

    fn sign(&self, claims: &Value) -> String {
        let mut head = Header::new(self.algorithm);
        head.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&head, claims, &self.key).unwrap()
    }
}

/// The project's HTTP side.
struct Project {
    server: MockServer,
}

const KEYS: &str = "/auth/v1/.well-known/jwks.json";

impl Project {
    async fn start(pairs: &[&Pair]) -> Self {
        syncline_server::install_crypto();
        let project = Self { server: MockServer::start().await };
        project.publish(pairs).await;
        project
    }

    async fn publish(&self, pairs: &[&Pair]) {
        self.server.reset().await;
        let keys: Vec<_> = pairs.iter().map(|pair| pair.jwk()).collect();
        let answer = ResponseTemplate::new(200).set_body_json(json!({"keys": keys}));
        Mock::given(method("GET")).and(path(KEYS)).respond_with(answer).mount(&self.server).await;
    }

    /// What the project says of the account that any token speaks for.
    async fn says(&self, account: Value) {
        let asked = Mock::given(method("GET")).and(path("/auth/v1/user")).and(header("apikey", "anon"));
        asked.respond_with(ResponseTemplate::new(200).set_body_json(account)).mount(&self.server).await;
    }

    async fn key_requests(&self) -> usize {
        let requests = self.server.received_requests().await.unwrap();
        requests.iter().filter(|request| request.url.path() == KEYS).count()
    }

    fn claims(&self, email: &str) -> Value {
        let now = syncline_server::clock::now_ms() / 1_000;
        json!({
            "iss": format!("{}/auth/v1", self.server.uri()), "aud": "authenticated", "sub": SUBJECT, "email": email,
            "iat": now, "exp": now + 3_600, "role": "authenticated", "is_anonymous": false,
            "user_metadata": {"email_verified": true},
        })
    }

    async fn world(&self, change: impl FnOnce(&mut Config)) -> World {
        World::start_with(|config| {
            config.supabase.url = Some(self.server.uri());
            config.supabase.is_email_trusted = true;
            change(config);
        })
        .await
    }
}

async fn login(world: &World, token: &str) -> Answer {
    let body = json!({"deployment_mode": "web_app", "credentials": {"supabase_token": token}});
    world.http().post("/api/auth/login", &body).await
}

fn changed(claims: &Value, member: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    claims[member] = value;
    claims
}

#[tokio::test]
async fn api_3_aut_4_a_supabase_token_signs_in_the_invited_user_with_its_address() {
    let pair = Pair::ec("k1");
    let project = Project::start(&[&pair]).await;
    let world = project.world(|_| {}).await;
    let tokens = login(&world, &pair.sign(&project.claims("Ann@acme.example"))).await.expect(200);
    assert_eq!((&tokens["workspace_id"], &tokens["role"]), (&json!("acme"), &json!("agent")));
    let ann = User::new(world.http(), "ann", &tokens);
    let valid = ann.get("/api/auth/validate").await.expect(200);
    assert_eq!(valid["user_id"], world.user("ann").await.user_id);
    let devices = ann.get("/api/auth/devices").await.expect(200);
    let current =
        devices["items"].as_array().unwrap().iter().find(|device| device["is_current"] == true).unwrap().clone();
    assert_eq!(current["deployment_mode"], "web_app");
    // From now on the account counts, whatever its address becomes.
    let moved = login(&world, &pair.sign(&project.claims("elsewhere@example.com"))).await.expect(200);
    assert_eq!(moved["user_id"], tokens["user_id"]);
    ann.refresh().await.expect(200);
}

#[tokio::test]
async fn api_3_aut_4_e_mail_and_password_sign_in_in_either_shape_and_mixtures_are_refused() {
    let world = World::start().await;
    let http = world.http();
    let password = json!({"email": "ann@acme.example", "password": crate::support::PASSWORD});
    let in_credentials = json!({"deployment_mode": "mobile_app", "credentials": password});
    http.post("/api/auth/login", &password).await.expect(200);
    let tokens = http.post("/api/auth/login", &in_credentials).await.expect(200);
    let ann = User::new(world.http(), "ann", &tokens);
    let devices = ann.get("/api/auth/devices").await.expect(200);
    let modes: Vec<_> =
        devices["items"].as_array().unwrap().iter().map(|device| text(device, "deployment_mode")).collect();
    assert!(modes.contains(&"mobile_app"), "{modes:?}");
    let device = json!({"device_id": uuid_v7(), "name": "x", "deployment_mode": "web_app"});
    for wrong in [
        json!({}),
        json!({"credentials": {}}),
        json!({"credentials": {"email": "ann@acme.example"}}),
        json!({"email": "ann@acme.example", "credentials": {"supabase_token": "x"}}),
        json!({"credentials": {"email": "a@b.c", "password": "x", "supabase_token": "x"}}),
        json!({"credentials": {"google_token": "x"}}),
        json!({"credentials": password, "deployment_mode": "toaster"}),
        json!({"credentials": password, "deployment_mode": "mobile_app", "device": device}),
        json!({"deployment_mode": "web_app", "credentials": {"supabase_token": "x"}}),
    ] {
        http.post("/api/auth/login", &wrong).await.expect_problem(422, "validation");
    }
}

#[tokio::test]
async fn auth_2_forged_and_foreign_supabase_tokens_are_refused() {
    let (rsa, ec, stranger) = (Pair::rsa("rsa"), Pair::ec("ec"), Pair::rsa("rsa"));
    let project = Project::start(&[&rsa, &ec]).await;
    let world = project.world(|_| {}).await;
    let claims = project.claims("ann@acme.example");
    let now = claims["iat"].as_u64().unwrap();
    login(&world, &rsa.sign(&claims)).await.expect(200);
    login(&world, &ec.sign(&changed(&claims, "aud", json!(["authenticated", "other"])))).await.expect(200);
    let good = ec.sign(&claims);
    let parts: Vec<&str> = good.split('.').collect();
    let none =
        |alg: &str| format!("{}.{}.", base64url(format!("{{\"alg\":\"{alg}\",\"kid\":\"ec\"}}").as_bytes()), parts[1]);
    // The public key as the secret of an HMAC, in every form a library may hand it over.
    let hmac = |secret: &[u8], kid: &str| {
        let mut head = Header::new(Algorithm::HS256);
        head.kid = Some(kid.to_owned());
        jsonwebtoken::encode(&head, &claims, &EncodingKey::from_secret(secret)).unwrap()
    };
    let modulus = rsa.jwk()["n"].as_str().unwrap().to_owned();
    let other_key = |pair: &Pair, kid: &str, algorithm: Algorithm| {
        let mut head = Header::new(algorithm);
        head.kid = Some(kid.to_owned());
        jsonwebtoken::encode(&head, &claims, &pair.key).unwrap()
    };
    let owner = changed(&claims, "email", json!("owner@acme.example")).to_string();
    let refused = [
        ("alg none", none("none")),
        ("alg None", none("None")),
        ("HS256 with the modulus", hmac(modulus.as_bytes(), "rsa")),
        ("HS256 with the JWK", hmac(rsa.jwk().to_string().as_bytes(), "rsa")),
        ("HS256 with nothing", hmac(b"", "rsa")),
        ("another key under a known id", stranger.sign(&claims)),
        ("the other key's id", other_key(&rsa, "ec", Algorithm::RS256)),
        ("RS512 with an RS256 key", other_key(&rsa, "rsa", Algorithm::RS512)),
        ("without a key id", jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &ec.key).unwrap()),
        ("another audience", ec.sign(&changed(&claims, "aud", json!("anon")))),
        ("no audience", ec.sign(&changed(&claims, "aud", Value::Null))),
        ("another issuer", ec.sign(&changed(&claims, "iss", json!("https://evil.example/auth/v1")))),
        ("not valid yet", ec.sign(&changed(&claims, "nbf", json!(now + 3_600)))),
        ("from the future", ec.sign(&changed(&claims, "iat", json!(now + 3_600)))),
        ("without an expiry", ec.sign(&changed(&claims, "exp", Value::Null))),
        ("without a subject", ec.sign(&changed(&claims, "sub", Value::Null))),
        ("an empty subject", ec.sign(&changed(&claims, "sub", json!("")))),
        ("nobody in particular", ec.sign(&changed(&claims, "is_anonymous", json!(true)))),
        ("a key of the project", ec.sign(&changed(&claims, "role", json!("service_role")))),
        ("changed claims", format!("{}.{}.{}", parts[0], base64url(owner.as_bytes()), parts[2])),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("nonsense", "nonsense".to_owned()),
        ("nothing", String::new()),
        ("too long", "x".repeat(20_000)),
    ];
    for (name, token) in refused {
        let answer = login(&world, &token).await;
        assert_eq!(answer.status, 401, "{name}: {}", answer.text);
        answer.expect_problem(401, "unauthenticated");
        assert!(token.is_empty() || !answer.text.contains(&token), "{name}: the token is repeated");
    }
    let expired = changed(&changed(&claims, "iat", json!(now - 7_200)), "exp", json!(now - 3_600));
    login(&world, &ec.sign(&expired)).await.expect_problem(401, "token_expired");
}

#[tokio::test]
async fn auth_2_a_shared_secret_signs_in_where_it_is_set_up_and_only_with_hs256() {
    let pair = Pair::ec("k1");
    let project = Project::start(&[&pair]).await;
    let world = project.world(|config| config.supabase.jwt_secret = Some(SecretString::from(SECRET))).await;
    let claims = project.claims("ann@acme.example");
    let signed = |algorithm, secret: &str| {
        jsonwebtoken::encode(&Header::new(algorithm), &claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    };
    login(&world, &signed(Algorithm::HS256, SECRET)).await.expect(200);
    login(&world, &pair.sign(&claims)).await.expect(200);
    login(&world, &signed(Algorithm::HS512, SECRET)).await.expect_problem(401, "unauthenticated");
    login(&world, &signed(Algorithm::HS256, "another secret of at least 32 bytes"))
        .await
        .expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn auth_2_new_keys_are_found_and_unknown_ones_cost_one_request_a_minute() {
    let (old, new) = (Pair::ec("old"), Pair::ec("new"));
    let project = Project::start(&[&old]).await;
    let world = project.world(|_| {}).await;
    let claims = project.claims("ann@acme.example");
    for _ in 0..5 {
        login(&world, &old.sign(&claims)).await.expect(200);
    }
    assert_eq!(project.key_requests().await, 1, "keys are kept");
    project.publish(&[&old, &new]).await;
    login(&world, &new.sign(&claims)).await.expect(200);
    login(&world, &old.sign(&claims)).await.expect(200);
    assert_eq!(project.key_requests().await, 1, "one request found the new key");
    let flood = (0..40).map(|number| {
        let (http, token) = (world.http(), Pair::ec(&format!("invented-{number}")).sign(&claims));
        tokio::spawn(async move {
            let body = json!({"credentials": {"supabase_token": token}});
            http.post("/api/auth/login", &body).await.expect_problem(401, "unauthenticated");
        })
    });
    for asked in flood.collect::<Vec<_>>() {
        asked.await.unwrap();
    }
    assert_eq!(project.key_requests().await, 1, "invented key ids cost nothing");
}

#[tokio::test]
async fn auth_2_without_the_project_known_keys_go_on_and_a_first_sign_in_says_when_to_come_back() {
    let pair = Pair::ec("k1");
    let project = Project::start(&[&pair]).await;
    let world = project.world(|_| {}).await;
    let claims = project.claims("ann@acme.example");
    login(&world, &pair.sign(&claims)).await.expect(200);
    for broken in [
        ResponseTemplate::new(500),
        ResponseTemplate::new(302).insert_header("location", "http://127.0.0.1:1/"),
        ResponseTemplate::new(200).set_body_string("x".repeat(300_000)),
        ResponseTemplate::new(200).set_body_string("not json"),
    ] {
        project.server.reset().await;
        Mock::given(method("GET")).and(path(KEYS)).respond_with(broken).mount(&project.server).await;
        login(&world, &pair.sign(&claims)).await.expect(200);
        let cold = project.world(|_| {}).await;
        let answer = login(&cold, &pair.sign(&claims)).await.expect_problem(503, "unavailable");
        assert!(answer["retry_ms"].as_u64().is_some());
    }
}

#[tokio::test]
async fn auth_2_an_address_counts_only_when_the_project_says_that_it_is_confirmed() {
    let pair = Pair::ec("k1");
    let project = Project::start(&[&pair]).await;
    let untrusting = |config: &mut Config| config.supabase.is_email_trusted = false;
    let token = pair.sign(&project.claims("ann@acme.example"));
    let world = project.world(untrusting).await;
    login(&world, &token).await.expect_problem(403, "forbidden");
    let asking = project.world(|config| {
        untrusting(config);
        config.supabase.api_key = Some(SecretString::from("anon"));
    });
    let world = asking.await;
    for account in [
        json!({"id": SUBJECT, "email": "ann@acme.example", "email_confirmed_at": null}),
        json!({"id": uuid_v7(), "email": "ann@acme.example", "email_confirmed_at": "2026-01-01T00:00:00Z"}),
    ] {
        project.publish(&[&pair]).await;
        project.says(account).await;
        login(&world, &token).await.expect_problem(403, "forbidden");
    }
    project.publish(&[&pair]).await;
    let confirmed = json!({"id": SUBJECT, "email": "ann@acme.example", "email_confirmed_at": "2026-01-01T00:00:00Z"});
    project.says(confirmed).await;
    login(&world, &token).await.expect(200);
    project.publish(&[&pair]).await;
    login(&world, &token).await.expect(200);
}

#[tokio::test]
async fn auth_2_a_stranger_is_refused_or_made_a_member_as_configured() {
    let pair = Pair::ec("k1");
    let project = Project::start(&[&pair]).await;
    let token = pair.sign(&project.claims("new@elsewhere.example"));
    let closed = project.world(|_| {}).await;
    let refused = login(&closed, &token).await.expect_problem(403, "forbidden");
    assert!(text(&refused, "message").contains("invite"), "{refused}");
    let open = project.world(|config| {
        config.supabase.provision_role = Some("viewer".to_owned());
        config.supabase.provision_workspace = Some("acme".to_owned());
    });
    let open = open.await;
    let first = login(&open, &token).await.expect(200);
    assert_eq!(first["role"], "viewer");
    assert_eq!(login(&open, &token).await.expect(200)["user_id"], first["user_id"]);
    let owner = open.user("owner").await;
    let people = owner.get("/api/admin/users").await.expect(200);
    let same =
        people["items"].as_array().unwrap().iter().filter(|user| user["email"] == "new@elsewhere.example").count();
    assert_eq!(same, 1);
    owner.delete(&format!("/api/admin/users/{}", text(&first, "user_id"))).await.expect(204);
    login(&open, &token).await.expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn auth_8_an_account_is_linked_once_and_an_admin_can_end_the_link() {
    let pair = Pair::ec("k1");
    let project = Project::start(&[&pair]).await;
    let world = project.world(|_| {}).await;
    world.populate("rival").await;
    let claims = project.claims("ann@acme.example");
    let first = login(&world, &pair.sign(&claims)).await.expect(200);
    // Another account comes with the same address: it is not let in as Ann.
    let other = pair.sign(&changed(&claims, "sub", json!(uuid_v7())));
    login(&world, &other).await.expect_problem(403, "forbidden");
    let link = format!("/api/admin/users/{}/identities/supabase", text(&first, "user_id"));
    world.user("ann").await.delete(&link).await.expect_problem(403, "forbidden");
    world.user_in("rival", "owner").await.delete(&link).await.expect_problem(404, "not_found");
    let owner = world.user("owner").await;
    owner.delete(&link).await.expect(204);
    owner.delete(&link).await.expect_problem(404, "not_found");
    login(&world, &other).await.expect(200);
    login(&world, &pair.sign(&claims)).await.expect_problem(403, "forbidden");
}

/// Base64url without padding, for building forged tokens.
fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..=chunk.len() {
            text.push(char::from(ALPHABET[(bits >> (18 - 6 * index) & 63) as usize]));
        }
    }
    text
}
