//! Audit logs: chains that show what was tampered with, on every database.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "support/place.rs"]
mod place;
#[path = "support/postgres.rs"]
mod server;

use serde_json::json;
use syncline_core::id::{UserId, WorkspaceId};
use syncline_core::storage::contract;
use syncline_storage::sqlite::{AuditEntry, AuditQuery, AuditRow};
use syncline_storage::{Database, DatabaseAuth, DatabaseOptions, DatabaseUrl};
use uuid::Uuid;

use place::{NewPlace, Place};

struct Fixture {
    auth: DatabaseAuth,
    place: Place,
}

fn fixture(place: NewPlace) -> Fixture {
    let place = place();
    let auth = Database::open(&place.url(), contract::schema(), DatabaseOptions::default()).unwrap().auth();
    Fixture { auth, place }
}

place::on_every_database![
    sto_3_entries_are_chained_by_workspace_and_stored_once,
    sto_3_pages_are_filtered_and_newest_first,
    sto_3_what_was_pruned_leaves_its_anchor,
    sto_3_two_writers_share_a_chain,
];

fn acme() -> WorkspaceId {
    WorkspaceId::new("acme").unwrap()
}

fn entry(workspace_id: Option<WorkspaceId>, number: u64, event: &str, user: Option<u128>) -> AuditEntry {
    let (id, user_id) = (Uuid::from_u128(number.into()), user.map(UserId::from_u128));
    let entry =
        json!({"id": id, "at_ms": number, "event": event, "user_id": user_id, "detail": {"n": number, "t": "é\n"}});
    AuditEntry { workspace_id, id, at_ms: number, event: event.to_owned(), user_id, entry: entry.to_string() }
}

fn all() -> AuditQuery {
    AuditQuery { before_seq: None, event: None, user_id: None, from_ms: 0, to_ms: u64::MAX, limit: 100 }
}

fn seqs(rows: &[AuditRow]) -> Vec<u64> {
    rows.iter().map(|row| row.seq).collect()
}

fn sto_3_entries_are_chained_by_workspace_and_stored_once(place: NewPlace) {
    let Fixture { auth, place: _place } = fixture(place);
    assert_eq!(auth.verify_audit(Some(&acme()), None).unwrap().entries, 0, "an empty log is whole");
    let group: Vec<_> = (1..=5).map(|n| entry((n != 3).then(acme), n, "sign_in", None)).collect();
    auth.append_audit(&group).unwrap();
    auth.append_audit(&group[1..]).unwrap();
    let rows = auth.audit_page(Some(&acme()), &all()).unwrap();
    assert_eq!(seqs(&rows), [4, 3, 2, 1]);
    assert_eq!(rows[0].entry, group[4].entry, "as it was hashed");
    assert_eq!(seqs(&auth.audit_page(None, &all()).unwrap()), [1]);
    for (workspace, entries) in [(Some(acme()), 4), (None, 1)] {
        let report = auth.verify_audit(workspace.as_ref(), None).unwrap();
        assert_eq!((report.after, report.entries, report.problem), (0, entries, None));
    }
}

fn sto_3_pages_are_filtered_and_newest_first(place: NewPlace) {
    let Fixture { auth, place: _place } = fixture(place);
    let group: Vec<_> = (1..=10)
        .map(|n| entry(Some(acme()), n, if n % 2 == 0 { "sign_in" } else { "sign_out" }, Some(u128::from(n % 3))))
        .collect();
    auth.append_audit(&group).unwrap();
    let page = |query: AuditQuery| seqs(&auth.audit_page(Some(&acme()), &query).unwrap());
    assert_eq!(page(AuditQuery { limit: 3, ..all() }), [10, 9, 8]);
    assert_eq!(page(AuditQuery { limit: 3, before_seq: Some(8), ..all() }), [7, 6, 5]);
    assert_eq!(page(AuditQuery { event: Some("sign_in".to_owned()), ..all() }), [10, 8, 6, 4, 2]);
    assert_eq!(page(AuditQuery { user_id: Some(UserId::from_u128(1)), ..all() }), [10, 7, 4, 1]);
    assert_eq!(page(AuditQuery { from_ms: 4, to_ms: 6, ..all() }), [5, 4]);
    assert_eq!(seqs(&auth.audit_page(Some(&WorkspaceId::new("other").unwrap()), &all()).unwrap()), [0; 0]);
}

