//! What the tests of the SQLite store share: a world on a file, and writes that are easy to check.

#![allow(dead_code, reason = "every test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::path::Path;
use std::sync::Arc;

use syncline_core::Fields;
use syncline_core::id::ScopeId;
use syncline_core::schema::Schema;
use syncline_core::storage::contract::{self, World, id};
use syncline_core::storage::{Read, StoreResult};
use syncline_storage::{SqliteOptions, SqliteStore};

pub const SCOPE: &ScopeId = &ScopeId::WORKSPACE;

/// A new database at `path` with the contract's schema and the workspace `acme`.
pub fn new_world(path: &Path) -> World<SqliteStore> {
    World::new(contract::schema(), open(path, &contract::schema()).unwrap())
}

/// An existing database.
pub fn reopen(path: &Path) -> World<SqliteStore> {
    World { schema: contract::schema(), store: open(path, &contract::schema()).unwrap() }
}

pub fn open(path: &Path, schema: &Arc<Schema>) -> StoreResult<SqliteStore> {
    SqliteStore::open(path, schema.clone(), SqliteOptions::default())
}

pub fn fields(value: serde_json::Value) -> Fields {
    serde_json::from_value(value).unwrap()
}

/// One mutation in a commit of its own: writes `things` number `bits`.
pub fn put(world: &mut World<SqliteStore>, bits: u128, value: serde_json::Value) {
    world.commit(|draft| {
        draft.mutation();
        draft.put("things", id(bits), SCOPE, fields(value.clone()));
    });
}

/// Checks what must hold at every moment: the log ends at the head, digest and rows agree. Returns the head's seq.
pub fn assert_consistent(read: &dyn Read) -> StoreResult<u64> {
    let head = read.head()?;
    let log = read.log(0, u64::MAX, usize::MAX)?;
    assert_eq!(log.last().map_or(0, |entry| entry.seq), head.seq, "the log ends at the head");
    assert_eq!(log.len() as u64, head.seq, "no entry is missing");
    let mut digest = syncline_core::digest::Digest::EMPTY;
    for (entity, id, rv) in read.scope_rows(SCOPE)? {
        let record = read.record(&entity, id)?.expect("a listed record is there");
        assert_eq!(record.rv, rv);
        digest.add(&entity, &id, rv);
    }
    assert_eq!(read.scope_digest(SCOPE)?, digest, "the digest is that of the rows");
    Ok(head.seq)
}
