//! PERF-3 beside others: one publisher, many subscribers, 128-byte messages over WebSocket; Syncline's topics, `nats-server`, Socket.IO
//! and plain `ws`, one after the other in the same run. Each server has a processor of its own, the load the other.

mod peer;
mod socket;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::clock;
use crate::process::{cpu_seconds, resident_kib, stay_on};
use crate::report::{Report, figure};
use peer::{Kind, OFFER, Peer};
use socket::Socket;

const LOAD_CORE: usize = 1;
/// How long each load lasts.
const LOAD: Duration = Duration::from_secs(2);
/// Rounds of which the median counts.
const ROUNDS: usize = 3;
/// Messages to everybody after which memory is looked at again.
const BROADCASTS: usize = 20;
/// Bytes of a message: `@`, when it was sent as 19 digits of nanoseconds, `@`, and filling.
pub const PAYLOAD_BYTES: usize = 128;
/// Bytes from one `@` to the other.
const STAMP_BYTES: usize = 21;
/// Deliveries of which one has its delay noted.
const SAMPLE_EVERY: u64 = 8;

pub async fn run(report: &mut Report, scale: usize) -> anyhow::Result<()> {
    among(&Kind::available()?, report, scale).await
}

/// The same load on Syncline by itself.
pub async fn alone(report: &mut Report, scale: usize) -> anyhow::Result<()> {
    among(&[Kind::Syncline], report, scale).await
}

async fn among(kinds: &[Kind], report: &mut Report, scale: usize) -> anyhow::Result<()> {
    stay_on(LOAD_CORE)?;
    fan_out(report, kinds, scale).await?;
    idle(report, kinds, scale).await
}

async fn fan_out(report: &mut Report, kinds: &[Kind], scale: usize) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for subscribers in [100, 1_000] {
        for in_flight in [1, 16, 256] {
            let load = Load { subscribers, in_flight, lasts: LOAD / u32::try_from(scale)? };
            let mut rounds: Vec<Vec<Run>> = kinds.iter().map(|_| Vec::new()).collect();
            // In turn, so that a noisy minute is everybody's.
            for _ in 0..if scale == 1 { ROUNDS } else { 1 } {
                for (kind, runs) in kinds.iter().zip(&mut rounds) {
                    runs.push(measure(*kind, load).await.with_context(|| kind.name())?);
                }
            }
            let runs: Vec<(Kind, Run)> =
                kinds.iter().copied().zip(rounds.iter().map(|runs| Run::median(runs))).collect();
            let syncline =
                runs.iter().find(|(kind, _)| *kind == Kind::Syncline).map_or(f64::NAN, |(_, run)| run.cpu_ns);
            rows.extend(runs.iter().map(|(kind, run)| row(*kind, subscribers, in_flight, run, syncline)));
        }
    }
    let columns = [
        "server",
        "subscribers",
        "in flight",
        "deliveries/s",
        "server CPU ns per delivery",
        "times Syncline's",
        "p50 ms",
        "p99 ms",
    ];
    let title =
        "Fan-out of 128-byte messages over WebSocket, one publisher; server on one processor, load on the other";
    report.section("peers", title, &columns, &rows);
    Ok(())
}

fn row(kind: Kind, subscribers: usize, in_flight: u64, run: &Run, syncline: f64) -> Value {
    json!({
        "server": kind.name(), "subscribers": subscribers, "in flight": in_flight, "deliveries/s": figure(run.per_second),
        "server CPU ns per delivery": figure(run.cpu_ns), "times Syncline's": figure(run.cpu_ns / syncline),
        "p50 ms": figure(run.p50_ms), "p99 ms": figure(run.p99_ms),
    })
}

#[derive(Clone, Copy)]
struct Load {
    subscribers: usize,
    in_flight: u64,
    lasts: Duration,
}

struct Run {
    per_second: f64,
    cpu_ns: f64,
    p50_ms: f64,
    p99_ms: f64,
}

impl Run {
    /// The median of each figure.
    fn median(runs: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| clock::median(&mut runs.iter().map(figure).collect::<Vec<_>>());
        Self {
            per_second: of(|run| run.per_second),
            cpu_ns: of(|run| run.cpu_ns),
            p50_ms: of(|run| run.p50_ms),
            p99_ms: of(|run| run.p99_ms),
        }
    }
}

/// What the publisher and its subscribers share.
struct Count {
    start: Instant,
    subscribers: u64,
    delivered: AtomicU64,
    /// Another message has reached everybody.
    advanced: Notify,
}

