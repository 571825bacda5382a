//! Who may see and do what, read from the members and teams as they are at this moment (spec PRM-1, PRM-5).

use std::collections::BTreeSet;

use crate::change::LogEntry;
use crate::id::{RecordId, ScopeId, UserId, WorkspaceId};
use crate::principal::{Access, Grants, ReadScope};
use crate::record::Record;
use crate::schema::Schema;
use crate::storage::{Read, StoreResult};
use crate::{Fields, Name, Value};

/// Entity of memberships; the record id is natural over `user_id`.
pub const MEMBERS: &str = "workspace_members";
/// Entity of teams, with the set field `member_ids`.
pub const TEAMS: &str = "teams";
/// Teams of one user, and members of one team, that grants take into account.
const TEAMS_MAX: usize = 256;
/// Role ranks from which everything is granted, whatever the read scope (spec PRM-5).
const SEES_ALL: [&str; 2] = ["owner", "admin"];

/// Id of a user's membership record.
pub fn member_id(workspace: &WorkspaceId, user: UserId) -> RecordId {
    RecordId::natural(workspace, MEMBERS, &user.to_string())
}

/// What `user` may do now; `None`: not, or no longer, an active member.
pub fn access_of(
    schema: &Schema,
    workspace: &WorkspaceId,
    read: &dyn Read,
    user: UserId,
) -> StoreResult<Option<Access>> {
    let find_teams = || {
        let ids = read.find(TEAMS, "member_ids", &Value::String(user.to_string()), TEAMS_MAX)?;
        ids.into_iter().filter_map(|id| read.record(TEAMS, id).transpose()).collect()
    };
    access_from(schema, user, read.record(MEMBERS, member_id(workspace, user))?, find_teams)
}

/// The people of the user's teams, up to [`TEAMS_MAX`] of each of as many teams.
pub fn team_mates_of(read: &dyn Read, user: UserId) -> StoreResult<BTreeSet<UserId>> {
    let mut mates = BTreeSet::new();
    for id in read.find(TEAMS, "member_ids", &Value::String(user.to_string()), TEAMS_MAX)? {
        let Some(team) = read.record(TEAMS, id)?.filter(|team| !team.is_deleted) else { continue };
        let members = team.fields.get("member_ids").and_then(Value::as_array).into_iter().flatten();
        mates.extend(members.filter_map(Value::as_str).take(TEAMS_MAX).filter_map(|id| id.parse::<UserId>().ok()));
    }
    Ok(mates)
}

/// As [`access_of`], over the member record and a way to find the user's teams.
pub(super) fn access_from(
    schema: &Schema,
    user: UserId,
    member: Option<Record>,
    find_teams: impl FnOnce() -> StoreResult<Vec<Record>>,
) -> StoreResult<Option<Access>> {
    let Some(member) = member.filter(|member| !member.is_deleted && text(&member.fields, "status") == "active") else {
        return Ok(None);
    };
    let role = Name::new(text(&member.fields, "role"));
    let rank = schema.roles.get(&role).copied().unwrap_or(0);
    let read_scope = match text(&member.fields, "read_scope") {
        _ if SEES_ALL.contains(&role.as_str()) => ReadScope::All,
        "all" => ReadScope::All,
        "team" => ReadScope::Team,
        _ => ReadScope::Own,
    };
    let grants = match read_scope {
        ReadScope::All => Grants::All,
        ReadScope::Own => Grants::Scopes([ScopeId::WORKSPACE, ScopeId::owner(user)].into()),
        ReadScope::Team => {
            let mut scopes: BTreeSet<ScopeId> = [ScopeId::WORKSPACE, ScopeId::owner(user)].into();
            for team in find_teams()?.iter().filter(|team| !team.is_deleted) {
                scopes.insert(ScopeId::team(team.id));
                let members = team.fields.get("member_ids").and_then(Value::as_array).into_iter().flatten();
                scopes.extend(members.filter_map(Value::as_str).take(TEAMS_MAX).map(ScopeId::owner));
            }
            Grants::Scopes(scopes)
        }
    };
    Ok(Some(Access { role, rank, read_scope, grants }))
}

/// Whether an active owner is left when `member` is one no longer; true as well when they are none now. O(members) for an
/// active owner, else O(1).
pub fn has_owner_without(read: &dyn Read, member: RecordId) -> StoreResult<bool> {
    const PAGE: usize = 1_000;
    let is_owner = |member: &Record| {
        !member.is_deleted && text(&member.fields, "role") == "owner" && text(&member.fields, "status") == "active"
    };
    if !read.record(MEMBERS, member)?.is_some_and(|member| is_owner(&member)) {
        return Ok(true);
    }
    let mut after = None;
    loop {
        let page = read.scan(MEMBERS, after, PAGE)?;
        if page.iter().any(|other| other.id != member && is_owner(other)) {
            return Ok(true);
        }
        after = page.last().map(|member| member.id);
        if page.len() < PAGE {
            return Ok(false);
        }
    }
}

/// Whether an entry may change somebody's access, so that sessions must look again (spec GRT-1).
pub fn touches_access(entry: &LogEntry) -> bool {
    entry.changes.iter().any(|change| change.entity == MEMBERS || change.entity == TEAMS)
}

fn text<'a>(fields: &'a Fields, name: &str) -> &'a str {
    fields.get(name).and_then(Value::as_str).unwrap_or("")
}
