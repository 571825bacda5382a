//! Two devices offline on the same 500 leads of real data, and a third that comes later.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::stage::{Device, Server, json_of, shared_data};

const LEADS: usize = 500;
const HOUR_MS: i64 = 3_600_000;

fn import(server: &Server, data: &Path, file: &Path) -> Value {
    let mut command = server.operator();
    command.arg("import").arg(file).args(["--entity", "leads", "--workspace", "demo", "--json", "--data"]).arg(data);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    json_of(&output).into_iter().next_back().unwrap()
}

fn field(record: &Value, name: &str) -> Value {
    record["fields"][name].clone()
}

fn update(entity: &str, id: &str, fields: Value) -> Value {
    json!({"ops": [{"op": "update", "entity": entity, "id": id, "fields": fields}]})
}

/// A lead and its contact.
struct Pair {
    lead: String,
    contact: String,
}

#[test]
fn two_devices_offline_on_real_leads_converge_with_every_conflict_visible() {
    let (Some(leads), Some(students)) =
        (shared_data("datablist_10000/leads-10000.csv"), shared_data("xeducation_leads/Leads.csv"))
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = Server::start(&data);
    server.member("rep@syncline.dev", "agent");
    server.kill();
    import(&server, &data, &leads);
    import(&server, &data, &students);
    server.restart();
    let rep = Device::init(&server, &folder.path().join("rep"), "rep@syncline.dev");
    let boss = Device::init(&server, &folder.path().join("boss"), "manager@syncline.dev");
    rep.sync();
    boss.sync();
    assert_eq!(rep.digests(), boss.digests());
    let rep_id = rep.ok(&["status"])["user_id"].clone();
    let boss_id = boss.ok(&["status"])["user_id"].clone();

    let listed = rep.list("leads", &["--where", "lead_source=Cold Call", "--limit", "500"]);
    let pair = |lead: &Value| Pair {
        lead: lead["id"].as_str().unwrap().to_owned(),
        contact: field(lead, "contact_id").as_str().unwrap().to_owned(),
    };
    let pairs: Vec<Pair> = listed.iter().map(pair).collect();
    assert_eq!(pairs.len(), LEADS, "enough leads of one source");
    // The money both sides will change must have been there before.
    let priced: Vec<Value> = pairs
        .iter()
        .map(|pair| update("leads", &pair.lead, json!({"estimated_value": "100.00", "currency": "USD"})))
        .collect();
    boss.apply(&priced);
    boss.sync();
    rep.sync();

    // Offline, on wrong clocks. The rep edits first, three hours ahead; the manager later, two days behind.
    let rep = rep.with_clock(3 * HOUR_MS);
    let boss = boss.with_clock(-48 * HOUR_MS);
    let mut edits: (Vec<Value>, Vec<Value>) = Default::default();
    for (number, pair) in pairs.iter().enumerate() {
        let (contact, lead) = (pair.contact.as_str(), pair.lead.as_str());
        let (one, other) = match number % 7 {
            0 => (
                update("contacts", contact, json!({"job_title": "Rep's title"})),
                update("contacts", contact, json!({"website": "https://boss.example/"})),
            ),
            1 => (
                update("contacts", contact, json!({"city": "Rep City", "zip": "11111"})),
                update(
                    "contacts",
                    contact,
                    json!({"st_address": "1 Boss Street", "city": "Boss City", "zip": "22222"}),
                ),
            ),
            2 => (
                update("contacts", contact, json!({"tags": ["from-rep"]})),
                update("contacts", contact, json!({"tags": ["from-boss"]})),
            ),
            3 => (
                update("leads", lead, json!({"owner_id": rep_id})),
                update("leads", lead, json!({"owner_id": boss_id})),
            ),
            4 => (
                update("leads", lead, json!({"estimated_value": "200.00"})),
                update("leads", lead, json!({"estimated_value": "300.00"})),
            ),
            5 => (
                json!({"ops": [{"op": "delete", "entity": "leads", "id": lead}]}),
                update("leads", lead, json!({"market": "Kept by boss"})),
            ),
            _ => (
                update("leads", lead, json!({"temperature": "cold"})),
                update("leads", lead, json!({"temperature": "hot"})),
            ),
        };
        edits.0.push(one);
        edits.1.push(other);
    }
    rep.apply(&edits.0);
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    boss.apply(&edits.1);

    // The manager is back first; the rep's edits arrive later although they are older.
    boss.sync();
    let synced = rep.sync();
    boss.sync();
    assert_eq!(
        (synced["pending"].as_u64(), synced["rejected"].as_u64()),
        (Some(0), Some(0)),
        "every mutation has an outcome: {synced}"
    );
    let fresh = Device::init(&server, &folder.path().join("fresh"), "demo@syncline.dev");
    fresh.sync();
    assert_eq!(rep.digests(), boss.digests());
    assert_eq!(rep.digests(), fresh.digests(), "a third device that starts now has the same");

    let contacts: BTreeMap<String, Value> = by_id(&fresh, "contacts");
    let leads: BTreeMap<String, Value> = by_id(&fresh, "leads");
    for (number, pair) in pairs.iter().enumerate() {
        let contact = &contacts[&pair.contact];
        let lead = leads.get(&pair.lead);
        let of_lead = |name: &str| field(lead.expect("the lead is there"), name);
        match number % 7 {
            0 => {
                assert_eq!(field(contact, "job_title"), "Rep's title", "different fields merge");
                assert_eq!(field(contact, "website"), "https://boss.example/");
            }
            1 => {
                let address = (field(contact, "st_address"), field(contact, "city"), field(contact, "zip"));
                assert_eq!(
                    address,
                    (json!("1 Boss Street"), json!("Boss City"), json!("22222")),
                    "an address never mixes"
                );
            }
            2 => {
                let tags = field(contact, "tags").to_string();
                assert!(tags.contains("from-rep") && tags.contains("from-boss"), "both tags: {tags}");
            }
            3 => assert_eq!(of_lead("owner_id"), boss_id, "the higher role wins"),
            4 => assert_eq!(of_lead("estimated_value"), "300.00", "money waits for review, theirs stays"),
            5 => assert!(lead.is_none(), "deleted stays deleted"),
            _ => assert_eq!(of_lead("temperature"), "hot", "the later edit wins whatever the clocks say"),
        }
    }

    let conflicts = |device: &Device, args: &[&str]| {
        let all: Vec<&str> = ["conflicts"].into_iter().chain(args.iter().copied()).collect();
        let answer = device.ok(&all);
        answer.as_array().or(answer["conflicts"].as_array()).cloned().unwrap_or_default()
    };
    let open = conflicts(&rep, &[]);
    let of = |rest: usize| (0..LEADS).filter(|number| number % 7 == rest).count();
    assert_eq!(open.len(), of(4) + of(5), "money and deletions wait for people");
    assert_eq!(open.len(), conflicts(&boss, &[]).len(), "on both devices");
    let all = conflicts(&boss, &["--all"]).len();
    assert_eq!(all, of(1) + of(3) + of(4) + of(5) + of(6), "no miss and no false entry");

    let id_of = |conflict: &Value| conflict["id"].as_str().unwrap().to_owned();
    let strategy =
        |conflict: &Value| conflict.get("fields").filter(|f| f.is_object()).unwrap_or(conflict)["strategy"].clone();
    let money = open.iter().find(|conflict| strategy(conflict) == "manual-review").expect("one about money");
    let about =
        money.get("fields").filter(|f| f.is_object()).unwrap_or(money)["record_id"].as_str().unwrap().to_owned();
    boss.ok(&["resolve", &id_of(money), "mine"]);
    boss.sync();
    rep.sync();
    assert!(conflicts(&rep, &[]).iter().all(|conflict| id_of(conflict) != id_of(money)), "closed on the other device");
    let value = |device: &Device| field(&device.get("leads", &about).unwrap(), "estimated_value");
    assert_eq!(value(&rep), "200.00", "mine is the side that met the conflict: the rep's");
    rep.ok(&["undo", &id_of(money)]);
    rep.sync();
    boss.sync();
    assert_eq!(value(&boss), "300.00", "undone");

    let deleted = open.iter().find(|conflict| strategy(conflict) == "delete_edit").expect("one about a deletion");
    let about =
        deleted.get("fields").filter(|f| f.is_object()).unwrap_or(deleted)["record_id"].as_str().unwrap().to_owned();
    boss.ok(&["resolve", &id_of(deleted), "theirs"]);
    boss.sync();
    rep.sync();
    let restored = rep.get("leads", &about).expect("restored with the edit");
    assert_eq!(field(&restored, "market"), "Kept by boss");
    assert_eq!(rep.digests(), boss.digests());
}

fn by_id(device: &Device, entity: &str) -> BTreeMap<String, Value> {
    let records = device.list(entity, &["--limit", "0"]);
    records.into_iter().map(|record| (record["id"].as_str().unwrap().to_owned(), record)).collect()
}
