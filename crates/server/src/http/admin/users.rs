//! `/api/admin/users`: people of the workspace, with their sign-in and membership.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::json;
use syncline_core::change::Op;
use syncline_core::engine::access::{MEMBERS, member_id};
use syncline_core::id::{RecordId, UserId};
use syncline_core::principal::ReadScope;
use syncline_core::storage::{Read, StoreResult};
use syncline_core::{Name, Seq};

use super::members::team_ops;
use super::write::{Person, USERS, check_rank, fields, person, text, write_as_server, write_unless_last_owner};
use crate::app::App;
use crate::audit::{AuditEvent, AuditRecord};
use crate::http::auth::check_password;
use crate::http::body::Json;
use crate::http::caller::Caller;
use crate::http::problem::ApiResult;
use crate::http::query::{Query, invalid};

/// A person as administrators see them.
#[derive(Serialize, utoipa::ToSchema)]
pub struct PersonView {
    #[schema(value_type = String, format = Uuid)]
    user_id: UserId,
    email: String,
    name: String,
    /// Of the user: active, suspended or deleted.
    status: String,
    role: String,
    read_scope: String,
    /// Of the membership: invited, active or revoked.
    member_status: String,
    #[schema(value_type = u64)]
    rv: Seq,
    #[serde(skip_serializing_if = "Option::is_none")]
    initial_password: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct People {
    items: Vec<PersonView>,
    #[schema(value_type = Option<String>, format = Uuid)]
    next: Option<RecordId>,
}

pub fn view(person: &Person) -> PersonView {
    let of_member = |field: &str| person.member.as_ref().map_or(String::new(), |member| text(member, field).to_owned());
    let user = &person.user;
    PersonView {
        user_id: UserId(user.id.0),
        email: text(user, "email").to_owned(),
        name: text(user, "name").to_owned(),
        status: text(user, "status").to_owned(),
        role: of_member("role"),
        read_scope: of_member("read_scope"),
        member_status: of_member("status"),
        rv: user.rv,
        initial_password: None,
    }
}

const LIMIT_DEFAULT: u64 = 100;
const LIMIT_MAX: u64 = 500;

/// `GET /api/admin/users?limit=&after=`: in the order they were created.
#[utoipa::path(
    get,
    path = "/api/admin/users",
    tag = "admin",
    operation_id = "admin_users",
    params(("limit" = Option<u64>, Query, description = "Items of one page", minimum = 1, maximum = 500), ("after" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, description = "In the order they were created", body = People)),
    security(("bearer" = []))
)]
pub async fn list_users(
    State(app): State<Arc<App>>,
    caller: Caller,
    RawQuery(raw): RawQuery,
) -> ApiResult<Answer<People>> {
    caller.require_admin()?;
    let mut query = Query::parse(raw.as_deref())?;
    let limit = query.take_number("limit", LIMIT_DEFAULT, 1, LIMIT_MAX)? as usize;
    let after = query.take("after").map(|text| text.parse::<RecordId>());
    let after = after.transpose().map_err(|_| invalid("after", "is not a cursor of this list"))?;
    query.finish()?;
    let workspace = caller.workspace_id().clone();
    let read = move |read: &dyn Read| -> StoreResult<Vec<PersonView>> {
        let users = read.scan(USERS, after, limit)?;
        let with_member = users.into_iter().map(|user| {
            let member = read.record(MEMBERS, member_id(&workspace, UserId(user.id.0)))?;
            Ok(view(&Person { user, member: member.filter(|member| !member.is_deleted) }))
        });
        with_member.collect()
    };
    let items = app.db.read(caller.workspace_id(), read).await?;
    let next = items.last().filter(|_| items.len() == limit).map(|last| RecordId(last.user_id.0));
    Ok(Answer(People { items, next }))
}

