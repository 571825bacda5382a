use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, User, World, text, uuid_v7};

async fn patch_if(user: &User, path: &str, etag: &str, body: &Value) -> Answer {
    user.send(user.request(Method::PATCH, path).header("if-match", etag).json(body)).await
}

#[tokio::test]
async fn api_1_a_record_is_created_read_changed_and_deleted() {
    let world = World::start().await;
    let owner = world.user("owner").await;
    let answer = owner.post("/api/contacts", &json!({"firstname": "Eve", "email": "eve@EXAMPLE.com"})).await;
    let created = answer.expect(201);
    let id = text(&created, "id").to_owned();
    let path = format!("/api/contacts/{id}");
    assert_eq!(answer.header("location"), path);
    assert_eq!(answer.header("etag"), format!("\"{}\"", created["rv"]));
    assert_eq!(answer.header("syncline-outcome"), "applied");
    assert_eq!(created["email"], "eve@example.com");
    let changed = owner.patch(&path, &json!({"lastname": "Hart", "email": null})).await.expect(200);
    assert_eq!(
        (&changed["firstname"], &changed["lastname"], changed.get("email")),
        (&json!("Eve"), &json!("Hart"), None)
    );
    assert!(changed["rv"].as_u64() > created["rv"].as_u64());
    let read = owner.get(&path).await;
    assert_eq!(read.expect(200), changed);
    let not_modified = owner.request(Method::GET, &path).header("if-none-match", read.header("etag"));
    owner.send(not_modified).await.expect(304);
    let selected = owner.get(&format!("{path}?fields=id,lastname")).await.expect(200);
    assert_eq!(selected, json!({"id": id, "rv": changed["rv"], "lastname": "Hart"}));
    owner.delete(&path).await.expect(204);
    owner.get(&path).await.expect_problem(404, "not_found");
    owner.delete(&path).await.expect_problem(404, "not_found");
    let history = owner.get(&format!("/api/sync/history/contacts/{id}")).await.expect(200);
    let kinds: Vec<_> = history["items"].as_array().unwrap().iter().map(|item| text(item, "kind")).collect();
    assert_eq!(kinds, ["del", "patch", "put"]);
}

#[tokio::test]
async fn api_1_if_match_protects_from_changes_one_has_not_seen() {
    let world = World::start().await;
    let owner = world.user("owner").await;
    let contact = owner.contact(json!({"firstname": "Eve"})).await;
    let path = format!("/api/contacts/{}", text(&contact, "id"));
    let first = format!("\"{}\"", contact["rv"]);
    let changed = patch_if(&owner, &path, &first, &json!({"firstname": "Eva"})).await;
    let second = changed.header("etag").to_owned();
    changed.expect(200);
    patch_if(&owner, &path, &first, &json!({"firstname": "Evi"})).await.expect_problem(412, "precondition_failed");
    for stranger in ["\"x\"", "\"-1\"", "W/\"1\""] {
        patch_if(&owner, &path, stranger, &json!({"firstname": "x"})).await.expect_problem(412, "precondition_failed");
    }
    for malformed in ["", "1", "\"1\", \"2\"", "zzz"] {
        patch_if(&owner, &path, malformed, &json!({"firstname": "x"})).await.expect_problem(422, "validation");
    }
    patch_if(&owner, &path, "*", &json!({"firstname": "Eve"})).await.expect(200);
    let stale = owner.request(Method::DELETE, &path).header("if-match", &second);
    owner.send(stale).await.expect_problem(412, "precondition_failed");
    assert_eq!(owner.get(&path).await.expect(200)["firstname"], "Eve");
}

#[tokio::test]
async fn api_1_of_many_conditional_writes_at_once_exactly_one_wins() {
    let world = World::start().await;
    let owner = world.user("owner").await;
    let contact = owner.contact(json!({"firstname": "Eve"})).await;
    let path = format!("/api/contacts/{}", text(&contact, "id"));
    let etag = format!("\"{}\"", contact["rv"]);
    let attempts = (0..10).map(|n| {
        let (owner, path, etag) = (owner.clone(), path.clone(), etag.clone());
        tokio::spawn(async move {
            patch_if(&owner, &path, &etag, &json!({"lastname": format!("N{n}")})).await.status.as_u16()
        })
    });
    let mut statuses = Vec::new();
    for attempt in attempts {
        statuses.push(attempt.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412, 412, 412, 412, 412, 412, 412, 412]);
}

