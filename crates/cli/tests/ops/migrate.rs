//! Moving to PostgreSQL and back, with devices that were there before.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::postgres::TestDatabase;
use crate::sample::{leads_csv, shared};
use crate::{Place, answer, path};

const PASSWORD: &str = "syncline-demo";

fn syncline() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
    command.env_remove("DATABASE_URL");
    command
}

/// A demo server on one of both databases, at an address that devices remember.
struct Node {
    child: Child,
    url: String,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Node {
    fn start(data: &Path, port: u16, database: Option<&str>) -> Self {
        let mut command = syncline();
        command.args(["serve", "--demo", "--listen", &format!("127.0.0.1:{port}"), "--data"]).arg(data);
        command.env("METRICS_ON_MAIN_PORT", "true");
        command.envs(database.map(|url| ("DATABASE_URL", url)));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("listens on")), "the server did not start");
        // Whoever prints into a closed pipe dies of it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url: format!("http://127.0.0.1:{port}") }
    }

    /// Sums of a counter by one of its labels.
    fn counter(&self, name: &str, label: &str) -> BTreeMap<String, u64> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _chosen_before = rustls::crypto::aws_lc_rs::default_provider().install_default().is_err();
        let text =
            runtime.block_on(async { reqwest::get(format!("{}/metrics", self.url)).await?.text().await }).unwrap();
        let mut sums = BTreeMap::new();
        for line in text.lines().filter(|line| line.starts_with(name)) {
            let value = line.split(&format!("{label}=\"")).nth(1).and_then(|rest| rest.split('"').next());
            let count: u64 = line.rsplit(' ').next().unwrap().parse().unwrap();
            *sums.entry(value.unwrap_or_default().to_lowercase()).or_default() += count;
        }
        sums
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

struct Device(PathBuf);

impl Device {
    fn init(node: &Node, dir: PathBuf, email: &str) -> Self {
        let device = Self(dir);
        let mut command = device.command(&["init", "--server", &node.url, "--email", email]);
        let output = command.env("SYNCLINE_PASSWORD", PASSWORD).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        device
    }
    fn command(&self, args: &[&str]) -> Command {
        let mut command = syncline();
        command.arg("device").args(args).args(["--json", "--dir"]).arg(&self.0);
        command
    }
    /// The last JSON value of a command that ends with 0 or 4 (something waits for a person).
    fn ok(&self, args: &[&str]) -> Value {
        let output = self.command(args).output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 4)), "{args:?}: {output:?}");
        let values = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>();
        values.last().map_or(Value::Null, Result::unwrap)
    }
    fn apply(&self, ops: &[Value]) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        ops.iter().for_each(|op| writeln!(file, "{}", json!({ "ops": [op] })).unwrap());
        self.ok(&["apply", path(file.path())]);
    }
    fn field(&self, entity: &str, id: &str, name: &str) -> Value {
        self.ok(&["get", entity, id])["fields"][name].clone()
    }
    fn digests(&self) -> BTreeMap<String, Value> {
        let scopes = self.ok(&["status"])["scopes"].as_array().unwrap().clone();
        scopes.into_iter().map(|scope| (scope["id"].as_str().unwrap().to_owned(), scope["digest"].clone())).collect()
    }
    fn ids(&self, entity: &str) -> Vec<String> {
        let answer = self.ok(&["list", entity, "--limit", "20"]);
        let records = answer.get("records").cloned().unwrap_or(answer);
        records.as_array().unwrap().iter().map(|record| record["id"].as_str().unwrap().to_owned()).collect()
    }
}

fn migrate(from: &str, to: &str) -> Output {
    syncline().args(["migrate-storage", "--json", "--from", from, "--to", to]).output().unwrap()
}

/// Real leads where they are on this machine, else made ones.
fn leads(place: &Place) -> PathBuf {
    let rows = match shared("datablist_10000/leads-10000.csv") {
        Some(file) => std::fs::read_to_string(file).unwrap().split_inclusive('\n').take(1_501).collect(),
        None => leads_csv(1_500),
    };
    place.file("leads.csv", rows)
}