async fn measure(kind: Kind, load: Load) -> anyhow::Result<Run> {
    let peer = Peer::start(kind).await?;
    let subscribers = load.subscribers as u64;
    let count = Count { start: clock::now(), subscribers, delivered: AtomicU64::new(0), advanced: Notify::new() };
    let count = Arc::new(count);
    let mut listening = JoinSet::new();
    for _ in 0..load.subscribers {
        let socket = peer.subscriber("").await?;
        listening.spawn(listen(socket, Arc::clone(&count)));
    }
    let mut publisher = peer.publisher("").await?;
    // A moment to warm up, which is not counted.
    publish(&peer, &mut publisher, &count, load.in_flight, load.lasts / 10).await?;
    let (cpu, before, from) = (cpu_seconds(peer.pid())?, count.delivered.load(Ordering::Acquire), clock::now());
    publish(&peer, &mut publisher, &count, load.in_flight, load.lasts).await?;
    let elapsed = from.elapsed().as_secs_f64();
    let (cpu, after) = (cpu_seconds(peer.pid())? - cpu, count.delivered.load(Ordering::Acquire));
    drop((publisher, peer));
    let mut delays = Vec::new();
    while let Some(listened) = listening.join_next().await {
        delays.extend(listened?);
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let deliveries = (after - before) as f64;
    Ok(Run {
        per_second: deliveries / elapsed,
        cpu_ns: cpu * 1e9 / deliveries,
        p50_ms: clock::percentile(&mut delays, 0.5),
        p99_ms: clock::percentile(&mut delays, 0.99),
    })
}

/// Publishes for a time, never with more than `in_flight` messages that have not reached everybody, and waits for the last.
async fn publish(
    peer: &Peer,
    socket: &mut Socket,
    count: &Count,
    in_flight: u64,
    lasts: Duration,
) -> anyhow::Result<()> {
    let begun = clock::now();
    let mut sent = count.delivered.load(Ordering::Acquire) / count.subscribers;
    while begun.elapsed() < lasts {
        let nanos = count.start.elapsed().as_nanos();
        let payload = format!("{:x<PAYLOAD_BYTES$}", format!("@{nanos:019}@"));
        peer.publish(socket, &payload).await?;
        sent += 1;
        count.wait_for(sent.saturating_sub(in_flight - 1)).await?;
    }
    count.wait_for(sent).await
}

impl Count {
    /// Waits until so many messages have reached everybody.
    async fn wait_for(&self, messages: u64) -> anyhow::Result<()> {
        let waiting = async {
            loop {
                let advanced = self.advanced.notified();
                if self.delivered.load(Ordering::Acquire) >= messages * self.subscribers {
                    return;
                }
                advanced.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting).await.context("a message did not reach everybody")
    }

    fn add(&self, messages: u64) {
        let before = self.delivered.fetch_add(messages, Ordering::AcqRel);
        if before / self.subscribers != (before + messages) / self.subscribers {
            self.advanced.notify_one();
        }
    }
}

/// Counts messages in the stream of bytes by their stamps, whatever frames they lie in; returns delays in milliseconds.
async fn listen(mut socket: Socket, count: Arc<Count>) -> Vec<f64> {
    let (mut delays, mut seen) = (Vec::new(), 0);
    let mut left: Vec<u8> = Vec::new();
    while let Ok(chunk) = socket.read().await {
        let now = count.start.elapsed();
        left.extend_from_slice(chunk);
        let (mut at, mut messages) = (0, 0);
        while let Some(found) = left[at..].iter().position(|byte| *byte == b'@') {
            at += found;
            let Some(stamp) = left.get(at..at + STAMP_BYTES) else { break };
            match stamped(stamp) {
                Some(sent) => {
                    messages += 1;
                    if (seen + messages) % SAMPLE_EVERY == 0 {
                        delays.push(clock::millis(now.saturating_sub(sent)));
                    }
                    at += STAMP_BYTES;
                }
                None => at += 1,
            }
        }
        // Only the beginning of a stamp may matter to what comes next.
        let kept = at.max(left.len().saturating_sub(STAMP_BYTES - 1)).min(left.len());
        left.drain(..kept);
        seen += messages;
        count.add(messages);
    }
    delays
}

/// When a message was sent, if this is its stamp.
fn stamped(stamp: &[u8]) -> Option<Duration> {
    let digits = stamp.strip_prefix(b"@")?.strip_suffix(b"@")?;
    let nanos: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

/// PERF-4: memory of connections that have subscribed, before and after some messages to all of them.
async fn idle(report: &mut Report, kinds: &[Kind], scale: usize) -> anyhow::Result<()> {
    let count = 10_000 / scale;
    let mut rows = Vec::new();
    let deflated = kinds.contains(&Kind::Syncline).then_some((Kind::Syncline, OFFER));
    for (kind, headers) in kinds.iter().map(|kind| (*kind, "")).chain(deflated) {
        let peer = Peer::start(kind).await?;
        let mut publisher = peer.publisher("").await?;
        let warm = peer.subscriber(headers).await?;
        let before = resident_kib(peer.pid())?;
        let mut sockets = Vec::with_capacity(count);
        for _ in 0..count {
            sockets.push(peer.subscriber(headers).await?);
        }
        let after = resident_kib(peer.pid())?;
        for number in 0..BROADCASTS {
            peer.publish(&mut publisher, &format!("{number:x<PAYLOAD_BYTES$}")).await?;
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        let told = resident_kib(peer.pid())?;
        drop(warm);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let each = |kib: f64| figure((kib - before) / count as f64);
        let name =
            if headers.is_empty() { kind.name().to_owned() } else { format!("{}, permessage-deflate", kind.name()) };
        rows.push(json!({
            "server": name, "connections": count, "KiB each": each(after), "after 20 broadcasts": each(told),
        }));
    }
    let title = "Resident memory of an idle subscriber; kernel buffers not counted";
    report.section("peers_idle", title, &["server", "connections", "KiB each", "after 20 broadcasts"], &rows);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perf_3_only_whole_stamps_count() {
        assert_eq!(stamped(b"@0000000000000000042@"), Some(Duration::from_nanos(42)));
        assert_eq!(stamped(b"@000000000000000004x@"), None);
        assert_eq!(stamped(b"@00000000000000000042"), None);
    }
}
