//! What clients say of themselves, gathered in memory and written now and then: the operator's view of lag and stuck
//! outboxes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use syncline_core::id::{ClientId, DeviceId, WorkspaceId};
use syncline_core::storage::StoreResult;
use syncline_core::{Seq, TimestampMs};
use syncline_storage::DatabaseAuth;
use syncline_storage::sqlite::ClientStatus;

/// Clients and devices noted since the last write.
#[derive(Default)]
pub struct Reports {
    pending: Mutex<Pending>,
}

#[derive(Default)]
struct Pending {
    clients: HashMap<(WorkspaceId, ClientId), ClientStatus>,
    devices: HashMap<(WorkspaceId, DeviceId), TimestampMs>,
}

impl Reports {
    /// A client's `hello`.
    pub fn hello(&self, status: ClientStatus) {
        self.with(|pending| {
            pending.devices.insert((status.workspace_id.clone(), status.device_id), status.reported_ms);
            pending.clients.insert((status.workspace_id.clone(), status.client_id), status);
        });
    }

    /// A client's `ack`: its cursor has moved. Known only after its `hello`.
    pub fn ack(&self, former: &ClientStatus, cursor: Seq, now: TimestampMs) {
        let status = ClientStatus { cursor, reported_ms: now, ..former.clone() };
        self.hello(status);
    }

    /// Writes what has gathered. Blocks.
    pub fn flush(&self, store: &DatabaseAuth) -> StoreResult<()> {
        let taken = self.with(std::mem::take);
        let clients: Vec<_> = taken.clients.into_values().collect();
        if !clients.is_empty() {
            store.put_client_status(&clients)?;
        }
        let devices: Vec<_> = taken.devices.into_iter().map(|((workspace, id), at)| (workspace, id, at)).collect();
        if !devices.is_empty() {
            store.touch_devices(&devices)?;
        }
        Ok(())
    }

    fn with<T>(&self, change: impl FnOnce(&mut Pending) -> T) -> T {
        change(&mut self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