#[tokio::test]
async fn prm_2_not_yours_and_not_there_answer_alike() {
    let world = World::start().await;
    let (ann, bob) = (world.user("ann").await, world.user("bob").await);
    let contact = ann.contact(json!({"firstname": "Secret", "assigned_to": ann.user_id})).await;
    let id = text(&contact, "id");
    let alike = |answer: &Answer| {
        let mut body = answer.expect_problem(404, "not_found");
        body.as_object_mut().unwrap().remove("request_id");
        body
    };
    let unknown = uuid_v7();
    for id in [id, unknown.as_str()] {
        let path = format!("/api/contacts/{id}");
        let answers = [
            alike(&bob.get(&path).await),
            alike(&bob.patch(&path, &json!({"firstname": "x"})).await),
            alike(&bob.delete(&path).await),
        ];
        assert_eq!(answers[0]["message"], "There is no such record in `contacts`.");
        assert!(answers.iter().all(|answer| *answer == answers[0]));
        alike(&bob.get("/api/contacts/nonsense").await);
        bob.get(&format!("/api/sync/history/contacts/{id}")).await.expect_problem(404, "not_found");
    }
    let listed = bob.get("/api/contacts").await.expect(200);
    assert_eq!(listed, json!({"items": [], "next": null}));
    let filtered = bob.get(&format!("/api/contacts?assigned_to={}", ann.user_id)).await.expect(200);
    assert_eq!(filtered["items"], json!([]));
    // A reference to what one may not see is refused like one to nothing.
    let mut refused = Vec::new();
    for id in [id, &unknown] {
        let answer = bob.post("/api/leads", &json!({"contact_id": id})).await.expect_problem(422, "ref_missing");
        refused.push(text(&answer, "message").replace(id, "…"));
    }
    assert_eq!(refused[0], refused[1]);
    assert_eq!(ann.get(&format!("/api/contacts/{id}")).await.expect(200), contact);
}

#[tokio::test]
async fn api_5_unknown_and_server_owned_members_are_refused() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let contact = ann.contact(json!({"firstname": "Eve"})).await;
    let path = format!("/api/contacts/{}", text(&contact, "id"));
    for member in ["workspace_id", "rv", "deleted_at", "device_id", "__proto__", "constructor", "nope", "scope"] {
        let problem = ann.patch(&path, &json!({member: "x"})).await.expect_problem(422, "validation");
        assert_eq!(problem["field"], member);
        ann.post("/api/contacts", &json!({member: "x"})).await.expect_problem(422, "validation");
    }
    for (member, value) in [("created_at", json!("2020-01-01T00:00:00Z")), ("lead_score", json!(99))] {
        ann.patch(&path, &json!({member: value})).await.expect_problem(403, "forbidden");
        ann.post("/api/contacts", &json!({member: value})).await.expect_problem(403, "forbidden");
    }
    ann.post("/api/workspace_members", &json!({"user_id": ann.user_id, "role": "owner"}))
        .await
        .expect_problem(403, "forbidden");
    let member = ann.get("/api/workspace_members").await.expect(200)["items"][0].clone();
    let path = format!("/api/workspace_members/{}", text(&member, "id"));
    ann.patch(&path, &json!({"role": "owner"})).await.expect_problem(403, "forbidden");
    assert_eq!(ann.get("/api/auth/validate").await.expect(200)["role"], "agent");
}

#[tokio::test]
async fn api_1_values_are_checked_and_the_answer_names_the_field() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    for (fields, name) in [
        (json!({"email": "not an address"}), "email"),
        (json!({"estimated_value": "12.345"}), "estimated_value"),
        (json!({"priority": "enormous"}), "priority"),
        (json!({"firstname": "a\u{0}b"}), "firstname"),
        (json!({"firstname": "x".repeat(256)}), "firstname"),
        (json!({"tags": "vip"}), "tags"),
    ] {
        let problem = ann.post("/api/contacts", &fields).await.expect_problem(422, "validation");
        assert!(text(&problem, "message").contains(name), "{problem}");
    }
    ann.post("/api/contacts", &json!({"id": "nonsense"})).await.expect_problem(422, "validation");
    ann.post("/api/unicorns", &json!({})).await.expect_problem(404, "unknown_entity");
    ann.get("/api/unicorns").await.expect_problem(404, "unknown_entity");
}

