//! What is noted, and the shape it has in the log.

use serde_json::{Map, Value, json};
use syncline_core::TimestampMs;
use syncline_core::id::{DeviceId, UserId, WorkspaceId};
use syncline_storage::sqlite::AuditEntry;
use uuid::Uuid;

use super::context::current_request;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuditEvent {
    SignIn,
    SignInFailed,
    /// Too many failures: the account refuses everybody for a while.
    LockedOut,
    SignOut,
    SignOutEverywhere,
    /// A spent refresh token came again: somebody has a copy.
    RefreshReused,
    DeviceRevoked,
    PasswordChanged,
    MemberCreated,
    MemberChanged,
    MemberRevoked,
    AdminRead,
    AdminChange,
    AccessDenied,
    Export,
}

impl AuditEvent {
    pub fn as_str(self) -> &'static str {
        match self {
            AuditEvent::SignIn => "sign_in",
            AuditEvent::SignInFailed => "sign_in_failed",
            AuditEvent::LockedOut => "locked_out",
            AuditEvent::SignOut => "sign_out",
            AuditEvent::SignOutEverywhere => "sign_out_everywhere",
            AuditEvent::RefreshReused => "refresh_reused",
            AuditEvent::DeviceRevoked => "device_revoked",
            AuditEvent::PasswordChanged => "password_changed",
            AuditEvent::MemberCreated => "member_created",
            AuditEvent::MemberChanged => "member_changed",
            AuditEvent::MemberRevoked => "member_revoked",
            AuditEvent::AdminRead => "admin_read",
            AuditEvent::AdminChange => "admin_change",
            AuditEvent::AccessDenied => "access_denied",
            AuditEvent::Export => "export",
        }
    }

    /// The same by the same person about the same thing is noted once in this time, with how often it was; milliseconds.
    /// 0: each time.
    pub(super) fn repeats_ms(self) -> u64 {
        match self {
            AuditEvent::AdminRead => 600_000,
            AuditEvent::AccessDenied | AuditEvent::LockedOut => 60_000,
            AuditEvent::SignIn
            | AuditEvent::SignInFailed
            | AuditEvent::SignOut
            | AuditEvent::SignOutEverywhere
            | AuditEvent::RefreshReused
            | AuditEvent::DeviceRevoked
            | AuditEvent::PasswordChanged
            | AuditEvent::MemberCreated
            | AuditEvent::MemberChanged
            | AuditEvent::MemberRevoked
            | AuditEvent::AdminChange
            | AuditEvent::Export => 0,
        }
    }
}

/// An event with who and what; [`super::Audit::record`] adds when, and which request from where.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRecord {
    /// `None`: of no workspace.
    pub workspace_id: Option<WorkspaceId>,
    pub event: AuditEvent,
    /// Who did it; for a sign-in that failed, whose account it is about.
    pub user_id: Option<UserId>,
    pub device_id: Option<DeviceId>,
    /// What it was done to: an id or a route, nothing that people are called by.
    pub subject: Option<String>,
    pub detail: Map<String, Value>,
}

impl AuditRecord {
    /// About a workspace, by whoever the request speaks for.
    pub fn new(workspace_id: &WorkspaceId, event: AuditEvent) -> Self {
        let principal = current_request(|request| request.principal.borrow().clone()).flatten();
        let principal = principal.filter(|principal| principal.workspace_id == *workspace_id);
        Self {
            workspace_id: Some(workspace_id.clone()),
            event,
            user_id: principal.as_ref().map(|principal| principal.user_id),
            device_id: principal.map(|principal| principal.device_id),
            subject: None,
            detail: Map::new(),
        }
    }

    /// Of no workspace.
    pub fn of_server(event: AuditEvent) -> Self {
        Self { workspace_id: None, event, user_id: None, device_id: None, subject: None, detail: Map::new() }
    }

    pub fn by(mut self, user_id: UserId) -> Self {
        self.user_id = Some(user_id);
        self
    }

    pub fn on_device(mut self, device_id: DeviceId) -> Self {
        self.device_id = Some(device_id);
        self
    }

    pub fn about(mut self, subject: impl ToString) -> Self {
        self.subject = Some(subject.to_string());
        self
    }

    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(name.to_owned(), value.into());
        self
    }

    /// As it is stored. `repeated`: how often the same was left out since it was last noted.
    pub fn into_entry(self, id: Uuid, at_ms: TimestampMs, repeated: u64) -> AuditEntry {
        let event = self.event.as_str();
        let request = current_request(|request| {
            request.is_noted.set(true);
            (request.request_id.clone(), request.address.get().map(|address| address.to_string()))
        });
        let (request_id, address) = request.unzip();
        let mut detail = self.detail;
        if repeated > 0 {
            detail.insert("repeated".to_owned(), repeated.into());
        }
        let entry = json!({
            "id": id, "at_ms": at_ms, "event": event, "workspace_id": self.workspace_id, "user_id": self.user_id,
            "device_id": self.device_id, "subject": self.subject, "request_id": request_id,
            "address": address.flatten(), "detail": detail,
        });
        let (workspace_id, user_id) = (self.workspace_id, self.user_id);
        AuditEntry { workspace_id, id, at_ms, event: event.to_owned(), user_id, entry: entry.to_string() }
    }
}
