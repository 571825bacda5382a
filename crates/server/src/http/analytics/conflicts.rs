//! `GET /api/analytics/conflicts`: how often edits meet a conflict, and where (CONF-7). For admins.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use syncline_core::id::{RecordId, WorkspaceId};
use syncline_core::storage::Read;
use syncline_core::{Name, TimestampMs};

use super::note_read;
use crate::analytics::conflicts::{ConflictsBy, ENTRIES_MAX, PAGE, Share, Subject, Tally, Teams};
use crate::app::App;
use crate::clock;
use crate::http::caller::Caller;
use crate::http::problem::{ApiError, ApiResult};
use crate::http::query::{Query, invalid};
use crate::maintenance::last_before;
use crate::observe::share;

const LIMIT_DEFAULT: u64 = 50;
const LIMIT_MAX: u64 = 500;
const DAYS_DEFAULT: u64 = 30;
/// The log reaches no further back.
const DAYS_MAX: u64 = 90;

#[derive(Serialize, utoipa::ToSchema)]
pub struct ConflictFigures {
    /// From when on edits and conflicts are counted.
    #[schema(value_type = u64)]
    from_ms: TimestampMs,
    /// False: there is more than one answer counts, and `from_ms` is later than was asked for, or not everything is told apart.
    is_complete: bool,
    total: ShareView,
    /// Those with most conflicts first; what met none is left out.
    items: Vec<ConflictView>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct ConflictView {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    entity: Option<Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    field: Option<Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Uuid)]
    record_id: Option<RecordId>,
    /// Absent with `by=team`: of no team.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Uuid)]
    team_id: Option<RecordId>,
    #[serde(flatten)]
    share: ShareView,
}

#[derive(Serialize, utoipa::ToSchema)]
struct ShareView {
    /// Changes of people that were accepted.
    edits: u64,
    conflicts: u64,
    /// Conflicts that were left for a person to decide.
    reviews: u64,
    /// `conflicts` of `edits`; 0 without edits.
    rate: f64,
}

impl From<Share> for ShareView {
    fn from(Share { edits, conflicts, reviews }: Share) -> Self {
        Self { edits, conflicts, reviews, rate: share(conflicts, edits) }
    }
}

#[utoipa::path(
    get,
    path = "/api/analytics/conflicts",
    tag = "analytics",
    operation_id = "conflict_figures",
    params(
        ("by" = Option<String>, Query, description = "entity, field, team or record"),
        ("days" = Option<u64>, Query, description = "So many, until now", minimum = 1, maximum = 90),
        ("limit" = Option<u64>, Query, description = "Items of the answer", minimum = 1, maximum = 500)
    ),
    responses((status = 200, description = "Most conflicts first", body = ConflictFigures)),
    security(("bearer" = []))
)]
pub async fn conflicts(
    State(app): State<Arc<App>>,
    caller: Caller,
    RawQuery(raw): RawQuery,
) -> ApiResult<Json<ConflictFigures>> {
    caller.require_admin()?;
    let mut query = Query::parse(raw.as_deref())?;
    let by = match query.take("by").as_deref() {
        None | Some("entity") => ConflictsBy::Entity,
        Some("field") => ConflictsBy::Field,
        Some("team") => ConflictsBy::Team,
        Some("record") => ConflictsBy::Record,
        Some(_) => return Err(invalid("by", "is entity, field, team or record")),
    };
    let days = query.take_number("days", DAYS_DEFAULT, 1, DAYS_MAX)?;
    let limit = query.take_number("limit", LIMIT_DEFAULT, 1, LIMIT_MAX)? as usize;
    query.finish()?;
    note_read(&app, &caller, "/api/analytics/conflicts").await;
    let horizon = clock::now_ms().saturating_sub(days * 86_400_000);
    let (tally, is_whole) = walk(&app, caller.workspace_id(), by, horizon).await?;
    let view = |(Subject { entity, field, record_id, team_id }, share): (&Subject, Share)| ConflictView {
        entity: entity.clone(),
        field: field.clone(),
        record_id: *record_id,
        team_id: *team_id,
        share: share.into(),
    };
    Ok(Json(ConflictFigures {
        from_ms: if is_whole { horizon } else { tally.from_ms.unwrap_or(horizon) },
        is_complete: is_whole && !tally.is_cut,
        total: tally.total.into(),
        items: tally.worst(limit).into_iter().map(view).collect(),
    }))
}

/// Goes through the newest entries of the log, page by page, so that no reader is held for long. True: all of those asked for.
async fn walk(
    app: &App,
    workspace_id: &WorkspaceId,
    by: ConflictsBy,
    horizon: TimestampMs,
) -> ApiResult<(Tally, bool)> {
    let _turn = app.analytics.walks.acquire().await.map_err(|_| ApiError::internal())?;
    let first = move |read: &dyn Read| {
        let teams = if by == ConflictsBy::Team { Teams::read(read)? } else { Teams::default() };
        Ok((last_before(read, horizon)?, read.head()?.seq, teams))
    };
    let (start, head, teams) = app.db.read(workspace_id, first).await?;
    let mut after = start.max(head.saturating_sub(ENTRIES_MAX));
    let is_whole = after == start;
    let mut tally = Tally::new(by, teams);
    while after < head {
        let entries = app.db.read(workspace_id, move |read| read.log(after, head, PAGE)).await?;
        let Some(last) = entries.last() else { break };
        after = last.seq;
        entries.iter().for_each(|entry| tally.add(entry));
    }
    Ok((tally, is_whole))
}
