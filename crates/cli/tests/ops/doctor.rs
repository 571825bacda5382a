use std::net::TcpListener;
use std::process::Command;

use serde_json::Value;

use crate::postgres::TestDatabase;
use crate::sample::leads_csv;
use crate::{Place, answer, path};

fn problems(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap_or_else(|| panic!("{report}")).iter();
    let problems = findings.filter(|finding| finding["health"] == "problem");
    problems.map(|finding| format!("{}: {}", finding["check"].as_str().unwrap(), finding["detail"])).collect()
}

#[test]
fn aud_1_doctor_finds_a_damaged_chain() {
    let place = Place::with_workspace();
    place.import(&place.file("leads.csv", leads_csv(20)), "leads", &[]);
    let (code, healthy) = answer(&place.run(["doctor", "--json"]));
    assert_eq!((code, problems(&healthy)), (0, Vec::new()), "{healthy}");

    let conn = rusqlite::Connection::open(place.database()).unwrap();
    let sql = "UPDATE sync_log SET entry = replace(entry, 'First7', 'Forged') WHERE entry LIKE '%First7%'";
    assert_eq!(conn.execute(sql, []).unwrap(), 1);
    drop(conn);
    let (code, sick) = answer(&place.run(["doctor", "--json"]));
    assert_eq!(code, 1);
    assert!(
        problems(&sick).iter().any(|problem| problem.contains("audit chain") && problem.contains("altered")),
        "{sick}"
    );
}

#[test]
fn aud_1_doctor_says_when_there_is_no_database() {
    let place = Place { dir: tempfile::tempdir().unwrap() };
    let (code, report) = answer(&place.run(["doctor", "--json"]));
    assert_eq!(code, 1);
    assert!(problems(&report).iter().any(|problem| problem.contains("no database")), "{report}");
}

/// What a version after this one leaves in a database.
const FUTURE: &str = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
    VALUES (59, 'future', '2030-01-01T00:00:00Z', '1')";

/// `serve`, `backup` and `doctor` say the same of a newer database, and nobody is sent to a backup.
fn assert_newer(place: &Place, database: &[&str], commands: &[&[&str]]) {
    let sentence = "this database was written by a newer version of Syncline (migration V59): start that version";
    let run = |args: &[&str]| place.command(args.iter().copied()).args(database).output().unwrap();
    for args in commands {
        let output = run(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains(sentence), "{args:?}: {output:?}");
    }
    let (code, report) = answer(&run(&["doctor", "--json"]));
    let found = problems(&report);
    assert!(code == 1 && found.iter().any(|problem| problem.contains(sentence)), "{report}");
    let text = report.to_string();
    assert!(!text.contains("syncline restore") && !text.contains("backup"), "{text}");
}

#[test]
fn ops_4_doctor_and_others_name_a_newer_version() {
    let place = Place::with_workspace();
    rusqlite::Connection::open(place.database()).unwrap().execute(FUTURE, []).unwrap();
    let copy = place.dir.path().join("copy");
    assert_newer(&place, &[], &[&["serve", "--listen", "127.0.0.1:0"], &["backup", "--out", path(&copy)]]);
}

#[test]
fn ops_4_doctor_and_others_name_a_newer_version_on_postgresql() {
    let place = Place { dir: tempfile::tempdir().unwrap() };
    let database = TestDatabase::new();
    let given = ["--database", database.text.as_str()];
    place.command(["doctor", "--json"]).args(given).output().unwrap();
    database.run(FUTURE);
    assert_newer(&place, &given, &[&["export", "--entity", "leads"]]);
    let serve =
        place.command(["serve", "--listen", "127.0.0.1:0"]).env("DATABASE_URL", &database.text).output().unwrap();
    let said = String::from_utf8_lossy(&serve.stderr);
    assert!(serve.status.code() == Some(1) && said.contains("(migration V59): start that version"), "{serve:?}");
}

#[test]
fn ops_4_doctor_sends_to_a_backup_only_for_damage() {
    let hint = |place: &Place| {
        let (_, report) = answer(&place.run(["doctor", "--json"]));
        let findings = report["findings"].as_array().unwrap().clone();
        let database = findings.into_iter().find(|finding| finding["check"] == "database");
        database.unwrap_or_else(|| panic!("{report}"))["hint"].as_str().unwrap().to_owned()
    };
    let place = Place { dir: tempfile::tempdir().unwrap() };
    std::fs::create_dir_all(place.database()).unwrap();
    let unopenable = hint(&place);
    assert!(unopenable.contains("this account may use it") && !unopenable.contains("restore"), "{unopenable}");
    let place = Place::with_workspace();
    std::fs::write(place.database(), "no database".repeat(1_000)).unwrap();
    assert!(hint(&place).contains("syncline restore"));
}

/// Problems of `doctor` with these variables, on a data directory with an empty workspace.
fn problems_with(place: &Place, variables: &[(&str, &str)]) -> Vec<String> {
    let free = [("SERVER_PORT", "0"), ("METRICS_PORT", "0")];
    let mut command = place.command(["doctor", "--json"]);
    command.envs(free).envs(variables.iter().copied());
    problems(&answer(&command.output().unwrap()).1)
}