#[tokio::test]
async fn api_1_lists_filter_sort_page_and_select() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let names = ["delta", "Alpha", "charlie", "Bravo", "echo"];
    for (number, name) in names.iter().enumerate() {
        let parity = if number % 2 == 0 { "even" } else { "odd" };
        let email = format!("{name}@example.com");
        ann.contact(json!({"firstname": name, "lead_source": parity, "tags": [parity], "email": email})).await;
    }
    ann.contact(json!({"lead_source": "nameless"})).await;
    let firsts = |page: &Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|item| text(item, "firstname").to_owned()).collect()
    };
    let list = async |query: &str| ann.get(&format!("/api/contacts?{query}")).await.expect(200);
    assert_eq!(firsts(&list("").await), ["delta", "Alpha", "charlie", "Bravo", "echo", ""]);
    assert_eq!(firsts(&list("sort=-id&limit=2").await), ["", "echo"]);
    assert_eq!(firsts(&list("lead_source=even&sort=-firstname").await), ["echo", "delta", "charlie"]);
    assert_eq!(firsts(&list("tags=ODD").await), ["Alpha", "Bravo"]);
    assert_eq!(firsts(&list("email=Bravo%40EXAMPLE.com").await), ["Bravo"]);
    assert_eq!(firsts(&list("firstname=").await), [""]);
    let mut paged = Vec::new();
    let mut after = String::new();
    loop {
        let page = list(&format!("sort=firstname&limit=2&fields=firstname{after}")).await;
        paged.extend(firsts(&page));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(paged, ["Alpha", "Bravo", "charlie", "delta", "echo", ""]);
    let only = list("limit=1&fields=firstname").await;
    assert_eq!(only["items"][0].as_object().unwrap().len(), 3);
    for wrong in [
        "sort=nope",
        "fields=nope",
        "limit=0",
        "limit=501",
        "limit=1e3",
        "after=zz",
        "nope=1",
        "metadata=x",
        "limit=1&limit=2",
        "sort=tags",
        "sort=firstname;drop+table+contacts",
        "is_archived=maybe",
        "lead_score=1.5",
        "firstname%27%20OR%201=1",
        "firstname.nope=a",
        "created_at.gte=yesterday",
        "is_archived.gte=true",
        "tags.starts=v",
        "metadata.in=a",
        "firstname.starts=",
        "priority.in=low,enormous",
        // A cursor of another order.
        "sort=lead_score&after=7b226b223a2261222c2269223a2230303030303030302d303030302d303030302d303030302d303030303030303030303030227d",
    ] {
        ann.get(&format!("/api/contacts?{wrong}")).await.expect_problem(422, "validation");
    }
    ann.get("/api/contacts?firstname=%ff").await.expect_problem(400, "malformed");
}

#[tokio::test]
async fn api_1_an_idempotency_key_makes_a_write_repeatable() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let post = async |key: &str, body: Value| {
        ann.send(ann.request(Method::POST, "/api/contacts").header("idempotency-key", key).json(&body)).await
    };
    let first = post("k1", json!({"firstname": "Once"})).await.expect(201);
    let again = post("k1", json!({"firstname": "Once"})).await.expect(201);
    assert_eq!(first, again);
    post("k1", json!({"firstname": "Twice"})).await.expect_problem(422, "validation");
    post("k2", json!({"firstname": "Once"})).await.expect(201);
    assert_eq!(ann.get("/api/contacts").await.expect(200)["items"].as_array().unwrap().len(), 2);
    let path = format!("/api/contacts/{}", text(&first, "id"));
    for _ in 0..2 {
        let delete = ann.request(Method::DELETE, &path).header("idempotency-key", "k3");
        ann.send(delete).await.expect(204);
    }
    let conditional = ann.contact(json!({"firstname": "Conditional"})).await;
    let path = format!("/api/contacts/{}", text(&conditional, "id"));
    let etag = format!("\"{}\"", conditional["rv"]);
    let mut answers = Vec::new();
    for _ in 0..2 {
        let patch = ann.request(Method::PATCH, &path).header("idempotency-key", "k4").header("if-match", &etag);
        answers.push(ann.send(patch.json(&json!({"lastname": "L"}))).await.expect(200));
    }
    assert_eq!(answers[0], answers[1]);
    post("", json!({})).await.expect_problem(422, "validation");
    post(&"k".repeat(201), json!({})).await.expect_problem(422, "validation");
}

