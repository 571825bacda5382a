//! PERF-1: durable pushes per second over WebSocket, beside a bare SQLite loop writing the same rows.

use serde_json::json;
use syncline_core::change::Op;
use syncline_server::demo;

use crate::report::{Report, figure};
use crate::stage::{Stage, contact, mutation};
use crate::wire::Wire;
use crate::{bare, clock};

const ROUNDS: usize = 3;
const CLIENTS: [usize; 3] = [1, 10, 100];

/// `only`: one pair of clients and batch, for a profiler.
pub async fn run(report: &mut Report, scale: usize, only: Option<(usize, usize)>) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for batch in [1, 100] {
        if only.is_some_and(|only| only.1 != batch) {
            continue;
        }
        let bare = bare::create_rate(batch, if batch == 1 { 2_000 } else { 20_000 } / scale)?;
        for clients in CLIENTS {
            if only.is_some_and(|only| only != (clients, batch)) {
                continue;
            }
            let total = (if batch == 1 { 2_000 } else { 20_000 } * if clients == 1 { 1 } else { 2 }) / scale;
            let mut rates = Vec::new();
            for _ in 0..ROUNDS {
                rates.push(measure(clients, batch, (total / clients).max(batch)).await?);
            }
            let rate = clock::median(&mut rates);
            rows.push(json!({
                "clients": clients, "batch": batch, "mutations/s": figure(rate),
                "bare rusqlite rows/s": figure(bare), "share of bare": figure(rate / bare),
            }));
        }
    }
    let columns = ["clients", "batch", "mutations/s", "bare rusqlite rows/s", "share of bare"];
    let title = "Durable push: contacts of 15 fields over WebSocket, answered after fsync; bare: the same rows, one \
                 transaction per batch";
    report.section("push", title, &columns, &rows);
    Ok(())
}

/// A contact of somebody else than the pusher, whose device therefore gets no live batch of it: fan-out is measured by itself.
pub fn foreign_contact(number: usize) -> Op {
    let mut op = contact(number);
    if let Op::Create { fields, .. } = &mut op {
        fields.insert("assigned_to".into(), json!(demo::USERS[1].user_id()));
    }
    op
}

/// Mutations per second of `clients` that each push `count` in frames of `batch`, with a device's push window, while one
/// more device of another person listens to all of it.
async fn measure(clients: usize, batch: usize, count: usize) -> anyhow::Result<f64> {
    let stage = Stage::start().await?;
    let mut wires = Vec::with_capacity(clients);
    let pusher = &demo::USERS[3];
    for _ in 0..clients {
        wires.push(Wire::connect_as(&stage.url, pusher).await?);
    }
    let mut listener = Wire::connect(&stage.url).await?;
    let listening = tokio::spawn(async move { while listener.next_text().await.is_ok() {} });
    let frames = count.div_ceil(batch);
    let work = wires.into_iter().enumerate().map(|(client, wire)| {
        let pushes: Vec<Vec<_>> = (0..frames)
            .map(|frame| {
                let numbers = frame * batch..(frame + 1) * batch;
                numbers.map(|n| mutation(n as u64 + 1, vec![foreign_contact(client * 1_000_000 + n)])).collect()
            })
            .collect();
        (wire, pushes)
    });
    let work: Vec<_> = work.collect();
    let start = clock::now();
    let tasks = work.into_iter().map(|(mut wire, pushes)| tokio::spawn(async move { wire.push_all(pushes).await }));
    for task in tasks.collect::<Vec<_>>() {
        task.await??;
    }
    let elapsed = start.elapsed();
    listening.abort();
    stage.stop().await;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let total = (clients * frames * batch) as f64;
    Ok(total / elapsed.as_secs_f64())
}
