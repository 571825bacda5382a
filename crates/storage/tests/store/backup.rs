use std::path::Path;

use rusqlite::Connection;
use serde_json::json;
use syncline_core::id::{BackendId, WorkspaceId};
use syncline_core::storage::contract::{id, schema, workspace};
use syncline_core::storage::{EpochError, Store as _, StoreError, epoch_base};
use syncline_storage::RestoreError;
use syncline_storage::sqlite::{Restore, epoch_of, restore};

use crate::common::{new_world, put, reopen};

/// A restore of a backup that was never brought back before.
fn once<'a>(backup: &'a Path, target: &'a Path) -> Restore<'a> {
    Restore { backup, target, epoch_used: 0, epoch: None }
}

#[test]
fn epo_1_a_backup_is_one_moment_and_its_restore_a_new_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("a.sqlite"), folder.path().join("backup.sqlite"));
    let target = folder.path().join("restored.sqlite");
    let mut world = new_world(&path);
    world.store.create_workspace(&WorkspaceId::new("other").unwrap(), BackendId::from_u128(2)).unwrap();
    for bits in 0..400 {
        put(&mut world, bits, json!({"size": bits as u64, "note": "n".repeat(2_000), "tags": ["t"]}));
    }
    let before = world.head().seq;
    let (mut reports, reader) = (Vec::new(), world.store.reader());
    reader
        .backup(&copy, |at| {
            put(&mut world, 1, json!({"size": 0}));
            reports.push(at);
        })
        .unwrap();
    let last = reports.last().unwrap();
    assert_eq!(last.pages_done, last.pages_total, "{reports:?}");
    assert!(world.head().seq > before, "writers went on");
    let again = world.store.reader().backup(&copy, |_| {});
    assert!(again.is_err_and(|error| format!("{error:?}").contains("exists already")), "a backup overwrites nothing");

    let epochs = restore(once(&copy, &target), schema(), Default::default()).unwrap();
    assert_eq!(epochs, [(workspace(), 1), (WorkspaceId::new("other").unwrap(), 1)]);
    let mut restored = reopen(&target);
    assert_eq!(restored.head().seq, epoch_base(1));
    let log = restored.read(|read| read.log(0, u64::MAX, 9_999));
    assert_eq!(log.len() as u64, before, "what was committed when the backup began, and nothing later");
    assert_eq!(restored.record("things", id(7)).unwrap().fields["size"], json!(7));
    assert_eq!(restored.store.reader().check().unwrap().problems, [] as [&str; 0]);
    put(&mut restored, 1, json!({"size": 5}));
    let chain = restored.store.reader().verify_chain(&workspace()).unwrap();
    assert_eq!((chain.problem, chain.entries), (None, before + 1), "the chain goes on across the epoch");
    let onto = restore(once(&copy, &target), schema(), Default::default());
    assert!(onto.is_err(), "a restore overwrites nothing");
    let leftovers: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(leftovers.iter().all(|name| !name.to_string_lossy().contains("partial")), "{leftovers:?}");
}

#[test]
fn epo_2_a_restore_begins_an_epoch_that_nobody_has_used() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("a.sqlite"), folder.path().join("backup.sqlite"));
    let other = WorkspaceId::new("other").unwrap();
    let mut world = new_world(&path);
    world.store.begin_epoch(&workspace(), 4).unwrap();
    world.store.create_workspace(&other, BackendId::from_u128(2)).unwrap();
    put(&mut world, 1, json!({"size": 1}));
    world.store.reader().backup(&copy, |_| {}).unwrap();
    world.store.begin_epoch(&other, 6).unwrap();
    assert_eq!(epoch_of(&path).unwrap(), 6, "of all workspaces the highest, while a writer has it open");
    let cases = [
        ("after the backup's", 0, None, Ok(5)),
        ("after that of the database it replaces", 6, None, Ok(7)),
        ("the backup's is higher", 2, None, Ok(5)),
        ("chosen", 6, Some(9), Ok(9)),
        ("chosen too low", 6, Some(6), Err(EpochError::Used { epoch: 6, last: 6 })),
        ("chosen below the backup's", 0, Some(4), Err(EpochError::Used { epoch: 4, last: 4 })),
    ];
    for (name, epoch_used, epoch, expect) in cases {
        let target = folder.path().join(name);
        let done = restore(Restore { epoch_used, epoch, ..once(&copy, &target) }, schema(), Default::default());
        match (done, expect) {
            (Ok(epochs), Ok(epoch)) => {
                assert_eq!(epochs, [(workspace(), epoch), (other.clone(), epoch)], "{name}: all workspaces the same");
                let mut restored = reopen(&target);
                put(&mut restored, 1, json!({"size": 2}));
                let chain = restored.store.reader().verify_chain(&workspace()).unwrap();
                assert_eq!(
                    (chain.problem, chain.entries),
                    (None, 2),
                    "{name}: the chain goes on across left out epochs"
                );
            }
            (Err(RestoreError::Epoch(error)), Err(expect)) => {
                assert_eq!(error, expect, "{name}");
                assert!(!target.exists(), "{name}: nothing is left under the name");
            }
            (done, expect) => panic!("{name}: {done:?} instead of {expect:?}"),
        }
    }
}

