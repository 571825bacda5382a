//! `/api/analytics`: what devices did, how sync went, which connections there were, where edits meet conflicts, and how the API
//! did for clients (OPS-5, CONF-7). Administrators see their workspace; everybody sees what they did themselves.

pub mod calls;
pub mod conflicts;
pub mod connections;
pub mod sync;
pub mod usage;

pub use calls::{calls, report};
pub use conflicts::conflicts;
pub use connections::connections;
pub use sync::sync;
pub use usage::usage;

use serde::Serialize;
use syncline_core::id::{DeviceId, UserId};
use syncline_core::protocol::Code;
use syncline_storage::analytics::{CallCounts, Day, UsageBy, UsageKey, UsagePage, day_of};

use super::caller::Caller;
use super::problem::{ApiError, ApiResult};
use super::query::{Query, invalid};
use crate::app::App;
use crate::audit::{AuditEvent, AuditRecord};
use crate::clock;

const LIMIT_DEFAULT: u64 = 100;
const LIMIT_MAX: u64 = 1_000;
const DAYS_DEFAULT: u64 = 7;
const DAYS_MAX: u64 = 366;

/// Whose figures are asked for.
#[derive(Clone, Copy)]
struct Whose {
    user_id: Option<UserId>,
    device_id: Option<DeviceId>,
}

impl Whose {
    /// Takes `user_id` and `device_id`. Whoever is no administrator asks for their own. What administrators read of others is in
    /// the audit log, as what they read elsewhere.
    async fn take(app: &App, caller: &Caller, query: &mut Query, route: &str) -> ApiResult<Self> {
        let user_id = query.take("user_id").map(|text| text.parse::<UserId>());
        let user_id = user_id.transpose().map_err(|_| invalid("user_id", "is not an id"))?;
        let device_id = query.take("device_id").map(|text| text.parse::<DeviceId>());
        let device_id = device_id.transpose().map_err(|_| invalid("device_id", "is not an id"))?;
        if user_id == Some(caller.user_id()) {
            return Ok(Self { user_id, device_id });
        }
        if caller.is_admin() {
            note_read(app, caller, route).await;
            return Ok(Self { user_id, device_id });
        }
        match user_id {
            None => Ok(Self { user_id: Some(caller.user_id()), device_id }),
            Some(_) => Err(ApiError::new(Code::Forbidden, "Only an owner or admin may see what others did.")),
        }
    }
}

/// Puts into the audit log what an administrator reads of the workspace.
async fn note_read(app: &App, caller: &Caller, route: &str) {
    let record = AuditRecord::new(caller.workspace_id(), AuditEvent::AdminRead);
    app.audit.record(record.about(format!("GET {route}"))).await;
}

/// Takes `days`: the first of them, today being the last.
fn take_days(query: &mut Query) -> ApiResult<Day> {
    let days = query.take_number("days", DAYS_DEFAULT, 1, DAYS_MAX)?;
    Ok(day_of(clock::now_ms()).saturating_sub(days - 1))
}

/// Takes what is needed of a page of sums: `by`, `days`, `after` and `limit`.
fn take_page(query: &mut Query, whose: Whose) -> ApiResult<UsagePage> {
    let by = match query.take("by").as_deref() {
        None | Some("day") => UsageBy::Day,
        Some("user") => UsageBy::User,
        Some("device") => UsageBy::Device,
        Some(_) => return Err(invalid("by", "is day, user or device")),
    };
    let from_day = take_days(query)?;
    let after = match (query.take("after"), by) {
        (None, _) => None,
        (Some(_), UsageBy::Day) => return Err(invalid("after", "is for `by=user` and `by=device`")),
        (Some(text), UsageBy::User) => text.parse().ok().map(UsageKey::User),
        (Some(text), UsageBy::Device) => text.parse().ok().map(UsageKey::Device),
    };
    let limit = query.take_number("limit", LIMIT_DEFAULT, 1, LIMIT_MAX)?;
    // All days fit.
    let limit = if by == UsageBy::Day { DAYS_MAX } else { limit } as usize;
    Ok(UsagePage { by, from_day, user_id: whose.user_id, device_id: whose.device_id, after, limit })
}

/// What a sum is about: one of the three.
#[derive(Serialize, utoipa::ToSchema)]
struct KeyView {
    /// In UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = Date)]
    day: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Uuid)]
    user_id: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Uuid)]
    device_id: Option<DeviceId>,
}

impl From<UsageKey> for KeyView {
    fn from(key: UsageKey) -> Self {
        let nothing = Self { day: None, user_id: None, device_id: None };
        match key {
            UsageKey::Day(day) => Self { day: Some(date(day)), ..nothing },
            UsageKey::User(id) => Self { user_id: Some(id), ..nothing },
            UsageKey::Device(id) => Self { device_id: Some(id), ..nothing },
        }
    }
}

/// `after` of the next page, when this one is full.
fn next_of(last: Option<UsageKey>, is_full: bool) -> Option<String> {
    match last.filter(|_| is_full)? {
        UsageKey::Day(_) => None,
        UsageKey::User(id) => Some(id.to_string()),
        UsageKey::Device(id) => Some(id.to_string()),
    }
}

/// A day as people write it.
fn date(day: Day) -> String {
    let seconds = i64::try_from(day * 86_400).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    at.to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
}

/// How long an operation took.
#[derive(Serialize, utoipa::ToSchema)]
pub struct LatencyView {
    operation: String,
    calls: u64,
    failures: u64,
    mean_ms: u64,
    /// Half of the calls took no longer, and so on. An upper bound, at most twice too high; absent beyond 65 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    p50_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p95_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99_ms: Option<u64>,
}

impl LatencyView {
    fn new(operation: &str, counts: &CallCounts) -> Self {
        Self {
            operation: operation.to_owned(),
            calls: counts.calls,
            failures: counts.failures,
            mean_ms: counts.total_ms / counts.calls.max(1),
            p50_ms: counts.within_ms(0.5),
            p95_ms: counts.within_ms(0.95),
            p99_ms: counts.within_ms(0.99),
        }
    }
}
