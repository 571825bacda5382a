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

impl Pending {
    /// What was taken and not written; what was said since is newer.
    fn put_back(&mut self, taken: Pending) {
        for (key, status) in taken.clients {
            self.clients.entry(key).or_insert(status);
        }
        for (key, at) in taken.devices {
            self.devices.entry(key).or_insert(at);
        }
    }
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

    /// A device that is there without a `hello`: it reads its messages only.
    pub fn seen(&self, workspace_id: &WorkspaceId, device: DeviceId, now: TimestampMs) {
        self.with(|pending| pending.devices.insert((workspace_id.clone(), device), now));
    }

    /// Writes what has gathered; what cannot be written waits for the next time. Blocks.
    pub fn flush(&self, store: &DatabaseAuth) -> StoreResult<()> {
        let taken = self.with(std::mem::take);
        let clients: Vec<_> = taken.clients.values().cloned().collect();
        let devices: Vec<_> = taken.devices.iter().map(|((workspace, id), at)| (workspace.clone(), *id, *at)).collect();
        let clients = if clients.is_empty() { Ok(()) } else { store.put_client_status(&clients) };
        let written = clients.and_then(|()| if devices.is_empty() { Ok(()) } else { store.touch_devices(&devices) });
        if written.is_err() {
            self.with(|pending| pending.put_back(taken));
        }
        written
    }

    fn with<T>(&self, change: impl FnOnce(&mut Pending) -> T) -> T {
        change(&mut self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
