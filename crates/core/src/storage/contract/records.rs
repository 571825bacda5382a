use serde_json::json;

use super::draft::{World, fields, id, ids, workspace};
use crate::id::{RecordId, ScopeId};
use crate::record::{Version, Versions};
use crate::storage::{Store, StoreError};
use crate::{Fields, Value};

const SCOPE: &ScopeId = &ScopeId::WORKSPACE;

/// Field values that are easy to get wrong.
fn hostile() -> Vec<Fields> {
    let text = "'; DROP TABLE \"things\"; -- \\ % _ ? :a $1 \u{202e}\u{feff}e\u{301} é 👩‍👩‍👧 \r\n\t\u{7f}\u{10ffff}";
    vec![
        Fields::new(),
        fields(json!({"code": "", "note": "", "tags": [], "watchers": [], "words": [], "extra": {}})),
        fields(json!({"code": text, "note": text.repeat(200), "order": "select", "words": [text], "tags": ["", " "]})),
        fields(json!({"size": 9_007_199_254_740_991_i64, "visits": -9_007_199_254_740_991_i64, "is_hot": true})),
        fields(json!({"size": 0, "visits": 0, "is_hot": false, "price": "0.00"})),
        fields(json!({"size": -1, "price": "-1234567890123456.78", "kind": "b"})),
        fields(json!({"due": "0001-01-01", "seen_at": "9999-12-31T23:59:59.999Z", "order": "0012"})),
        fields(json!({"due": "2024-02-29", "seen_at": "1970-01-01T00:00:00.000Z", "code": "1e3", "note": "0x10"})),
        fields(json!({
            "ref_id": "00000000-0000-0000-0000-000000000000",
            "team_id": "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "watchers": ["00000000-0000-0000-0000-000000000001", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
        })),
        fields(json!({"extra": awkward_json()})),
        fields(json!({"extra": "just text"})),
        fields(json!({"extra": 12.5})),
        fields(json!({"extra": false})),
        fields(json!({"extra": [[[[[[[[]]]]]]]]})),
    ]
}

/// Nested, with keys out of order, a NUL, numbers at the edges and floats whose last digit is easily lost.
fn awkward_json() -> Value {
    json!({
        "z": 1, "a": {"nested": [null, true, {"": "\u{0}", "\u{1f600}": -0.5}]},
        "int": [9_007_199_254_740_991_i64, -9_007_199_254_740_991_i64, u64::MAX, i64::MIN],
        "float": [0.1, 1e300, 5e-324, 1.797_693_134_862_315_7e308, 0.300_000_000_000_000_04, 7.038_531e-26,
                  3.841_478_6e-306, 123_456_789.123_456_78, 2.225_073_858_507_201_4e-308],
        "text": "\\\"\u{2028}\u{1f}", "empty": {}, "list": [],
    })
}

pub(super) fn sto_3_values_read_back_exactly<S: Store>(world: &mut World<S>) {
    let cases = hostile();
    for (index, fields) in cases.iter().enumerate() {
        world.commit(|draft| {
            draft.mutation();
            draft.put("things", id(index as u128), SCOPE, fields.clone());
        });
    }
    for (index, fields) in cases.iter().enumerate() {
        let record = world.record("things", id(index as u128)).expect("STO-3: a written record is there");
        assert_eq!(&*record.fields, fields, "STO-3: values of case {index} changed in the store");
        let seq = index as u64 + 1;
        let (is, want) = ((record.rv, record.entered, record.is_deleted), (seq, seq, false));
        assert_eq!(is, want, "STO-3: (rv, entered, is_deleted) of case {index}");
        assert_eq!(
            (record.entity.as_str(), &record.scope),
            ("things", SCOPE),
            "STO-3: entity and scope of case {index}"
        );
    }
    assert_eq!(world.record("things", id(999)), None, "STO-3: an unknown id is no record");
    assert_eq!(world.record("people", id(0)), None, "STO-3: ids belong to their entity");
    assert_eq!(world.record("nothing", id(0)), None, "STO-3: an unknown entity has no records");
}

pub(super) fn sto_3_updates_replace_every_field<S: Store>(world: &mut World<S>) {
    let cases = hostile();
    for (index, fields) in cases.iter().chain(cases.iter().rev()).enumerate() {
        world.commit(|draft| {
            draft.mutation();
            draft.put("things", id(7), SCOPE, fields.clone());
        });
        let record = world.record("things", id(7)).expect("STO-3: a written record is there");
        assert_eq!(&*record.fields, fields, "STO-3: values after update {index}");
        assert_eq!(record.rv, index as u64 + 1, "STO-3: rv after update {index}");
        assert_eq!(record.entered, 1, "STO-3: an update in place does not move `entered`");
    }
}

