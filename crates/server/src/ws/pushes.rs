//! The push window: frames on their way through the writer, answered in the order they came (spec PSH-1).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use syncline_core::Seq;
use syncline_core::change::Outcome;
use syncline_core::engine::PushReply;
use syncline_core::protocol::limits::PUSH_WINDOW;
use syncline_core::protocol::{Code, Problem, ServerFrame};
use tokio::sync::oneshot;

use crate::clock;
use crate::engine::Decision;
use crate::observe::Status;

/// Unanswered push frames of a session, at most [`PUSH_WINDOW`].
#[derive(Default)]
pub struct Pushes {
    waiting: VecDeque<Waiting>,
}

enum Waiting {
    /// Since when.
    Decision(oneshot::Receiver<Decision>, Instant),
    /// The writer's queue was full.
    SlowDown(u64),
}

/// The answer to the oldest push.
pub struct Answered {
    pub frames: Vec<ServerFrame>,
    /// Mutations decided by it.
    pub decided: u64,
    /// Seq up to which the author must be brought to see the effects.
    pub seq: Seq,
    pub status: Status,
    /// From the push to this answer.
    pub took: Duration,
}

impl Pushes {
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= PUSH_WINDOW as usize
    }
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
    pub fn wait_for(&mut self, decision: oneshot::Receiver<Decision>) {
        self.waiting.push_back(Waiting::Decision(decision, clock::instant()));
    }
    pub fn slow_down(&mut self, retry_ms: u64) {
        self.waiting.push_back(Waiting::SlowDown(retry_ms));
    }

    /// The next answer; never when nothing waits. Cancel-safe.
    pub async fn next(&mut self) -> Answered {
        let Some(first) = self.waiting.front_mut() else { return std::future::pending().await };
        let answered = match first {
            Waiting::SlowDown(retry_ms) => refused(ServerFrame::SlowDown { retry_ms: *retry_ms }),
            Waiting::Decision(decision, since) => {
                let answered = answer(decision.await);
                Answered { took: clock::instant().saturating_duration_since(*since), ..answered }
            }
        };
        self.waiting.pop_front();
        answered
    }
}

fn answer(decision: Result<Decision, oneshot::error::RecvError>) -> Answered {
    match decision {
        Ok(Decision::Reply(PushReply::Outcomes(outcomes))) => decided(outcomes, None),
        Ok(Decision::Reply(PushReply::OutcomesThenGap { outcomes, expected })) => decided(outcomes, Some(expected)),
        Ok(Decision::Reply(PushReply::Refused(problem))) => refused(ServerFrame::Error { problem }),
        Ok(Decision::Failed) => {
            let message = "These mutations could not be decided. They are kept; the server's log says why.";
            failed(retry(Code::Internal, message))
        }
        Ok(Decision::PreconditionFailed | Decision::Unavailable) | Err(_) => {
            failed(retry(Code::Unavailable, "The store is not available right now."))
        }
    }
}

fn decided(outcomes: Vec<Outcome>, gap: Option<u64>) -> Answered {
    let seq = outcomes.iter().map(|outcome| outcome.seq).max().unwrap_or(0);
    let decided = outcomes.len() as u64;
    let mut frames = Vec::with_capacity(2);
    if gap.is_none() || !outcomes.is_empty() {
        frames.push(ServerFrame::Outcomes { outcomes });
    }
    frames.extend(gap.map(|expected| ServerFrame::OutOfOrder { expected }));
    let status = if gap.is_none() { Status::Ok } else { Status::Refused };
    Answered { frames, decided, seq, status, took: Duration::ZERO }
}

fn refused(frame: ServerFrame) -> Answered {
    Answered { frames: vec![frame], decided: 0, seq: 0, status: Status::Refused, took: Duration::ZERO }
}

fn failed(problem: Problem) -> Answered {
    Answered { status: Status::Failed, ..refused(ServerFrame::Error { problem }) }
}

fn retry(code: Code, message: &str) -> Problem {
    let mut problem = Problem::new(code, message);
    problem.retry_ms = Some(crate::random::between(500, 2_000));
    problem
}
