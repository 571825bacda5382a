//! `kill -9` of server and client at random moments while 10,000 mutations go up (invariants 3 and 4, PSH-5).

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::stage::{Device, Server, json_of};

const ROUNDS: usize = 20;
const PER_ROUND: usize = 500;

/// A small generator, so that a failing run can be told apart by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[test]
fn psh_5_twenty_kills_during_ten_thousand_mutations_lose_and_repeat_nothing() {
    let seed = std::env::var("SYNCLINE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_121);
    println!("seed {seed}");
    let mut random = Random(seed);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = Server::start(&data);
    let device = Device::init(&server, &folder.path().join("device"), "demo@syncline.dev");
    device.sync();
    let mut kills = (0, 0);
    for round in 0..ROUNDS {
        let line = |n: usize| {
            let fields = json!({"firstname": format!("Crash {round}"), "lastname": format!("{n}")});
            json!({"ops": [{"op": "create", "entity": "contacts", "fields": fields}]})
        };
        let lines: Vec<Value> = (0..PER_ROUND).map(line).collect();
        device.apply(&lines);
        let mut sync = device.command(&["sync"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(20 + random.below(180)));
        if random.below(2) == 0 {
            server.kill();
            kills.0 += 1;
            std::thread::sleep(Duration::from_millis(random.below(50)));
            sync.kill().and_then(|()| sync.wait()).ok();
            server.restart();
        } else {
            sync.kill().and_then(|()| sync.wait()).ok();
            kills.1 += 1;
        }
    }
    println!("killed the server {} times, the client {} times", kills.0, kills.1);
    assert!(kills.0 > 2 && kills.1 > 2, "both were killed: {kills:?}");
    let done = device.sync();
    assert_eq!((done["pending"].as_u64(), done["rejected"].as_u64()), (Some(0), Some(0)), "{done}");

    server.kill();
    let output = server.operator().args(["doctor", "--json", "--data"]).arg(&data).output().unwrap();
    assert!(output.status.success(), "{:?}", json_of(&output));
    let exported = folder.path().join("contacts.ndjson");
    let mut export = server.operator();
    export
        .args(["export", "--entity", "contacts", "--format", "ndjson", "--workspace", "demo", "--out"])
        .arg(&exported);
    let output = export.arg("--data").arg(&data).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut copies: BTreeMap<(String, String), usize> = BTreeMap::new();
    for line in std::fs::read_to_string(&exported).unwrap().lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let fields = record.get("fields").unwrap_or(&record);
        let text = |name: &str| fields[name].as_str().unwrap_or("").to_owned();
        if text("firstname").starts_with("Crash") {
            *copies.entry((text("firstname"), text("lastname"))).or_default() += 1;
        }
    }
    let expected: BTreeSet<(String, String)> =
        (0..ROUNDS).flat_map(|round| (0..PER_ROUND).map(move |n| (format!("Crash {round}"), n.to_string()))).collect();
    assert_eq!(copies.keys().cloned().collect::<BTreeSet<_>>(), expected, "nothing is lost");
    assert!(copies.values().all(|count| *count == 1), "nothing is applied twice");
}
