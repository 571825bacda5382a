//! Every door × everybody who may stand before it (AUTH-8). A door that is not in the table fails the test.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Http, User, World, text, uuid_v7};

/// Who asks: nobody, an owner of another workspace, and of this one a viewer, an agent who owns nothing of what is asked
/// for, and the owner.
const WHO: [&str; 5] = ["anonymous", "another workspace", "viewer", "agent", "owner"];

/// A door of REST, with the statuses for [`WHO`]. What is put in: Bob's `{contact}` and a
/// `{spare}` one, Bob as `{user}`, his `{device}`, his `{message}` to himself, the owner's `{hook}`, and `{head}`, where the
/// asker's log stands.
struct Door {
    method: &'static str,
    /// As the document writes it, with `{entity}` for any entity's own endpoints.
    route: &'static str,
    path: &'static str,
    body: Value,
    statuses: [u16; 5],
}

fn door(method: &'static str, route: &'static str, path: &'static str, body: Value, statuses: [u16; 5]) -> Door {
    Door { method, route, path, body, statuses }
}

/// In the order in which they are tried: what is taken away comes last.
fn doors() -> Vec<Door> {
    let none = || Value::Null;
    let (open, members, admins) = ([200; 5], [401, 200, 200, 200, 200], [401, 200, 403, 403, 200]);
    // Another's thing is not there, for whoever may not see it.
    let sighted = |done| [401, 404, 404, 404, done];
    let new_user = json!({"email": "new@x.example", "name": "New", "role": "agent", "password": "a new password"});
    let password = json!({"current_password": "wrong password", "new_password": "another password"});
    let update = json!({"operations": [{"op": "update", "id": "{contact}", "fields": {"firstname": "x"}}]});
    let mapping = json!({"entity": "contacts", "action": "create", "fields": {"firstname": "/name"}});
    let hook = json!({"direction": "incoming", "name": "Forms", "mapping": mapping});
    let message = json!({"message_type": "note", "to": {"user": "{user}"}, "payload": {"n": 1}});
    vec![
        door("GET", "/health", "/health", none(), open),
        door("GET", "/health/live", "/health/live", none(), open),
        door("GET", "/health/ready", "/health/ready", none(), open),
        door("GET", "/metrics", "/metrics", none(), open),
        door("GET", "/ws/{deployment_mode}/{client_id}", "/ws/web_app/{contact}", none(), [426; 5]),
        door("GET", "/sse/{deployment_mode}/{client_id}", "/sse/web_app/nonsense", none(), [400; 5]),
        door("POST", "/poll/{deployment_mode}/{client_id}", "/poll/web_app/nonsense", none(), [400; 5]),
        door("POST", "/channel/{channel}", "/channel/nonsense", json!([]), [404; 5]),
        door("GET", "/.well-known/jwks.json", "/.well-known/jwks.json", none(), open),
        door("POST", "/api/auth/login", "/api/auth/login", json!({}), [422; 5]),
        door("POST", "/api/auth/refresh", "/api/auth/refresh", json!({"refresh_token": "x"}), [401; 5]),
        door("GET", "/api/auth/validate", "/api/auth/validate", none(), members),
        door("POST", "/api/auth/password", "/api/auth/password", password, [401, 403, 403, 403, 403]),
        door("GET", "/api/auth/devices", "/api/auth/devices", none(), members),
        door("PATCH", "/api/auth/devices/{id}", "/api/auth/devices/{device}", json!({"name": "x"}), sighted(204)),
        door("GET", "/api/admin/users", "/api/admin/users", none(), admins),
        door("POST", "/api/admin/users", "/api/admin/users", new_user, [401, 201, 403, 403, 201]),
        door("GET", "/api/admin/users/{id}", "/api/admin/users/{user}", none(), [401, 404, 403, 403, 200]),
        door(
            "PATCH",
            "/api/admin/users/{id}",
            "/api/admin/users/{user}",
            json!({"name": "Bob"}),
            [401, 404, 403, 403, 200],
        ),
        door(
            "PATCH",
            "/api/admin/members/{user}",
            "/api/admin/members/{user}",
            json!({"role": "agent"}),
            [401, 404, 403, 403, 200],
        ),
        door(
            "DELETE",
            "/api/admin/users/{id}/identities/{provider}",
            "/api/admin/users/{user}/identities/supabase",
            none(),
            [401, 404, 403, 403, 404],
        ),
        door("GET", "/api/admin/rejected", "/api/admin/rejected", none(), admins),
        door("GET", "/api/admin/devices", "/api/admin/devices", none(), admins),
        door("GET", "/api/admin/clients", "/api/admin/clients", none(), admins),
        door("GET", "/api/admin/audit", "/api/admin/audit", none(), admins),
        door("GET", "/api/admin/alerts", "/api/admin/alerts", none(), admins),
        // Everybody may see what they did themselves.
        door("GET", "/api/analytics/usage", "/api/analytics/usage?by=device", none(), members),
        door("GET", "/api/analytics/usage", "/api/analytics/usage?user_id={user}", none(), admins),
        door("GET", "/api/analytics/sync", "/api/analytics/sync", none(), members),
        door("GET", "/api/analytics/sync", "/api/analytics/sync?by=user&user_id={user}", none(), admins),
        door("GET", "/api/analytics/connections", "/api/analytics/connections", none(), members),
        door("GET", "/api/analytics/connections", "/api/analytics/connections?user_id={user}", none(), admins),
        door("GET", "/api/analytics/conflicts", "/api/analytics/conflicts?by=record", none(), admins),
        door("GET", "/api/analytics/calls", "/api/analytics/calls", none(), admins),
        door(
            "POST",
            "/api/analytics/calls",
            "/api/analytics/calls",
            json!({"calls": [{"operation": "leads.list", "milliseconds": 12, "ok": true}]}),
            [401, 204, 204, 204, 204],
        ),
        door("GET", "/api/config/stats", "/api/config/stats", none(), admins),
        door("GET", "/api/sync/status", "/api/sync/status", none(), members),
        door(
            "POST",
            "/api/sync/trigger",
            "/api/sync/trigger",
            json!({"sync_type": "settings", "deployment_mode": "web_app"}),
            members,
        ),
        door("GET", "/api/sync/rejected", "/api/sync/rejected", none(), members),
        door("GET", "/api/sync/snapshot", "/api/sync/snapshot?scope=workspace&seq={head}", none(), members),
        door(
            "GET",
            "/api/sync/snapshot",
            "/api/sync/snapshot?scope=owner:{user}&seq={head}",
            none(),
            [401, 200, 403, 403, 200],
        ),
        door("GET", "/api/sync/history/{entity}/{id}", "/api/sync/history/contacts/{contact}", none(), sighted(200)),
        door("GET", "/api/presence", "/api/presence", none(), members),
        door("GET", "/api/presence/{entity}/{id}", "/api/presence/contacts/{contact}", none(), sighted(200)),
        door("GET", "/api/contacts/search", "/api/contacts/search?q=Canary-5151", none(), members),
        door("GET", "/api/contacts/enhanced-search", "/api/contacts/enhanced-search?q=Canary-5151", none(), members),
        door("GET", "/api/leads/by-contact/{id}", "/api/leads/by-contact/{contact}", none(), sighted(200)),
        door("GET", "/api/{entity}", "/api/contacts?firstname=Canary-5151", none(), members),
        door("GET", "/api/admin/webhooks", "/api/admin/webhooks", none(), admins),
        door("POST", "/api/admin/webhooks", "/api/admin/webhooks", hook, [401, 201, 403, 403, 201]),
        door("GET", "/api/admin/webhooks/{id}", "/api/admin/webhooks/{hook}", none(), [401, 404, 403, 403, 200]),
        door(
            "PATCH",
            "/api/admin/webhooks/{id}",
            "/api/admin/webhooks/{hook}",
            json!({"rotate_secret": true}),
            [401, 404, 403, 403, 200],
        ),
        door(
            "GET",
            "/api/admin/webhooks/{id}/deliveries",
            "/api/admin/webhooks/{hook}/deliveries",
            none(),
            [401, 404, 403, 403, 200],
        ),
        door(
            "POST",
            "/api/admin/webhooks/{id}/deliveries/{delivery}/retry",
            "/api/admin/webhooks/{hook}/deliveries/{contact}/retry",
            none(),
            [401, 404, 403, 403, 404],
        ),
        // A signature opens it, whoever else has signed in.
        door("POST", "/api/hooks/{id}", "/api/hooks/{hook}", json!({"name": "Eve"}), [401; 5]),
        door("DELETE", "/api/admin/webhooks/{id}", "/api/admin/webhooks/{hook}", none(), [401, 404, 403, 403, 204]),
        door("GET", "/api/messages", "/api/messages", none(), members),
        door("GET", "/api/messages", "/api/messages?box=due", none(), members),
        door("GET", "/api/messages", "/api/messages?box=all", none(), admins),
        // The agent is in no team of Bob's, and a note goes to colleagues.
        door("POST", "/api/messages", "/api/messages", message, [401, 422, 403, 422, 201]),
        door("GET", "/api/messages/types", "/api/messages/types", none(), members),
        door("GET", "/api/messages/dead-letters", "/api/messages/dead-letters", none(), admins),
        door("GET", "/api/messages/{id}", "/api/messages/{message}", none(), sighted(200)),
        // Another's message is passed over, as one that is not there.
        door(
            "POST",
            "/api/messages/ack",
            "/api/messages/ack",
            json!({"ids": ["{message}"]}),
            [401, 204, 204, 204, 204],
        ),
        door(
            "POST",
            "/api/messages/{id}/replay",
            "/api/messages/{message}/replay",
            json!({}),
            [401, 404, 403, 403, 404],
        ),
        door("GET", "/api/records/{entity}", "/api/records/contacts?firstname=Canary-5151", none(), members),
        door(
            "POST",
            "/api/records/{entity}",
            "/api/records/contacts",
            json!({"firstname": "New"}),
            [401, 201, 403, 201, 201],
        ),
        door("POST", "/api/records/{entity}/bulk", "/api/records/contacts/bulk", update.clone(), members),
        door("GET", "/api/records/{entity}/{id}", "/api/records/contacts/{spare}", none(), sighted(200)),
        door(
            "PATCH",
            "/api/records/{entity}/{id}",
            "/api/records/contacts/{spare}",
            json!({"city": "Oslo"}),
            sighted(200),
        ),
        door("DELETE", "/api/records/{entity}/{id}", "/api/records/contacts/{spare}", none(), sighted(204)),
        door("POST", "/api/{entity}", "/api/contacts", json!({"firstname": "New"}), [401, 201, 403, 201, 201]),
        door("POST", "/api/{entity}/bulk", "/api/contacts/bulk", update, members),
        door("GET", "/api/{entity}/{id}", "/api/contacts/{contact}", none(), sighted(200)),
        door("PATCH", "/api/{entity}/{id}", "/api/contacts/{contact}", json!({"city": "Oslo"}), sighted(200)),
        door("DELETE", "/api/{entity}/{id}", "/api/contacts/{contact}", none(), sighted(204)),
        door("DELETE", "/api/auth/devices/{id}", "/api/auth/devices/{device}", none(), sighted(204)),
        door("DELETE", "/api/admin/users/{id}", "/api/admin/users/{user}", none(), [401, 404, 403, 403, 204]),
        door("POST", "/api/auth/logout", "/api/auth/logout", json!({}), [401, 204, 204, 204, 204]),
    ]
}

