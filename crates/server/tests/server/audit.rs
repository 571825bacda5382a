//! The audit log: what is noted about sign-ins, refusals and administrators, and who may read it.

use serde_json::{Value, json};

use crate::support::{PASSWORD, User, World, eventually, text, uuid_v7};

/// The audit log as the owner reads it, once it has `count` entries of `event`.
async fn entries(owner: &User, event: &str, count: usize) -> Vec<Value> {
    eventually(|| async {
        let page = owner.get(&format!("/api/admin/audit?event={event}")).await.expect(200);
        let items = page["items"].as_array().unwrap().clone();
        (items.len() >= count).then_some(items)
    })
    .await
}

#[tokio::test]
async fn auth_6_every_way_in_and_out_is_noted() {
    let world = World::start_with(|config| config.tokens.failures_max = 2).await;
    let (owner, ann) = (world.user("owner").await, world.user("ann").await);
    let sign_ins = entries(&owner, "sign_in", 2).await;
    assert_eq!((text(&sign_ins[0], "user_id"), text(&sign_ins[0], "device_id")), (&*ann.user_id, &*ann.device_id));
    assert_eq!(sign_ins[0]["address"], "127.0.0.1");
    assert_eq!(text(&sign_ins[0], "request_id").len(), 36);

    for _ in 0..2 {
        world.http().try_login("bob@acme.example", "wrong password", &uuid_v7()).await;
    }
    world.http().try_login("bob@acme.example", PASSWORD, &uuid_v7()).await.expect_problem(429, "rate_limited");
    assert_eq!(entries(&owner, "sign_in_failed", 2).await[0]["detail"]["failures"], 2);
    assert_eq!(entries(&owner, "locked_out", 1).await.len(), 1);

    ann.refresh().await.expect(200);
    ann.refresh().await.expect_problem(401, "unauthenticated");
    assert_eq!(text(&entries(&owner, "refresh_reused", 1).await[0], "user_id"), ann.user_id);
    let viewer = world.user("viewer").await;
    viewer.post("/api/auth/logout", &json!({})).await.expect(204);
    assert_eq!(text(&entries(&owner, "sign_out", 1).await[0], "device_id"), viewer.device_id);
    let viewer = world.user("viewer").await;
    viewer.post("/api/auth/logout", &json!({"everywhere": true})).await.expect(204);
    assert_eq!(text(&entries(&owner, "sign_out_everywhere", 1).await[0], "user_id"), viewer.user_id);
    let manager = world.user("manager").await;
    owner.delete(&format!("/api/auth/devices/{}", manager.device_id)).await.expect(204);
    let revoked = &entries(&owner, "device_revoked", 1).await[0];
    assert_eq!((text(revoked, "user_id"), text(revoked, "subject")), (&*owner.user_id, &*manager.device_id));
}

#[tokio::test]
async fn auth_6_what_administrators_do_and_what_is_denied_is_noted() {
    let world = World::start().await;
    let (owner, ann) = (world.user("owner").await, world.user("ann").await);
    ann.get("/api/admin/users").await.expect_problem(403, "forbidden");
    ann.get("/api/admin/users").await.expect_problem(403, "forbidden");
    let denied = entries(&owner, "access_denied", 1).await;
    assert_eq!(denied.len(), 1, "the same again is noted once in a while");
    assert_eq!((text(&denied[0], "user_id"), &denied[0]["subject"]), (&*ann.user_id, &json!("GET /api/admin/users")));

    owner.patch(&format!("/api/admin/members/{}", ann.user_id), &json!({"role": "manager"})).await.expect(200);
    let changed = &entries(&owner, "member_changed", 1).await[0];
    assert_eq!(changed["detail"]["role"], json!({"from": "agent", "to": "manager"}));
    assert_eq!((text(changed, "user_id"), text(changed, "subject")), (&*owner.user_id, &*ann.user_id));
    let new = json!({"email": "new@acme.example", "name": "New", "role": "agent"});
    owner.post("/api/admin/users", &new).await.expect(201);
    assert_eq!(entries(&owner, "member_created", 1).await[0]["detail"]["role"], "agent");
    owner.delete(&format!("/api/admin/users/{}", ann.user_id)).await.expect(204);
    entries(&owner, "member_revoked", 1).await;
    let reads = entries(&owner, "admin_read", 1).await;
    assert!(reads.iter().all(|read| text(read, "user_id") == owner.user_id), "{reads:?}");
    let all = owner.get("/api/admin/audit?limit=1000").await.expect(200).to_string();
    assert!(!all.contains("acme.example") && !all.contains(PASSWORD), "no address, no secret: {all}");
}

#[tokio::test]
async fn auth_8_the_audit_log_is_for_administrators_of_its_workspace() {
    let world = World::start().await;
    world.populate("rival").await;
    let owner = world.user("owner").await;
    let rival = world.user_in("rival", "owner").await;
    entries(&rival, "sign_in", 1).await;
    let page = rival.get("/api/admin/audit").await.expect(200);
    assert!(!page.to_string().contains(&owner.user_id), "{page}");
    world.user("manager").await.get("/api/admin/audit").await.expect_problem(403, "forbidden");
    world.http().get("/api/admin/audit").await.expect_problem(401, "unauthenticated");
    for wrong in ["limit=0", "user_id=x", "before=0", "odd=1", "from_ms=-1"] {
        owner.get(&format!("/api/admin/audit?{wrong}")).await.expect_problem(422, "validation");
    }
}

#[tokio::test]
async fn sto_3_pages_join_and_what_waits_is_written_at_the_end() {
    let world = World::start().await;
    let owner = world.user("owner").await;
    for _ in 0..3 {
        world.http().try_login("nobody@acme.example", "wrong password", &uuid_v7()).await;
    }
    world.user("bob").await;
    let world = world.restart().await;
    let owner = User { http: world.http(), ..owner };
    let first = owner.get("/api/admin/audit?limit=1&event=sign_in").await.expect(200);
    let next = first["next"].as_u64().unwrap();
    let second = owner.get(&format!("/api/admin/audit?limit=1&event=sign_in&before={next}")).await.expect(200);
    assert_eq!(
        (first["items"][0]["user_id"] == second["items"][0]["user_id"], second["items"].as_array().unwrap().len()),
        (false, 1)
    );
    let report = world.server.app().auth.with_store(|store| store.verify_audit(None, None)).await.unwrap();
    assert_eq!((report.entries, report.problem), (3, None), "unknown addresses are in the server's own log");
}
