//! Webhooks with a real receiver and a real sender. Signatures are checked by Python's standard library, which shares nothing
//! with the server.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse as _;
use reqwest::Method;
use serde_json::{Value, json};
use syncline_server::Config;

use crate::support::{Answer, User, World, eventually, text, uuid_v7};

/// What came to the receiver.
#[derive(Clone, Debug)]
struct Message {
    path: String,
    headers: HeaderMap,
    body: String,
}

/// Answers `/fail` with 500, `/moved` with a redirect, `/slow` never, everything else with 204.
#[derive(Clone, Default)]
struct Receiver {
    messages: Arc<Mutex<Vec<Message>>>,
}

impl Receiver {
    async fn start() -> (Self, String) {
        let receiver = Self::default();
        let take = async |State(receiver): State<Receiver>, uri: axum::http::Uri, headers: HeaderMap, body: Bytes| {
            let path = uri.path().to_owned();
            let body = String::from_utf8(body.to_vec()).unwrap();
            receiver.messages.lock().unwrap().push(Message { path: path.clone(), headers, body });
            match path.as_str() {
                "/slow" => std::future::pending().await,
                "/fail" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
                "/moved" => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, "/elsewhere")]).into_response(),
                _ => StatusCode::NO_CONTENT.into_response(),
            }
        };
        let router = axum::Router::new().fallback(take).with_state(receiver.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (receiver, url)
    }

    async fn at(&self, path: &str, count: usize) -> Vec<Message> {
        eventually(|| async {
            let messages = self.messages.lock().unwrap().clone();
            let at: Vec<_> = messages.into_iter().filter(|message| message.path == path).collect();
            (at.len() >= count).then_some(at)
        })
        .await
    }
}

/// Looks often, gives up soon, and may reach this machine.
fn eager(config: &mut Config) {
    config.webhooks.is_private_allowed = true;
    config.webhooks.every_ms = 50;
    config.webhooks.retry_ms = 10;
    config.webhooks.attempts_max = 3;
    config.webhooks.failures_max = 2;
}

