//! Labels: each has a bounded set of lower-case values.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use syncline_core::change::{CONFLICTS, Change, ChangeKind, OutcomeKind};
use syncline_core::principal::DeploymentMode;
use syncline_core::{Name, Value};

/// A label's values by name, as they stand in metrics, dashboards and alerts.
macro_rules! label_values {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($variant,)*
        }

        impl $name {
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl EncodeLabelValue for $name {
            fn encode(&self, encoder: &mut LabelValueEncoder) -> Result<(), std::fmt::Error> {
                EncodeLabelValue::encode(&self.as_str(), encoder)
            }
        }
    };
}

label_values! {
    /// What a session asked of the server.
    SyncOperation {
        Hello = "hello",
        Push = "push",
        CatchUp = "catch_up",
        Snapshot = "snapshot",
        Verify = "verify",
        Fetch = "fetch",
    }
}

label_values! {
    /// What somebody did with credentials.
    AuthOperation {
        Login = "login",
        Refresh = "refresh",
        Logout = "logout",
        Token = "token",
        RevokeDevice = "revoke_device",
    }
}

label_values! {
    /// How an operation ended. `Refused`: the caller's fault; `Failed`: ours, or that of a part we need.
    Status {
        Ok = "ok",
        Refused = "refused",
        Failed = "failed",
    }
}

label_values! {
    /// What the router did with a message.
    RoutingStep {
        Stored = "stored",
        Delivered = "delivered",
        Acknowledged = "acknowledged",
        Expired = "expired",
        DeadLettered = "dead_lettered",
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct HttpLabels {
    pub method: &'static str,
    /// The route's template, never a path.
    pub path: String,
    pub status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RouteLabels {
    pub(super) method: &'static str,
    pub(super) path: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ModeLabels {
    pub(super) deployment_mode: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct SyncLabels {
    pub(super) operation: SyncOperation,
    pub(super) status: Status,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OperationLabels {
    pub(super) operation: SyncOperation,
}

/// An entity of the schema, a strategy of the engine, and whether the conflict was decided (`resolved`) or waits for a
/// person (`review`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ConflictLabels {
    entity: String,
    strategy: String,
    outcome: &'static str,
}

impl ConflictLabels {
    /// `None`: the change is no conflict that has just come about. The engine made the record, so that its entity and its
    /// strategy are none that a caller could make up.
    pub(super) fn of(change: &Change) -> Option<Self> {
        if change.entity != CONFLICTS || change.kind != ChangeKind::Put || change.prev_rv != 0 {
            return None;
        }
        let text = |field: &str| change.fields.get(&Name::new(field)).and_then(Value::as_str).unwrap_or("");
        let outcome = if text("state") == "open" { "review" } else { "resolved" };
        Some(Self { entity: text("entity").to_owned(), strategy: text("strategy").to_owned(), outcome })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct AuthLabels {
    pub(super) operation: AuthOperation,
    pub(super) status: Status,
}

/// A step of routing. `priority` is one of critical, high, normal and low.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RoutingLabels {
    pub step: RoutingStep,
    pub priority: &'static str,
    pub status: Status,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OutcomeLabels {
    pub(super) outcome: &'static str,
}

/// The name of an outcome as it stands on the wire.
pub(super) fn outcome_text(kind: OutcomeKind) -> &'static str {
    match kind {
        OutcomeKind::Applied => "applied",
        OutcomeKind::Merged => "merged",
        OutcomeKind::Superseded => "superseded",
        OutcomeKind::InReview => "in_review",
        OutcomeKind::Rejected => "rejected",
    }
}

/// The name of a deployment mode as it stands in paths, frames and labels.
pub fn mode_text(mode: DeploymentMode) -> &'static str {
    match mode {
        DeploymentMode::WebApp => "web_app",
        DeploymentMode::BrowserExtension => "browser_extension",
        DeploymentMode::LocalInstall => "local_install",
        DeploymentMode::MobileApp => "mobile_app",
    }
}