fn sto_3_what_was_pruned_leaves_its_anchor(place: NewPlace) {
    let Fixture { auth, place: _place } = fixture(place);
    let group: Vec<_> = (1..=6).map(|n| entry(Some(acme()), n * 10, "sign_in", None)).collect();
    auth.append_audit(&group).unwrap();
    assert_eq!(auth.prune_audit(Some(&acme()), 40, 2).unwrap(), 2);
    assert_eq!(auth.prune_audit(Some(&acme()), 40, 2).unwrap(), 1);
    assert_eq!(auth.prune_audit(Some(&acme()), 40, 2).unwrap(), 0);
    assert_eq!(auth.prune_audit(None, 40, 2).unwrap(), 0);
    auth.append_audit(&[entry(Some(acme()), 70, "sign_in", None)]).unwrap();
    let report = auth.verify_audit(Some(&acme()), None).unwrap();
    assert_eq!((report.after, report.entries, report.problem), (3, 4, None));
    assert_eq!(auth.prune_audit(Some(&acme()), u64::MAX, 100).unwrap(), 4);
    let report = auth.verify_audit(Some(&acme()), None).unwrap();
    assert_eq!((report.after, report.entries, report.problem), (7, 0, None), "an empty rest is whole too");
}

fn sto_3_two_writers_share_a_chain(place: NewPlace) {
    let Fixture { auth, place } = fixture(place);
    let other = match place.url() {
        // One process has one writer of identity per file.
        DatabaseUrl::Sqlite(_) => auth.clone(),
        url @ DatabaseUrl::Postgres(_) => {
            Database::open(&url, contract::schema(), DatabaseOptions::default()).unwrap().auth()
        }
    };
    std::thread::scope(|scope| {
        for (writer, auth) in [&auth, &other].into_iter().enumerate() {
            scope.spawn(move || {
                for n in 0..20 {
                    let number = 100 * (writer as u64 + 1) + n;
                    let group = [entry(Some(acme()), number, "sign_in", None), entry(None, number, "sign_in", None)];
                    auth.append_audit(&group).unwrap();
                }
            });
        }
    });
    for workspace in [Some(acme()), None] {
        let report = auth.verify_audit(workspace.as_ref(), None).unwrap();
        assert_eq!((report.entries, report.problem), (40, None));
    }
}

/// What somebody who can write to the database file may try.
#[test]
fn sto_3_every_kind_of_tampering_is_found_and_named() {
    let attacks = [
        (
            "UPDATE audit_log SET entry = replace(entry, 'sign_in', 'sign_out') WHERE seq = 3",
            "audit entry 3 was altered",
        ),
        ("UPDATE audit_log SET event = 'export' WHERE seq = 3", "audit entry 3 was altered"),
        (
            "UPDATE audit_log SET user_id = '00000000-0000-0000-0000-000000000009' WHERE seq = 3",
            "audit entry 3 was altered",
        ),
        ("UPDATE audit_log SET at_ms = 1 WHERE seq = 3", "audit entry 3 was altered"),
        (
            "UPDATE audit_log SET hash = (SELECT hash FROM audit_log WHERE seq = 2) WHERE seq = 3",
            "audit entry 3 was altered",
        ),
        ("DELETE FROM audit_log WHERE seq = 3", "audit entry 4 follows 2"),
        ("DELETE FROM audit_log WHERE seq = 5", "ends at 4, its head is 5"),
        ("DELETE FROM audit_log WHERE seq = 1", "audit entry 2 follows 0"),
        ("DELETE FROM audit_log", "ends at 0, its head is 5"),
    ];
    for (attack, expected) in attacks {
        let Fixture { auth, place } = fixture(Place::sqlite);
        let group: Vec<_> = (1..=5).map(|n| entry(Some(acme()), n, "sign_in", Some(1))).collect();
        auth.append_audit(&group).unwrap();
        let DatabaseUrl::Sqlite(path) = place.url() else { unreachable!("it is a folder") };
        rusqlite::Connection::open(path).unwrap().execute_batch(attack).unwrap();
        let problem = auth.verify_audit(Some(&acme()), None).unwrap().problem.unwrap_or_default();
        assert!(problem.contains(expected), "{attack}: {problem}");
    }
}
