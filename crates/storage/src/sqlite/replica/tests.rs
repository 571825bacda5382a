use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use syncline_core::id::{RecordId, ScopeId};
use syncline_core::replica::{BaseRecord, ReplicaError, ReplicaStore, ReplicaWrites, contract};
use syncline_core::schema::Schema;
use syncline_core::storage::contract as suite;

use super::SqliteReplica;

fn record(n: u128, note: &str) -> BaseRecord {
    let fields = serde_json::from_value(json!({"size": 3, "note": note})).unwrap();
    BaseRecord { entity: "things".into(), id: RecordId::from_u128(n), rv: 5, scope: ScopeId::WORKSPACE, fields }
}

fn puts(records: impl IntoIterator<Item = BaseRecord>) -> ReplicaWrites {
    ReplicaWrites { base_put: records.into_iter().collect(), ..ReplicaWrites::default() }
}

#[test]
fn inv_11_sqlite_passes_the_replica_contract() {
    let mut folders = Vec::new();
    contract::run(|schema| {
        let folder = tempfile::tempdir().unwrap();
        let replica = SqliteReplica::open(folder.path(), schema.clone()).unwrap();
        folders.push(folder);
        replica
    });
}

#[test]
fn rpl_2_a_full_disk_leaves_nothing_and_the_store_usable() {
    let folder = tempfile::tempdir().unwrap();
    let mut replica = SqliteReplica::open(folder.path(), suite::schema()).unwrap();
    replica.write(puts([record(1, "kept")])).unwrap();
    let pages: i64 = replica.conn.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    replica.conn.execute_batch(&format!("PRAGMA max_page_count = {}", pages + 2)).unwrap();
    let refused = replica.write(puts((2..100).map(|n| record(n, &"x".repeat(10_000)))));
    assert!(matches!(refused, Err(ReplicaError::Full)), "{refused:?}");
    assert_eq!(replica.base_count("things").unwrap(), 1);
    replica.conn.execute_batch("PRAGMA max_page_count = 1000000").unwrap();
    replica.write(puts([record(2, "later")])).unwrap();
    assert_eq!(replica.base_count("things").unwrap(), 2);
}

#[test]
fn rev_2_a_wipe_leaves_nothing_to_read_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut replica = SqliteReplica::open(folder.path(), suite::schema()).unwrap();
    replica.write(puts((1..500).map(|n| record(n, "a very secret note")))).unwrap();
    replica.write(ReplicaWrites { wipe: true, ..ReplicaWrites::default() }).unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(11).any(|window| window == b"secret note"));
    }
    replica.write(puts([record(1, "later")])).unwrap();
    assert_eq!(replica.base_count("things").unwrap(), 1);
}

#[test]
fn vew_5_what_was_written_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let mut replica = SqliteReplica::open(folder.path(), suite::schema()).unwrap();
    replica.write(puts([record(1, "a")])).unwrap();
    drop(replica);
    let replica = SqliteReplica::open(folder.path(), suite::schema()).unwrap();
    assert_eq!(replica.base("things", RecordId::from_u128(1)).unwrap(), Some(record(1, "a")));
    assert!(!replica.is_cloned());
}

#[test]
fn id_2_a_second_process_is_locked_out() {
    let folder = tempfile::tempdir().unwrap();
    let replica = SqliteReplica::open(folder.path(), suite::schema()).unwrap();
    let second = SqliteReplica::open(folder.path(), suite::schema());
    assert!(matches!(second, Err(ReplicaError::Locked)), "{second:?}");
    drop(replica);
    assert!(SqliteReplica::open(folder.path(), suite::schema()).is_ok());
}

#[test]
fn id_2_a_copied_database_is_known_as_a_clone_until_adopted() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(SqliteReplica::open(first.path(), suite::schema()).unwrap());
    let copy = second.path().join("replica.sqlite");
    std::fs::copy(first.path().join("replica.sqlite"), copy).unwrap();
    let mut replica = SqliteReplica::open(second.path(), suite::schema()).unwrap();
    assert!(replica.is_cloned(), "copied without its marker");
    drop(replica);
    replica = SqliteReplica::open(second.path(), suite::schema()).unwrap();
    assert!(replica.is_cloned(), "still a clone after reopening");
    replica.adopt().unwrap();
    assert!(!replica.is_cloned());
    drop(replica);
    assert!(!SqliteReplica::open(second.path(), suite::schema()).unwrap().is_cloned());
    std::fs::write(first.path().join("marker"), "another\n").unwrap();
    assert!(SqliteReplica::open(first.path(), suite::schema()).unwrap().is_cloned(), "put back beside another marker");
}

#[test]
fn rpl_6_indexes_follow_a_changed_schema() {
    let schema = |extra: &str| {
        let text = format!(
            "version = 1\n[roles]\nagent = 30\n[entities.things]\ntier = \"normal\"\nscope = [\"workspace\"]\ncreate = \"agent\"\nupdate = \"agent\"\ndelete = \"agent\"\n[entities.things.fields]\nsize = {{ type = \"integer\"{extra} }}\nnote = {{ type = \"text\" }}\n"
        );
        Arc::new(Schema::parse(&text, "schema.toml").unwrap())
    };
    let folder = tempfile::tempdir().unwrap();
    let mut replica = SqliteReplica::open(folder.path(), schema("")).unwrap();
    replica.write(puts([record(1, "a")])).unwrap();
    assert!(replica.base_find("things", "size", &json!(3), 9).is_err());
    drop(replica);
    let replica = SqliteReplica::open(folder.path(), schema(", indexed = true")).unwrap();
    assert_eq!(replica.base_find("things", "size", &json!(3), 9).unwrap(), [RecordId::from_u128(1)]);
}

/// Bulk loading: the least that a first sync needs, with a wide margin for a loaded machine.
#[test]
#[expect(clippy::disallowed_methods, reason = "measures real time")]
fn snp_3_pages_of_leads_are_stored_fast() {
    let text = include_str!("../../../../../schema/crm.toml");
    let schema = Arc::new(Schema::parse(text, "schema/crm.toml").unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut replica = SqliteReplica::open(folder.path(), schema).unwrap();
    let lead = |n: u128| {
        let contact = RecordId::from_u128(n << 3).to_string();
        let fields = json!({
            "contact_id": contact, "is_primary": true, "lead_source": "web form", "product_interest": "Roof repair",
            "market": "north", "temperature": "warm", "priority": "medium", "estimated_value": "12500.00",
            "currency": "USD", "owner_id": RecordId::from_u128(n % 40).to_string(), "external_id": format!("crm-{n}"),
            "status_option_id": RecordId::from_u128(n % 9).to_string(), "created_at": "2026-11-21T09:30:00.000Z",
        });
        let fields = serde_json::from_value(fields).unwrap();
        BaseRecord {
            entity: "leads".into(),
            id: RecordId::from_u128(n << 40),
            rv: 7,
            scope: ScopeId::WORKSPACE,
            fields,
        }
    };
    let pages = (0..4u128).map(|page| puts((1..=10_000).map(|n| lead(page * 10_000 + n)))).collect::<Vec<_>>();
    let started = std::time::Instant::now();
    pages.into_iter().for_each(|page| replica.write(page).unwrap());
    let elapsed = started.elapsed();
    println!("{:.0} leads/s", 40_000.0 / elapsed.as_secs_f64());
    assert_eq!(replica.base_count("leads").unwrap(), 40_000);
    assert!(elapsed < Duration::from_secs(20), "40,000 leads took {elapsed:?}");
}
