//! The default schema.

use super::super::*;

#[test]
fn sch_3_the_default_schema_parses() {
    let text = include_str!("../../../../../schema/crm.toml");
    if let Err(error) = Schema::parse(text, "schema/crm.toml") {
        panic!("{error}");
    }
    let schema = Schema::crm();
    assert_eq!((schema.entities.len(), schema.hash.len()), (27, 16));
    assert_eq!(schema.entities["contacts"].fields.len(), 55);
}

#[test]
fn sch_3_a_schema_is_shared_between_threads() {
    fn assert_shared<T: Send + Sync>() {}
    assert_shared::<Schema>();
}
