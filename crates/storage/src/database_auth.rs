//! Identity on either database.

use std::collections::BTreeMap;

use syncline_core::id::{ClientId, DeviceId, UserId, WorkspaceId};
use syncline_core::storage::StoreResult;
use syncline_core::{Seq, TimestampMs};
use uuid::Uuid;

use crate::analytics::{AnalyticsBatch, CallCounts, ConnectionRow, ConnectionsPage, Day, UsagePage, UsageRow};
use crate::postgres::PostgresAuth;
use crate::sqlite::{
    AlertRow, AuditEntry, AuditHead, AuditQuery, AuditReport, AuditRow, AuthStore, Backlog, BacklogQuery, Claim,
    ClientStatus, Credential, Delivery, Device, FailurePolicy, Identity, Lease, PutCredential, RefreshToken, Rotate,
    Rotation, Webhook,
};

/// The `auth_*` tables. Cheap to clone, usable from any thread; every method blocks, so call it off the async runtime. What
/// the methods do is said at [`AuthStore`].
#[derive(Clone)]
pub enum DatabaseAuth {
    Sqlite(AuthStore),
    Postgres(PostgresAuth),
}

impl From<AuthStore> for DatabaseAuth {
    fn from(auth: AuthStore) -> Self {
        Self::Sqlite(auth)
    }
}

impl From<PostgresAuth> for DatabaseAuth {
    fn from(auth: PostgresAuth) -> Self {
        Self::Postgres(auth)
    }
}

/// Hands each method on to the database that this is.
macro_rules! hand_on {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $kind:ty),*) -> $result:ty;)*) => {
        impl DatabaseAuth {
            $(
                $(#[$doc])*
                pub fn $name(&self, $($arg: $kind),*) -> StoreResult<$result> {
                    match self {
                        Self::Sqlite(auth) => auth.$name($($arg),*),
                        Self::Postgres(auth) => auth.$name($($arg),*),
                    }
                }
            )*
        }
    };
}

