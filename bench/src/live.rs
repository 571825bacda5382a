//! PERF-2: from a push on one device to the change on another, beside what the disk takes for one durable write.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use syncline_core::protocol::{ClientFrame, ServerFrame};

use crate::clock;
use crate::place::{Place, StoreKind};
use crate::report::{Report, figure};
use crate::stage::{Stage, contact, mutation};
use crate::wire::Wire;

/// On PostgreSQL also with two nodes and the reader at the other one.
pub async fn run(report: &mut Report, kind: StoreKind, scale: usize) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    let mut fsync = fsync_ms()?;
    let fsync_p50 = clock::median(&mut fsync);
    let readers: &[Reader] = match kind {
        StoreKind::Sqlite => &[Reader::SameNode],
        StoreKind::Postgres => &[Reader::SameNode, Reader::OtherNode],
    };
    for per_second in [100, 1_000] {
        let mut same_p50 = f64::NAN;
        for reader in readers {
            let mut delays = measure(kind, *reader, (per_second, (per_second * 10 / scale).max(50))).await?;
            let p50 = clock::percentile(&mut delays, 0.5);
            if *reader == Reader::SameNode {
                same_p50 = p50;
            }
            rows.push(json!({
                "edits/s": per_second, "reader at": reader.name(), "p50 ms": figure(p50),
                "p99 ms": figure(clock::percentile(&mut delays, 0.99)), "fsync p50 ms": figure(fsync_p50),
                "p50 over fsync ms": figure(p50 - fsync_p50), "p50 over same node ms": figure(p50 - same_p50),
            }));
        }
    }
    let columns =
        ["edits/s", "reader at", "p50 ms", "p99 ms", "fsync p50 ms", "p50 over fsync ms", "p50 over same node ms"];
    let title = format!(
        "Live on {}: push sent on one device → batch read on another, over loopback; fsync: 4 KiB appended and synced",
        kind.name()
    );
    report.section("live", &title, &columns, &rows);
    Ok(())
}

/// Where the device is that waits for the change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    SameNode,
    OtherNode,
}

impl Reader {
    fn name(self) -> &'static str {
        match self {
            Reader::SameNode => "the author's node",
            Reader::OtherNode => "the other node",
        }
    }
}

/// Milliseconds of 200 durable appends of a page each.
fn fsync_ms() -> anyhow::Result<Vec<f64>> {
    let dir = tempfile::tempdir()?;
    let mut file = std::fs::File::create(dir.path().join("fsync"))?;
    let mut samples = Vec::new();
    for _ in 0..200 {
        file.write_all(&[7; 4096])?;
        let start = clock::now();
        file.sync_data()?;
        samples.push(clock::millis(start.elapsed()));
    }
    Ok(samples)
}

/// Milliseconds from sending each of `count` single mutations, evenly spaced, to their batch on the other device.
async fn measure(kind: StoreKind, reader: Reader, (per_second, count): (usize, usize)) -> anyhow::Result<Vec<f64>> {
    let nodes = if reader == Reader::OtherNode { 2 } else { 1 };
    let stage = Stage::start_in(Place::new(kind).await?, nodes).await?;
    let mut author = Wire::connect(&stage.url).await?;
    let mut reader = Wire::connect(&stage.url_of(nodes - 1)).await?;
    let sent: Arc<Mutex<HashMap<u64, Instant>>> = Arc::default();
    let received = {
        let sent = Arc::clone(&sent);
        tokio::spawn(async move {
            let mut delays = Vec::with_capacity(count);
            while delays.len() < count {
                let text = reader.next_text().await?;
                let at = clock::now();
                let ServerFrame::Batch(batch) = serde_json::from_str(&text)? else { continue };
                let sent = sent.lock().expect("nobody panics holding it");
                for (_, client_seq) in batch.changes.iter().filter_map(|change| change.by) {
                    if let Some(start) = sent.get(&client_seq) {
                        delays.push(clock::millis(at.saturating_duration_since(*start)));
                    }
                }
            }
            anyhow::Ok(delays)
        })
    };
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / u32::try_from(per_second)?);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let mut unanswered = 0_usize;
    for number in 1..=count as u64 {
        ticks.tick().await;
        let frame = ClientFrame::Push { mutations: vec![mutation(number, vec![contact(usize::try_from(number)?)])] };
        sent.lock().expect("nobody panics holding it").insert(number, clock::now());
        author.send(&frame).await?;
        unanswered += 1;
        // Outcomes are read as they come; the window of unanswered pushes is the protocol's.
        while unanswered > 3 {
            if author.next_text().await?.starts_with("{\"type\":\"outcomes\"") {
                unanswered -= 1;
            }
        }
    }
    let delays = received.await??;
    stage.stop().await;
    Ok(delays)
}