/// All rows of a query with one text column.
fn sqlite_rows(file: &Path, sql: &str) -> Vec<String> {
    let conn = Connection::open(file).unwrap();
    let mut statement = conn.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

fn update(entity: &str, id: &str, fields: Value) -> Value {
    json!({"op": "update", "entity": entity, "id": id, "fields": fields})
}

#[test]
fn sto_1_devices_go_on_after_the_move_to_postgresql() {
    let place = Place { dir: tempfile::tempdir().unwrap() };
    let (port, database) = (free_port(), TestDatabase::new());
    let node = Node::start(&place.data(), port, None);
    drop(node);
    let (code, imported) = place.import(&leads(&place), "leads", &["--workspace", "demo"]);
    assert_eq!(code, 0, "{imported}");
    let node = Node::start(&place.data(), port, None);
    let boss = Device::init(&node, place.dir.path().join("boss"), "demo@syncline.dev");
    let rep = Device::init(&node, place.dir.path().join("rep"), "manager@syncline.dev");
    boss.ok(&["sync"]);
    rep.ok(&["sync"]);
    let contacts = rep.ids("contacts");
    // A conflict, a tombstone, and edits that wait while the database moves.
    boss.apply(&[update("contacts", &contacts[0], json!({"city": "Bergen"}))]);
    rep.apply(&[update("contacts", &contacts[0], json!({"city": "Oslo"}))]);
    boss.apply(&[json!({"op": "create", "entity": "products", "id": TAG, "fields": {"name": "moved"}})]);
    boss.ok(&["sync"]);
    rep.ok(&["sync"]);
    boss.apply(&[json!({"op": "delete", "entity": "products", "id": TAG})]);
    boss.ok(&["sync"]);
    let conflicts = boss.ok(&["conflicts", "--all"]);
    assert!(!conflicts.to_string().contains("[]") && conflicts.to_string().contains(&contacts[0]), "{conflicts}");
    rep.apply(&[
        update("contacts", &contacts[1], json!({"city": "Tromsø"})),
        update("contacts", &contacts[2], json!({"job_title": "Mover"})),
    ]);
    let before = rep.ok(&["status"]);
    assert_eq!(before["pending"], 2);

    let refused = migrate(&format!("sqlite:{}", path(&place.database())), &database.text);
    assert_eq!(refused.status.code(), Some(4), "a server is running on it: {refused:?}");
    drop(node);
    let (code, moved) = answer(&migrate(&format!("sqlite:{}", path(&place.database())), &database.text));
    assert_eq!(code, 0, "{moved}");
    let entries = "SELECT seq || ' ' || hash || ' ' || entry FROM sync_log ORDER BY seq";
    let log = sqlite_rows(&place.database(), entries);
    assert_eq!(database.query(entries), log, "the audit chain is equal hash for hash");
    assert_eq!(moved["workspaces"][0]["log_entries"], log.len(), "{moved}");

    let node = Node::start(&place.data(), port, Some(&database.text));
    let synced = rep.ok(&["sync"]);
    assert_eq!((&synced["end"], &synced["pending"], &synced["rejected"]), (&json!("synced"), &json!(0), &json!(0)));
    assert_eq!((&synced["epoch"], &synced["repairs"]), (&before["epoch"], &before["repairs"]), "{synced}");
    boss.ok(&["sync"]);
    let asked = node.counter("data_sync_operations", "operation");
    for operation in ["snapshot", "verify", "fetch"] {
        assert_eq!(asked.get(operation).copied().unwrap_or(0), 0, "nothing is loaded or compared anew: {asked:?}");
    }
    assert!(asked["hello"] >= 2 && asked["push"] >= 1, "{asked:?}");
    let signed_in = node.counter("auth_operations", "operation");
    assert_eq!(signed_in.get("login").copied().unwrap_or(0), 0, "nobody signs in again: {signed_in:?}");
    assert_eq!(boss.field("contacts", &contacts[1], "city"), "Tromsø");
    assert_eq!(boss.field("contacts", &contacts[2], "job_title"), "Mover");
    assert_eq!(boss.ok(&["conflicts", "--all"]), conflicts);
    assert_eq!(boss.digests(), rep.digests());
    assert_eq!(database.query(entries)[..log.len()], log[..], "what came after is appended");
}

const TAG: &str = "01900000-0000-7000-8000-00000000aaaa";

/// Records of a few entities.
fn export_of(place: &Place) -> Vec<Vec<Value>> {
    ["contacts", "leads", "companies", "conflicts", "imports"].iter().map(|entity| place.records(entity)).collect()
}

#[test]
fn sto_1_an_interrupted_copy_is_refused_and_begun_anew_and_the_way_back_is_exact() {
    let place = Place { dir: tempfile::tempdir().unwrap() };
    drop(Node::start(&place.data(), free_port(), None));
    place.import(&leads(&place), "leads", &["--workspace", "demo"]);
    let (database, from) = (TestDatabase::new(), format!("sqlite:{}", path(&place.database())));
    let empty = Place { dir: tempfile::tempdir().unwrap() };
    std::fs::create_dir(empty.data()).unwrap();
    drop(empty.store());
    // Tables, and a failure in the middle of a workspace.
    let (code, _) = answer(&migrate(&format!("sqlite:{}", path(&empty.database())), &database.text));
    assert_eq!(code, 0, "a database without workspaces is copied too");
    database.run(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no more''; END';
         CREATE TRIGGER fail BEFORE INSERT ON sync_log EXECUTE FUNCTION fail()",
    );
    let (code, failed) = answer(&migrate(&from, &database.text));
    assert!(code == 1 && failed.as_str().unwrap().contains("no more"), "{failed}");
    let mut serve = syncline();
    serve.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(empty.data()).env("DATABASE_URL", &database.text);
    let refused = serve.output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("was not finished"), "{refused:?}");
    database.run("DROP TRIGGER fail ON sync_log");
    let (code, moved) = answer(&migrate(&from, &database.text));
    assert_eq!((code, &moved["was_interrupted"]), (0, &json!(true)), "{moved}");
    let (code, refused) = answer(&migrate(&from, &database.text));
    assert!(code == 1 && refused.as_str().unwrap().contains("not empty"), "{refused}");

    let back = Place { dir: tempfile::tempdir().unwrap() };
    let (code, returned) = answer(&migrate(&database.text, &format!("sqlite:{}", path(&back.database()))));
    assert_eq!(code, 0, "{returned}");
    assert_eq!(returned["workspaces"], moved["workspaces"]);
    assert_eq!(export_of(&back), export_of(&place));
    for (table, columns) in [
        ("sync_log", "seq || hash || entry"),
        ("sync_records", "hex(record_id) || rv || state || entered || versions || coalesce(fields, '')"),
        ("sync_outcomes", "hex(client_id) || client_seq || hex(user_id) || seq || decided_ms || outcome"),
        ("sync_clients", "hex(client_id) || hex(device_id) || last_client_seq || acknowledged"),
        ("sync_keys", "key || hex(record_id)"),
        ("auth_credentials", "user_id || email || password_hash"),
        ("auth_kv", "workspace_id || key || hex(value)"),
    ] {
        let sql = format!("SELECT {columns} FROM {table} ORDER BY 1");
        assert_eq!(sqlite_rows(&back.database(), &sql), sqlite_rows(&place.database(), &sql), "{table}");
    }
}