pub(super) fn sto_3_versions_read_back_exactly<S: Store>(world: &mut World<S>) {
    let mut versions = Versions::new(Version(1, 253_402_300_799_999));
    versions.changed.insert("tags".into(), Version(1 << 40, 0));
    versions.changed.insert("order".into(), Version(9_007_199_254_740_991, 12));
    versions.elements.entry("tags".into()).or_default().insert("\u{1f600}\"'\\".to_owned(), 77);
    world.commit(|draft| {
        draft.mutation();
        draft.put("things", id(1), SCOPE, fields(json!({"tags": ["\u{1f600}\"'\\"]})));
        draft.flush();
        draft.writes.records[0].record.versions = versions.clone();
    });
    let record = world.record("things", id(1)).expect("STO-3: a written record is there");
    assert_eq!(record.versions, versions, "STO-3: versions read back exactly");
}

pub(super) fn sto_4_a_tombstone_keeps_its_values_and_can_be_restored<S: Store>(world: &mut World<S>) {
    let cases = hostile();
    let all: Vec<RecordId> = (0..cases.len() as u128).map(id).collect();
    world.commit(|draft| {
        draft.mutation();
        all.iter().zip(&cases).for_each(|(id, fields)| draft.put("things", *id, SCOPE, fields.clone()));
    });
    let live: Vec<_> = all.iter().map(|id| world.record("things", *id)).collect();
    world.commit(|draft| {
        draft.mutation();
        all.iter().for_each(|id| draft.delete("things", *id));
    });
    for (id, live) in all.iter().zip(&live) {
        let tombstone = world.record("things", *id).expect("STO-4: a tombstone is there");
        let live = live.as_ref().expect("STO-4: it was there before");
        assert!(
            tombstone.is_deleted && !tombstone.is_forgotten(),
            "STO-4: a fresh tombstone is deleted, not forgotten"
        );
        assert_eq!((tombstone.rv, tombstone.entered), (2, 1), "STO-4: rv and entered of a tombstone");
        assert_eq!(tombstone.fields, live.fields, "STO-4: a tombstone keeps the last values");
        assert_eq!(tombstone.versions, live.versions, "STO-4: a tombstone keeps its versions");
    }
    world.commit(|draft| {
        draft.mutation();
        all.iter().zip(&cases).for_each(|(id, fields)| draft.put("things", *id, SCOPE, fields.clone()));
    });
    for (id, fields) in all.iter().zip(&cases) {
        let restored = world.record("things", *id).expect("STO-4: a restored record is there");
        assert_eq!((&*restored.fields, restored.is_deleted, restored.rv), (fields, false, 3), "STO-4: restored");
    }
}

/// The ids `find` gives for `things`.
fn find<S: Store>(world: &World<S>, field: &str, value: &Value) -> Vec<RecordId> {
    world.read(|read| read.find("things", field, value, 100))
}

pub(super) fn sto_5_find_by_scalar<S: Store>(world: &mut World<S>) {
    world.commit(|draft| {
        draft.mutation();
        for bits in [5, 3, 4, 1, 2] {
            let owner = if bits % 2 == 0 { json!({"owner_id": id(50).to_string()}) } else { json!({}) };
            draft.put("things", id(bits), SCOPE, fields(owner));
        }
        draft.put("people", id(50), SCOPE, Fields::new());
        draft.put("things", id(6), SCOPE, fields(json!({"code": "x", "size": 7, "is_hot": true})));
        draft.put("things", id(7), SCOPE, fields(json!({"code": "X", "size": -7, "is_hot": false})));
        draft.put("things", id(8), SCOPE, fields(json!({"code": "7", "size": 7, "is_hot": true, "kind": "a"})));
    });
    let owner = json!(id(50).to_string());
    assert_eq!(find(world, "owner_id", &owner), [id(2), id(4)], "STO-5: by reference, in id order");
    assert_eq!(find(world, "size", &json!(7)), [id(6), id(8)], "STO-5: by integer");
    assert_eq!(find(world, "is_hot", &json!(true)), [id(6), id(8)], "STO-5: by boolean");
    assert_eq!(find(world, "is_hot", &json!(false)), [id(7)], "STO-5: false is a value");
    assert_eq!(find(world, "code", &json!("x")), [id(6)], "STO-5: text compares exactly");
    assert_eq!(find(world, "code", &json!("7")), [id(8)], "STO-5: text is not a number");
    assert_eq!(find(world, "size", &json!("7")), [], "STO-5: a number is not text");
    assert_eq!(find(world, "code", &Value::Null), [], "STO-5: nothing equals no value");
    let first = world.read(|read| read.find("things", "owner_id", &owner, 1));
    assert_eq!(first, [id(2)], "STO-5: at most `limit`");
    world.commit(|draft| {
        draft.mutation();
        draft.put("things", id(6), SCOPE, fields(json!({"code": "y", "size": 7})));
        draft.delete("things", id(8));
    });
    assert_eq!(find(world, "size", &json!(7)), [id(6)], "STO-5: deleted records are not found");
    assert_eq!(find(world, "code", &json!("x")), [], "STO-5: nor are old values");
    assert_eq!(find(world, "code", &json!("y")), [id(6)], "STO-5: new values are");
    assert_eq!(find(world, "is_hot", &json!(true)), [], "STO-5: a cleared value is not found");
}

