//! Texts that PostgreSQL would rather not have.

use serde_json::json;
use syncline_core::storage::contract::{self, id};

use crate::{SCOPE, fields, new_world, on, open};

#[test]
fn sto_3_texts_with_nul_and_very_long_keys_read_back_and_are_found() {
    let (database, mut world) = new_world();
    let long = "\u{10ffff}é".repeat(1_000);
    let twin = format!("{}x", &long[..long.len() - 2]);
    let texts = ["a\0b", "a\u{1}b", "a\u{1}0b", "\0", "\u{1}", "\u{1}h", "\u{feff}", "\u{2028}", &long, &twin, "'\\''"];
    world.commit(|draft| {
        draft.mutation();
        for (index, text) in texts.iter().enumerate() {
            let value =
                json!({"code": text, "note": text, "tags": [text], "words": [text, "\0"], "extra": {*text: text}});
            draft.put("things", id(index as u128), SCOPE, fields(value));
        }
    });
    let world = on(open(&database.url));
    for (index, text) in texts.iter().enumerate() {
        let record = world.record("things", id(index as u128)).unwrap();
        assert_eq!(record.fields["code"], *text);
        assert_eq!(record.fields["extra"][*text], *text);
        let find = |field| world.read(|read| read.find("things", field, &json!(text), 9));
        assert_eq!(find("code"), [id(index as u128)], "{text:?}");
        assert_eq!(find("tags"), [id(index as u128)], "{text:?}");
        let unique = contract::schema().entity("things").unwrap().unique[0].clone();
        let key = syncline_core::storage::unique_key(&unique, &record.fields).unwrap();
        assert_eq!(world.read(|read| read.find_unique("things", "code", &key)), [id(index as u128)], "{text:?}");
    }
    assert_eq!(world.store.reader().check().unwrap().problems, [] as [&str; 0]);
}

#[test]
fn sto_3_identity_takes_any_text() {
    let (_database, world) = new_world();
    let auth = world.store.auth();
    for key in ["\0", "\u{1}0", "a\0", "%_\\"] {
        auth.kv_put(None, key, key.as_bytes()).unwrap();
    }
    for key in ["\0", "\u{1}0", "a\0", "%_\\"] {
        assert_eq!(auth.kv_get(None, key).unwrap().as_deref(), Some(key.as_bytes()));
        assert_eq!(auth.kv_list(None, key).unwrap(), [key]);
    }
}

#[test]
fn sto_5_a_value_that_the_type_cannot_hold_is_not_found() {
    let (_database, mut world) = new_world();
    crate::put(&mut world, 1, json!({"size": 1, "is_hot": true, "owner_id": null}));
    for (field, value) in [("size", json!("one")), ("size", json!(1.5)), ("is_hot", json!("true")), ("code", json!(7))]
    {
        assert_eq!(world.read(|read| read.find("things", field, &value, 9)), [], "{field} {value}");
    }
}
