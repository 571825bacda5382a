//! `/api/contacts/search`, `/api/contacts/enhanced-search` and `/api/leads/by-contact/{id}`: what people look for, over the
//! same grants as everything else.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use serde::Serialize;
use serde_json::{Value, json};
use syncline_core::id::RecordId;
use syncline_core::principal::Grants;
use syncline_core::record::Record;
use syncline_core::storage::{Read, StoreResult};

use super::list::{Ask, Page, page};
use super::text::Words;
use super::view::{Selection, record_json};
use super::{entity, find, missing, record_id, visible};
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::problem::ApiResult;
use crate::http::query::{Query, invalid};

/// Best first.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Found {
    #[schema(value_type = Vec<Object>)]
    items: Vec<Value>,
    /// Whether every contact was looked at; otherwise there may be better ones: say more, or ask `enhanced-search`.
    is_complete: bool,
}

const LIMIT_DEFAULT: u64 = 20;
const LIMIT_MAX: u64 = 100;
/// Records read at a time.
const SCAN_ROWS: usize = 1_000;
/// Records that one search looks at; about a second's work. Beyond: `is_complete` is false.
const LOOKED_AT_MAX: usize = 100_000;
/// Leads of one contact that are counted. Beyond: the count stays there.
const LEADS_COUNTED_MAX: usize = 1_000;

/// `GET /api/contacts/search?q=`: words in names, e-mail address, phone numbers and company.
#[utoipa::path(
    get,
    path = "/api/contacts/search",
    tag = "contacts",
    operation_id = "search",
    params(("q" = String, Query, description = "1 to 8 words", max_length = 200), ("limit" = Option<u64>, Query, description = "Items of one page", minimum = 1, maximum = 100), ("fields" = Option<String>, Query, description = "Names of the fields to show, with commas between them")),
    responses((status = 200, description = "Best first", body = Found)),
    security(("bearer" = []))
)]
pub async fn search(State(app): State<Arc<App>>, caller: Caller, RawQuery(raw): RawQuery) -> ApiResult<Json<Found>> {
    let schema = app.schema();
    let contacts = entity(&schema, "contacts")?;
    let mut query = Query::parse(raw.as_deref())?;
    let words = Words::take(&mut query, contacts)?.ok_or_else(|| invalid("q", "is missing"))?;
    let limit = query.take_number("limit", LIMIT_DEFAULT, 1, LIMIT_MAX)? as usize;
    let selection = Selection::take(&mut query, contacts)?;
    query.finish()?;
    let grants = caller.access.grants.clone();
    let (records, is_complete) =
        app.db.read_much(caller.workspace_id(), move |read| best(read, &grants, &words, limit)).await?;
    let items = records.iter().map(|record| record_json(record, &selection)).collect();
    Ok(Json(Found { items, is_complete }))
}

/// The `limit` contacts that fit best, the newest first among equals, and whether all were looked at.
fn best(read: &dyn Read, grants: &Grants, words: &Words, limit: usize) -> StoreResult<(Vec<Record>, bool)> {
    let mut found: Vec<(u32, Record)> = Vec::new();
    let (mut after, mut looked_at) = (None, 0);
    let is_complete = loop {
        let records = read.scan("contacts", after, SCAN_ROWS)?;
        (after, looked_at) = (records.last().map(|record| record.id), looked_at + records.len());
        let is_last = records.len() < SCAN_ROWS;
        let seen = records.into_iter().filter(|record| grants.includes(&record.scope));
        found.extend(seen.filter_map(|record| Some((words.score(&record)?, record))));
        found.sort_by(|(a, first), (b, second)| b.cmp(a).then_with(|| second.id.cmp(&first.id)));
        found.truncate(limit);
        if is_last || looked_at >= LOOKED_AT_MAX {
            break is_last;
        }
    };
    Ok((found.into_iter().map(|(_, record)| record).collect(), is_complete))
}

