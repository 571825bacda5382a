//! Several nodes on one database.

use serde_json::json;
use syncline_core::id::{BackendId, WorkspaceId};
use syncline_core::storage::Store as _;
use syncline_core::storage::contract::{self, id, workspace};
use syncline_storage::{Database, DatabaseUrl, PostgresStore};

use crate::proxy::Proxy;
use crate::server::TestDatabase;
use crate::{SCOPE, assert_consistent, fields, new_world, on, open, options, put};

#[test]
fn inv_2_concurrent_writers_of_a_workspace_number_without_gaps() {
    const WRITERS: u128 = 4;
    const WRITES: u128 = 25;
    let (database, world) = new_world();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let mut world = on(open(&database.url));
            scope.spawn(move || {
                for step in 0..WRITES {
                    world.commit(|draft| {
                        draft.mutation();
                        draft.put("things", id(100 * writer + step), SCOPE, fields(json!({"size": step as u64})));
                        draft.mutation();
                        let visits = draft.writes.head;
                        draft.put(
                            "things",
                            id(9_999),
                            SCOPE,
                            fields(json!({"visits": visits, "tags": [visits.to_string()]})),
                        );
                    });
                }
            });
        }
    });
    let reader = world.store.reader();
    let last = reader.read(&workspace(), assert_consistent).unwrap();
    assert_eq!(u128::from(last), 2 * WRITERS * WRITES, "nothing lost");
    assert_eq!(reader.check().unwrap().problems, [] as [&str; 0]);
    let shared = world.record("things", id(9_999)).unwrap();
    assert_eq!(shared.fields["visits"], last, "each plan saw what was committed before it");
    let found = world.read(|read| read.find("things", "tags", &json!(last.to_string()), 9));
    assert_eq!(found, [id(9_999)]);
}

#[test]
fn inv_2_workspaces_are_written_side_by_side() {
    let (database, mut first) = new_world();
    let other = WorkspaceId::new("other").unwrap();
    first.store.create_workspace(&other, BackendId::from_u128(1)).unwrap();
    let mut second = on(open(&database.url));
    first.commit(|draft| {
        // Within the first one's transaction: it does not wait for it.
        second.commit_in(&other, |draft| _ = draft.mutation());
        draft.mutation();
    });
    let heads = first.store.reader().heads().unwrap();
    assert_eq!(heads, [(workspace(), 1), (other, 1)]);
}

#[test]
fn sto_1_readers_see_whole_commits_while_another_node_writes() {
    let (database, mut world) = new_world();
    let reader = open(&database.url).reader();
    let is_done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut last = 0;
            while !is_done.load(std::sync::atomic::Ordering::Acquire) {
                let head = reader.read(&workspace(), assert_consistent).unwrap();
                assert!(head >= last, "a later read never sees less");
                last = head;
            }
        });
        for step in 0..40_u64 {
            put(&mut world, u128::from(step % 7), json!({"size": step, "tags": [step.to_string()]}));
            let seen = reader.read(&workspace(), |read| Ok(read.head()?.seq)).unwrap();
            assert_eq!(seen, step + 1, "what was answered is seen by every later read");
        }
        is_done.store(true, std::sync::atomic::Ordering::Release);
        reading.join().unwrap();
    });
}

#[test]
fn sto_1_more_readers_than_connections_wait_for_one() {
    let (database, mut world) = new_world();
    put(&mut world, 1, json!({"size": 1}));
    let options = syncline_storage::PostgresOptions { readers_max: 1, ..options() };
    let reader = PostgresStore::open(&database.url, contract::schema(), options).unwrap().reader();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            let reader = reader.clone();
            scope.spawn(move || (0..10).for_each(|_| _ = reader.read(&workspace(), assert_consistent).unwrap()));
        }
    });
    let failed =
        reader.read(&workspace(), |_| Err::<(), _>(syncline_core::storage::StoreError::Unavailable("x".into())));
    assert!(failed.is_err(), "an error gives the connection back");
    assert_eq!(reader.read(&workspace(), assert_consistent).unwrap(), 1);
}

#[test]
fn sto_1_nodes_that_start_at_once_bring_up_one_database() {
    let database = TestDatabase::new();
    let stores: Vec<PostgresStore> = std::thread::scope(|scope| {
        let nodes: Vec<_> = (0..6).map(|_| scope.spawn(|| open(&database.url))).collect();
        nodes.into_iter().map(|node| node.join().unwrap()).collect()
    });
    assert_eq!(stores.len(), 6);
    let doubled = database.query("SELECT name FROM sync_indexes GROUP BY entity, kind, name HAVING count(*) > 1");
    assert_eq!(doubled, [] as [&str; 0]);
    let mut worlds: Vec<_> = stores.into_iter().map(on).collect();
    worlds[0].store.create_workspace(&workspace(), BackendId::from_u128(1)).unwrap();
    worlds.iter_mut().enumerate().for_each(|(index, world)| put(world, index as u128, json!({"size": index})));
    assert_eq!(worlds[0].read(assert_consistent), 6);
}

#[test]
fn sto_1_a_second_node_starts_while_the_first_one_writes() {
    let (database, mut world) = new_world();
    put(&mut world, 1, json!({"size": 1}));
    world.commit(|draft| {
        // With the first one's transaction open on the tables: nothing to change, nothing to wait for.
        drop(open(&database.url));
        draft.mutation();
        draft.put("things", id(1), SCOPE, fields(json!({"size": 2})));
    });
    assert_eq!(world.read(assert_consistent), 2);
}

#[test]
fn sto_1_no_statement_has_a_name() {
    let (database, _) = new_world();
    let proxy = Proxy::start(database.address());
    let url = DatabaseUrl::Postgres(database.at_port(proxy.port));
    let fresh = Database::open(&url, contract::schema(), Default::default()).unwrap();
    let mut world = contract::World { store: fresh, schema: contract::schema() };
    world.commit(|draft| {
        draft.mutation();
        draft.put("things", id(1), SCOPE, fields(json!({"size": 1, "tags": ["a"]})));
    });
    world.store.compact(&workspace(), 1).unwrap();
    world.store.auth().kv_put(None, "a", b"b").unwrap();
    world.store.auth().kv_get(None, "a").unwrap();
    assert_eq!(world.store.reader().check().unwrap().problems, [] as [&str; 0]);
    assert!(proxy.connections() >= 4, "all of it went through the proxy");
    assert_eq!(proxy.named_statements(), 0, "a pooler may move any transaction to another connection");
    let settings = database.query("SELECT count(*) FROM pg_prepared_statements");
    assert_eq!(settings, ["0"]);
}

#[test]
fn inv_3_commits_wait_for_the_disk_also_where_the_server_would_not() {
    let (database, _) = new_world();
    database.run(&format!("ALTER DATABASE {} SET synchronous_commit = off", database.name));
    let mut world = on(open(&database.url));
    // The setting itself is only visible to the session: ask it through a value it stores.
    database.run(
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        NEW.anchor_chain := current_setting('synchronous_commit'); RETURN NEW; END $$;
        CREATE TRIGGER note BEFORE UPDATE ON sync_workspaces FOR EACH ROW EXECUTE FUNCTION note()",
    );
    world.commit(|draft| _ = draft.mutation());
    assert_eq!(database.query("SELECT anchor_chain FROM sync_workspaces"), ["on"]);
}
