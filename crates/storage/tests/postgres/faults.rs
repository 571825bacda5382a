//! Connections that break, at the worst moments.

use std::time::{Duration, Instant};

use serde_json::json;
use syncline_core::storage::contract::{self, CLIENT, id, workspace};
use syncline_core::storage::{Store as _, StoreError, Wanted, WriteSet};
use syncline_storage::{PostgresOptions, PostgresStore};

use crate::proxy::{Proxy, Trap};
use crate::server::{Cluster, TestDatabase};
use crate::{SCOPE, assert_consistent, fields, new_world, on, open, options, put};

/// The whole command: `READ COMMITTED` is none.
const COMMIT: &[u8] = b"COMMIT\0";

/// A world whose store talks through a proxy, with one thing in it.
fn behind_a_proxy() -> (TestDatabase, Proxy, contract::World<PostgresStore>) {
    let (database, mut direct) = new_world();
    put(&mut direct, 1, json!({"size": 0}));
    let proxy = Proxy::start(database.address());
    let store = open(&database.at_port(proxy.port));
    (database, proxy, on(store))
}

#[test]
fn inv_3_a_lost_answer_to_a_commit_that_happened_is_a_success() {
    let (_database, proxy, mut world) = behind_a_proxy();
    proxy.set_trap(Trap { text: COMMIT, is_delivered: true });
    let mut plans = 0;
    world.commit(|draft| {
        plans += 1;
        draft.mutation();
        draft.put("things", id(1), SCOPE, fields(json!({"size": 1})));
    });
    assert!(proxy.is_sprung());
    assert_eq!((world.read(assert_consistent), plans), (2, 1), "it was committed once, and not planned again");
    put(&mut world, 1, json!({"size": 2}));
    assert_eq!(world.read(assert_consistent), 3, "and the store goes on");
}

#[test]
fn inv_3_a_commit_that_never_arrived_is_done_again() {
    let (_database, proxy, mut world) = behind_a_proxy();
    proxy.set_trap(Trap { text: COMMIT, is_delivered: false });
    let mut plans = 0;
    world.commit(|draft| {
        plans += 1;
        draft.mutation();
        draft.put("things", id(1), SCOPE, fields(json!({"size": 1})));
    });
    assert!(proxy.is_sprung());
    assert_eq!((world.read(assert_consistent), plans), (2, 2), "once, though planned twice");
    assert_eq!(world.record("things", id(1)).unwrap().fields["size"], 1);
}

#[test]
fn inv_3_a_lost_answer_is_understood_when_others_have_gone_on() {
    let (database, proxy, mut world) = behind_a_proxy();
    let mut other = on(open(&database.url));
    for is_delivered in [true, false] {
        proxy.set_trap(Trap { text: COMMIT, is_delivered });
        std::thread::scope(|scope| {
            // It gets the lock as soon as the server has ended the other's transaction, often before that one asks.
            let others = scope.spawn(|| (0..5).for_each(|step| put(&mut other, 2, json!({"size": step}))));
            put(&mut world, 1, json!({"size": 7}));
            others.join().unwrap();
        });
        assert!(proxy.is_sprung());
    }
    assert_eq!(world.read(assert_consistent), 1 + 2 * 6, "nothing lost, nothing twice");
}

#[test]
fn inv_3_a_lost_answer_to_a_refusal_is_resolved_too() {
    let (_database, proxy, mut world) = behind_a_proxy();
    for (round, is_delivered) in [true, false].into_iter().enumerate() {
        proxy.set_trap(Trap { text: COMMIT, is_delivered });
        world.commit(|draft| draft.rejection(CLIENT));
        assert!(proxy.is_sprung());
        assert_eq!(world.read(|read| read.rejected(9)).len(), round + 1);
    }
    assert_eq!(world.head().seq, 1);
}

