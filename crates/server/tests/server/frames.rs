//! Every frame of a client × everybody who may send it (AUTH-8). A frame that is not in the table fails the test.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::{Socket, User, World, error_code, text, uuid_v7};

const CANARY: &str = "Canary-5151";

/// What frames are about: something of Bob's.
struct About {
    contact: String,
    user: String,
    message: String,
}

impl About {
    fn nobody() -> Self {
        Self { contact: uuid_v7(), user: uuid_v7(), message: uuid_v7() }
    }
}

/// Every type of frame but `hello`, pointed at what it is about.
fn frames(about: &About) -> Vec<Value> {
    let About { contact, user, message } = about;
    let scope = format!("owner:{user}");
    let mutation = |client_seq: u64, ops: Value| json!({"mutation_id": uuid_v7(), "client_seq": client_seq, "age_ms": 0, "ops": ops});
    let update =
        json!([{"op": "update", "entity": "contacts", "id": contact, "base_rv": 1, "fields": {"city": "Oslo"}}]);
    let delete = json!([{"op": "delete", "entity": "contacts", "id": contact, "base_rv": 1}]);
    let whole = json!([{"lo": "00000000-0000-0000-0000-000000000000", "hi": "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "digest": {"count": 0, "sum": "0000000000000000"}}]);
    vec![
        json!({"type": "push", "mutations": [mutation(1, update), mutation(2, delete)]}),
        json!({"type": "ack", "seq": 9_999, "outcomes_upto": 9_999}),
        json!({"type": "verify", "scope": scope, "ranges": whole}),
        json!({"type": "fetch", "scope": scope, "records": [["contacts", contact]]}),
        json!({"type": "heartbeat"}),
        json!({"type": "presence", "record": ["contacts", contact], "is_editing": true}),
        json!({"type": "sub", "topic": format!("user/{user}")}),
        json!({"type": "unsub", "topic": format!("user/{user}")}),
        json!({"type": "inbox"}),
        json!({"type": "msg", "id": uuid_v7(), "message_type": "note", "to": {"device": message}, "payload": {"n": 1}}),
        json!({"type": "msg", "id": uuid_v7(), "message_type": "signal", "to": {"topic": format!("user/{user}")}, "payload": {"n": 1}}),
        json!({"type": "msg_ack", "ids": [message]}),
        json!({"type": "auth", "token": "nonsense"}),
    ]
}

fn hello() -> Value {
    let id = uuid_v7();
    json!({"type": "hello", "proto": [1, 1], "client_id": id, "device_id": id, "deployment_mode": "web_app",
        "schema": {"version": 1, "hash": ""}, "next_client_seq": 1, "pending_count": 0, "oldest_pending_age_ms": 0, "scopes": []})
}

#[test]
fn auth_8_the_table_holds_every_frame_of_a_client() {
    let vectors = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/frames.json");
    let vectors: Value = serde_json::from_slice(&std::fs::read(vectors).unwrap()).unwrap();
    let cases =
        vectors.as_array().or_else(|| vectors["frames"].as_array()).or_else(|| vectors["cases"].as_array()).unwrap();
    let of_clients = cases.iter().filter(|case| case["from"] == "client");
    let known: BTreeSet<String> = of_clients.map(|case| text(&case["frame"], "type").to_owned()).collect();
    let listed = frames(&About::nobody()).into_iter().chain([hello()]);
    let listed: BTreeSet<String> = listed.map(|frame| text(&frame, "type").to_owned()).collect();
    assert_eq!(known, listed);
}

#[tokio::test]
async fn auth_8_no_frame_does_anything_before_its_sender_is_known() {
    let world = World::start().await;
    world.user("owner").await.contact(json!({"firstname": CANARY})).await;
    for frame in frames(&About::nobody()).iter().chain([&hello()]) {
        let mut socket = Socket::open_anonymous(&world.http()).await;
        socket.send(frame).await;
        let answer = socket.next().await;
        let shown = format!("{frame}: {answer:?}");
        match answer {
            Ok(answer) => {
                assert_eq!(answer["type"], "error", "{shown}");
                let code = text(&answer["problem"], "code");
                assert!(matches!(code, "unauthenticated" | "malformed"), "{shown}");
            }
            Err(Some(close)) => assert!(matches!(u16::from(close.code), 4401 | 4405 | 4406), "{shown}"),
            Err(None) => panic!("{shown}"),
        }
        assert!(!shown.contains("Canary"));
    }
}

/// What somebody hears in answer to a frame, up to the answer to a heartbeat or the close.
async fn heard_after(socket: &mut Socket, frame: &Value) -> Vec<Value> {
    socket.send(frame).await;
    socket.send(&json!({"type": "heartbeat"})).await;
    let mut heard = Vec::new();
    // Of the two answers to a heartbeat that is the frame itself the first is enough.
    while let Ok(answer) = socket.next().await {
        if answer["type"] == "heartbeat_ack" {
            break;
        }
        heard.push(answer);
    }
    heard
}

#[tokio::test]
async fn auth_8_no_frame_tells_or_changes_what_its_sender_may_not_see() {
    let world = World::start().await;
    world.populate("rival").await;
    let (bob, at_home) = (world.user("bob").await, world.user("bob").await);
    let contact = bob.contact(json!({"firstname": CANARY, "assigned_to": bob.user_id})).await;
    let path = format!("/api/contacts/{}", text(&contact, "id"));
    let note = json!({"message_type": "note", "to": {"user": bob.user_id}, "payload": {"text": CANARY}});
    let message = text(&bob.post("/api/messages", &note).await.expect(201), "id").to_owned();
    let about = About { contact: text(&contact, "id").to_owned(), user: bob.user_id.clone(), message };
    let mut of_bob = Socket::open(&bob).await;
    of_bob.hello().await;
    let askers: [(&str, User); 3] = [
        ("an owner of another workspace", world.user_in("rival", "owner").await),
        ("an agent who owns nothing of it", world.user("ann").await),
        ("a viewer", world.user("viewer").await),
    ];
    for (who, asker) in &askers {
        for frame in frames(&about) {
            let mut socket = Socket::open(asker).await;
            socket.hello().await;
            let heard = heard_after(&mut socket, &frame).await;
            let shown = format!("{frame} of {who}: {heard:?}");
            assert!(!shown.replace(&frame.to_string(), "").contains(CANARY), "{shown}");
            for outcome in heard
                .iter()
                .filter(|frame| frame["type"] == "outcomes")
                .flat_map(|frame| frame["outcomes"].as_array().unwrap())
            {
                assert_eq!(outcome["outcome"], "rejected", "{shown}");
            }
            match text(&frame, "type") {
                "sub" => assert!(heard.iter().any(|frame| frame["type"] == "error"), "{shown}"),
                "verify" => assert!(!json!(heard).to_string().contains(&about.contact), "{shown}"),
                "fetch" => {
                    assert!(heard.iter().all(|frame| frame["records"].as_array().is_none_or(Vec::is_empty)), "{shown}")
                }
                "presence" => {
                    assert!(heard.iter().all(|frame| frame["viewers"].as_array().is_none_or(Vec::is_empty)), "{shown}")
                }
                _ => {}
            }
        }
    }
    // Nothing of it reached Bob, and all of his is as it was.
    of_bob.send(&json!({"type": "heartbeat"})).await;
    loop {
        let frame = of_bob.receive().await;
        assert!(!matches!(text(&frame, "type"), "msg" | "presence"), "{frame}");
        if frame["type"] == "heartbeat_ack" {
            break;
        }
    }
    assert_eq!(bob.get(&path).await.expect(200), contact);
    let due = at_home.get("/api/messages?box=due").await.expect(200);
    assert_eq!(due["items"].as_array().map(Vec::len), Some(1), "{due}");
}

#[tokio::test]
async fn auth_8_a_revoked_device_says_no_more_than_what_it_deposits() {
    let world = World::start().await;
    let (owner, bob) = (world.user("owner").await, world.user("bob").await);
    let contact = bob.contact(json!({"firstname": CANARY, "assigned_to": bob.user_id})).await;
    let about = About { contact: text(&contact, "id").to_owned(), user: bob.user_id.clone(), message: uuid_v7() };
    owner.delete(&format!("/api/auth/devices/{}", bob.device_id)).await.expect(204);
    for frame in frames(&about).iter().chain([&hello()]) {
        let mut socket = Socket::open(&bob).await;
        let heard = heard_after(&mut socket, frame).await;
        let shown = format!("{frame}: {heard:?}");
        assert_eq!(heard.first().map(|frame| text(frame, "type")), Some("purge"), "{shown}");
        assert!(!heard.iter().any(|frame| frame.to_string().contains(CANARY)), "{shown}");
        assert!(heard.iter().all(|frame| frame["type"] != "error" || error_code(frame) != "internal"), "{shown}");
    }
    assert_eq!(owner.get(&format!("/api/contacts/{}", about.contact)).await.expect(200)["firstname"], CANARY);
}