/// `v1,<base64>` of a message, by Python.
fn python_signature(secret: &str, id: &str, timestamp: &str, body: &str) -> String {
    const PROGRAM: &str = "
import base64, hashlib, hmac, sys
secret, id, timestamp = sys.argv[1:4]
key = base64.b64decode(secret.removeprefix('whsec_'))
message = f'{id}.{timestamp}.'.encode() + sys.stdin.buffer.read()
print('v1,' + base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode())";
    let mut python = Command::new("python3")
        .args(["-c", PROGRAM, secret, id, timestamp])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 checks signatures independently: install it");
    python.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn outgoing(owner: &User, url: &str, events: &[&str]) -> Value {
    let new = json!({"direction": "outgoing", "name": "Test", "url": url, "events": events});
    owner.post("/api/admin/webhooks", &new).await.expect(201)
}

#[tokio::test]
async fn api_7_changes_are_told_signed_and_once() {
    let (receiver, url) = Receiver::start().await;
    let world = World::start_with(eager).await;
    let (owner, ann) = (world.user("owner").await, world.user("ann").await);
    ann.contact(json!({"firstname": "Before"})).await;
    let hook = outgoing(&owner, &format!("{url}/in"), &["contacts.*"]).await;
    let contact = ann.contact(json!({"firstname": "Grace"})).await;
    let path = format!("/api/contacts/{}", text(&contact, "id"));
    ann.patch(&path, &json!({"lastname": "Hopper"})).await.expect(200);
    ann.delete(&path).await;
    let messages = receiver.at("/in", 3).await;
    let mut events: Vec<(u64, String)> = Vec::new();
    for Message { headers, body, .. } in &messages {
        let header = |name: &str| headers[name].to_str().unwrap();
        let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
        assert_eq!(header("webhook-signature"), python_signature(text(&hook, "secret"), id, timestamp, body));
        let message: Value = serde_json::from_str(body).unwrap();
        assert_eq!(message["data"]["id"], contact["id"], "what was before is not told: {message}");
        events.push((message["data"]["seq"].as_u64().unwrap(), text(&message, "type").to_owned()));
    }
    events.sort();
    let events: Vec<&str> = events.iter().map(|(_, event)| event.as_str()).collect();
    assert_eq!(events, ["contacts.created", "contacts.updated", "contacts.deleted"]);

    let shown = owner.get(&format!("/api/admin/webhooks/{}", text(&hook, "id"))).await.expect(200);
    assert!(shown.get("secret").is_none(), "a secret is shown once: {shown}");
    let log = owner.get(&format!("/api/admin/webhooks/{}/deliveries", text(&hook, "id"))).await.expect(200);
    let states: Vec<&str> = log["items"].as_array().unwrap().iter().map(|item| text(item, "state")).collect();
    assert_eq!(states, ["delivered"; 3]);
    assert_eq!(receiver.messages.lock().unwrap().len(), 3, "each once");
}

#[tokio::test]
async fn api_7_a_receiver_that_does_not_answer_delays_nobody_else() {
    let (receiver, url) = Receiver::start().await;
    let world = World::start_with(|config| {
        eager(config);
        config.webhooks.timeout_ms = 60_000;
    })
    .await;
    let (owner, ann) = (world.user("owner").await, world.user("ann").await);
    outgoing(&owner, &format!("{url}/slow"), &["contacts.created"]).await;
    for number in 0..20 {
        ann.contact(json!({"firstname": format!("N{number}")})).await;
    }
    receiver.at("/slow", 4).await;
    outgoing(&owner, &format!("{url}/in"), &["contacts.created"]).await;
    ann.contact(json!({"firstname": "Quick"})).await;
    receiver.at("/in", 1).await;
    assert_eq!(receiver.at("/slow", 4).await.len(), 4, "a share of what is under way");
}

#[tokio::test]
async fn api_7_what_fails_is_tried_again_under_its_id_and_too_much_of_it_switches_off() {
    let (receiver, url) = Receiver::start().await;
    let world = World::start_with(eager).await;
    let (owner, ann) = (world.user("owner").await, world.user("ann").await);
    let hook = outgoing(&owner, &format!("{url}/fail"), &["contacts.created"]).await;
    let path = format!("/api/admin/webhooks/{}", text(&hook, "id"));
    ann.contact(json!({"firstname": "One"})).await;
    let tries = receiver.at("/fail", 3).await;
    assert!(tries.iter().all(|message| message.headers["webhook-id"] == tries[0].headers["webhook-id"]));
    ann.contact(json!({"firstname": "Two"})).await;
    let off = eventually(|| async {
        let hook = owner.get(&path).await.expect(200);
        (hook["is_enabled"] == false).then_some(hook)
    })
    .await;
    assert!(text(&off, "disabled_reason").contains("500"), "{off}");
    let log = owner.get(&format!("{path}/deliveries")).await.expect(200);
    assert_eq!(
        (&log["items"][0]["state"], &log["items"][0]["attempts"], &log["items"][0]["last_status"]),
        (&json!("failed"), &json!(3), &json!(500))
    );

    ann.contact(json!({"firstname": "Three"})).await;
    owner.patch(&path, &json!({"is_enabled": true, "url": format!("{url}/in")})).await.expect(200);
    let told = receiver.at("/in", 1).await;
    assert!(told[0].body.contains("Three"), "it goes on where it stopped");
    let given_up = text(&log["items"][0], "id").to_owned();
    owner.post(&format!("{path}/deliveries/{given_up}/retry"), &json!({})).await.expect(202);
    let told = receiver.at("/in", 2).await;
    assert!(told.iter().any(|message| message.headers["webhook-id"] == given_up.as_str()));
}

#[tokio::test]
async fn api_7_no_redirect_is_followed() {
    let (receiver, url) = Receiver::start().await;
    let world = World::start_with(eager).await;
    let (owner, ann) = (world.user("owner").await, world.user("ann").await);
    outgoing(&owner, &format!("{url}/moved"), &["*"]).await;
    ann.contact(json!({"firstname": "One"})).await;
    receiver.at("/moved", 3).await;
    assert!(receiver.messages.lock().unwrap().iter().all(|message| message.path == "/moved"));
}

#[tokio::test]
async fn api_7_webhooks_are_for_administrators_of_their_workspace_and_lead_to_public_places() {
    let world = World::start().await;
    world.populate("rival").await;
    let (owner, rival) = (world.user("owner").await, world.user_in("rival", "owner").await);
    let hook = outgoing(&owner, "https://example.com/in", &["leads.created"]).await;
    let path = format!("/api/admin/webhooks/{}", text(&hook, "id"));
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::DELETE, path.clone()),
        (Method::GET, format!("{path}/deliveries")),
        (Method::POST, format!("{path}/deliveries/{}/retry", uuid_v7())),
    ] {
        rival.send(rival.request(method, &path)).await.expect_problem(404, "not_found");
    }
    rival.patch(&path, &json!({"is_enabled": false})).await.expect_problem(404, "not_found");
    assert_eq!(rival.get("/api/admin/webhooks").await.expect(200)["items"], json!([]));
    let manager = world.user("manager").await;
    manager.get("/api/admin/webhooks").await.expect_problem(403, "forbidden");
    manager.get(&path).await.expect_problem(403, "forbidden");
    for (member, value) in [
        ("url", json!("http://127.0.0.1:9/")),
        ("url", json!("http://169.254.169.254/latest/meta-data")),
        ("url", json!("ftp://example.com")),
        ("events", json!([])),
        ("events", json!(["nothing.created"])),
        ("name", json!("")),
    ] {
        let mut new = json!({"direction": "outgoing", "name": "x", "url": "https://example.com", "events": ["*"]});
        new[member] = value;
        let problem = owner.post("/api/admin/webhooks", &new).await.expect_problem(422, "validation");
        assert_eq!(problem["field"], member, "{problem}");
    }
    let rotated = owner.patch(&path, &json!({"rotate_secret": true})).await.expect(200);
    assert!(rotated["secret"] != hook["secret"] && text(&rotated, "secret").starts_with("whsec_"));
    owner.delete(&path).await.expect(204);
    owner.get(&path).await.expect_problem(404, "not_found");
}

