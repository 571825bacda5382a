//! Writes of an administrator to what only the server may write, and the limits of their power.

use syncline_core::change::Op;
use syncline_core::engine::access::{MEMBERS, member_id};
use syncline_core::id::{RecordId, UserId};
use syncline_core::protocol::Code;
use syncline_core::record::Record;
use syncline_core::schema::Schema;
use syncline_core::storage::Read;
use syncline_core::{Fields, Name, Value};

use crate::app::App;
use crate::engine::Precondition;
use crate::http::caller::Caller;
use crate::http::entities::single;
use crate::http::outcome::accepted;
use crate::http::problem::{ApiError, ApiResult};
use crate::push::{Author, Write, WriteError};

pub const USERS: &str = "users";

/// A user with their membership, as they are.
pub struct Person {
    pub user: Record,
    pub member: Option<Record>,
}

impl Person {
    pub fn role(&self) -> &str {
        self.member.as_ref().map_or("", |member| text(member, "role"))
    }
}

pub fn text<'r>(record: &'r Record, field: &str) -> &'r str {
    record.fields.get(field).and_then(Value::as_str).unwrap_or("")
}

/// Reads a person of the caller's workspace.
pub async fn person(app: &App, caller: &Caller, id: &str) -> ApiResult<Person> {
    let missing = || ApiError::not_found("There is no such user.");
    let id: UserId = id.parse().map_err(|_| missing())?;
    let workspace = caller.workspace_id().clone();
    let read = move |read: &dyn Read| {
        let live = |record: Option<Record>| record.filter(|record| !record.is_deleted);
        let user = live(read.record(USERS, RecordId(id.0))?);
        let member = live(read.record(MEMBERS, member_id(&workspace, id))?);
        Ok(user.map(|user| Person { user, member }))
    };
    app.db.read(caller.workspace_id(), read).await?.ok_or_else(missing)
}

/// Nobody gives or takes what is above them: the caller must rank at least as high as the role.
pub fn check_rank(schema: &Schema, caller: &Caller, role: &str) -> ApiResult<()> {
    let Some(rank) = schema.roles.get(role) else {
        let roles: Vec<&str> = schema.roles.keys().map(Name::as_str).collect();
        let message = format!("`role` is one of {}.", roles.join(", "));
        return Err(ApiError::new(Code::Validation, message).with_field("role"));
    };
    if *rank <= caller.access.rank {
        return Ok(());
    }
    Err(ApiError::new(Code::Forbidden, "This role is above your own.").with_field("role"))
}

/// Writes ops as the server, all or nothing.
pub async fn write_as_server(app: &App, caller: &Caller, ops: Vec<Op>) -> ApiResult<()> {
    write_if(app, caller, ops, None).await
}

/// As [`write_as_server`], for ops that take an owner away: refused when `member` is the only active one. O(members).
pub async fn write_unless_last_owner(app: &App, caller: &Caller, ops: Vec<Op>, member: RecordId) -> ApiResult<()> {
    write_if(app, caller, ops, Some(Precondition::OwnerWithout(member))).await
}

async fn write_if(app: &App, caller: &Caller, ops: Vec<Op>, precondition: Option<Precondition>) -> ApiResult<()> {
    if ops.is_empty() {
        return Ok(());
    }
    let author = Author::server(caller.workspace_id().clone());
    let write = Write { author, mutations: vec![ops], precondition, idempotency: None };
    let outcomes = app.write(write).await.map_err(|error| match error {
        WriteError::PreconditionFailed => {
            let message = "This is the only owner of the workspace. Make somebody else an owner first.";
            ApiError::new(Code::Rule, message)
        }
        other => other.into(),
    })?;
    accepted(single(outcomes)?, USERS).map(drop)
}

pub fn fields<const N: usize>(pairs: [(&'static str, Option<Value>); N]) -> Fields {
    pairs.into_iter().filter_map(|(name, value)| Some((Name::new_static(name), value?))).collect()
}
