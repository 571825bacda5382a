use serde_json::{Value, json};

use crate::support::{Socket, User, World, mentions, text};

async fn team(owner: &User, members: &[&str]) -> String {
    let team = owner.post("/api/teams", &json!({"name": "Field", "member_ids": members})).await.expect(201);
    text(&team, "id").to_owned()
}

fn grant(frame: &Value) -> (&str, &str) {
    (text(frame, "scope"), text(frame, "action"))
}

#[tokio::test]
async fn grt_1_a_scope_taken_away_is_named_before_any_further_batch() {
    let world = World::start().await;
    let (owner, ann, bob) = (world.user("owner").await, world.user("ann").await, world.user("bob").await);
    let member = format!("/api/admin/members/{}", ann.user_id);
    owner.patch(&member, &json!({"read_scope": "team"})).await.expect(200);
    let team = team(&owner, &[&ann.user_id, &bob.user_id]).await;
    let contact = owner.contact(json!({"firstname": "Team's", "team_id": team})).await;
    let mut socket = Socket::open(&ann).await;
    let (welcome, ops) = socket.hello().await;
    let mut cursor = welcome["head"].as_u64().unwrap();
    assert!(mentions(&json!(ops), text(&contact, "id")));
    owner.patch(&format!("/api/teams/{team}"), &json!({"member_ids": {"remove": [ann.user_id]}})).await.expect(200);
    let path = format!("/api/contacts/{}", text(&contact, "id"));
    owner.patch(&path, &json!({"firstname": "Not hers"})).await.expect(200);
    let shared = owner.contact(json!({"firstname": "Everybody's"})).await;
    let mut removed = Vec::new();
    loop {
        let frame = socket.receive().await;
        if frame["type"] == "grant" {
            removed.push(frame);
            continue;
        }
        assert_eq!(frame["type"], "batch");
        assert_eq!(removed.len(), 2, "a batch came before the grants: {frame}");
        assert_eq!(frame["from"].as_u64().unwrap(), cursor, "a gap, or what is there already: {frame}");
        cursor = frame["to"].as_u64().unwrap();
        assert!(!mentions(&frame["changes"], text(&contact, "id")), "{frame}");
        if mentions(&frame, text(&shared, "id")) {
            break;
        }
    }
    let scopes: Vec<_> = removed.iter().map(grant).collect();
    let bob_scope = format!("owner:{}", bob.user_id);
    let team_scope = format!("team:{team}");
    assert_eq!(scopes, [(bob_scope.as_str(), "remove"), (team_scope.as_str(), "remove")]);
    ann.get(&path).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn grt_1_a_scope_granted_comes_with_the_hello_it_asks_for() {
    let world = World::start().await;
    let (owner, ann) = (world.user("owner").await, world.user("ann").await);
    let team = team(&owner, &[]).await;
    let contact = owner.contact(json!({"firstname": "Team's", "team_id": team})).await;
    owner.patch(&format!("/api/admin/members/{}", ann.user_id), &json!({"read_scope": "team"})).await.expect(200);
    let mut socket = Socket::open(&ann).await;
    let (welcome, _) = socket.hello().await;
    owner.patch(&format!("/api/teams/{team}"), &json!({"member_ids": {"add": [ann.user_id]}})).await.expect(200);
    let added = socket.expect("grant").await;
    assert_eq!(grant(&added), (format!("team:{team}").as_str(), "add"));
    owner.contact(json!({"firstname": "Meanwhile"})).await;
    let mut hello = socket.hello_frame();
    hello["epoch"] = welcome["epoch"].clone();
    let held = |scope: &Value| json!({"id": scope["id"], "seq": welcome["head"], "digest": {"count": 1, "sum": "0000000000000001"}});
    hello["scopes"] = welcome["scopes"].as_array().unwrap().iter().map(held).collect();
    socket.send(&hello).await;
    let welcome = socket.expect("welcome").await;
    let ops = json!(socket.catch_up(&welcome).await);
    assert!(mentions(&ops, text(&contact, "id")));
    // Live again, with the scope.
    let later = owner.contact(json!({"firstname": "Later", "team_id": team})).await;
    loop {
        let batch = socket.expect("batch").await;
        if mentions(&batch, text(&later, "id")) {
            break;
        }
    }
}

#[tokio::test]
async fn grt_1_a_promotion_to_everything_and_back_is_followed() {
    let world = World::start().await;
    let (owner, ann, bob) = (world.user("owner").await, world.user("ann").await, world.user("bob").await);
    let secret = owner.contact(json!({"firstname": "Bob's", "assigned_to": bob.user_id})).await;
    let mut socket = Socket::open(&ann).await;
    socket.hello().await;
    let member = format!("/api/admin/members/{}", ann.user_id);
    owner.patch(&member, &json!({"read_scope": "all"})).await.expect(200);
    let added = socket.expect("grant").await;
    assert_eq!(grant(&added), (format!("owner:{}", bob.user_id).as_str(), "add"));
    let (welcome, ops) = socket.hello().await;
    assert!(mentions(&json!(ops), text(&secret, "id")), "{welcome}");
    owner.patch(&member, &json!({"read_scope": "own"})).await.expect(200);
    let removed = socket.expect("grant").await;
    assert_eq!(grant(&removed), (format!("owner:{}", bob.user_id).as_str(), "remove"));
    owner.patch(&format!("/api/contacts/{}", text(&secret, "id")), &json!({"firstname": "x"})).await.expect(200);
    let shared = owner.contact(json!({"firstname": "Everybody's"})).await;
    loop {
        let batch = socket.expect("batch").await;
        assert!(!mentions(&batch["changes"], text(&secret, "id")), "{batch}");
        if mentions(&batch, text(&shared, "id")) {
            break;
        }
    }
}

#[tokio::test]
async fn prm_1_a_write_counts_with_the_role_at_commit() {
    let world = World::start().await;
    let (owner, ann) = (world.user("owner").await, world.user("ann").await);
    let mut socket = Socket::open(&ann).await;
    socket.hello().await;
    owner.patch(&format!("/api/admin/members/{}", ann.user_id), &json!({"role": "viewer"})).await.expect(200);
    let ops = crate::support::create_contact(&crate::support::uuid_v7(), "x");
    let outcome = socket.push(ops).await;
    assert_eq!((&outcome["outcome"], &outcome["code"]), (&json!("rejected"), &json!("forbidden")));
}
