//! The epoch that every workspace begins when a backup is brought back.

use syncline_core::id::WorkspaceId;
use syncline_core::storage::{EpochError, Store, StoreError, epoch_after};

/// Why a backup is not brought back.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error(transparent)]
    Epoch(#[from] EpochError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Begins one epoch in all workspaces (spec EPO-1): the wanted one, or else the first after all of theirs and `used`, which
/// is the highest one that is known from elsewhere, 0 for none. Returns the workspaces with it.
pub fn begin_epochs(
    store: &mut impl Store,
    used: u32,
    wanted: Option<u32>,
) -> Result<Vec<(WorkspaceId, u32)>, RestoreError> {
    let workspaces = store.workspaces()?;
    let mut last = used;
    for workspace in &workspaces {
        last = last.max(store.read(workspace, |read| read.head())?.epoch);
    }
    let epoch = epoch_after(last, wanted)?;
    for workspace in &workspaces {
        store.begin_epoch(workspace, epoch)?;
    }
    Ok(workspaces.into_iter().map(|workspace| (workspace, epoch)).collect())
}
