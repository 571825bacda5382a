//! Identifiers. Each is its own type, so that a device can never be passed for a client.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            pub const NIL: Self = Self(Uuid::nil());
            pub const MAX: Self = Self(Uuid::max());
            /// An id with the given 128 bits, for tests, simulation and derived ids.
            pub const fn from_u128(bits: u128) -> Self {
                Self(Uuid::from_u128(bits))
            }
            /// The UUIDv7 of a moment and 10 random bytes; the caller brings both (design D18).
            pub fn v7(now_ms: crate::TimestampMs, random: [u8; 10]) -> Self {
                Self(uuid::Builder::from_unix_timestamp_millis(now_ms, &random).into_uuid())
            }
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

uuid_id!(
    /// A person. The id of the record in `users`.
    UserId
);
uuid_id!(
    /// An installation: user-visible and revocable.
    DeviceId
);
uuid_id!(
    /// One local database. Minted anew when that database is new, cloned or evicted; with `client_seq` the key of
    /// exactly-once.
    ClientId
);
uuid_id!(
    /// A record of any entity, minted by its creator (UUIDv7), or derived (UUIDv5) where a natural key exists.
    RecordId
);
uuid_id!(
    /// Stable name of a mutation across systems and in the audit trail.
    MutationId
);
uuid_id!(
    /// A message, minted by its sender (UUIDv7); receivers know by it what they have had (spec MSG-3).
    MessageId
);
uuid_id!(
    /// Identity of a server's data, across restarts and restores.
    BackendId
);

impl ClientId {
    /// Whether it stands for single requests that the server decided for a caller without a database, such as REST: those are
    /// UUIDv5, and nobody ever acknowledges their outcomes. Databases mint UUIDv7.
    pub fn is_of_requests(self) -> bool {
        self.0.get_version_num() == 5
    }
}

impl RecordId {
    /// The UUIDv5 of a natural key within a workspace and entity: two devices that create the same natural record
    /// offline converge on one row (spec ID-3).
    pub fn natural(workspace: &WorkspaceId, entity: &str, key: &str) -> Self {
        let name = format!("{workspace}\u{0}{entity}\u{0}{key}");
        Self(Uuid::new_v5(&NATURAL_KEY_NAMESPACE, name.as_bytes()))
    }
}

/// Namespace of natural-key record ids (spec ID-3): the UUIDv5 of the DNS name `syncline.dev`.
const NATURAL_KEY_NAMESPACE: Uuid = Uuid::from_u128(0x1254_58fa_970c_532b_8e9b_0f74_32d5_9cfd);

/// A tenant: `[a-z0-9][a-z0-9-]{0,62}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "SmolStr", into = "SmolStr")]
pub struct WorkspaceId(SmolStr);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a workspace id: use 1 to 63 of a-z, 0-9 and -, starting with a letter or digit")]
pub struct InvalidWorkspaceId(SmolStr);

impl WorkspaceId {
    pub fn new(text: impl Into<SmolStr>) -> Result<Self, InvalidWorkspaceId> {
        let text = text.into();
        let is_body = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let is_valid = (1..=63).contains(&text.len()) && text.bytes().all(is_body) && !text.starts_with('-');
        if is_valid { Ok(Self(text)) } else { Err(InvalidWorkspaceId(text)) }
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl TryFrom<SmolStr> for WorkspaceId {
    type Error = InvalidWorkspaceId;
    fn try_from(text: SmolStr) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}
impl From<WorkspaceId> for SmolStr {
    fn from(id: WorkspaceId) -> Self {
        id.0
    }
}
impl fmt::Display for WorkspaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for WorkspaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WorkspaceId({})", self.0)
    }
}

/// A named visibility partition of a workspace: `workspace`, `team:<uuid>` or `owner:<uuid>`. The name is the id, so it
/// does not depend on a deploy.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "SmolStr", into = "SmolStr")]
pub struct ScopeId(SmolStr);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a scope: expected `workspace`, `team:<uuid>` or `owner:<uuid>`")]
pub struct InvalidScopeId(SmolStr);

impl ScopeId {
    pub const WORKSPACE: ScopeId = ScopeId(SmolStr::new_static("workspace"));
    pub fn team(id: impl fmt::Display) -> Self {
        Self(smol_str::format_smolstr!("team:{id}"))
    }
    pub fn owner(id: impl fmt::Display) -> Self {
        Self(smol_str::format_smolstr!("owner:{id}"))
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl TryFrom<SmolStr> for ScopeId {
    type Error = InvalidScopeId;
    fn try_from(text: SmolStr) -> Result<Self, Self::Error> {
        let is_partition = |rest: &str| rest.len() == 36 && Uuid::parse_str(rest).is_ok();
        let is_valid = text == "workspace"
            || text.strip_prefix("team:").is_some_and(is_partition)
            || text.strip_prefix("owner:").is_some_and(is_partition);
        if is_valid { Ok(Self(text)) } else { Err(InvalidScopeId(text)) }
    }
}
impl From<ScopeId> for SmolStr {
    fn from(id: ScopeId) -> Self {
        id.0
    }
}
impl fmt::Display for ScopeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for ScopeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScopeId({})", self.0)
    }
}
