//! Rows per second that a store itself can write, as a yardstick for everything above it:
//! `cargo run --release -p syncline-storage --example write_rate -- [folder | --url postgres://…]`.
//!
//! Each mutation creates or updates one record of the default schema: a typed row, a sync row, a log entry and an outcome. A
//! PostgreSQL database must be empty, and stays filled; there, bare multi-row inserts of the same typed rows are measured too.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use syncline_core::change::{Change, ChangeKind, LogEntry, Outcome, OutcomeKind};
use syncline_core::id::{BackendId, ClientId, DeviceId, MutationId, RecordId, ScopeId, UserId};
use syncline_core::record::{Record, Version, Versions};
use syncline_core::schema::{Entity, FieldType, Schema};
use syncline_core::storage::contract::workspace;
use syncline_core::storage::{
    ChangedPage, ClientState, LogWrite, Read, RecordWas, RecordWrite, Store as _, StoreResult, StoredOutcome, Wanted,
    WriteSet, unique_key,
};
use syncline_core::{Fields, Name, Value};
use syncline_storage::{Database, DatabaseOptions, DatabaseUrl};

const CLIENT: ClientId = ClientId::from_u128(0xc1);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next();
    let schema = Arc::new(Schema::crm());
    if first.as_deref() == Some("--url") {
        let text = arguments.next().expect("--url postgres://user:password@host/database");
        let url = text.parse().expect("--url postgres://user:password@host/database");
        let mut store = open(&url, &schema);
        for (index, (entity, group)) in cases().enumerate() {
            measure(&mut store, &Case { schema: &schema, entity, group, offset: (index as u128 + 1) << 40 });
        }
        bare_inserts(&text, &schema);
        return;
    }
    let folder = first.map_or_else(std::env::temp_dir, PathBuf::from);
    for (entity, group) in cases() {
        let path = folder.join(format!("write-rate-{}.sqlite", std::process::id()));
        measure(&mut open(&path.clone().into(), &schema), &Case { schema: &schema, entity, group, offset: 0 });
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
        }
    }
}

fn cases() -> impl Iterator<Item = (&'static str, u128)> {
    ["tasks", "contacts"].into_iter().flat_map(|entity| [1, 10, 100].map(|group| (entity, group)))
}

fn open(url: &DatabaseUrl, schema: &Arc<Schema>) -> Database {
    let mut store = Database::open(url, schema.clone(), DatabaseOptions::default()).expect("an empty database opens");
    store.create_workspace(&workspace(), BackendId::from_u128(1)).expect("an empty database takes a workspace");
    store
}

struct Case<'a> {
    schema: &'a Schema,
    entity: &'static str,
    /// Mutations per commit.
    group: u128,
    /// First of the record ids.
    offset: u128,
}

impl Case<'_> {
    fn record_id(&self, number: u128) -> RecordId {
        let random = (self.offset + number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes();
        RecordId::v7(1_763_700_000_000 + number as u64 * 10, std::array::from_fn(|index| random[index]))
    }

    fn declared(&self) -> &Entity {
        self.schema.entity(self.entity).expect("an entity of the default schema")
    }

    fn wanted(&self, numbers: &[u128]) -> Wanted {
        let records = numbers.iter().map(|number| (Name::new(self.entity), self.record_id(*number))).collect();
        Wanted { records, clients: [CLIENT].into(), scopes: [ScopeId::WORKSPACE].into(), ..Wanted::default() }
    }

    /// One mutation per number, each of which writes one record.
    fn plan(&self, read: &dyn Read, numbers: &[u128], is_edit: bool) -> StoreResult<(WriteSet, ())> {
        let head = read.head()?;
        let mut digest = read.scope_digest(&ScopeId::WORKSPACE)?;
        let client = read.client(CLIENT)?;
        let mut client_seq = client.map_or(0, |client| client.last_client_seq);
        let (user_id, device_id) = (UserId::from_u128(2), DeviceId::from_u128(3));
        let mut writes = WriteSet { expected_head: head.seq, head: head.seq, chain: head.chain, ..WriteSet::default() };
        for number in numbers {
            let (entity, id) = (Name::new(self.entity), self.record_id(*number));
            let before = read.record(&entity, id)?;
            (writes.head, client_seq) = (writes.head + 1, client_seq + 1);
            let (seq, mutation_id) = (writes.head, MutationId::from_u128(writes.head.into()));
            let mut fields = values(self.declared(), *number);
            if is_edit && self.declared().field("description").is_some() {
                fields.insert("description".into(), json!("edited"));
            }
            if let Some(old) = &before {
                digest.remove(&entity, &id, old.rv);
            }
            digest.add(&entity, &id, seq);
            let kind = if before.is_some() { ChangeKind::Patch } else { ChangeKind::Put };
            let (prev_rv, scope) = (before.as_ref().map_or(0, |old| old.rv), ScopeId::WORKSPACE);
            let change = Change {
                entity: entity.clone(),
                id,
                kind,
                prev_rv,
                scope: scope.clone(),
                left: None,
                fields: fields.clone().into(),
                before: Arc::default(),
            };
            let entry = LogEntry {
                seq,
                mutation_id,
                client_id: CLIENT,
                client_seq,
                user_id,
                device_id,
                role: "agent".into(),
                authored_ms: seq,
                committed_ms: seq,
                changes: vec![change],
            };
            let write = LogWrite::new(&writes.chain, entry)?;
            writes.chain.clone_from(&write.hash);
            writes.log.push(write);
            let (outcome, conflict_ids) = (OutcomeKind::Applied, Vec::new());
            let outcome = Outcome { client_seq, mutation_id, outcome, code: None, detail: None, conflict_ids, seq };
            writes.outcomes.push(StoredOutcome {
                client_id: CLIENT,
                user_id,
                decided_ms: seq,
                outcome,
                rejected: None,
            });
            let uniques = self.declared().unique.iter();
            let unique_keys = uniques.filter_map(|unique| Some((unique.name.clone(), unique_key(unique, &fields)?)));
            let unique_keys = unique_keys.collect();
            let was = before.map(|old| RecordWas { rv: old.rv, is_deleted: old.is_deleted, scope: old.scope });
            let versions = Versions::new(Version(seq, seq));
            let record =
                Record { entity, id, rv: seq, scope, entered: 1, is_deleted: false, fields: fields.into(), versions };
            writes.records.push(RecordWrite { record, was, unique_keys });
        }
        writes.clients.push(ClientState { client_id: CLIENT, user_id, device_id, last_client_seq: client_seq });
        writes.digests.insert(ScopeId::WORKSPACE, digest);
        Ok((writes, ()))
    }

    fn commit(&self, store: &mut Database, numbers: &[u128], is_edit: bool) {
        let done = store.transact(&workspace(), &self.wanted(numbers), |read| self.plan(read, numbers, is_edit));
        done.expect("a well-formed write set is applied");
    }
}

