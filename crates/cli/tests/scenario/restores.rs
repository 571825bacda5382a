//! The same backup brought back twice, and a device that was synced in between (EPO-1, EPO-2).

use serde_json::{Value, json};

use crate::stage::{Device, Server};

const EMAIL: &str = "demo@syncline.dev";

#[test]
fn epo_2_a_device_notices_every_restore_of_the_same_backup() {
    let folder = tempfile::tempdir().unwrap();
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup.sqlite"));
    let mut server = Server::start_embedded(&data);
    let device = Device::init(&server, &folder.path().join("device"), EMAIL);
    let created = device.ok(&["create", "contacts", "firstname=Before"]);
    let id = created["id"].as_str().unwrap_or_else(|| panic!("{created}"));
    device.sync();
    let output = server.operator().args(["backup", "--out"]).arg(&backup).arg("--data").arg(&data).output().unwrap();
    assert!(output.status.success(), "{output:?}");

    for (epoch, name) in [(1, "First"), (2, "Second"), (3, "Third")] {
        server.kill();
        let mut restore = server.operator();
        restore.arg("restore").arg(&backup).args(["--force", "--json", "--data"]).arg(&data);
        let output = restore.output().unwrap();
        let restored: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        assert_eq!(restored["workspaces"], json!([{"workspace": "demo", "epoch": epoch}]));
        server.restart();
        // As many changes as the time before: without an epoch, cursor, rv and digest would be the same.
        let body = json!({"firstname": name});
        let (status, answer) = server.call(EMAIL, "PATCH", &format!("/api/contacts/{id}"), Some(&body));
        assert_eq!(status, 200, "{answer}");
        device.sync();
        assert_eq!(device.get("contacts", id).unwrap()["fields"]["firstname"], name, "epoch {epoch}");
    }
}
