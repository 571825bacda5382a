//! `PATCH /api/admin/members/{user}`: role, read scope, teams and status of a member.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::json;
use syncline_core::Value;
use syncline_core::change::Op;
use syncline_core::engine::access::{MEMBERS, TEAMS};
use syncline_core::id::{RecordId, UserId};
use syncline_core::principal::ReadScope;
use syncline_core::protocol::Code;
use syncline_core::record::Record;
use syncline_core::storage::{Read, StoreResult};

use super::users::{PersonView, view};
use super::write::{Person, check_rank, fields, person, write_as_server, write_unless_last_owner};
use crate::app::App;
use crate::audit::{AuditEvent, AuditRecord};
use crate::clock;
use crate::http::body::Json;
use crate::http::caller::Caller;
use crate::http::problem::{ApiError, ApiResult};

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MemberChange)]
pub struct Request {
    role: Option<String>,
    #[schema(value_type = Option<crate::http::openapi::ReadScope>)]
    read_scope: Option<ReadScope>,
    status: Option<MemberStatus>,
    /// The teams the member is in from now on; absent: as before.
    #[schema(value_type = Option<Vec<String>>)]
    team_ids: Option<BTreeSet<RecordId>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum MemberStatus {
    Active,
    Revoked,
}

#[utoipa::path(
    patch,
    path = "/api/admin/members/{user}",
    tag = "admin",
    operation_id = "update_member",
    params(("user" = String, Path, description = "Id of the user", format = Uuid)),
    request_body = Request,
    responses((status = 200, description = "Changed", body = PersonView)),
    security(("bearer" = []))
)]
pub async fn update_member(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(user): Path<String>,
    Json(request): Json<Request>,
) -> ApiResult<Answer<PersonView>> {
    caller.require_admin()?;
    let target = person(&app, &caller, &user).await?;
    let schema = app.schema();
    check_rank(&schema, &caller, target.role())?;
    if let Some(role) = &request.role {
        check_rank(&schema, &caller, role)?;
    }
    let loses_ownership =
        request.role.as_ref().is_some_and(|role| role != "owner") || request.status == Some(MemberStatus::Revoked);
    let noted = noted(&caller, &target, &request);
    let mut ops: Vec<Op> = member_op(&target, &request)?.into_iter().collect();
    if let Some(team_ids) = request.team_ids {
        ops.extend(team_ops(&app, &caller, UserId(target.user.id.0), team_ids).await?);
    }
    match &target.member {
        Some(member) if loses_ownership => write_unless_last_owner(&app, &caller, ops, member.id).await?,
        _ => write_as_server(&app, &caller, ops).await?,
    }
    app.audit.record(noted).await;
    Ok(Answer(view(&person(&app, &caller, &user).await?)))
}

/// What the audit log says of the change.
fn noted(caller: &Caller, target: &Person, request: &Request) -> AuditRecord {
    let record = AuditRecord::new(caller.workspace_id(), AuditEvent::MemberChanged).about(target.user.id);
    let changed = [
        request.role.as_ref().map(|role| ("role", json!({"from": target.role(), "to": role}))),
        request.read_scope.map(|read_scope| ("read_scope", json!(read_scope))),
        request.status.map(|status| ("is_revoked", json!(status == MemberStatus::Revoked))),
        request.team_ids.as_ref().map(|teams| ("teams", json!(teams.len()))),
    ];
    changed.into_iter().flatten().fold(record, |record, (name, value)| record.with(name, value))
}

fn member_op(target: &Person, request: &Request) -> ApiResult<Option<Op>> {
    if request.role.is_none() && request.read_scope.is_none() && request.status.is_none() {
        return Ok(None);
    }
    let Some(member) = &target.member else {
        return Err(ApiError::new(Code::Rule, "This user has no membership to change."));
    };
    let status = request.status.map(|status| match status {
        MemberStatus::Active => json!("active"),
        MemberStatus::Revoked => json!("revoked"),
    });
    let changed = fields([
        ("role", request.role.as_ref().map(|role| json!(role))),
        ("read_scope", request.read_scope.map(|read_scope| json!(read_scope))),
        ("revoked_at", request.status.map(revoked_at)),
        ("status", status),
    ]);
    Ok(Some(Op::Update { entity: MEMBERS.into(), id: member.id, base_rv: member.rv, fields: changed }))
}

fn revoked_at(status: MemberStatus) -> Value {
    match status {
        MemberStatus::Active => Value::Null,
        MemberStatus::Revoked => timestamp(clock::now_ms()),
    }
}

/// A moment as the schema writes timestamps.
pub(super) fn timestamp(ms: u64) -> Value {
    let moment = jiff::Timestamp::from_millisecond(i64::try_from(ms).unwrap_or(i64::MAX)).unwrap_or_default();
    Value::from(format!("{moment:.3}"))
}

/// What brings a user into exactly the teams of `wanted`. A team that is not there is named.
pub(super) async fn team_ops(
    app: &App,
    caller: &Caller,
    user: UserId,
    wanted: BTreeSet<RecordId>,
) -> ApiResult<Vec<Op>> {
    const TEAMS_MAX: usize = 1_000;
    let text = Value::from(user.to_string());
    let read = move |read: &dyn Read| -> StoreResult<Result<Vec<Op>, RecordId>> {
        let present: BTreeSet<RecordId> = read.find(TEAMS, "member_ids", &text, TEAMS_MAX)?.into_iter().collect();
        let mut ops = Vec::new();
        for id in present.symmetric_difference(&wanted) {
            let Some(team) = read.record(TEAMS, *id)?.filter(|team| !team.is_deleted) else { return Ok(Err(*id)) };
            let change = if wanted.contains(id) { json!({"add": [text]}) } else { json!({"remove": [text]}) };
            ops.push(team_op(team, change));
        }
        Ok(Ok(ops))
    };
    app.db
        .read(caller.workspace_id(), read)
        .await?
        .map_err(|id| ApiError::new(Code::RefMissing, format!("There is no team {id}.")).with_field("team_ids"))
}

fn team_op(team: Record, change: Value) -> Op {
    Op::Update { entity: TEAMS.into(), id: team.id, base_rv: team.rv, fields: fields([("member_ids", Some(change))]) }
}
