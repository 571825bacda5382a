//! A schema that grows, on every database: what is declared is there and filled, and nothing is lost.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "support/place.rs"]
mod place;
#[path = "support/postgres.rs"]
mod server;

use std::sync::Arc;

use serde_json::json;
use syncline_core::Fields;
use syncline_core::id::{RecordId, ScopeId};
use syncline_core::schema::Schema;
use syncline_core::storage::contract::{World, id};
use syncline_core::storage::{StoreError, StoreResult};

use syncline_storage::{Database, DatabaseOptions, DatabaseUrl};

use place::NewPlace;

const SCOPE: &ScopeId = &ScopeId::WORKSPACE;

fn fields(value: serde_json::Value) -> Fields {
    serde_json::from_value(value).unwrap()
}

fn open(url: &DatabaseUrl, schema: &Arc<Schema>) -> StoreResult<Database> {
    Database::open(url, schema.clone(), DatabaseOptions::default())
}

place::on_every_database![
    sto_1_what_a_schema_adds_is_created_and_filled,
    sto_1_indexes_that_come_back_are_up_to_date,
    sto_1_a_change_that_would_lose_data_is_refused,
    sto_1_a_field_that_is_gone_keeps_its_values,
    sto_1_the_default_schema_opens_and_reopens,
];

const HEAD: &str = r#"
version = 1
[roles]
agent = 30
"#;
const THINGS: &str = r#"
[entities.things]
tier = "normal"
scope = ["workspace"]
create = "agent"
update = "agent"
delete = "agent"
"#;
const PEOPLE: &str = r#"
[entities.people]
tier = "normal"
scope = ["workspace"]
create = "agent"
update = "agent"
delete = "agent"
[entities.people.fields]
name = { type = "text" }
"#;

fn schema(parts: &[&str]) -> Arc<Schema> {
    let text = [&[HEAD], parts].concat().concat();
    Arc::new(Schema::parse(&text, "test.toml").unwrap_or_else(|error| panic!("{error}")))
}

fn world(url: &DatabaseUrl, schema: Arc<Schema>) -> World<Database> {
    let store = open(url, &schema).unwrap();
    World { schema, store }
}

fn put(world: &mut World<Database>, entity: &str, bits: u128, value: serde_json::Value) {
    world.commit(|draft| {
        draft.mutation();
        draft.put(entity, id(bits), SCOPE, fields(value.clone()));
    });
}

fn find(world: &World<Database>, field: &str, value: serde_json::Value) -> Vec<RecordId> {
    world.read(|read| read.find("things", field, &value, 9))
}