#[test]
fn aud_1_every_kind_of_tampering_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sqlite");
    let mut world = new_world(&path);
    (1..=6).for_each(|bits| put(&mut world, bits, json!({"size": bits as u64, "code": bits.to_string()})));
    let pristine = folder.path().join("pristine.sqlite");
    world.store.reader().backup(&pristine, |_| {}).unwrap();
    let report = world.store.reader().verify_chain(&workspace()).unwrap();
    assert_eq!((report.problem, report.entries, report.chain), (None, 6, world.head().chain));
    let damages = [
        ("UPDATE sync_log SET entry = replace(entry, '\"size\":3', '\"size\":4') WHERE seq = 3", "entry 3"),
        ("UPDATE sync_log SET hash = (SELECT hash FROM sync_log WHERE seq = 1) WHERE seq = 2", "entry 2"),
        ("DELETE FROM sync_log WHERE seq = 4", "5 follows 3"),
        ("DELETE FROM sync_log WHERE seq = 6", "ends at 5"),
        ("DELETE FROM sync_log", "ends at 0"),
        ("UPDATE sync_log SET seq = 7 WHERE seq = 6", "7 follows 5"),
        ("UPDATE sync_workspaces SET chain = replace(chain, substr(chain, 1, 1), 'x')", "ends at"),
        ("UPDATE sync_scopes SET sum = sum + 1", "has digest"),
        ("UPDATE sync_records SET rv = 99 WHERE rv = 2", "has digest"),
        ("DELETE FROM things WHERE code = '3'", "5 rows but 6 live"),
        ("UPDATE OR IGNORE sync_keys SET key = '[\"1\"]' WHERE key = '[\"2\"]'", "have several records"),
    ];
    for (number, (damage, notice)) in damages.into_iter().enumerate() {
        let copy = folder.path().join(format!("{number}.sqlite"));
        std::fs::copy(&pristine, &copy).unwrap();
        let conn = Connection::open(&copy).unwrap();
        assert_ne!(conn.execute(damage, []).unwrap(), 0, "{damage}");
        drop(conn);
        let problems = reopen(&copy).store.reader().check().unwrap().problems;
        assert!(problems.iter().any(|problem| problem.contains(notice)), "{damage}: {problems:?}");
        let target = folder.path().join(format!("{number}-restored.sqlite"));
        let restored = restore(once(&copy, &target), schema(), Default::default());
        assert!(
            matches!(restored, Err(RestoreError::Store(StoreError::Corrupt(_)))),
            "{damage}: a damaged backup is not restored"
        );
        assert!(!target.exists(), "{damage}: and leaves nothing behind under the name");
    }
}

#[test]
fn aud_1_the_chain_verifies_across_compactions_and_epochs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sqlite");
    let mut world = new_world(&path);
    let verify = |world: &syncline_core::storage::contract::World<syncline_storage::SqliteStore>| {
        let report = world.store.reader().verify_chain(&workspace()).unwrap();
        assert_eq!(report.problem, None);
        (report.after, report.entries)
    };
    assert_eq!(verify(&world), (0, 0), "an empty log");
    (1..=9).for_each(|bits| put(&mut world, bits, json!({"size": bits as u64})));
    world.store.compact(&workspace(), 4).unwrap();
    assert_eq!(verify(&world), (4, 5));
    world.store.compact(&workspace(), 9).unwrap();
    assert_eq!(verify(&world), (9, 0), "everything forgotten");
    world.store.begin_epoch(&workspace(), 1).unwrap();
    assert_eq!(verify(&world), (9, 0), "a new epoch without an entry");
    put(&mut world, 1, json!({"size": 1}));
    world.store.begin_epoch(&workspace(), 2).unwrap();
    assert_eq!(verify(&world), (9, 1), "two epochs");
    put(&mut world, 1, json!({"size": 2}));
    assert_eq!(verify(&world), (9, 2));
    world.store.compact(&workspace(), u64::MAX).unwrap();
    assert_eq!(verify(&world), (epoch_base(2) + 1, 0));
    let seqs = world.read(|read| read.head());
    assert_eq!(seqs.min_seq, seqs.seq);
}
