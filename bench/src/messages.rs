//! RTR-3: messages stored before their receipts and acknowledged by their receivers, per second.

use std::time::Duration;

use serde_json::json;
use syncline_core::Name;
use syncline_core::id::MessageId;
use syncline_core::messages::Target;
use syncline_core::protocol::{ClientFrame, SendMessage, ServerFrame};
use syncline_server::demo;

use crate::clock;
use crate::place::StoreKind;
use crate::report::{Report, figure};
use crate::stage::Stage;
use crate::wire::{Pass, Wire};

const ROUNDS: usize = 3;
const PAIRS: [usize; 3] = [1, 10, 50];
/// Messages that a sender leaves without an answer; the protocol allows 64.
const UNANSWERED_MAX: usize = 48;
/// Messages that a receiver acknowledges together.
const ACK_BATCH: usize = 16;

/// Pairs of a sender and a receiver, each on a device of its own; every message goes to one device.
pub async fn run(report: &mut Report, kind: StoreKind, scale: usize) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for pairs in PAIRS {
        let count = (20_000 / scale / pairs).max(50);
        let mut rates = Vec::new();
        for _ in 0..ROUNDS {
            let took = measure(kind, pairs, count).await?;
            rates.push((pairs * count) as f64 / took.as_secs_f64());
        }
        rows.push(json!({"pairs": pairs, "messages": pairs * count, "messages/s": figure(clock::median(&mut rates))}));
    }
    let title = format!(
        "Messages on {}: sent over WebSocket, stored, delivered to another device and acknowledged durably",
        kind.name()
    );
    report.section("messages", &title, &["pairs", "messages", "messages/s"], &rows);
    Ok(())
}

async fn measure(kind: StoreKind, pairs: usize, count: usize) -> anyhow::Result<Duration> {
    let stage = Stage::start(kind).await?;
    let mut ready = Vec::new();
    for _ in 0..pairs {
        let sender = Wire::follow(&Pass::sign_in(&stage.url, demo::USERS[0].email).await?).await?;
        let pass = Pass::sign_in(&stage.url, demo::USERS[1].email).await?;
        let mut receiver = Wire::follow(&pass).await?;
        receiver.send(&ClientFrame::Inbox {}).await?;
        ready.push((sender, receiver, Target::Device(pass.device_id()?)));
    }
    let start = clock::now();
    let mut working = Vec::new();
    for (sender, receiver, to) in ready {
        working.push(tokio::spawn(send(sender, to, count)));
        working.push(tokio::spawn(receive(receiver, count)));
    }
    for work in working {
        work.await??;
    }
    let took = start.elapsed();
    stage.stop().await;
    Ok(took)
}

async fn send(mut wire: Wire, to: Target, count: usize) -> anyhow::Result<()> {
    let (mut sent, mut answered) = (0, 0);
    while answered < count {
        while sent < count && sent - answered < UNANSWERED_MAX {
            let message = SendMessage {
                id: MessageId::v7(clock::wall_ms(), rand::random()),
                message_type: Name::new_static("notice"),
                to: to.clone(),
                payload: json!({"text": "Call Ada back about the offer", "number": sent}),
                priority: None,
                ttl_ms: None,
            };
            wire.send(&ClientFrame::Msg(message)).await?;
            sent += 1;
        }
        match wire.next().await? {
            ServerFrame::MsgReceipt(_) => answered += 1,
            ServerFrame::Error { problem } => anyhow::bail!("a message was refused: {}", problem.message),
            _ => {}
        }
    }
    Ok(())
}

/// Acknowledges as it goes. The window sees to it that all but the last of it is durable when the last message comes.
async fn receive(mut wire: Wire, count: usize) -> anyhow::Result<()> {
    let (mut received, mut ids) = (0, Vec::new());
    while received < count {
        if let ServerFrame::Msg(message) = wire.next().await? {
            received += 1;
            ids.push(message.id);
        }
        if ids.len() >= ACK_BATCH || received == count {
            wire.send(&ClientFrame::MsgAck { ids: std::mem::take(&mut ids) }).await?;
        }
    }
    Ok(())
}