fn sto_1_what_a_schema_adds_is_created_and_filled(place: NewPlace) {
    let place = place();
    let url = place.url();
    let old = "[entities.things.fields]\nname = { type = \"text\" }\ntags = { type = \"set\", items = \"text\" }\n";
    let old = schema(&[THINGS, old]);
    let mut first = World::new(old.clone(), open(&url, &old).unwrap());
    put(&mut first, "things", 1, json!({"name": "One", "tags": ["a", "b"]}));
    put(&mut first, "things", 2, json!({"name": "Two", "tags": ["b"]}));
    drop(first);
    let unique = "unique = [{ name = \"name\", fields = [\"name\"], case_folded = true }]\n";
    let new = "[entities.things.fields]
        name = { type = \"text\", indexed = true }
        tags = { type = \"set\", items = \"text\", indexed = true }
        size = { type = \"integer\", indexed = true }
        person_id = { type = \"uuid\", references = \"people\" }\n";
    let mut second = world(&url, schema(&[THINGS, unique, new, PEOPLE]));
    assert_eq!(*second.record("things", id(1)).unwrap().fields, fields(json!({"name": "One", "tags": ["a", "b"]})));
    assert_eq!(find(&second, "name", json!("Two")), [id(2)], "an index on an old column");
    assert_eq!(find(&second, "tags", json!("b")), [id(1), id(2)], "elements of an old set");
    let holder = second.read(|read| read.find_unique("things", "name", r#"["one"]"#));
    assert_eq!(holder, [id(1)], "keys of old records");
    put(&mut second, "people", 9, json!({"name": "P"}));
    put(&mut second, "things", 1, json!({"name": "Eins", "size": 4, "person_id": id(9).to_string(), "tags": ["c"]}));
    assert_eq!(find(&second, "size", json!(4)), [id(1)], "a new column");
    assert_eq!(find(&second, "person_id", json!(id(9).to_string())), [id(1)], "a new reference");
    assert_eq!(find(&second, "tags", json!("a")), [] as [RecordId; 0]);
    assert_eq!(second.store.reader().check().unwrap().problems, [] as [&str; 0]);
}

fn sto_1_indexes_that_come_back_are_up_to_date(place: NewPlace) {
    let place = place();
    let url = place.url();
    let indexed = "unique = [{ name = \"u\", fields = [\"name\"] }]
        [entities.things.fields]
        name = { type = \"text\", indexed = true }
        tags = { type = \"set\", items = \"text\", indexed = true }\n";
    let plain = "[entities.things.fields]
        name = { type = \"text\" }
        tags = { type = \"set\", items = \"text\" }\n";
    let indexed = schema(&[THINGS, indexed]);
    let mut first = World::new(indexed.clone(), open(&url, &indexed).unwrap());
    put(&mut first, "things", 1, json!({"name": "before", "tags": ["before"]}));
    drop(first);
    let mut between = world(&url, schema(&[THINGS, plain]));
    put(&mut between, "things", 1, json!({"name": "after", "tags": ["after"]}));
    drop(between);
    let last = world(&url, indexed);
    for field in ["name", "tags"] {
        assert_eq!(find(&last, field, json!("before")), [] as [RecordId; 0], "{field}");
        assert_eq!(find(&last, field, json!("after")), [id(1)], "{field}");
    }
    assert_eq!(last.read(|read| read.find_unique("things", "u", r#"["before"]"#)), [] as [RecordId; 0]);
    assert_eq!(last.read(|read| read.find_unique("things", "u", r#"["after"]"#)), [id(1)]);
}

fn sto_1_a_change_that_would_lose_data_is_refused(place: NewPlace) {
    let place = place();
    let url = place.url();
    let text = schema(&[THINGS, "[entities.things.fields]\nname = { type = \"text\" }\n"]);
    let mut first = World::new(text.clone(), open(&url, &text).unwrap());
    put(&mut first, "things", 1, json!({"name": "One"}));
    drop(first);
    let refusal = |parts: &[&str]| match open(&url, &schema(parts)) {
        Err(StoreError::Database(source)) => source.to_string(),
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("it was opened"),
    };
    let number = refusal(&[THINGS, "[entities.things.fields]\nname = { type = \"integer\" }\n"]);
    assert!(number.contains("things.name") && number.contains("declare a new field"), "{number}");
    let gone = refusal(&[PEOPLE]);
    assert!(gone.contains("no longer declares `things`"), "{gone}");
    let reserved = refusal(&[
        &THINGS.replace("things", "sync_things"),
        "[entities.sync_things.fields]\na = { type = \"text\" }\n",
    ]);
    assert!(reserved.contains("sync_things"), "{reserved}");
    let again = world(&url, text);
    assert_eq!(*again.record("things", id(1)).unwrap().fields, fields(json!({"name": "One"})), "nothing was touched");
}

fn sto_1_a_field_that_is_gone_keeps_its_values(place: NewPlace) {
    let place = place();
    let url = place.url();
    let both = "[entities.things.fields]\nname = { type = \"text\" }\nextra = { type = \"text\" }\n";
    let both = schema(&[THINGS, both]);
    let mut first = World::new(both.clone(), open(&url, &both).unwrap());
    put(&mut first, "things", 1, json!({"name": "One", "extra": "kept"}));
    drop(first);
    let mut without = world(&url, schema(&[THINGS, "[entities.things.fields]\nname = { type = \"text\" }\n"]));
    assert_eq!(*without.record("things", id(1)).unwrap().fields, fields(json!({"name": "One"})));
    put(&mut without, "things", 1, json!({"name": "Uno"}));
    drop(without);
    let again = world(&url, both);
    assert_eq!(*again.record("things", id(1)).unwrap().fields, fields(json!({"name": "Uno", "extra": "kept"})));
}

fn sto_1_the_default_schema_opens_and_reopens(place: NewPlace) {
    let place = place();
    let url = place.url();
    let crm = Arc::new(Schema::crm());
    for _ in 0..2 {
        let store = open(&url, &crm).unwrap();
        assert_eq!(store.reader().check().unwrap().problems, [] as [&str; 0]);
    }
}
