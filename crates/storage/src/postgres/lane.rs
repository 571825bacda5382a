//! The connection that writes, one transaction at a time, made anew when it breaks.

use std::sync::Arc;

use syncline_core::storage::{StoreError, StoreResult};
use tokio_postgres::Client;

use super::apply::Trouble;
use super::connect::Server;
use super::error::{Fault, Severity, is_refused_commit};
use super::retry::Patience;
use super::wire::{Reply, Request, Wire};

pub(super) struct Lane {
    pub(super) server: Arc<Server>,
    /// Only while no transaction is open on it: whoever panics in between closes it, and the server rolls back. With
    /// [`Server::silences`] when it last answered.
    client: Option<(Client, u64)>,
}

/// How a transaction ended.
pub(super) enum Ended<T> {
    Committed(T),
    /// Nothing happened.
    Failed(Trouble),
    /// COMMIT was sent and not answered.
    Unknown(T, Fault),
}

/// What a transaction's work wants of its end.
pub(super) enum Work<T> {
    Commit(T),
    /// It has written nothing.
    Leave(T),
}

impl Lane {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self { server, client: None }
    }

    /// One transaction: `first` goes out with its beginning, `work` gets the replies.
    pub(super) fn once<T>(
        &mut self,
        first: Vec<Request>,
        work: impl FnOnce(&Wire<'_>, &[Reply]) -> Result<Work<T>, Trouble>,
    ) -> Ended<T> {
        let client = match self.take_client() {
            Ok(client) => client,
            Err(trouble) => return Ended::Failed(trouble),
        };
        let server = Arc::clone(&self.server);
        let wire = server.wire(&client);
        let begin = Request::Batch(server.options.begin_write());
        let requests: Vec<Request> = std::iter::once(begin).chain(first).collect();
        let begun = wire.beginning(&server.options).flight(&requests).map_err(Trouble::from);
        let done = begun.and_then(|replies| work(&wire, &replies[1..]));
        match done {
            Ok(Work::Commit(value)) => match wire.batch("COMMIT") {
                Ok(()) => {
                    self.keep(client);
                    Ended::Committed(value)
                }
                Err(fault) if is_refused_commit(&fault) => self.failed(client, fault.into()),
                Err(fault) => Ended::Unknown(value, fault),
            },
            Ok(Work::Leave(value)) => {
                if wire.batch("ROLLBACK").is_ok() {
                    self.keep(client);
                }
                Ended::Committed(value)
            }
            Err(trouble) => self.failed(client, trouble),
        }
    }

    /// As [`Lane::once`], begun anew after what may pass. Also when COMMIT was not answered, so the work must be such that
    /// doing it twice is doing it once.
    pub(super) fn write<T>(
        &mut self,
        first: impl Fn() -> Vec<Request>,
        mut work: impl FnMut(&Wire<'_>, &[Reply]) -> Result<T, Trouble>,
    ) -> StoreResult<T> {
        let mut patience = Patience::new(self.server.options.retry_ms);
        loop {
            let fault = match self.once(first(), |wire, replies| work(wire, replies).map(Work::Commit)) {
                Ended::Committed(value) => return Ok(value),
                Ended::Failed(trouble) => may_pass(trouble)?,
                Ended::Unknown(_, fault) => fault,
            };
            patience.pause_after(&fault.to_string())?;
        }
    }

    fn failed<T>(&mut self, client: Client, trouble: Trouble) -> Ended<T> {
        let is_lost = matches!(&trouble, Trouble::Fault(fault) if fault.severity() == Severity::Lost);
        if !is_lost && self.server.wire(&client).batch("ROLLBACK").is_ok() {
            self.keep(client);
        }
        Ended::Failed(trouble)
    }

    fn keep(&mut self, client: Client) {
        self.client = Some((client, self.server.silences()));
    }

    fn take_client(&mut self) -> Result<Client, Trouble> {
        let silences = self.server.silences();
        match self.client.take().filter(|(client, at)| !client.is_closed() && *at == silences) {
            Some((client, _)) => Ok(client),
            None => Ok(self.server.connect()??),
        }
    }
}

/// The fault, if another try may go better; else the error for the caller.
pub(super) fn may_pass(trouble: Trouble) -> StoreResult<Fault> {
    match trouble {
        Trouble::Store(error) => Err(error),
        Trouble::Fault(fault) if fault.severity() == Severity::Definite => Err(fault.into_store_error()),
        Trouble::Fault(fault) => Ok(fault),
    }
}

/// The error of a write whose effect could not be found out.
pub(super) fn indeterminate(reason: impl std::fmt::Display) -> StoreError {
    StoreError::Indeterminate(format!(
        "the answer to COMMIT was lost, and whether it took effect is not known: {reason}"
    ))
}
