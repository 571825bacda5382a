//! Every door × somebody of another tenant: nothing comes out, nothing goes in, and the answer does not tell.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Socket, User, World, mentions, text, uuid_v7};

struct Tenants {
    world: World,
    /// An owner of each.
    acme: User,
    rival: User,
    /// A contact of acme.
    contact: Value,
}

async fn tenants() -> Tenants {
    let world = World::start().await;
    world.populate("rival").await;
    let (acme, rival) = (world.user("owner").await, world.user_in("rival", "owner").await);
    let contact = acme.contact(json!({"firstname": "Canary-5151"})).await;
    Tenants { world, acme, rival, contact }
}

fn without_id(answer: &Answer) -> Value {
    let mut body = answer.json();
    body.as_object_mut().unwrap().remove("request_id");
    body
}

#[tokio::test]
async fn auth_8_every_endpoint_answers_another_tenant_as_if_nothing_were_there() {
    let Tenants { world, acme, rival, contact } = tenants().await;
    let id = text(&contact, "id");
    let device = format!("/api/auth/devices/{}", acme.device_id);
    let user = format!("/api/admin/users/{}", acme.user_id);
    let doors: Vec<(Method, String, Value)> = vec![
        (Method::GET, format!("/api/contacts/{id}"), Value::Null),
        (Method::PATCH, format!("/api/contacts/{id}"), json!({"firstname": "x"})),
        (Method::DELETE, format!("/api/contacts/{id}"), Value::Null),
        (Method::GET, format!("/api/sync/history/contacts/{id}"), Value::Null),
        (Method::DELETE, device.clone(), Value::Null),
        (Method::PATCH, device, json!({"name": "x"})),
        (Method::GET, user.clone(), Value::Null),
        (Method::PATCH, user.clone(), json!({"password": "a new password"})),
        (Method::DELETE, user, Value::Null),
        (Method::PATCH, format!("/api/admin/members/{}", acme.user_id), json!({"role": "agent"})),
    ];
    for (method, path, body) in &doors {
        let ask = async |path: &str| {
            let request = rival.request(method.clone(), path);
            rival.send(if body.is_null() { request } else { request.json(body) }).await
        };
        let theirs = ask(path).await;
        theirs.expect_problem(404, "not_found");
        let (stem, _) = path.rsplit_once('/').unwrap();
        let nobodys = ask(&format!("{stem}/{}", uuid_v7())).await;
        assert_eq!(without_id(&theirs), without_id(&nobodys), "{method} {path}");
        // And without a credential every door is shut alike.
        let request = rival.http.request(method.clone(), path);
        let anonymous = rival.http.send(if body.is_null() { request } else { request.json(body) }).await;
        anonymous.expect_problem(401, "unauthenticated");
    }
    acme.get("/api/auth/validate").await.expect(200);
    assert_eq!(acme.get(&format!("/api/contacts/{id}")).await.expect(200), contact);
    drop(world);
}