#[test]
fn sto_1_a_connection_lost_before_the_commit_is_begun_anew() {
    let (_database, proxy, mut world) = behind_a_proxy();
    let moments: [&'static [u8]; 3] = [b"FOR UPDATE", b"sync_outcomes", b"BEGIN"];
    for text in moments {
        for is_delivered in [true, false] {
            proxy.set_trap(Trap { text, is_delivered });
            put(&mut world, 1, json!({"size": 1}));
            assert!(proxy.is_sprung());
        }
    }
    assert_eq!(world.read(assert_consistent), 7);
    proxy.set_trap(Trap { text: b"BEGIN", is_delivered: false });
    assert_eq!(world.read(assert_consistent), 7, "a read that has not begun is begun anew");
}

/// Ends the one transaction that is open.
fn kill(database: &TestDatabase) {
    let sql = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
        WHERE datname = current_database() AND state = 'idle in transaction'";
    assert_eq!(database.query(sql), ["t"], "one transaction is open");
}

#[test]
fn sto_1_a_backend_killed_in_the_middle_of_a_plan_is_replaced() {
    let (database, mut world) = new_world();
    let mut kills = 0;
    // Noticed by a read of the plan, which says so.
    let read = world.store.transact(&workspace(), &Wanted::default(), |read| {
        if kills < 2 {
            kills += 1;
            kill(&database);
        }
        Ok((WriteSet::default(), read.record("things", id(1))?))
    });
    assert_eq!((read.unwrap(), kills), (None, 2));
    // Noticed only when the plan is applied.
    world.commit(|draft| {
        draft.mutation();
        draft.put("things", id(1), SCOPE, fields(json!({"size": kills})));
        if kills < 4 {
            kills += 1;
            kill(&database);
        }
    });
    assert_eq!((world.read(assert_consistent), kills), (1, 4));
    let mut plans = 0;
    let error = world.store.transact(&workspace(), &Wanted::default(), |_| {
        plans += 1;
        Err::<(WriteSet, ()), _>(StoreError::Unavailable("the plan's own".to_owned()))
    });
    assert!(matches!(error, Err(StoreError::Unavailable(text)) if text == "the plan's own"));
    assert_eq!(plans, 1, "what a plan itself refuses is not tried again");
}

#[test]
fn sto_1_a_lock_that_is_not_released_means_try_again_later() {
    let (database, world) = new_world();
    let options = PostgresOptions { lock_timeout_ms: 50, retry_ms: 400, ..options() };
    let mut patient = on(PostgresStore::open(&database.url, contract::schema(), options).unwrap());
    let (mut holder, mut seen) = (world, None);
    holder.commit(|draft| {
        let refused = patient.try_commit(&workspace(), |draft| _ = draft.mutation());
        seen = Some(refused.map_err(|error| error.to_string()));
        draft.mutation();
    });
    let said = seen.unwrap().unwrap_err();
    assert!(said.contains("unavailable") && said.contains("lock"), "{said}");
    put(&mut patient, 1, json!({"size": 1}));
    assert_eq!(patient.read(assert_consistent), 2);
}

#[test]
fn sto_1_a_node_that_stands_still_in_a_transaction_holds_the_others_up_for_seconds_only() {
    let (database, _world) = new_world();
    let node = || on(PostgresStore::open(&database.url, contract::schema(), PostgresOptions::default()).unwrap());
    let (mut frozen, mut other, mut waited) = (node(), node(), None);
    frozen.commit(|draft| {
        draft.mutation();
        draft.put("things", id(1), SCOPE, fields(json!({"size": 1})));
        // It has the workspace's lock, and does nothing until the other one has had it.
        waited.get_or_insert_with(|| {
            let started = now();
            put(&mut other, 2, json!({"size": 1}));
            started.elapsed()
        });
    });
    let waited = waited.unwrap();
    assert!(waited < Duration::from_secs(5), "the other one waited for {waited:?}");
    println!("the other one waited for {waited:?}");
    assert_eq!(frozen.read(assert_consistent), 2, "what it was about to write is begun anew");
}

#[test]
fn sto_1_a_silent_connection_is_given_up_soon_and_the_others_with_it() {
    let (database, _direct) = new_world();
    let proxy = Proxy::start(database.address());
    let options = PostgresOptions { lock_timeout_ms: 100, ..options() };
    let url = database.at_port(proxy.port);
    let mut world = on(PostgresStore::open(&url, contract::schema(), options).unwrap());
    let reader = world.store.reader();
    let two_at_once = || reader.read(&workspace(), |_| reader.read(&workspace(), |read| read.head()));
    two_at_once().unwrap();
    // Meanwhile both connections are back in their pool.
    (0..20).for_each(|size| put(&mut world, 1, json!({"size": size})));
    proxy.silence();
    let started = now();
    put(&mut world, 1, json!({"size": 77}));
    let noticed = started.elapsed();
    two_at_once().unwrap();
    assert_eq!(world.read(assert_consistent), 21);
    let all = started.elapsed();
    // A hundred milliseconds for a lock and two seconds for the answer; whoever comes after that does not wait as long again.
    assert!(noticed < Duration::from_secs(4) && all - noticed < Duration::from_secs(1), "{noticed:?}, {all:?}");
}

#[test]
fn sto_1_a_silent_reader_gives_its_place_in_the_pool_back() {
    let (database, _direct) = new_world();
    let proxy = Proxy::start(database.address());
    let options = PostgresOptions { lock_timeout_ms: 100, readers_max: 1, ..options() };
    let url = database.at_port(proxy.port);
    let world = on(PostgresStore::open(&url, contract::schema(), options).unwrap());
    world.head();
    proxy.silence();
    let started = now();
    world.head();
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[expect(clippy::disallowed_methods, reason = "what is tested is how long it takes")]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn sto_1_a_broken_reference_is_refused_by_the_database_too() {
    let (_database, mut world) = new_world();
    let dangling = fields(json!({"thing_id": id(77).to_string()}));
    let refused = world.try_commit(&workspace(), |draft| {
        draft.mutation();
        draft.put("things", id(1), SCOPE, fields(json!({"size": 1})));
        draft.put("parts", id(2), SCOPE, dangling.clone());
    });
    assert!(matches!(refused, Err(StoreError::Database(_))), "{refused:?}");
    assert_eq!(world.record("things", id(1)), None, "nothing of the commit happened");
    put(&mut world, 1, json!({"size": 1}));
    assert_eq!(world.read(assert_consistent), 1);
}

#[test]
fn sto_1_a_panic_in_a_plan_leaves_nothing() {
    let (_database, mut world) = new_world();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        world.commit(|draft| {
            draft.mutation();
            panic!("planned");
        });
    }));
    assert!(panicked.is_err());
    put(&mut world, 1, json!({"size": 1}));
    assert_eq!(world.read(assert_consistent), 1);
}