pub(super) fn sto_5_find_by_element<S: Store>(world: &mut World<S>) {
    let user = "00000000-0000-0000-0000-00000000000a";
    world.commit(|draft| {
        draft.mutation();
        draft.put("things", id(2), SCOPE, fields(json!({"tags": ["a", "b\"c", "ä"], "watchers": [user]})));
        draft.put("things", id(1), SCOPE, fields(json!({"tags": ["b\"c"]})));
        draft.put("things", id(3), SCOPE, fields(json!({"tags": [], "code": "a"})));
    });
    assert_eq!(find(world, "tags", &json!("b\"c")), [id(1), id(2)], "STO-5: by element, in id order");
    assert_eq!(find(world, "tags", &json!("ä")), [id(2)], "STO-5: by element beyond ASCII");
    assert_eq!(find(world, "watchers", &json!(user)), [id(2)], "STO-5: by element of another set");
    assert_eq!(find(world, "tags", &json!(user)), [], "STO-5: fields do not mix");
    assert_eq!(find(world, "tags", &json!("b")), [], "STO-5: an element is not a substring");
    world.commit(|draft| {
        draft.mutation();
        draft.put("things", id(1), SCOPE, fields(json!({"tags": ["a"]})));
        draft.delete("things", id(2));
    });
    assert_eq!(find(world, "tags", &json!("a")), [id(1)], "STO-5: elements follow the record");
    assert_eq!(find(world, "tags", &json!("b\"c")), [], "STO-5: removed elements are not found");
    world.commit(|draft| {
        draft.mutation();
        draft.put("things", id(2), SCOPE, fields(json!({"tags": ["a", "ä"]})));
    });
    assert_eq!(find(world, "tags", &json!("a")), [id(1), id(2)], "STO-5: a restored record is found again");
}

pub(super) fn sto_5_find_needs_an_index<S: Store>(world: &mut World<S>) {
    for (entity, field) in [("things", "note"), ("things", "words"), ("things", "nothing"), ("nothing", "code")] {
        let found = world.store.read(&workspace(), |read| read.find(entity, field, &json!("x"), 1));
        assert!(matches!(found, Err(StoreError::Corrupt(_))), "STO-5: {entity}.{field} has no index, got {found:?}");
    }
}