/// `GET /api/contacts/enhanced-search`: as the list of contacts, with `q` beside its filters, and each with `leads_count`.
#[utoipa::path(
    get,
    path = "/api/contacts/enhanced-search",
    tag = "contacts",
    operation_id = "enhanced_search",
    params(("q" = Option<String>, Query, description = "1 to 8 words", max_length = 200), ("limit" = Option<u64>, Query, description = "Items of one page", minimum = 1, maximum = 500), ("fields" = Option<String>, Query, description = "Names of the fields to show, with commas between them"), ("sort" = Option<String>, Query, description = "A field, or -field for the other way round"), ("after" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, description = "As the list of contacts, each with `leads_count`; with `q` a page may be short although `next` goes on", body = Page)),
    security(("bearer" = []))
)]
pub async fn enhanced_search(
    State(app): State<Arc<App>>,
    caller: Caller,
    RawQuery(raw): RawQuery,
) -> ApiResult<Json<Page>> {
    let schema = app.schema();
    let contacts = entity(&schema, "contacts")?;
    let leads = entity(&schema, "leads")?;
    if !leads.field("contact_id").is_some_and(|field| field.is_indexed) {
        return Err(invalid("q", "is for schemas whose leads refer to contacts"));
    }
    let mut query = Query::parse(raw.as_deref())?;
    let words = Words::take(&mut query, contacts)?;
    let (ask, selection) = Ask::take(query, contacts, &caller, words)?;
    let grants = caller.access.grants.clone();
    let read = move |read: &dyn Read| -> StoreResult<_> {
        let (records, next) = page(read, &ask)?;
        let counted = records.into_iter().map(|record| Ok((leads_of(read, &grants, record.id)?, record)));
        Ok((counted.collect::<StoreResult<Vec<_>>>()?, next))
    };
    let (records, next) = app.db.read_much(caller.workspace_id(), read).await?;
    let items = records.iter().map(|(leads_count, record)| {
        let mut item = record_json(record, &selection);
        item["leads_count"] = json!(leads_count);
        item
    });
    Ok(Json(Page { items: items.collect(), next: next.map(|position| position.encode()) }))
}

/// Live leads of a contact that the grants show.
fn leads_of(read: &dyn Read, grants: &Grants, contact: RecordId) -> StoreResult<usize> {
    let ids = read.find("leads", "contact_id", &Value::from(contact.to_string()), LEADS_COUNTED_MAX)?;
    let mut count = 0;
    for id in ids {
        count += usize::from(visible(read, grants, "leads", id)?.is_some());
    }
    Ok(count)
}

/// `GET /api/leads/by-contact/{id}`: as the list of leads, those of one contact.
#[utoipa::path(
    get,
    path = "/api/leads/by-contact/{id}",
    tag = "leads",
    operation_id = "leads_by_contact",
    params(("id" = String, Path, description = "Id of the contact", format = Uuid), ("limit" = Option<u64>, Query, description = "Items of one page", minimum = 1, maximum = 500), ("fields" = Option<String>, Query, description = "Names of the fields to show, with commas between them"), ("sort" = Option<String>, Query, description = "A field, or -field for the other way round"), ("after" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, description = "As the list of leads", body = Page)),
    security(("bearer" = []))
)]
pub async fn leads_by_contact(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> ApiResult<Json<Page>> {
    let schema = app.schema();
    let (contacts, leads) = (entity(&schema, "contacts")?, entity(&schema, "leads")?);
    let id = record_id(contacts, &id)?;
    find(&app, &caller, contacts, id).await?.ok_or_else(|| missing(contacts))?;
    let mut query = Query::parse(raw.as_deref())?;
    query.put("contact_id", id.to_string())?;
    let (ask, selection) = Ask::take(query, leads, &caller, None)?;
    let (records, next) = app.db.read_much(caller.workspace_id(), move |read| page(read, &ask)).await?;
    let items = records.iter().map(|record| record_json(record, &selection)).collect();
    Ok(Json(Page { items, next: next.map(|position| position.encode()) }))
}
