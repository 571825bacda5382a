//! The task that holds the connections to Redis: connect, catch up, serve until something fails, and again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use redis::aio::PubSubStream;
use redis::{Cmd, Pipeline, RedisResult};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::catch_up::{
    Lost, Session, announce, check_presence, deliver, publish_waiting, read_revocations, resume, within,
};
use super::link::{Commands, Link};
use super::wire::{self, Body, Change, Envelope, Kept};
use super::{PRESENCE_KEPT_MS, Shared};
use crate::bus::{BusEvent, BusHealth, ResumeCause};
use crate::{clock, random};

/// Hints and changes of presence in one message. More make several.
const BATCH_MAX: usize = 256;
/// Bound of the first pause after a failure; milliseconds. It doubles up to `backoff_ms_max`.
const BACKOFF_MS: u64 = 50;
/// Deadlines of a command that an echo may take, from the publishing connection to the listening one.
const ECHO_DEADLINES: u32 = 2;
/// Deadlines of a command that catching up may take as a whole: it reads many pages.
const RESUME_DEADLINES: u32 = 20;

/// Runs until it is cancelled.
pub(super) async fn run(shared: Arc<Shared>) {
    let (mut attempts, mut failures) = (0_u64, 0_u32);
    let mut away_since = None;
    loop {
        let connected = clock::instant();
        let open = Link::open(&shared.addresses, &shared.keys, failures);
        let lost = match within(shared.times.connect, "connecting", open).await {
            Ok(link) => {
                let lost = serve(&shared, link, away_since).await;
                if clock::instant().saturating_duration_since(connected) > shared.times.heartbeat * 3 {
                    failures = 0;
                }
                lost
            }
            Err(lost) => lost,
        };
        // `serve` returned from being connected, or there was nothing to return from.
        if shared.node.health.borrow().is_connected() || away_since.is_none() {
            away_since = Some(clock::instant());
        }
        (attempts, failures) = (attempts + 1, failures.saturating_add(1));
        degrade(&shared, &lost, attempts);
        let bound_ms = BACKOFF_MS.saturating_mul(1 << failures.min(20)).min(shared.times.backoff_ms_max);
        sleep(Duration::from_millis(random::between(0, bound_ms))).await;
    }
}

/// Catches up, then serves until something fails; returns what.
async fn serve(shared: &Shared, link: Link, away_since: Option<Instant>) -> Lost {
    let Link { commands, mut messages, sink: _held } = link;
    let session = Session::new(commands);
    // What is published from here on waits in the listening connection, so nothing falls between.
    let deadline = shared.times.command * RESUME_DEADLINES;
    let resumed = timeout(deadline, resume(shared, &session)).await;
    match resumed {
        Ok(Ok(())) => {}
        Ok(Err(lost)) => return lost,
        Err(_) => return Lost::Silent { what: "catching up", ms: deadline.as_millis() },
    }
    shared.commands.store(Some(Arc::new(session.commands.clone())));
    shared.node.roster.tell_all();
    shared.outgoing.notify_one();
    shared.node.health.send_replace(BusHealth::Connected);
    if let Some(away_ms) = away_since.map(clock::elapsed_ms) {
        tracing::info!(elapsed_ms = away_ms, "Redis is back; this node is connected to the others again");
        shared.node.events.send(BusEvent::Resumed(ResumeCause::Reconnected { away_ms }));
    }
    let lost = tokio::select! {
        lost = listen(shared, &session, &mut messages) => lost,
        lost = beat(shared, &session) => lost,
        lost = send(shared, &session) => lost,
    };
    match lost {
        Ok(never) => match never {},
        Err(lost) => lost,
    }
}

