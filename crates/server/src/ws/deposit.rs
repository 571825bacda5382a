//! The deposit window: a revoked device hands over its unsent edits, which are stored and not applied (spec REV-2).

use std::time::{Duration, Instant};

use syncline_core::protocol::limits::DEPOSIT_WINDOW_MS;
use syncline_core::protocol::{CloseCode, Code, ServerFrame};

use super::session::{End, Session};
use crate::clock;

pub struct Deposit {
    pub code: Code,
    pub ends: Instant,
    /// Mutations the client said are pending and that have not been handed over yet; `None`: it has not said.
    left: Option<u64>,
}

impl Session {
    /// Cuts the session off from everything but handing over. Does nothing when that has happened before.
    pub(super) async fn begin_deposit(&mut self, code: Code, reason: &'static str) -> Result<(), End> {
        if self.deposit.is_some() {
            return Ok(());
        }
        if let Some(identity) = &mut self.identity {
            identity.registered.unjoin();
        }
        let ends = clock::instant() + Duration::from_millis(DEPOSIT_WINDOW_MS);
        self.deposit = Some(Deposit { code, ends, left: None });
        tracing::info!(event = "purge", code = code.as_str(), "a session was cut off");
        Ok(self.socket.send(&ServerFrame::Purge { code, reason: reason.to_owned() }).await?)
    }

    /// A `hello` while cut off only says how much is pending.
    pub(super) async fn hello_in_deposit(&mut self, pending: u64) -> Result<(), End> {
        if let Some(deposit) = &mut self.deposit {
            deposit.left = Some(pending);
        }
        self.deposited(0).await
    }

    /// Notes that `count` mutations were handed over; the last one ends the session.
    pub(super) async fn deposited(&mut self, count: u64) -> Result<(), End> {
        let Some(deposit) = &mut self.deposit else { return Ok(()) };
        deposit.left = deposit.left.map(|left| left.saturating_sub(count));
        if deposit.left == Some(0) && self.pushes.is_empty() {
            return self.end_deposit().await;
        }
        Ok(())
    }

    /// Answers what is still under way, then closes.
    pub(super) async fn end_deposit(&mut self) -> Result<(), End> {
        while !self.pushes.is_empty() {
            let answered = self.pushes.next().await;
            self.note_push(&answered);
            for frame in &answered.frames {
                self.socket.send(frame).await?;
            }
        }
        Err(End::Close(CloseCode::DeviceRevoked, "revoked"))
    }
}
