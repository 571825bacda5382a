//! What serves data does not know which database it has: the same on every one.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "support/place.rs"]
mod place;
#[path = "support/postgres.rs"]
mod server;

use place::NewPlace;
use serde_json::json;
use syncline_core::Fields;
use syncline_core::id::{BackendId, ScopeId, WorkspaceId};
use syncline_core::storage::Store as _;
use syncline_core::storage::contract::{self, World, id, workspace};
use syncline_storage::{Database, DatabaseOptions, DatabaseUrl};

place::on_every_database![
    sto_1_two_writers_readers_and_identity_share_one_database,
    sto_1_everything_is_there_when_it_is_opened_again,
];

fn world(url: &DatabaseUrl) -> World<Database> {
    let store = Database::open(url, contract::schema(), DatabaseOptions::default()).unwrap();
    World { store, schema: contract::schema() }
}

fn put(world: &mut World<Database>, bits: u128) {
    world.commit(|draft| {
        draft.mutation();
        let fields: Fields = serde_json::from_value(json!({"size": bits as u64})).unwrap();
        draft.put("things", id(bits), &ScopeId::WORKSPACE, fields);
    });
}

fn sto_1_two_writers_readers_and_identity_share_one_database(place: NewPlace) {
    const WRITES: u128 = 20;
    let place = place();
    let mut first = world(&place.url());
    let other = WorkspaceId::new("other").unwrap();
    for workspace in [&workspace(), &other] {
        first.store.create_workspace(workspace, BackendId::from_u128(1)).unwrap();
    }
    let (reader, auth) = (first.store.reader(), first.store.auth());
    let mut second = World { store: first.store.sibling().unwrap(), schema: contract::schema() };
    std::thread::scope(|scope| {
        scope.spawn(|| (0..WRITES).for_each(|bits| put(&mut second, bits)));
        scope.spawn(|| (0..WRITES).for_each(|round| auth.kv_put(None, "round", &round.to_be_bytes()).unwrap()));
        (WRITES..2 * WRITES).for_each(|bits| put(&mut first, bits));
    });
    assert_eq!(reader.heads().unwrap(), [(workspace(), 40), (other.clone(), 0)]);
    assert_eq!(reader.workspaces().unwrap(), [workspace(), other]);
    assert_eq!(auth.kv_get(None, "round").unwrap(), Some((WRITES - 1).to_be_bytes().to_vec()));
    let chain = reader.verify_chain(&workspace()).unwrap();
    assert_eq!((chain.entries, chain.problem), (40, None));
    let report = reader.check().unwrap();
    assert_eq!((report.workspaces, report.records, report.problems.len()), (2, 40, 0));
    assert!(reader.version().unwrap().contains("SQL"));
    assert!(first.store.checkpoint().unwrap());
}

fn sto_1_everything_is_there_when_it_is_opened_again(place: NewPlace) {
    let place = place();
    let mut first = world(&place.url());
    first.store.create_workspace(&workspace(), BackendId::from_u128(1)).unwrap();
    put(&mut first, 1);
    let before = first.read(|read| Ok((read.head()?, read.record("things", id(1))?, read.log(0, 9, 9)?)));
    drop(first);
    let again = world(&place.url());
    assert_eq!(again.read(|read| Ok((read.head()?, read.record("things", id(1))?, read.log(0, 9, 9)?))), before);
}