/// What the document does not describe, and everybody may have: itself, its page, and the files of the console.
const PUBLIC: [&str; 9] = [
    "/api/openapi.json",
    "/api/docs",
    "/api/docs/page.js",
    "/api/docs/page.css",
    "/",
    "/leads",
    "/leads/{contact}",
    "/contacts/{contact}",
    "/settings",
];

/// What has no method of its own in the document: the console's files by any address.
const OF_THE_CONSOLE: [&str; 2] = ["/", "/assets/{file}"];

/// The addresses that the server's sources give to routes, but for those of the entities.
fn routed() -> BTreeSet<String> {
    let sources = [include_str!("../../src/http/mod.rs"), include_str!("../../src/http/console.rs")];
    let calls = sources.iter().flat_map(|source| source.split(".route(").skip(1));
    let literals = calls.filter_map(|call| call.trim_start().strip_prefix('"')?.split('"').next());
    literals.map(str::to_owned).collect()
}

/// A route that nobody described would be in no other table.
#[tokio::test]
async fn auth_8_every_route_of_the_sources_is_described_or_public() {
    let world = World::start_with(|config| config.metrics.is_on_main_port = true).await;
    let described: BTreeSet<String> = documented(&world.http()).await.into_iter().map(|(_, route)| route).collect();
    let routed = routed();
    assert!(routed.len() > 40, "the sources are read: {routed:?}");
    let is_known = |route: &&String| {
        let route = route.as_str();
        !described.contains(route) && !PUBLIC.contains(&route) && !OF_THE_CONSOLE.contains(&route)
    };
    let unknown: Vec<&String> = routed.iter().filter(is_known).collect();
    assert!(unknown.is_empty(), "describe these with `utoipa::path`: {unknown:?}");
}

