use serde_json::json;

use super::draft::{World, fields, id};
use crate::id::{RecordId, ScopeId};
use crate::principal::Grants;
use crate::record::Record;
use crate::schema::FieldType;
use crate::storage::list::compare;
use crate::storage::{Condition, ListQuery, Store, StoreError, Test};
use crate::{Fields, Name, Value};

/// Values with ties, gaps, both signs, both cases, and what SQL and JSON would read as something else.
fn values() -> Vec<Fields> {
    vec![
        fields(json!({"code": "b", "size": 3, "price": "10.00", "is_hot": true, "tags": ["vip", "a\"b"], "kind": "a"})),
        fields(json!({"code": "A", "size": -7, "price": "-2.00", "is_hot": false, "tags": ["vi", "p"], "kind": "b"})),
        fields(json!({"code": "a", "size": 3, "price": "9.50", "words": ["x,", "y\"]"], "tags": ["p\",\"q"]})),
        fields(json!({"code": "B%_'", "price": "-10.00", "due": "2024-02-29", "words": ["y", "X"]})),
        fields(json!({"code": "\u{e4}", "due": "0001-01-01", "seen_at": "2024-02-29T12:00:00.000Z", "note": "N1"})),
        fields(json!({"code": "\u{c4}b", "due": "9999-12-31", "seen_at": "2024-02-29T12:00:00.001Z", "note": "n12"})),
        fields(json!({"code": "", "price": "0.00", "visits": 4, "order": "select", "words": [], "size": 0})),
        fields(
            json!({"price": "9999999999999999.99", "order": "Select", "is_hot": true, "watchers": [id(5).to_string()]}),
        ),
        fields(json!({"price": "-9999999999999999.99", "ref_id": id(900).to_string(), "visits": -4})),
        fields(json!({"ref_id": id(12).to_string(), "note": "x".repeat(5_000), "extra": {"a": 1}})),
        Fields::new(),
    ]
}

/// Written once, so that every query below is answered from the same records.
fn fill<S: Store>(world: &mut World<S>) -> ScopeId {
    let other = ScopeId::team("019b76da-a800-7000-8000-000000000001");
    for (index, values) in values().into_iter().enumerate() {
        let scope = if index % 3 == 2 { &other } else { &ScopeId::WORKSPACE };
        world.commit(|draft| {
            draft.mutation();
            // Not in the order of their ids.
            draft.put("things", id((index as u128 * 7) % 11 + 1), scope, values.clone());
        });
    }
    world.commit(|draft| {
        draft.mutation();
        draft.put("things", id(50), &ScopeId::WORKSPACE, fields(json!({"code": "gone", "size": 3})));
        draft.put("people", id(1), &ScopeId::WORKSPACE, fields(json!({"name": "b"})));
    });
    world.commit(|draft| {
        draft.mutation();
        draft.delete("things", id(50));
    });
    other
}

fn query(conditions: Vec<Condition>, order: Option<&str>, is_descending: bool) -> ListQuery {
    ListQuery {
        entity: "things".into(),
        grants: Grants::All,
        conditions,
        order: order.map(Name::new),
        is_descending,
        after: None,
        limit: 100,
    }
}

