//! What PostgreSQL's errors mean for a caller: try again, give up, or find out what happened.

use std::time::Duration;

use syncline_core::storage::{StoreError, StoreResult};
use tokio_postgres::error::SqlState;

/// Why a flight failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The server's answer, or the loss of the connection.
    Postgres(tokio_postgres::Error),
    /// No connection could be made.
    Connect(String),
    /// No answer in this time.
    Silent(Duration),
}

/// What is known about a transaction after a fault before its COMMIT was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Severity {
    /// It is gone with its connection.
    Lost,
    /// The server ended it; the same once more may work.
    Again,
    /// The same once more would fail the same way.
    Definite,
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

impl Fault {
    pub(super) fn severity(&self) -> Severity {
        let Self::Postgres(error) = self else { return Severity::Lost };
        match error.code() {
            Some(code) => severity_of(code),
            // An error that the server did not send: the socket, or a value that could not be encoded or decoded.
            None if error.is_closed() || is_io(error) => Severity::Lost,
            None => Severity::Definite,
        }
    }

    /// The meaning for a caller when nothing has been committed.
    pub(super) fn into_store_error(self) -> StoreError {
        match (self.severity(), self) {
            (Severity::Definite, Self::Postgres(error)) if is_resource(&error) => {
                StoreError::Unavailable(sentence(&error))
            }
            (Severity::Definite, Self::Postgres(error)) if is_damage(&error) => StoreError::Corrupt(sentence(&error)),
            // Without the error itself, whose details quote stored values.
            (Severity::Definite, Self::Postgres(error)) => refused(sentence(&error)),
            (_, fault) => StoreError::Unavailable(fault.to_string()),
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Postgres(error) => f.write_str(&sentence(error)),
            Self::Connect(reason) => f.write_str(reason),
            Self::Silent(patience) => write!(f, "the database did not answer for {} ms", patience.as_millis()),
        }
    }
}

/// An error with its causes, which `tokio_postgres` leaves out of its own text. It never holds a password.
pub(super) fn sentence(error: &tokio_postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        return format!("PostgreSQL says: {} ({})", db.message(), db.code().code());
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = next.source();
    }
    text
}

fn severity_of(code: &SqlState) -> Severity {
    let is_lost = code.code().starts_with("08")
        || [&SqlState::ADMIN_SHUTDOWN, &SqlState::CRASH_SHUTDOWN, &SqlState::CANNOT_CONNECT_NOW].contains(&code)
        || code.code() == "57P05"
        || *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT;
    let again = [
        &SqlState::T_R_SERIALIZATION_FAILURE,
        &SqlState::T_R_DEADLOCK_DETECTED,
        &SqlState::LOCK_NOT_AVAILABLE,
        &SqlState::TOO_MANY_CONNECTIONS,
    ];
    match (is_lost, again.contains(&code)) {
        (true, _) => Severity::Lost,
        (false, true) => Severity::Again,
        (false, false) => Severity::Definite,
    }
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        if next.is::<std::io::Error>() {
            return true;
        }
        cause = next.source();
    }
    false
}

/// The server lacks something that an operator or time gives back: disk, memory, statement time.
fn is_resource(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| {
        code.code().starts_with("53")
            || *code == SqlState::QUERY_CANCELED
            || *code == SqlState::READ_ONLY_SQL_TRANSACTION
    })
}

fn is_damage(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| code.code().starts_with("XX00") && *code != SqlState::INTERNAL_ERROR)
}

/// Whether an error of COMMIT says for certain that nothing was committed: the server refused it in so many words.
pub(super) fn is_refused_commit(fault: &Fault) -> bool {
    match fault {
        Fault::Postgres(error) => error.code().is_some_and(|code| severity_of(code) != Severity::Lost),
        Fault::Connect(_) | Fault::Silent(_) => false,
    }
}

/// Shorthand for `map_err(Fault::into_store_error)`.
pub(super) trait OrFailed<T> {
    fn or_failed(self) -> StoreResult<T>;
}

impl<T> OrFailed<T> for Result<T, Fault> {
    fn or_failed(self) -> StoreResult<T> {
        self.map_err(Fault::into_store_error)
    }
}

/// Shorthand for a column that does not hold what our tables hold.
pub(super) trait OrDamaged<T> {
    fn or_damaged(self) -> StoreResult<T>;
}

impl<T> OrDamaged<T> for Result<T, tokio_postgres::Error> {
    fn or_damaged(self) -> StoreResult<T> {
        self.map_err(|error| corrupt(format!("a stored value does not decode: {}", sentence(&error))))
    }
}

/// A mistake of the plan or the schema that the database cannot carry out.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refused(pub String);

pub(super) fn refused(text: impl Into<String>) -> StoreError {
    StoreError::Database(Box::new(Refused(text.into())))
}

pub(super) fn corrupt(text: impl Into<String>) -> StoreError {
    StoreError::Corrupt(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sto_1_only_what_may_work_the_next_time_is_tried_again() {
        let table = [
            ("40001", Severity::Again),
            ("40P01", Severity::Again),
            ("55P03", Severity::Again),
            ("53300", Severity::Again),
            ("57P01", Severity::Lost),
            ("57P02", Severity::Lost),
            ("57P03", Severity::Lost),
            ("08006", Severity::Lost),
            ("25P03", Severity::Lost),
            ("23503", Severity::Definite),
            ("57014", Severity::Definite),
            ("28P01", Severity::Definite),
            ("42601", Severity::Definite),
        ];
        for (code, want) in table {
            assert_eq!(severity_of(&SqlState::from_code(code)), want, "{code}");
        }
    }
}