#[tokio::test]
async fn api_1_bulk_is_atomic_when_asked_and_otherwise_each_by_itself() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let operations = json!([
        {"op": "create", "fields": {"firstname": "One"}},
        {"op": "create", "fields": {"email": "not an address"}},
    ]);
    let atomic = ann.post("/api/contacts/bulk", &json!({"atomic": true, "operations": operations})).await.expect(200);
    let outcomes = |answer: &Value| -> Vec<String> {
        answer["results"].as_array().unwrap().iter().map(|result| text(result, "outcome").to_owned()).collect()
    };
    assert_eq!(outcomes(&atomic), ["rejected", "rejected"]);
    assert_eq!(ann.get("/api/contacts").await.expect(200)["items"], json!([]));
    let single = ann.post("/api/contacts/bulk", &json!({"operations": operations})).await.expect(200);
    assert_eq!(outcomes(&single), ["applied", "rejected"]);
    assert_eq!(single["results"][1]["code"], "validation");
    let id = &single["results"][0]["id"];
    let change = json!([{"op": "update", "id": id, "fields": {"lastname": "L"}}, {"op": "delete", "id": id}]);
    let changed = ann.post("/api/contacts/bulk", &json!({"operations": change})).await.expect(200);
    assert_eq!(outcomes(&changed), ["applied", "applied"]);
    ann.post("/api/contacts/bulk", &json!({"operations": []})).await.expect_problem(422, "validation");
    let many: Vec<_> = (0..257).map(|_| json!({"op": "create", "fields": {}})).collect();
    ann.post("/api/contacts/bulk", &json!({"operations": many})).await.expect_problem(413, "too_large");
    ann.post("/api/contacts/bulk", &json!({"operations": [{"op": "upsert"}]})).await.expect_problem(422, "validation");
}

#[tokio::test]
async fn api_1_many_writers_at_once_lose_nothing() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let writers = (0..8).map(|writer| {
        let ann = ann.clone();
        tokio::spawn(async move {
            for number in 0..10 {
                ann.contact(json!({"firstname": format!("{writer}-{number}")})).await;
            }
        })
    });
    for writer in writers {
        writer.await.unwrap();
    }
    let listed = ann.get("/api/contacts?limit=500").await.expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 80);
}

#[tokio::test]
async fn prm_3_roles_bound_what_rest_may_do() {
    let world = World::start().await;
    let (viewer, ann) = (world.user("viewer").await, world.user("ann").await);
    viewer.post("/api/contacts", &json!({"firstname": "x"})).await.expect_problem(403, "forbidden");
    ann.post("/api/teams", &json!({"name": "Mine"})).await.expect_problem(403, "forbidden");
    ann.post("/api/users", &json!({"name": "Ghost"})).await.expect_problem(403, "forbidden");
}

#[tokio::test]
async fn out_3_a_rejected_mutation_is_kept_with_its_body_for_its_author_and_the_administrator() {
    let world = World::start().await;
    let (viewer, ann) = (world.user("viewer").await, world.user("ann").await);
    viewer.post("/api/contacts", &json!({"firstname": "x"})).await.expect_problem(403, "forbidden");
    ann.post("/api/teams", &json!({"name": "Mine"})).await.expect_problem(403, "forbidden");
    ann.post("/api/users", &json!({"name": "Ghost"})).await.expect_problem(403, "forbidden");
    let rejected = ann.get("/api/sync/rejected").await.expect(200);
    assert_eq!(rejected["items"].as_array().unwrap().len(), 2);
    assert_eq!(rejected["items"][0]["rejected"]["ops"][0]["fields"]["name"], "Ghost");
    let owner = world.user("owner").await;
    assert_eq!(owner.get("/api/admin/rejected").await.expect(200)["items"].as_array().unwrap().len(), 3);
    assert_eq!(owner.get("/api/sync/rejected").await.expect(200)["items"], json!([]));
    ann.get("/api/admin/rejected").await.expect_problem(403, "forbidden");
}