/// The document's operations, all entities' as one.
async fn documented(http: &Http) -> BTreeSet<(String, String)> {
    let document = http.get("/api/openapi.json").await.expect(200);
    let mut operations = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = text(operation, "operationId");
            let of_entity = ["list_", "create_", "get_", "update_", "delete_", "bulk_"];
            let tag = operation["tags"][0].as_str().unwrap_or("");
            let is_entity = of_entity.iter().any(|verb| id.strip_prefix(verb).is_some_and(|entity| entity == tag));
            let route = if is_entity { path.replacen(tag, "{entity}", 1) } else { path.clone() };
            if method != "parameters" {
                operations.insert((method.to_uppercase(), route));
            }
        }
    }
    operations
}

struct Asker<'a> {
    user: Option<&'a User>,
    head: u64,
}

async fn ask(http: &Http, asker: &Asker<'_>, door: &Door, put_in: &dyn Fn(&str, u64) -> String) -> Answer {
    let method = Method::from_bytes(door.method.as_bytes()).unwrap();
    let path = put_in(door.path, asker.head);
    let request = match asker.user {
        Some(user) => user.request(method, &path),
        None => http.request(method, &path),
    };
    let body = put_in(&door.body.to_string(), asker.head);
    let is_empty = door.body.is_null();
    http.send(if is_empty { request } else { request.header("content-type", "application/json").body(body) }).await
}

