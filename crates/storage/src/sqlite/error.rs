//! What SQLite's errors mean for a caller: retry, restart, or a damaged file.

use rusqlite::{Error, ErrorCode};
use syncline_core::storage::StoreError;

/// The meaning of an error before a COMMIT: nothing has happened yet.
pub(super) fn failed(error: Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            StoreError::Unavailable(format!("another process holds the database's write lock ({error})"))
        }
        Some(ErrorCode::DiskFull) => {
            StoreError::Unavailable(format!("the disk is full or the database's size limit is reached ({error})"))
        }
        Some(ErrorCode::SystemIoFailure) => StoreError::Unavailable(format!("the disk failed ({error})")),
        Some(ErrorCode::CannotOpen) => StoreError::Unavailable(format!("the database file cannot be opened ({error})")),
        Some(ErrorCode::OutOfMemory | ErrorCode::OperationInterrupted) => StoreError::Unavailable(error.to_string()),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt(error.to_string()),
        _ => StoreError::Database(Box::new(error)),
    }
}

/// The meaning of an error of COMMIT itself. A refused constraint, a lock not gained and a full disk (reported by the
/// write, before any fsync) leave nothing behind; after anything else, a failed fsync above all, only recovery knows.
pub(super) fn commit_failed(error: Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(
            ErrorCode::ConstraintViolation | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::DiskFull,
        ) => failed(error),
        _ => StoreError::Indeterminate(error.to_string()),
    }
}

/// Shorthand for `map_err(failed)`.
pub(crate) trait OrFailed<T> {
    fn or_failed(self) -> Result<T, StoreError>;
}

impl<T> OrFailed<T> for Result<T, Error> {
    fn or_failed(self) -> Result<T, StoreError> {
        self.map_err(failed)
    }
}

/// A mistake of the plan or the schema that the database cannot carry out.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refused(pub String);

pub(crate) fn refused(text: impl Into<String>) -> StoreError {
    StoreError::Database(Box::new(Refused(text.into())))
}

pub(crate) fn corrupt(text: impl Into<String>) -> StoreError {
    StoreError::Corrupt(text.into())
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn inv_3_errors_say_what_is_known_about_their_effect() {
        let error = |code| Error::SqliteFailure(ffi::Error::new(code), None);
        let name = |error: StoreError| match error {
            StoreError::Unavailable(_) => "unavailable",
            StoreError::Indeterminate(_) => "indeterminate",
            StoreError::Corrupt(_) => "corrupt",
            StoreError::Database(_) => "database",
            StoreError::NoWorkspace(_) | StoreError::WorkspaceExists(_) => "other",
        };
        let table = [
            (ffi::SQLITE_BUSY, "unavailable", "unavailable"),
            (ffi::SQLITE_LOCKED, "unavailable", "unavailable"),
            (ffi::SQLITE_FULL, "unavailable", "unavailable"),
            (ffi::SQLITE_IOERR_READ, "unavailable", "indeterminate"),
            (ffi::SQLITE_IOERR_FSYNC, "unavailable", "indeterminate"),
            (ffi::SQLITE_IOERR_WRITE, "unavailable", "indeterminate"),
            (ffi::SQLITE_CORRUPT, "corrupt", "indeterminate"),
            (ffi::SQLITE_NOTADB, "corrupt", "indeterminate"),
            (ffi::SQLITE_CONSTRAINT_FOREIGNKEY, "database", "database"),
            (ffi::SQLITE_READONLY, "database", "indeterminate"),
        ];
        for (code, before_commit, at_commit) in table {
            assert_eq!(name(failed(error(code))), before_commit, "code {code} before COMMIT");
            assert_eq!(name(commit_failed(error(code))), at_commit, "code {code} of COMMIT");
        }
    }
}
