//! `GET /api/{entity}`: filter, sort, page, select.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use serde::Serialize;
use serde_json::Value;
use syncline_core::record::Record;
use syncline_core::schema::Entity;
use syncline_core::storage::{ListQuery, Read, StoreResult};

use super::cursor::{Order, Position};
use super::entity;
use super::filter::conditions;
use super::text::Words;
use super::view::{Selection, record_json};
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::problem::ApiResult;
use crate::http::query::{Query, invalid};

#[derive(Serialize, utoipa::ToSchema)]
pub struct Page {
    #[schema(value_type = Vec<Object>)]
    pub(super) items: Vec<Value>,
    /// `after` of the next page; null at the end.
    pub(super) next: Option<String>,
}

const LIMIT_DEFAULT: u64 = 50;
const LIMIT_MAX: u64 = 500;
/// Records read from the store at a time where words decide.
const LOOK_ROWS: usize = 1_000;
/// Records that one page with words looks at; a part of a second's work. Beyond: the page ends there, and goes on with `next`.
const LOOKED_AT_MAX: usize = 20_000;

/// A list as it was asked for.
pub(super) struct Ask {
    query: ListQuery,
    words: Option<Words>,
    order: Order,
}

pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    RawQuery(raw): RawQuery,
) -> ApiResult<axum::Json<Page>> {
    let schema = app.schema();
    let entity = entity(&schema, &name)?;
    let query = Query::parse(raw.as_deref())?;
    let (ask, selection) = Ask::take(query, entity, &caller, None)?;
    let (records, next) = app.db.read_much(caller.workspace_id(), move |read| page(read, &ask)).await?;
    let items = records.iter().map(|record| record_json(record, &selection)).collect();
    Ok(axum::Json(Page { items, next: next.map(|position| position.encode()) }))
}

impl Ask {
    /// The whole query: `fields`, `sort`, `after`, `limit`, and what is left as filters.
    pub(super) fn take(
        mut query: Query,
        entity: &Entity,
        caller: &Caller,
        words: Option<Words>,
    ) -> ApiResult<(Self, Selection)> {
        let selection = Selection::take(&mut query, entity)?;
        let order = Order::take(&mut query, entity)?;
        let after = Position::take(&mut query)?;
        if after.as_ref().is_some_and(|after| !order.fits(entity, after)) {
            return Err(invalid("after", "is not a cursor of this list"));
        }
        let limit = query.take_number("limit", LIMIT_DEFAULT, 1, LIMIT_MAX)? as usize;
        let query = ListQuery {
            entity: entity.name.clone(),
            grants: caller.access.grants.clone(),
            conditions: conditions(entity, query.rest())?,
            order: order.field.clone(),
            is_descending: order.is_descending,
            after: after.map(|after| (after.key, after.id)),
            limit,
        };
        Ok((Self { query, words, order }, selection))
    }
}

/// The records asked for, and where the next page begins.
pub(super) fn page(read: &dyn Read, ask: &Ask) -> StoreResult<(Vec<Record>, Option<Position>)> {
    let limit = ask.query.limit;
    // One more than the page, to know whether there is a next.
    let (mut records, looked_to) = match &ask.words {
        Some(words) => with_words(read, ask, words)?,
        None => (read.list(&ListQuery { limit: limit + 1, ..ask.query.clone() })?, None),
    };
    if records.len() > limit {
        records.truncate(limit);
        let next = records.last().map(|record| ask.order.position(record));
        return Ok((records, next));
    }
    Ok((records, looked_to))
}

/// The records with these words, and where the looking ended, unless that was the end.
fn with_words(read: &dyn Read, ask: &Ask, words: &Words) -> StoreResult<(Vec<Record>, Option<Position>)> {
    let mut query = ListQuery { limit: LOOK_ROWS, ..ask.query.clone() };
    let (mut found, mut looked_at) = (Vec::new(), 0);
    loop {
        let records = read.list(&query)?;
        let is_last = records.len() < LOOK_ROWS;
        let end = records.last().map(|record| ask.order.position(record));
        looked_at += records.len();
        found.extend(records.into_iter().filter(|record| words.score(record).is_some()));
        if is_last || found.len() > ask.query.limit {
            return Ok((found, None));
        }
        if looked_at >= LOOKED_AT_MAX {
            return Ok((found, end));
        }
        query.after = end.map(|end| (end.key, end.id));
    }
}