#[test]
fn inv_3_a_server_that_crashes_and_comes_back_has_everything() {
    let folder = tempfile::tempdir().unwrap();
    // PostgreSQL's own account has to get in.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let cluster = Cluster::start(folder.path().join("cluster"));
    let database = TestDatabase::on(&cluster.url());
    let mut world = contract::World::new(contract::schema(), open(&database.url));
    let (reader, auth) = (world.store.reader(), world.store.auth());
    put(&mut world, 1, json!({"size": 1}));
    auth.kv_put(None, "secret", b"kept").unwrap();
    std::thread::scope(|scope| {
        cluster.down();
        // Written while nobody is there, and waiting for it.
        let waiting = scope.spawn(|| put(&mut world, 2, json!({"size": 2})));
        cluster.up();
        waiting.join().unwrap();
    });
    assert_eq!(reader.read(&workspace(), assert_consistent).unwrap(), 2);
    assert_eq!(auth.kv_get(None, "secret").unwrap().as_deref(), Some(&b"kept"[..]));
    drop(database);
    cluster.down();
    let options = PostgresOptions { retry_ms: 200, ..options() };
    let gone = PostgresStore::open(&crate::server::parse(&cluster.url()), contract::schema(), options).map(drop);
    assert!(matches!(&gone, Err(StoreError::Unavailable(text)) if text.contains("cannot be reached")), "{gone:?}");
}