/// Sends a message to an incoming webhook, signed by Python.
async fn tell(world: &World, hook: &Value, (id, secret): (&str, &str), message: &Value) -> Answer {
    let timestamp = (syncline_server::clock::now_ms() / 1_000).to_string();
    let body = message.to_string();
    let signature = python_signature(secret, id, &timestamp, &body);
    let request = world.http().request(Method::POST, text(hook, "path"));
    let request = request.header("webhook-id", id).header("webhook-timestamp", timestamp);
    let request = request.header("webhook-signature", signature).header("content-type", "application/json");
    world.http().send(request.body(body)).await
}

#[tokio::test]
async fn api_7_what_others_tell_becomes_a_mutation_once() {
    let world = World::start().await;
    let owner = world.user("owner").await;
    let mapping = json!({"entity": "contacts", "action": "upsert",
        "match": {"field": "email", "pointer": "/data/mail"},
        "fields": {"email": "/data/mail", "firstname": "/data/name/first", "lastname": "/data/name/last"}});
    let new = json!({"direction": "incoming", "name": "Forms", "mapping": mapping});
    let hook = owner.post("/api/admin/webhooks", &new).await.expect(201);
    let secret = text(&hook, "secret");
    let message = json!({"data": {"mail": "grace@example.com", "name": {"first": "Grace", "last": "Hopper"}}});
    let first = tell(&world, &hook, ("msg_1", secret), &message).await.expect(200);
    assert_eq!((text(&first, "outcome"), text(&first, "entity")), ("applied", "contacts"));
    let again = tell(&world, &hook, ("msg_1", secret), &message).await.expect(200);
    assert_eq!(again["id"], first["id"], "the same message is the same mutation");
    let path = format!("/api/contacts/{}", text(&first, "id"));
    let contact = owner.get(&path).await.expect(200);
    assert_eq!((&contact["firstname"], &contact["lastname"]), (&json!("Grace"), &json!("Hopper")));

    let renamed = json!({"data": {"mail": "grace@example.com", "name": {"first": "Rear Admiral"}}});
    let second = tell(&world, &hook, ("msg_2", secret), &renamed).await.expect(200);
    assert_eq!(second["id"], first["id"], "found by its address");
    let contact = owner.get(&path).await.expect(200);
    assert_eq!((&contact["firstname"], &contact["lastname"]), (&json!("Rear Admiral"), &json!("Hopper")));
    assert_eq!(owner.get("/api/contacts").await.expect(200)["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn api_7_messages_about_one_record_that_come_at_once_make_one() {
    let world = World::start().await;
    let owner = world.user("owner").await;
    let mapping = json!({"entity": "contacts", "action": "upsert", "match": {"field": "email", "pointer": "/mail"},
        "fields": {"email": "/mail", "firstname": "/name"}});
    let new = json!({"direction": "incoming", "name": "Forms", "mapping": mapping});
    let hook = owner.post("/api/admin/webhooks", &new).await.expect(201);
    let secret = text(&hook, "secret");
    for round in 0..5 {
        let message = json!({"mail": format!("ada{round}@example.com"), "name": "Ada"});
        let ids = ["a", "b", "c", "d"].map(|name| format!("{name}{round}"));
        let [a, b, c, d] = ids.each_ref().map(|id| tell(&world, &hook, (id, secret), &message));
        let told = tokio::join!(a, b, c, d);
        let answers = [told.0, told.1, told.2, told.3].map(|answer| answer.expect(200));
        assert!(answers.iter().all(|answer| answer["id"] == answers[0]["id"]), "{answers:?}");
        let again = tell(&world, &hook, (&ids[1], secret), &message).await.expect(200);
        assert_eq!(again, answers[1], "the same message is answered as before");
    }
    assert_eq!(owner.get("/api/contacts").await.expect(200)["items"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn api_7_what_was_refused_is_taken_once_the_mapping_is_mended() {
    let world = World::start().await;
    let owner = world.user("owner").await;
    let mapping = |pointer: &str| json!({"entity": "contacts", "action": "create", "fields": {"firstname": pointer}});
    let new = json!({"direction": "incoming", "name": "Forms", "mapping": mapping("/person")});
    let hook = owner.post("/api/admin/webhooks", &new).await.expect(201);
    let (secret, message) = (text(&hook, "secret"), json!({"person": {"name": "Ada"}}));
    tell(&world, &hook, ("msg_1", secret), &message).await.expect_problem(422, "validation");
    let mended = json!({"mapping": mapping("/person/name")});
    owner.patch(&format!("/api/admin/webhooks/{}", text(&hook, "id")), &mended).await.expect(200);
    let taken = tell(&world, &hook, ("msg_1", secret), &message).await.expect(200);
    let again = tell(&world, &hook, ("msg_1", secret), &message).await.expect(200);
    assert_eq!(again["id"], taken["id"]);
    assert_eq!(owner.get("/api/contacts").await.expect(200)["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn api_7_a_former_secret_is_good_until_its_time_is_over() {
    let world = World::start().await;
    let owner = world.user("owner").await;
    let mapping = json!({"entity": "contacts", "action": "create", "fields": {"firstname": "/name"}});
    let hook = json!({"direction": "incoming", "name": "Forms", "mapping": mapping});
    let hook = owner.post("/api/admin/webhooks", &hook).await.expect(201);
    let (path, former) = (format!("/api/admin/webhooks/{}", text(&hook, "id")), text(&hook, "secret"));
    let message = json!({"name": "Ada"});
    let too_long = json!({"rotate_secret": true, "former_secret_s": 604_801});
    owner.patch(&path, &too_long).await.expect_problem(422, "validation");
    let rotated = owner.patch(&path, &json!({"rotate_secret": true, "former_secret_s": 2})).await.expect(200);
    tell(&world, &hook, ("msg_1", former), &message).await.expect(200);
    tell(&world, &hook, ("msg_2", text(&rotated, "secret")), &message).await.expect(200);
    eventually(|| async {
        let answer = tell(&world, &hook, ("msg_3", former), &message).await;
        (answer.status == 401).then_some(())
    })
    .await;
    // An end that comes sooner, without a new secret.
    let held = text(&rotated, "secret");
    let rotated = owner.patch(&path, &json!({"rotate_secret": true})).await.expect(200);
    tell(&world, &hook, ("msg_5", held), &message).await.expect(200);
    owner.patch(&path, &json!({"former_secret_s": 0})).await.expect(200);
    tell(&world, &hook, ("msg_6", held), &message).await.expect_problem(401, "unauthenticated");
    owner.patch(&path, &json!({"former_secret_s": 604_801})).await.expect_problem(422, "validation");
    // A secret that leaked is good no longer.
    let leaked = text(&rotated, "secret");
    owner.patch(&path, &json!({"rotate_secret": true, "former_secret_s": 0})).await.expect(200);
    tell(&world, &hook, ("msg_4", leaked), &message).await.expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn api_7_what_is_not_signed_or_does_not_fit_is_refused() {
    let world = World::start().await;
    let owner = world.user("owner").await;
    let mapping = json!({"entity": "contacts", "action": "update",
        "match": {"field": "email", "pointer": "/mail"}, "fields": {"firstname": "/name"}});
    let new = json!({"direction": "incoming", "name": "Forms", "mapping": mapping});
    let hook = owner.post("/api/admin/webhooks", &new).await.expect(201);
    let (secret, fits) = (text(&hook, "secret"), json!({"mail": "a@example.com", "name": "A"}));
    let other = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    tell(&world, &hook, ("msg_1", other), &fits).await.expect_problem(401, "unauthenticated");
    let unsigned = world.http().post(text(&hook, "path"), &fits).await;
    unsigned.expect_problem(401, "unauthenticated");
    let nobody = tell(&world, &hook, ("msg_1", secret), &fits).await.expect_problem(422, "validation");
    assert!(text(&nobody, "message").contains("No record"), "{nobody}");
    let nothing = tell(&world, &hook, ("msg_2", secret), &json!({"name": "A"})).await;
    nothing.expect_problem(422, "validation");
    world.http().post(&format!("/api/hooks/{}", uuid_v7()), &fits).await.expect_problem(404, "not_found");
    let outgoing = outgoing(&owner, "https://example.com/in", &["*"]).await;
    let path = format!("/api/hooks/{}", text(&outgoing, "id"));
    world.http().post(&path, &fits).await.expect_problem(404, "not_found");
    for wrong in [
        json!({"entity": "nothing", "action": "create", "fields": {"a": "/a"}}),
        json!({"entity": "contacts", "action": "create", "fields": {"nothing": "/a"}}),
        json!({"entity": "contacts", "action": "create", "fields": {}}),
        json!({"entity": "contacts", "action": "create", "fields": {"firstname": "a"}}),
        json!({"entity": "contacts", "action": "update", "fields": {"firstname": "/a"}}),
        json!({"entity": "contacts", "action": "upsert", "match": {"field": "city", "pointer": "/a"}, "fields": {"city": "/a"}}),
    ] {
        let new = json!({"direction": "incoming", "name": "x", "mapping": wrong});
        owner.post("/api/admin/webhooks", &new).await.expect_problem(422, "validation");
    }
}

#[tokio::test]
async fn api_7_what_others_tell_becomes_a_message_once() {
    let world = World::start().await;
    let (owner, ann, bob) = (world.user("owner").await, world.user("ann").await, world.user("bob").await);
    let mapping = json!({"message_type": "note", "to": {"user": ann.user_id}, "priority": "normal",
        "payload": {"text": "/alert/title", "count": "/alert/count", "absent": "/nothing"}});
    let new = json!({"direction": "incoming", "name": "Monitoring", "mapping": mapping});
    let hook = owner.post("/api/admin/webhooks", &new).await.expect(201);
    assert_eq!(hook["mapping"], mapping, "as it was given");
    let secret = text(&hook, "secret");
    let told = json!({"alert": {"title": "The printer is on fire", "count": 3}});
    let first = tell(&world, &hook, ("msg_1", secret), &told).await.expect(200);
    assert_eq!((text(&first, "outcome"), first.get("entity")), ("stored", None));
    assert_eq!(tell(&world, &hook, ("msg_1", secret), &told).await.expect(200), first, "told again, sent once");
    let received = ann.get("/api/messages").await.expect(200);
    let [message] = &received["items"].as_array().unwrap()[..] else { panic!("{received}") };
    assert_eq!(
        (&message["id"], &message["payload"]),
        (&first["id"], &json!({"text": "The printer is on fire", "count": 3}))
    );
    assert_eq!(message["from"]["user_id"], *owner.user_id, "whoever made the webhook speaks");
    assert_eq!(bob.get("/api/messages").await.expect(200)["items"], json!([]));
    tell(&world, &hook, ("msg_2", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), &told)
        .await
        .expect_problem(401, "unauthenticated");

    // It may do no more than its maker may now.
    let nobody =
        json!({"mapping": {"message_type": "note", "to": {"user": uuid_v7()}, "payload": {"text": "/alert/title"}}});
    let path = format!("/api/admin/webhooks/{}", text(&hook, "id"));
    owner.patch(&path, &nobody).await.expect(200);
    tell(&world, &hook, ("msg_3", secret), &told).await.expect_problem(422, "ref_missing");
    for wrong in [
        json!({"message_type": "nothing", "to": {"workspace": true}, "payload": {"text": "/a"}}),
        json!({"message_type": "note", "to": {"topic": "a"}, "payload": {"text": "/a"}}),
        json!({"message_type": "note", "to": {"user": ann.user_id}, "payload": {}}),
        json!({"message_type": "note", "to": {"user": ann.user_id}, "payload": {"text": "a"}}),
        json!({"message_type": "note", "to": {}, "payload": {"text": "/a"}}),
        json!({"message_type": "note", "to": {"user": ann.user_id}, "payload": {"text": "/a"}, "entity": "contacts"}),
    ] {
        owner.patch(&path, &json!({"mapping": wrong})).await.expect_problem(422, "validation");
    }
}
