//! `GET /api/{entity}`: filter, sort, page, select.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use serde::Serialize;
use serde_json::Value;
use syncline_core::id::RecordId;
use syncline_core::principal::Grants;
use syncline_core::record::Record;
use syncline_core::schema::Entity;
use syncline_core::storage::{Read, StoreResult};

use super::cursor::{Order, Position};
use super::filter::{Filter, filters};
use super::text::Words;
use super::view::{Selection, record_json};
use super::{entity, visible};
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::problem::ApiResult;
use crate::http::query::Query;

#[derive(Serialize, utoipa::ToSchema)]
pub struct Page {
    #[schema(value_type = Vec<Object>)]
    pub(super) items: Vec<Value>,
    /// `after` of the next page; null at the end.
    pub(super) next: Option<String>,
}

const LIMIT_DEFAULT: u64 = 50;
const LIMIT_MAX: u64 = 500;
/// Records read from the store at a time.
const SCAN_ROWS: usize = 1_000;
/// Ids taken from an index; a filter that many match is answered by a scan.
const INDEX_IDS_MAX: usize = 10_000;

/// A list as it was asked for.
pub(super) struct Ask {
    entity: String,
    grants: Grants,
    filters: Vec<Filter>,
    words: Option<Words>,
    order: Order,
    after: Option<Position>,
    limit: usize,
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
    let (records, next) = app.db.read(caller.workspace_id(), move |read| page(read, &ask)).await?;
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
        let limit = query.take_number("limit", LIMIT_DEFAULT, 1, LIMIT_MAX)? as usize;
        let filters = filters(entity, query.rest())?;
        let (entity, grants) = (entity.name.to_string(), caller.access.grants.clone());
        Ok((Self { entity, grants, filters, words, order, after, limit }, selection))
    }
}

/// The records asked for, and where the next page begins.
pub(super) fn page(read: &dyn Read, ask: &Ask) -> StoreResult<(Vec<Record>, Option<Position>)> {
    let mut top = Top { ask, rows: Vec::new() };
    match indexed(read, ask)? {
        Some(ids) => {
            for id in ids {
                if let Some(record) = visible(read, &ask.grants, &ask.entity, id)? {
                    top.offer(record);
                }
            }
        }
        None => scan(read, ask, &mut top)?,
    }
    Ok(top.finish())
}

/// Candidates from an index, when a filter has one and it is selective.
fn indexed(read: &dyn Read, ask: &Ask) -> StoreResult<Option<Vec<RecordId>>> {
    let Some((filter, value)) =
        ask.filters.iter().filter(|filter| filter.is_indexed).find_map(|filter| Some((filter, filter.value.as_ref()?)))
    else {
        return Ok(None);
    };
    let ids = read.find(&ask.entity, &filter.field, value, INDEX_IDS_MAX + 1)?;
    Ok((ids.len() <= INDEX_IDS_MAX).then_some(ids))
}

/// In id order; by id ascending it ends with the page, in any other order it looks at every record.
fn scan(read: &dyn Read, ask: &Ask, top: &mut Top<'_>) -> StoreResult<()> {
    let is_by_id = ask.order.field.is_none() && !ask.order.is_descending;
    let mut after = ask.after.as_ref().filter(|_| is_by_id).map(|position| position.id);
    loop {
        let records = read.scan(&ask.entity, after, SCAN_ROWS)?;
        let is_last = records.len() < SCAN_ROWS;
        after = records.last().map(|record| record.id);
        for record in records {
            top.offer(record);
        }
        if is_last || (is_by_id && top.is_full()) {
            return Ok(());
        }
    }
}

/// The first rows of the order after the cursor: one more than the page, to know whether there is a next.
struct Top<'a> {
    ask: &'a Ask,
    /// Kept below twice the page.
    rows: Vec<(Position, Record)>,
}

impl Top<'_> {
    fn wanted(&self) -> usize {
        self.ask.limit + 1
    }
    fn is_full(&self) -> bool {
        self.rows.len() >= self.wanted()
    }

    fn offer(&mut self, record: Record) {
        let ask = self.ask;
        if !ask.grants.includes(&record.scope) || !ask.filters.iter().all(|filter| filter.matches(&record)) {
            return;
        }
        if ask.words.as_ref().is_some_and(|words| words.score(&record).is_none()) {
            return;
        }
        let position = ask.order.position(&record);
        if ask.after.as_ref().is_some_and(|after| ask.order.compare(&position, after).is_le()) {
            return;
        }
        self.rows.push((position, record));
        if self.rows.len() >= 2 * self.wanted() {
            self.sort();
            self.rows.truncate(self.wanted());
        }
    }

    fn sort(&mut self) {
        self.rows.sort_by(|(a, _), (b, _)| self.ask.order.compare(a, b));
    }

    fn finish(mut self) -> (Vec<Record>, Option<Position>) {
        self.sort();
        let has_more = self.rows.len() > self.ask.limit;
        self.rows.truncate(self.ask.limit);
        let next = self.rows.last().filter(|_| has_more).map(|(position, _)| position.clone());
        (self.rows.into_iter().map(|(_, record)| record).collect(), next)
    }
}
