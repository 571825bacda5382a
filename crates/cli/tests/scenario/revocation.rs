//! A device that is taken away (REV-1, REV-2).

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::stage::{Device, Server};

const OWNER: &str = "demo@syncline.dev";

fn device_id(device: &Device) -> String {
    device.ok(&["status"])["device_id"].as_str().expect("a device id").to_owned()
}

fn revoke(server: &Server, id: &str) {
    let (status, answer) = server.call(OWNER, "DELETE", &format!("/api/auth/devices/{id}"), None);
    assert!(status < 300, "{status}: {answer}");
}

#[test]
fn rev_2_unsent_edits_of_a_revoked_device_reach_the_admin_and_its_data_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let device = Device::init(&server, &folder.path().join("lost"), "manager@syncline.dev");
    device.sync();
    assert!(!device.list("contacts", &["--limit", "5"]).is_empty());
    let id = device_id(&device);
    device.apply(&[json!({"ops": [{"op": "create", "entity": "contacts", "fields": {"firstname": "Unsent"}}]})]);
    revoke(&server, &id);
    let (code, _) = device.run(&["sync"]);
    assert_eq!(code, 5, "the exit code of a revocation");
    let (code, rows) = device.run(&["list", "contacts"]);
    let text = Value::from(rows).to_string();
    assert!(!text.contains("firstname"), "its data left it: {code} {text}");
    let (_, inbox) = server.call(OWNER, "GET", "/api/admin/rejected", None);
    assert!(inbox.to_string().contains("Unsent"), "the admin sees what was not sent: {inbox}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the bound is in seconds of real time")]
fn rev_1_a_connected_device_is_cut_off_within_five_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let device = Device::init(&server, &folder.path().join("lost"), "manager@syncline.dev");
    device.sync();
    let id = device_id(&device);
    let mut watch = device.command(&["sync", "--watch"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("connected")), "it follows the server");
    std::thread::spawn(move || lines.for_each(drop));
    let start = Instant::now();
    revoke(&server, &id);
    let status = loop {
        if let Some(status) = watch.try_wait().unwrap() {
            break status;
        }
        assert!(start.elapsed() < Duration::from_secs(5), "still connected after 5 s");
        std::thread::sleep(Duration::from_millis(20));
    };
    println!("cut off after {:?}", start.elapsed());
    assert_eq!(status.code(), Some(5));
}
