//! `/api/{entity}`: one generic CRUD for every entity of the schema, over the same writer, rules and grants as sync.

mod bulk;
mod cursor;
mod delete;
mod filter;
mod get;
mod idempotency;
mod list;
pub mod search;
mod text;
mod view;
mod write;

pub use bulk::bulk;
pub use delete::delete;
pub use filter::endings;
pub use get::get;
pub use list::list;
pub use search::{enhanced_search, leads_by_contact, search};
pub use write::{create, single, update};

use std::sync::Arc;

use syncline_core::id::RecordId;
use syncline_core::principal::Grants;
use syncline_core::protocol::Code;
use syncline_core::record::Record;
use syncline_core::schema::{Entity, Schema};
use syncline_core::storage::{Read, StoreResult};

use super::caller::Caller;
use super::problem::{ApiError, ApiResult};
use crate::app::App;

/// The declared entity of that name.
fn entity<'s>(schema: &'s Schema, name: &str) -> ApiResult<&'s Entity> {
    schema.entity(name).ok_or_else(|| {
        let shown: String = name.chars().take(64).collect();
        let error = ApiError::new(Code::UnknownEntity, format!("There is no entity `{shown}` in the schema."));
        error.with_entity(shown)
    })
}

/// One text for a record that is not there and one that is not the caller's (spec PRM-2).
fn missing(entity: &Entity) -> ApiError {
    ApiError::not_found(format!("There is no such record in `{}`.", entity.name)).with_entity(entity.name.as_str())
}

fn record_id(entity: &Entity, text: &str) -> ApiResult<RecordId> {
    text.parse().map_err(|_| missing(entity))
}

/// The live record, when `grants` show it.
fn visible(read: &dyn Read, grants: &Grants, entity: &str, id: RecordId) -> StoreResult<Option<Record>> {
    Ok(read.record(entity, id)?.filter(|record| !record.is_deleted && grants.includes(&record.scope)))
}

/// The record of that name and id, when the caller may see it.
pub async fn visible_record(app: &Arc<App>, caller: &Caller, name: &str, id: &str) -> ApiResult<Record> {
    let schema = app.schema();
    let entity = entity(&schema, name)?;
    let id = record_id(entity, id)?;
    find(app, caller, entity, id).await?.ok_or_else(|| missing(entity))
}

/// Reads a record as the caller may see it now.
async fn find(app: &Arc<App>, caller: &Caller, entity: &Entity, id: RecordId) -> ApiResult<Option<Record>> {
    let (grants, name) = (caller.access.grants.clone(), entity.name.clone());
    Ok(app.db.read(caller.workspace_id(), move |read| visible(read, &grants, &name, id)).await?)
}