pub(super) fn sto_6_unique_keys_follow_every_write<S: Store>(world: &mut World<S>) {
    let unique = |world: &World<S>, name: &str, key: &str| world.read(|read| read.find_unique("things", name, key));
    world.commit(|draft| {
        draft.mutation();
        draft.put("things", id(1), SCOPE, fields(json!({"code": "Ünique \"1\"", "size": 3, "kind": "a"})));
        draft.put("things", id(2), SCOPE, fields(json!({"size": 3})));
    });
    assert_eq!(unique(world, "code", r#"["ünique \"1\""]"#), [id(1)], "STO-6: by folded key");
    assert_eq!(unique(world, "pair", r#"[3,"a"]"#), [id(1)], "STO-6: by a key of two fields");
    assert_eq!(unique(world, "code", r#"[3,"a"]"#), [], "STO-6: uniquenesses do not mix");
    assert_eq!(unique(world, "nothing", "[]"), [], "STO-6: an unknown uniqueness finds nothing");
    world.commit(|draft| {
        draft.mutation();
        draft.put("things", id(1), SCOPE, fields(json!({"code": "other", "size": 3, "kind": "a"})));
    });
    assert_eq!(unique(world, "code", r#"["ünique \"1\""]"#), [], "STO-6: an old key is free");
    assert_eq!(unique(world, "code", r#"["other"]"#), [id(1)], "STO-6: a new key is held");
    assert_eq!(unique(world, "pair", r#"[3,"a"]"#), [id(1)], "STO-6: an untouched key stays");
    world.commit(|draft| {
        draft.mutation();
        draft.delete("things", id(1));
    });
    assert_eq!(unique(world, "code", r#"["other"]"#), [], "STO-6: a tombstone holds no key");
    world.commit(|draft| {
        draft.mutation();
        draft.put("things", id(1), SCOPE, fields(json!({"code": "other"})));
    });
    assert_eq!(unique(world, "code", r#"["other"]"#), [id(1)], "STO-6: a restored record holds its key");
    assert_eq!(unique(world, "pair", r#"[3,"a"]"#), [], "STO-6: and only that");
}

pub(super) fn sto_6_two_records_swap_their_keys<S: Store>(world: &mut World<S>) {
    let codes = |one: &str, two: &str| [(1, one.to_owned()), (2, two.to_owned())];
    for pair in [codes("one", "two"), codes("two", "one")] {
        world.commit(|draft| {
            draft.mutation();
            for (bits, code) in pair.clone() {
                draft.put("things", id(bits), SCOPE, fields(json!({"code": code})));
            }
        });
    }
    let holder = |key: &str| world.read(|read| read.find_unique("things", "code", key));
    assert_eq!((holder(r#"["one"]"#), holder(r#"["two"]"#)), (vec![id(2)], vec![id(1)]), "STO-6: swapped");
}

pub(super) fn sto_17_scan_pages_live_records<S: Store>(world: &mut World<S>) {
    let high = RecordId::from_u128(u128::MAX);
    world.commit(|draft| {
        draft.mutation();
        for id in [id(9), RecordId::NIL, id(4), high, id(1 << 70)] {
            draft.put("people", id, SCOPE, fields(json!({"name": id.to_string()})));
        }
        draft.put("things", id(5), SCOPE, Fields::new());
    });
    world.commit(|draft| {
        draft.mutation();
        draft.delete("people", id(9));
    });
    let page = |after, limit| world.read(|read| Ok(ids(&read.scan("people", after, limit)?)));
    assert_eq!(page(None, 10), [RecordId::NIL, id(4), id(1 << 70), high], "STO-17: live records in id order");
    assert_eq!(page(None, 2), [RecordId::NIL, id(4)], "STO-17: at most `limit`");
    assert_eq!(page(Some(id(4)), 2), [id(1 << 70), high], "STO-17: the next page starts behind the last");
    assert_eq!(page(Some(high), 2), [], "STO-17: and the last one is empty");
    let whole = world.read(|read| read.scan("people", Some(RecordId::NIL), 1));
    assert_eq!(whole.first(), world.record("people", id(4)).as_ref(), "STO-17: records come whole");
}

pub(super) fn sto_20_references_in_any_order<S: Store>(world: &mut World<S>) {
    let part = fields(json!({"thing_id": id(1).to_string(), "name": "p"}));
    world.commit(|draft| {
        draft.mutation();
        draft.put("things", id(1), SCOPE, fields(json!({"owner_id": id(3).to_string()})));
        draft.put("people", id(3), SCOPE, Fields::new());
        draft.flush();
        draft.put("parts", id(2), SCOPE, part.clone());
        draft.put("traces", id(4), SCOPE, fields(json!({"thing_id": id(1).to_string()})));
    });
    assert_eq!(
        world.record("parts", id(2)).map(|record| Fields::clone(&record.fields)),
        Some(part),
        "STO-20: child before parent"
    );
    world.commit(|draft| {
        draft.mutation();
        draft.delete("parts", id(2));
        draft.flush();
        draft.delete("things", id(1));
        draft.delete("people", id(3));
    });
    assert!(world.record("things", id(1)).is_some_and(|record| record.is_deleted), "STO-20: parent before child");
    let trace = world.record("traces", id(4)).expect("STO-20: a kept reference dangles");
    assert_eq!(trace.fields["thing_id"], json!(id(1).to_string()), "STO-20: and stays readable");
}
