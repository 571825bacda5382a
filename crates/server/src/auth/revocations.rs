//! What has been revoked and must be refused although its token has not expired yet.

use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock};

use syncline_core::TimestampMs;
use syncline_core::id::{DeviceId, UserId, WorkspaceId};
use syncline_core::storage::StoreResult;
use syncline_storage::DatabaseAuth;
use uuid::Uuid;

use super::token::Claims;
use crate::bus::Revocation;

/// In memory for every request, in the store for the next start. A sign-in and a user's cut-off are forgotten once no
/// access token can be that old; a device stays revoked.
#[derive(Default)]
pub struct Revocations {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    devices: HashSet<(WorkspaceId, DeviceId)>,
    /// Ended sign-ins, with the moment (ms) from which no token of theirs lives.
    sign_ins: HashMap<Uuid, TimestampMs>,
    /// Users signed out everywhere: tokens issued at or before this moment (ms) are refused.
    users: HashMap<(WorkspaceId, UserId), TimestampMs>,
}

const SIGN_IN_PREFIX: &str = "ended-sign-in:";
const USER_PREFIX: &str = "signed-out-user:";

impl Revocations {
    /// Reads what was revoked before this start, and forgets what has outlived its use. Blocks.
    pub fn load(store: &DatabaseAuth, workspaces: &[WorkspaceId], now: TimestampMs) -> StoreResult<Self> {
        let mut state = State::default();
        for key in store.kv_list(None, SIGN_IN_PREFIX)? {
            let until = store.kv_get(None, &key)?.and_then(|bytes| number(&bytes)).unwrap_or(0);
            match key.strip_prefix(SIGN_IN_PREFIX).and_then(|id| id.parse().ok()) {
                Some(id) if until > now => drop(state.sign_ins.insert(id, until)),
                Some(_) | None => drop(store.kv_delete(None, &key)?),
            }
        }
        for workspace_id in workspaces {
            for device in store.list_devices(workspace_id, None)? {
                if device.revoked_ms.is_some() {
                    state.devices.insert((workspace_id.clone(), device.device_id));
                }
            }
            for key in store.kv_list(Some(workspace_id), USER_PREFIX)? {
                let cut_ms = store.kv_get(Some(workspace_id), &key)?.and_then(|bytes| number(&bytes));
                let user = key.strip_prefix(USER_PREFIX).and_then(|id| id.parse().ok());
                if let (Some(cut_ms), Some(user)) = (cut_ms, user) {
                    state.users.insert((workspace_id.clone(), user), cut_ms);
                }
            }
        }
        Ok(Self { state: RwLock::new(state) })
    }

    pub fn is_device_revoked(&self, workspace_id: &WorkspaceId, device_id: DeviceId) -> bool {
        self.read(|state| state.devices.contains(&(workspace_id.clone(), device_id)))
    }

    /// Whether the sign-in a token descends from has ended.
    pub fn is_signed_out(&self, claims: &Claims) -> bool {
        self.read(|state| {
            let cut_ms = state.users.get(&(claims.workspace_id.clone(), claims.sub));
            state.sign_ins.contains_key(&claims.sid) || cut_ms.is_some_and(|cut_ms| claims.issued_ms() <= *cut_ms)
        })
    }

    pub fn add_device(&self, workspace_id: WorkspaceId, device_id: DeviceId) {
        self.write(|state| {
            state.devices.insert((workspace_id, device_id));
        });
    }

    /// As another node ended it.
    pub fn add_sign_in(&self, sid: Uuid, until: TimestampMs) {
        self.write(|state| {
            let now = crate::clock::now_ms();
            state.sign_ins.retain(|_, end| *end > now);
            state.sign_ins.insert(sid, until);
        });
    }

    /// As another node signed them out.
    pub fn add_user(&self, workspace_id: WorkspaceId, user: UserId, cut_ms: TimestampMs) {
        self.write(|state| {
            let known = state.users.entry((workspace_id, user)).or_default();
            *known = (*known).max(cut_ms);
        });
    }

    /// Reads what other nodes have revoked, and returns what is new. Blocks; O(devices and cut-offs).
    pub fn refresh(
        &self,
        store: &DatabaseAuth,
        workspaces: &[WorkspaceId],
        now: TimestampMs,
    ) -> StoreResult<Vec<(Option<WorkspaceId>, Revocation)>> {
        let stored = Self::load(store, workspaces, now)?.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.read(|known| {
            let devices = stored.devices.iter().filter(|device| !known.devices.contains(device));
            let devices = devices.map(|(workspace_id, device_id)| {
                (Some(workspace_id.clone()), Revocation::Device { device_id: *device_id })
            });
            let sign_ins = stored.sign_ins.iter().filter(|(sid, _)| !known.sign_ins.contains_key(sid));
            let sign_ins =
                sign_ins.map(|(sid, until_ms)| (None, Revocation::SignIn { sid: *sid, until_ms: *until_ms }));
            let users = stored.users.iter().filter(|(key, cut_ms)| known.users.get(key) < Some(cut_ms));
            let users = users.map(|((workspace_id, user_id), cut_ms)| {
                (Some(workspace_id.clone()), Revocation::User { user_id: *user_id, cut_ms: *cut_ms })
            });
            Ok(devices.chain(sign_ins).chain(users).collect())
        })
    }

    /// Ends a sign-in; `until`: when its last access token expires. Blocks.
    pub fn end_sign_in(&self, store: &DatabaseAuth, sid: Uuid, until: TimestampMs) -> StoreResult<()> {
        self.add_sign_in(sid, until);
        store.kv_put(None, &format!("{SIGN_IN_PREFIX}{sid}"), until.to_string().as_bytes())
    }

    /// Signs a user out everywhere: every token issued up to `now` is refused. Blocks.
    pub fn end_user(
        &self,
        store: &DatabaseAuth,
        workspace_id: &WorkspaceId,
        user: UserId,
        now: TimestampMs,
    ) -> StoreResult<()> {
        self.add_user(workspace_id.clone(), user, now);
        store.kv_put(Some(workspace_id), &format!("{USER_PREFIX}{user}"), now.to_string().as_bytes())
    }

    fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, write: impl FnOnce(&mut State)) {
        write(&mut self.state.write().unwrap_or_else(PoisonError::into_inner));
    }
}

fn number(bytes: &[u8]) -> Option<u64> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}