fn degrade(shared: &Shared, lost: &Lost, attempts: u64) {
    shared.commands.store(None);
    shared.node.roster.tell_nothing();
    let reason = shared.addresses.scrub(&lost.to_string());
    let now = clock::now_ms();
    let was = shared.node.health.borrow().clone();
    let since_ms = match was {
        BusHealth::Connected => {
            shared.node.counters.outages.add(1);
            tracing::warn!(reason, "Redis is lost; this node works for itself until it is back");
            now
        }
        BusHealth::Degraded { since_ms, attempts: before, .. } => {
            if before == 0 {
                tracing::warn!(reason, "Redis is not there; this node works for itself until it is");
            }
            since_ms
        }
    };
    shared.node.health.send_replace(BusHealth::Degraded { since_ms, attempts, reason });
}

/// Nothing can be made of it: the three parts of serving end by failing only.
enum Never {}

async fn listen(shared: &Shared, session: &Session, messages: &mut PubSubStream) -> Result<Never, Lost> {
    let echo_channel = shared.keys.echo_channel();
    while let Some(message) = messages.next().await {
        if message.get_channel_name() == echo_channel {
            if let Some(number) =
                std::str::from_utf8(message.get_payload_bytes()).ok().and_then(|text| text.parse().ok())
            {
                session.echo.send_replace(number);
            }
            continue;
        }
        shared.node.counters.messages_received.add(1);
        match wire::from_json::<Envelope>(message.get_payload_bytes()) {
            Some(envelope) if envelope.from == shared.node.info.id => {}
            Some(envelope) => hear(shared, envelope),
            None => shared.node.counters.messages_refused.add(1),
        }
    }
    Err(Lost::Closed)
}

fn hear(shared: &Shared, Envelope { from, body }: Envelope) {
    let events = &shared.node.events;
    match body {
        Body::Hints(hints) => {
            hints.into_iter().for_each(|(workspace_id, seq)| events.send(BusEvent::Hint { workspace_id, seq }));
        }
        Body::Mail(heads) => {
            heads.into_iter().for_each(|(workspace_id, head)| events.send(BusEvent::Mail { workspace_id, head }));
        }
        Body::SyncNow(request) => events.send(BusEvent::SyncNow(request)),
        Body::Live { workspace_id, to, frame } => events.send(BusEvent::Live { workspace_id, to, frame }),
        Body::Revoked(revoked) => drop(events.revoked(revoked, clock::now_ms())),
        Body::Presence(changes) => changes.into_iter().for_each(|change| {
            events.send(match change {
                Change::Entered { workspace_id, entry } => BusEvent::Entered { workspace_id, entry },
                Change::Left { workspace_id, connection_id } => {
                    BusEvent::Left { workspace_id, node_id: from, connection_id }
                }
            });
        }),
        Body::Hello(announcement) => deliver(shared, shared.registry.hello(announcement)),
        Body::Bye => deliver(shared, shared.registry.bye(from)),
    }
}

/// Shows in regular intervals that this node lives and that both connections do, and finds what they missed.
async fn beat(shared: &Shared, session: &Session) -> Result<Never, Lost> {
    let mut ticks = interval(shared.times.heartbeat);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut renewed = clock::instant();
    let (mut number, mut checked) = (0_u64, None);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shared.suspicion.notified() => {}
        }
        number += 1;
        let beat = announce(shared, session).await?;
        if !beat.was_known {
            return Err(Lost::Forgotten);
        }
        let redis_ms = beat.redis_ms;
        deliver(shared, shared.registry.compare(beat.alive, clock::instant()));
        let echo = Cmd::publish(shared.keys.echo_channel(), number);
        let mut commands = session.commands.clone();
        within(shared.times.command, "an echo", echo.query_async::<()>(&mut commands)).await?;
        read_revocations(shared, session, redis_ms).await?;
        publish_waiting(shared, session).await?;
        checked = check_presence(shared, session, checked.as_ref()).await?;
        let mut heard = session.echo.subscribe();
        let deadline = shared.times.command * ECHO_DEADLINES;
        if timeout(deadline, heard.wait_for(|heard| *heard >= number)).await.is_err() {
            return Err(Lost::Silent { what: "the listening connection", ms: deadline.as_millis() });
        }
        if clock::elapsed_ms(renewed) > PRESENCE_KEPT_MS / 10 {
            renewed = clock::instant();
            shared.node.roster.tell_all();
            shared.outgoing.notify_one();
        }
    }
}

