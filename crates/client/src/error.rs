//! Why something could not be done.

use std::path::PathBuf;

use syncline_core::protocol::{Class, Problem};
use syncline_core::replica::{LocalError, ReplicaError};
use syncline_core::schema::SchemaError;

/// Everything a [`crate::Client`] can fail with.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no replica in the directory: sign in first.
    #[error("{0} holds no device: run `init` first")]
    NotInitialised(PathBuf),
    /// The directory belongs to another person, workspace or server.
    #[error("{dir} belongs to {owner}: use another directory")]
    OtherOwner { dir: PathBuf, owner: String },
    #[error("`{0}` is not the address of a server: use http:// or https://")]
    BadServer(String),
    /// The server could not be reached, or answered with something else than its protocol. Worth trying again.
    #[error("the server could not be reached: {0}")]
    Unreachable(String),
    /// The server refused; the class of the problem says what to do (spec ERR-1).
    #[error("{}", .0.message)]
    Refused(Box<Problem>),
    /// A person must sign in again; the outbox is kept.
    #[error("sign in again: {0}")]
    SignInNeeded(String),
    #[error("the schema of this device is not valid: {0}")]
    Schema(#[from] SchemaError),
    #[error("there is no conflict {0} on this device")]
    NoSuchConflict(syncline_core::id::RecordId),
    #[error(transparent)]
    Local(#[from] LocalError),
    #[error(transparent)]
    Store(#[from] ReplicaError),
    #[error("{path} could not be read or written")]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the device's thread has ended: open the client again")]
    Closed,
    /// Another call is syncing this replica already.
    #[error("this replica is being synced already")]
    AlreadySyncing,
}

impl ClientError {
    /// Whether the same may succeed later without anybody doing anything.
    pub fn is_offline(&self) -> bool {
        match self {
            ClientError::Unreachable(_) => true,
            ClientError::Refused(problem) => problem.class == Class::Transient,
            _ => false,
        }
    }

    pub(crate) fn file(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        ClientError::File { path: path.into(), source }
    }
}

/// An error with everything that caused it, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