#[test]
fn ops_4_doctor_finds_each_planted_misconfiguration() {
    let place = Place::with_workspace();
    assert_eq!(problems_with(&place, &[]), Vec::<String>::new());
    let planted = |variables: &[(&str, &str)], expected: &str| {
        let found = problems_with(&place, variables);
        assert!(found.len() == 1 && found[0].contains(expected), "{variables:?}: {found:?}");
    };
    planted(&[("JWT_SECRET_KEY", "too-short")], "JWT_SECRET_KEY");
    planted(&[("WS_HEARTBEAT_INTERVAL", "0")], "WS_HEARTBEAT_INTERVAL");
    planted(&[("REDIS_URL", "redis://127.0.0.1:1")], "redis: \"cannot be reached");
    let insecure = [("ENVIRONMENT", "production"), ("REDIS_URL", "redis://127.0.0.1:1")];
    planted(&insecure, "several nodes share a generated signing key");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    planted(&[("SERVER_PORT", &port)], "ports");
    planted(&[("METRICS_PORT", &port)], "ports");
}

#[test]
fn auth_3_doctor_finds_nodes_that_sign_with_different_keys() {
    let place = Place::with_workspace();
    let note = |address: &str, key: &[u8]| syncline_server::node_notes::NodeNote {
        address: address.to_owned(),
        noted_ms: syncline_server::clock::now_ms(),
        version: "0.1.0".to_owned(),
        key_fingerprint: syncline_server::node_notes::key_fingerprint(key),
    };
    let store = place.store();
    let key = "0123456789abcdef0123456789abcdef";
    let renew = |note| syncline_server::node_notes::renew(&store.auth().into(), &note).unwrap();
    renew(note("10.0.0.1:8000", key.as_bytes()));
    assert_eq!(problems_with(&place, &[("JWT_SECRET_KEY", key)]), Vec::<String>::new());
    let found = problems_with(&place, &[("JWT_SECRET_KEY", "another-secret-another-secret-32")]);
    assert!(found.len() == 1 && found[0].contains("10.0.0.1:8000 signs with another key"), "{found:?}");
    renew(note("10.0.0.2:8000", b"another-secret-another-secret-32"));
    let found = problems_with(&place, &[]);
    assert!(found.len() == 1 && found[0].contains("signing keys"), "{found:?}");
}

#[test]
fn auth_7_doctor_finds_a_certificate_that_clients_would_refuse() {
    let place = Place::with_workspace();
    let write = |name: &str, change: fn(&mut rcgen::CertificateParams)| {
        let mut params = rcgen::CertificateParams::new(vec!["crm.example.com".to_owned()]).unwrap();
        change(&mut params);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let path = |kind: &str| path(&place.dir.path().join(format!("{name}.{kind}"))).to_owned();
        std::fs::write(path("cert"), certificate.pem()).unwrap();
        std::fs::write(path("key"), key.serialize_pem()).unwrap();
        (path("cert"), path("key"))
    };
    let found =
        |certificate: &str, key: &str| problems_with(&place, &[("TLS_CERT_FILE", certificate), ("TLS_KEY_FILE", key)]);
    let good = write("good", |_| {});
    assert_eq!(found(&good.0, &good.1), Vec::<String>::new());
    let expired = write("expired", |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let early = write("early", |params| params.not_before = rcgen::date_time_ymd(4000, 1, 1));
    let nameless = write("nameless", |params| params.subject_alt_names.clear());
    let cases = [
        (&good.0, &expired.1, "is not that of the certificate"),
        (&good.1, &good.1, "holds no certificate"),
        (&good.0, &"/nowhere.pem".to_owned(), "cannot be read"),
        (&expired.0, &expired.1, "expired at 2020-01-01"),
        (&early.0, &early.1, "is not valid yet"),
        (&nameless.0, &nameless.1, "names no host"),
    ];
    for (certificate, key, expected) in cases {
        let found = found(certificate, key);
        assert!(found.len() == 1 && found[0].contains(expected), "{expected}: {found:?}");
    }
}

#[test]
fn ops_4_doctor_finds_a_directory_it_cannot_write_and_too_few_files() {
    let place = Place::with_workspace();
    let unwritable = |folder: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
        command.args(["doctor", "--json", "--data", folder]);
        problems(&answer(&command.output().unwrap()).1)
    };
    // Nobody makes files there, not even root.
    assert!(unwritable("/proc").iter().any(|problem| problem.contains("cannot be written")));

    let script = format!(
        "ulimit -n 256; exec {} doctor --json --data {}",
        env!("CARGO_BIN_EXE_syncline"),
        place.data().display()
    );
    let output = Command::new("sh").args(["-c", &script]).env("SERVER_PORT", "0").output().unwrap();
    let found = problems(&answer(&output).1);
    assert!(found.len() == 1 && found[0].contains("256 are allowed"), "{found:?}");
}