hand_on! {
    /// The credentials with this e-mail in all workspaces, in workspace order.
    fn find_credential_by_email(email: &str) -> Vec<Credential>;
    fn credential(workspace: &WorkspaceId, user_id: UserId) -> Option<Credential>;
    /// Inserts or replaces the credential of `(workspace, user)`, failures and lock included.
    fn put_credential(credential: &Credential) -> PutCredential;
    /// Replaces the password, which also ends a lock. False: no such credential.
    fn set_password_hash(workspace: &WorkspaceId, user_id: UserId, hash: &str) -> bool;
    fn delete_credential(workspace: &WorkspaceId, user_id: UserId) -> bool;
    /// Counts a wrong password; `lock` says until when the credential is locked after that many failures (0: not).
    /// Returns the failures so far; 0 when there is no such credential.
    fn record_failure(workspace: &WorkspaceId, user_id: UserId, lock: impl Fn(u32) -> TimestampMs) -> u32;
    /// Forgets failures and lock. Writes nothing when there are none.
    fn reset_failures(workspace: &WorkspaceId, user_id: UserId) -> ();
    /// Inserts a device, or updates a known one; a revocation stays. Returns the device as stored.
    fn put_device(device: &Device) -> Device;
    fn device(workspace: &WorkspaceId, device_id: DeviceId) -> Option<Device>;
    /// The devices of a user, or of everybody, revoked ones included, last seen first.
    fn list_devices(workspace: &WorkspaceId, user_id: Option<UserId>) -> Vec<Device>;
    /// A page of everybody's devices in the same order: those behind a last seen and an id, at most `limit`.
    fn page_devices(workspace: &WorkspaceId, after: Option<(TimestampMs, DeviceId)>, limit: usize) -> Vec<Device>;
    /// Revokes a device and all its refresh tokens. False: unknown, or revoked before.
    fn revoke_device(workspace: &WorkspaceId, device_id: DeviceId, now: TimestampMs) -> bool;
    fn rename_device(workspace: &WorkspaceId, device_id: DeviceId, name: &str) -> bool;
    /// Forgets devices that nobody uses: not seen since `before`, never a replica, and without a refresh token that is good
    /// at `now`. Revoked ones stay. Returns how many.
    fn purge_unused_devices(workspace: &WorkspaceId, before: TimestampMs, now: TimestampMs) -> usize;
    /// Notes when devices were seen; collect them and call it now and then, not per request.
    fn touch_devices(seen: &[(WorkspaceId, DeviceId, TimestampMs)]) -> ();
    fn touch_device(workspace: &WorkspaceId, device_id: DeviceId, now: TimestampMs) -> ();
    /// Appends entries in their order, all or none, each to its workspace's chain; one that is there already is left out.
    fn append_audit(entries: &[AuditEntry]) -> ();
    /// A page of a workspace's audit log, newest first; `None`: the server's own.
    fn audit_page(workspace: Option<&WorkspaceId>, query: &AuditQuery) -> Vec<AuditRow>;
    /// Recomputes the chain of an audit log, in which a head that was kept elsewhere must be found. O(log).
    fn verify_audit(workspace: Option<&WorkspaceId>, kept: Option<&AuditHead>) -> AuditReport;
    /// Forgets the oldest entries that are from before `before`, at most `rows_max`, and moves the chain's anchor along;
    /// returns how many.
    fn prune_audit(workspace: Option<&WorkspaceId>, before: TimestampMs, rows_max: usize) -> usize;
    /// Takes or renews a lease. False: somebody else holds it.
    fn take_lease(lease: &Lease) -> bool;
    /// Stores alerts as they are now.
    fn put_alerts(alerts: &[AlertRow]) -> ();
    /// All alerts that fire.
    fn firing_alerts() -> Vec<AlertRow>;
    /// The alerts of a workspace and of the nodes: those that fire first, then by age.
    fn list_alerts(workspace: &WorkspaceId, limit: usize) -> Vec<AlertRow>;
    /// Forgets alerts that were resolved before `before`; returns how many.
    fn purge_alerts(before: TimestampMs) -> usize;
    /// The clients whose oldest waiting mutation is older than asked for, at most `limit`.
    fn stuck_clients(query: &BacklogQuery, limit: usize) -> Vec<ClientStatus>;
    /// The users of an account elsewhere in all workspaces, in workspace order.
    fn find_identities(provider: &str, subject: &str) -> Vec<Identity>;
    /// Links an account with a user, neither of whom is linked yet. False: one of them is linked otherwise.
    fn link_identity(identity: &Identity) -> bool;
    /// Ends the links of a user with accounts of a provider. False: there was none.
    fn unlink_identity(workspace: &WorkspaceId, provider: &str, user_id: UserId) -> bool;
    /// Inserts or replaces a webhook, unless the workspace has `max` others. False: it has.
    fn put_webhook(hook: &Webhook, max: usize) -> bool;
    /// A workspace's webhooks, oldest first.
    fn list_webhooks(workspace: &WorkspaceId) -> Vec<Webhook>;
    /// All that are told of changes and switched on.
    fn outgoing_webhooks() -> Vec<Webhook>;
    /// The webhook of this id in whatever workspace.
    fn find_webhook(id: Uuid) -> Option<Webhook>;
    /// Deletes a webhook with its deliveries. False: there is none.
    fn delete_webhook(workspace: &WorkspaceId, id: Uuid) -> bool;
    /// Stores the deliveries of a stretch of the log and moves the webhook's cursor over it, both or neither. False: the
    /// cursor is no longer where `hook` has it, and nothing happened.
    fn enqueue_deliveries(hook: &Webhook, to: Seq, deliveries: &[Delivery]) -> bool;
    /// Deliveries that wait.
    fn pending_deliveries(workspace: &WorkspaceId, webhook_id: Uuid) -> u64;
    /// Takes deliveries that are due and that nobody is at, oldest first.
    fn claim_deliveries(claim: &Claim) -> Vec<Delivery>;
    /// Stores how an attempt ended, and lets the delivery go. True: it was one too many, and the webhook is off.
    fn finish_attempt(delivery: &Delivery, policy: &FailurePolicy) -> bool;
    /// The deliveries of a webhook, newest first.
    fn list_deliveries(workspace: &WorkspaceId, webhook_id: Uuid, limit: usize) -> Vec<Delivery>;
    /// Makes a delivery due again, as if it had never been tried. False: there is none.
    fn retry_delivery(workspace: &WorkspaceId, id: Uuid, now: TimestampMs) -> bool;
    /// Forgets deliveries that ended before `before`; returns how many.
    fn purge_deliveries(before: TimestampMs) -> usize;
    /// Adds what has been counted to what is stored, all or nothing. A connection that is there already stays.
    fn add_analytics(batch: &AnalyticsBatch) -> ();
    /// A page of a workspace's connections that have ended, last closed first.
    fn connections_page(workspace: &WorkspaceId, page: &ConnectionsPage) -> Vec<ConnectionRow>;
    /// A page of sums over the days from one on, in the order of their keys.
    fn usage_page(workspace: &WorkspaceId, page: &UsagePage) -> Vec<UsageRow>;
    /// How long calls took over the days from one on, by operation.
    fn call_counts(workspace: &WorkspaceId, from_day: Day) -> BTreeMap<String, CallCounts>;
    /// Forgets sums of days before that of `before`, and connections closed before it, of which at most `rows_max`;
    /// returns how many connections.
    fn prune_analytics(workspace: &WorkspaceId, before: TimestampMs, rows_max: usize) -> usize;
    fn kv_get(workspace: Option<&WorkspaceId>, key: &str) -> Option<Vec<u8>>;
    fn kv_put(workspace: Option<&WorkspaceId>, key: &str, value: &[u8]) -> ();
    /// Stores `value` unless there is one, and returns what is stored then.
    fn kv_get_or_put(workspace: Option<&WorkspaceId>, key: &str, value: &[u8]) -> Vec<u8>;
    fn kv_delete(workspace: Option<&WorkspaceId>, key: &str) -> bool;
    /// Keys that start with `prefix`, in order.
    fn kv_list(workspace: Option<&WorkspaceId>, prefix: &str) -> Vec<String>;
    /// Inserts or replaces by client; an older report than the stored one is ignored.
    fn put_client_status(reports: &[ClientStatus]) -> ();
    /// Every client's last report in client order.
    fn list_client_status(workspace: &WorkspaceId) -> Vec<ClientStatus>;
    /// A page of them: those behind a client, at most `limit`.
    fn page_client_status(workspace: &WorkspaceId, after: Option<ClientId>, limit: usize) -> Vec<ClientStatus>;
    /// The clients' reports summed up by workspace, in order.
    fn client_backlogs(query: &BacklogQuery) -> Vec<Backlog>;
    /// Forgets clients that have not reported since `before`; returns how many.
    fn purge_client_status(workspace: &WorkspaceId, before: TimestampMs) -> usize;
    /// Stores the first token of a family, at sign-in.
    fn insert_refresh(token: &RefreshToken) -> ();
    /// Exchanges a token; of two parallel uses one sees the other.
    fn rotate_refresh(rotate: &Rotate) -> Rotation;
    /// Revokes everything that descends from one sign-in; returns how many tokens that ended.
    fn revoke_family(family_id: Uuid, now: TimestampMs) -> usize;
    /// Signs a user out everywhere in a workspace; returns the sign-ins that ended.
    fn revoke_user_tokens(workspace: &WorkspaceId, user_id: UserId, now: TimestampMs) -> Vec<Uuid>;
    /// Sign-ins that were ended at or after `since`, each with the moment when the last of its tokens expires.
    fn ended_sign_ins(since: TimestampMs) -> Vec<(Uuid, TimestampMs)>;
    /// Deletes tokens that expired before `before`; returns how many.
    fn purge_expired_refresh(before: TimestampMs) -> usize;
}
