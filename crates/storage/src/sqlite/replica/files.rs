//! The files beside the database: the lock, and the marker that tells a copy from the original.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::Path;

use syncline_core::replica::{ReplicaError, ReplicaResult};

/// Takes the directory for this process, creating it when it is missing.
pub(super) fn lock(dir: &Path) -> ReplicaResult<File> {
    fs::create_dir_all(dir).map_err(failed)?;
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(dir.join("lock")).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ReplicaError::Locked),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// The marker in the directory; `None`: it has none.
pub(super) fn marker(dir: &Path) -> ReplicaResult<Option<String>> {
    match fs::read_to_string(dir.join("marker")) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

pub(super) fn write_marker(dir: &Path, marker: &str) -> ReplicaResult<()> {
    let write = || {
        let mut file = File::create(dir.join("marker"))?;
        writeln!(file, "{marker}")?;
        file.sync_all()?;
        File::open(dir)?.sync_all()
    };
    write().map_err(failed)
}

fn failed(error: io::Error) -> ReplicaError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ReplicaError::Full,
        _ => ReplicaError::Io(Box::new(error)),
    }
}
