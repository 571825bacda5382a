use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, User, World, text, uuid_v7};

async fn head(user: &User) -> u64 {
    user.get("/api/sync/status").await.expect(200)["head"].as_u64().unwrap()
}

async fn snapshot(user: &User, scope: &str, query: &str) -> Answer {
    user.get(&format!("/api/sync/snapshot?scope={scope}&{query}")).await
}

fn lines(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Ids of the rows, and the end line.
fn rows(lines: &[Value]) -> (BTreeSet<String>, &Value) {
    let (end, rows) = lines.split_last().unwrap();
    let puts = rows.iter().filter(|line| line["op"] == "put");
    (puts.map(|line| text(line, "id").to_owned()).collect(), end)
}

#[tokio::test]
async fn snp_1_a_snapshot_holds_the_scope_and_ends_with_its_seq() {
    let world = World::start().await;
    let (owner, ann, bob) = (world.user("owner").await, world.user("ann").await, world.user("bob").await);
    let own = owner.contact(json!({"firstname": "Ann's", "assigned_to": ann.user_id})).await;
    let gone = owner.contact(json!({"firstname": "Gone", "assigned_to": ann.user_id})).await;
    owner.delete(&format!("/api/contacts/{}", text(&gone, "id"))).await.expect(204);
    owner.contact(json!({"firstname": "Bob's", "assigned_to": bob.user_id})).await;
    let scope = format!("owner:{}", ann.user_id);
    let at = head(&ann).await;
    let answer = snapshot(&ann, &scope, &format!("seq={at}")).await;
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    let lines = lines(&answer);
    let (ids, end) = rows(&lines);
    assert_eq!(ids, BTreeSet::from([text(&own, "id").to_owned()]));
    assert_eq!(end, &json!({"end": true, "seq": at}));
    let shared = self::lines(&snapshot(&ann, "workspace", &format!("seq={at}")).await);
    let (shared, _) = rows(&shared);
    assert!(shared.contains(&ann.user_id) && !shared.contains(text(&own, "id")));
}

#[tokio::test]
async fn snp_2_a_record_changed_after_its_seq_is_there_whole() {
    let world = World::start().await;
    let owner = world.user("owner").await;
    let contact = owner.contact(json!({"firstname": "Before"})).await;
    let at = head(&owner).await;
    owner.patch(&format!("/api/contacts/{}", text(&contact, "id")), &json!({"firstname": "After"})).await.expect(200);
    let lines = lines(&snapshot(&owner, "workspace", &format!("seq={at}")).await);
    let row = lines.iter().find(|line| line["id"] == contact["id"]).unwrap();
    assert!(row["rv"].as_u64().unwrap() > at);
    assert_eq!(row["fields"]["firstname"], "After");
}

#[tokio::test]
async fn snp_3_a_snapshot_goes_on_from_a_token() {
    let world = World::start().await;
    let owner = world.user("owner").await;
    for n in 0..5 {
        owner.contact(json!({"firstname": format!("C{n}")})).await;
    }
    let at = head(&owner).await;
    let all = lines(&snapshot(&owner, "workspace", &format!("seq={at}")).await);
    let rows_of =
        |lines: &[Value]| lines.iter().filter(|line| line["op"] == "put").map(ToString::to_string).collect::<Vec<_>>();
    let contacts: Vec<_> = all.iter().filter(|line| line["entity"] == "contacts").collect();
    let token = format!("contacts.{}", contacts[1]["rv"]);
    let rest = lines(&snapshot(&owner, "workspace", &format!("seq={at}&resume={token}")).await);
    let position = rows_of(&all).iter().position(|row| row.contains(text(contacts[2], "id"))).unwrap();
    assert_eq!(rows_of(&rest), rows_of(&all)[position..]);
}

#[tokio::test]
async fn snp_1_zstd_and_gzip_carry_the_same_lines() {
    let world = World::start().await;
    let owner = world.user("owner").await;
    owner.contact(json!({"notes": "compressible ".repeat(500)})).await;
    let path = format!("/api/sync/snapshot?scope=workspace&seq={}", head(&owner).await);
    let plain = owner.get(&path).await;
    for (accept, encoding) in [("zstd", "zstd"), ("gzip, br", "gzip")] {
        let response = owner.request(Method::GET, &path).header("accept-encoding", accept).send().await.unwrap();
        assert_eq!(response.headers().get("content-encoding").map(|value| value.to_str().unwrap()), Some(encoding));
        let bytes = response.bytes().await.unwrap();
        assert!(bytes.len() < plain.text.len() / 3, "{} of {}", bytes.len(), plain.text.len());
        let mut decoded = Vec::new();
        match encoding {
            "zstd" => decoded = zstd::stream::decode_all(bytes.as_ref()).unwrap(),
            _ => drop(
                std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(bytes.as_ref()), &mut decoded).unwrap(),
            ),
        }
        assert_eq!(String::from_utf8(decoded).unwrap(), plain.text);
    }
}

