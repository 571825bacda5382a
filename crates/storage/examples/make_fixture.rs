//! Writes a small database in the present on-disk format: `cargo run -p syncline-storage --example make_fixture -- <path>`.
//! `tests/fixture.rs` opens what earlier builds wrote. Make a new one, under the next number, when the format changes.

use std::path::Path;

use serde_json::json;
use syncline_core::id::ScopeId;
use syncline_core::storage::Store as _;
use syncline_core::storage::contract::{CLIENT, World, id, schema, workspace};
use syncline_storage::{SqliteOptions, SqliteStore};

fn main() {
    let path = std::env::args().nth(1).expect("usage: make_fixture <path>");
    let plain = format!("{path}.plain");
    write(Path::new(&plain));
    let bytes = std::fs::read(&plain).expect("the database was written");
    std::fs::write(&path, zstd::encode_all(&bytes[..], 19).expect("bytes compress")).expect("the fixture is written");
    std::fs::remove_file(plain).expect("the plain file is ours");
}

fn write(path: &Path) {
    let store = SqliteStore::open(path, schema(), SqliteOptions::default()).expect("a new database opens");
    let mut world = World::new(schema(), store);
    for bits in 1..=8_u64 {
        world.commit(|draft| {
            draft.mutation();
            let scope = if bits % 2 == 0 { ScopeId::WORKSPACE } else { ScopeId::team(id(1)) };
            let fields = json!({"code": format!("C{bits}"), "size": bits, "tags": ["all", format!("t{bits}")],
                "extra": {"z": [0.1, null], "a": "\u{1f600}"}, "price": "12.50", "is_hot": bits % 2 == 0});
            draft.put("things", id(bits.into()), &scope, serde_json::from_value(fields).expect("an object"));
        });
    }
    world.store.acknowledge(&workspace(), &[(CLIENT, 3)]).expect("acknowledge");
    world.commit(|draft| {
        draft.mutation();
        draft.delete("things", id(7));
        draft.rejection(CLIENT);
        draft.mutation();
        draft.put("things", id(1), &ScopeId::WORKSPACE, Default::default());
    });
    world.store.compact(&workspace(), 2).expect("compact");
    world.store.begin_epoch(&workspace(), 1).expect("a new epoch");
    world.store.auth().kv_put(None, "secret", b"kept").expect("a secret");
    world.store.checkpoint().expect("a checkpoint");
}