#[tokio::test]
async fn api_1_lists_take_ranges_sets_of_values_and_beginnings() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    for (name, value, priority) in
        [("Anna", "10.00", "low"), ("anton", "9.50", "high"), ("Bea", "100.00", "medium"), ("Cy", "0.50", "high")]
    {
        ann.contact(json!({"firstname": name, "estimated_value": value, "priority": priority})).await;
    }
    let list = async |query: &str| {
        let page = ann.get(&format!("/api/contacts?sort=firstname&{query}")).await.expect(200);
        let items = page["items"].as_array().unwrap().clone();
        items.iter().map(|item| text(item, "firstname").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(list("estimated_value.gte=9.50").await, ["Anna", "anton", "Bea"]);
    assert_eq!(list("estimated_value.gt=9.50&estimated_value.lt=100").await, ["Anna"]);
    assert_eq!(list("estimated_value.lte=9.5").await, ["anton", "Cy"]);
    assert_eq!(list("priority.in=low,high").await, ["Anna", "anton", "Cy"]);
    assert_eq!(list("firstname.starts=AN").await, ["Anna", "anton"]);
    assert_eq!(list("firstname.starts=%25").await, [""; 0], "no pattern");
    assert_eq!(list("created_at.gte=2020-01-01").await.len(), 4);
    assert_eq!(list("created_at.lt=2020-01-01T00:00:00Z").await, [""; 0]);
    assert_eq!(list("firstname.starts=a&priority.in=high&estimated_value.gt=1").await, ["anton"]);
}

#[tokio::test]
async fn api_1_lists_leave_readers_to_sync() {
    let world = World::start_with(|config| config.store.readers = 2).await;
    let ann = world.user("ann").await;
    // One of two readers is what lists may have; here it is busy for long.
    let (started, busy) = std::sync::mpsc::channel();
    let (finish, finished) = std::sync::mpsc::channel::<()>();
    let app = std::sync::Arc::clone(world.server.app());
    let workspace = syncline_core::id::WorkspaceId::new("acme").unwrap();
    let reading = tokio::spawn(async move {
        let read = move |_: &dyn syncline_core::storage::Read| {
            started.send(()).unwrap();
            let _ended = finished.recv();
            Ok(())
        };
        app.db.read_much(&workspace, read).await.unwrap();
    });
    tokio::task::spawn_blocking(move || busy.recv().unwrap()).await.unwrap();
    let waiting = tokio::spawn({
        let ann = ann.clone();
        async move { ann.get("/api/contacts?sort=firstname").await.expect(200) }
    });
    crate::support::Socket::open(&ann).await.hello().await;
    assert!(!waiting.is_finished());
    finish.send(()).unwrap();
    reading.await.unwrap();
    waiting.await.unwrap();
}

/// Values of the fields that a new record must have, where that is possible for a caller.
fn minimal(
    entity: &syncline_core::schema::Entity,
    known: &std::collections::BTreeMap<String, String>,
) -> Option<Value> {
    use syncline_core::schema::FieldType;
    let mut fields = serde_json::Map::new();
    let is_asked =
        |field: &&syncline_core::schema::Field| field.is_required && !field.is_server_only && !field.is_filled();
    for field in entity.fields.values().filter(is_asked) {
        let value = match (&field.references, &field.kind) {
            (Some(reference), _) => json!(known.get(reference.entity.as_str())?),
            (None, FieldType::Text { .. }) => json!(format!("x{}@example.com", fields.len())),
            (None, FieldType::Choice { choices }) => json!(choices.first()?),
            (None, FieldType::Integer { .. } | FieldType::Counter) => json!(1),
            (None, FieldType::Decimal { .. }) => json!("1"),
            (None, FieldType::Boolean) => json!(true),
            (None, FieldType::Date) => json!("2024-02-29"),
            (None, FieldType::Timestamp) => json!("2024-02-29T00:00:00Z"),
            (None, FieldType::Uuid) => json!(uuid_v7()),
            (None, FieldType::Json { .. }) => json!({}),
            (None, FieldType::Set { .. }) => json!([]),
        };
        fields.insert(field.name.to_string(), value);
    }
    Some(Value::Object(fields))
}

#[tokio::test]
async fn api_1_every_entity_of_the_schema_is_served() {
    let world = World::start().await;
    let owner = world.user("owner").await;
    let schema = syncline_core::schema::Schema::crm();
    let mut known = std::collections::BTreeMap::from([("users".to_owned(), owner.user_id.clone())]);
    let mut left: Vec<_> = schema.entities.values().collect();
    let (mut created, mut refused) = (Vec::new(), Vec::new());
    // Entities whose references are there come first.
    while !left.is_empty() {
        let ready = |entity: &&syncline_core::schema::Entity| minimal(entity, &known).is_some();
        let Some(at) = left.iter().position(ready) else { break };
        let entity = left.remove(at);
        let (name, fields) = (entity.name.as_str(), minimal(entity, &known).unwrap());
        let base = format!("/api/records/{name}");
        let answer = owner.post(&base, &fields).await;
        if answer.status == 403 {
            answer.expect_problem(403, "forbidden");
            refused.push(name);
            let listed = owner.get(&base).await.expect(200);
            let first = listed["items"].as_array().unwrap().first().cloned();
            known.extend(first.map(|first| (name.to_owned(), text(&first, "id").to_owned())));
            known.entry(name.to_owned()).or_insert_with(uuid_v7);
            continue;
        }
        assert!([201, 202].contains(&answer.status.as_u16()), "{name}: {} {}", answer.status, answer.text);
        let record: Value = serde_json::from_str(&answer.text).unwrap();
        let id = text(&record, "id").to_owned();
        known.insert(name.to_owned(), id.clone());
        created.push((entity, id));
    }
    assert!(left.is_empty(), "{:?}", left.iter().map(|entity| &entity.name).collect::<Vec<_>>());
    assert!(created.len() > 10, "{refused:?}");
    for (entity, id) in &created {
        let base = format!("/api/records/{}", entity.name);
        let ids = |page: &Value| -> Vec<String> {
            page["items"].as_array().unwrap().iter().map(|item| text(item, "id").to_owned()).collect()
        };
        let record = owner.get(&format!("{base}/{id}")).await.expect(200);
        let whole = owner.get(&base).await.expect(200);
        assert!(ids(&whole).contains(id), "{}", entity.name);
        // By every field: sorted both ways, and filtered by the value it has.
        for field in entity.fields.values() {
            let (name, value) = (field.name.as_str(), &record[field.name.as_str()]);
            for sort in ["", "-"] {
                let sorted = owner.get(&format!("{base}?sort={sort}{name}")).await;
                match field.kind {
                    syncline_core::schema::FieldType::Json { .. } | syncline_core::schema::FieldType::Set { .. } => {
                        sorted.expect_problem(422, "validation");
                    }
                    _ => assert!(ids(&sorted.expect(200)).contains(id), "{base} by {name}"),
                }
            }
            let wanted = match value {
                Value::Null => String::new(),
                Value::String(text) => encoded(text),
                Value::Number(_) | Value::Bool(_) => value.to_string(),
                Value::Array(_) | Value::Object(_) => continue,
            };
            let filtered = owner.get(&format!("{base}?{name}={wanted}")).await.expect(200);
            assert!(ids(&filtered).contains(id), "{base}?{name}={wanted}");
        }
    }
    for (entity, id) in created.iter().rev() {
        let path = format!("/api/records/{}/{id}", entity.name);
        let patched = owner.patch(&path, &json!({})).await.status.as_u16();
        assert!([200, 202, 403, 422].contains(&patched), "{path}: {patched}");
        let deleted = owner.delete(&path).await.status.as_u16();
        assert!([204, 403, 404, 409, 422].contains(&deleted), "{path}: {deleted}");
        owner.get(&path).await.expect(if deleted == 204 || deleted == 404 { 404 } else { 200 });
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}
