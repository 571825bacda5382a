use std::fs;
use std::path::Path;

use serde_json::json;
use syncline_core::storage::Store as _;
use syncline_core::storage::contract::{id, workspace};

use crate::common::{assert_consistent, new_world, put, reopen};

/// What a machine that loses power would find: the database and as much of its log as had reached the disk.
fn image(from: &Path, to: &Path, wal_bytes: Option<usize>) {
    fs::copy(from, to).unwrap();
    let wal = fs::read(from.with_extension("sqlite-wal")).unwrap();
    let kept = wal_bytes.unwrap_or(wal.len()).min(wal.len());
    fs::write(to.with_extension("sqlite-wal"), &wal[..kept]).unwrap();
}

#[test]
fn inv_2_a_crash_keeps_every_answered_commit() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("a.sqlite"), folder.path().join("b.sqlite"));
    let mut world = new_world(&path);
    for step in 1..=20_u64 {
        put(&mut world, u128::from(step % 5), json!({"size": step, "tags": ["t"], "code": step.to_string()}));
        if step % 7 == 0 {
            image(&path, &copy, None);
            let crashed = reopen(&copy);
            let head = crashed.read(assert_consistent);
            assert_eq!(head, step, "everything answered before the crash is there");
            assert_eq!(crashed.store.reader().check().unwrap().problems, [] as [&str; 0]);
        }
    }
}

#[test]
fn inv_2_a_torn_log_loses_only_whole_commits_from_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("a.sqlite"), folder.path().join("b.sqlite"));
    let mut world = new_world(&path);
    world.store.checkpoint().unwrap();
    for step in 1..=6_u64 {
        put(&mut world, 1, json!({"size": step, "note": "x".repeat(3_000)}));
    }
    let wal_bytes = fs::metadata(path.with_extension("sqlite-wal")).unwrap().len() as usize;
    let mut heads = std::collections::BTreeSet::new();
    for cut in (0..=wal_bytes).step_by(2_999).chain([wal_bytes]) {
        for suffix in ["sqlite", "sqlite-wal", "sqlite-shm"] {
            let _ = fs::remove_file(copy.with_extension(suffix));
        }
        image(&path, &copy, Some(cut));
        let mut crashed = reopen(&copy);
        let head = crashed.read(assert_consistent);
        assert_eq!(crashed.store.reader().check().unwrap().problems, [] as [&str; 0], "cut at {cut}");
        let size = crashed.record("things", id(1)).map(|record| record.fields["size"].clone());
        assert_eq!(size, (head > 0).then(|| json!(head)), "cut at {cut}: record and head are of one moment");
        put(&mut crashed, 2, json!({"size": 0}));
        assert_eq!(crashed.head().seq, head + 1, "cut at {cut}: it goes on");
        heads.insert(head);
    }
    assert_eq!(heads, (0..=6).collect(), "the cuts met every commit");
}

#[test]
fn inv_2_reopening_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sqlite");
    let mut world = new_world(&path);
    (1..=3).for_each(|bits| put(&mut world, bits, json!({"size": bits as u64})));
    world.store.begin_epoch(&workspace(), 1).unwrap();
    let (head, record) = (world.head(), world.record("things", id(2)));
    drop(world);
    let world = reopen(&path);
    assert_eq!((world.head(), world.record("things", id(2))), (head, record));
    assert_eq!(world.store.workspaces().unwrap(), [workspace()]);
}