pub(super) fn sto_21_lists_are_those_of_the_reference<S: Store>(world: &mut World<S>) {
    let other = fill(world);
    let schema = super::schema();
    let all = world.read(|read| read.scan("things", None, 1_000));
    let entity = schema.entity("things").expect("the contract's own schema");
    let check = |world: &World<S>, query: &ListQuery| {
        let expected = query.page(&schema, all.iter().cloned()).expect("the query names declared fields");
        let found = world.read(|read| read.list(query));
        assert_eq!(found, expected, "STO-21: {query:?}");
        expected
    };
    for field in entity.fields.values() {
        let has_order = !matches!(field.kind, FieldType::Json { .. } | FieldType::Set { .. });
        let mut conditions = vec![Test::Missing];
        for record in &all {
            conditions.extend(record.fields.get(&field.name).into_iter().flat_map(|value| tests_of(field, value)));
        }
        for test in conditions {
            let condition = Condition { field: field.name.clone(), test };
            check(world, &query(vec![condition.clone()], None, false));
            check(world, &query(vec![condition], Some("price"), true));
        }
        if has_order {
            for is_descending in [false, true] {
                pages(world, &query(Vec::new(), Some(&field.name), is_descending), &check);
            }
        }
    }
    for is_descending in [false, true] {
        pages(world, &query(Vec::new(), None, is_descending), &check);
    }
    let both = |grants: Grants| {
        let size = Condition { field: "size".into(), test: Test::AtLeast(json!(0)) };
        let hot = Condition { field: "is_hot".into(), test: Test::OneOf(vec![json!(true), json!(false)]) };
        ListQuery { grants, ..query(vec![size, hot], Some("code"), false) }
    };
    check(world, &both(Grants::All));
    for scopes in [
        vec![],
        vec![other.clone()],
        vec![other, ScopeId::WORKSPACE],
        vec![ScopeId::team("019b76da-a800-7000-8000-000000000002")],
    ] {
        let grants = Grants::Scopes(scopes.into_iter().collect());
        check(world, &both(grants.clone()));
        pages(world, &ListQuery { grants, ..query(Vec::new(), Some("size"), true) }, &check);
    }
    let people = ListQuery { entity: "people".into(), ..query(Vec::new(), Some("name"), false) };
    assert_eq!(world.read(|read| read.list(&people)).len(), 1, "STO-21: of the entity asked for");
}

/// Every test that a value could be looked for by.
fn tests_of(field: &crate::schema::Field, value: &Value) -> Vec<Test> {
    match (&field.kind, value) {
        (FieldType::Json { .. }, _) => Vec::new(),
        (FieldType::Set { .. }, Value::Array(items)) => {
            let mut tests: Vec<Test> = items.iter().map(|item| Test::OneOf(vec![item.clone()])).collect();
            tests.push(Test::OneOf(items.iter().cloned().chain([json!("nothing")]).collect()));
            tests.retain(|test| *test != Test::OneOf(vec![json!("nothing")]));
            tests
        }
        (FieldType::Boolean, _) => vec![Test::OneOf(vec![value.clone()])],
        (kind, _) => {
            let mut tests = vec![
                Test::OneOf(vec![value.clone()]),
                Test::Above(value.clone()),
                Test::AtLeast(value.clone()),
                Test::Below(value.clone()),
                Test::AtMost(value.clone()),
            ];
            if let (FieldType::Text { .. } | FieldType::Choice { .. }, Some(text)) = (kind, value.as_str()) {
                let start: String = text.chars().take(1).collect();
                tests.push(Test::Begins(start.to_ascii_uppercase()));
                tests.push(Test::Begins(text.chars().take(200).collect()));
            }
            tests
        }
    }
}

/// Two at a time: the pages together are the whole list.
fn pages<S: Store>(world: &World<S>, query: &ListQuery, check: &impl Fn(&World<S>, &ListQuery) -> Vec<Record>) {
    let whole: Vec<RecordId> = check(world, query).iter().map(|record| record.id).collect();
    let mut paged = Vec::new();
    let mut page = ListQuery { limit: 2, ..query.clone() };
    loop {
        let records = check(world, &page);
        let Some(last) = records.last() else { break };
        let key = query.order.as_ref().and_then(|field| last.fields.get(field)).cloned().unwrap_or(Value::Null);
        page.after = Some((key, last.id));
        paged.extend(records.iter().map(|record| record.id));
        assert!(paged.len() <= whole.len(), "STO-21: a page repeats what was there: {page:?}");
    }
    assert_eq!(paged, whole, "STO-21: the pages of {query:?}");
}

pub(super) fn sto_21_a_list_names_declared_fields_only<S: Store>(world: &mut World<S>) {
    fill(world);
    let condition = |field: &str| vec![Condition { field: field.into(), test: Test::Missing }];
    let injected = "code\" IS NULL OR 1=1 --";
    for query in [
        query(condition(injected), None, false),
        query(Vec::new(), Some(injected), false),
        ListQuery { entity: "sync_records".into(), ..query(Vec::new(), None, false) },
    ] {
        let refused = world.read(|read| Ok(matches!(read.list(&query), Err(StoreError::Corrupt(_)))));
        assert!(refused, "STO-21: {query:?} is refused");
    }
    let kind = FieldType::Boolean;
    assert!(compare(&kind, &json!(false), &json!(true)).is_lt(), "STO-21: false comes before true");
}