#[test]
fn epo_1_the_operators_commands_work_on_postgresql() {
    let place = Place { dir: tempfile::tempdir().unwrap() };
    drop(Node::start(&place.data(), free_port(), None));
    let database = TestDatabase::new();
    let (code, moved) = answer(&migrate(&format!("sqlite:{}", path(&place.database())), &database.text));
    assert_eq!(code, 0, "{moved}");
    let run = |args: &[&str]| {
        let mut command = place.command(args.iter().copied());
        answer(&command.args(["--database", &database.text]).output().unwrap())
    };
    let file = place.file("leads.csv", leads_csv(700) + "bad,,,,,,no address,,,\r\n");
    let import = ["import", path(&file), "--entity", "leads", "--workspace", "demo", "--json"];
    let (code, imported) = run(&import);
    assert_eq!((code, crate::counters(&imported)), (3, [701, 700, 0, 0, 1]), "{imported}");
    let (code, again) = run(&import);
    assert_eq!((code, crate::counters(&again)), (3, [701, 0, 0, 700, 1]), "{again}");
    let (code, contacts) = run(&["export", "--entity", "contacts", "--format", "json"]);
    let imported = contacts.as_array().unwrap().iter().filter(|contact| contact["crm_id"].is_string()).count();
    assert_eq!((code, imported), (0, 700));
    let (code, report) = run(&["doctor", "--json"]);
    assert!(code == 0 && report.to_string().contains("PostgreSQL"), "{report}");
    let backup = place.dir.path().join("backup");
    let (code, refused) = run(&["backup", "--out", path(&backup)]);
    assert!(code == 1 && refused.as_str().unwrap().contains("docs/operations/backup.md"), "{refused}");
    let (code, restored) = run(&["restored", "--json"]);
    assert_eq!((code, &restored["workspaces"]), (0, &json!([{ "workspace": "demo", "epoch": 1 }])), "{restored}");

    let (code, again) = run(&["restored", "--epoch", "5", "--json"]);
    assert_eq!((code, &again["workspaces"][0]["epoch"]), (0, &json!(5)), "{again}");
    let (code, refused) = run(&["restored", "--epoch", "5"]);
    assert!(code == 1 && refused.as_str().unwrap().contains("must be 6 or higher"), "{refused}");

    database.run("UPDATE sync_log SET entry = replace(entry, 'First7', 'Forged') WHERE entry LIKE '%First7%'");
    let (code, sick) = run(&["doctor", "--json"]);
    assert!(code == 1 && sick.to_string().contains("altered"), "{sick}");
    let (code, refused) = run(&["restored"]);
    assert!(code == 1 && refused.as_str().unwrap().contains("not sound"), "{refused}");
}
