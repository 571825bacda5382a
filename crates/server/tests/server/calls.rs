//! The calls that are promised as written, and the searches.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Socket, World, text, uuid_v7};

#[tokio::test]
async fn api_3_ses_9_a_trigger_tells_the_connected_devices_of_that_mode_and_no_others() {
    let world = World::start().await;
    let (ann, bob) = (world.user("ann").await, world.user("bob").await);
    let mut own = Socket::open(&ann).await;
    own.hello().await;
    let mut others = Socket::open(&bob).await;
    others.hello().await;
    let trigger = json!({"sync_type": "settings", "deployment_mode": "local_install"});
    let answer = ann.post("/api/sync/trigger", &trigger).await.expect(200);
    assert_eq!((&answer["told"], &answer["entities"]), (&json!(1), &json!(["settings"])));
    let frame = own.expect("sync_now").await;
    assert_eq!(frame["entities"], json!(["settings"]));
    // Said hello to, the server plans anew: nothing is missing.
    own.hello().await;
    let clients = answer["clients"].as_array().unwrap();
    assert!(clients.iter().all(|client| client["device_id"] == ann.device_id), "{answer}");
    others.send(&json!({"type": "heartbeat"})).await;
    assert_eq!(others.receive().await["type"], "heartbeat_ack", "nobody told Bob");
}

