//! Databases that earlier builds wrote still open, and hold what was in them (style S9).

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;

use serde_json::json;
use syncline_core::id::ScopeId;
use syncline_core::storage::contract::{CLIENT, id};
use syncline_core::storage::epoch_base;

#[test]
fn sto_1_format_1_opens_with_everything_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sqlite");
    let packed = include_bytes!("../fixtures/format-1.sqlite.zst");
    std::fs::write(&path, zstd::decode_all(&packed[..]).unwrap()).unwrap();
    let mut world = common::reopen(&path);
    assert_eq!(world.store.reader().check().unwrap().problems, [] as [&str; 0]);

    let head = world.head();
    assert_eq!((head.epoch, head.seq, head.min_seq), (1, epoch_base(1), epoch_base(1)));
    let live = world.record("things", id(2)).unwrap();
    let fields = json!({"code": "C2", "size": 2, "tags": ["all", "t2"], "extra": {"z": [0.1, null], "a": "\u{1f600}"},
        "price": "12.50", "is_hot": true});
    assert_eq!((live.rv, live.fields.as_ref()), (2, &common::fields(fields)));
    let tombstone = world.record("things", id(7)).unwrap();
    assert!(tombstone.is_deleted && !tombstone.is_forgotten() && tombstone.fields["code"] == "C7");
    let all = world.read(|read| read.find("things", "tags", &json!("all"), 9));
    assert_eq!(all, [2, 3, 4, 5, 6, 8].map(id));
    assert_eq!(world.read(|read| read.find_unique("things", "code", r#"["c8"]"#)), [id(8)]);
    let departed = world.read(|read| read.departures(&ScopeId::team(id(1)), 0, 99));
    assert_eq!(departed.iter().map(|departure| (departure.id, departure.seq)).collect::<Vec<_>>(), [(id(1), 10)]);
    let seqs: Vec<u64> = world.read(|read| read.log(0, 99, 99)).iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, (3..=10).collect::<Vec<_>>());
    let outcomes = world.read(|read| read.outcomes_from(CLIENT, 0, 99));
    assert_eq!(outcomes.first().map(|stored| stored.outcome.client_seq), Some(3));
    assert_eq!(world.read(|read| read.rejected(9)).len(), 1);
    assert_eq!(world.store.auth().kv_get(None, "secret").unwrap().as_deref(), Some(&b"kept"[..]));

    common::put(&mut world, 2, json!({"size": 99}));
    assert_eq!(world.record("things", id(2)).unwrap().rv, epoch_base(1) + 1);
    assert_eq!(world.store.reader().check().unwrap().problems, [] as [&str; 0]);
}
