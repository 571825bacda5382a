//! Who is asking: the authenticated user and device, with the role they have now.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::id::{ClientId, DeviceId, ScopeId, UserId, WorkspaceId};

/// How the person's program is deployed (glossary: deployment mode).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentMode {
    WebApp,
    BrowserExtension,
    LocalInstall,
    MobileApp,
}

impl DeploymentMode {
    pub const ALL: [Self; 4] = [Self::WebApp, Self::BrowserExtension, Self::LocalInstall, Self::MobileApp];

    /// As it stands in paths, frames, columns and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WebApp => "web_app",
            Self::BrowserExtension => "browser_extension",
            Self::LocalInstall => "local_install",
            Self::MobileApp => "mobile_app",
        }
    }

    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text)
    }
}

/// Which records a member may read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadScope {
    /// Workspace-wide records and those the member owns.
    Own,
    /// As `Own`, and those of the member's teams and team-mates.
    Team,
    /// Everything in the workspace.
    All,
}

/// An authenticated user on a device, as a token vouches for them. Role and grants are *not* here: they are read in the
/// write transaction, as they are then (spec PRM-1).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Principal {
    pub workspace_id: WorkspaceId,
    pub user_id: UserId,
    pub device_id: DeviceId,
    pub client_id: ClientId,
    /// The server itself (import, migration, administration): may write server-only fields and ranks above everybody.
    pub is_server: bool,
}

/// What a member may do at one moment: read from their `workspace_members` record and the teams.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Access {
    pub role: SmolStr,
    /// Rank of the role by the schema; higher wins.
    pub rank: u8,
    pub read_scope: ReadScope,
    pub grants: Grants,
}

/// The scopes a principal may see.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Grants {
    /// Every scope of the workspace, including ones that do not exist yet.
    All,
    Scopes(BTreeSet<ScopeId>),
}

impl Grants {
    pub fn includes(&self, scope: &ScopeId) -> bool {
        match self {
            Grants::All => true,
            Grants::Scopes(scopes) => scopes.contains(scope),
        }
    }
}