/// `GET /api/admin/users/{id}`.
#[utoipa::path(
    get,
    path = "/api/admin/users/{id}",
    tag = "admin",
    operation_id = "get_user",
    params(("id" = String, Path, description = "Id of the user", format = Uuid)),
    responses((status = 200, description = "The user", body = PersonView)),
    security(("bearer" = []))
)]
pub async fn get_user(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Answer<PersonView>> {
    caller.require_admin()?;
    Ok(Answer(view(&person(&app, &caller, &id).await?)))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    email: String,
    name: String,
    role: String,
    #[serde(default = "everything")]
    #[schema(value_type = crate::http::openapi::ReadScope)]
    read_scope: ReadScope,
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    team_ids: BTreeSet<RecordId>,
    /// Absent: one is made and told in this answer only.
    #[schema(value_type = Option<String>)]
    password: Option<SecretString>,
}

fn everything() -> ReadScope {
    ReadScope::All
}

/// `POST /api/admin/users`: a user, their membership, and a password to sign in with.
#[utoipa::path(
    post,
    path = "/api/admin/users",
    tag = "admin",
    operation_id = "create_user",
    request_body = NewUser,
    responses((status = 201, description = "Created", body = PersonView)),
    security(("bearer" = []))
)]
pub async fn create_user(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(new): Json<NewUser>,
) -> ApiResult<(StatusCode, Answer<PersonView>)> {
    caller.require_admin()?;
    check_rank(&app.schema(), &caller, &new.role)?;
    let generated = new.password.is_none().then(crate::random::secret_text);
    let password = new.password.unwrap_or_else(|| SecretString::from(generated.clone().unwrap_or_default()));
    check_password(&password)?;
    let user = UserId(crate::random::uuid_v7());
    let teams = team_ops(&app, &caller, user, new.team_ids).await?;
    let workspace_id = caller.workspace_id();
    let create = |entity: &'static str, id, fields| Op::Create { entity: Name::new_static(entity), id, fields };
    let profile = fields([("email", Some(json!(new.email))), ("name", Some(json!(new.name)))]);
    let membership = fields([
        ("user_id", Some(json!(user))),
        ("role", Some(json!(new.role))),
        ("read_scope", Some(json!(new.read_scope))),
    ]);
    let mut ops =
        vec![create(USERS, RecordId(user.0), profile), create(MEMBERS, member_id(workspace_id, user), membership)];
    ops.extend(teams);
    // The credential first: it is what can be refused for a taken address, and without a membership it opens nothing.
    app.auth.put_credential(workspace_id, user, new.email, password).await?;
    if let Err(error) = write_as_server(&app, &caller, ops).await {
        app.auth.delete_credential(workspace_id, user).await?;
        return Err(error);
    }
    tracing::info!(event = "user_created", %workspace_id, user_id = %user, by = %caller.user_id(), "a user was created");
    let record = AuditRecord::new(workspace_id, AuditEvent::MemberCreated).about(user).with("role", new.role.clone());
    app.audit.record(record).await;
    let mut created = view(&person(&app, &caller, &user.to_string()).await?);
    created.initial_password = generated;
    Ok((StatusCode::CREATED, Answer(created)))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    name: Option<String>,
    /// A new password; ends every sign-in of the user.
    #[schema(value_type = Option<String>)]
    password: Option<SecretString>,
}

/// `PATCH /api/admin/users/{id}`.
#[utoipa::path(
    patch,
    path = "/api/admin/users/{id}",
    tag = "admin",
    operation_id = "update_user",
    params(("id" = String, Path, description = "Id of the user", format = Uuid)),
    request_body = UserChange,
    responses((status = 200, description = "Changed", body = PersonView)),
    security(("bearer" = []))
)]
pub async fn update_user(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(change): Json<UserChange>,
) -> ApiResult<Answer<PersonView>> {
    caller.require_admin()?;
    let target = person(&app, &caller, &id).await?;
    check_rank(&app.schema(), &caller, target.role())?;
    if let Some(name) = change.name {
        let fields = fields([("name", Some(json!(name)))]);
        let op = Op::Update { entity: USERS.into(), id: target.user.id, base_rv: target.user.rv, fields };
        write_as_server(&app, &caller, vec![op]).await?;
    }
    if let Some(password) = change.password {
        check_password(&password)?;
        let user = UserId(target.user.id.0);
        app.auth.set_password(caller.workspace_id(), user, password).await?;
        app.hub.end_sign_in(caller.workspace_id(), |session| session.user_id == user);
    }
    Ok(Answer(view(&person(&app, &caller, &id).await?)))
}

/// `DELETE /api/admin/users/{id}`: ends the membership. Devices that are connected hand over what is pending and are cut
/// off; the person stays as the author of what they did.
#[utoipa::path(
    delete,
    path = "/api/admin/users/{id}",
    tag = "admin",
    operation_id = "deactivate_user",
    params(("id" = String, Path, description = "Id of the user", format = Uuid)),
    responses((status = 204, description = "The membership has ended")),
    security(("bearer" = []))
)]
pub async fn deactivate_user(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    caller.require_admin()?;
    let target = person(&app, &caller, &id).await?;
    check_rank(&app.schema(), &caller, target.role())?;
    let Some(member) = &target.member else { return Ok(StatusCode::NO_CONTENT) };
    let revoked = fields([
        ("status", Some(json!("revoked"))),
        ("revoked_at", Some(super::members::timestamp(crate::clock::now_ms()))),
    ]);
    let op = Op::Update { entity: MEMBERS.into(), id: member.id, base_rv: member.rv, fields: revoked };
    write_unless_last_owner(&app, &caller, vec![op], member.id).await?;
    tracing::info!(event = "member_revoked", workspace_id = %caller.workspace_id(), user_id = %target.user.id, by = %caller.user_id(), "a member was revoked");
    let record = AuditRecord::new(caller.workspace_id(), AuditEvent::MemberRevoked).about(target.user.id);
    app.audit.record(record).await;
    Ok(StatusCode::NO_CONTENT)
}
