use serde_json::Value;
use syncline_core::id::UserId;
use syncline_server::audit::{AuditEvent, AuditRecord};

use crate::{Place, answer, workspace};

fn noted(place: &Place, count: u64) {
    let entry = |number: u64| {
        let record = AuditRecord::new(&workspace(), AuditEvent::SignIn).by(UserId::from_u128(7)).with("n", number);
        record.into_entry(syncline_server::random::uuid_v7(), 1_000 + number, 0)
    };
    let entries: Vec<_> = (1..=count).map(entry).collect();
    place.store().auth().append_audit(&entries).unwrap();
}

#[test]
fn sto_3_audit_verify_names_the_entry_that_was_altered() {
    let place = Place::with_workspace();
    noted(&place, 5);
    let (code, whole) = answer(&place.run(["audit", "verify", "--json"]));
    assert_eq!((code, &whole["whole"]), (0, &true.into()), "{whole}");
    let chains = whole["chains"].as_array().unwrap();
    assert!(chains.iter().any(|chain| chain["log"] == "audit" && chain["entries"] == 5), "{whole}");
    assert!(chains.iter().any(|chain| chain["log"] == "change" && chain["workspace"] == "main"), "{whole}");

    let conn = rusqlite::Connection::open(place.database()).unwrap();
    let sql = "UPDATE audit_log SET entry = replace(entry, 'sign_in', 'sign_out') WHERE seq = 4";
    assert_eq!(conn.execute(sql, []).unwrap(), 1);
    drop(conn);
    let (code, altered) = answer(&place.run(["audit", "verify", "--json"]));
    assert_eq!((code, &altered["whole"]), (1, &false.into()));
    assert!(altered.to_string().contains("audit entry 4 was altered"), "{altered}");
}

#[test]
fn sto_3_doctor_names_the_entry_that_was_altered() {
    let place = Place::with_workspace();
    noted(&place, 5);
    let doctor = || {
        answer(
            &place.command(["doctor", "--json"]).envs([("SERVER_PORT", "0"), ("METRICS_PORT", "0")]).output().unwrap(),
        )
    };
    let (code, whole) = doctor();
    assert_eq!(code, 0, "{whole}");
    assert!(whole.to_string().contains("main: audit log, 5 entries, whole"), "{whole}");

    let conn = rusqlite::Connection::open(place.database()).unwrap();
    let sql = "UPDATE audit_log SET entry = replace(entry, 'sign_in', 'sign_out') WHERE seq = 4";
    assert_eq!(conn.execute(sql, []).unwrap(), 1);
    drop(conn);
    let (code, altered) = doctor();
    let findings = altered["findings"].as_array().unwrap();
    let problems: Vec<&Value> = findings.iter().filter(|finding| finding["health"] == "problem").collect();
    assert!(code == 1 && problems.len() == 1, "{altered}");
    assert_eq!(problems[0]["check"], "audit chain");
    let detail = problems[0]["detail"].as_str().unwrap();
    assert!(detail.contains("main: audit log: ") && detail.contains("audit entry 4 was altered"), "{detail}");
}

#[test]
fn sto_3_a_head_that_was_kept_shows_what_was_cut_off_and_rewritten() {
    let place = Place::with_workspace();
    noted(&place, 5);
    let heads = String::from_utf8(place.run(["audit", "heads"]).stdout).unwrap();
    assert!(heads.lines().any(|line| line.contains("\"workspace\":\"main\",\"seq\":5")), "{heads}");
    let kept = place.file("heads", &heads);
    let verify = || answer(&place.run(["audit", "verify", "--json", "--heads", kept.to_str().unwrap()]));
    noted(&place, 2);
    assert_eq!(verify().0, 0, "the log has gone on");
    // Whoever may write to the database also makes its own head fit.
    let cut = "DELETE FROM audit_log WHERE seq > 3;
        UPDATE audit_heads SET (seq, hash) = (SELECT seq, hash FROM audit_log WHERE seq = 3) WHERE workspace_id = 'main'";
    rusqlite::Connection::open(place.database()).unwrap().execute_batch(cut).unwrap();
    assert_eq!(answer(&place.run(["audit", "verify", "--json"])).0, 0, "by itself it looks whole");
    let (code, found) = verify();
    assert_eq!(code, 1);
    assert!(found.to_string().contains("its end was cut off"), "{found}");
    noted(&place, 4);
    let (code, found) = verify();
    assert_eq!(code, 1);
    assert!(found.to_string().contains("not the one that was kept"), "{found}");
}

#[test]
fn sto_3_audit_export_gives_lines_and_cells() {
    let place = Place::with_workspace();
    noted(&place, 3);
    let lines = String::from_utf8(place.run(["audit", "export"]).stdout).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        lines.iter().map(|line| line["entry"]["detail"]["n"].as_u64()).collect::<Vec<_>>(),
        [Some(3), Some(2), Some(1)]
    );
    let csv = String::from_utf8(place.run(["audit", "export", "--format", "csv"]).stdout).unwrap();
    assert!(csv.starts_with("seq,at_ms,event,user_id,") && csv.lines().count() == 4, "{csv}");
    let server = place.run(["audit", "export", "--server"]).stdout;
    assert!(server.is_empty());
}

#[test]
fn auth_6_an_export_of_data_is_noted() {
    let place = Place::with_workspace();
    assert!(place.run(["export", "--entity", "leads", "--format", "json"]).status.success());
    let lines = String::from_utf8(place.run(["audit", "export"]).stdout).unwrap();
    let entry: Value = serde_json::from_str(&lines).unwrap();
    assert_eq!((&entry["entry"]["event"], &entry["entry"]["subject"]), (&"export".into(), &"leads".into()));
}
