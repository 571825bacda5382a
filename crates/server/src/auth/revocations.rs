//! What has been revoked and must be refused although its token has not expired yet.

use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock};

use syncline_core::TimestampMs;
use syncline_core::id::{DeviceId, WorkspaceId};
use syncline_core::storage::StoreResult;
use syncline_storage::DatabaseAuth;
use uuid::Uuid;

use super::token::Claims;
use crate::bus::Revocation;

/// In memory for every request; in the store with the refresh tokens and devices that it is about. A sign-in is forgotten
/// once no token of it can be alive; a device stays revoked.
#[derive(Default)]
pub struct Revocations {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    devices: HashSet<(WorkspaceId, DeviceId)>,
    /// Ended sign-ins, with the moment (ms) from which no token of theirs lives.
    sign_ins: HashMap<Uuid, TimestampMs>,
    /// Up to when (ms, by this node's clock) the store was read.
    read_ms: TimestampMs,
}

/// How far back the store is read again: nodes' clocks may differ by so much, or a write take so long; milliseconds.
const OVERLAP_MS: u64 = 10 * 60_000;

impl Revocations {
    /// Reads what was revoked before this start. Blocks.
    pub fn load(store: &DatabaseAuth, workspaces: &[WorkspaceId], now: TimestampMs) -> StoreResult<Self> {
        Ok(Self { state: RwLock::new(State::read(store, workspaces, 0, now)?) })
    }

    pub fn is_device_revoked(&self, workspace_id: &WorkspaceId, device_id: DeviceId) -> bool {
        self.read(|state| state.devices.contains(&(workspace_id.clone(), device_id)))
    }

    /// Whether the sign-in a token descends from has ended.
    pub fn is_signed_out(&self, claims: &Claims) -> bool {
        self.read(|state| state.sign_ins.contains_key(&claims.sid))
    }

    pub fn add_device(&self, workspace_id: WorkspaceId, device_id: DeviceId) {
        self.write(|state| {
            state.devices.insert((workspace_id, device_id));
        });
    }

    /// `until`: when the last of their tokens expires.
    pub fn add_sign_ins(&self, sids: &[Uuid], until: TimestampMs) {
        let now = crate::clock::now_ms();
        self.write(|state| {
            state.sign_ins.retain(|_, end| *end > now);
            state.sign_ins.extend(sids.iter().map(|sid| (*sid, until)));
        });
    }

    /// Reads what other nodes have revoked since the last time, and returns what is new. Blocks; O(devices and what is new).
    pub fn refresh(
        &self,
        store: &DatabaseAuth,
        workspaces: &[WorkspaceId],
        now: TimestampMs,
    ) -> StoreResult<Vec<(Option<WorkspaceId>, Revocation)>> {
        let since = self.read(|known| known.read_ms).min(now).saturating_sub(OVERLAP_MS);
        let stored = State::read(store, workspaces, since, now)?;
        let found = self.read(|known| {
            let devices = stored.devices.iter().filter(|device| !known.devices.contains(device));
            let devices = devices.map(|(workspace_id, device_id)| {
                (Some(workspace_id.clone()), Revocation::Device { device_id: *device_id })
            });
            let sign_ins = stored.sign_ins.iter().filter(|(sid, _)| !known.sign_ins.contains_key(sid));
            let sign_ins =
                sign_ins.map(|(sid, until_ms)| (None, Revocation::SignIns { sids: vec![*sid], until_ms: *until_ms }));
            devices.chain(sign_ins).collect()
        });
        self.write(|known| known.read_ms = now);
        Ok(found)
    }

    fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, write: impl FnOnce(&mut State)) {
        write(&mut self.state.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl State {
    fn read(
        store: &DatabaseAuth,
        workspaces: &[WorkspaceId],
        since: TimestampMs,
        now: TimestampMs,
    ) -> StoreResult<Self> {
        let mut devices = HashSet::new();
        for workspace_id in workspaces {
            let revoked =
                store.list_devices(workspace_id, None)?.into_iter().filter(|device| device.revoked_ms.is_some());
            devices.extend(revoked.map(|device| (workspace_id.clone(), device.device_id)));
        }
        let sign_ins = store.ended_sign_ins(since)?.into_iter().filter(|(_, until)| *until > now).collect();
        Ok(Self { devices, sign_ins, read_ms: now })
    }
}