#[tokio::test]
async fn auth_8_every_door_answers_everybody_as_the_table_says() {
    let world = World::start_with(|config| config.metrics.is_on_main_port = true).await;
    world.populate("rival").await;
    let (bob, ann, viewer) = (world.user("bob").await, world.user("ann").await, world.user("viewer").await);
    let (owner, rival) = (world.user("owner").await, world.user_in("rival", "owner").await);
    let contact = bob.contact(json!({"firstname": "Canary-5151", "assigned_to": bob.user_id})).await;
    let spare = bob.contact(json!({"firstname": "Canary-5151", "assigned_to": bob.user_id})).await;
    let mapping = json!({"entity": "contacts", "action": "create", "fields": {"firstname": "/name"}});
    let hook = json!({"direction": "incoming", "name": "Canary-5151", "mapping": mapping});
    let hook = owner.post("/api/admin/webhooks", &hook).await.expect(201);
    let message =
        json!({"message_type": "note", "to": {"user": bob.user_id}, "payload": {"n": 1, "text": "Canary-5151"}});
    let message = bob.post("/api/messages", &message).await.expect(201);
    let http = world.http();

    let table = doors();
    let listed: BTreeSet<_> = table.iter().map(|door| (door.method.to_owned(), door.route.to_owned())).collect();
    let documented = documented(&http).await;
    let (unlisted, gone) =
        (documented.difference(&listed).collect::<Vec<_>>(), listed.difference(&documented).collect::<Vec<_>>());
    assert!(unlisted.is_empty() && gone.is_empty(), "put these into the table: {unlisted:?}; take these out: {gone:?}");

    let head = async |user: &User| user.get("/api/sync/status").await.expect(200)["head"].as_u64().unwrap();
    let askers = [
        Asker { user: None, head: 1 },
        Asker { user: Some(&rival), head: head(&rival).await },
        Asker { user: Some(&viewer), head: head(&viewer).await },
        Asker { user: Some(&ann), head: head(&ann).await },
        Asker { user: Some(&owner), head: head(&owner).await },
    ];
    let put_in = |text_: &str, head: u64| {
        let text_ = text_.replace("{contact}", text(&contact, "id")).replace("{user}", &bob.user_id);
        let text_ = text_.replace("{spare}", text(&spare, "id")).replace("{hook}", text(&hook, "id"));
        let text_ = text_.replace("{message}", text(&message, "id"));
        text_.replace("{device}", &bob.device_id).replace("{head}", &head.to_string())
    };
    for path in PUBLIC {
        for (asker, who) in askers.iter().zip(WHO) {
            let answer = ask(&http, asker, &door("GET", path, path, Value::Null, [200; 5]), &put_in).await;
            assert_eq!(answer.status, 200, "{path} for {who}");
            assert!(!answer.text.contains("Canary-5151"), "{path} tells {who}: {}", answer.text);
        }
    }
    let mut wrong = Vec::new();
    for door in &table {
        for ((asker, who), status) in askers.iter().zip(WHO).zip(door.statuses) {
            let answer = ask(&http, asker, door, &put_in).await;
            let place = format!("{} {} for {who}", door.method, door.path);
            if answer.status != status {
                wrong.push(format!("{place} is {}, not {status}: {}", answer.status, answer.text));
            } else if answer.status.is_client_error() {
                answer.expect_problem(status, text(&answer.json(), "code"));
            }
            let may_see = who == "owner";
            assert!(may_see || !answer.text.contains("Canary-5151"), "{place} tells: {}", answer.text);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn auth_8_nobody_assigns_what_is_not_theirs_to_assign() {
    let world = World::start().await;
    let (ann, owner) = (world.user("ann").await, world.user("owner").await);
    let contact = ann.contact(json!({"firstname": "Eve"})).await;
    let id = text(&contact, "id");
    let path = format!("/api/contacts/{id}");
    let in_bulk = |op: Value| json!({"operations": [op]});
    for (member, value) in [
        ("workspace_id", json!("rival")),
        ("rv", json!(9_999)),
        ("scope", json!("workspace")),
        ("role", json!("owner")),
        ("is_deleted", json!(true)),
        ("versions", json!({})),
    ] {
        let fields = json!({"firstname": "x", member: value});
        for answer in [
            ann.post("/api/contacts", &fields).await,
            ann.patch(&path, &fields).await,
            ann.post("/api/contacts/bulk", &in_bulk(json!({"op": "create", "fields": fields}))).await,
            ann.post("/api/contacts/bulk", &in_bulk(json!({"op": "update", "id": id, "fields": fields}))).await,
        ] {
            assert_eq!(answer.expect_problem(422, "validation")["field"], member);
        }
    }
    // The id of a record is in its address, and an operation has its own members.
    ann.patch(&path, &json!({"id": uuid_v7(), "firstname": "x"})).await.expect_problem(422, "validation");
    for operation in [
        json!({"op": "update", "id": id, "fields": {}, "workspace_id": "rival"}),
        json!({"op": "update", "id": id, "fields": {"id": uuid_v7()}}),
        json!({"op": "delete", "id": id, "user_id": owner.user_id}),
    ] {
        ann.post("/api/contacts/bulk", &in_bulk(operation)).await.expect_problem(422, "validation");
    }
    // What only the server writes is refused by name, also in bulk.
    for (member, value) in
        [("lead_score", json!(99)), ("created_at", json!("2020-01-01T00:00:00Z")), ("unread_count", json!(1))]
    {
        let fields = json!({member: value});
        ann.patch(&path, &fields).await.expect_problem(403, "forbidden");
        let bulk = ann
            .post("/api/contacts/bulk", &in_bulk(json!({"op": "update", "id": id, "fields": fields})))
            .await
            .expect(200);
        assert_eq!(bulk["results"][0]["code"], "forbidden", "{bulk}");
    }
    // Nor do an administrator's calls take more than they say.
    let new = |extra: &str, value: Value| json!({"email": "n@x.example", "name": "N", "role": "agent", extra: value});
    for (member, value) in [
        ("workspace_id", json!("rival")),
        ("user_id", json!(uuid_v7())),
        ("rank", json!(100)),
        ("status", json!("active")),
        ("id", json!(uuid_v7())),
    ] {
        owner.post("/api/admin/users", &new(member, value)).await.expect_problem(422, "validation");
    }
    for change in
        [json!({"workspace_id": "rival"}), json!({"user_id": owner.user_id}), json!({"rank": 100}), json!({"rv": 1})]
    {
        owner.patch(&format!("/api/admin/members/{}", ann.user_id), &change).await.expect_problem(422, "validation");
        owner.patch(&format!("/api/admin/users/{}", ann.user_id), &change).await.expect_problem(422, "validation");
    }
    ann.patch(&format!("/api/admin/members/{}", ann.user_id), &json!({"role": "owner"}))
        .await
        .expect_problem(403, "forbidden");
    assert_eq!(ann.get(&path).await.expect(200), contact);
}