#[tokio::test]
async fn api_3_a_trigger_says_where_things_stand_when_nobody_is_connected() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let mut socket = Socket::open(&ann).await;
    socket.hello().await;
    socket.send(&json!({"type": "ack", "seq": 1, "outcomes_upto": 0})).await;
    socket.send(&json!({"type": "heartbeat"})).await;
    socket.expect("heartbeat_ack").await;
    drop(socket);
    ann.contact(json!({"firstname": "Later"})).await;
    let as_written = json!({"sync_type": "settings", "deployment_mode": "web_app"});
    let answer = ann.post("/api/sync/trigger", &as_written).await.expect(200);
    assert_eq!((&answer["told"], &answer["clients"]), (&json!(0), &json!([])));
    let status = ann.get("/api/sync/status").await.expect(200);
    let everywhere = ann.post("/api/sync/trigger", &json!({"sync_type": "full"})).await.expect(200);
    assert_eq!(everywhere["head"], status["head"]);
    for client in everywhere["clients"].as_array().unwrap() {
        assert_eq!(
            client["lag"].as_u64().unwrap(),
            status["head"].as_u64().unwrap() - client["cursor"].as_u64().unwrap()
        );
    }
    let activities = ann.post("/api/sync/trigger", &json!({"sync_type": "activities"})).await.expect(200);
    assert_eq!(activities["entities"], json!(["lead_activities"]));
    let tier = ann.post("/api/sync/trigger", &json!({"sync_type": "background"})).await.expect(200);
    assert!(tier["entities"].as_array().unwrap().contains(&json!("imports")), "{tier}");
    for wrong in
        [json!({}), json!({"sync_type": "unicorns"}), json!({"sync_type": "full", "deployment_mode": "toaster"})]
    {
        ann.post("/api/sync/trigger", &wrong).await.expect_problem(422, "validation");
    }
    ann.post("/api/sync/trigger", &json!({"sync_type": "full"})).await.expect(200);
    ann.post("/api/sync/trigger", &json!({"sync_type": "full"})).await.expect(200);
    let often = ann.post("/api/sync/trigger", &json!({"sync_type": "full"})).await.expect_problem(429, "rate_limited");
    assert!(often["retry_ms"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn api_3_config_stats_show_limits_versions_and_counts_to_admins_and_no_secret() {
    let world = World::start_with(|config| {
        config.tokens.secret_key = Some("a hush secret of at least 32 bytes".into());
        config.http.snapshots_max = 7;
    })
    .await;
    let (owner, ann) = (world.user("owner").await, world.user("ann").await);
    ann.get("/api/config/stats").await.expect_problem(403, "forbidden");
    let answer = owner.get("/api/config/stats").await;
    let stats = answer.expect(200);
    assert_eq!(stats["limits"]["http"]["snapshots_max"], 7);
    assert_eq!(stats["limits"]["rates"]["anonymous_per_minute"], 60);
    assert_eq!(stats["limits"]["rates"]["anonymous_burst"], 10);
    assert_eq!(stats["protocol"], json!([1, 1]));
    assert_eq!(stats["counts"]["devices"], 2);
    let records = stats["counts"]["records"].as_u64().unwrap();
    ann.contact(json!({"firstname": "One more"})).await;
    assert_eq!(owner.get("/api/config/stats").await.expect(200)["counts"]["records"], records + 1);
    let data = world.data.path().to_str().unwrap();
    for secret in ["hush", "secret_key", data] {
        assert!(!answer.text.contains(secret), "{secret}");
    }
}

fn names(answer: &Value) -> Vec<&str> {
    answer["items"].as_array().unwrap().iter().map(|item| text(item, "firstname")).collect()
}

#[tokio::test]
async fn api_2_contacts_are_found_by_words_in_names_addresses_numbers_and_companies() {
    let world = World::start().await;
    let (ann, bob) = (world.user("ann").await, world.user("bob").await);
    for (first, last, email, phone, company) in [
        ("Ada", "Lovelace", "ada@analytical.example", "+441632960123", "Analytical Engines"),
        ("Adam", "Smith", "adam@wealth.example", "+441632960999", "Nations"),
        ("Grace", "Hopper", "grace@navy.example", "+12025550123", "Adage Works"),
    ] {
        let own = json!({"firstname": first, "lastname": last, "email": email, "phone_number": phone,
            "company_name": company, "assigned_to": ann.user_id});
        ann.contact(own).await;
    }
    let search = async |query: &str| ann.get(&format!("/api/contacts/search?{query}")).await.expect(200);
    let found = search("q=ada").await;
    assert_eq!((names(&found), &found["is_complete"]), (vec!["Ada", "Grace", "Adam"], &json!(true)));
    assert_eq!(names(&search("q=ADA+love").await), ["Ada"]);
    assert_eq!(names(&search("q=02025550123").await), ["Grace"]);
    assert_eq!(names(&search("q=nations").await), ["Adam"]);
    assert_eq!(names(&search("q=ada&limit=1&fields=firstname").await), ["Ada"]);
    assert!(names(&search("q=nobody").await).is_empty());
    for wrong in
        ["", "q=", "q=%20", "q=a&limit=0", "q=a&sort=id", "q=1+2+3+4+5+6+7+8+9", &format!("q={}", "x".repeat(201))]
    {
        ann.get(&format!("/api/contacts/search?{wrong}")).await.expect_problem(422, "validation");
    }
    assert!(names(&bob.get("/api/contacts/search?q=ada").await.expect(200)).is_empty(), "Bob sees none of Ann's");
    let special = ann.get("/api/contacts/search?q=%25%27%3B--").await.expect(200);
    assert!(names(&special).is_empty());
}

#[tokio::test]
async fn api_2_enhanced_search_filters_sorts_and_counts_the_leads_that_one_may_see() {
    let world = World::start().await;
    let (ann, bob) = (world.user("ann").await, world.user("bob").await);
    let mut ids = Vec::new();
    for (name, city) in [("Delta", "Oslo"), ("Alpha", "Oslo"), ("Bravo", "Rome")] {
        let contact = ann.contact(json!({"firstname": name, "city": city, "assigned_to": ann.user_id})).await;
        ids.push(text(&contact, "id").to_owned());
    }
    for _ in 0..2 {
        ann.post("/api/leads", &json!({"contact_id": ids[0]})).await.expect(201);
    }
    let found = ann.get("/api/contacts/enhanced-search?city=Oslo&sort=firstname&fields=firstname").await.expect(200);
    assert_eq!(names(&found), ["Alpha", "Delta"]);
    let counts: Vec<_> = found["items"].as_array().unwrap().iter().map(|item| item["leads_count"].clone()).collect();
    assert_eq!(counts, [json!(0), json!(2)]);
    assert_eq!(names(&ann.get("/api/contacts/enhanced-search?q=brav").await.expect(200)), ["Bravo"]);
    let paged = ann.get("/api/contacts/enhanced-search?sort=-firstname&limit=2").await.expect(200);
    let next = format!("/api/contacts/enhanced-search?sort=-firstname&limit=2&after={}", text(&paged, "next"));
    assert_eq!(names(&ann.get(&next).await.expect(200)), ["Alpha"]);
    ann.get("/api/contacts/enhanced-search?nope=1").await.expect_problem(422, "validation");
    assert!(names(&bob.get("/api/contacts/enhanced-search").await.expect(200)).is_empty());

    let by_contact = format!("/api/leads/by-contact/{}", ids[0]);
    let leads = ann.get(&format!("{by_contact}?limit=1")).await.expect(200);
    assert_eq!(leads["items"].as_array().unwrap().len(), 1);
    let rest = ann.get(&format!("{by_contact}?after={}", text(&leads, "next"))).await.expect(200);
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));
    assert_eq!(ann.get(&format!("/api/leads/by-contact/{}", ids[1])).await.expect(200)["items"], json!([]));
    bob.get(&by_contact).await.expect_problem(404, "not_found");
    for missing in [uuid_v7(), "nonsense".to_owned()] {
        ann.get(&format!("/api/leads/by-contact/{missing}")).await.expect_problem(404, "not_found");
    }
    ann.get(&format!("{by_contact}?contact_id={}", ids[1])).await.expect_problem(422, "validation");
    ann.send(ann.request(Method::POST, &by_contact)).await.expect_problem(405, "method_not_allowed");
}

#[tokio::test]
async fn api_5_a_member_given_twice_is_refused() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let post = async |path: &str, body: &'static str| {
        let request = ann.request(Method::POST, path).header("content-type", "application/json");
        ann.send(request.body(body)).await
    };
    for (path, body) in [
        ("/api/contacts", "{\"firstname\":\"A\",\"firstname\":\"B\"}"),
        ("/api/contacts", "{\"metadata\":{\"x\":1,\"x\":2}}"),
        ("/api/contacts/bulk", "{\"operations\":[{\"op\":\"create\",\"fields\":{\"city\":\"A\",\"city\":\"B\"}}]}"),
        ("/api/auth/login", "{\"email\":\"a\",\"email\":\"b\",\"password\":\"c\"}"),
    ] {
        post(path, body).await.expect_problem(422, "validation");
    }
    assert_eq!(ann.get("/api/contacts").await.expect(200)["items"], json!([]));
}