/// Sends what waits: the first at once, and what comes meanwhile together.
async fn send(shared: &Shared, session: &Session) -> Result<Never, Lost> {
    loop {
        shared.outgoing.notified().await;
        loop {
            let hints = shared.hints.take(BATCH_MAX);
            let (has_hints, count) = (!hints.is_empty(), hints.len() as u64);
            if has_hints {
                let publish = shared.publish(session.commands.clone(), Body::Hints(hints.clone()));
                if let Err(lost) = within(shared.times.command, "sending hints", publish).await {
                    shared.hints.put_back(hints);
                    return Err(lost);
                }
                shared.node.counters.hints_sent.add(count);
            }
            let has_mail = send_mail(shared, session).await?;
            let has_presence = send_presence(shared, session).await?;
            if !has_hints && !has_mail && !has_presence {
                break;
            }
            sleep(shared.times.hint_gap).await;
        }
    }
}

/// Tells how far messages have come. Returns whether there was anything to tell.
async fn send_mail(shared: &Shared, session: &Session) -> Result<bool, Lost> {
    let heads = shared.mail.take(BATCH_MAX);
    if heads.is_empty() {
        return Ok(false);
    }
    let publish = shared.publish(session.commands.clone(), Body::Mail(heads.clone()));
    if let Err(lost) = within(shared.times.command, "sending word of messages", publish).await {
        shared.mail.put_back(heads);
        return Err(lost);
    }
    Ok(true)
}

/// Writes the next changes of presence, then tells them. Returns whether there were any.
async fn send_presence(shared: &Shared, session: &Session) -> Result<bool, Lost> {
    let changes = shared.node.roster.take_unsent(BATCH_MAX);
    if changes.is_empty() {
        return Ok(false);
    }
    let generation = shared.generation.load(Ordering::Acquire);
    let kept_ms = i64::try_from(PRESENCE_KEPT_MS).unwrap_or(i64::MAX);
    // The changes are ordered by workspace, and those of one workspace share a slot.
    let writes = changes.chunk_by(|(one, _), (next, _)| one.0 == next.0).map(|group| {
        let key = shared.keys.presence(&group[0].0.0);
        let mut write = Pipeline::new();
        for ((_, connection_id), entry) in group {
            let field = shared.presence_field(*connection_id);
            match entry {
                Some(entry) => {
                    let kept = wire::to_json(&Kept { generation, entry: entry.clone() });
                    write.hset(&key, field, kept).ignore()
                }
                None => write.hdel(&key, field).ignore(),
            };
        }
        write.pexpire(&key, kept_ms).ignore();
        let mut commands = session.commands.clone();
        async move { write.query_async::<()>(&mut commands).await }
    });
    within(shared.times.command, "writing presence", try_join_all(writes)).await?;
    let told = changes.into_iter().map(|((workspace_id, connection_id), entry)| match entry {
        Some(entry) => Change::Entered { workspace_id, entry },
        None => Change::Left { workspace_id, connection_id },
    });
    let publish = shared.publish(session.commands.clone(), Body::Presence(told.collect()));
    within(shared.times.command, "telling presence", publish).await?;
    Ok(true)
}

/// Takes this node out of the registry and says so.
pub(super) async fn say_goodbye(shared: &Shared, mut commands: Commands) -> RedisResult<()> {
    let id = shared.node.info.id.to_string();
    let mut leave = Pipeline::new();
    leave.zrem(shared.keys.alive(), &id).ignore().hdel(shared.keys.info(), &id).ignore();
    leave.query_async::<()>(&mut commands).await?;
    shared.publish(commands, Body::Bye).await
}