#[tokio::test]
async fn snp_1_what_is_not_granted_or_not_there_is_refused() {
    let world = World::start().await;
    let (ann, bob) = (world.user("ann").await, world.user("bob").await);
    let at = head(&ann).await;
    let foreign = snapshot(&ann, &format!("owner:{}", bob.user_id), &format!("seq={at}")).await;
    let unknown = snapshot(&ann, &format!("team:{}", uuid_v7()), &format!("seq={at}")).await;
    let (foreign, unknown) = (foreign.expect_problem(403, "forbidden"), unknown.expect_problem(403, "forbidden"));
    assert_eq!(foreign["message"], unknown["message"]);
    snapshot(&ann, "nonsense", &format!("seq={at}")).await.expect_problem(422, "validation");
    for query in ["", "seq=-1", "seq=1e3", "seq=9007199254740993", "seq=18446744073709551616", "seq=x", "seq=1&more=1"]
    {
        snapshot(&ann, "workspace", query).await.expect_problem(422, "validation");
    }
    snapshot(&ann, "workspace", "seq=9007199254740991").await.expect_problem(410, "cursor_expired");
    for token in ["x", "contacts", "nope.1", "contacts.-1", "..%2F..%2Fetc.1"] {
        snapshot(&ann, "workspace", &format!("seq={at}&resume={token}")).await.expect_problem(422, "validation");
    }
}

#[tokio::test]
async fn snp_1_more_snapshots_than_allowed_are_told_to_wait() {
    let world = World::start_with(|config| config.http.snapshots_max = 1).await;
    let owner = world.user("owner").await;
    let _taken = world.server.app().snapshots.clone().try_acquire_owned().unwrap();
    let problem = snapshot(&owner, "workspace", "seq=0").await.expect_problem(503, "overloaded");
    assert!(problem["retry_ms"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn syn_5_clients_that_do_not_read_keep_nobody_from_a_snapshot() {
    let world = World::start_with(|config| config.http.snapshots_max = 1).await;
    let (owner, manager) = (world.user("owner").await, world.user("manager").await);
    let notes = "x".repeat(15_000);
    for _ in 0..6 {
        let create = |_| json!({"op": "create", "fields": {"notes": notes}});
        let operations: Vec<_> = (0..60).map(create).collect();
        owner.post("/api/contacts/bulk", &json!({"operations": operations})).await.expect(200);
    }
    let path = format!("/api/sync/snapshot?scope=workspace&seq={}", head(&owner).await);
    // 5 MB are more than the sockets' buffers hold.
    let mut unread = Vec::new();
    for _ in 0..4 {
        let response = owner.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(response.status(), 200);
        unread.push(response);
    }
    let others = manager.get(&path).await;
    assert!(lines(&others).len() > 360);
    // One user's share is used up; it comes back with the downloads.
    owner.get(&path).await.expect_problem(503, "overloaded");
    unread.pop();
    crate::support::eventually(|| async { (owner.get(&path).await.status == 200).then_some(()) }).await;
}
