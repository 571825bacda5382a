//! PERF-3 and PERF-4: one committed change to 100 and 1,000 devices, and what an idle connection costs. The server runs as
//! a process on one processor, the load on another.

use std::collections::HashMap;
use std::time::Instant;

use anyhow::Context as _;
use serde_json::json;
use syncline_core::Seq;
use syncline_core::protocol::{ClientFrame, ServerFrame};
use syncline_server::demo;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock;
use crate::process::{Process, stay_on};
use crate::push::foreign_contact;
use crate::report::{Report, figure};
use crate::stage::mutation;
use crate::wire::{Pass, Wire};

const SERVER_CORE: usize = 0;
const LOAD_CORE: usize = 1;
/// Settings of a server whose hub is measured and not its limits.
const UNLIMITED: &str =
    "[sockets]\nframes_per_second_max = 100000\nconnections_max = 20000\nuser_connections_max = 20000\n";

pub async fn run(report: &mut Report, scale: usize) -> anyhow::Result<()> {
    stay_on(LOAD_CORE)?;
    fan_out(report, scale).await?;
    idle(report, scale).await
}

async fn fan_out(report: &mut Report, scale: usize) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for subscribers in [100, 1_000] {
        for in_flight in [1, 16, 256] {
            let commits = (if in_flight == 1 { 400 } else { 4_000 } / scale).max(in_flight);
            let run = measure(subscribers, in_flight, commits).await?;
            rows.push(json!({
                "subscribers": subscribers, "in flight": in_flight, "deliveries/s": figure(run.per_second),
                "server CPU ns per delivery": figure(run.cpu_ns), "p50 ms": figure(run.p50_ms), "p99 ms": figure(run.p99_ms),
            }));
        }
    }
    let columns = ["subscribers", "in flight", "deliveries/s", "server CPU ns per delivery", "p50 ms", "p99 ms"];
    let title = "Fan-out through the engine: contacts of 15 fields pushed one by one, each to every subscribed device; the \
                 CPU includes deciding and storing them";
    report.section("hub", title, &columns, &rows);
    Ok(())
}

struct Run {
    per_second: f64,
    cpu_ns: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// When a subscriber had everything up to a seq.
type Arrivals = Vec<(Seq, Instant)>;

async fn measure(subscribers: usize, in_flight: usize, commits: usize) -> anyhow::Result<Run> {
    let dir = tempfile::tempdir()?;
    let server = Process::start(dir.path(), Some(SERVER_CORE), UNLIMITED).await?;
    let owner = Pass::sign_in(&server.url, demo::USERS[0].email).await?;
    let pusher = Pass::sign_in(&server.url, demo::USERS[3].email).await?;
    let (end, ends) = watch::channel(Seq::MAX);
    let mut listening: JoinSet<anyhow::Result<Arrivals>> = JoinSet::new();
    for _ in 0..subscribers {
        let wire = Wire::follow(&owner).await?;
        listening.spawn(listen(wire, ends.clone()));
    }
    let mut authors = Vec::with_capacity(in_flight);
    for _ in 0..in_flight {
        authors.push(Wire::follow(&pusher).await?);
    }
    let each = commits / in_flight;
    let (cpu, start) = (server.cpu_seconds()?, clock::now());
    let mut pushing: JoinSet<anyhow::Result<Vec<(Seq, Instant)>>> = JoinSet::new();
    for (author, wire) in authors.into_iter().enumerate() {
        pushing.spawn(push(wire, author, each));
    }
    let mut sent = HashMap::new();
    while let Some(pushed) = pushing.join_next().await {
        sent.extend(pushed??);
    }
    let last = sent.keys().copied().max().context("something was pushed")?;
    end.send_replace(last);
    let mut delays = Vec::new();
    let mut done = start;
    while let Some(arrivals) = listening.join_next().await {
        let mut from = 0;
        for (to, at) in arrivals?? {
            done = done.max(at);
            let covered = (from + 1..=to).filter_map(|seq| sent.get(&seq));
            delays.extend(covered.map(|sent| clock::millis(at.saturating_duration_since(*sent))));
            from = to;
        }
    }
    let cpu = server.cpu_seconds()? - cpu;
    anyhow::ensure!(delays.len() == each * in_flight * subscribers, "{} deliveries instead", delays.len());
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let deliveries = delays.len() as f64;
    Ok(Run {
        per_second: deliveries / done.saturating_duration_since(start).as_secs_f64(),
        cpu_ns: cpu * 1e9 / deliveries,
        p50_ms: clock::percentile(&mut delays, 0.5),
        p99_ms: clock::percentile(&mut delays, 0.99),
    })
}

/// Notes when batches come, until everything up to the end has.
async fn listen(mut wire: Wire, mut ends: watch::Receiver<Seq>) -> anyhow::Result<Arrivals> {
    let mut arrivals = Vec::new();
    let mut reached = 0;
    loop {
        tokio::select! {
            text = wire.next_text() => {
                if let Some(to) = batch_end(&text?) {
                    reached = to;
                    arrivals.push((to, clock::now()));
                }
            }
            changed = ends.changed() => changed?,
        }
        if reached >= *ends.borrow() {
            return Ok(arrivals);
        }
    }
}

/// `to` of a batch, without decoding the rest.
fn batch_end(text: &str) -> Option<Seq> {
    let rest = text.strip_prefix("{\"type\":\"batch\"")?;
    let to = rest.split_once("\"to\":")?.1;
    to.split(|next: char| !next.is_ascii_digit()).next()?.parse().ok()
}

/// Pushes one mutation after the other; returns the seq of each with when it was sent.
async fn push(mut wire: Wire, author: usize, count: usize) -> anyhow::Result<Vec<(Seq, Instant)>> {
    let mut sent = Vec::with_capacity(count);
    for number in 0..count {
        let op = foreign_contact(author * 1_000_000 + number, demo::USERS[1].user_id());
        let at = clock::now();
        wire.send(&ClientFrame::Push { mutations: vec![mutation(number as u64 + 1, vec![op])] }).await?;
        loop {
            if let ServerFrame::Outcomes { outcomes } = wire.next().await? {
                sent.extend(outcomes.iter().map(|outcome| (outcome.seq, at)));
                break;
            }
        }
    }
    Ok(sent)
}

async fn idle(report: &mut Report, scale: usize) -> anyhow::Result<()> {
    let count = 10_000 / scale;
    let dir = tempfile::tempdir()?;
    let server = Process::start(dir.path(), Some(SERVER_CORE), UNLIMITED).await?;
    let owner = Pass::sign_in(&server.url, demo::USERS[0].email).await?;
    let warm = Wire::follow(&owner).await?;
    let before = server.resident_mib()?;
    let mut wires = Vec::with_capacity(count);
    for _ in 0..count {
        wires.push(Wire::follow(&owner).await?);
    }
    let after = server.resident_mib()?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let each_kib = (after - before) * 1_024.0 / count as f64;
    drop(warm);
    let rows = [json!({"connections": count, "resident MiB": figure(after), "KiB each": figure(each_kib)})];
    let title = "Idle connections: authenticated and greeted, nothing sent since; kernel buffers not counted";
    report.section("idle", title, &["connections", "resident MiB", "KiB each"], &rows);
    Ok(())
}
