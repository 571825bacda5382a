//! What PostgreSQL has beyond the contract: several nodes, a network that fails, servers that are not as they should be.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "support/postgres.rs"]
mod server;

#[path = "postgres/faults.rs"]
mod faults;
#[path = "postgres/nodes.rs"]
mod nodes;
#[path = "postgres/proxy.rs"]
mod proxy;
#[path = "postgres/startup.rs"]
mod startup;
#[path = "postgres/texts.rs"]
mod texts;

use server::TestDatabase;
use syncline_core::Fields;
use syncline_core::digest::Digest;
use syncline_core::id::ScopeId;
use syncline_core::storage::contract::{self, World, id};
use syncline_core::storage::{Read, StoreResult};
use syncline_storage::{PostgresOptions, PostgresStore, PostgresUrl};

const SCOPE: &ScopeId = &ScopeId::WORKSPACE;

/// Waits that fit a test.
fn options() -> PostgresOptions {
    PostgresOptions { idle_write_timeout_ms: 1_000, lock_timeout_ms: 1_000, ..PostgresOptions::default() }
}

fn open(url: &PostgresUrl) -> PostgresStore {
    PostgresStore::open(url, contract::schema(), options()).unwrap()
}

/// A new database with the workspace `acme`.
fn new_world() -> (TestDatabase, World<PostgresStore>) {
    let database = TestDatabase::new();
    let world = World::new(contract::schema(), open(&database.url));
    (database, world)
}

fn on(store: PostgresStore) -> World<PostgresStore> {
    World { store, schema: contract::schema() }
}

fn fields(value: serde_json::Value) -> Fields {
    serde_json::from_value(value).unwrap()
}

/// One mutation in a commit of its own: writes `things` number `bits`.
fn put(world: &mut World<PostgresStore>, bits: u128, value: serde_json::Value) {
    world.commit(|draft| {
        draft.mutation();
        draft.put("things", id(bits), SCOPE, fields(value.clone()));
    });
}

/// Checks what must hold at every moment: the log ends at the head, digest and rows agree. Returns the head's seq.
fn assert_consistent(read: &dyn Read) -> StoreResult<u64> {
    let head = read.head()?;
    let log = read.log(0, u64::MAX, usize::MAX)?;
    let seqs: Vec<u64> = log.iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, (1..=head.seq).collect::<Vec<_>>(), "the log is gapless and ends at the head");
    let mut digest = Digest::EMPTY;
    for (entity, id, rv) in read.scope_rows(SCOPE)? {
        let record = read.record(&entity, id)?.expect("a listed record is there");
        assert_eq!(record.rv, rv);
        digest.add(&entity, &id, rv);
    }
    assert_eq!(read.scope_digest(SCOPE)?, digest, "the digest is that of the rows");
    Ok(head.seq)
}
