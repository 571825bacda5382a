use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::json;
use syncline_core::storage::Store as _;
use syncline_core::storage::contract::workspace;

use crate::common::{assert_consistent, new_world, put};

#[test]
fn sto_1_readers_see_whole_commits_while_the_writer_works() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = new_world(&folder.path().join("a.sqlite"));
    let reader = world.store.reader();
    let (is_done, reads) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let reader = reader.clone();
            scope.spawn(|| {
                let (reader, mut last) = (reader, 0);
                while !is_done.load(Ordering::Acquire) {
                    let head = reader.read(&workspace(), assert_consistent).unwrap();
                    assert!(head >= last, "a later read never sees less");
                    last = head;
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for step in 0..120_u64 {
            put(&mut world, u128::from(step % 40), json!({"size": step, "tags": [step.to_string()]}));
            if step % 30 == 0 {
                world.store.checkpoint().unwrap();
            }
            let seen = reader.read(&workspace(), |read| Ok(read.head()?.seq)).unwrap();
            assert_eq!(seen, step + 1, "what was answered is seen by every later read");
        }
        is_done.store(true, Ordering::Release);
    });
    assert!(reads.load(Ordering::Relaxed) > 0, "somebody read meanwhile");
}

#[test]
fn sto_1_a_read_stays_at_its_moment() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = new_world(&folder.path().join("a.sqlite"));
    put(&mut world, 1, json!({"size": 1}));
    let reader = world.store.reader();
    let seen = reader.read(&workspace(), |read| {
        put(&mut world, 1, json!({"size": 2}));
        put(&mut world, 2, json!({"size": 2}));
        assert_consistent(read)
    });
    assert_eq!(seen.unwrap(), 1, "commits during a read do not show in it");
    assert_eq!(world.read(assert_consistent), 3);
}

#[test]
fn sto_1_more_readers_than_connections_wait_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sqlite");
    drop(new_world(&path));
    let options = syncline_storage::SqliteOptions { readers_max: 1, ..Default::default() };
    let store =
        syncline_storage::SqliteStore::open(&path, syncline_core::storage::contract::schema(), options).unwrap();
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let (reader, done) = (store.reader(), &done);
            scope.spawn(move || {
                for _ in 0..20 {
                    reader.read(&workspace(), assert_consistent).unwrap();
                }
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    assert_eq!(done.load(Ordering::Relaxed), 8);
    let failed =
        store.read(&workspace(), |_| Err::<(), _>(syncline_core::storage::StoreError::Unavailable("x".into())));
    assert!(failed.is_err(), "an error gives the connection back");
    assert_eq!(store.read(&workspace(), assert_consistent).unwrap(), 0);
}

#[test]
fn sto_1_identity_is_written_beside_a_busy_writer() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = new_world(&folder.path().join("a.sqlite"));
    let auth = world.store.auth();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for round in 0..40_u64 {
                auth.kv_put(None, "round", &round.to_be_bytes()).unwrap();
                assert_eq!(auth.kv_get(None, "round").unwrap(), Some(round.to_be_bytes().to_vec()));
            }
        });
        for step in 0..100_u64 {
            put(&mut world, 1, json!({"size": step}));
        }
    });
    assert_eq!(world.read(assert_consistent), 100);
}
