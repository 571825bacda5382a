use rusqlite::Connection;
use serde_json::json;
use syncline_core::storage::StoreError;
use syncline_core::storage::contract::{id, workspace};

use crate::common::{SCOPE, assert_consistent, fields, new_world, put, reopen};

#[test]
fn sto_1_a_lock_held_by_another_process_means_try_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sqlite");
    drop(new_world(&path));
    let options = syncline_storage::SqliteOptions { busy_timeout_ms: 1, ..Default::default() };
    let schema = syncline_core::storage::contract::schema();
    let store = syncline_storage::SqliteStore::open(&path, schema.clone(), options).unwrap();
    let mut world = syncline_core::storage::contract::World { store, schema };
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = world.try_commit(&workspace(), |draft| _ = draft.mutation());
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert_eq!(world.read(assert_consistent), 0, "reading goes on meanwhile");
    other.execute_batch("ROLLBACK").unwrap();
    put(&mut world, 1, json!({"size": 1}));
    assert_eq!(world.head().seq, 1);
}

#[test]
fn sto_1_a_broken_reference_is_refused_by_the_database_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sqlite");
    let mut world = new_world(&path);
    let dangling = fields(json!({"thing_id": id(77).to_string()}));
    let refused = world.try_commit(&workspace(), |draft| {
        draft.mutation();
        draft.put("things", id(1), SCOPE, fields(json!({"size": 1})));
        draft.put("parts", id(2), SCOPE, dangling.clone());
    });
    assert!(matches!(refused, Err(StoreError::Database(_))), "{refused:?}");
    assert_eq!(world.record("things", id(1)), None, "nothing of the commit happened");
    let kept = |draft: &mut syncline_core::storage::contract::Draft<'_>| {
        draft.mutation();
        draft.put("traces", id(3), SCOPE, dangling.clone());
    };
    world.commit(kept);
    assert_eq!(world.read(assert_consistent), 1, "a reference that is kept may dangle, and the store goes on");
}

#[test]
fn sto_1_a_panic_in_a_plan_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sqlite");
    let mut world = new_world(&path);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        world.commit(|draft| {
            draft.mutation();
            panic!("planned");
        });
    }));
    assert!(panicked.is_err());
    put(&mut world, 1, json!({"size": 1}));
    assert_eq!(world.read(assert_consistent), 1, "the next commit finds a clean connection");
}

#[test]
fn sto_1_a_damaged_file_is_called_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sqlite");
    let mut world = new_world(&path);
    (0..200).for_each(|bits| put(&mut world, bits, json!({"size": bits as u64, "note": "n".repeat(500)})));
    drop(world);
    let mut bytes = std::fs::read(&path).unwrap();
    let len = bytes.len();
    bytes[len / 4..].iter_mut().for_each(|byte| *byte = 0xff);
    std::fs::write(&path, bytes).unwrap();
    let opened =
        syncline_storage::SqliteStore::open(&path, syncline_core::storage::contract::schema(), Default::default());
    let noticed = match opened {
        Err(error) => vec![error.to_string()],
        Ok(store) => match store.reader().check() {
            Err(error) => vec![error.to_string()],
            Ok(report) => report.problems,
        },
    };
    assert!(!noticed.is_empty(), "damage is noticed");
    std::fs::write(&path, b"this was never a database, but it is longer than a header of SQLite would be: ".repeat(20))
        .unwrap();
    let opened =
        syncline_storage::SqliteStore::open(&path, syncline_core::storage::contract::schema(), Default::default());
    assert!(matches!(opened.err(), Some(StoreError::Corrupt(_))));
}

#[test]
fn sto_3_a_stored_value_of_the_wrong_kind_is_called_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sqlite");
    let mut world = new_world(&path);
    put(&mut world, 1, json!({"extra": {"a": 1}, "is_hot": true}));
    let other = Connection::open(&path).unwrap();
    for damage in ["extra = 'not json'", "extra = NULL, is_hot = 7"] {
        other.execute_batch(&format!("UPDATE things SET {damage}")).unwrap();
        let read = reopen(&path).store.reader().read(&workspace(), |read| read.record("things", id(1)));
        assert!(matches!(read, Err(StoreError::Corrupt(_))), "{damage}: {read:?}");
    }
    other.execute_batch("DELETE FROM things").unwrap();
    let read = world.store.reader().read(&workspace(), |read| read.record("things", id(1)));
    assert!(matches!(read, Err(StoreError::Corrupt(_))), "a live record without a row: {read:?}");
    let problems = world.store.reader().check().unwrap().problems;
    assert!(problems.iter().any(|problem| problem.contains("0 rows but 1 live")), "{problems:?}");
}
