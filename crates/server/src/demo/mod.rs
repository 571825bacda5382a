//! `--demo`: a workspace to try things with, the same every time and safe to run again.

mod data;
mod words;

use secrecy::SecretString;
use syncline_core::id::{UserId, WorkspaceId};
use uuid::Uuid;

use crate::app::App;
use crate::bootstrap::NewMember;
use crate::server::ServerError;

/// Password of everybody in the demo. It protects nothing: the demo listens on this machine only, by default.
pub const PASSWORD: &str = "syncline-demo";
pub const WORKSPACE: &str = "demo";
/// Origin of `apps/extension` as it is built here: the `key` of its manifest gives it the same id in every browser, so that a
/// demo admits it without a setting. A server with people's data admits what its administrator lists.
pub const EXTENSION_ORIGIN: &str = "chrome-extension://fkkdnkpoamobjdgfffmcdmclobhklmmn";

/// Somebody to sign in as.
#[derive(Clone, Copy, Debug)]
pub struct DemoUser {
    pub email: &'static str,
    pub name: &'static str,
    pub role: &'static str,
    pub read_scope: &'static str,
    id: u128,
}

/// The people of the demo, the owner first. Both agents are in one team and see its records.
pub const USERS: [DemoUser; 4] = [
    DemoUser { email: "demo@syncline.dev", name: "Dana Demo", role: "owner", read_scope: "all", id: 1 },
    DemoUser { email: "manager@syncline.dev", name: "Milo Manager", role: "manager", read_scope: "all", id: 2 },
    DemoUser { email: "agent1@syncline.dev", name: "Anna Agent", role: "agent", read_scope: "team", id: 3 },
    DemoUser { email: "agent2@syncline.dev", name: "Bao Agent", role: "agent", read_scope: "own", id: 4 },
];

impl DemoUser {
    pub fn user_id(&self) -> UserId {
        UserId(demo_id("users", self.id))
    }
}

/// Ids of the demo's records: version 7 in form, with a fixed time, so that every start makes the same ones.
fn demo_id(entity: &str, number: u128) -> Uuid {
    let hash = Uuid::new_v5(&Uuid::NAMESPACE_DNS, format!("{entity}.demo.syncline.dev/{number}").as_bytes());
    let mut random = [0; 10];
    random.copy_from_slice(&hash.as_bytes()[..10]);
    let number = u64::try_from(number).unwrap_or(u64::MAX);
    uuid::Builder::from_unix_timestamp_millis(FIRST_MS + number, &random).into_uuid()
}

/// 2026-01-01T00:00:00Z.
const FIRST_MS: u64 = 1_767_225_600_000;

/// Makes the demo unless it is there. True: it was made now.
pub async fn ensure(app: &App) -> Result<bool, ServerError> {
    let workspace_id = WorkspaceId::new(WORKSPACE).map_err(|error| ServerError::Bootstrap(error.to_string()))?;
    let is_new = app.create_workspace(&workspace_id, "Demo").await?;
    // Each step is skipped when it was done by a start that was cut off.
    for user in &USERS {
        if app.auth.access(&workspace_id, user.user_id()).await?.is_some() {
            continue;
        }
        let member = NewMember {
            user_id: user.user_id(),
            email: user.email.to_owned(),
            name: user.name.to_owned(),
            role: user.role,
            read_scope: user.read_scope,
            password: SecretString::from(PASSWORD),
        };
        app.create_member(&workspace_id, member).await?;
    }
    data::ensure(app, &workspace_id).await?;
    Ok(is_new)
}
