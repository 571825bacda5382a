//! What has been revoked and must be refused although its token has not expired yet.

use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock};

use syncline_core::TimestampMs;
use syncline_core::id::{DeviceId, UserId, WorkspaceId};
use syncline_core::storage::StoreResult;
use syncline_storage::AuthStore;
use uuid::Uuid;

use super::token::Claims;

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
    pub fn load(store: &AuthStore, workspaces: &[WorkspaceId], now: TimestampMs) -> StoreResult<Self> {
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

    /// Ends a sign-in; `until`: when its last access token expires. Blocks.
    pub fn end_sign_in(&self, store: &AuthStore, sid: Uuid, until: TimestampMs) -> StoreResult<()> {
        self.write(|state| {
            let now = crate::clock::now_ms();
            state.sign_ins.retain(|_, end| *end > now);
            state.sign_ins.insert(sid, until);
        });
        store.kv_put(None, &format!("{SIGN_IN_PREFIX}{sid}"), until.to_string().as_bytes())
    }

    /// Signs a user out everywhere: every token issued up to `now` is refused. Blocks.
    pub fn end_user(
        &self,
        store: &AuthStore,
        workspace_id: &WorkspaceId,
        user: UserId,
        now: TimestampMs,
    ) -> StoreResult<()> {
        self.write(|state| {
            state.users.insert((workspace_id.clone(), user), now);
        });
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
