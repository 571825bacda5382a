//! The shell of one [`ClientSession`]: inputs in, effects performed. Sockets and downloads are tasks that send inputs.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use syncline_core::principal::DeploymentMode;
use syncline_core::protocol::{ClientFrame, Code};
use syncline_core::replica::{ReplicaError, ReplicaResult};
use syncline_core::session::client::{ClientSession, Effect, Event, Input, Now};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{SyncEnd, snapshot, socket};
use crate::api::Renew;
use crate::client::Inner;
use crate::clock::{monotonic_ms, now_ms};
use crate::error::{ClientError, chain};
use crate::owner::Owned;
use crate::random;

/// When the loop ends by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Until {
    Quiescent { end_ms: u64, attempts_max: u32 },
    Cancelled,
}

/// Something a task of the present connection has to say.
#[derive(Debug)]
pub(super) enum Incoming {
    /// Frames for the server go here from now on.
    Connected(mpsc::Sender<ClientFrame>),
    Input(Input),
    /// The connection could not be made, or broke.
    Lost {
        code: Option<u16>,
        reason: String,
    },
    /// The access token was refused: renew it before the next attempt.
    TokenRefused,
    /// No token is to be had without a person.
    SignInNeeded(String),
}

/// Frames and other news that wait for the session.
const INCOMING_MAX: usize = 64;
/// Inputs handed to the replica's thread at a time.
const INPUTS_MAX: usize = 64;

pub(super) struct Driver<'c> {
    inner: &'c Arc<Inner>,
    /// Present connection: its tasks end with it. A new channel per connection, so that no late word of an old one counts.
    tasks: JoinSet<()>,
    incoming: mpsc::Receiver<Incoming>,
    sender: mpsc::Sender<Incoming>,
    /// Pages of a snapshot, one at a time: each is megabytes.
    pages: mpsc::Receiver<Incoming>,
    page_sender: mpsc::Sender<Incoming>,
    outgoing: Option<mpsc::Sender<ClientFrame>>,
    renew: Renew,
    /// Why the last connection failed, for the person who waits.
    reason: String,
    /// Connections in a row that never reached `welcome`.
    failed_attempts: u32,
    end: Option<SyncEnd>,
    wakeup_ms: Option<u64>,
    is_quiescent: bool,
}

/// What the session made of some inputs.
struct Handled {
    effects: Vec<Effect>,
    wakeup_ms: Option<u64>,
    is_quiescent: bool,
    failure: Option<ReplicaError>,
}

impl<'c> Driver<'c> {
    pub async fn start(inner: &'c Arc<Inner>) -> Result<Self, ClientError> {
        let begin = |owned: &mut Owned| owned.session = Some(ClientSession::new(DeploymentMode::LocalInstall));
        inner.owner.call(begin).await?;
        let (sender, incoming) = mpsc::channel(INCOMING_MAX);
        let (page_sender, pages) = mpsc::channel(1);
        Ok(Self {
            inner,
            tasks: JoinSet::new(),
            incoming,
            sender,
            pages,
            page_sender,
            outgoing: None,
            renew: Renew::IfNeeded,
            reason: "nothing was heard from the server in time".to_owned(),
            failed_attempts: 0,
            end: None,
            wakeup_ms: None,
            is_quiescent: false,
        })
    }

    pub async fn run(&mut self, until: Until, cancel: impl Future<Output = ()>) -> Result<SyncEnd, ClientError> {
        let mut cancel = pin!(cancel);
        self.feed(vec![Input::Online]).await?;
        loop {
            if let Some(end) = self.end.take() {
                return Ok(end);
            }
            let mut end_ms = u64::MAX;
            if let Until::Quiescent { end_ms: deadline_ms, attempts_max } = until {
                if self.is_quiescent {
                    return Ok(SyncEnd::Synced);
                }
                if monotonic_ms() >= deadline_ms || self.failed_attempts >= attempts_max {
                    return Ok(SyncEnd::NotSynced { reason: self.reason.clone() });
                }
                end_ms = deadline_ms;
            }
            let wakeup_ms = self.wakeup_ms.unwrap_or(u64::MAX).min(end_ms);
            tokio::select! {
                Some(first) = self.incoming.recv() => self.take(first).await?,
                Some(page) = self.pages.recv() => self.take(page).await?,
                () = self.inner.changed.notified() => self.feed(vec![Input::LocalChange]).await?,
                () = sleep_until(wakeup_ms) => self.feed(vec![Input::Tick]).await?,
                () = &mut cancel => return Ok(SyncEnd::Cancelled),
            }
        }
    }

    /// Ends the session. Frames on their way out are still sent.
    pub async fn stop(mut self) -> Result<(), ClientError> {
        self.disconnect();
        self.inner.owner.call(|owned| owned.session = None).await
    }

    /// Hands over what has come in, several inputs at a time.
    async fn take(&mut self, first: Incoming) -> Result<(), ClientError> {
        let mut next = Some(first);
        let mut inputs = Vec::new();
        while let Some(incoming) = next.take() {
            match incoming {
                Incoming::Input(input) => inputs.push(input),
                Incoming::Connected(outgoing) => {
                    self.outgoing = Some(outgoing);
                    inputs.push(Input::Connected);
                }
                Incoming::Lost { code, reason } => {
                    self.note_failure(reason);
                    inputs.push(Input::Disconnected { code });
                }
                Incoming::TokenRefused => {
                    self.note_failure("the access token was refused".to_owned());
                    self.renew = Renew::Always;
                    inputs.push(Input::Disconnected { code: None });
                }
                Incoming::SignInNeeded(reason) => {
                    self.reason = reason;
                    inputs.push(Input::SignedOut);
                }
            }
            if inputs.len() < INPUTS_MAX {
                next = self.incoming.try_recv().ok();
            }
        }
        self.feed(inputs).await
    }