fn measure(store: &mut Database, case: &Case<'_>) {
    let count = if case.group == 1 { 1_000 } else { 10_000 };
    let first_seq = store.read(&workspace(), |read| Ok(read.head()?.seq)).expect("a read");
    let mut write = |is_edit| {
        timed(|| {
            for first in (0..count).step_by(case.group as usize) {
                let numbers =
                    (first..first + case.group).map(|number| if is_edit { number * 7_919 % count } else { number });
                case.commit(store, &numbers.collect::<Vec<_>>(), is_edit);
            }
        })
    };
    let (created, updated) = (write(false), write(true));
    let read_one = timed(|| {
        let read = store.read(&workspace(), |read| {
            (0..count.min(2_000)).try_for_each(|number| {
                read.record(case.entity, case.record_id(number)).map(|record| assert!(record.is_some()))
            })
        });
        read.expect("reads of what was written");
    });
    let (scope, entity) = (ScopeId::WORKSPACE, Name::new(case.entity));
    let page = ChangedPage { scope, entity, after: first_seq, to: 1 << 50, live_only: true, limit: usize::MAX };
    let read_all = timed(|| drop(store.read(&workspace(), |read| read.changed(&page)).expect("a snapshot")));
    let rate = |count: u128, elapsed: Duration| count as f64 / elapsed.as_secs_f64();
    println!(
        "{:9} group {:3}: {:6.0} creates/s {:6.0} updates/s {:7.0} point reads/s {:7.0} snapshot rows/s",
        case.entity,
        case.group,
        rate(count, created),
        rate(count, updated),
        rate(count.min(2_000), read_one),
        rate(count, read_all),
    );
}

/// 100 rows per statement and transaction, as text, into a table like that of contacts: what the server can do at all.
fn bare_inserts(url: &str, schema: &Schema) {
    let case = Case { schema, entity: "contacts", group: 100, offset: 99 << 40 };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let elapsed = runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("the same server");
        tokio::spawn(connection);
        let table = "CREATE TABLE bare (LIKE contacts INCLUDING ALL)";
        client.batch_execute(table).await.expect("a table");
        let statements: Vec<String> = (0..100).map(|group| bare_insert(&case, group * 100)).collect();
        let mut elapsed = Duration::ZERO;
        for sql in &statements {
            let (done, took) = timed_async(client.batch_execute(sql)).await;
            done.expect("an insert");
            elapsed += took;
        }
        elapsed
    });
    println!("contacts  bare inserts of 100 rows: {:6.0} rows/s", 10_000.0 / elapsed.as_secs_f64());
}

fn bare_insert(case: &Case<'_>, first: u128) -> String {
    let names: Vec<Name> = values(case.declared(), first).into_keys().collect();
    let quote = |value: &Value| match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => format!("'{}'", text.replace('\'', "''")),
        other => format!("'{}'", other.to_string().replace('\'', "''")),
    };
    let rows = (first..first + case.group).map(|number| {
        let fields = values(case.declared(), number);
        let list: Vec<String> = names.iter().map(|name| quote(&fields[name])).collect();
        format!("('acme', '{}', {})", case.record_id(number), list.join(", "))
    });
    let columns: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    format!(
        "INSERT INTO bare (workspace_id, id, {}) VALUES {}",
        columns.join(", "),
        rows.collect::<Vec<_>>().join(", ")
    )
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

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
async fn timed_async<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let start = std::time::Instant::now();
    (work.await, start.elapsed())
}
