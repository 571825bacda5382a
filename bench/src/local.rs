//! PERF-7: a device's own reads and writes, with 100,000 leads in its store and no network.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;
use syncline_core::id::{ClientId, DeviceId, MutationId, RecordId, ScopeId, UserId};
use syncline_core::protocol::{Batch, WireChange, WireOp};
use syncline_core::replica::{Edit, Filter, Query, Replica, ReplicaIdentity};
use syncline_core::schema::Schema;
use syncline_storage::SqliteReplica;

use crate::clock;
use crate::report::{Report, figure};
use crate::stage::{self, fields};

pub fn run(report: &mut Report, scale: usize) -> anyhow::Result<()> {
    let count = 100_000 / scale;
    let dir = tempfile::tempdir()?;
    let schema = Arc::new(Schema::crm());
    let store = SqliteReplica::open(dir.path(), schema.clone())?;
    let identity = ReplicaIdentity {
        workspace_id: stage::workspace(),
        user_id: UserId::from_u128(1),
        device_id: DeviceId::from_u128(2),
        client_id: ClientId::from_u128(3),
    };
    let mut replica = Replica::open(store, schema, Some(identity))?.expect("a new replica");
    let contact = stage::new_id();
    let mut ids = Vec::with_capacity(count);
    for first in (0..count).step_by(10_000) {
        let rows = (first..(first + 10_000).min(count)).map(|number| {
            let syncline_core::change::Op::Create { entity, id, fields } = stage::lead(number, contact) else {
                unreachable!("a lead is created")
            };
            ids.push(id);
            WireOp::Put { entity, id, rv: number as u64 + 1, scope: ScopeId::WORKSPACE, fields: Arc::new(fields) }
        });
        let changes = vec![WireChange { by: None, ops: rows.collect() }];
        let (from, to) = (first as u64, (first + 10_000) as u64);
        let batch = Batch { from, to, catch_up: true, more: false, changes, digests: Vec::new() };
        replica.apply_catch_up(vec![batch], &BTreeSet::from([ScopeId::WORKSPACE]), clock::wall_ms())?;
    }
    let pick = |number: usize| ids[number * 7_919 % ids.len()];
    let mut rows = Vec::new();
    let mut add = |what: &str, mut samples: Vec<f64>| {
        let (p50, p99) = (clock::percentile(&mut samples, 0.5), clock::percentile(&mut samples, 0.99));
        rows.push(json!({"what": what, "p50 ms": figure(p50), "p99 ms": figure(p99)}));
    };
    add("read a lead by id", timed(2_000, |n| replica.get("leads", pick(n)).map(drop).map_err(Into::into))?);
    let by_external_id = |n: usize| Query {
        entity: "leads".into(),
        filters: vec![Filter { field: "external_id".into(), value: json!(format!("L-{}", n * 7_919 % count)) }],
        limit: 20,
        ..Query::default()
    };
    add("find by an indexed field", timed(1_000, |n| replica.query(&by_external_id(n)).map(drop).map_err(Into::into))?);
    add("write a field (durable)", timed(2_000, |n| edit(&mut replica, pick(n)))?);
    add(
        "read a lead with pending edits",
        timed(2_000, |n| replica.get("leads", pick(n)).map(drop).map_err(Into::into))?,
    );
    let title = "Local: one device with 100,000 leads, no network; a write is in the outbox and synced to disk";
    report.section("local", title, &["what", "p50 ms", "p99 ms"], &rows);
    Ok(())
}

fn edit(replica: &mut Replica<SqliteReplica>, id: RecordId) -> anyhow::Result<()> {
    let fields = fields(json!({"temperature": "hot"}));
    let mutation_id = MutationId::v7(clock::wall_ms(), rand::random());
    replica.mutate(vec![Edit::Update { entity: "leads".into(), id, fields }], mutation_id, clock::wall_ms())?;
    Ok(())
}

fn timed(count: usize, mut step: impl FnMut(usize) -> anyhow::Result<()>) -> anyhow::Result<Vec<f64>> {
    let mut samples = Vec::with_capacity(count);
    for number in 0..count {
        let start = clock::now();
        step(number)?;
        samples.push(clock::millis(start.elapsed()));
    }
    Ok(samples)
}
