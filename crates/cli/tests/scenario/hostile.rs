//! Strings that break things, through create, sync, query and export (VAL-1).

use serde_json::{Value, json};

use crate::stage::{Device, Server, shared_data};

#[test]
fn val_1_every_naughty_string_survives_the_round_trip() {
    let Some(path) = shared_data("hostile/blns/blns.json") else { return };
    let strings: Vec<String> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = Server::start(&data);
    let author = Device::init(&server, &folder.path().join("author"), "demo@syncline.dev");
    let reader = Device::init(&server, &folder.path().join("reader"), "manager@syncline.dev");
    author.sync();
    let line = |(number, text): (usize, &String)| {
        let fields = json!({"firstname": "blns", "job_title": number.to_string(), "notes": text, "crm_id": format!("b{number}")});
        json!({"ops": [{"op": "create", "entity": "contacts", "fields": fields}]})
    };
    let applied = author.apply(&strings.iter().enumerate().map(line).collect::<Vec<_>>());
    author.sync();
    reader.sync();
    println!("{} strings: {applied}", strings.len());
    let records = reader.list("contacts", &["--where", "firstname=blns", "--limit", "1000"]);
    let held = |records: &[Value], number: usize| {
        let field = |record: &Value, name: &str| record.get("fields").unwrap_or(record)[name].clone();
        let found = records.iter().find(|record| field(record, "job_title") == json!(number.to_string()));
        found.map(|record| field(record, "notes").as_str().unwrap_or("").to_owned())
    };
    for (number, text) in strings.iter().enumerate() {
        assert_eq!(held(&records, number).as_ref(), Some(text), "string {number} on the other device");
    }
    let one = reader.list("contacts", &["--where", "crm_id=b7"]);
    assert_eq!(held(&one, 7).as_ref(), Some(&strings[7]), "found by an indexed field");
    server.kill();
    let out = folder.path().join("contacts.ndjson");
    let mut export = server.operator();
    export.args(["export", "--entity", "contacts", "--format", "ndjson", "--workspace", "demo", "--data"]).arg(&data);
    let output = export.arg("--out").arg(&out).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(out).unwrap();
    let exported: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (number, text) in strings.iter().enumerate() {
        assert_eq!(held(&exported, number).as_ref(), Some(text), "string {number} in the export");
    }
}
