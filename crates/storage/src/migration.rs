//! What a failed migration means, on every database the same.

use refinery_core::error::Kind;
use refinery_core::{Error, Runner, SchemaVersion};
use syncline_core::storage::StoreError;

/// The database has a migration from after this build; found as the source of [`StoreError::Database`].
#[derive(Debug, thiserror::Error)]
#[error("this database was written by a newer version of Syncline (migration V{0}): start that version")]
pub struct NewerVersion(pub SchemaVersion);

/// The meaning of an error of `runner` when it met a migration that is newer than all of its own.
pub(crate) fn newer_version(runner: &Runner, error: &Error) -> Option<StoreError> {
    let Kind::MissingVersion(missing) = error.kind() else { return None };
    let is_newer = runner.get_migrations().iter().all(|known| known.version() < missing.version());
    is_newer.then(|| StoreError::Database(Box::new(NewerVersion(missing.version()))))
}