    fn note_failure(&mut self, reason: String) {
        self.failed_attempts += 1;
        tracing::debug!(%reason, attempts = self.failed_attempts, "the connection ended");
        self.reason = reason;
    }

    /// Lets the session handle inputs and performs what it wants.
    async fn feed(&mut self, inputs: Vec<Input>) -> Result<(), ClientError> {
        let handled = self.inner.owner.call(|owned| handle(owned, inputs)).await?;
        self.wakeup_ms = handled.wakeup_ms;
        self.is_quiescent = handled.is_quiescent;
        for effect in handled.effects {
            self.perform(effect).await?;
        }
        match handled.failure {
            None => Ok(()),
            Some(error @ (ReplicaError::Full | ReplicaError::Locked)) => {
                self.note_failure(error.to_string());
                self.disconnect();
                Ok(())
            }
            Some(error @ (ReplicaError::Corrupt(_) | ReplicaError::Io(_))) => Err(error.into()),
        }
    }

    async fn perform(&mut self, effect: Effect) -> Result<(), ClientError> {
        match effect {
            Effect::Connect => self.connect(),
            Effect::Disconnect => self.disconnect(),
            Effect::Send(frame) => {
                let is_sent = self.outgoing.as_ref().is_none_or(|outgoing| outgoing.try_send(frame).is_ok());
                if !is_sent {
                    // The socket takes nothing any more; its reader says so too, once.
                    self.outgoing = None;
                }
            }
            Effect::FetchSnapshot { scope, url, resume } => {
                let download = snapshot::Download { scope, url, resume };
                self.tasks.spawn(download.run(Arc::clone(self.inner), self.page_sender.clone()));
            }
            Effect::RenewToken => self.renew = Renew::Always,
            Effect::Notify(event) => self.notify(event).await?,
        }
        Ok(())
    }

    fn connect(&mut self) {
        self.disconnect();
        let renew = std::mem::replace(&mut self.renew, Renew::IfNeeded);
        self.tasks.spawn(socket::run(Arc::clone(self.inner), renew, self.sender.clone()));
    }

    /// Ends the tasks of the present connection and forgets what they had still to say.
    fn disconnect(&mut self) {
        self.outgoing = None;
        self.tasks.abort_all();
        self.tasks = JoinSet::new();
        (self.sender, self.incoming) = mpsc::channel(INCOMING_MAX);
        (self.page_sender, self.pages) = mpsc::channel(1);
    }

    async fn notify(&mut self, event: Event) -> Result<(), ClientError> {
        match &event {
            Event::Connected => {
                self.failed_attempts = 0;
                self.reason = "the deadline passed before everything was exchanged".to_owned();
            }
            Event::Purged { code } => {
                self.inner.api.forget().await?;
                self.end = Some(SyncEnd::Purged { code: *code });
            }
            Event::Stopped { code } => self.end = Some(SyncEnd::Stopped { code: *code }),
            Event::SignInNeeded => self.end = Some(SyncEnd::SignInNeeded { reason: self.reason.clone() }),
            Event::Stuck => tracing::warn!("nothing moved for too long; connecting again"),
            Event::Repairing { scope } => tracing::warn!(%scope, "replica and server differ; repairing"),
            Event::Disconnected | Event::Changed { .. } | Event::Decided { .. } | Event::Rejected { .. } => {}
        }
        // Nobody need listen.
        drop(self.inner.events.send(event));
        Ok(())
    }
}

/// On the replica's thread. A store error drops the connection; the session is as it was before the input.
fn handle(owned: &mut Owned, inputs: Vec<Input>) -> Handled {
    let mut handled = Handled { effects: Vec::new(), wakeup_ms: None, is_quiescent: false, failure: None };
    for input in inputs {
        if let Err(error) = handle_one(owned, input, &mut handled) {
            tracing::error!(error = chain(&error), "the local store failed; the connection is dropped");
            handled.effects.push(Effect::Disconnect);
            drop(handle_one(owned, Input::Disconnected { code: None }, &mut handled));
            handled.failure = Some(error);
            break;
        }
    }
    if let Some(session) = &owned.session {
        handled.wakeup_ms = session.next_wakeup_ms();
        handled.is_quiescent = session.is_quiescent(&owned.replica).unwrap_or(false);
    }
    handled
}

fn handle_one(owned: &mut Owned, input: Input, handled: &mut Handled) -> ReplicaResult<()> {
    let Some(session) = &mut owned.session else { return Ok(()) };
    let now = Now { monotonic_ms: monotonic_ms(), wall_ms: now_ms(), random: random::bits() };
    handled.effects.extend(session.handle(&mut owned.replica, input, now)?);
    Ok(())
}

/// Until a moment of the monotonic clock; `u64::MAX`: for ever.
async fn sleep_until(at_ms: u64) {
    if at_ms == u64::MAX {
        return std::future::pending().await;
    }
    tokio::time::sleep(Duration::from_millis(at_ms.saturating_sub(monotonic_ms()))).await;
}

/// What a task says when the credentials do not let it in.
pub(super) fn refusal(error: ClientError) -> Incoming {
    match error {
        ClientError::SignInNeeded(reason) => Incoming::SignInNeeded(reason),
        ClientError::Refused(problem) => match problem.code {
            Code::TokenExpired | Code::DeviceRevoked => Incoming::TokenRefused,
            _ => Incoming::Lost { code: None, reason: problem.message },
        },
        other => Incoming::Lost { code: None, reason: chain(&other) },
    }
}
