use serde_json::Value;

use crate::sample::leads_csv;
use crate::{Place, answer};

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
