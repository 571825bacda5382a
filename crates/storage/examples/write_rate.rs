//! Rows per second that a store itself can write, as a yardstick for everything above it:
//! `cargo run --release -p syncline-storage --example write_rate -- [folder | --url postgres://…]`. The PostgreSQL database
//! must be empty: it stays filled. There, bare multi-row inserts of the same typed rows are measured too.
//!
//! Each mutation creates or updates one record of the default schema: a typed row, a sync row, a log entry and an outcome.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use syncline_core::id::{RecordId, ScopeId};
use syncline_core::schema::{Entity, FieldType, Schema};
use syncline_core::storage::contract::World;
use syncline_core::storage::{ChangedPage, Store as _};
use syncline_core::{Fields, Value};
use syncline_storage::{Database, DatabaseOptions, DatabaseUrl};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next();
    let schema = Arc::new(Schema::crm());
    if first.as_deref() == Some("--url") {
        let url =
            arguments.next().and_then(|url| url.parse().ok()).expect("--url postgres://user:password@host/database");
        let store = Database::open(&url, schema.clone(), DatabaseOptions::default()).expect("the database opens");
        let mut world = World::new(schema.clone(), store);
        for (offset, entity) in [(1_u128 << 40, "tasks"), (2 << 40, "contacts")] {
            for (index, group) in [1, 10, 100].into_iter().enumerate() {
                measure(&mut world, entity, group, offset + ((index as u128) << 30));
            }
        }
        return;
    }
    let folder = first.map_or_else(std::env::temp_dir, PathBuf::from);
    for entity in ["tasks", "contacts"] {
        for group in [1, 10, 100] {
            let path = folder.join(format!("write-rate-{}.sqlite", std::process::id()));
            let url = DatabaseUrl::from(path.clone());
            let store = Database::open(&url, schema.clone(), DatabaseOptions::default()).expect("a new database opens");
            let mut world = World::new(schema.clone(), store);
            let count = measure(&mut world, entity, group, 0);
            let _ = world.store.checkpoint();
            println!("{:>28} bytes/record", bytes(&path) / count);
            for suffix in ["", "-wal", "-shm"] {
                let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
            }
        }
    }
}

fn bytes(path: &Path) -> u128 {
    std::fs::metadata(path).map_or(0, |file| file.len()).into()
}

/// Returns how many records were written, with ids made of `offset` and on.
fn measure(world: &mut World<Database>, entity: &str, group: u128, offset: u128) -> u128 {
    let schema = world.schema.clone();
    let declared = schema.entity(entity).expect("an entity of the default schema");
    let count = if group == 1 { 2_000 } else { 20_000 };
    let record_id = |number: u128| {
        let number = offset + number;
        let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes();
        RecordId::v7(1_763_700_000_000 + number as u64 * 10, std::array::from_fn(|index| random[index]))
    };
    let first_seq = world.head().seq;
    let created = timed(|| {
        for first in (0..count).step_by(group as usize) {
            world.commit(|draft| {
                for number in first..first + group {
                    draft.mutation();
                    draft.put(entity, record_id(number), &ScopeId::WORKSPACE, values(declared, number));
                }
            });
        }
    });
    let updated = timed(|| {
        for first in (0..count).step_by(group as usize) {
            world.commit(|draft| {
                for number in (first..first + group).map(|number| number * 7_919 % count) {
                    draft.mutation();
                    let mut fields = values(declared, number);
                    fields.insert("description".into(), json!("edited"));
                    fields.retain(|name, _| declared.field(name).is_some());
                    draft.put(entity, record_id(number), &ScopeId::WORKSPACE, fields);
                }
            });
        }
    });
    let acme = syncline_core::storage::contract::workspace();
    let read_one = timed(|| {
        let read = world.store.read(&acme, |read| {
            (0..count)
                .try_for_each(|number| read.record(entity, record_id(number)).map(|record| assert!(record.is_some())))
        });
        read.expect("reads of what was written");
    });
    let head = world.head().seq;
    let page = ChangedPage {
        scope: ScopeId::WORKSPACE,
        entity: entity.into(),
        after: first_seq,
        to: head,
        live_only: true,
        limit: usize::MAX,
    };
    let read_all = timed(|| drop(world.store.read(&acme, |read| read.changed(&page)).expect("a snapshot")));
    let rate = |elapsed: Duration| count as f64 / elapsed.as_secs_f64();
    println!(
        "{entity:9} group {group:3}: {:6.0} creates/s {:6.0} updates/s {:7.0} point reads/s {:7.0} snapshot rows/s",
        rate(created),
        rate(updated),
        rate(read_one),
        rate(read_all),
    );
    count
}

/// Three quarters of the fields, with values of a usual length.
fn values(entity: &Entity, number: u128) -> Fields {
    let mut fields = Fields::new();
    for (index, (name, field)) in entity.fields.iter().enumerate() {
        if index % 4 == 3 || field.references.is_some() {
            continue;
        }
        let value = match &field.kind {
            FieldType::Text { max_len, .. } => {
                let text = format!("{name} of {number}, as people write");
                Value::from(text.chars().take(*max_len as usize).collect::<String>())
            }
            FieldType::Choice { choices } => Value::from(choices[number as usize % choices.len()].as_str()),
            FieldType::Integer { .. } | FieldType::Counter => json!(number as u64 % 50),
            FieldType::Decimal { .. } => json!("1250.00"),
            FieldType::Boolean => json!(number.is_multiple_of(2)),
            FieldType::Date => json!("2026-11-21"),
            FieldType::Timestamp => json!("2026-11-21T09:30:00.000Z"),
            FieldType::Uuid => json!(RecordId::from_u128(number).to_string()),
            FieldType::Json { .. } => json!({"street": "Main Street 1", "city": "Springfield", "zip": "12345"}),
            FieldType::Set { .. } => json!(["customer", "priority"]),
        };
        fields.insert(name.clone(), value);
    }
    fields
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn timed(work: impl FnOnce()) -> Duration {
    let start = std::time::Instant::now();
    work();
    start.elapsed()
}