#[tokio::test]
async fn auth_8_lists_counts_snapshots_and_status_hold_nothing_of_another_tenant() {
    let Tenants { world, acme, rival, contact } = tenants().await;
    acme.post("/api/contacts", &json!({"email": "nonsense"})).await.expect_problem(422, "validation");
    let head = rival.get("/api/sync/status").await.expect(200)["head"].clone();
    for path in [
        "/api/contacts".to_owned(),
        "/api/contacts?firstname=Canary-5151".to_owned(),
        "/api/users?limit=500".to_owned(),
        "/api/workspaces".to_owned(),
        "/api/workspace_members".to_owned(),
        "/api/admin/users".to_owned(),
        "/api/admin/devices".to_owned(),
        "/api/admin/clients".to_owned(),
        "/api/admin/rejected".to_owned(),
        "/api/sync/rejected".to_owned(),
        "/api/sync/status".to_owned(),
        format!("/api/sync/snapshot?scope=workspace&seq={head}"),
    ] {
        let answer = rival.get(&path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        for canary in [text(&contact, "id"), "Canary-5151", &acme.user_id, &acme.device_id, "acme"] {
            assert!(!answer.text.contains(canary), "{path} tells {canary}: {}", answer.text);
        }
    }
    let after = json!({"k": null, "i": contact["id"]}).to_string();
    let cursor: String = after.bytes().map(|byte| format!("{byte:02x}")).collect();
    let listed = rival.get(&format!("/api/contacts?after={cursor}")).await.expect(200);
    assert_eq!(listed["items"], json!([]));
    drop(world);
}

#[tokio::test]
async fn auth_8_foreign_keys_and_ids_cannot_be_smuggled_across() {
    let Tenants { world, acme, rival, contact } = tenants().await;
    let id = text(&contact, "id");
    rival.post("/api/leads", &json!({"contact_id": id})).await.expect_problem(422, "ref_missing");
    let own = rival.contact(json!({"firstname": "Own"})).await;
    let path = format!("/api/contacts/{}", text(&own, "id"));
    rival.patch(&path, &json!({"assigned_to": acme.user_id})).await.expect_problem(422, "ref_missing");
    let bulk =
        json!({"operations": [{"op": "update", "id": id, "fields": {"firstname": "x"}}, {"op": "delete", "id": id}]});
    let results = rival.post("/api/contacts/bulk", &bulk).await.expect(200);
    assert!(results["results"].as_array().unwrap().iter().all(|result| result["code"] == "forbidden"), "{results}");
    // The same id in the other tenant is another record.
    rival.post("/api/contacts", &json!({"id": id, "firstname": "Namesake"})).await.expect(201);
    assert_eq!(acme.get(&format!("/api/contacts/{id}")).await.expect(200), contact);
    assert_eq!(rival.get(&format!("/api/contacts/{id}")).await.expect(200)["firstname"], "Namesake");
    drop(world);
}

#[tokio::test]
async fn auth_8_sockets_stay_within_their_tenant() {
    let Tenants { world, acme, rival, contact } = tenants().await;
    let mut socket = Socket::open(&rival).await;
    let (_, ops) = socket.hello().await;
    assert!(!mentions(&json!(ops), text(&contact, "id")));
    let records = json!([["contacts", contact["id"]]]);
    socket.send(&json!({"type": "fetch", "scope": "workspace", "records": records})).await;
    assert_eq!(socket.expect("records").await["records"], json!([]));
    let update = json!([{"op": "update", "entity": "contacts", "id": contact["id"], "base_rv": contact["rv"], "fields": {"firstname": "x"}}]);
    let nobodys = json!([{"op": "update", "entity": "contacts", "id": uuid_v7(), "base_rv": contact["rv"], "fields": {"firstname": "x"}}]);
    let (theirs, nobodys) = (socket.push(update).await, socket.push(nobodys).await);
    assert_eq!((&theirs["code"], &theirs["detail"]), (&nobodys["code"], &nobodys["detail"]));
    assert_eq!(theirs["code"], "forbidden");
    // A client id of the other tenant is free here: it names another client.
    let mut namesake = Socket::open_as(&acme, &socket.client_id.clone()).await;
    namesake.hello().await;
    assert_eq!(namesake.push(crate::support::create_contact(&uuid_v7(), "x")).await["outcome"], "applied");
    socket.send(&json!({"type": "heartbeat"})).await;
    loop {
        let frame = socket.receive().await;
        assert!(!frame.to_string().contains("Canary"), "{frame}");
        if frame["type"] == "heartbeat_ack" {
            break;
        }
    }
    drop(world);
}

#[tokio::test]
async fn auth_8_one_address_in_two_tenants_signs_in_to_the_named_one() {
    let world = World::start().await;
    let owner = world.user("owner").await;
    world.populate("rival").await;
    let rival = world.user_in("rival", "owner").await;
    let new =
        |password: &str| json!({"email": "both@example.com", "name": "Both", "role": "agent", "password": password});
    owner.post("/api/admin/users", &new("the same password")).await.expect(201);
    rival.post("/api/admin/users", &new("the same password")).await.expect(201);
    let body = |workspace: Option<&str>| {
        let mut body = json!({"email": "both@example.com", "password": "the same password"});
        if let Some(workspace) = workspace {
            body["workspace"] = json!(workspace);
        }
        body
    };
    let http = world.http();
    let unclear = http.post("/api/auth/login", &body(None)).await.expect_problem(422, "validation");
    assert_eq!(unclear["workspaces"], json!(["acme", "rival"]));
    for workspace in ["acme", "rival"] {
        let tokens = http.post("/api/auth/login", &body(Some(workspace))).await.expect(200);
        assert_eq!(tokens["workspace_id"], workspace);
    }
    http.post("/api/auth/login", &body(Some("nowhere"))).await.expect_problem(401, "unauthenticated");
    http.post("/api/auth/login", &body(Some("../x"))).await.expect_problem(422, "validation");
}
